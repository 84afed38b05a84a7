//! Whole responses and streams.

use usage_ledger::event::Quality;
use usage_ledger::normalise::{self, UsageFormat};
use usage_ledger::{Error, TokenRecord};

use crate::normalise::{read, tokens};

fn record(format: &str, text: &str) -> TokenRecord {
    normalise::response(format.parse().unwrap(), text).unwrap_or_else(|e| panic!("{format} {text}: {e}"))
}

fn refused(format: &str, text: &str) -> String {
    match normalise::response(format.parse().unwrap(), text) {
        Err(error @ Error::Invalid { .. }) => error.to_string(),
        other => panic!("{format} {text}: {other:?}"),
    }
}

fn raw(record: &TokenRecord) -> &str {
    record.raw.as_ref().unwrap().get()
}

macro_rules! stream {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/normalise/", $name))
    };
}

#[test]
fn the_last_usage_of_a_stream_counts() {
    let cases = [
        (
            "anthropic",
            stream!("anthropic.sse"),
            "anthropic",
            "claude-opus-4-8",
            "msg_01XFDUDYJgAACzvnptvVoYEL",
            "30 2000 60 40 - 150 -",
        ),
        ("openai-chat", stream!("openai-chat.sse"), "openai", "gpt-5.1-2025-11-13", "chatcmpl-B9MBs", "19 0 - - - 6 4"),
        (
            "openai-responses",
            stream!("openai-responses.sse"),
            "openai",
            "gpt-5.1",
            "resp_67c9fdcecf48",
            "7 30 - - - 8 3",
        ),
        ("gemini", stream!("gemini.json"), "google", "gemini-2.5-pro", "aXJ8aKvN", "30 10 - - - 3 20"),
        ("ollama", stream!("ollama.ndjson"), "ollama", "qwen3:8b", "", "26 - - - - 282 -"),
        ("bedrock", stream!("bedrock.ndjson"), "aws-bedrock", "", "", "47 100 - - 0 20 -"),
        (
            "mistral",
            stream!("mistral.sse"),
            "mistral",
            "mistral-medium-latest",
            "cmpl-e5cc70bb28c444948073e77776eb30ef",
            "33 768 - - - 9 -",
        ),
        (
            "deepseek",
            stream!("deepseek.sse"),
            "deepseek",
            "deepseek-reasoner",
            "1f633d8b-fd29-4fea-8d7e-3a8b1e3e0c5a",
            "36 64 - - - 5 45",
        ),
        ("xai", stream!("xai.sse"), "xai", "grok-4.3", "f3d8c3b2", "26 6 - - - 9 94"),
        ("codex", stream!("codex.ndjson"), "openai", "", "", "315 24448 - - - 122 -"),
    ];
    for (format, text, provider, model, key, expected) in cases {
        let record = record(format, text);
        assert_eq!(record.tokens, tokens(expected), "{format}");
        assert_eq!(record.provider, provider);
        assert_eq!(record.model.as_deref().unwrap_or(""), model);
        assert_eq!(record.keys.first().map_or("", String::as_str), key);
        assert_eq!((record.quality, record.residual.as_deref()), (Quality::Reported, None), "{format}");
        // The stored usage object gives the same counts again.
        assert_eq!(read(format, raw(&record)).tokens, record.tokens, "{format}");
        assert!(!raw(&record).contains("Hi") && !raw(&record).contains("secret"), "{format}");
        if format != "anthropic" && format != "ollama" {
            assert!(minified(text).contains(&minified(raw(&record))), "{format}: value for value");
        }
        // Line endings and a byte order mark make no difference.
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(self::record(format, &windows), record, "{format}");
    }
}

/// Without white space, of JSON whose strings have none.
fn minified(json: &str) -> String {
    json.chars().filter(|char| !char.is_whitespace()).collect()
}

#[test]
fn assembled_usage_keeps_every_value_verbatim() {
    assert_eq!(
        raw(&record("anthropic", stream!("anthropic.sse"))),
        r#"{"input_tokens":30,"cache_creation_input_tokens":100,"cache_read_input_tokens":2000,"cache_creation":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":40},"output_tokens":150,"service_tier":"standard"}"#
    );
    let ollama = record("ollama", stream!("ollama.ndjson"));
    assert_eq!(
        raw(&ollama),
        r#"{"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000}"#
    );
    assert_eq!(ollama.duration_ms, Some(4884));
    assert_eq!(record("bedrock", stream!("bedrock.ndjson")).duration_ms, Some(100));
    assert_eq!(record("xai", stream!("xai.sse")).cost.unwrap().to_string(), "0.0037756");
    // Nothing is assembled if the last event is complete.
    let whole = r#"{ "output_tokens": 9, "input_tokens": 3 }"#;
    let stream = format!(
        "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{{\"input_tokens\":3,\"output_tokens\":1}}}}}}\n\ndata: {{\"usage\":{whole}}}"
    );
    assert_eq!(raw(&record("anthropic", &stream)), minified(whole));
}

