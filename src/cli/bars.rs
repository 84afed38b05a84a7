//! Quota windows as plain-text bars.

use super::clock::{duration, short};
use super::output::{counted, grouped};
use crate::event::Percent;
use crate::time::{Timestamp, Zone};
use crate::usage::{Basis, WindowUsage};

/// Cells of a bar.
const CELLS: u32 = 30;

/// `[######------------------------]`, a cell begun being a cell filled only when it is full.
fn bar(percent: Percent) -> String {
    let filled = (u64::from(percent.hundredths()) * u64::from(CELLS) / 10_000).min(u64::from(CELLS));
    let filled = usize::try_from(filled).unwrap_or(0);
    let open = usize::try_from(CELLS).unwrap_or(0) - filled;
    format!("[{}{}]", "#".repeat(filled), "-".repeat(open))
}

/// When a window ends, and how long that is from now.
fn reset(window: &WindowUsage, now: Timestamp, zone: Zone) -> String {
    match window.resets_at {
        None => "not open".to_owned(),
        Some(at) => format!("resets in {} ({})", duration(now, at), short(at, zone)),
    }
}

/// What a window's percentage rests on, in a word that fits into a sentence.
const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Observed => "observed",
        Basis::ObservedAndDelta => "observed + local delta",
        Basis::Estimated => "estimated",
        Basis::Unmetered => "unmetered",
        Basis::Unknown => "unknown",
    }
}

/// The lines that show a window: how full it is, and what that is made of.
pub(super) fn lines(name: &str, window: &WindowUsage, now: Timestamp, zone: Zone) -> [String; 2] {
    let mut first = format!("  {name:<9}");
    match window.percent {
        _ if window.basis == Basis::Unmetered => first.push_str("no API quota"),
        Some(percent) => {
            first.push_str(&format!("{} {percent:>4} %  {}", bar(percent), reset(window, now, zone)));
        }
        None if window.limit.is_none() => first.push_str(&format!("no limit known, {}", reset(window, now, zone))),
        None => first.push_str(&reset(window, now, zone)),
    }
    let usage = &window.usage;
    let mut second = format!("  {:<9}", "");
    match window.limit {
        Some(limit) if window.basis != Basis::Unmetered => second.push_str(&format!(
            "{} of {} ({}), {} in {}",
            grouped(window.weighted),
            grouped(limit),
            basis(window.basis),
            counted(usage.tokens.total(), "token"),
            counted(usage.requests, "request")
        )),
        _ => second.push_str(&super::output::used(usage)),
    }
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_what_is_used() {
        let cells = |hundredths| bar(Percent::from_hundredths(hundredths)).matches('#').count();
        assert_eq!([0, 333, 334, 8_000, 9_999, 10_000, 25_000].map(cells), [0, 0, 1, 24, 29, 30, 30]);
        assert_eq!(bar(Percent::from_hundredths(8_000)).len(), 32);
    }
}
