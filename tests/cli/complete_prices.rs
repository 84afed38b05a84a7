//! Prices besides text: regions, searches, audio, and models under other spellings.

use crate::cli_support;

use cli_support::TestCli;
use serde_json::Value;

fn recorded(format: &str, flags: &[&str], response: &str) -> Value {
    let cli = TestCli::new();
    let at = ["record", "--format", format, "--occurred-at", "2026-11-20T10:00:00Z"];
    cli.ok_with_input(response, &[&at, flags].concat());
    cli.ok(&["verify"]);
    cli.json(&["report", "--by", "model"])
}

fn cost(report: &Value) -> (Option<&str>, u64) {
    let cost = &report["total"]["cost"];
    (cost["usd"].as_str(), cost["unpriced_requests"].as_u64().unwrap())
}

#[test]
fn a_response_is_charged_for_every_item_with_a_list_price() {
    let geo = |geo: &str, more: &str| {
        format!(
            r#"{{"id":"msg_1","model":"claude-opus-4-8","usage":{{"input_tokens":100000,"output_tokens":10000,"inference_geo":"{geo}"{more}}}}}"#
        )
    };
    let searches = r#","server_tool_use":{"web_search_requests":3,"web_fetch_requests":2}"#;
    let audio = |model: &str| {
        format!(
            r#"{{"model":"{model}","usage":{{"prompt_tokens":1000,"completion_tokens":500,"prompt_tokens_details":{{"audio_tokens":900}},"completion_tokens_details":{{"audio_tokens":400}}}}}}"#
        )
    };
    let gemini = |model: &str, modality: &str| {
        format!(
            r#"{{"modelVersion":"{model}","usageMetadata":{{"promptTokenCount":1000,"candidatesTokenCount":0,"totalTokenCount":1000,
                "promptTokensDetails":[{{"modality":"{modality}","tokenCount":900}}]}}}}"#
        )
    };
    let grounded = r#"{"modelVersion":"gemini-2.5-flash","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],
        "usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":0,"totalTokenCount":1000}}"#;
    let cases: Vec<(&str, String, Option<&str>)> = vec![
        ("anthropic", geo("global", ""), Some("0.75")),
        ("anthropic", geo("not_available", ""), Some("0.75")),
        ("anthropic", geo("us", ""), Some("0.825")),
        ("anthropic", geo("us", r#","service_tier":"batch""#), Some("0.4125")),
        // No price of another region is published.
        ("anthropic", geo("eu", ""), None),
        // $10 per thousand searches, which the region does not change; a fetch costs only its tokens.
        ("anthropic", geo("global", searches), Some("0.78")),
        ("anthropic", geo("us", searches), Some("0.855")),
        ("anthropic", geo("global", r#","server_tool_use":{"unheard_of_requests":1}"#), None),
        // 100 text and 900 audio tokens in, 100 text and 400 audio tokens out.
        ("openai-chat", audio("gpt-audio-mini"), Some("0.0173")),
        // The table has no audio price for this model, and its text price does not apply.
        ("openai-chat", audio("gpt-4o-audio-preview"), None),
        ("openai-chat", audio("gpt-4o-audio-preview").replace("900", "0").replace("400", "0"), Some("0.0075")),
        // Some Gemini models have an audio price, others one price for everything.
        ("gemini", gemini("gemini-2.5-flash", "AUDIO"), Some("0.00093")),
        ("gemini", gemini("gemini-2.5-flash", "IMAGE"), Some("0.0003")),
        ("gemini", gemini("gemini-2.5-pro", "AUDIO"), Some("0.00125")),
        ("gemini", grounded.to_owned(), Some("0.0353")),
        // The table has no price for these tools, and the text price alone does not apply.
        ("xai", r#"{"model":"grok-4","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"num_sources_used":4}}"#.to_owned(), None),
        ("xai", r#"{"model":"grok-4","usage":{"input_tokens":1000,"output_tokens":100,"total_tokens":1100,"server_side_tool_usage_details":{"x_search_calls":2}}}"#.to_owned(), None),
        ("xai", r#"{"model":"grok-4","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"num_sources_used":0}}"#.to_owned(), Some("0.0045")),
        ("openai-chat", r#"{"model":"gpt-4o-search-preview","choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1000,"completion_tokens":500}}"#.to_owned(), None),
    ];
    let mut wrong = Vec::new();
    for (format, response, expected) in cases {
        let report = recorded(format, &[], &response);
        if cost(&report) != (expected, u64::from(expected.is_none())) {
            wrong.push(format!("{format} {response}: {:?} for {expected:?}", cost(&report)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn models_are_priced_under_other_spellings_of_their_names() {
    let body = r#"{"usage":{"input_tokens":100000,"output_tokens":10000}}"#;
    for (provider, model, expected) in [
        ("anthropic", "anthropic/claude-sonnet-4.5", Some("0.45")),
        ("anthropic", "anthropic/claude-4.6-opus-20260205", Some("0.75")),
        ("anthropic", "claude-4.5-sonnet", Some("0.45")),
        ("anthropic", "claude-4-5-haiku-20251001", Some("0.15")),
        ("openai", "openai/gpt-5.5", Some("0.8")),
        ("google", "google/gemini-2.5-pro", Some("0.225")),
        // A gateway's price may differ from the maker's.
        ("my-gateway", "anthropic/claude-sonnet-4.5", None),
        ("anthropic", "anthropic/no-such-model", None),
    ] {
        let report = recorded("anthropic", &["--provider", provider, "--model", model], body);
        assert_eq!(cost(&report), (expected, u64::from(expected.is_none())), "{provider} {model}");
    }
}

#[test]
fn a_stream_with_usage_in_a_choice_or_an_incomplete_last_event_is_counted() {
    let tokens = |report: &Value| {
        let tokens = &report["total"]["tokens"];
        ["input", "cache_read", "output"].map(|class| tokens[class].as_u64().unwrap())
    };
    let moonshot = "data: {\"id\":\"c\",\"model\":\"Qwen3.5-35B-A3B\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\
        \"usage\":{\"prompt_tokens\":900,\"completion_tokens\":40,\"total_tokens\":940,\"cached_tokens\":700}}]}\n\ndata: [DONE]\n";
    assert_eq!(tokens(&recorded("openai-chat", &["--provider", "moonshot"], moonshot)), [200, 700, 40]);
    let poor = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"claude-sonnet-5\",\
        \"usage\":{\"input_tokens\":271,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\
        \"usage\":{\"input_tokens\":0,\"output_tokens\":90}}\n";
    assert_eq!(tokens(&recorded("anthropic", &[], poor)), [271, 0, 90]);
}

#[test]
fn a_result_of_several_models_is_a_record_of_each() {
    let result = r#"{"type":"result","total_cost_usd":0.25,"usage":{"input_tokens":30,"output_tokens":12},"modelUsage":{
        "claude-haiku-4-5":{"inputTokens":9.0,"outputTokens":2,"cacheReadInputTokens":5,"costUSD":0.01},
        "claude-opus-4-5":{"inputTokens":30,"outputTokens":12,"cacheCreationInputTokens":7,"webSearchRequests":1,"costUSD":0.24}}}"#;
    let rows = |report: &Value| -> Vec<String> {
        let row = |row: &Value| {
            format!("{} {} {}", row["model"].as_str().unwrap(), row["tokens"]["total"], row["cost"]["reported_usd"])
        };
        report["rows"].as_array().unwrap().iter().map(row).collect()
    };
    let split = recorded("agent-output", &["--key", "run-1"], result);
    assert_eq!(rows(&split), ["claude-haiku-4-5 16 \"0.01\"", "claude-opus-4-5 49 \"0.24\""]);
    // The earlier rule has another name.
    let total = recorded("agent-output-total", &["--key", "run-1"], result);
    assert_eq!(total["rows"].as_array().unwrap().len(), 1);
    assert_eq!(total["rows"][0]["model"], "claude-opus-4-5");

    let cli = TestCli::new();
    for _ in 0..2 {
        cli.ok_with_input(
            result,
            &["--now", "2026-09-01T10:00:00Z", "record", "--format", "agent-output", "--key", "run-1"],
        );
    }
    assert_eq!(cli.json(&["report", "--by", "model"])["total"]["requests"], 2);
}

#[test]
fn advisor_iterations_in_a_response_are_records_of_the_advisor_model() {
    let body = r#"{"id":"msg_1","model":"claude-sonnet-4-6","usage":{"input_tokens":10,"output_tokens":500,"iterations":[
        {"type":"message","input_tokens":10,"output_tokens":500},
        {"type":"advisor_message","model":"claude-opus-4-7","input_tokens":150000,"output_tokens":8000}]}}"#;
    let report = recorded("anthropic", &["--cost", "0.01"], body);
    assert_eq!(report["total"]["requests"], 2);
    assert_eq!(report["rows"][0]["model"], "claude-opus-4-7");
    assert_eq!(report["rows"][0]["cost"]["usd"], "0.95");
    assert_eq!(report["total"]["cost"]["reported_usd"], "0.01");
}

#[test]
fn settling_again_adds_no_advice_twice() {
    let body = r#"{"model":"claude-sonnet-4-6","usage":{"input_tokens":10,"output_tokens":500,"iterations":[
        {"type":"message","input_tokens":10,"output_tokens":500},
        {"type":"advisor_message","model":"claude-opus-4-7","input_tokens":150000,"output_tokens":8000}]}}"#;
    let cli = TestCli::new();
    let now = ["--now", "2026-11-20T10:00:00Z"];
    let held = cli.json(&[&now[..], &["reserve", "anthropic", "200000"]].concat());
    let id = held["id"].as_str().unwrap();
    for _ in 0..2 {
        cli.ok_with_input(body, &[&now[..], &["settle", id, "--format", "anthropic"]].concat());
        let report = cli.json(&["report", "--by", "model"]);
        assert_eq!((&report["total"]["requests"], &report["total"]["tokens"]["total"]), (&2.into(), &158_510.into()));
    }
    cli.ok(&["verify"]);
}
