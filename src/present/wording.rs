//! The wording of decisions, shared by the surfaces.

use crate::budget::Burn;
use crate::model::event::Position;
use crate::model::time::{MINUTE, Timestamp, Zone};
use crate::present::clock::{duration, short};
use crate::present::output::Plain;
use crate::usage::{Basis, Exhausted, Pause, Pool, ProviderSignal, WindowUsage};

/// Formats `0.25%/min` from a rate per hour.
pub(crate) fn rate(burn: &Burn) -> String {
    format!("{:.2}%/min", f64::from(burn.percent_per_hour.hundredths()) / 6_000.0)
}

/// Describes when the session window is exhausted at its rate, and whether it resets before.
pub(crate) fn outlook(burn: &Burn, resets_at: Option<Timestamp>, now: Timestamp, zone: Zone) -> Option<String> {
    let minutes = i64::try_from(burn.minutes_left?).unwrap_or(i64::MAX);
    let end = now.plus(minutes.saturating_mul(MINUTE));
    Some(match resets_at {
        _ if minutes == 0 => "used up".to_owned(),
        Some(reset) if reset <= end => "resets before it is used up".to_owned(),
        Some(reset) => format!(
            "used up in {} ({}), {} before it resets",
            duration(now, end),
            zone.local(end).format("%H:%M"),
            duration(end, reset)
        ),
        None => format!("used up in {}", duration(now, end)),
    })
}

/// Names the commands that correct or withdraw a record.
pub(crate) fn withdrawal(position: Position) -> String {
    format!("usage-ledger void {position} --reason TEXT, or usage-ledger amend {position} --input N … --reason TEXT")
}

/// Describes the last reading of a window, if a person stated it or if it is stale.
pub(crate) fn said(window: &WindowUsage, now: Timestamp) -> Option<String> {
    let tell = |who: &str, said: &ProviderSignal| {
        let percent = said.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
        let old = if said.stale { " (old)" } else { "" };
        format!("{} reported{percent} {} ago{old}", Plain(who), duration(said.at, now))
    };
    let by_hand = window.basis == Basis::Overridden;
    let person = window.overridden.as_ref().filter(|_| by_hand).map(|said| tell(&said.source, said));
    let provider = window.observed.as_ref().filter(|said| by_hand || said.stale);
    let provider = provider.map(|said| tell("the provider", said));
    let told: Vec<String> = person.into_iter().chain(provider).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Formats the length of a window in its largest whole unit: `7d`, `5h`, `90m`.
pub(crate) fn length(minutes: u32) -> String {
    match minutes {
        _ if minutes > 0 && minutes.is_multiple_of(1_440) => format!("{}d", minutes / 1_440),
        _ if minutes > 0 && minutes.is_multiple_of(60) => format!("{}h", minutes / 60),
        _ => format!("{minutes}m"),
    }
}

/// Formats `opus 7d`; a window of the whole account is named by its length.
pub(crate) fn pool(pool: &Pool) -> String {
    let scope = pool.scope.as_ref().map(|scope| format!("{} ", Plain(scope))).unwrap_or_default();
    format!("{scope}{}", length(pool.window_minutes))
}

/// Describes why the provider refuses, and until when.
pub(crate) fn refusal(refused: &Exhausted, now: Timestamp, zone: Zone) -> String {
    let (until, rule) = (refused.until, Plain(&refused.rule));
    let model = refused.model.as_ref().map(|model| format!(" {}", Plain(model))).unwrap_or_default();
    format!("the provider refused{model} ({rule}): again in {} ({})", duration(now, until), short(until, zone))
}

/// Describes why and since when work is paused, and when it resumes.
pub(crate) fn pause(pause: &Pause, now: Timestamp, zone: Zone) -> String {
    let note = pause.note.as_ref().map(|note| format!(", {}", Plain(note))).unwrap_or_default();
    let since = short(pause.since, zone);
    let until = match pause.until {
        Some(end) => format!("goes on in {} ({})", duration(now, end), short(end, zone)),
        None => "until it is resumed".to_owned(),
    };
    format!("paused since {since} ({}{note}), {until}", Plain(&pause.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::HOUR;

    const NOW: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn a_rate_is_by_the_minute() {
        let burn = Burn { percent_per_hour: "15".parse().unwrap(), minutes_left: Some(90) };
        assert_eq!(rate(&burn), "0.25%/min");
        let told = |reset: Option<i64>| outlook(&burn, reset.map(|hours| NOW.plus(hours * HOUR)), NOW, Zone::UTC);
        assert_eq!(told(Some(1)).unwrap(), "resets before it is used up");
        assert_eq!(told(Some(3)).unwrap(), "used up in 1h 30m (01:30), 1h 30m before it resets");
        assert_eq!(told(None).unwrap(), "used up in 1h 30m");
        let idle = Burn { minutes_left: None, ..burn };
        assert_eq!(outlook(&idle, None, NOW, Zone::UTC), None);
    }

    #[test]
    fn a_length_has_one_unit() {
        assert_eq!([300, 10_080, 90, 0].map(length), ["5h", "7d", "90m", "0m"]);
    }
}
