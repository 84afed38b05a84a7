//! Distinguishes the calls of a relay that gives all of them the same id.
//!
//! Two calls with the same id from their server are the same call only if they can be: a copy in a resumed session has
//! the same time, and telemetry has a close one. Otherwise the second call gets a key that includes its time, or keeps
//! its other keys alone.

use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::telemetry_match::{is_reported_by_telemetry, is_telemetry};
use crate::model::event::{EventId, TokenRecord, is_random};
use crate::model::time::{MINUTE, Timestamp};
use crate::readers::normalise::UsageFormat;
use crate::readers::price::prompt;

/// Maximum difference in time between log and telemetry of one call.
const APART: u64 = 10 * MINUTE as u64;

/// Returns whether the only key that identifies a call is an id that its server may use again.
pub(in crate::import) fn may_repeat(record: &TokenRecord) -> bool {
    let is_of = |format: UsageFormat| record.normaliser.as_deref() == Some(format.normaliser());
    let is_single = record.keys.len() == 1;
    let ids = record.keys.iter().filter(|key| is_server_id(key)).count();
    !is_telemetry(record)
        && ((is_of(UsageFormat::ClaudeCode) && is_single) || (is_of(UsageFormat::Codex) && ids == 1 && !is_single))
}

/// Returns whether a key is the id of a server. A key that an importer makes begins with an agent, thread or span and `/`.
fn is_server_id(key: &str) -> bool {
    !key.contains('/')
}

/// Whether two calls share a key that an importer made.
fn share_made_key(a: &TokenRecord, b: &TokenRecord) -> bool {
    a.keys.iter().filter(|key| !is_server_id(key)).any(|key| b.keys.contains(key))
}

/// Returns whether two calls with the same id can be the same call.
pub(in crate::import) fn can_be_one(earlier: &ParsedCall, later: &ParsedCall) -> bool {
    let (a, b) = (&earlier.record, &later.record);
    if share_made_key(a, b) {
        return true;
    }
    let same_prompt = has_same_prompt(a, b);
    let same_place = a.conversation == b.conversation;
    let apart = earlier.at.millis().abs_diff(later.at.millis());
    let is_near = apart <= APART && (is_reported_by_telemetry(a) || is_reported_by_telemetry(b));
    // Two calls with the same random id and equal counts are copies of one call.
    let is_copy = a.tokens == b.tokens
        && a.model == b.model
        && b.keys.iter().filter(|key| is_server_id(key)).all(|key| is_random(key));
    (apart == 0 && (same_place || same_prompt)) || (same_place && same_prompt && is_near) || is_copy
}

/// How far the clocks of two feeds of one call may be apart.
const SLACK: i64 = 1_000;

/// Returns whether an item of telemetry with the id of a recorded call is another call.
pub(in crate::import) fn is_another_in_telemetry(earlier: &ParsedCall, later: &ParsedCall) -> bool {
    let (a, b) = (&earlier.record, &later.record);
    if share_made_key(a, b) || !a.keys.iter().any(|key| is_server_id(key) && b.keys.contains(key)) {
        return false;
    }
    if !is_telemetry(a) {
        return !can_be_one(earlier, later);
    }
    let began = |call: &ParsedCall| call.began().plus(-SLACK);
    let overlap = began(earlier) <= later.at && began(later) <= earlier.at;
    let same_prompt = has_same_prompt(a, b);
    let is_copy = a.tokens == b.tokens && b.keys.iter().filter(|key| is_server_id(key)).all(|key| is_random(key));
    !(is_copy || (overlap && same_prompt))
}

/// Returns whether two calls have equally many input tokens, or one of them states none.
fn has_same_prompt(a: &TokenRecord, b: &TokenRecord) -> bool {
    let (of_a, of_b) = (prompt(&a.tokens), prompt(&b.tokens));
    of_a == of_b || of_a == 0 || of_b == 0
}

/// Returns the call without its server's id, or with a key that includes its time if it has no other key.
pub(in crate::import) fn with_time(mut call: ParsedCall) -> ParsedCall {
    let at = call.at;
    if call.record.keys.iter().any(|key| !is_server_id(key)) {
        call.record.keys.retain(|key| !is_server_id(key));
    }
    for key in call.record.keys.iter_mut().filter(|key| is_server_id(key)) {
        *key = format!("{key}@{at}");
    }
    derive_ids(&mut call.record);
    call
}

/// Returns the call with its server's id alone, if its only key is that id with the call's time.
pub(in crate::import) fn without_time(at: Timestamp, record: &TokenRecord) -> Option<TokenRecord> {
    let [key] = record.keys.as_slice() else { return None };
    let id = key.strip_suffix(&at.to_string())?.strip_suffix('@')?.to_owned();
    let mut record = record.clone();
    record.keys = vec![id];
    derive_ids(&mut record);
    Some(record)
}

