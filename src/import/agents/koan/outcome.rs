//! Parses how sessions of an instance ended.

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::row::local_time;
use crate::model::event::SkippedLine;
use crate::model::time::{Timestamp, Zone};

/// A session that ended, with tokens or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionOutcome {
    pub at: Timestamp,
    pub id: Option<String>,
    pub project: String,
    pub mission: String,
    /// How it ended.
    pub end: Option<String>,
    pub mode: Option<String>,
    pub duration_ms: Option<u64>,
    /// Hash of its content.
    pub content: u64,
}

/// Parses a list of outcomes, or one per line.
pub(super) fn read(text: &str, file: &str, zone: Zone) -> (Vec<SessionOutcome>, Vec<SkippedLine>) {
    let (mut outcomes, mut skipped) = (Vec::new(), Vec::new());
    let mut take = |number: u64, value: Result<Value, String>| match value.and_then(|value| one(&value, zone)) {
        Ok(outcome) => outcomes.push(outcome),
        Err(why) => skipped.push(SkippedLine { file: file.to_owned(), line: number, why }),
    };
    if let Ok(Value::Array(list)) = serde_json::from_str(text) {
        list.into_iter().zip(1..).for_each(|(value, number)| take(number, Ok(value)));
    } else {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        lines.for_each(|(line, number)| {
            take(number, serde_json::from_str(line).map_err(|error| super::jsonl::refusal(&error)));
        });
    }
    (outcomes, skipped)
}

fn one(value: &Value, zone: Zone) -> Result<SessionOutcome, String> {
    let text = |names: &[&str]| {
        let text = names.iter().find_map(|name| value.get(name).and_then(Value::as_str));
        text.filter(|text| !text.is_empty()).and_then(super::jsonl::name).map(str::to_owned)
    };
    let number = |names: &[&str]| names.iter().find_map(|name| value.get(name).and_then(Value::as_f64));
    let stated = text(&["timestamp", "ts"]).ok_or("unknown shape: an outcome without a time")?;
    let seconds = number(&["duration", "duration_seconds"]).or(number(&["duration_minutes"]).map(|min| min * 60.0));
    Ok(SessionOutcome {
        at: local_time(&stated, zone)?,
        id: text(&["mission_id", "id"]),
        project: text(&["project"]).unwrap_or_else(|| "_global".to_owned()),
        mission: text(&["mission", "title", "mission_title"]).unwrap_or_default(),
        end: text(&["outcome"]),
        mode: text(&["mode"]),
        duration_ms: seconds.filter(|time| (0.0..1e12).contains(time)).map(|time| (time * 1_000.0).round() as u64),
        content: xxh3_64(value.to_string().as_bytes()),
    })
}
