//! Tests of two instrumentations of one call, and of items that are no calls.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::{Value, json};

use super::*;
use crate::ledger::Ledger;
use crate::model::event::TokenRecord;
use crate::model::time::Timestamp;
use crate::model::tokens::TokenClass;
use crate::projection::effective;
use crate::{Report, ReportKey};

/// Four calls, as an SDK and an instrumentation sent them: path and message.
const SENT: &str = include_str!("../../../tests/fixtures/otlp/anthropic-sdk-and-openinference.jsonl");

/// Returns the spans of the file one by one, each with its scope.
fn spans() -> Vec<Value> {
    let message: Value = serde_json::from_str(SENT.lines().next().unwrap()).unwrap();
    let resource = &message[1]["resourceSpans"][0];
    let scopes = resource["scopeSpans"].as_array().unwrap();
    scopes
        .iter()
        .flat_map(|scope| {
            let spans = scope["spans"].as_array().unwrap().iter();
            spans.map(|span| json!({"scope": scope["scope"], "spans": [span]})).collect::<Vec<_>>()
        })
        .collect()
}

fn message(spans: &[Value]) -> Telemetry {
    let request = json!({"resourceSpans": [{"resource": {}, "scopeSpans": spans}]});
    Telemetry::of_spans(&serde_json::from_value::<ExportTraceServiceRequest>(request).unwrap())
}

fn sent(ledger: &Ledger, spans: &[Value]) -> Ingested {
    let sent = message(spans);
    assert_eq!(sent.unread, [""; 0]);
    take(ledger, sent, "2026-11-28T20:00:00Z".parse::<Timestamp>().unwrap()).unwrap().counts
}

/// Returns requests, and tokens by class in the order of `TokenClass::ALL`.
fn counted(ledger: &Ledger) -> (u64, [u128; 7]) {
    let total = ledger.report(&Report::by(ReportKey::Model)).unwrap().total;
    (total.requests, TokenClass::ALL.map(|class| total.tokens.get(class)))
}

/// The true counts of the four calls: input, cache reads, cache writes for five minutes, an hour and unknown, output,
/// reasoning.
const TRUTH: (u64, [u128; 7]) = (4, [721, 67_128, 1_826, 793, 0, 878, 370]);

fn attribute<'s>(scope: &'s mut Value, name: &str) -> Option<&'s mut Value> {
    let attributes = scope["spans"][0].get_mut("attributes")?.as_array_mut()?;
    Some(&mut attributes.iter_mut().find(|one| one["key"] == name)?["value"])
}

#[test]
fn spans_of_an_sdk_and_of_an_instrumentation_beside_them_are_the_same_calls() {
    let all = spans();
    assert_eq!(all.len(), 9);
    let mut reversed = all.clone();
    reversed.reverse();
    let halves = [all[4..].to_vec(), all[..4].to_vec()].concat();
    for order in [&all, &reversed, &halves] {
        let ledger = Ledger::in_memory().unwrap();
        sent(&ledger, order);
        assert_eq!(counted(&ledger), TRUTH);
        let ledger = Ledger::in_memory().unwrap();
        for span in order {
            sent(&ledger, std::slice::from_ref(span));
        }
        assert_eq!(counted(&ledger), TRUTH);
        let head = ledger.head().unwrap();
        for span in order {
            assert_eq!(sent(&ledger, std::slice::from_ref(span)).recorded, 0);
        }
        assert_eq!(ledger.head().unwrap(), head);
        assert!(ledger.verify().unwrap().ok);
    }
}

/// Returns the spans with the start of each stream counted twice by the instrumentation, below another parent if one is given.
fn with_repeated_starts(parent: Option<&str>) -> Vec<Value> {
    let mut all = spans();
    for scope in &mut all {
        if let Some(count) = attribute(scope, "llm.token_count.completion") {
            let stated = &mut count["intValue"];
            let output: u64 = stated.as_str().map_or_else(|| stated.as_u64().unwrap(), |text| text.parse().unwrap());
            *stated = json!((output + 1).to_string());
            if let Some(parent) = parent {
                scope["spans"][0]["parentSpanId"] = json!(parent);
            }
        }
    }
    all
}

