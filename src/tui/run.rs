//! The loop: draw, wait for a key or for news, and again.

use std::io;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::draw::draw;
use super::model::{Action, ScreenState, ViewModel};
use super::theme::Theme;

/// How often the ledger is asked whether anything was appended.
const TICK: Duration = Duration::from_millis(250);

/// Where the dashboard looks and writes. What goes wrong there is told in words, and shown.
pub(crate) trait Backend {
    /// Everything that is shown, now.
    fn look(&mut self) -> Result<ViewModel, String>;
    /// Whether anything was appended since this was looked at.
    fn is_news(&mut self, view_model: &ViewModel) -> Result<bool, String>;
    /// Does what a person wants, and says what came of it.
    fn act(&mut self, action: Action) -> Result<String, String>;
}

/// Shows the dashboard until a person leaves it; `interval` is how often the time moves on when nothing else does.
///
/// The terminal is put back as it was, also after a panic.
pub(crate) fn run(
    backend: &mut dyn Backend,
    view_model: ViewModel,
    theme: Theme,
    interval: Duration,
) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut state = ScreenState::new(view_model);
    let done = watch(backend, &mut state, interval, &mut |state| {
        let drawn = terminal.draw(|frame| draw(state, theme, frame.area(), frame.buffer_mut()));
        drawn.map(|_| ())
    });
    let restored = ratatui::try_restore();
    done?;
    restored
}

fn watch(
    backend: &mut dyn Backend,
    state: &mut ScreenState,
    interval: Duration,
    show: &mut dyn FnMut(&ScreenState) -> io::Result<()>,
) -> io::Result<()> {
    let mut looked = Instant::now();
    loop {
        show(state)?;
        let mut action = None;
        if event::poll(TICK.min(interval))? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => action = state.key(key),
                _ => {}
            }
        }
        let acted = action.is_some();
        match action {
            Some(Action::Quit) => return Ok(()),
            Some(action) => state.message = Some(backend.act(action).unwrap_or_else(|error| error)),
            None => {}
        }
        // The past stays what it was.
        let live = !state.view_model.past;
        if acted || live && (looked.elapsed() >= interval || backend.is_news(&state.view_model) != Ok(false)) {
            looked = Instant::now();
            match backend.look() {
                Ok(view_model) => state.show(view_model),
                // What was seen last stays, with the reason why it does not move on.
                Err(error) => state.message = Some(error),
            }
        }
    }
}
