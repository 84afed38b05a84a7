use serde_json::json;

use super::*;
use crate::model::event::Quality;

fn read(thread: &Value) -> Document {
    Amp.document(Path::new("T-1.json"), thread.to_string().as_bytes(), Zone::UTC, None).unwrap()
}

fn counts(document: &Document) -> Vec<[u64; 7]> {
    document.calls.iter().map(|call| call.record.tokens.counts()).collect()
}

#[test]
fn the_store_has_the_calls_and_the_messages_have_the_cache_counts() {
    let document = read(&json!({"id": "T-1", "messages": [
        {"role": "user", "messageId": 0, "content": "a secret"},
        {"role": "assistant", "messageId": 1, "usage": {"model": "claude-sonnet-4-5", "inputTokens": 10,
            "outputTokens": 70, "cacheCreationInputTokens": 900, "cacheReadInputTokens": 8000, "totalInputTokens": 8910}},
        {"role": "assistant", "messageId": 3, "usage": {"model": "gpt-5", "inputTokens": 500, "outputTokens": 9,
            "cacheReadInputTokens": 400, "totalInputTokens": 500}}],
        "usageLedger": {"events": [
            {"id": "e1", "timestamp": "2026-11-23T10:00:00.000Z", "model": "claude-sonnet-4-5", "credits": 1.5,
                "tokens": {"input": 10, "output": 70}, "fromMessageId": 0, "toMessageId": 1},
            {"id": "e2", "timestamp": "2026-11-23T10:01:00.000Z", "model": "gpt-5", "credits": 0.5,
                "tokens": {"input": 500, "output": 9}, "toMessageId": 3}]}}));
    assert_eq!(counts(&document), [[10, 8000, 0, 0, 900, 70, 0], [100, 400, 0, 0, 0, 9, 0]]);
    assert!(document.skipped.is_empty());
    let record = &document.calls[0].record;
    assert_eq!((&*record.provider, record.keys[0].as_str(), record.cost), ("amp", "amp/T-1/e1", None));
    assert_eq!(record.quality, Quality::Reported);
    assert_eq!(record.raw.as_ref().unwrap().get(), r#"{"input":10,"output":70}"#);
}

#[test]
fn answers_count_without_a_usage_ledger_or_before_its_first_event() {
    let usage = |minute: u32| json!({"model": "m", "inputTokens": minute, "outputTokens": 1, "timestamp": format!("2026-11-23T10:{minute}:00Z")});
    let messages = json!([{"role": "assistant", "messageId": 1, "usage": usage(10)},
        {"role": "assistant", "messageId": 2, "usage": usage(30)}, {"role": "assistant", "usage": {"model": "m"}}]);
    let document = read(&json!({"id": "T-1", "messages": messages}));
    assert_eq!(document.calls.len(), 2);
    assert_eq!(document.skipped, [(3, "unknown shape: a usage without a timestamp".to_owned())]);
    let event = json!({"id": "e", "timestamp": "2026-11-23T10:20:00Z", "tokens": {"input": 5, "output": 5}});
    let document = read(&json!({"id": "T-1", "messages": messages, "usageLedger": {"events": [event]}}));
    assert_eq!(
        document.calls.iter().map(|call| call.record.keys[0].as_str()).collect::<Vec<_>>(),
        ["amp/T-1/e", "amp/T-1/message/1"]
    );
    assert_eq!(document.skipped, [(0, "answers with a usage that no event of the ledger names: 2".to_owned())]);
}

#[test]
fn unknown_content_is_reported() {
    let event = |event: Value| read(&json!({"id": "T-1", "usageLedger": {"events": [event]}})).skipped;
    let at = "2026-11-23T10:00:00Z";
    assert!(event(json!({"tokens": {"input": 1}}))[0].1.contains("without a timestamp"));
    assert!(event(json!({"timestamp": at, "usage": {}}))[0].1.contains("without tokens"));
    assert!(event(json!({"timestamp": at, "tokens": {"input": "1"}}))[0].1.contains("`input` is no whole number"));
    assert_eq!(
        event(json!({"timestamp": at, "tokens": {"input": 0, "output": 0}}))[0].1,
        "calls without token counts: 1"
    );
    let unsplit = read(&json!({"id": "T-1", "usageLedger": {"events": [{"timestamp": at, "tokens": {"total": 900}}]}}));
    let why = "calls that tell a total, and not how much of it is input or output: 1";
    assert_eq!((unsplit.calls.len(), unsplit.skipped), (0, vec![(0, why.to_owned())]));
    let whole = |thread: Value| {
        Amp.document(Path::new("T-1.json"), thread.to_string().as_bytes(), Zone::UTC, None).unwrap_err().to_string()
    };
    assert!(whole(json!({"messages": []})).contains("without an id"));
    assert!(whole(json!({"id": "T-1", "messages": {"a": 1}})).contains("no list"));
    let renamed = json!([{"role": "assistant", "messageId": 1, "tokenUsage": {"inputTokens": 3}}, {"role": "user"}]);
    assert_eq!(
        read(&json!({"id": "T-1", "messages": renamed})).skipped,
        [(0, "answers without a usage, whose token counts are not known: 1".to_owned())]
    );
    assert!(whole(json!({"id": "T-1", "usageLedger": {"rows": []}})).contains("without events"));
    assert!(whole(json!({"id": "T-1", "usageLedger": {"events": {}}})).contains("no list"));
}
