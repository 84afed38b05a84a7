//! The wording of decisions, shared by the surfaces.

use crate::budget::MoneyWindow;
use crate::model::event::Position;
use crate::model::humanize::duration::window_length;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::{duration, short};
use crate::present::money::dollars;
use crate::present::output::{EscapedText, counted};
use crate::usage::{Basis, Exhausted, Forecast, Pause, Pool, ProviderSignal, WindowUsage};

/// `0.25%/min`; a slow rate by the hour: `2.40%/h`.
pub(crate) fn rate(forecast: &Forecast) -> String {
    let hourly = f64::from(forecast.percent_per_hour.hundredths()) / 100.0;
    // Below that, two decimals of a minute show fewer than two digits.
    if hourly > 0.0 && hourly < 6.0 { format!("{hourly:.2}%/h") } else { format!("{:.2}%/min", hourly / 60.0) }
}

/// The time of the day, with the date where that is not today's.
fn hour(at: Timestamp, now: Timestamp, zone: Zone) -> String {
    let today = zone.day(at) == zone.day(now);
    if today { zone.local(at).format("%H:%M").to_string() } else { short(at, zone) }
}

/// When a window is used up at its rate, with an interval, and whether it resets before.
pub(crate) fn outlook(forecast: &Forecast, resets_at: Option<Timestamp>, now: Timestamp, zone: Zone) -> Option<String> {
    let end = forecast.used_up_at?;
    if end <= now {
        return Some("used up".to_owned());
    }
    if let Some(reset) = resets_at.filter(|reset| *reset <= end) {
        let then = forecast.percent_at_reset.map(|percent| format!(" (about {} % then)", percent.rounded()));
        let lasts = format!("resets before it is used up{}", then.unwrap_or_default());
        let early = forecast.earliest_at.filter(|early| *early < reset);
        let early = early.map(|early| format!("; it may be used up from {} on", hour(early, now, zone)));
        return Some(lasts + &early.unwrap_or_default());
    }
    let interval = match (forecast.earliest_at, forecast.latest_at) {
        (Some(early), Some(late)) => {
            let late =
                resets_at.filter(|reset| *reset < late).map_or(hour(late, now, zone), |_| "its reset".to_owned());
            format!(", between {} and {late}", hour(early, now, zone))
        }
        (Some(early), None) => format!(", not before {}", hour(early, now, zone)),
        _ => String::new(),
    };
    let before = resets_at.map(|reset| format!(", {} before it resets", duration(end, reset)));
    let (left, at) = (duration(now, end), hour(end, now, zone));
    Some(format!("used up in {left} ({at}{interval}){}", before.unwrap_or_default()))
}

/// The forecast of a window that may be used up before it resets.
pub(crate) fn risk(forecast: &Forecast, resets_at: Option<Timestamp>, now: Timestamp, zone: Zone) -> Option<String> {
    let early = forecast.earliest_at.or(forecast.used_up_at)?;
    if resets_at.is_some_and(|reset| reset <= early) {
        return None;
    }
    Some(format!("{}, {}", rate(forecast), outlook(forecast, resets_at, now, zone)?))
}

/// `$4.00 of $20.00 (20 %), 2 unpriced calls`
pub(crate) fn spent(money: &MoneyWindow) -> String {
    let unpriced = match money.cost.unpriced_requests {
        0 => String::new(),
        calls => format!(", {} unpriced", counted(calls, "call")),
    };
    let (spent, limit) = (dollars(money.spent()), dollars(money.limit_usd));
    format!("{spent} of {limit} ({} %){unpriced}", money.percent)
}

/// Names the commands that correct or withdraw a record.
pub(crate) fn withdrawal(position: Position) -> String {
    format!("usage-ledger void {position} --reason TEXT, or usage-ledger amend {position} --input N … --reason TEXT")
}

/// Describes the last reading of a window, if a person stated it or if it is stale.
pub(crate) fn reading(window: &WindowUsage, now: Timestamp) -> Option<String> {
    let describe = |who: &str, signal: &ProviderSignal| {
        let percent = signal.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
        let old = if signal.stale { " (old)" } else { "" };
        format!("{} reported{percent} {} ago{old}", EscapedText(who), duration(signal.at, now))
    };
    let by_hand = window.basis == Basis::Overridden;
    let person = window.overridden.as_ref().filter(|_| by_hand).map(|signal| describe(&signal.source, signal));
    let provider = window.observed.as_ref().filter(|signal| by_hand || signal.stale);
    let provider = provider.map(|signal| describe("the provider", signal));
    let readings: Vec<String> = person.into_iter().chain(provider).collect();
    (!readings.is_empty()).then(|| readings.join("; "))
}

/// Formats `opus 7d`; a window of the whole account is named by its length.
pub(crate) fn pool(pool: &Pool) -> String {
    let scope = pool.scope.as_ref().map(|scope| format!("{} ", EscapedText(scope))).unwrap_or_default();
    format!("{scope}{}", window_length(pool.window_minutes))
}

/// Describes why the provider refuses, and until when.
pub(crate) fn refusal(refused: &Exhausted, now: Timestamp, zone: Zone) -> String {
    let (until, rule) = (refused.until, EscapedText(&refused.rule));
    let model = refused.model.as_ref().map(|model| format!(" {}", EscapedText(model))).unwrap_or_default();
    format!("the provider refused{model} ({rule}): again in {} ({})", duration(now, until), short(until, zone))
}

/// Describes why and since when work is paused, and when it resumes.
pub(crate) fn pause(pause: &Pause, now: Timestamp, zone: Zone) -> String {
    let note = pause.note.as_ref().map(|note| format!(", {}", EscapedText(note))).unwrap_or_default();
    let since = short(pause.since, zone);
    let until = match pause.until {
        Some(end) => format!("goes on in {} ({})", duration(now, end), short(end, zone)),
        None => "until it is resumed".to_owned(),
    };
    format!("paused since {since} ({}{note}), {until}", EscapedText(&pause.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::LimitSet;
    use crate::model::time::{HOUR, QUARTER};
    use crate::{Ledger, TokenRecord};

    const NOW: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn a_rate_is_per_minute_and_an_end_has_an_interval() {
        // 10 % in each of five hours, then a burst: 50 % are left.
        let ledger = Ledger::in_memory().unwrap();
        ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
        for quarter in 0..=8 {
            let call = TokenRecord::new("openai", "gpt-5").input(if quarter % 2 == 0 { 80 } else { 20 });
            ledger.record(call, NOW.plus(quarter * QUARTER)).unwrap();
        }
        let now = NOW.plus(8 * QUARTER);
        let forecast = ledger.provider("openai", now).unwrap().session.forecast.unwrap();
        assert_eq!(rate(&forecast), "0.40%/min");
        let outlook =
            |reset: Option<i64>| outlook(&forecast, reset.map(|hours| now.plus(hours * HOUR)), now, Zone::UTC);
        assert!(outlook(Some(1)).unwrap().starts_with("resets before it is used up (about "));
        let text = outlook(Some(5)).unwrap();
        assert!(text.starts_with("used up in 2h 10m (04:10, between 03:"), "{text}");
        assert!(text.ends_with("), 2h 49m before it resets"), "{text}");
        assert!(outlook(None).unwrap().starts_with("used up in 2h 10m (04:10, between 03:"));
    }

    #[test]
    fn a_length_has_one_unit() {
        assert_eq!([300, 10_080, 90, 0].map(window_length), ["5h", "7d", "90m", "0m"]);
    }
}