/// Sends the spans one by one, in their order and in reverse.
fn assert_truth_in_both_orders(all: &[Value]) {
    let reversed: Vec<Value> = all.iter().rev().cloned().collect();
    for order in [all, &reversed[..]] {
        let ledger = Ledger::in_memory().unwrap();
        for span in order {
            sent(&ledger, std::slice::from_ref(span));
        }
        assert_eq!(counted(&ledger), TRUTH);
    }
}

#[test]
fn the_start_of_a_stream_that_an_instrumentation_counts_twice_is_not_counted() {
    assert_truth_in_both_orders(&with_repeated_starts(None));
}

#[test]
fn an_instrumentation_elsewhere_in_the_trace_repeats_the_calls() {
    // No other span names this parent.
    assert_truth_in_both_orders(&with_repeated_starts(Some("00000000000000ff")));
}

#[test]
fn an_instrumentation_that_names_the_requested_model_repeats_the_calls() {
    // Of the four repetitions, three are around their call and one is beside it, where the models are compared.
    for (version, calls) in
        [("claude-sonnet-4-5-20250929", 4), ("claude-sonnet-4-5@20250929", 4), ("claude-sonnet-4-50", 5)]
    {
        let mut all = spans();
        for scope in &mut all {
            if let Some(model) = attribute(scope, "gen_ai.response.model") {
                *model = json!({ "stringValue": version });
            }
        }
        let ledger = Ledger::in_memory().unwrap();
        for span in &all {
            sent(&ledger, std::slice::from_ref(span));
        }
        assert_eq!(counted(&ledger).0, calls, "{version}");
    }
}

#[test]
fn a_relay_that_reuses_one_id_made_several_calls() {
    let span = |span: &str, second: u64, input: u64| {
        let nanos = |second: u64| (1_780_308_000_000_000_000 + second * 1_000_000_000).to_string();
        let attribute = |name: &str, value: Value| json!({"key": name, "value": value});
        json!({"scope": {"name": "opentelemetry.instrumentation.openai"}, "spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c", "spanId": span, "name": "chat glm-4.7",
            "startTimeUnixNano": nanos(second), "endTimeUnixNano": nanos(second + 2),
            "attributes": [
                attribute("gen_ai.operation.name", json!({"stringValue": "chat"})),
                attribute("gen_ai.response.id", json!({"stringValue": "relay"})),
                attribute("gen_ai.response.model", json!({"stringValue": "glm-4.7"})),
                attribute("gen_ai.usage.input_tokens", json!({"intValue": input})),
                attribute("gen_ai.usage.output_tokens", json!({"intValue": 5})),
            ]
        }]})
    };
    let all = [span("00000000000000a1", 0, 100), span("00000000000000a2", 60, 100), span("00000000000000a3", 61, 300)];
    let ledger = Ledger::in_memory().unwrap();
    for _ in 0..2 {
        for span in &all {
            sent(&ledger, std::slice::from_ref(span));
        }
        assert_eq!((counted(&ledger).0, counted(&ledger).1[0]), (3, 500));
    }
}

