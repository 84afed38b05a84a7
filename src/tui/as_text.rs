//! The dashboard as text, for tests.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::account::{AccountBlock, RowDetail};
use super::draw;
use super::model::{ScreenState, ViewModel};
use super::theme::Theme;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};

/// Number of days on the time line.
const DAYS: u16 = 7;

/// Renders the dashboard as text of this width and height.
///
/// # Errors
/// The store's own.
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
pub fn panel(
    snapshot: &Snapshot<'_>,
    provider: &str,
    now: impl Into<Timestamp>,
    zone: Zone,
    width: u16,
) -> Result<String> {
    let provider = ProviderId::resolve(provider)?;
    let mut state = ScreenState::new(ViewModel::read(snapshot, now.into(), zone, DAYS)?);
    let index = state.view_model.status.providers.iter().position(|one| one.usage.provider == provider.as_str());
    let Some(index) = index else { return Ok(String::new()) };
    state.selected = index;
    let block = AccountBlock::of(&state, index, usize::from(width), Theme::plain());
    let lines = block.map(|block| block.lines(RowDetail::All)).unwrap_or_default();
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
