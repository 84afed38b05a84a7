//! Every API's usage object becomes disjoint classes; anything else is refused or flagged.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "normalise_parts/responses.rs"]
mod responses;
#[path = "normalise_parts/round_trip.rs"]
mod round_trip;
#[path = "normalise_parts/uncounted.rs"]
mod uncounted;

use serde_json::Value;
use usage_ledger::event::Quality;
use usage_ledger::normalise::{self, Normalised, UsageFormat};
use usage_ledger::{Error, MAX_COUNT, TokenClass, Tokens};

fn read(format: &str, json: &str) -> Normalised {
    normalise::usage(format.parse().unwrap(), json).unwrap_or_else(|e| panic!("{format} {json}: {e}"))
}

fn refused(format: &str, json: &str) -> String {
    match normalise::usage(format.parse().unwrap(), json) {
        Err(error @ (Error::Invalid { .. } | Error::Overflow { .. })) => error.to_string(),
        other => panic!("{format} {json}: {other:?}"),
    }
}

/// Reads `input read w5m w1h write output reasoning`, with `-` for absent.
fn tokens(text: &str) -> Tokens {
    let mut tokens = Tokens::default();
    for (class, word) in TokenClass::ALL.into_iter().zip(text.split_whitespace()) {
        tokens.set(class, (word != "-").then(|| word.parse().unwrap()));
    }
    tokens
}