#[test]
fn equal_concurrent_calls_remain_separate() {
    // A second call with equal counts: two SDK spans with different ids, and two of the instrumentation.
    let all = spans();
    let (sdk, other) =
        (all[2].clone(), all.iter().find(|scope| scope["spans"][0]["name"] == "messages.stream").unwrap().clone());
    let mut twins = [sdk.clone(), other.clone(), sdk, other];
    for (at, scope) in twins.iter_mut().enumerate().skip(2) {
        scope["spans"][0]["spanId"] = json!(format!("00000000000000a{at}"));
        for id in ["gen_ai.response.id", "anthropic.request.id"] {
            if let Some(value) = attribute(scope, id) {
                *value = json!({ "stringValue": format!("{id}/again") });
            }
        }
    }
    for order in [[0, 1, 2, 3], [0, 2, 1, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let ledger = Ledger::in_memory().unwrap();
        for at in order {
            sent(&ledger, std::slice::from_ref(&twins[at]));
        }
        assert_eq!(counted(&ledger).0, 2, "{order:?}");
    }
    // A call that ends before the other one begins.
    let mut later = twins[1].clone();
    for end in ["startTimeUnixNano", "endTimeUnixNano"] {
        let nanos: u64 = later["spans"][0][end].as_str().unwrap().parse().unwrap();
        later["spans"][0][end] = json!((nanos + 1_000_000_000).to_string());
    }
    let ledger = Ledger::in_memory().unwrap();
    sent(&ledger, &[twins[0].clone(), later]);
    assert_eq!(counted(&ledger).0, 2);
}

#[test]
fn spans_side_by_side_are_paired_however_many_a_trace_has() {
    let mut all = Vec::new();
    for at in 0..40_u64 {
        for (scope, more) in spans().into_iter().filter(|scope| scope["spans"][0]["name"] != "app root").zip(0_u64..) {
            let mut scope = scope;
            // All of them have the same parent span.
            scope["spans"][0]["parentSpanId"] = json!("7c2478a000000000");
            scope["spans"][0]["spanId"] = json!(format!("{:016x}", 1 + at * 100 + more));
            for id in ["gen_ai.response.id", "anthropic.request.id"] {
                if let Some(value) = attribute(&mut scope, id) {
                    let text = value["stringValue"].as_str().unwrap().to_owned();
                    *value = json!({ "stringValue": format!("{text}/{at}") });
                }
            }
            for name in ["gen_ai.usage.output_tokens", "llm.token_count.completion"] {
                if let Some(value) = attribute(&mut scope, name) {
                    let output: u64 = value["intValue"].as_str().unwrap().parse().unwrap();
                    *value = json!({"intValue": (output + 10_000 * at).to_string()});
                }
            }
            all.push(scope);
        }
    }
    let ledger = Ledger::in_memory().unwrap();
    for spans in all.chunks(7) {
        sent(&ledger, spans);
    }
    assert_eq!(counted(&ledger).0, 160);
}

fn log(service: &str, of: &[(&str, Value)]) -> Telemetry {
    let one = |(name, value): &(&str, Value)| {
        let kind = if value.is_string() { "stringValue" } else { "intValue" };
        json!({"key": name, "value": {kind: value}})
    };
    let attributes: Vec<_> = of.iter().map(one).collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let record = json!({"timeUnixNano": "1780308000000000000", "attributes": attributes});
    let logs = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]});
    Telemetry::of_logs(&serde_json::from_value(logs).unwrap())
}

#[test]
fn notes_of_agents_are_neither_calls_nor_unknown_lines() {
    for (service, of) in [
        ("claude-code", vec![("event.name", "subagent_completed".into()), ("total_tokens", 900.into())]),
        ("claude-code", vec![("event.name", "claude_code.subagent_completed".into()), ("total_tokens", 900.into())]),
        (
            "claude-code",
            vec![("event.name", "compaction".into()), ("pre_tokens", 900.into()), ("post_tokens", 9.into())],
        ),
        ("x", vec![("event.name", "claude_code.compaction".into()), ("pre_tokens", 900.into())]),
    ] {
        let sent = log(service, &of);
        assert_eq!((sent.calls(), sent.unread.len()), (0, 0), "{of:?}");
    }
    let turn = json!({"scope": {"name": "codex"}, "spans": [{
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "session_task.turn",
        "startTimeUnixNano": "1780307999000000000", "endTimeUnixNano": "1780308000000000000",
        "attributes": [{"key": "codex.turn.token_usage.total_tokens", "value": {"intValue": 9}},
            {"key": "codex.usage.reasoning_output_tokens", "value": {"intValue": 9}}],
    }]});
    let sent = message(&[turn]);
    assert_eq!((sent.calls(), sent.unread.len()), (0, 0));
    // Any other item with tokens is still reported.
    assert_eq!(log("claude-code", &[("event.name", "summary".into()), ("total_tokens", 900.into())]).unread.len(), 1);
}

fn one(ledger: &Ledger) -> TokenRecord {
    let position = crate::Position::START.next();
    effective(ledger.snapshot().unwrap().view(), position, None).unwrap().unwrap().record
}

