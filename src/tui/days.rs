//! Tokens per day and provider.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::{DayUse, ViewModel};
use super::text::{put, rule};
use super::theme::Theme;
use crate::model::humanize::number::scaled;
use crate::present::money::dollars;

/// Distinguishes providers without colours.
const GLYPHS: [&str; 4] = ["█", "▓", "▒", "░"];
/// Columns of the date and of the sum.
const SIDES: usize = 7 + 8;
/// Columns of a day's cost, and the width from which on there is room for it.
const MONEY: usize = 11;
const WITH_MONEY: usize = 44;

/// Returns the glyph of a provider.
fn glyph(number: usize) -> &'static str {
    GLYPHS.get(number % GLYPHS.len()).copied().unwrap_or("█")
}

/// Returns the number of lines of this panel.
pub(super) fn wanted(view_model: &ViewModel) -> u16 {
    u16::try_from(view_model.days.len() + 2).unwrap_or(u16::MAX)
}

pub(super) fn draw(view_model: &ViewModel, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let area = rule("tokens per day", theme, area, buffer);
    let rows = usize::from(area.height).saturating_sub(1);
    let days = view_model.days.get(view_model.days.len().saturating_sub(rows)..).unwrap_or_default();
    let most = days.iter().map(DayUse::total).max().unwrap_or(0);
    let money = usize::from(area.width) >= WITH_MONEY && days.iter().any(|day| day.usd.is_some());
    let cells = usize::from(area.width).saturating_sub(if money { SIDES + MONEY } else { SIDES });
    let mut lines: Vec<Line<'static>> = days.iter().map(|day| bar(day, most, (cells, money), theme)).collect();
    lines.push(legend(view_model, days, theme));
    for (line, row) in lines.into_iter().zip(area.rows()) {
        put(&line, row, buffer);
    }
}

/// Returns how many of `cells` represent `part` of `most`, rounded down.
fn filled_cells(part: u128, most: u128, cells: usize) -> usize {
    usize::try_from(part.saturating_mul(cells as u128) / most.max(1)).unwrap_or(cells)
}

fn bar(day: &DayUse, most: u128, (cells, money): (usize, bool), theme: Theme) -> Line<'static> {
    let mut line = Line::from(Span::styled(format!("{}  ", day.date.format("%m-%d")), theme.dim()));
    let (mut sum, mut filled) = (0_u128, 0);
    for (number, tokens) in day.tokens.iter().enumerate() {
        sum += *tokens;
        // Round cumulative sums and not parts, so that the whole bar matches the day's sum.
        let end = filled_cells(sum, most, cells);
        line.push_span(Span::styled(glyph(number).repeat(end - filled), theme.provider(number)));
        filled = end;
    }
    line.push_span(Span::raw(" ".repeat(cells - filled.min(cells))));
    line.push_span(match day.total() {
        0 => Span::styled(format!("{:>8}", "-"), theme.dim()),
        total => Span::raw(format!("{:>8}", scaled(total))),
    });
    if money {
        let usd = day.usd.map(dollars).unwrap_or_default();
        line.push_span(Span::styled(format!("{usd:>MONEY$}"), theme.dim()));
    }
    line
}

/// Formats the providers of these days with their sums.
fn legend(view_model: &ViewModel, days: &[DayUse], theme: Theme) -> Line<'static> {
    let mut line = Line::default();
    for (number, name) in view_model.names.iter().enumerate() {
        let sum = days.iter().filter_map(|day| day.tokens.get(number)).sum::<u128>();
        if sum > 0 {
            line.push_span(Span::styled(glyph(number), theme.provider(number)));
            line.push_span(Span::raw(format!(" {name} {}  ", scaled(sum))));
        }
    }
    if line.spans.is_empty() {
        return Line::styled("no tokens in these days", theme.dim());
    }
    line
}
