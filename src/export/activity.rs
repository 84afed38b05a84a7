//! Formats a call as one line, for people who follow a log.

use crate::model::event::TokenRecord;
use crate::model::humanize::number;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::TokenClass;

/// Formats a record as one line: time, project, duration, tokens, cache, reported cost, model, and the mission if its
/// labels state one. Unknown parts are left out.
pub fn activity(record: &TokenRecord, at: Timestamp, zone: Zone) -> String {
    let label = |name: &str| record.labels.get(name).map(|value| plain(value)).filter(|value| !value.is_empty());
    let count = |classes: &[TokenClass]| {
        classes.iter().fold(0_u64, |sum, class| sum.saturating_add(record.tokens.get(*class).unwrap_or(0)))
    };
    let (input, output) = (count(&[TokenClass::Input]), count(&[TokenClass::Output, TokenClass::Reasoning]));
    let read = count(&[TokenClass::CacheRead]);
    let created = count(&[TokenClass::CacheWrite5m, TokenClass::CacheWrite1h, TokenClass::CacheWrite]);
    let mut parts = vec![format!(
        "[{}] {:<15} {:<14} {:<8} {} tokens ({} in / {} out)",
        zone.local(at).format("%Y-%m-%d %H:%M:%S"),
        cut(&plain(record.project.as_deref().unwrap_or("-")), 40),
        cut(&label("type").unwrap_or_else(|| "-".to_owned()), 40),
        record.duration_ms.map_or_else(|| "-".to_owned(), |millis| number::duration(millis / 1_000)),
        number::tokens(input.saturating_add(output)),
        number::tokens(input),
        number::tokens(output),
    )];
    if read > 0 || created > 0 {
        parts.push(format!(" | cache: {} read, {} created", number::tokens(read), number::tokens(created)));
    }
    if let Some(cost) = record.cost {
        parts.push(format!(" | ${:.4}", cost.to_decimal().round_dp(4)));
    }
    if let Some(model) = record.model.as_deref().filter(|model| *model != "unknown") {
        parts.push(format!(" | {}", plain(number::model(model))));
    }
    if let Some(mission) = label("mission").or_else(|| label("mission_id")) {
        parts.push(format!("  {}", cut(&mission, 80)));
    }
    parts.concat()
}

/// Truncates to `most` characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Removes line breaks and control characters.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
