//! Counts that are easily missed: in unusual places, under other models' names, next to impossible ones.

use usage_ledger::event::Quality;
use usage_ledger::normalise::{self, UsageFormat};
use usage_ledger::{TokenRecord, Tokens};

use crate::normalise::{read, tokens};

fn response(format: UsageFormat, text: &str) -> TokenRecord {
    normalise::response(format, text).unwrap_or_else(|error| panic!("{format} {text}: {error}"))
}

/// Server-sent events of these objects.
fn stream(events: &[&str]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>() + "data: [DONE]\n"
}

#[test]
fn an_impossible_count_loses_only_its_class() {
    let cases = [
        // More cache reads than input, with and without a total.
        (
            "openai-chat",
            r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"prompt_tokens_details":{"cached_tokens":200}}"#,
            "100 200 - - - 5 -",
            "took the cached input as outside `prompt_tokens`, because it is larger than that; total 105 but parts sum to 305",
        ),
        (
            "openai-responses",
            r#"{"input_tokens":100,"output_tokens":5,"input_tokens_details":{"cached_tokens":80,"cache_write_tokens":40}}"#,
            "100 80 - - 40 5 -",
            "took the cached input as outside `input_tokens`",
        ),
        ("ollama", r#"{"prompt_eval_count":1,"prompt_eval_cached_count":2}"#, "1 2 - - - - -", "took the cached input"),
        ("gemini-cli", r#"{"input":1,"cached":2,"output":1}"#, "1 2 - - - 1 -", "took the cached input"),
        (
            "codex",
            r#"{"input_tokens":10,"cached_input_tokens":80,"output_tokens":5}"#,
            "10 80 - - - 5 -",
            "took the cached",
        ),
        // The same of reasoning, and of both.
        (
            "anthropic",
            r#"{"input_tokens":1,"output_tokens":5,"output_tokens_details":{"thinking_tokens":6}}"#,
            "1 - - - - 5 6",
            "took reasoning as outside `output_tokens`, because it is larger than that",
        ),
        (
            "openai-chat",
            r#"{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":3,"completion_tokens_details":{"reasoning_tokens":4}}"#,
            "1 3 - - - 2 4",
            "took the cached input as outside `prompt_tokens`, because it is larger than that; took reasoning as outside \
             `completion_tokens`, because it is larger than that",
        ),
        // Numbers below zero.
        (
            "opencode",
            r#"{"input":-3,"output":5,"reasoning":0,"cache":{"read":7,"write":0}}"#,
            "- 7 - - 0 5 0",
            "`input` is -3: left out",
        ),
        ("codex", r#"{"input_tokens":-3.0,"output_tokens":1}"#, "- - - - - 1 -", "`input_tokens` is -3: left out"),
        (
            "anthropic",
            r#"{"input_tokens":1,"output_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":-4,"ephemeral_1h_input_tokens":6}}"#,
            "1 - - 6 - 2 -",
            "`cache_creation.ephemeral_5m_input_tokens` is -4: left out",
        ),
        (
            "gemini",
            r#"{"promptTokenCount":9,"candidatesTokenCount":-1,"totalTokenCount":8}"#,
            "9 - - - - - -",
            "`candidatesTokenCount` is -1: left out; total 8 but parts sum to 9",
        ),
        (
            "xai",
            r#"{"prompt_tokens":1,"completion_tokens":2,"cost_in_usd_ticks":-1}"#,
            "1 - - - - 2 -",
            "`cost_in_usd_ticks` is -1: left out",
        ),
    ];
    for (format, json, expected, says) in cases {
        let normalised = read(format, json);
        assert_eq!(normalised.tokens, tokens(expected), "{format} {json}");
        assert_eq!(normalised.quality, Quality::Derived, "{format} {json}");
        let residual = normalised.residual.unwrap();
        assert!(residual.contains(says), "{format} {json}: {residual}");
    }
}

#[test]
fn whole_numbers_may_be_written_with_a_fraction_of_zero() {
    for (format, json, expected) in [
        (
            "anthropic",
            r#"{"input_tokens":1234.0,"output_tokens":5e1,"cache_read_input_tokens":-0.0}"#,
            "1234 0 - - - 50 -",
        ),
        ("openai-chat", r#"{"prompt_tokens":10.0,"completion_tokens":2.0,"total_tokens":12.0}"#, "10 - - - - 2 -"),
        ("gemini", r#"{"promptTokenCount":8.0,"thoughtsTokenCount":5.0,"totalTokenCount":13.0}"#, "8 - - - - - 5"),
        ("opencode", r#"{"input":10.0,"output":5.0,"reasoning":9.0}"#, "10 - - - - 5 9"),
    ] {
        let normalised = read(format, json);
        assert_eq!((normalised.tokens, normalised.residual), (tokens(expected), None), "{format} {json}");
    }
}

#[test]
fn cache_counts_are_read_from_every_known_field() {
    for (format, json, expected) in [
        ("openai-chat", r#"{"prompt_tokens":900,"completion_tokens":40,"cached_tokens":700}"#, "200 700 - - - 40 -"),
        (
            "openai-chat",
            r#"{"prompt_tokens":900,"completion_tokens":40,"prompt_cache_hit_tokens":640,"prompt_cache_miss_tokens":260}"#,
            "260 640 - - - 40 -",
        ),
        // A zero in the usual field does not hide the count in another.
        (
            "openai-chat",
            r#"{"prompt_tokens":900,"completion_tokens":40,"prompt_tokens_details":{"cached_tokens":0},"prompt_cache_hit_tokens":640}"#,
            "260 640 - - - 40 -",
        ),
        (
            "openai-chat",
            r#"{"prompt_tokens":900,"completion_tokens":40,"prompt_tokens_details":{"cached_tokens":0,"cache_creation_tokens":50},"cache_read_input_tokens":100}"#,
            "750 100 - - 50 40 -",
        ),
        ("openai-responses", r#"{"input_tokens":900,"output_tokens":40,"cached_tokens":700}"#, "200 700 - - - 40 -"),
    ] {
        assert_eq!(read(format, json).tokens, tokens(expected), "{format} {json}");
    }
}

#[test]
fn the_last_choice_may_hold_the_usage() {
    let usage = r#"{"prompt_tokens":900,"completion_tokens":40,"total_tokens":940,"cached_tokens":700}"#;
    let begun =
        r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null,"usage":null}]}"#;
    let choices = format!(r#"[{{"index":0,"usage":null}},{{"index":1,"usage":{usage}}}]"#);
    let nulled = format!(r#"{{"id":"c","model":"m","choices":{choices},"usage":null}}"#);
    let zeroed =
        format!(r#"{{"id":"c","model":"m","choices":{choices},"usage":{{"prompt_tokens":0,"completion_tokens":0}}}}"#);
    for (format, text) in [
        (UsageFormat::OpenaiChat, stream(&[begun, &nulled])),
        (UsageFormat::OpenaiChat, nulled.clone()),
        (UsageFormat::OpenaiChat, stream(&[begun, &zeroed])),
        (UsageFormat::Deepseek, stream(&[&nulled])),
    ] {
        let record = response(format, &text);
        assert_eq!(record.tokens, tokens("200 700 - - - 40 -"), "{text}");
        assert_eq!(record.keys, ["c"]);
    }
}

#[test]
fn a_zero_or_a_gap_in_the_last_stream_event_keeps_earlier_counts() {
    let cases = [
        (
            UsageFormat::Anthropic,
            [
                r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":271,"cache_read_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":4},"output_tokens":1}}}"#,
                r#"{"type":"message_delta","usage":{"input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0},"output_tokens":90}}"#,
            ],
            "271 9 4 - - 90 -",
        ),
        (
            UsageFormat::OpenaiChat,
            [
                r#"{"id":"a","usage":{"prompt_tokens":271,"completion_tokens":1,"total_tokens":272,"prompt_tokens_details":{"cached_tokens":200}}}"#,
                r#"{"id":"a","usage":{"prompt_tokens":0,"completion_tokens":90,"total_tokens":90,"prompt_tokens_details":{"cached_tokens":0}}}"#,
            ],
            "71 200 - - - 90 -",
        ),
        (
            UsageFormat::OpenaiResponses,
            [
                r#"{"type":"response.in_progress","response":{"id":"r","usage":{"input_tokens":271,"output_tokens":0}}}"#,
                r#"{"type":"response.completed","response":{"id":"r","usage":{"input_tokens":0,"output_tokens":90}}}"#,
            ],
            "271 - - - - 90 -",
        ),
        (
            UsageFormat::Gemini,
            [
                r#"{"responseId":"g","usageMetadata":{"promptTokenCount":271,"cachedContentTokenCount":200,"totalTokenCount":271}}"#,
                r#"{"responseId":"g","usageMetadata":{"candidatesTokenCount":90,"totalTokenCount":361}}"#,
            ],
            "71 200 - - - 90 -",
        ),
        (
            UsageFormat::Bedrock,
            [
                r#"{"metadata":{"usage":{"inputTokens":271,"outputTokens":1,"totalTokens":272}}}"#,
                r#"{"metadata":{"usage":{"inputTokens":0,"outputTokens":90,"totalTokens":361}}}"#,
            ],
            "271 - - - - 90 -",
        ),
        (
            UsageFormat::Xai,
            [
                r#"{"id":"x","usage":{"prompt_tokens":271,"completion_tokens":90,"total_tokens":361}}"#,
                r#"{"id":"x","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#,
            ],
            "271 - - - - 90 -",
        ),
    ];
    for (format, events, expected) in cases {
        assert_eq!(response(format, &stream(&events)).tokens, tokens(expected), "{format}");
    }
}

#[test]
fn iterations_of_other_models_are_separate_calls() {
    let usage = |iterations: &str| {
        format!(
            r#"{{"id":"msg_1","model":"claude-sonnet-4-6","usage":{{"input_tokens":10,"output_tokens":20,"service_tier":"batch","iterations":{iterations}}}}}"#
        )
    };
    let calls = |iterations: &str| normalise::calls(UsageFormat::Anthropic, &usage(iterations)).unwrap();
    let own = r#"{"type":"message","input_tokens":10,"output_tokens":20}"#;
    let advice = r#"{"type":"advisor_message","model":"claude-opus-4-7","input_tokens":30,"cache_creation_input_tokens":7,"output_tokens":4}"#;

    let [outer, advised, again] = &calls(&format!("[{advice},{own}, {advice}]"))[..] else { panic!() };
    assert_eq!((outer.tokens, outer.residual.as_deref()), (tokens("10 - - - - 20 -"), None));
    assert_eq!(advised.tokens, tokens("30 - - - 7 4 -"));
    assert_eq!(advised.model.as_deref(), Some("claude-opus-4-7"));
    assert_eq!(
        (&*advised.keys, &*again.keys),
        (&["msg_1/iterations/0".to_owned()][..], &["msg_1/iterations/2".to_owned()][..])
    );
    assert_eq!(advised.raw.as_ref().unwrap().get(), advice);
    // The message's service tier does not apply to the advisor.
    assert_eq!((outer.labels.len(), advised.labels.get("purpose").map(String::as_str)), (1, Some("advisor")));
    assert!(!advised.labels.contains_key("service_tier"));

    // A compaction by the same model counts with the message, one by another model separately.
    let summary = r#"{"type":"compaction","input_tokens":100,"output_tokens":5}"#;
    let [one] = &calls(&format!("[{summary},{own}]"))[..] else { panic!() };
    assert_eq!(one.tokens, tokens("110 - - - - 25 -"));
    let other = summary.replace("\"input", "\"model\":\"claude-haiku-4-5\",\"input");
    let [one, two] = &calls(&format!("[{other},{own}]"))[..] else { panic!() };
    assert_eq!((one.tokens, two.tokens), (tokens("10 - - - - 20 -"), tokens("100 - - - - 5 -")));

    // For an unknown kind, the totals show whether they include it.
    let new = r#"{"type":"verifier","model":"claude-haiku-4-5","input_tokens":3,"output_tokens":1}"#;
    assert_eq!(calls(&format!("[{own},{new}]")).len(), 2);
    let part = r#"{"type":"message","input_tokens":7,"output_tokens":19}"#;
    assert_eq!(calls(&format!("[{part},{new}]")).len(), 1);
    // An iteration without counts is not recorded.
    assert_eq!(calls(&format!(r#"[{own},{{"type":"advisor_message","input_tokens":0,"output_tokens":0}}]"#)).len(), 1);
}

#[test]
fn server_tools_and_modalities_are_counted_separately() {
    let of = |record: &TokenRecord| {
        record
            .modalities
            .iter()
            .chain(&record.server_tools)
            .map(|(name, count)| format!("{name}={count}"))
            .collect::<Vec<_>>()
    };
    let cases = [
        (
            UsageFormat::Anthropic,
            r#"{"id":"m","usage":{"input_tokens":1,"output_tokens":2,"server_tool_use":{"web_search_requests":3,"web_fetch_requests":0}}}"#,
            vec!["web_search=3"],
        ),
        (
            UsageFormat::OpenaiChat,
            r#"{"usage":{"prompt_tokens":1000,"completion_tokens":500,"prompt_tokens_details":{"audio_tokens":900,"image_tokens":0},"completion_tokens_details":{"audio_tokens":400}}}"#,
            vec!["input_audio=900", "output_audio=400"],
        ),
        (
            UsageFormat::OpenaiResponses,
            r#"{"output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},
                {"type":"file_search_call"},{"type":"function_call"},{"type":"web_search_call"}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
            vec!["file_search=1", "web_search=2"],
        ),
        // The Realtime API.
        (
            UsageFormat::OpenaiResponses,
            r#"{"type":"response.done","response":{"usage":{"input_tokens":100,"output_tokens":50,"input_token_details":{"text_tokens":20,"audio_tokens":80,
                "cached_tokens":64,"cached_tokens_details":{"text_tokens":4,"audio_tokens":60}},"output_token_details":{"audio_tokens":45}}}}"#,
            vec!["cache_read_audio=60", "input_audio=20", "output_audio=45"],
        ),
        (
            UsageFormat::Gemini,
            r#"{"modelVersion":"gemini-3-pro","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],
                "usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":5,"totalTokenCount":105,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"AUDIO","tokenCount":60},{"modality":"DOCUMENT","tokenCount":30}],
                "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":20}],"cachedContentTokenCount":20}}"#,
            vec!["cache_read_audio=20", "input_audio=40", "input_image=30", "web_search=2"],
        ),
        (
            UsageFormat::Gemini,
            r#"{"modelVersion":"gemini-2.5-pro","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],
                "usageMetadata":{"promptTokenCount":1}}"#,
            vec!["web_search=1"],
        ),
    ];
    for (format, text, expected) in cases {
        assert_eq!(of(&response(format, text)), expected, "{format} {text}");
    }
    let plain =
        response(UsageFormat::Anthropic, r#"{"usage":{"input_tokens":1,"server_tool_use":{"web_search_requests":0}}}"#);
    assert!(plain.modalities.is_empty() && plain.server_tools.is_empty());
    assert_eq!(plain.tokens, Tokens { input: Some(1), ..Tokens::default() });
}