fn recorded_by(sent: Telemetry) -> TokenRecord {
    let ledger = Ledger::in_memory().unwrap();
    assert_eq!(take(&ledger, sent, "2026-11-28T20:00:00Z".parse::<Timestamp>().unwrap()).unwrap().counts.recorded, 1);
    one(&ledger)
}

#[test]
fn the_purpose_of_a_call_is_recorded() {
    let claude = log(
        "claude-code",
        &[
            ("event.name", "api_request".into()),
            ("session.id", "s".into()),
            ("request_id", "req_1".into()),
            ("model", "claude-opus-4-5".into()),
            ("query_source", "compact".into()),
            ("input_tokens", 3.into()),
            ("output_tokens", 7.into()),
        ],
    );
    assert_eq!(recorded_by(claude).labels["purpose"], "compact");
    let gemini = log(
        "gemini-cli",
        &[
            ("event.name", "gemini_cli.api_response".into()),
            ("session.id", "s".into()),
            ("model", "gemini-3-pro".into()),
            ("role", "utility_router".into()),
            ("input_token_count", 3.into()),
            ("output_token_count", 7.into()),
        ],
    );
    assert_eq!(recorded_by(gemini).labels["purpose"], "utility_router");
}

#[test]
fn machine_key_and_workspace_of_a_call_are_recorded() {
    let call = |more: &[(&str, Value)]| {
        let mut of = vec![
            ("event.name", Value::from("api_request")),
            ("session.id", "s".into()),
            ("request_id", "req_1".into()),
            ("model", "claude-opus-4-5".into()),
            ("api_key_id", "apikey_1".into()),
            ("workspace.id", "wrkspc_1".into()),
            ("inference_geo", "us".into()),
            ("input_tokens", 3.into()),
            ("output_tokens", 7.into()),
        ];
        of.extend(more.iter().cloned());
        recorded_by(log("claude-code", &of)).labels
    };
    let labels = call(&[("host.name", "laptop".into()), ("service.instance.id", "pod-1".into())]);
    let named = ["machine", "api_key_id", "workspace", "inference_geo"].map(|name| labels[name].as_str());
    assert_eq!(named, ["laptop", "apikey_1", "wrkspc_1", "us"]);
    assert_eq!(call(&[("service.instance.id", "pod-1".into())])["machine"], "pod-1");
    let random = call(&[("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09".into())]);
    assert!(!random.contains_key("machine"), "{random:?}");
}

fn codex(tier: Option<&str>) -> Telemetry {
    let mut of = vec![
        ("event.name", Value::from("codex.sse_event")),
        ("conversation.id", "c".into()),
        ("model", "gpt-5".into()),
        ("input_token_count", 5.into()),
        ("output_token_count", 10.into()),
    ];
    of.extend(tier.map(|tier| ("service_tier", tier.into())));
    log("codex_exec", &of)
}

#[test]
fn telemetry_overrides_a_tier_from_a_setting() {
    let now: Timestamp = "2026-11-28T20:00:00Z".parse().unwrap();
    for (sent, tier, from) in [
        (Some("default"), "standard", None),
        (Some("flex"), "flex", None),
        (Some("priority"), "priority", None),
        (None, "priority", Some("setting")),
    ] {
        let ledger = Ledger::in_memory().unwrap();
        let mut record =
            TokenRecord::new("openai", "gpt-5").input(5).output(10).agent("codex").conversation("c").key("k");
        crate::import::engine::service_tiers::set_requested(&mut record, "priority");
        let event = crate::model::event::NewEvent::new(record, Timestamp::from_millis(1_780_308_000_000));
        ledger.append([event.source("codex")], now).unwrap();
        take(&ledger, codex(sent), now).unwrap();
        let labels = one(&ledger).labels;
        assert_eq!(
            (labels["service_tier"].as_str(), labels.get("service_tier_from").map(String::as_str)),
            (tier, from)
        );
    }
    // A call without a log, as of `codex exec --ephemeral`, is recorded with its tier.
    assert_eq!(recorded_by(codex(Some("priority"))).labels["service_tier"], "priority");
}
