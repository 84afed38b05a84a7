//! Ollama Cloud: the used fraction of a session and of a week, or of a month; `null` is a window without a limit.
//!
//! It states no reset. Sessions begin at each multiple of five hours since the epoch, weeks on Monday 00:00 UTC; the
//! beginning of an account's month is unknown.

use serde_json::Value;

use super::draft::{ObservationDraft, ObservedWindow, RESETS, USED, first, quoted};
use super::length::{self, FIVE_HOURS, SEVEN_DAYS};
use crate::model::error::Result;
use crate::model::time::{DAY, MINUTE, Timestamp};

/// The first Monday since the epoch, which was a Thursday.
const MONDAY: i64 = 4 * DAY;

pub(super) fn read(text: &str, draft: &mut ObservationDraft) -> Result<()> {
    let document = draft.object(text)?;
    let document = ["limits", "usage"].iter().find_map(|key| document.get(*key)?.as_object()).unwrap_or(&document);
    let windows = [
        ("session", FIVE_HOURS, Some(0)),
        ("weekly", SEVEN_DAYS, Some(MONDAY)),
        ("monthly", length::month_of(draft.at), None),
    ];
    if !windows.iter().any(|(key, ..)| document.contains_key(*key)) {
        return Err(draft.refuse("has none of `session`, `weekly` and `monthly`"));
    }
    for (key, minutes, origin) in windows {
        let Some(value) = document.get(key).filter(|value| !value.is_null()) else { continue };
        let (number, stated_reset) = match value {
            Value::Object(fields) => {
                let names = [&["fraction", "used"], USED].concat();
                if first(fields, &names).is_none() {
                    continue;
                }
                (draft.number(key, fields, &names), draft.reset(key, fields, RESETS))
            }
            _ => (super::value::number(value), None),
        };
        let Some(number) = number else {
            draft.warn(format!("{} is not a fraction: left out", quoted(key)));
            continue;
        };
        let used = draft.fraction(key, number);
        if used.is_some() {
            let resets_at = stated_reset.or_else(|| Some(next(draft.at, minutes, origin?)));
            draft.see(ObservedWindow { minutes, scope: None, used, resets_at, status: None });
        }
    }
    Ok(())
}

/// When the window that contains an instant ends.
fn next(at: Timestamp, minutes: u32, origin: i64) -> Timestamp {
    let length = i64::from(minutes) * MINUTE;
    let begun = (at.millis() - origin).div_euclid(length) * length + origin;
    Timestamp::from_millis(begun.saturating_add(length))
}
