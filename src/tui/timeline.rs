//! Which provider was worked with when: a strip of the last days, from records and switches.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::{HOUR_USE, ViewModel};
use super::text::{cut, put, rule};
use super::theme::Theme;
use crate::model::time::{DAY, Timestamp};
use crate::present::output::EscapedText;

/// Number of lines of this panel.
pub(super) const WANTED: u16 = 4;

/// Returns one letter per name: the first one that no earlier name uses.
pub(super) fn letters(names: &[String]) -> Vec<char> {
    let mut used = Vec::new();
    for name in names {
        let own = name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_uppercase());
        let free = own.chain('A'..='Z').chain('0'..='9').find(|char| !used.contains(char));
        used.push(free.unwrap_or('?'));
    }
    used
}

/// Who is shown in a cell of the strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// The provider with the most recorded tokens.
    Worked(usize),
    /// Nothing is recorded, and work was last switched to this provider.
    Switched(usize),
    /// Nothing is known.
    Nobody,
}

/// Who worked in each of `cells` stretches of time.
fn strip(view_model: &ViewModel, cells: usize) -> Vec<Cell> {
    let Some(first) = view_model.days.first() else { return Vec::new() };
    let (from, to) = (view_model.zone.start_of_day(first.date).millis(), view_model.now.millis());
    let border = |cell: usize| {
        // The last cell includes this moment.
        let part = i128::from(to + 1 - from) * cell as i128 / cells.max(1) as i128;
        from + i64::try_from(part).unwrap_or(0)
    };
    let switched = switched(view_model, cells);
    let cell = |number: usize| {
        let (start, end) = (border(number), border(number + 1));
        // Of an hour that is longer than a cell, each of its cells shows the whole.
        let within = view_model.hours.iter().filter(|hour| {
            let begins = hour.from.millis();
            begins < end && begins + HOUR_USE > start && (begins >= start || end - start < HOUR_USE)
        });
        let mut sums = vec![0_u128; view_model.names.len()];
        for hour in within {
            sums.iter_mut().zip(&hour.tokens).for_each(|(sum, tokens)| *sum += tokens);
        }
        let most = sums
            .iter()
            .enumerate()
            .filter(|(_, sum)| **sum > 0)
            .max_by_key(|(number, sum)| (**sum, usize::MAX - number));
        match (most, switched.get(number).copied().flatten()) {
            (Some((worked, _)), _) => Cell::Worked(worked),
            (None, Some(last)) => Cell::Switched(last),
            (None, None) => Cell::Nobody,
        }
    };
    (0..cells).map(cell).collect()
}

/// The provider that work was last switched to, at the end of each of `cells` stretches of time, by number.
fn switched(view_model: &ViewModel, cells: usize) -> Vec<Option<usize>> {
    let Some(first) = view_model.days.first() else { return Vec::new() };
    let (from, to) = (view_model.zone.start_of_day(first.date).millis(), view_model.now.millis());
    let timeline = &view_model.status.timeline;
    let end = |cell: usize| {
        let part = i128::from(to - from) * (cell as i128 + 1) / cells.max(1) as i128;
        Timestamp::from_millis(from + i64::try_from(part).unwrap_or(0))
    };
    let at = |moment: Timestamp| -> Option<usize> {
        let done = timeline.partition_point(|switch| switch.at <= moment);
        let name = match (done.checked_sub(1), timeline.first()) {
            (Some(last), _) => timeline.get(last).map(|switch| switch.switch.to.as_str()),
            (None, Some(first)) => first.switch.from.as_ref().map(crate::ProviderId::as_str),
            // Without a switch the active provider is unknown.
            (None, None) => None,
        };
        name.map(|name| view_model.number(name))
    };
    (0..cells).map(|cell| at(end(cell))).collect()
}

pub(super) fn draw(view_model: &ViewModel, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let area = rule("who worked", theme, area, buffer);
    let width = usize::from(area.width);
    let lines = [segments(view_model, width, theme), axis(view_model, width, theme), legend(view_model, width, theme)];
    // If there are two lines, show the legend rather than the axis.
    let shown = if area.height == 2 { [0, 2, 1] } else { [0, 1, 2] };
    for (index, row) in shown.into_iter().zip(area.rows()) {
        if let Some(line) = lines.get(index) {
            put(line, row, buffer);
        }
    }
}

/// `A━━━━──····O━━━A━━━`
fn segments(view_model: &ViewModel, width: usize, theme: Theme) -> Line<'static> {
    let letters = letters(&view_model.names);
    let mut line = Line::default();
    for run in strip(view_model, width).chunk_by(|one, next| one == next) {
        line.push_span(match run.first() {
            Some(Cell::Worked(number)) => {
                let letter = letters.get(*number).copied().unwrap_or('?');
                Span::styled(format!("{letter}{}", "━".repeat(run.len() - 1)), theme.provider(*number))
            }
            Some(Cell::Switched(number)) => Span::styled("─".repeat(run.len()), theme.provider(*number)),
            Some(Cell::Nobody) | None => Span::styled("·".repeat(run.len()), theme.dim()),
        });
    }
    line
}

/// Formats the days below the strip, as many as fit.
fn axis(view_model: &ViewModel, width: usize, theme: Theme) -> Line<'static> {
    let mut text = String::new();
    let Some(first) = view_model.days.first() else { return Line::default() };
    let from = view_model.zone.start_of_day(first.date).millis();
    let whole = i128::from((view_model.now.millis() - from).max(1));
    for day in &view_model.days {
        let since = i128::from(view_model.zone.start_of_day(day.date).millis() - from);
        let column = usize::try_from(since * width as i128 / whole).unwrap_or(0);
        let free = text.is_empty() || text.len() < column;
        if free && column + 5 <= width {
            text = format!("{text:<column$}{}", day.date.format("%m-%d"));
        }
    }
    Line::styled(text, theme.dim())
}

fn legend(view_model: &ViewModel, width: usize, theme: Theme) -> Line<'static> {
    let mut line = Line::default();
    for ((number, name), letter) in view_model.names.iter().enumerate().zip(letters(&view_model.names)) {
        line.push_span(Span::styled(letter.to_string(), theme.provider(number)));
        line.push_span(Span::raw(format!(" {name}  ")));
    }
    let Some(last) = view_model.status.timeline.last() else {
        line.push_span(Span::styled("no switch yet", theme.dim()));
        return line;
    };
    let recent = view_model.now.millis() - last.at.millis() < DAY;
    let time = view_model.zone.local(last.at).format(if recent { "%H:%M" } else { "%m-%d %H:%M" });
    let why = last.switch.reason.as_ref().map(|reason| format!(": {}", EscapedText(reason))).unwrap_or_default();
    let to = &last.switch.to;
    let text = match view_model.status.switches {
        // The first provider replaces none.
        0 => format!("no switch, {to} since {time}{why}"),
        1 => format!("1 switch, the last {time} to {to}{why}"),
        switches => format!("{switches} switches, the last {time} to {to}{why}"),
    };
    let room = width.saturating_sub(line.width());
    line.push_span(Span::styled(cut(&text, room), theme.dim()));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_distinguished_by_letters() {
        let names = ["ollama", "openai", "ollama-cloud", "oo"].map(str::to_owned);
        assert_eq!(letters(&names), ['O', 'P', 'L', 'A']);
        assert_eq!(letters(&vec!["a".to_owned(); 40]).iter().filter(|letter| **letter == '?').count(), 4);
    }
}
