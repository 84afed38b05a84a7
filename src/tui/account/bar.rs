//! A window as a bar.

use ratatui::text::{Line, Span};

use super::{AccountBlock, NAMES};
use crate::model::event::Percent;
use crate::model::time::Timestamp;
use crate::present::bars::bar_cells;
use crate::present::clock::duration;
use crate::present::output::counted;
use crate::present::tint::tint;
use crate::tui::text::cut;
use crate::usage::{Forecast, WindowUsage};

/// Maximum cells of a bar.
const CELLS: usize = 30;
/// Columns of the percentage, and of the long and short text of the reset.
const PERCENT: usize = 7;
const RESET: usize = 18;
const SHORT_RESET: usize = 9;

impl AccountBlock<'_> {
    pub(super) fn window(&self, name: &str, window: &WindowUsage) -> Line<'static> {
        if window.used().is_some() {
            let forecast = window.forecast.filter(|one| !one.idle);
            return self.marked(name, (window.used(), forecast), window.resets_at, "");
        }
        let known = match window.limit {
            Some(limit) => format!("limit {}", counted(limit, "token")),
            None => "no limit known".to_owned(),
        };
        let reset = self.reset(window.resets_at, RESET);
        Line::from(vec![
            Span::raw(format!("{name:<NAMES$}{known}")),
            Span::styled(format!("  {reset}"), self.theme.dim()),
        ])
    }

    fn reset(&self, at: Option<Timestamp>, room: usize) -> String {
        match at {
            None => "not open".to_owned(),
            Some(at) if room >= RESET => format!("reset in {}", duration(self.view_model.now, at)),
            Some(at) => duration(self.view_model.now, at),
        }
    }

    /// A bar without a forecast.
    pub(super) fn bar(
        &self,
        name: &str,
        percent: Option<Percent>,
        reset: Option<Timestamp>,
        note: &str,
    ) -> Line<'static> {
        self.marked(name, (percent, None), reset, note)
    }

    /// `Session   ████████░░░░░░░┃░░░░░░░░░░░░░░    25%  reset in 3h 0m`; a long name shortens the rest. The mark is where
    /// the use will be when the window resets, at the end of the bar if it is used up before.
    fn marked(
        &self,
        name: &str,
        (percent, forecast): (Option<Percent>, Option<Forecast>),
        reset: Option<Timestamp>,
        note: &str,
    ) -> Line<'static> {
        let name = cut(name, (self.width / 2).max(NAMES) - 1);
        let name = format!("{name}{}", " ".repeat(NAMES.saturating_sub(Span::raw(name.as_str()).width()).max(1)));
        let left = self.width.saturating_sub(Span::raw(name.as_str()).width() + PERCENT);
        let (wide, room) = match left {
            _ if left >= CELLS + RESET => (CELLS, RESET),
            _ if left >= 8 + SHORT_RESET => ((left - SHORT_RESET).min(CELLS), SHORT_RESET),
            _ => (left.min(CELLS), 0),
        };
        let Some(percent) = percent else {
            return Line::from(format!("{name}unknown  {}{note}", self.reset(reset, room)));
        };
        let (style, filled) = (self.theme.tint(tint(percent)), bar_cells(percent, wide));
        let mut line = Line::from(vec![Span::raw(name), Span::styled("█".repeat(filled), style)]);
        let end =
            forecast.and_then(|one| one.percent_at_reset).map(|end| bar_cells(end, wide).min(wide.saturating_sub(1)));
        match end.and_then(|end| end.checked_sub(filled)).filter(|before| filled + before < wide) {
            Some(before) => {
                let risk = forecast.is_some_and(|one| one.before_reset == Some(true));
                line.push_span(Span::styled("░".repeat(before), self.theme.dim()));
                line.push_span(Span::styled("┃", if risk { self.theme.bad() } else { self.theme.bold() }));
                line.push_span(Span::styled("░".repeat(wide - filled - before - 1), self.theme.dim()));
            }
            None => line.push_span(Span::styled("░".repeat(wide - filled), self.theme.dim())),
        }
        line.push_span(Span::styled(format!(" {percent:>5}%"), style));
        if room > 0 {
            line.push_span(Span::styled(format!("  {}{note}", self.reset(reset, room)), self.theme.dim()));
        }
        line
    }
}
