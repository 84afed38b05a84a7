//! Ollama Cloud: the fraction used of a session and of a week; `null` is a window without a cap.
//!
//! No reset is told. Sessions begin at each multiple of five hours since the epoch, weeks on Monday 00:00 UTC.

use serde_json::Value;

use super::draft::{Draft, RESETS, USED, Window, first, quoted};
use super::length::{FIVE_HOURS, SEVEN_DAYS};
use crate::error::Result;
use crate::time::{DAY, MINUTE, Timestamp};

/// The first Monday since the epoch, which was a Thursday.
const MONDAY: i64 = 4 * DAY;

pub(super) fn read(text: &str, draft: &mut Draft) -> Result<()> {
    let document = draft.object(text)?;
    let document = match document.get("usage") {
        Some(Value::Object(usage)) => usage,
        _ => &document,
    };
    let windows = [("session", FIVE_HOURS, 0), ("weekly", SEVEN_DAYS, MONDAY)];
    if !windows.iter().any(|(key, ..)| document.contains_key(*key)) {
        return Err(draft.refuse("has neither `session` nor `weekly`"));
    }
    for (key, minutes, origin) in windows {
        let Some(value) = document.get(key).filter(|value| !value.is_null()) else { continue };
        let (number, told) = match value {
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
            let resets_at = Some(told.unwrap_or_else(|| next(draft.at, minutes, origin)));
            draft.see(Window { minutes, scope: None, used, resets_at, status: None });
        }
    }
    Ok(())
}

/// When the window that holds an instant ends.
fn next(at: Timestamp, minutes: u32, origin: i64) -> Timestamp {
    let length = i64::from(minutes) * MINUTE;
    let begun = (at.millis() - origin).div_euclid(length) * length + origin;
    Timestamp::from_millis(begun.saturating_add(length))
}
