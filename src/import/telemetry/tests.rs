use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::{Value, json};

use super::*;
use crate::ledger::Ledger;
use crate::model::time::Timestamp;

fn attributes(of: &[(&str, Value)]) -> Value {
    let one = |(name, value): &(&str, Value)| {
        let value = match value {
            Value::String(text) => json!({ "stringValue": text }),
            Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
            number => json!({ "intValue": number }),
        };
        json!({"key": name, "value": value})
    };
    Value::from(of.iter().map(one).collect::<Vec<_>>())
}

/// Builds a Codex call with this input, at a millisecond of a day in June.
fn codex(millis: i64, input: u64, conversation: &str) -> Telemetry {
    let nanos = (1_780_308_000_000 + millis) * 1_000_000;
    sent(&json!({"timeUnixNano": nanos.to_string(), "attributes": attributes(&[
        ("event.name", "codex.sse_event".into()),
        ("conversation.id", conversation.into()),
        ("model", "gpt-5".into()),
        ("input_token_count", input.into()),
        ("output_token_count", 10.into()),
    ])}))
}

fn sent(record: &Value) -> Telemetry {
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    Telemetry::of_logs(&serde_json::from_value::<ExportLogsServiceRequest>(logs).unwrap())
}

fn log(millis: i64, input: u64, conversation: &str, key: &str) -> crate::model::event::NewEvent {
    let at = Timestamp::from_millis(1_780_308_000_000 + millis);
    let record = crate::TokenRecord::new("openai", "gpt-5").input(input).output(10).agent("codex");
    crate::model::event::NewEvent::new(record.conversation(conversation).key(key), at).source("codex")
}

fn recorded_by(ledger: &Ledger, sent: Telemetry) -> Ingested {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    take(ledger, sent, now).unwrap().counts
}

const RECORDED: Ingested = Ingested { recorded: 1, known: 0, amended: 0 };
const KNOWN: Ingested = Ingested { recorded: 0, known: 1, amended: 0 };
const AMENDED: Ingested = Ingested { recorded: 0, known: 0, amended: 1 };

#[test]
fn a_log_matches_one_telemetry_call_the_nearest_in_time() {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let ledger = Ledger::in_memory().unwrap();
    // Two equal calls at one instant, a later one, and one of another conversation.
    let logs = [log(0, 5, "a", "k1"), log(0, 5, "a", "k2"), log(60_000, 5, "a", "k3"), log(0, 5, "b", "k4")];
    ledger.append(logs, now).unwrap();
    assert_eq!(recorded_by(&ledger, codex(59_000, 5, "a")), AMENDED);
    assert_eq!(recorded_by(&ledger, codex(59_000, 5, "a")), KNOWN);
    assert_eq!(ledger.event(5).unwrap().payload.corrects(), Some(ledger.event(3).unwrap().id));
    assert_eq!(recorded_by(&ledger, codex(100, 5, "a")), AMENDED);
    assert_eq!(recorded_by(&ledger, codex(200, 5, "a")), AMENDED);
    // All of them are matched, so this is another call. So are calls with other counts or a much later time.
    assert_eq!(recorded_by(&ledger, codex(300, 5, "a")), RECORDED);
    assert_eq!(recorded_by(&ledger, codex(300, 6, "b")), RECORDED);
    assert_eq!(recorded_by(&ledger, codex(300_001, 5, "b")), RECORDED);
    assert_eq!(recorded_by(&ledger, codex(300_000, 5, "b")), AMENDED);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn a_failed_call_has_no_usage_and_an_unknown_one_is_reported() {
    let failed = attributes(&[
        ("event.name", "gemini_cli.api_response".into()),
        ("input_token_count", 0.into()),
        ("output_token_count", 0.into()),
    ]);
    let failed = sent(&json!({"timeUnixNano": "1780308000000000000", "attributes": failed}));
    assert_eq!((failed.calls(), failed.unread.len()), (0, 0));
    let nothing = attributes(&[("event.name", "gemini_cli.api_response".into())]);
    let nothing = sent(&json!({"timeUnixNano": "1780308000000000000", "attributes": nothing}));
    assert_eq!(nothing.unread, ["`gemini_cli.api_response` without token counts"]);
    let mut timeless = codex(0, 5, "a");
    timeless.calls.clear();
    let of = attributes(&[("event.name", "codex.sse_event".into()), ("input_token_count", 5.into())]);
    assert_eq!(sent(&json!({ "attributes": of })).unread, ["`codex.sse_event` without a time"]);
}

#[test]
fn spans_of_one_request_and_its_log_are_one_call() {
    let of = |name: &str| {
        attributes(&[
            ("event.name", name.into()),
            ("session.id", "s".into()),
            ("request_id", "req_1".into()),
            ("model", "claude-opus-4-5".into()),
            ("input_tokens", 3.into()),
            ("output_tokens", 7.into()),
            ("cost_usd", 0.1.into()),
            ("duration_ms", 1_000.into()),
        ])
    };
    let ledger = Ledger::in_memory().unwrap();
    let log = sent(&json!({"timeUnixNano": "1780308000000000000", "attributes": of("claude_code.api_request")}));
    assert_eq!(recorded_by(&ledger, log), RECORDED);
    let span = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "claude_code.llm_request",
        "startTimeUnixNano": "1780307999000000000", "endTimeUnixNano": "1780308000000000000",
        "attributes": of("x"),
    }]}]}]});
    let span = Telemetry::of_spans(&serde_json::from_value(span).unwrap());
    assert_eq!(recorded_by(&ledger, span), KNOWN);
    let line = ledger.event(1).unwrap().to_line().unwrap();
    assert!(line.contains(r#""cost":"0.1""#), "{line}");
}

#[test]
fn an_unreadable_cost_is_left_out_and_said() {
    for (cost, note) in [
        (Value::from("NaN"), "`cost_usd` is no amount from 0: left out"),
        (Value::from(-0.5), "`cost_usd` is no amount from 0: left out"),
        (Value::from("0.25"), ""),
        (Value::from(0.25), ""),
    ] {
        let ledger = Ledger::in_memory().unwrap();
        let of = attributes(&[
            ("event.name", "api_request".into()),
            ("session.id", "s".into()),
            ("model", "claude-opus-4-5".into()),
            ("input_tokens", 3.into()),
            ("output_tokens", 7.into()),
            ("cost_usd", cost.clone()),
        ]);
        let call = json!({"timeUnixNano": "1780308000000000000", "body": {"stringValue": "claude_code.api_request"},
            "attributes": of});
        assert_eq!(recorded_by(&ledger, sent(&call)), RECORDED, "{cost}");
        let line = ledger.event(1).unwrap().to_line().unwrap();
        assert_eq!(
            (line.contains("left out"), line.contains(r#""cost":"0.25""#)),
            (!note.is_empty(), note.is_empty()),
            "{line}"
        );
        assert!(line.contains(note), "{line}");
    }
}
