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

/// A request costs as many rows in a long ledger as in a short one, also after many requests.
#[cfg(feature = "web")]
#[test]
fn a_request_reads_as_many_rows_in_any_ledger() {
    let rows_of = |blocks: i64| {
        let store = crate::store::counting::CountingStore::default();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        // Calls with equal counts, in conversations of their own.
        let calls = (0..blocks * 1_024).map(|n| log(-2_000 * n, 5, &format!("c{}", n / 9), &format!("k{n}")));
        ledger.append(calls, now).unwrap();
        let mut recorder = TelemetryRecorder::new(ledger);
        let mut send = |n: i64| {
            let sent = (0..4).map(|one| codex(4 * n + one, 5, "new")).collect();
            store.read.during(|| {
                let results = recorder.record(sent, now).unwrap();
                let counts: Vec<Ingested> = results.into_iter().map(|one| one.unwrap().counts).collect();
                assert_eq!(counts, [RECORDED; 4]);
            })
        };
        send(0);
        let (log, projections) = send(1);
        for n in 0..100 {
            let _ = send(2 + n);
        }
        (log, projections, send(200))
    };
    let (short, long) = (rows_of(1), rows_of(9));
    // The last 64 rows show which ids were drawn in the same millisecond.
    assert!(long.0 <= 100 && long.1 <= 400, "{long:?}");
    assert!(long.0 <= short.0 + 8 && long.1 <= short.1 + 40, "{short:?}, {long:?}");
    let (lines, projections) = long.2;
    assert!(lines <= long.0 + 8 && projections <= long.1 + 40, "after many requests: {long:?}");
}

#[cfg(feature = "web")]
#[test]
fn requests_of_one_transaction_do_not_affect_each_other() {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let ledger = Ledger::in_memory().unwrap();
    ledger.append([log(500, 7, "c", "k")], now).unwrap();
    let mut recorder = TelemetryRecorder::new(ledger.clone());
    let mut too_long = codex(1_000, 5, "a");
    too_long.calls[0].0.record.project = Some("x".repeat(1 << 20));
    let sent = vec![codex(0, 5, "a"), too_long, codex(0, 7, "c"), codex(0, 5, "a")];
    let results = recorder.record(sent, now).unwrap();
    let counts: Vec<(Ingested, usize)> =
        results.into_iter().map(|one| one.unwrap()).map(|one| (one.counts, one.refused.len())).collect();
    assert_eq!(counts, [(RECORDED, 0), (Ingested::default(), 1), (AMENDED, 0), (KNOWN, 0)]);
    // What another handle records in between is found, too.
    ledger.append([log(2_000, 9, "d", "k2")], now).unwrap();
    let results = recorder.record(vec![codex(2_100, 9, "d")], now).unwrap();
    assert_eq!(results.into_iter().map(|one| one.unwrap().counts).collect::<Vec<_>>(), [AMENDED]);
    assert!(ledger.verify().unwrap().ok);
}