#[test]
fn response_bodies_and_bare_usage_objects_are_accepted() {
    let usage = r#"{ "input_tokens": 3,  "output_tokens": 4.0e0 }"#.replace("4.0e0", "4");
    let body = format!(
        "{{\n \"id\": \"msg_1\", \"type\": \"message\", \"model\": \"m\", \"content\": [{{\"text\": \"Hi\"}}],\n \"usage\": {usage}\n}}\n"
    );
    let whole = record("anthropic", &body);
    assert_eq!((raw(&whole), whole.keys[0].as_str()), (minified(&usage).as_str(), "msg_1"));
    let bare = record("anthropic", &format!("\n {usage} \n"));
    assert_eq!((raw(&bare), bare.keys.len(), bare.model.as_deref()), (minified(&usage).as_str(), 0, None));
    assert_eq!(bare.tokens, whole.tokens);
    assert_eq!(bare.normaliser.as_deref(), Some("anthropic/1"));

    let log = r#"{"type":"assistant","uuid":"u","requestId":"req_1","message":{"id":"msg_2","model":"m","usage":{"input_tokens":1,"output_tokens":2}}}"#;
    assert_eq!(record("claude-code", log).keys, ["msg_2"]);
    let assist =
        r#"{"response":{"modelVersion":"g","responseId":"r","usageMetadata":{"promptTokenCount":1}},"traceId":"t"}"#;
    assert_eq!(record("gemini", assist).keys, ["r"]);
    let groq = r#"{"id":"chatcmpl-1","model":"m","choices":[],"x_groq":{"id":"req_1","usage":{"prompt_tokens":1,"completion_tokens":2}}}"#;
    assert_eq!(record("openai-chat", groq).tokens, tokens("1 - - - - 2 -"));
    assert_eq!(record("openai-chat", groq).keys, ["chatcmpl-1"]);
    let boto = r#"{"ResponseMetadata":{"RequestId":"b1"},"output":{},"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":7}}"#;
    assert_eq!((record("bedrock", boto).keys, record("bedrock", boto).duration_ms), (vec!["b1".to_owned()], Some(7)));
    let embedding = r#"{"model":"nomic","embeddings":[[0.5]],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}"#;
    assert_eq!(record("ollama", embedding).tokens, tokens("8 - - - - - -"));
    // An id or a model of an unknown format does not lose the counts.
    let odd = r#"{"id":7,"model":null,"usage":{"prompt_tokens":1}}"#;
    assert_eq!((record("openai-chat", odd).keys.len(), record("openai-chat", odd).model), (0, None));
}

#[test]
fn doubts_about_a_stream_are_flagged() {
    let start = r#"data: {"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":25,"output_tokens":1}}}"#;
    let cut = record("anthropic", start);
    assert_eq!((cut.quality, cut.tokens), (Quality::Derived, tokens("25 - - - - 1 -")));
    assert!(cut.residual.unwrap().contains("ends before `message_delta`"));

    let fell =
        record("anthropic", &format!("{start}\n\ndata: {{\"usage\":{{\"input_tokens\":0,\"output_tokens\":9}}}}\n"));
    assert_eq!((fell.quality, fell.tokens), (Quality::Derived, tokens("25 - - - - 9 -")));
    assert_eq!(fell.residual.as_deref(), Some("`input_tokens` fell from 25 to 0 in the stream: kept 25"));
}

#[test]
fn input_that_is_not_one_response_is_refused() {
    let two = |format: &str, one: &str, other: &str| refused(format, &format!("{one}\n{other}"));
    let cases = [
        two("openai-chat", r#"{"id":"a","usage":{"prompt_tokens":1}}"#, r#"{"id":"b","usage":{"prompt_tokens":1}}"#),
        two("ollama", r#"{"done":true,"eval_count":1}"#, r#"{"done":true,"eval_count":2}"#),
        two(
            "anthropic",
            r#"{"type":"message_start","message":{"id":"a","usage":{"input_tokens":1}}}"#,
            r#"{"type":"message_start","message":{"id":"b","usage":{"input_tokens":1}}}"#,
        ),
    ];
    for input in cases {
        assert!(input.contains("more than one response"), "{input}");
    }
    for (format, text, expected) in [
        ("openai-chat", "", "the input is empty"),
        ("openai-chat", "Internal Server Error", "line 1"),
        (
            "openai-chat",
            "data: {\"id\":\"a\",\"choices\":[]}\n\ndata: {\"choices\":[]}\n\ndata: [DONE]",
            "include_usage",
        ),
        ("openai-chat", "data: [DONE]", "states no usage"),
        ("openai-chat", r#"{"error":{"message":"no","code":429}}"#, "no token count"),
        ("openai-chat", r#"{"id":"a","usage":{"prompt_tokens":1}"#, "not JSON"),
        ("openai-chat", r#"{"id":"a","usage":[1,2]}"#, "not a JSON object"),
        ("openai-chat", "[]", "states no usage"),
        ("openai-chat", "[1]", "not a JSON object"),
        ("anthropic", r#"{"type":"error","error":{"type":"overloaded_error"}}"#, "no token count"),
        ("ollama", r#"{"model":"m","response":"a","done":false}"#, "done: true"),
        ("gemini", r#"{"usageMetadata":{"promptTokenCount":-1}}"#, "`promptTokenCount` is -1"),
    ] {
        let message = refused(format, text);
        assert!(message.contains(expected), "{format} {text}: {message}");
    }
}

#[test]
fn no_text_makes_it_panic() {
    let deep = "[".repeat(100_000);
    let long = "data: {\n".repeat(2000);
    for text in
        [deep.as_str(), long.as_str(), "\u{0}", "data", ":", "{}", "{\"usage\":{}}", "{\"message\":[]}", "data: é\n\n"]
    {
        for format in UsageFormat::ALL {
            assert!(normalise::response(format, text).is_err());
        }
    }
}