#[test]
#[allow(clippy::too_many_lines)] // one table of every API
fn each_api_is_normalised_by_its_rules() {
    let cases = [
        // Anthropic: cache beside the input, thinking inside the output.
        (
            "anthropic",
            r#"{"input_tokens":12,"cache_creation_input_tokens":300,"cache_read_input_tokens":4000,
                "cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":150},"output_tokens":90,
                "output_tokens_details":{"thinking_tokens":70},"server_tool_use":{"web_search_requests":1,"web_fetch_requests":0},
                "service_tier":"standard","inference_geo":"us"}"#,
            "12 4000 100 150 50 20 70",
        ),
        (
            "claude-code",
            r#"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}"#,
            "0 0 - - 0 0 -",
        ),
        // No split, and a complete split.
        ("anthropic", r#"{"input_tokens":1,"cache_creation_input_tokens":9,"output_tokens":2}"#, "1 - - - 9 2 -"),
        (
            "anthropic",
            r#"{"input_tokens":1,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":9,"ephemeral_1h_input_tokens":0},"output_tokens":2}"#,
            "1 - 9 0 - 2 -",
        ),
        // The totals exclude compaction.
        (
            "anthropic",
            r#"{"input_tokens":23000,"output_tokens":1000,"iterations":[
                {"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_creation_input_tokens":5,"cache_read_input_tokens":0},
                {"type":"message","input_tokens":23000,"output_tokens":1000}]}"#,
            "203000 0 - - 5 4500 -",
        ),
        // OpenAI: all inside.
        (
            "openai-chat",
            r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                "prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0,"cache_write_tokens":6},
                "completion_tokens_details":{"reasoning_tokens":256,"rejected_prediction_tokens":4}}"#,
            "80 1920 - - 6 44 256",
        ),
        ("openai-chat", r#"{"prompt_tokens":10,"total_tokens":10}"#, "10 - - - - - -"),
        (
            "openai-chat",
            r#"{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"cached_tokens":8}"#,
            "2 8 - - - 2 -",
        ),
        (
            "openai-responses",
            r#"{"input_tokens":500,"input_tokens_details":{"cached_tokens":100,"cache_write_tokens":300,
                "cache_write_tokens_details":{"ttl_30m_tokens":300,"ttl_12h_tokens":0}},
                "output_tokens":40,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":540}"#,
            "100 100 - - 300 40 0",
        ),
        // Gemini: cache inside, thoughts and tools beside.
        (
            "gemini",
            r#"{"promptTokenCount":1000,"cachedContentTokenCount":600,"candidatesTokenCount":50,"thoughtsTokenCount":200,
                "toolUsePromptTokenCount":30,"totalTokenCount":1280,"promptTokensDetails":[{"modality":"TEXT","tokenCount":1000}]}"#,
            "430 600 - - - 50 200",
        ),
        ("gemini", r#"{"promptTokenCount":8,"thoughtsTokenCount":5,"totalTokenCount":13}"#, "8 - - - - - 5"),
        // Ollama: missing counts are unknown.
        ("ollama", r#"{"prompt_eval_count":26,"eval_count":298,"eval_duration":4799921000}"#, "26 - - - - 298 -"),
        ("ollama", r#"{"prompt_eval_count":26,"prompt_eval_cached_count":20,"eval_count":298}"#, "6 20 - - - 298 -"),
        ("ollama", r#"{"eval_count":298,"total_duration":10706818083}"#, "- - - - - 298 -"),
        // Bedrock: cache beside the input and inside the total.
        (
            "bedrock",
            r#"{"inputTokens":10,"outputTokens":20,"totalTokens":1130,"cacheReadInputTokens":700,"cacheWriteInputTokens":400,
                "cacheDetails":[{"ttl":"5m","inputTokens":100},{"ttl":"1h","inputTokens":250},{"ttl":"3d","inputTokens":50}]}"#,
            "10 700 100 250 50 20 -",
        ),
        (
            "bedrock",
            r#"{"inputTokens":10,"outputTokens":20,"totalTokens":30,"cacheReadInputTokens":0}"#,
            "10 0 - - - 20 -",
        ),
        // Mistral: three spellings in order of trust.
        (
            "mistral",
            r#"{"prompt_tokens":801,"completion_tokens":9,"total_tokens":810,"num_cached_tokens":768,
                "prompt_tokens_details":{"cached_tokens":1},"prompt_token_details":{"cached_tokens":2}}"#,
            "33 768 - - - 9 -",
        ),
        (
            "mistral",
            r#"{"prompt_tokens":801,"completion_tokens":9,"total_tokens":810,
                "prompt_tokens_details":{"cached_tokens":1},"prompt_token_details":{"cached_tokens":2}}"#,
            "800 1 - - - 9 -",
        ),
        (
            "mistral",
            r#"{"prompt_tokens":801,"completion_tokens":9,"total_tokens":810,"prompt_token_details":{"cached_tokens":2}}"#,
            "799 2 - - - 9 -",
        ),
        (
            "mistral",
            r#"{"prompt_tokens":188,"completion_tokens":55,"total_tokens":7355,"connector_tokens":7112,"connectors":{"web_search":1}}"#,
            "7300 - - - - 55 -",
        ),
        // DeepSeek: prompt = hit + miss.
        (
            "deepseek",
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_cache_hit_tokens":64,
                "prompt_cache_miss_tokens":36,"completion_tokens_details":{"reasoning_tokens":45}}"#,
            "36 64 - - - 5 45",
        ),
        (
            "deepseek",
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":64}}"#,
            "36 64 - - - 50 -",
        ),
        // xAI: reasoning beside the completion in one API, inside the output in the other.
        (
            "xai",
            r#"{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,"num_sources_used":0,
                "prompt_tokens_details":{"text_tokens":10120,"cached_tokens":10120},
                "completion_tokens_details":{"reasoning_tokens":2809}}"#,
            "0 10120 - - - 1499 2809",
        ),
        (
            "xai",
            r#"{"input_tokens":32,"input_tokens_details":{"cached_tokens":6},"output_tokens":120,
                "output_tokens_details":{"reasoning_tokens":110},"total_tokens":152}"#,
            "26 6 - - - 10 110",
        ),
        (
            "codex",
            r#"{"input_tokens":13517,"cached_input_tokens":10829,"cache_write_input_tokens":600,"output_tokens":219,
                "reasoning_output_tokens":78,"total_tokens":13736}"#,
            "2088 10829 - - 600 141 78",
        ),
        // Gemini CLI: Gemini's conventions, with tool input on top.
        (
            "gemini-cli",
            r#"{"input":15040,"output":110,"cached":5827,"thoughts":221,"tool":30,"total":15401}"#,
            "9243 5827 - - - 110 221",
        ),
        // Qwen Code: reasoning inside the candidates, also in the older client's format.
        (
            "qwen-code",
            r#"{"promptTokenCount":100,"candidatesTokenCount":50,"cachedContentTokenCount":40,"thoughtsTokenCount":20,"totalTokenCount":150}"#,
            "60 40 - - - 30 20",
        ),
        (
            "qwen-code",
            r#"{"input":100,"output":50,"cached":40,"thoughts":20,"tool":0,"total":150}"#,
            "60 40 - - - 30 20",
        ),
        // OpenCode: everything is beside if a total is stated; reasoning larger than the output is not inside it.
        (
            "opencode",
            r#"{"total":15767,"input":868,"output":185,"reasoning":43,"cache":{"write":0,"read":14671}}"#,
            "868 14671 - - 0 185 43",
        ),
        ("opencode", r#"{"input":10,"output":5,"reasoning":0,"cache":{"read":7,"write":3}}"#, "10 7 - - 3 5 0"),
        ("opencode", r#"{"input":10,"output":5,"reasoning":9}"#, "10 - - - - 5 9"),
        // A total that excludes the cache is no evidence about it.
        ("opencode", r#"{"total":15,"input":10,"output":5,"cache":{"read":7,"write":3}}"#, "10 7 - - 3 5 -"),
    ];
    for (format, json, expected) in cases {
        let normalised = read(format, json);
        assert_eq!(normalised.tokens, tokens(expected), "{format} {json}");
        assert_eq!((normalised.quality, normalised.residual), (Quality::Reported, None), "{format} {json}");
        assert_eq!(normalised.normaliser, format.parse::<UsageFormat>().unwrap().normaliser());
    }
}

#[test]
fn an_alternative_interpretation_needs_a_matching_total_and_is_flagged() {
    let cases = [
        // Reasoning beside the completion behind an OpenAI-compatible server, and inside at xAI.
        (
            "openai-chat",
            r#"{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,"completion_tokens_details":{"reasoning_tokens":2809}}"#,
            "10120 - - - - 1499 2809",
            "took reasoning as outside `completion_tokens`",
        ),
        (
            "xai",
            r#"{"prompt_tokens":10,"completion_tokens":30,"total_tokens":40,"completion_tokens_details":{"reasoning_tokens":20}}"#,
            "10 - - - - 10 20",
            "took reasoning as inside `completion_tokens`",
        ),
        // Gemini itself behind Qwen Code.
        (
            "qwen-code",
            r#"{"promptTokenCount":100,"candidatesTokenCount":50,"thoughtsTokenCount":20,"totalTokenCount":170}"#,
            "100 - - - - 50 20",
            "took reasoning as outside `candidatesTokenCount`",
        ),
        // An older OpenCode.
        (
            "opencode",
            r#"{"input":10,"output":50,"reasoning":20}"#,
            "10 - - - - 30 20",
            "took reasoning as inside `output`",
        ),
        // Cache beside the input behind an OpenAI-compatible server.
        (
            "openai-chat",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":95,"prompt_tokens_details":{"cached_tokens":80}}"#,
            "10 80 - - - 5 -",
            "took the cached input as outside `prompt_tokens`",
        ),
        // OpenAI's models on ConverseStream.
        (
            "bedrock",
            r#"{"inputTokens":1200,"outputTokens":20,"totalTokens":1220,"cacheReadInputTokens":1000,"cacheWriteInputTokens":100}"#,
            "100 1000 - - 100 20 -",
            "took the cached input as inside `inputTokens`",
        ),
        // xAI's convention is known, so no total is needed.
        (
            "xai",
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":80}}"#,
            "10 80 - - - 5 -",
            "took the cached input as outside `prompt_tokens`, because it is larger",
        ),
        (
            "xai",
            r#"{"input_tokens":10,"output_tokens":5,"total_tokens":15,"input_tokens_details":{"cached_tokens":80}}"#,
            "10 80 - - - 5 -",
            "total 15 but parts sum to 95",
        ),
        // If no interpretation fits, the API's own convention applies.
        (
            "openai-responses",
            r#"{"input_tokens":100,"output_tokens":18,"total_tokens":120}"#,
            "100 - - - - 18 -",
            "total 120 but parts sum to 118",
        ),
        (
            "gemini",
            r#"{"promptTokenCount":100,"candidatesTokenCount":18,"toolUsePromptTokenCount":5,"totalTokenCount":118}"#,
            "105 - - - - 18 -",
            "total 118 but parts sum to 123",
        ),
        (
            "bedrock",
            r#"{"inputTokens":10,"outputTokens":20,"totalTokens":30,"cacheReadInputTokens":700}"#,
            "10 700 - - - 20 -",
            "total 30 but parts sum to 730",
        ),
        // Two alternative interpretations fit, which is no evidence for either.
        (
            "openai-chat",
            r#"{"prompt_tokens":100,"completion_tokens":90,"total_tokens":230,"prompt_tokens_details":{"cached_tokens":40},
                "completion_tokens_details":{"reasoning_tokens":40}}"#,
            "60 40 - - - 50 40",
            "total 230 but parts sum to 190",
        ),
        // Hit and miss are disjoint by definition, whatever the totals are.
        (
            "deepseek",
            r#"{"prompt_tokens":160,"completion_tokens":5,"total_tokens":165,"prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40}"#,
            "40 60 - - - 5 -",
            "`prompt_tokens` 160 but hit and miss sum to 100; total 165 but parts sum to 105",
        ),
        (
            "anthropic",
            r#"{"input_tokens":1,"output_tokens":5,"cache_creation_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":0}}"#,
            "1 - 4 0 - 5 -",
            "`cache_creation_input_tokens` 3 but its split sums to 4",
        ),
    ];
    for (format, json, expected, residual) in cases {
        let normalised = read(format, json);
        assert_eq!(normalised.tokens, tokens(expected), "{format} {json}");
        assert_eq!(normalised.quality, Quality::Derived, "{format} {json}");
        let residual_text = normalised.residual.unwrap();
        assert!(residual_text.contains(residual), "{format} {json}: {residual_text}");
    }
}

