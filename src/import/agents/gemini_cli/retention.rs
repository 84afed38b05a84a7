//! How long the client keeps chats: 30 days, unless the setting `general.sessionRetention` differs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use crate::import::engine::regular;

const DAYS: u32 = 30;

/// Returns the number of days after which a chat is deleted, if it is.
pub(super) fn days(settings: &[u8]) -> Option<u32> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct GeminiSettings {
        general: General,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct General {
        #[serde(rename = "sessionRetention")]
        retention: RetentionSettings,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct RetentionSettings {
        enabled: Option<bool>,
        #[serde(rename = "maxAge")]
        age: Value,
    }
    let settings: GeminiSettings = serde_json::from_slice(settings).unwrap_or_default();
    let retention = settings.general.retention;
    if retention.enabled == Some(false) {
        return None;
    }
    match retention.age {
        Value::Null => Some(DAYS),
        // The client deletes nothing if it cannot parse the age.
        age => whole_days(age.as_str()?),
    }
}

/// Converts an age such as `30d`, `24h`, `4w` or `6m` to days, rounded down.
fn whole_days(age: &str) -> Option<u32> {
    let (count, unit) = age.trim().split_at_checked(age.trim().len().checked_sub(1)?)?;
    let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
    match unit {
        "h" => Some(count / 24),
        "d" => Some(count),
        "w" => count.checked_mul(7),
        "m" => count.checked_mul(30),
        _ => None,
    }
}

/// Bytes of a log without an answer. A longer one has some.
const LONGEST_EMPTY: u64 = 256 << 10;

/// The chats that the next start deletes, as long as the client deletes any.
///
/// `gemini --resume` opens a second file with the id of the session that it resumes, and writes nothing to it but a head. The
/// next start takes that file for damaged and deletes every file whose name ends with the same id (checked against the client's
/// issues 27368 and 27877, which were open in September 2026).
pub(super) fn deleted_at_next_start(logs: &[&Path]) -> Vec<PathBuf> {
    let mut sessions: BTreeMap<(&Path, &str), Vec<&Path>> = BTreeMap::new();
    for log in logs {
        let stem = log.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.starts_with("session-"));
        if let Some(((_, id), directory)) = stem.and_then(|stem| stem.rsplit_once('-')).zip(log.parent()) {
            sessions.entry((directory, id)).or_default().push(log);
        }
    }
    let is_resumed = |files: &&Vec<&Path>| files.len() > 1 && files.iter().any(|file| has_no_answer(file));
    let resumed = sessions.values().filter(is_resumed);
    resumed.flatten().map(|file| file.to_path_buf()).collect()
}

fn has_no_answer(file: &Path) -> bool {
    regular::read(file, LONGEST_EMPTY).is_ok_and(|text| memmem::find(&text, b"\"gemini\"").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_session_is_deleted_at_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        let (head, answer) = ("{\"sessionId\":\"f74ed4b6-1\"}\n", "{\"type\":\"gemini\"}\n");
        let put = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let kept = put("session-2026-06-20T10-00-aaaaaaaa.jsonl", &format!("{head}{answer}"));
        let other = put("session-2026-06-21T10-00-bbbbbbbb.jsonl", head);
        let first = put("session-2026-06-22T13-46-f74ed4b6.jsonl", &format!("{head}{answer}"));
        let again = put("session-2026-06-22T13-49-f74ed4b6.jsonl", head);
        let logs = [kept.as_path(), &other, &first, &again];
        assert_eq!(deleted_at_next_start(&logs), [first.clone(), again.clone()]);
        std::fs::write(&again, format!("{head}{answer}")).unwrap();
        assert!(deleted_at_next_start(&logs).is_empty());
    }

    #[test]
    fn the_settings_state_the_retention_of_chats() {
        for (settings, kept) in [
            ("", Some(30)),
            ("{}", Some(30)),
            (r#"{"general":{"vimMode":true}}"#, Some(30)),
            (r#"{"general":{"sessionRetention":{"enabled":true}}}"#, Some(30)),
            (r#"{"general":{"sessionRetention":{"enabled":false,"maxAge":"7d"}}}"#, None),
            (r#"{"general":{"sessionRetention":{"maxAge":"7d"}}}"#, Some(7)),
            (r#"{"general":{"sessionRetention":{"maxAge":"36h"}}}"#, Some(1)),
            (r#"{"general":{"sessionRetention":{"maxAge":"2w"}}}"#, Some(14)),
            (r#"{"general":{"sessionRetention":{"maxAge":"6m"}}}"#, Some(180)),
            (r#"{"general":{"sessionRetention":{"maxAge":"soon"}}}"#, None),
        ] {
            assert_eq!(days(settings.as_bytes()), kept, "{settings}");
        }
    }
}
