//! Quota windows as plain-text bars.

use crate::budget::MoneyWindow;
use crate::model::event::Percent;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::{duration, short};
use crate::present::decision_text;
use crate::present::output::{EscapedText, and_cost, counted, grouped, used};
use crate::usage::{Basis, Pool, WindowUsage};

/// Cells of a bar.
const CELLS: usize = 20;

/// Formats `[####----------------]`. A cell is filled only if the percentage reaches its end.
fn bar(percent: Percent) -> String {
    let is_filled = |cell: &usize| u128::from(percent.hundredths()) * CELLS as u128 >= 10_000 * *cell as u128;
    let filled = (1..=CELLS).take_while(is_filled).count();
    format!("[{}{}]", "#".repeat(filled), "-".repeat(CELLS - filled))
}

/// Returns the number of filled cells, rounded half to even.
pub fn bar_cells(percent: Percent, width: usize) -> usize {
    const WHOLE: u128 = 100 * 100;
    let parts = u128::from(percent.hundredths()).min(WHOLE) * width as u128;
    let (cells, rest) = (parts / WHOLE, parts % WHOLE);
    let up = 2 * rest > WHOLE || (2 * rest == WHOLE && cells % 2 == 1);
    usize::try_from(cells).unwrap_or(width) + usize::from(up)
}

/// Formats a separate quota pool like the first line of a window.
pub(crate) fn pool(pool: &Pool, now: Timestamp, zone: Zone) -> String {
    let percent =
        pool.percent.map_or_else(|| "unknown".to_owned(), |percent| format!("{} {percent:>4} %", bar(percent)));
    let reset = pool.resets_at.map(|at| format!("  resets in {} ({})", duration(now, at), short(at, zone)));
    let old = if pool.stale { " (old)" } else { "" };
    let (name, percent) = (decision_text::pool(pool), format!("{percent}{}{old}", reset.unwrap_or_default()));
    // A long name gets its own line.
    if name.chars().count() < 9 { format!("  {name:<9}{percent}") } else { format!("  {name}\n  {:<9}{percent}", "") }
}

/// A money budget, as a window's line: `day      [####----] 20 %  $4.00 of $20.00, resets in 3h`.
pub(crate) fn money(money: &MoneyWindow, now: Timestamp, zone: Zone) -> String {
    let reset = format!("resets in {} ({})", duration(now, money.resets_at), short(money.resets_at, zone));
    let line = format!("{} {:>4} %  {reset}", bar(money.percent), money.percent);
    let project = money.project.as_ref().map(|project| format!(" of {}", EscapedText(project))).unwrap_or_default();
    format!("  {:<9}{line}\n  {:<9}{}{project}", money.period.name(), "", decision_text::spent(money))
}

/// Formats when a window ends, and the time until then.
fn reset(window: &WindowUsage, now: Timestamp, zone: Zone) -> String {
    match window.resets_at {
        None => "not open".to_owned(),
        Some(at) => format!("resets in {} ({})", duration(now, at), short(at, zone)),
    }
}

/// Formats a window: its percentage, and the numbers behind it.
pub(crate) fn lines(name: &str, window: &WindowUsage, now: Timestamp, zone: Zone) -> [String; 2] {
    let reset = reset(window, now, zone);
    let full = match (window.used(), window.limit) {
        _ if window.basis == Basis::Unmetered => "no API quota".to_owned(),
        (Some(percent), _) => format!("{} {percent:>4} %  {reset}", bar(percent)),
        (None, None) => format!("no limit known, {reset}"),
        (None, Some(_)) => reset,
    };
    [format!("  {name:<9}{full}"), format!("  {:<9}{}", "", made_of(window))]
}

/// Formats the numbers behind a percentage: `401,000 of 500,000 (estimated), 401,000 tokens in 2 requests`.
pub(crate) fn made_of(window: &WindowUsage) -> String {
    let usage = &window.usage;
    match window.limit {
        Some(limit) if window.basis != Basis::Unmetered => format!(
            "{} of {} ({}), {} in {}{}",
            grouped(window.weighted),
            grouped(limit),
            window.basis.name(),
            counted(usage.tokens.total(), "token"),
            counted(usage.requests, "request"),
            and_cost(usage)
        ),
        _ if window.basis == Basis::Observed => format!("{} (observed)", used(usage)),
        _ => used(usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_bar_is_the_used_percentage() {
        let cells = |hundredths| bar(Percent::from_hundredths(hundredths)).matches('#').count();
        assert_eq!([0, 499, 500, 8_000, 9_999, 10_000, 25_000].map(cells), [0, 0, 1, 16, 19, 20, 20]);
        assert_eq!(bar(Percent::from_hundredths(8_000)).len(), 22);
    }
}