#[test]
fn contradictory_counts_are_refused_with_names_and_values() {
    let cases = [
        ("codex", r#"{"input_tokens":-3}"#, "no token count: `input_tokens` is -3: left out"),
        ("anthropic", r#"{"input_tokens":1.5}"#, "`input_tokens` is 1.5"),
        ("qwen-code", r#"{"totalTokenCount":9}"#, "has a total of 9 and neither `promptTokenCount`"),
        ("opencode", r#"{"input":1,"cache":{"read":"2"}}"#, "`cache.read` is the string"),
        ("gemini", r#"{"promptTokenCount":"12"}"#, "`promptTokenCount` is the string \"12\""),
        ("bedrock", r#"{"inputTokens":9007199254740992}"#, "`inputTokens` is 9007199254740992"),
        ("mistral", r#"{"prompt_tokens":1,"num_cached_tokens":1e99}"#, "`num_cached_tokens` is 1e99"),
        (
            "anthropic",
            r#"{"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":true}}"#,
            "`cache_creation.ephemeral_1h",
        ),
        ("openai-chat", r#"{"prompt_tokens":{},"completion_tokens":1}"#, "`prompt_tokens` is an object"),
        (
            "gemini",
            r#"{"promptTokenCount":9007199254740991,"toolUsePromptTokenCount":1}"#,
            "`input` is 9007199254740992, above the largest count",
        ),
        // No counts, no object, no JSON.
        (
            "ollama",
            r#"{"total_duration":12,"done":true}"#,
            "no token count: `prompt_eval_count` and `eval_count` are absent",
        ),
        ("anthropic", r#"{"input_tokens":null,"output_tokens":null}"#, "no token count"),
        ("openai-chat", r#"{"total_tokens":12}"#, "no token count"),
        ("openai-chat", "[1,2,3]", "not a JSON object"),
        ("openai-chat", "null", "not a JSON object"),
        ("openai-chat", r#"{"prompt_tokens":1"#, "cannot be read"),
        ("openai-chat", r#"{"prompt_tokens":1,"prompt_tokens":2}"#, "duplicate field `prompt_tokens`"),
        ("openai-chat", r#"{"prompt_tokens":1,"prompt_tokens_details":7}"#, "expected an object of input details"),
    ];
    for (format, json, expected) in cases {
        let message = refused(format, json);
        assert!(message.contains(expected), "{format} {json}: {message}");
    }
    assert_eq!(read("anthropic", &format!("{{\"input_tokens\":{MAX_COUNT}}}")).tokens.input, Some(MAX_COUNT));
}

#[test]
fn many_large_iterations_overflow_loudly() {
    let one = format!("{{\"type\":\"compaction\",\"input_tokens\":{MAX_COUNT}}}");
    let json = format!("{{\"input_tokens\":1,\"iterations\":[{}]}}", vec![one; 3000].join(","));
    refused("anthropic", &json);
}

#[test]
fn unknown_fields_and_nulls_do_not_matter() {
    let json = r#"{"prompt_tokens":4,"completion_tokens":2,"total_tokens":null,"prompt_tokens_details":null,
        "completion_tokens_details":{"reasoning_tokens":null,"new":[{}]},"new":{"x":-1.5},"cost":{"other":1}}"#;
    assert_eq!(read("openai-chat", json).tokens, tokens("4 - - - - 2 -"));
    assert_eq!(read("openai-chat", json).cost, None);
    let json =
        r#"{"input_tokens":4,"cache_creation":null,"iterations":null,"output_tokens_details":null,"speed":"fast"}"#;
    assert_eq!(read("claude-code", json).tokens, tokens("4 - - - - - -"));
    assert_eq!(read("anthropic", r#"{"input_tokens":4,"iterations":[{"type":"new_kind"},{}]}"#).tokens.input, Some(4));
}

#[test]
fn a_cost_is_stored_exactly() {
    let cost = |format, json| read(format, json).cost.map(|cost| cost.to_string());
    let ticks = r#"{"prompt_tokens":1,"completion_tokens":1,"cost_in_usd_ticks":37756000}"#;
    assert_eq!(cost("xai", ticks).as_deref(), Some("0.0037756"));
    assert_eq!(cost("xai", r#"{"input_tokens":1,"cost_in_usd_ticks":1}"#).as_deref(), Some("0.0000000001"));
    let openrouter = r#"{"prompt_tokens":1,"completion_tokens":1,"cost":1.4e-05,"cost_details":{},"is_byok":false}"#;
    assert_eq!(cost("openai-chat", openrouter).as_deref(), Some("0.000014"));
    let perplexity = r#"{"prompt_tokens":1,"cost":{"input_tokens_cost":0.1,"total_cost":0.33}}"#;
    assert_eq!(cost("openai-chat", perplexity).as_deref(), Some("0.33"));
    assert_eq!(cost("openai-chat", r#"{"prompt_tokens":1,"cost":null}"#), None);
}

#[test]
fn classes_logged_by_clients_sum_to_the_reported_totals() {
    let lines = include_str!("../fixtures/normalise/clients.jsonl").lines();
    let mut seen = 0;
    for line in lines {
        let truth: Value = serde_json::from_str(line).unwrap();
        let usage = &truth["usage"];
        let n = |name: &str| usage[name].as_u64().unwrap();
        let expected = match truth["api"].as_str().unwrap() {
            "anthropic" => {
                n("input_tokens") + n("cache_creation_input_tokens") + n("cache_read_input_tokens") + n("output_tokens")
            }
            "gemini" => n("totalTokenCount"),
            _ => n("total_tokens"),
        };
        let normalised = read(truth["api"].as_str().unwrap(), &usage.to_string());
        assert_eq!(normalised.tokens.total().unwrap(), expected, "{line}");
        assert_eq!(normalised.quality, Quality::Reported, "{line}");
        seen += 1;
    }
    assert_eq!(seen, 25);
}

#[test]
fn formats_have_names() {
    assert!("openai".parse::<UsageFormat>().unwrap_err().to_string().contains("openai-chat, openai-responses"));
    for format in UsageFormat::ALL {
        assert_eq!(format.to_string().parse::<UsageFormat>().unwrap(), format);
        assert!(usage_ledger::ProviderId::new(format.provider()).unwrap().known().is_some());
    }
}
