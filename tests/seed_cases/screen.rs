//! The content of the terminal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(not(feature = "tui"), allow(dead_code, unused_imports))]

use serde_json::Value;
use usage_ledger::event::{LimitSet, Percent};
use usage_ledger::time::{HOUR, MINUTE};
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord};

use super::{Checked, holds, unknown_value};

/// A percentage in JSON, clamped to the range of a bar.
fn percent(value: &Value) -> Option<Percent> {
    let number = value.as_f64()?.clamp(0.0, 1_000.0);
    number.to_string().parse().ok()
}

#[cfg(not(feature = "tui"))]
mod shown {
    use super::*;

    pub fn bar(_: &Value, _: &Value) -> Checked {
        unreachable!("cases of a dashboard that is not built are ignored")
    }

    pub fn modal(_: &Value, _: &Value) -> Checked {
        unreachable!("cases of a dashboard that is not built are ignored")
    }

    pub fn usage(_: &Ledger, _: &str, _: Timestamp, _: &Value, _: &Value) -> Checked {
        unreachable!("cases of a dashboard that is not built are ignored")
    }
}

#[cfg(feature = "tui")]
mod shown {
    use serde_json::json;
    use usage_ledger::Zone;
    use usage_ledger::internals::tui::{self, KeyEntry};

    use super::super::same;
    use super::*;

    /// Columns of the panel, enough for a bar of thirty cells.
    const WIDTH: u16 = 78;

    pub fn bar(given: &Value, expect: &Value) -> Checked {
        let (Some(used), Some(width)) = (percent(&given["pct"]), given.get("width").unwrap_or(&json!(30)).as_u64())
        else {
            return unknown_value(given);
        };
        let filled = tui::bar_cells(used, usize::try_from(width).unwrap()).min(usize::try_from(width).unwrap());
        let tint = format!("{:?}", tui::tint(used)).to_lowercase();
        let actual = json!({"colour": tint, "color": tint, "filled": filled});
        let right = |(name, wanted): (&String, &Value)| actual[name] == *wanted;
        holds(expect.as_object().unwrap().iter().all(right), format!("{actual}, wanted {expect}"))
    }

    pub fn modal(given: &Value, expect: &Value) -> Checked {
        let Some(input) = given["input"].as_str() else { return unknown_value(given) };
        let actual = match tui::modal_input(input) {
            KeyEntry::Cancelled => Value::Null,
            KeyEntry::Invalid => json!("invalid"),
            KeyEntry::Used(used) => json!(used),
        };
        same(actual, expect.clone())
    }

    /// The seed's message without records; this crate has no such file.
    const SEED_NOTHING: &str = "no usage.md yet";
    const NOTHING: &str = "nothing recorded yet";

    /// A ledger whose session is used at a rate in percent per minute: five uses in the last twenty minutes.
    fn burning(provider: &str, rate: f64, now: Timestamp) -> Ledger {
        let ledger = Ledger::in_memory().unwrap();
        let provider = ProviderId::resolve(provider).unwrap();
        ledger.set_limit(LimitSet::new(provider.as_str()).unwrap().session(1_000_000), now.plus(-HOUR)).unwrap();
        for ago in [20, 15, 10, 5, 0] {
            let tokens = (rate * 20.0 / 5.0 * 10_000.0).round() as u64;
            ledger.record(TokenRecord::new(provider.as_str(), "m").input(tokens), now.plus(-ago * MINUTE)).unwrap();
        }
        ledger
    }

    /// The last run of an activity, as a record of the provider.
    fn last_run(ledger: &Ledger, provider: &str, now: Timestamp, given: &Value) {
        // The seed omits empty values; a label without a value does not exist.
        let action = given["last_action"].as_str().filter(|action| !action.trim().is_empty());
        let minutes = given["duration_minutes"].as_u64().filter(|minutes| *minutes > 0);
        if action.is_none() && minutes.is_none() {
            return;
        }
        let provider = ProviderId::resolve(provider).unwrap();
        let mut record = TokenRecord::new(provider.as_str(), "m").input(1);
        record.labels.extend(action.map(|action| ("last_action".to_owned(), action.to_owned())));
        record.duration_ms = minutes.map(|minutes| minutes * u64::try_from(MINUTE).unwrap());
        ledger.record(record, now).unwrap();
    }

    pub fn usage(ledger: &Ledger, provider: &str, now: Timestamp, given: &Value, expect: &Value) -> Checked {
        let rate = given.as_object().unwrap().iter().find(|(name, _)| name.starts_with("burn"));
        let ledger = &match rate {
            Some((_, rate)) => burning(provider, rate.as_f64().unwrap_or_default(), now),
            None => ledger.clone(),
        };
        last_run(ledger, provider, now, given);
        let mut panel = tui::panel(&ledger.snapshot().unwrap(), provider, now, Zone::UTC, WIDTH).unwrap();
        if expect["contains"].to_string().contains(SEED_NOTHING) {
            let nothing = Ledger::in_memory().unwrap();
            panel = tui::render(&nothing.snapshot().unwrap(), now, Zone::UTC, (WIDTH, 20)).unwrap();
        }
        let words = |name: &str| -> Vec<String> {
            let texts = expect[name].as_array().into_iter().flatten();
            // An alias is displayed as its provider, and a ledger without events has no missing file.
            let id = ProviderId::resolve(provider).unwrap();
            texts.map(|text| text.as_str().unwrap().replace(provider, id.as_str())).collect()
        };
        let missing = words("contains").into_iter().find(|text| !panel.contains(&shown(text)));
        let extra = words("not_contains").into_iter().find(|text| panel.contains(text.as_str()));
        let lines = words("lines").into_iter().find(|text| !panel.lines().any(|line| is_line(line, text, given)));
        let known = ["contains", "not_contains", "lines"];
        if expect.as_object().is_none_or(|expect| expect.keys().any(|name| !known.contains(&name.as_str()))) {
            return unknown_value(expect);
        }
        let wrong =
            missing.or(lines).map(|text| format!("{text:?} is not in")).or(extra.map(|text| format!("{text:?} is in")));
        holds(wrong.is_none(), format!("{}\n{panel}", wrong.unwrap_or_default()))
    }

    /// Percentages without a blank.
    fn shown(text: &str) -> String {
        text.replace(" %", "%").replace(SEED_NOTHING, NOTHING)
    }

    /// Whether a line matches a case's description: `Session bar 25 % reset in 3h` is a line with the window's name, a
    /// bar of thirty cells with the right share filled, the percentage, and the time to a reset. The case does not
    /// state how long that is.
    fn is_line(line: &str, wanted: &str, given: &Value) -> bool {
        let words: Vec<&str> = wanted.split_whitespace().collect();
        let Some((name, rest)) = words.split_first() else { return false };
        if !rest.contains(&"bar") {
            return line.starts_with(wanted);
        }
        let used = &given[format!("{}_pct", name.to_lowercase())];
        let Some(used) = percent(used) else { return false };
        let filled = line.matches('█').count();
        line.starts_with(name)
            && filled == tui::bar_cells(used, 30)
            // A mark shows where the forecast ends.
            && filled + line.matches(['░', '┃']).count() == 30
            && line.contains(&format!("{used}%"))
            && (!rest.contains(&"reset") || line.contains("reset in ") || line.contains("not open"))
    }
}

pub use shown::{bar, modal, usage};
