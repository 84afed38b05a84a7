//! The effect of keys.

use std::cell::RefCell;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::ViewModel;
use crate::model::event::{Percent, WindowKind};
use crate::usage::ProviderUsage;

/// A percentage that a user typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEntry {
    /// Empty: no change.
    Cancelled,
    /// Not a valid percentage.
    Invalid,
    /// The used percentage.
    Used(Percent),
}

/// Parses a whole number from 0 to 100.
pub fn modal_input(text: &str) -> KeyEntry {
    match text.trim() {
        "" => KeyEntry::Cancelled,
        text => match text.parse::<i64>().ok().and_then(|percent| u32::try_from(percent).ok()) {
            Some(percent @ 0..=100) => KeyEntry::Used(Percent::from_hundredths(percent * 100)),
            _ => KeyEntry::Invalid,
        },
    }
}

/// A dialog in front of the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Modal {
    /// Asks for the used percentage.
    Override { text: String, window: WindowKind, invalid: bool },
    /// Asks to confirm a reset.
    Reset,
    /// Is all work to stop, really?
    Pause,
    /// Lists the keys.
    Help,
}

/// An action of a user. Each except the last appends an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Override { provider: String, account: Option<String>, window: WindowKind, used: Percent },
    Pause,
    Resume,
    Quit,
}

/// The state of the screen.
pub(crate) struct ScreenState {
    pub view_model: ViewModel,
    /// Index of the selected provider account, to which keys apply.
    pub selected: usize,
    pub modal: Option<Modal>,
    /// Result of the last action.
    pub message: Option<String>,
    /// Which account each line of the screen shows, as it was drawn last.
    pub drawn: RefCell<Vec<(Rect, usize)>>,
}

impl ScreenState {
    /// Starts with the active provider selected.
    pub fn new(view_model: ViewModel) -> Self {
        let active =
            |one: &crate::ProviderStatus| view_model.status.active_provider.as_ref() == Some(&one.usage.provider);
        let selected = view_model.status.providers.iter().position(active).unwrap_or(0);
        Self { view_model, selected, modal: None, message: None, drawn: RefCell::default() }
    }

    /// Updates the data. The same provider account remains selected.
    pub fn show(&mut self, view_model: ViewModel) {
        let same = |usage: &ProviderUsage| {
            let before = self.usage()?;
            Some(before.provider == usage.provider && before.account == usage.account)
        };
        let selected = view_model.status.providers.iter().position(|one| same(&one.usage) == Some(true));
        self.selected = selected.unwrap_or(0);
        self.view_model = view_model;
    }

    /// Returns the selected account.
    pub fn usage(&self) -> Option<&ProviderUsage> {
        self.view_model.status.providers.get(self.selected).map(|one| &one.usage)
    }

    /// Handles a key. Returns the action for the ledger.
    pub fn key(&mut self, key: KeyEvent) -> Option<Action> {
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
        }
        match self.modal.take() {
            None => self.plain(key.code),
            Some(Modal::Help) => None,
            Some(Modal::Reset) => match key.code {
                KeyCode::Char('y' | 'Y') => self.override_to(WindowKind::Session, Percent::default()),
                KeyCode::Char('n' | 'N') | KeyCode::Esc => None,
                _ => {
                    self.modal = Some(Modal::Reset);
                    None
                }
            },
            Some(Modal::Pause) => match key.code {
                KeyCode::Char('y' | 'Y') => Some(Action::Pause),
                KeyCode::Char('n' | 'N') | KeyCode::Esc => None,
                _ => {
                    self.modal = Some(Modal::Pause);
                    None
                }
            },
            Some(Modal::Override { text, window, .. }) => self.typed(key.code, text, window),
        }
    }

    /// Takes in the mouse: a click selects the account under it, the wheel the next one.
    pub fn mouse(&mut self, mouse: MouseEvent) {
        if self.modal.is_some() {
            return;
        }
        match mouse.kind {
            MouseEventKind::ScrollDown => drop(self.plain(KeyCode::Down)),
            MouseEventKind::ScrollUp => drop(self.plain(KeyCode::Up)),
            MouseEventKind::Down(MouseButton::Left) => {
                let place = Position::new(mouse.column, mouse.row);
                let found =
                    self.drawn.borrow().iter().find(|(area, _)| area.contains(place)).map(|(_, number)| *number);
                self.selected = found.unwrap_or(self.selected);
            }
            _ => {}
        }
    }

    fn plain(&mut self, key: KeyCode) -> Option<Action> {
        let count = self.view_model.status.providers.len().max(1);
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Action::Quit),
            KeyCode::Char('j') | KeyCode::Down | KeyCode::Tab => self.selected = (self.selected + 1) % count,
            KeyCode::Char('k') | KeyCode::Up | KeyCode::BackTab => self.selected = (self.selected + count - 1) % count,
            KeyCode::Char('?') => self.modal = Some(Modal::Help),
            KeyCode::Char('r' | 'R' | 'p' | 'u') if self.view_model.past => {
                self.message = Some("this is the past: it can be looked at only".to_owned());
            }
            KeyCode::Char('r' | 'R') => match self.usage() {
                Some(usage) if !usage.metered => {
                    self.message = Some(format!("{} has no API quota: there is nothing to override", usage.provider));
                }
                Some(_) if key == KeyCode::Char('R') => self.modal = Some(Modal::Reset),
                Some(_) => {
                    let window = WindowKind::Session;
                    self.modal = Some(Modal::Override { text: String::new(), window, invalid: false });
                }
                None => {}
            },
            KeyCode::Char('p') => self.modal = Some(Modal::Pause),
            KeyCode::Char('u') => return Some(Action::Resume),
            _ => {}
        }
        None
    }

    fn typed(&mut self, key: KeyCode, mut text: String, mut window: WindowKind) -> Option<Action> {
        let mut invalid = false;
        match key {
            KeyCode::Esc => return None,
            KeyCode::Enter => match modal_input(&text) {
                KeyEntry::Cancelled => return None,
                KeyEntry::Used(used) => return self.override_to(window, used),
                KeyEntry::Invalid => invalid = true,
            },
            KeyCode::Tab | KeyCode::BackTab => {
                window = match window {
                    WindowKind::Session => WindowKind::Weekly,
                    WindowKind::Weekly => WindowKind::Session,
                };
            }
            KeyCode::Backspace => {
                text.pop();
            }
            // No valid number is longer, and the dialog keeps its width.
            KeyCode::Char(char) if text.chars().count() < 8 && !char.is_control() => text.push(char),
            _ => {}
        }
        self.modal = Some(Modal::Override { text, window, invalid });
        None
    }

    fn override_to(&self, window: WindowKind, used: Percent) -> Option<Action> {
        let usage = self.usage()?;
        let (provider, account) = (usage.provider.clone(), usage.account.clone());
        Some(Action::Override { provider, account, window, used })
    }
}
