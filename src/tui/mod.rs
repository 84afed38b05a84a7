//! `usage-ledger watch`: the status as a live dashboard.
//!
//! It shows the result of [`Snapshot::status`] and decides nothing. Each action of a user is an event.
//!
//! ```
//! use usage_ledger::{Ledger, TokenRecord, Zone, tui};
//! # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
//! let ledger = Ledger::in_memory()?;
//! ledger.record(TokenRecord::new("ollama", "qwen3").input(9), now)?;
//! let screen = tui::render(&ledger.snapshot()?, now, Zone::UTC, (80, 24))?;
//! assert!(screen.contains("Session    no API quota"));
//! # Ok::<(), usage_ledger::Error>(())
//! ```

mod account;
mod days;
mod draw;
mod modal;
mod model;
mod run;
mod tail;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod timeline;
mod windows;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use crate::present::bars::bar_cells;
pub use crate::present::tint::{Tint, tint};
pub use model::{KeyEntry, modal_input};

pub(crate) use model::{Action, ViewModel};
pub(crate) use run::{Backend, run};
pub(crate) use theme::Theme;

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::time::{Timestamp, Zone};
use model::ScreenState;

/// Default number of days.
const DAYS: u16 = 7;

/// Renders the dashboard as text of this width and height.
///
/// # Errors
/// The store's own.
///
/// ```
/// use usage_ledger::{Ledger, Zone, tui};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let screen = tui::render(&Ledger::in_memory()?.snapshot()?, now, Zone::UTC, (80, 24))?;
/// assert!(screen.contains("nothing recorded yet"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn render(
    snapshot: &Snapshot<'_>,
    now: impl Into<Timestamp>,
    zone: Zone,
    (width, height): (u16, u16),
) -> Result<String> {
    let state = ScreenState::new(ViewModel::read(snapshot, now.into(), zone, DAYS)?);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw::draw(&state, Theme::plain(), area, &mut buffer);
    Ok(lines_of(&buffer))
}

/// Renders one provider as text of this width; empty if the ledger does not know it.
///
/// # Errors
/// The store's own.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, Zone, event::LimitSet, tui};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(250), now)?;
/// let panel = tui::panel(&ledger.snapshot()?, "openai", now, Zone::UTC, 70)?;
/// assert!(panel.contains("Session   ████████░░░░░░░░░░░░░░░░░░░░░░    25%  reset in 5h 0m"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn panel(
    snapshot: &Snapshot<'_>,
    provider: &str,
    now: impl Into<Timestamp>,
    zone: Zone,
    width: u16,
) -> Result<String> {
    let provider = crate::ProviderId::resolve(provider)?;
    let mut state = ScreenState::new(ViewModel::read(snapshot, now.into(), zone, DAYS)?);
    let index = state.view_model.status.providers.iter().position(|one| one.usage.provider == provider.as_str());
    let Some(index) = index else { return Ok(String::new()) };
    state.selected = index;
    let lines = windows::panel(&state, usize::from(width), Theme::plain());
    let mut text: Vec<String> = lines.into_iter().map(|line| line.to_string()).collect();
    text.push(String::new());
    Ok(text.join("\n"))
}

/// Converts a buffer to text without trailing white space.
pub(crate) fn lines_of(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.area.rows() {
        let mut line = String::new();
        let mut covered = 0;
        for place in row.columns() {
            let symbol = buffer.cell(place.as_position()).map_or(" ", ratatui::buffer::Cell::symbol);
            // A wide character covers the next cell.
            if covered > 0 {
                covered -= 1;
            } else {
                covered = ratatui::text::Span::raw(symbol).width().saturating_sub(1);
                line.push_str(symbol);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
