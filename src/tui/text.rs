//! Fits texts to columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::theme::Theme;

/// Truncates a text to `width` columns, with `…` at the end. Wide characters count as two.
pub(super) fn cut(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut room = width.saturating_sub(1);
    for char in text.chars() {
        let columns = Span::raw(char.to_string()).width();
        if columns > room {
            break;
        }
        room -= columns;
        short.push(char);
    }
    if width > 0 {
        short.push('…');
    }
    short
}

/// Draws a line, with a mark if it is truncated.
pub(super) fn put(line: &Line<'_>, row: Rect, buffer: &mut Buffer) {
    line.render(row, buffer);
    if line.width() > usize::from(row.width)
        && let Some(cell) = row.right().checked_sub(1).and_then(|last| buffer.cell_mut((last, row.y)))
    {
        cell.set_symbol("…");
    }
}

/// Draws a line with a title at the top of an area, and returns the rest of the area.
pub(super) fn rule(title: &str, theme: Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    let Some(first) = area.rows().next() else { return area };
    let title = format!("── {} ", cut(title, usize::from(area.width).saturating_sub(4)));
    let rest = usize::from(area.width).saturating_sub(Span::raw(title.as_str()).width());
    Line::styled(format!("{title}{}", "─".repeat(rest)), theme.dim()).render(first, buffer);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_columns() {
        assert_eq!(cut("anthropic", 9), "anthropic");
        assert_eq!(cut("anthropic", 5), "anth…");
        assert_eq!(cut("模型模型", 8), "模型模型");
        assert_eq!(cut("模型模型", 6), "模型…");
        assert_eq!(cut("x", 0), "");
    }
}
