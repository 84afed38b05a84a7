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

/// Between two providers of the legend.
const GAP: &str = "  ";

/// Returns the glyph of a provider.
fn glyph(number: usize) -> &'static str {
    GLYPHS.get(number % GLYPHS.len()).copied().unwrap_or("█")
}

/// Returns the number of lines of this panel at a width.
pub(super) fn wanted(view_model: &ViewModel, theme: Theme, width: u16) -> u16 {
    let legend = legend(view_model, &view_model.days, theme, width.into());
    u16::try_from(view_model.days.len() + legend.len() + 1).unwrap_or(u16::MAX)
}

pub(super) fn draw(view_model: &ViewModel, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let area = rule("tokens per day", theme, area, buffer);
    let legend = legend(view_model, &view_model.days, theme, area.width.into());
    let rows = usize::from(area.height).saturating_sub(legend.len());
    let days = view_model.days.get(view_model.days.len().saturating_sub(rows)..).unwrap_or_default();
    let most = days.iter().map(DayUse::total).max().unwrap_or(0);
    let money = usize::from(area.width) >= WITH_MONEY && days.iter().any(|day| day.usd.is_some());
    let cells = usize::from(area.width).saturating_sub(if money { SIDES + MONEY } else { SIDES });
    let mut lines: Vec<Line<'static>> = days.iter().map(|day| bar(day, most, (cells, money), theme)).collect();
    lines.extend(legend);
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

/// Formats the providers of these days with their sums, in as many lines as they need.
fn legend(view_model: &ViewModel, days: &[DayUse], theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (number, name) in view_model.names.iter().enumerate() {
        let sum = days.iter().filter_map(|day| day.tokens.get(number)).sum::<u128>();
        if sum == 0 {
            continue;
        }
        let entry =
            [Span::styled(glyph(number), theme.provider(number)), Span::raw(format!(" {name} {}", scaled(sum)))];
        let needed = entry.iter().map(Span::width).sum::<usize>() + GAP.len();
        match lines.last_mut() {
            Some(line) if line.width() + needed <= width => line.push_span(Span::raw(GAP)),
            _ => lines.push(Line::default()),
        }
        if let Some(line) = lines.last_mut() {
            line.spans.extend(entry);
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled("no tokens in these days", theme.dim()));
    }
    lines
}
