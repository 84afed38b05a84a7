//! Distinguishes the calls of a relay that gives all of them the same id.
//!
//! Two calls with the same message id as their only key are the same call only if their times agree: a copy in a
//! resumed session has the same time, and telemetry has a close one. Otherwise the second call gets a key that includes
//! its time.

use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::telemetry_match::{is_met, is_telemetry};
use crate::model::event::{EventId, TokenRecord};
use crate::model::time::MINUTE;
use crate::model::tokens::TokenClass;
use crate::readers::normalise::UsageFormat;

/// Maximum difference in time between log and telemetry of one call.
const APART: u64 = 10 * MINUTE as u64;

/// Returns whether the only key of a call is an id that the server may use again.
pub(in crate::import) fn may_repeat(record: &TokenRecord) -> bool {
    let is_log = record.normaliser.as_deref() == Some(UsageFormat::ClaudeCode.normaliser());
    is_log && record.keys.len() == 1 && !is_telemetry(record)
}

/// Returns whether two calls with the same id can be the same call.
pub(in crate::import) fn can_be_one(known: &ParsedCall, found: &ParsedCall) -> bool {
    let (a, b) = (&known.record, &found.record);
    let (of_a, of_b) = (prompt(a), prompt(b));
    let same_prompt = of_a == of_b || of_a == 0 || of_b == 0;
    let same_place = a.conversation == b.conversation;
    let apart = known.at.millis().abs_diff(found.at.millis());
    let is_near = apart <= APART && (is_met(a) || is_met(b));
    // Random ids practically never repeat, least of all with equal counts.
    let is_copy = a.tokens == b.tokens && a.model == b.model && b.keys.iter().all(|key| is_random(key));
    (apart == 0 && (same_place || same_prompt)) || (same_place && same_prompt && is_near) || is_copy
}

/// Returns whether the part of an id after its last separator is long enough to be random.
fn is_random(id: &str) -> bool {
    let drawn = id.rsplit(['_', '-', '/']).next().unwrap_or_default();
    let mixed = drawn.bytes().any(|byte| byte.is_ascii_digit()) && drawn.bytes().any(|byte| byte.is_ascii_alphabetic());
    drawn.len() >= 20 && mixed || uuid::Uuid::parse_str(id).is_ok()
}

fn prompt(record: &TokenRecord) -> u64 {
    use TokenClass::{CacheRead, CacheWrite, CacheWrite1h, CacheWrite5m, Input};
    let classes = [Input, CacheRead, CacheWrite5m, CacheWrite1h, CacheWrite];
    classes.iter().fold(0, |sum, class| sum.saturating_add(record.tokens.get(*class).unwrap_or(0)))
}

/// Returns the call with a key that includes its time.
pub(in crate::import) fn with_time(mut call: ParsedCall) -> ParsedCall {
    let at = call.at;
    for key in &mut call.record.keys {
        *key = format!("{key}@{at}");
    }
    // Ids under another provider are derived from the keys, so derive them again.
    if !call.record.key_ids.is_empty() {
        let keys = &call.record.keys;
        let anthropic = crate::import::engine::attribution::ANTHROPIC;
        call.record.key_ids = keys.iter().map(|key| EventId::from_key(anthropic, key)).collect();
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn call(at: i64, id: &str, conversation: &str, input: u64) -> ParsedCall {
        let mut record = TokenRecord::new("zai", "glm-4.7").input(input).output(5).conversation(conversation).key(id);
        record.normaliser = Some("anthropic/1".into());
        ParsedCall { at: Timestamp::from_millis(at), record }
    }

    #[test]
    fn calls_that_differ_in_time_conversation_or_prompt_are_several() {
        let known = call(0, "relay", "a", 100);
        assert!(may_repeat(&known.record));
        assert!(can_be_one(&known, &call(0, "relay", "b", 100)), "a copy in a resumed session");
        assert!(!can_be_one(&known, &call(5, "relay", "a", 100)));
        assert!(!can_be_one(&known, &call(5, "relay", "b", 100)));
        assert!(!can_be_one(&known, &call(0, "relay", "b", 200)));
        let id = "msg_01XFDUDYJgAACzvnptvVoYEL";
        assert!(can_be_one(&call(0, id, "a", 100), &call(5, id, "b", 100)), "a copy with another time");
        assert!(!can_be_one(&call(0, id, "a", 100), &call(5, id, "b", 101)));
        let mut told = call(0, "relay", "a", 100);
        told.record.keys.push("otlp/x".to_owned());
        assert!(can_be_one(&told, &call(5, "relay", "a", 100)), "telemetry was there first");
    }

    #[test]
    fn a_key_with_a_time_finds_the_call_again_under_either_provider() {
        let mut moved = call(7, "relay", "a", 1);
        moved.record.key_ids = vec![EventId::from_key("anthropic", "relay")];
        let moved = with_time(moved).record;
        assert_eq!(moved.keys, ["relay@1970-01-01T00:00:00.007Z"]);
        assert_eq!(moved.key_ids, [EventId::from_key("anthropic", &moved.keys[0])]);
    }
}
