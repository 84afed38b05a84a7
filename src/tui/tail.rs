//! The last events.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::model::ViewModel;
use super::text::{cut, rule};
use super::theme::Theme;

pub(super) fn draw(view_model: &ViewModel, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let area = rule("events", theme, area, buffer);
    if view_model.tail.is_empty() {
        Line::styled("none yet", theme.dim()).render(area, buffer);
        return;
    }
    let first = view_model.tail.len().saturating_sub(usize::from(area.height));
    let (width, today) = (usize::from(area.width), view_model.zone.day(view_model.now));
    for (line, row) in view_model.tail.iter().skip(first).zip(area.rows()) {
        let local = view_model.zone.local(line.at);
        // An event of another day shows its date in the same width.
        let time = if local.date() == today { local.format("%H:%M:%S") } else { local.format("%b %d  ") };
        let head = if width >= 60 {
            format!("{:>6}  {time}  {:<17}  ", line.position.get(), line.kind)
        } else {
            format!("{} ", local.format(if local.date() == today { "%H:%M" } else { "%m-%d" }))
        };
        let text = cut(&line.text, width.saturating_sub(head.chars().count()));
        Line::from(vec![Span::styled(head, theme.dim()), Span::raw(text)]).render(row, buffer);
    }
}
