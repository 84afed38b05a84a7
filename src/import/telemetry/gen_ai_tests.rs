use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::{Value, json};

use super::*;
use crate::ledger::Ledger;
use crate::model::time::Timestamp;
use crate::{Report, ReportKey};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

/// One report of a call, and its sender.
#[derive(Clone, Debug)]
struct CallReport {
    name: &'static str,
    second: u64,
    /// The span; a log record has none.
    span: Option<u8>,
    within: Option<u8>,
    attributes: BTreeMap<&'static str, Value>,
}

fn span(id: u8, within: Option<u8>, name: &'static str, attributes: &[(&'static str, Value)]) -> CallReport {
    CallReport { name, second: 2, span: Some(id), within, attributes: attributes.iter().cloned().collect() }
}

fn event(within: u8, second: u64, attributes: &[(&'static str, Value)]) -> CallReport {
    let name = "gen_ai.client.inference.operation.details";
    CallReport { name, second, span: None, within: Some(within), attributes: attributes.iter().cloned().collect() }
}

fn used(input: u64, output: u64) -> Vec<(&'static str, Value)> {
    vec![
        ("gen_ai.request.model", "gpt-5".into()),
        ("gen_ai.usage.input_tokens", input.into()),
        ("gen_ai.usage.output_tokens", output.into()),
    ]
}

fn with(mut sent: Vec<(&'static str, Value)>, name: &'static str, value: &str) -> Vec<(&'static str, Value)> {
    sent.push((name, value.into()));
    sent
}

fn chat(input: u64, output: u64) -> Vec<(&'static str, Value)> {
    with(with(used(input, output), "gen_ai.operation.name", "chat"), "gen_ai.provider.name", "openai")
}

impl CallReport {
    fn attributes(&self) -> Value {
        let one = |(name, value): (&&str, &Value)| {
            let sent = if value.is_string() { "stringValue" } else { "intValue" };
            json!({"key": name, "value": {sent: value}})
        };
        self.attributes.iter().map(one).collect()
    }

    fn span_json(&self) -> Value {
        let id = |id: Option<u8>| id.map_or(String::new(), |id| format!("eee19b7ec3c1b1{id:02}"));
        json!({
            "traceId": TRACE, "spanId": id(self.span), "parentSpanId": id(self.within), "name": self.name,
            "startTimeUnixNano": "1780308000000000000", "attributes": self.attributes(),
            "endTimeUnixNano": format!("178030800{}000000000", self.second),
        })
    }

    fn telemetry(&self) -> Telemetry {
        if self.span.is_some() {
            return spans(&[self]);
        }
        let record = json!({
            "traceId": TRACE, "spanId": format!("eee19b7ec3c1b1{:02}", self.within.unwrap()), "eventName": self.name,
            "timeUnixNano": format!("178030800{}000000000", self.second), "attributes": self.attributes(),
        });
        let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
        Telemetry::of_logs(&serde_json::from_value::<ExportLogsServiceRequest>(logs).unwrap())
    }
}

fn spans(sent: &[&CallReport]) -> Telemetry {
    let spans: Vec<_> = sent.iter().map(|tale| tale.span_json()).collect();
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    Telemetry::of_spans(&serde_json::from_value::<ExportTraceServiceRequest>(request).unwrap())
}

fn send(ledger: &Ledger, sent: Telemetry) -> Ingested {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    assert_eq!(sent.unread, [""; 0]);
    take(ledger, sent, now).unwrap().counts
}

/// Returns requests and tokens by provider.
fn counted(ledger: &Ledger) -> Vec<(String, u64, u128)> {
    let table = ledger.report(&Report::by(ReportKey::Provider)).unwrap();
    let row = |row: &crate::ReportRow| {
        (row.keys[0].clone().unwrap_or_default(), row.usage.requests, row.usage.tokens.total())
    };
    table.rows.iter().map(row).collect()
}

fn orders<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    if all.is_empty() {
        return vec![Vec::new()];
    }
    let mut orderings = Vec::new();
    for at in 0..all.len() {
        let mut rest = all.to_vec();
        let first = rest.remove(at);
        orderings.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    orderings
}

/// Expects these counts for every order of arrival, and after sending everything again.
fn count_in_every_order(sent: &[CallReport], expected: &[(&str, u64, u128)]) {
    for order in orders(sent) {
        let ledger = Ledger::in_memory().unwrap();
        for tale in &order {
            send(&ledger, tale.telemetry());
        }
        let expected: Vec<_> = expected.iter().map(|(name, calls, sum)| ((*name).to_owned(), *calls, *sum)).collect();
        assert_eq!(counted(&ledger), expected, "{order:#?}");
        for tale in order.iter().rev() {
            send(&ledger, tale.telemetry());
        }
        assert_eq!(counted(&ledger), expected, "again {order:#?}");
        let head = ledger.head().unwrap();
        for tale in &order {
            assert_eq!(send(&ledger, tale.telemetry()).recorded, 0);
        }
        assert_eq!(ledger.head().unwrap(), head, "{order:#?}");
        assert!(ledger.verify().unwrap().ok);
    }
}

#[test]
fn a_span_and_the_log_record_in_it_are_one_call_without_an_id() {
    let sent = [span(1, None, "chat gpt-5", &chat(100, 20)), event(1, 2, &chat(100, 20))];
    count_in_every_order(&sent, &[("openai", 1, 120)]);
}

#[test]
fn log_records_in_a_span_without_a_call_are_separate_calls() {
    let named = |id: &str| with(chat(100, 20), "gen_ai.response.id", id);
    count_in_every_order(&[event(1, 2, &chat(100, 20)), event(1, 3, &chat(100, 20))], &[("openai", 2, 240)]);
    count_in_every_order(&[event(1, 2, &named("a")), event(1, 2, &named("b"))], &[("openai", 2, 240)]);
}

#[test]
fn a_span_of_a_framework_and_the_client_span_below_it_are_one_call() {
    let outer = with(used(100, 20), "gen_ai.system", "Langchain");
    let inner = with(chat(100, 20), "gen_ai.response.id", "resp_1");
    let sent = [
        span(1, None, "ChatOpenAI.chat", &outer),
        span(2, Some(1), "openai.chat", &inner),
        event(2, 2, &chat(100, 20)),
    ];
    count_in_every_order(&sent, &[("openai", 1, 120)]);
    // Three levels, with a span without tokens between.
    let sent = [
        span(1, None, "ChatOpenAI", &outer),
        span(2, Some(1), "chat", &with(used(100, 20), "llm.request.type", "chat")),
        span(3, Some(2), "openai.chat", &inner),
    ];
    count_in_every_order(&sent, &[("openai", 1, 120)]);
    let between = span(4, Some(1), "POST", &[]);
    let ledger = Ledger::in_memory().unwrap();
    let below = span(2, Some(4), "openai.chat", &inner);
    send(&ledger, spans(&[&below, &between, &sent[0]]));
    assert_eq!(counted(&ledger), [("openai".to_owned(), 1, 120)]);
}

#[test]
fn siblings_with_other_counts_or_ids_remain_separate() {
    let (one, two) = (with(chat(100, 20), "gen_ai.response.id", "a"), with(chat(100, 20), "gen_ai.response.id", "b"));
    let sent = [span(1, Some(3), "chat", &one), span(2, Some(3), "chat", &two)];
    count_in_every_order(&sent, &[("openai", 2, 240)]);
    let sent = [span(1, None, "chat", &one), span(2, Some(1), "chat", &two)];
    count_in_every_order(&sent, &[("openai", 2, 240)]);
    let sent = [span(1, None, "chat", &chat(100, 20)), span(2, Some(1), "chat", &chat(7, 3))];
    count_in_every_order(&sent, &[("openai", 2, 130)]);
    // A call with two attempts below one span.
    let sent = [span(1, None, "chat", &chat(100, 20)), span(2, Some(1), "chat", &one), span(3, Some(1), "chat", &two)];
    count_in_every_order(&sent, &[("openai", 2, 240)]);
}

#[test]
fn a_span_with_the_counts_of_its_children_is_their_sum() {
    let below =
        |id: u8, name: &str, input: u64| span(id, Some(1), "chat", &with(chat(input, 10), "gen_ai.response.id", name));
    let sent = [span(1, None, "chat", &chat(30, 20)), below(2, "a", 10), below(3, "b", 20)];
    count_in_every_order(&sent, &[("openai", 2, 50)]);
    // A span of unknown kind becomes a sum when a call appears below it, whatever it states.
    let sent = [span(1, None, "my pipeline", &with(used(77, 7), "gen_ai.system", "openai")), below(2, "a", 10)];
    count_in_every_order(&sent, &[("openai", 1, 20)]);
}

#[test]
fn an_item_with_tokens_and_a_model_is_a_call_unless_it_is_a_sum() {
    let calls = [
        with(used(10, 2), "gen_ai.operation.name", "chat.completions"),
        with(used(10, 2), "gen_ai.operation.name", "Chat"),
        with(used(10, 2), "ai.operationId", "ai.streamText.doStream"),
        with(used(10, 2), "openinference.span.kind", "LLM"),
    ];
    let ledger = Ledger::in_memory().unwrap();
    for (id, (name, attributes)) in
        ["x", "call_llm", "ChatOpenAI", "Chat Completion with 'gpt-5'", "anthropic.messages.create"]
            .map(|name| (name, used(10, 2)))
            .into_iter()
            .chain(calls.map(|attributes| ("x", attributes)))
            .enumerate()
    {
        let sent = span(u8::try_from(id).unwrap() + 1, None, name, &attributes).telemetry();
        assert_eq!(send(&ledger, sent).recorded, 1, "{name} {attributes:?}");
    }
    for (name, attributes) in [
        ("ai.generateText", used(10, 2)),
        ("x", with(used(10, 2), "ai.operationId", "ai.streamText")),
        ("x", with(used(10, 2), "gen_ai.operation.name", "invoke_agent")),
        ("x", with(used(10, 2), "traceloop.span.kind", "workflow")),
        ("x", with(used(10, 2), "openinference.span.kind", "AGENT")),
        ("agent run", used(10, 2)),
    ] {
        let sent = span(90, None, name, &attributes).telemetry();
        assert_eq!((sent.calls(), sent.unread.len()), (0, 0), "{name}");
    }
    // An item with tokens is never dropped silently.
    let nameless = span(91, None, "x", &[("gen_ai.usage.input_tokens", 3.into())]).telemetry();
    assert!(nameless.unread[0].contains("names no model"), "{:?}", nameless.unread);
    let foreign = span(92, None, "x", &[("my.tokens_used", 3.into()), ("gen_ai.request.max_tokens", 9.into())]);
    assert!(foreign.telemetry().unread[0].contains("my.tokens_used"));
    // Nor is a count that is a list.
    let mut listed = span(94, None, "chat gpt-5", &chat(3, 2));
    listed.attributes.retain(|name, _| !name.ends_with("input_tokens"));
    let mut sent = listed.span_json();
    let count = json!({"key": "gen_ai.usage.input_tokens", "value": {"arrayValue": {"values": [{"intValue": 3}]}}});
    sent["attributes"].as_array_mut().unwrap().push(count);
    let sent = json!({"resourceSpans": [{"scopeSpans": [{"spans": [sent]}]}]});
    let listed = Telemetry::of_spans(&serde_json::from_value::<ExportTraceServiceRequest>(sent).unwrap());
    assert!(listed.unread[0].contains("is no whole number"), "{:?}", listed.unread);
    let limits = span(93, None, "x", &[("gen_ai.request.max_tokens", 9.into())]).telemetry();
    assert_eq!((limits.calls(), limits.unread.len()), (0, 0));
}

#[test]
fn the_names_of_openinference_and_the_ai_sdk_are_read() {
    let ledger = Ledger::in_memory().unwrap();
    let openinference = [
        ("openinference.span.kind", "LLM".into()),
        ("llm.provider", "openai".into()),
        ("llm.model_name", "gpt-5".into()),
        ("llm.token_count.prompt", 100.into()),
        ("llm.token_count.prompt_details.cache_read", 60.into()),
        ("llm.token_count.completion", 20.into()),
        ("llm.token_count.completion_details.reasoning", 5.into()),
        ("llm.token_count.total", 120.into()),
    ];
    send(&ledger, span(1, None, "ChatCompletion", &openinference).telemetry());
    let line = ledger.event(1).unwrap().to_line().unwrap();
    assert!(line.contains(r#""tokens":{"input":40,"cache_read":60,"output":15,"reasoning":5}"#), "{line}");
    let sdk = with(used(10, 2), "gen_ai.system", "openai.chat");
    send(&ledger, span(2, None, "ai.streamText.doStream", &sdk).telemetry());
    for (id, name) in [(3, "vertex_ai"), (4, "az.ai.inference"), (5, "az.ai.openai"), (6, "azure_openai")] {
        send(&ledger, span(id, None, "chat", &with(used(1, 1), "gen_ai.system", name)).telemetry());
    }
    let expected = [("azure-openai", 3, 6), ("google-vertex", 1, 2), ("openai", 2, 132)];
    assert_eq!(counted(&ledger), expected.map(|(name, calls, sum)| (name.to_owned(), calls, sum)));
}

#[test]
fn detailed_counts_are_read_under_the_names_of_each_instrumentation() {
    let ai_sdk = |provider: &'static str, more: &[(&'static str, i64)]| {
        let mut sent: Vec<(&'static str, Value)> = vec![
            ("ai.operationId", "ai.generateText.doGenerate".into()),
            ("ai.model.provider", provider.into()),
            ("ai.model.id", "m".into()),
            ("ai.usage.inputTokens", 100.into()),
            ("ai.usage.outputTokens", 20.into()),
        ];
        sent.extend(more.iter().map(|(name, count)| (*name, (*count).into())));
        sent
    };
    let chat = |more: &[(&'static str, i64)]| {
        let mut sent = chat(100, 20);
        sent.extend(more.iter().map(|(name, count)| (*name, (*count).into())));
        sent
    };
    for (sent, wanted) in [
        (
            ai_sdk(
                "anthropic.messages",
                &[
                    ("ai.usage.inputTokenDetails.cacheReadTokens", 60),
                    ("ai.usage.inputTokenDetails.cacheWriteTokens", 10),
                    ("ai.usage.cachedInputTokens", 60),
                    ("ai.usage.outputTokenDetails.reasoningTokens", 5),
                ],
            ),
            r#""tokens":{"input":30,"cache_read":60,"cache_write":10,"output":15,"reasoning":5}"#,
        ),
        // Version 5 of the AI SDK passes on Anthropic's input, which excludes the cache.
        (
            ai_sdk("anthropic.messages", &[("ai.usage.cachedInputTokens", 60)]),
            r#""tokens":{"input":100,"cache_read":60,"output":20}"#,
        ),
        (
            ai_sdk("openai.responses", &[("ai.usage.cachedInputTokens", 60)]),
            r#""tokens":{"input":40,"cache_read":60,"output":20}"#,
        ),
        (
            chat(&[
                ("gen_ai.usage.details.cache_read_tokens", 60),
                ("gen_ai.usage.details.cache_write_tokens", 10),
                ("gen_ai.usage.details.reasoning_tokens", 5),
            ]),
            r#""tokens":{"input":30,"cache_read":60,"cache_write":10,"output":15,"reasoning":5}"#,
        ),
        (
            chat(&[("gen_ai.usage.input_tokens.cached", 60), ("gen_ai.usage.output_tokens.reasoning", 5)]),
            r#""tokens":{"input":40,"cache_read":60,"output":15,"reasoning":5}"#,
        ),
        // Tokens that are no text have other prices.
        (
            chat(&[
                ("gen_ai.usage.details.input_audio_tokens", 30),
                ("gen_ai.usage.details.cache_audio_read_tokens", 10),
                ("gen_ai.usage.details.output_audio_tokens", 4),
            ]),
            r#""modalities":{"cache_read_audio":10,"input_audio":20,"output_audio":4}"#,
        ),
        (
            chat(&[
                ("llm.token_count.prompt_details.audio", 30),
                ("llm.token_count.prompt_details.image", 7),
                ("llm.token_count.completion_details.audio", 0),
            ]),
            r#""modalities":{"input_audio":30,"input_image":7}"#,
        ),
    ] {
        let ledger = Ledger::in_memory().unwrap();
        send(&ledger, span(1, None, "chat", &sent).telemetry());
        let line = ledger.event(1).unwrap().to_line().unwrap();
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
}

#[test]
fn how_a_call_was_served_and_how_long_its_cache_lives_is_kept() {
    for (id, name) in [
        "openai.response.service_tier",
        "anthropic.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.response.service_tier",
    ]
    .into_iter()
    .enumerate()
    {
        let ledger = Ledger::in_memory().unwrap();
        let id = u8::try_from(id).unwrap();
        send(&ledger, span(id, None, "chat", &with(chat(10, 2), name, "flex")).telemetry());
        let line = ledger.event(1).unwrap().to_line().unwrap();
        assert!(line.contains(r#""labels":{"service_tier":"flex"}"#), "{line}");
    }
    let mut sent = with(chat(1_000, 2), "anthropic.request.id", "req_7");
    sent.extend([
        ("gen_ai.usage.cache_creation.input_tokens", 400.into()),
        ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens", 100.into()),
        ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", 300.into()),
        ("anthropic.response.service_tier", "standard".into()),
    ]);
    let ledger = Ledger::in_memory().unwrap();
    send(&ledger, span(1, None, "chat", &sent).telemetry());
    let line = ledger.event(1).unwrap().to_line().unwrap();
    assert!(line.contains(r#""cache_write_5m":100,"cache_write_1h":300,"output":2"#), "{line}");
    assert!(line.contains(r#""keys":["req_7","#) && !line.contains("service_tier\":\"standard"), "{line}");
}
