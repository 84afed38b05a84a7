//! Dialogs in front of the dashboard: a question, or the list of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::model::{Modal, ScreenState};
use super::text::put;
use super::theme::Theme;
use crate::present::output::EscapedText;
use crate::present::tint::Tint;

/// The keys, for the help.
const KEYS: [(&str, &str); 8] = [
    ("↑ ↓ j k Tab", "select a provider account"),
    ("click, wheel", "the same; Shift selects text"),
    ("r", "say how much of a window is used"),
    ("R", "say that the session was reset"),
    ("p", "pause work"),
    ("u", "resume work"),
    ("q Esc", "leave"),
    ("?", "this help"),
];

/// Returns the title and lines of a dialog.
fn lines(modal: &Modal, state: &ScreenState, theme: Theme) -> (&'static str, Vec<Line<'static>>) {
    let whose = state.usage().map(|usage| {
        let account = usage.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        format!("{}{account}", usage.provider)
    });
    let whose = whose.unwrap_or_default();
    match modal {
        Modal::Help => {
            let key = |(key, what): (&'static str, &'static str)| {
                Line::from(vec![Span::styled(format!("{key:<13}"), theme.good()), Span::raw(what)])
            };
            let mut lines: Vec<Line<'static>> = KEYS.map(key).into();
            lines.push(Line::styled("All but looking is an event: see `log`.", theme.dim()));
            ("keys", lines)
        }
        Modal::Reset => (
            "reset quota",
            vec![
                Line::raw(format!("{whose}: was the session window reset?")),
                Line::raw("This records 0 % used, with you as author."),
                Line::styled("y = yes   n = no", theme.good()),
            ],
        ),
        Modal::Pause => (
            "pause",
            vec![
                Line::raw("Pause all work until it is resumed?"),
                Line::raw("Every gate waits meanwhile."),
                Line::styled("y = yes   n = no", theme.good()),
            ],
        ),
        Modal::Override { text, window, invalid } => {
            let hint = if *invalid {
                Line::styled("invalid: a whole number from 0 to 100", theme.bad())
            } else {
                Line::styled("Enter = record   Esc = cancel   Tab = window", theme.dim())
            };
            let percent = |window: Option<crate::model::event::Percent>| match window {
                Some(percent) => format!("{percent}%"),
                None => "unknown".to_owned(),
            };
            let now = state.usage().map(|usage| {
                format!("session {}, weekly {}", percent(usage.session.used()), percent(usage.weekly.used()))
            });
            (
                "reset / override quota",
                vec![
                    Line::raw(format!("{whose}: {}", now.unwrap_or_default())),
                    Line::from(vec![
                        Span::raw(format!("% of the {} window used: ", window.name())),
                        Span::styled(format!("{}▏", EscapedText(text)), theme.bold()),
                    ]),
                    hint,
                ],
            )
        }
    }
}

pub(super) fn draw(state: &ScreenState, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(modal) = &state.modal else { return };
    let (title, lines) = lines(modal, state, theme);
    let wide = lines.iter().map(Line::width).max().unwrap_or(0);
    let width = u16::try_from(wide + 4).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let place = Rect { x, y, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().title(format!(" {title} ")).border_style(theme.tint(Tint::Amber));
    let inner = block.inner(place);
    // Omit the frame if there is only room for the text.
    let (inner, margin) = if inner.height < 2 { (place, 0) } else { (inner, 1) };
    if margin > 0 {
        block.render(place, buffer);
    }
    for (line, row) in lines.into_iter().zip(inner.rows()) {
        let margin = margin.min(row.width);
        put(&line, Rect { x: row.x + margin, width: row.width - margin, ..row }, buffer);
    }
}