/// Derives the ids under another provider again, which are made from the keys.
fn derive_ids(record: &mut TokenRecord) {
    if !record.key_ids.is_empty() {
        let anthropic = crate::import::engine::attribution::ANTHROPIC;
        record.key_ids = record.keys.iter().map(|key| EventId::from_key(anthropic, key)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(at: i64, id: &str, conversation: &str, input: u64) -> ParsedCall {
        let mut record = TokenRecord::new("zai", "glm-4.7").input(input).output(5).conversation(conversation).key(id);
        record.normaliser = Some("anthropic/1".into());
        ParsedCall { at: Timestamp::from_millis(at), record }
    }

    #[test]
    fn calls_that_differ_in_time_conversation_or_prompt_are_several() {
        let earlier = call(0, "relay", "a", 100);
        assert!(may_repeat(&earlier.record));
        assert!(can_be_one(&earlier, &call(0, "relay", "b", 100)), "a copy in a resumed session");
        assert!(!can_be_one(&earlier, &call(5, "relay", "a", 100)));
        assert!(!can_be_one(&earlier, &call(5, "relay", "b", 100)));
        assert!(!can_be_one(&earlier, &call(0, "relay", "b", 200)));
        let id = "msg_01XFDUDYJgAACzvnptvVoYEL";
        assert!(can_be_one(&call(0, id, "a", 100), &call(5, id, "b", 100)), "a copy with another time");
        assert!(!can_be_one(&call(0, id, "a", 100), &call(5, id, "b", 101)));
        let mut reported = call(0, "relay", "a", 100);
        reported.record.keys.push("otlp/x".to_owned());
        assert!(can_be_one(&reported, &call(5, "relay", "a", 100)), "telemetry was there first");
    }

    #[test]
    fn a_codex_call_with_a_repeated_id_is_identified_by_the_thread_total() {
        let codex = |at, conversation: &str, input, total: &str| {
            let mut call = call(at, "relay", conversation, input);
            call.record.normaliser = Some(UsageFormat::Codex.normaliser().into());
            call.record.keys.push(format!("{conversation}/{total}"));
            call
        };
        let earlier = codex(0, "a", 100, "100");
        assert!(may_repeat(&earlier.record));
        assert!(can_be_one(&earlier, &codex(9, "a", 100, "100")), "the same total of the same thread");
        assert!(!can_be_one(&earlier, &codex(9, "a", 100, "200")));
        assert!(!can_be_one(&earlier, &codex(9, "b", 100, "100")));
        assert_eq!(with_time(codex(9, "b", 100, "100")).record.keys, ["b/100"]);
    }

    #[test]
    fn spans_with_one_id_are_one_call_only_while_they_overlap() {
        let span = |at, id: &str, span: &str, input| {
            let mut call = call(at, id, "a", input);
            call.record.normaliser = Some("gen-ai-otlp/1".into());
            call.record.keys.push(span.to_owned());
            call.record.duration_ms = Some(1_000);
            call
        };
        let earlier = span(5_000, "relay", "t/1", 100);
        let is_another = |later: &ParsedCall| is_another_in_telemetry(&earlier, later);
        assert!(!is_another(&span(5_100, "relay", "t/2", 100)), "a span around it");
        assert!(!is_another(&span(9_000, "relay", "t/1", 100)), "the same span");
        assert!(is_another(&span(9_000, "relay", "t/3", 100)));
        assert!(is_another(&span(5_100, "relay", "t/4", 101)));
        let id = "msg_01XFDUDYJgAACzvnptvVoYEL";
        assert!(!is_another_in_telemetry(&span(5_000, id, "t/1", 100), &span(9_000, id, "t/5", 100)), "sent again");
    }

    #[test]
    fn a_key_with_a_time_finds_the_call_under_either_provider() {
        let mut moved = call(7, "relay", "a", 1);
        moved.record.key_ids = vec![EventId::from_key("anthropic", "relay")];
        let moved = with_time(moved).record;
        assert_eq!(moved.keys, ["relay@1970-01-01T00:00:00.007Z"]);
        assert_eq!(moved.key_ids, [EventId::from_key("anthropic", &moved.keys[0])]);
        let plain = without_time(Timestamp::from_millis(7), &moved).unwrap();
        assert_eq!((plain.keys[0].as_str(), plain.key_ids), ("relay", vec![EventId::from_key("anthropic", "relay")]));
        assert_eq!(without_time(Timestamp::from_millis(8), &moved), None);
    }
}
