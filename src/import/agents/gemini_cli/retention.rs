//! How long the client keeps chats: 30 days, unless the setting `general.sessionRetention` differs.

use serde::Deserialize;
use serde_json::Value;

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
        retention: Retention,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Retention {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_say_how_long_chats_are_kept() {
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
