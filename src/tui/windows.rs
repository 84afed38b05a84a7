//! The panel of provider accounts, with as much detail as fits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::account::{AccountBlock, RowDetail};
use super::model::ScreenState;
use super::text::{put, rule};
use super::theme::Theme;

/// Chooses the level of detail: full, reduced for accounts that are not selected, or reduced for all.
fn fit(state: &ScreenState, width: usize, height: usize, theme: Theme) -> Vec<Vec<Line<'static>>> {
    let count = state.view_model.status.providers.len();
    let blocks = |others: RowDetail| -> Vec<Vec<Line<'static>>> {
        let block = |number| {
            let block = AccountBlock::of(state, number, width, theme)?;
            Some(block.lines(if number == state.selected { RowDetail::All } else { others }))
        };
        (0..count).filter_map(block).collect()
    };
    for others in [RowDetail::All, RowDetail::Bars] {
        let panels = blocks(others);
        if panels.iter().map(Vec::len).sum::<usize>() <= height {
            return panels;
        }
    }
    let mut panels = blocks(RowDetail::Line);
    if let Some((own, block)) =
        panels.get_mut(state.selected).zip(AccountBlock::of(state, state.selected, width, theme))
    {
        *own = block.trimmed((height + 1).saturating_sub(count));
    }
    panels
}

/// Returns the number of lines of the panel, with its title and blank lines between accounts where there is room.
pub(super) fn filled(state: &ScreenState, width: u16, theme: Theme, height: u16) -> u16 {
    let room = usize::from(height.saturating_sub(1));
    let panels = fit(state, usize::from(width), room, theme);
    let lines: usize = panels.iter().map(Vec::len).sum();
    let spaced = lines + panels.len().saturating_sub(1);
    u16::try_from(if spaced <= room { spaced } else { lines }).unwrap_or(u16::MAX).saturating_add(1).min(height)
}

pub(super) fn draw(state: &ScreenState, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let area = rule("providers", theme, area, buffer);
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut blocks = fit(state, width, height, theme);
    // Keep the selected account visible.
    let before: usize = blocks.iter().take(state.selected).map(Vec::len).sum();
    let own = blocks.get(state.selected).map_or(0, Vec::len);
    let skip = (before + own).saturating_sub(height).min(before);
    if blocks.iter().map(|block| block.len() + 1).sum::<usize>() <= height + 1 {
        blocks.iter_mut().skip(1).for_each(|block| block.insert(0, Line::default()));
    }
    let lines =
        blocks.into_iter().enumerate().flat_map(|(number, block)| block.into_iter().map(move |line| (number, line)));
    let mut drawn = Vec::new();
    for ((number, line), row) in lines.skip(skip).zip(area.rows()) {
        put(&line, row, buffer);
        drawn.push((row, number));
    }
    state.drawn.replace(drawn);
}
