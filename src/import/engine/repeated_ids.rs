//! Answers of a relay that gives all of them the same id.
//!
//! A call whose only key is a message id is taken for another one with that id only if it can be: a copy in a resumed
//! session has the same time, and what telemetry states of it is close by. Any other call gets a key with its time.

use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::telemetry_match::{is_met, is_telemetry};
use crate::model::event::{EventId, TokenRecord};
use crate::model::time::MINUTE;
use crate::model::tokens::TokenClass;
use crate::readers::normalise::UsageFormat;

/// How far the log and telemetry may put one call apart.
const APART: u64 = 10 * MINUTE as u64;

/// Whether the only name of a call is an id that its server made up, and may have made up before.
pub(in crate::import) fn may_repeat(record: &TokenRecord) -> bool {
    let is_log = record.normaliser.as_deref() == Some(UsageFormat::ClaudeCode.normaliser());
    is_log && record.keys.len() == 1 && !is_telemetry(record)
}

/// Whether two calls with one id can be the same call.
pub(in crate::import) fn can_be_one(known: &ParsedCall, found: &ParsedCall) -> bool {
    let (a, b) = (&known.record, &found.record);
    let (of_a, of_b) = (prompt(a), prompt(b));
    let same_prompt = of_a == of_b || of_a == 0 || of_b == 0;
    let same_place = a.conversation == b.conversation;
    let apart = known.at.millis().abs_diff(found.at.millis());
    let is_near = apart <= APART && (is_met(a) || is_met(b));
    // Ids as Anthropic and others make them hardly repeat, and not with the same counts.
    let is_copy = a.tokens == b.tokens && a.model == b.model && b.keys.iter().all(|key| is_random(key));
    (apart == 0 && (same_place || same_prompt)) || (same_place && same_prompt && is_near) || is_copy
}

/// Whether an id has enough letters and digits behind its last mark to be drawn at random.
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

/// The same call under a key that holds its time.
pub(in crate::import) fn with_time(mut call: ParsedCall) -> ParsedCall {
    let at = call.at;
    for key in &mut call.record.keys {
        *key = format!("{key}@{at}");
    }
    // Ids under another provider are those of the keys.
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
