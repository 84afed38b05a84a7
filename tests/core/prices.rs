//! Compares every price of the table with the computation of its publishers' crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::{Duration, UNIX_EPOCH};

use genai_prices::{PriceRequest, Usage, UsageKey};
use usage_ledger::event::SERVICE_TIER;
use usage_ledger::price::Prices;
use usage_ledger::{Timestamp, TokenClass, TokenRecord};

/// The ids in the table of providers whose ids differ in the catalogue.
const OTHERS: [(&str, &str); 4] =
    [("aws", "aws-bedrock"), ("azure", "azure-openai"), ("moonshotai", "moonshot"), ("x-ai", "xai")];

/// Times before, between and after the dates of the table, and within its daily periods.
const TIMES: [&str; 5] = [
    "2025-03-01T12:00:00Z",
    "2026-03-20T00:10:00Z",
    "2026-10-13T23:59:59Z",
    "2026-11-23T20:00:00Z",
    "2027-06-01T16:30:00Z",
];

/// Counts of each class; the longer prompts exceed every threshold of the table.
fn calls() -> Vec<[u64; 6]> {
    vec![
        [1_000, 200, 300, 50, 400, 0],
        [0, 150_000, 0, 0, 20, 10],
        [50_001, 150_000, 0, 0, 999, 1],
        [272_001, 0, 0, 0, 1, 0],
        [600_000, 1, 1, 1, 77_777, 3],
    ]
}

fn publishers_cost(model: &str, provider: &str, at: Timestamp, counts: [u64; 6], tier: Option<&str>) -> Option<f64> {
    let [input, read, write, write_1h, output, reasoning] = counts.map(|count| count as f64);
    let usage = Usage::from([
        (UsageKey::INPUT_TOKENS, input + read + write + write_1h),
        (UsageKey::CACHE_READ_TOKENS, read),
        (UsageKey::CACHE_WRITE_TOKENS, write + write_1h),
        (UsageKey::CACHE_WRITE_1H_TOKENS, write_1h),
        (UsageKey::OUTPUT_TOKENS, output + reasoning),
        (UsageKey::OUTPUT_REASONING_TOKENS, reasoning),
    ]);
    let when = UNIX_EPOCH + Duration::from_millis(u64::try_from(at.millis()).unwrap());
    let mut request = PriceRequest::new(model, &usage).with_provider_id(provider).with_timestamp(when);
    if let Some(tier) = tier {
        request = request.with_price_context(if tier == "batch" { "processing" } else { "service_tier" }, tier);
    }
    genai_prices::calculate(&request).ok().map(|price| price.total_price)
}

fn our_cost(model: &str, provider: &str, at: Timestamp, counts: [u64; 6], tier: Option<&str>) -> Option<f64> {
    let [input, read, write, write_1h, output, reasoning] = counts;
    let mut record = TokenRecord::new(provider, model).input(input).cache_read(read).output(output);
    record = record.reasoning(reasoning).count(TokenClass::CacheWrite5m, write);
    record = record.count(TokenClass::CacheWrite1h, write_1h);
    if let Some(tier) = tier {
        record = record.label(SERVICE_TIER, tier);
    }
    Prices::list().cost(&record, at).unwrap().map(|usd| usd.to_string().parse().unwrap())
}

/// Every model of the table with its provider.
fn models() -> Vec<(String, String, serde_json::Value)> {
    let table = include_str!("../../src/readers/price/genai-prices/prices.json");
    let providers: Vec<serde_json::Value> = serde_json::from_str(table).unwrap();
    let mut models = Vec::new();
    for provider in providers {
        for model in provider["models"].as_array().unwrap() {
            let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
            models.push((id(&provider), id(model), model.clone()));
        }
    }
    models
}

/// Models with prices per second, image, page or search are excluded.
fn is_of_tokens(model: &serde_json::Value) -> bool {
    let text = model["prices"].to_string();
    !["audio", "image", "video", "document", "mchars", "messages"].iter().any(|unit| text.contains(unit))
        && text.contains("input_mtok")
        && text.contains("output_mtok")
}

#[test]
fn every_model_costs_what_the_publishers_crate_computes() {
    let mut compared = 0_u32;
    for (provider, model, stated) in models() {
        if !is_of_tokens(&stated) {
            continue;
        }
        let own =
            OTHERS.iter().find(|(publishers_cost, _)| *publishers_cost == provider).map_or(&*provider, |(_, own)| own);
        for at in TIMES.map(|at| at.parse().unwrap()) {
            for counts in calls() {
                let (a, b) =
                    (our_cost(&model, own, at, counts, None), publishers_cost(&model, &provider, at, counts, None));
                match (a, b) {
                    (Some(a), Some(b)) => {
                        assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-3), "{provider}/{model} at {at}: {a} {b}");
                        compared += 1;
                    }
                    (None, None) => {}
                    other => panic!("{provider}/{model} at {at} {counts:?}: {other:?}"),
                }
            }
        }
    }
    assert!(compared > 40_000, "{compared}");
}

#[test]
fn special_tiers_cost_only_their_stated_price() {
    let mut compared = 0_u32;
    for (provider, model, stated) in models() {
        let variants = stated["price_variants"].as_array().cloned().unwrap_or_default();
        if variants.is_empty() || !is_of_tokens(&stated) {
            continue;
        }
        let own =
            OTHERS.iter().find(|(publishers_cost, _)| *publishers_cost == provider).map_or(&*provider, |(_, own)| own);
        let at: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        for tier in ["batch", "flex", "priority", "fast"] {
            let key = if tier == "batch" { "processing" } else { "service_tier" };
            let has = variants.iter().any(|variant| variant["when"].get(key).is_some_and(|value| value == tier));
            for counts in calls() {
                let cost = our_cost(&model, own, at, counts, Some(tier));
                if has {
                    let Some(b) = publishers_cost(&model, &provider, at, counts, Some(tier)) else {
                        assert_eq!(cost, None, "{provider}/{model} {tier}");
                        continue;
                    };
                    let a = cost.unwrap_or_else(|| panic!("{provider}/{model} {tier}: {b} {variants:?}"));
                    assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-3), "{provider}/{model} {tier}: {a} {b}");
                    compared += 1;
                } else {
                    assert_eq!(cost, None, "{provider}/{model} has no price for {tier}");
                }
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn dated_and_prefixed_names_match_like_in_the_publishers_crate() {
    let at: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    for (provider, model) in [
        ("anthropic", "claude-opus-4-5-20251101"),
        ("anthropic", "claude-haiku-4-5-20251001"),
        ("anthropic", "Claude-Sonnet-4-5"),
        ("openai", "gpt-5.2-codex"),
        ("openai", "gpt-5-20250807"),
        ("openai", "gpt-5.1-codex-mini"),
        ("google", "gemini-2.5-pro"),
        ("google", "claude-opus-4-5@20251101"),
        ("openai", "no-such-model"),
        ("google", "gemini-9-unheard-of"),
    ] {
        let counts = [1_000_000, 0, 0, 0, 1_000_000, 0];
        let (a, b) = (our_cost(model, provider, at, counts, None), publishers_cost(model, provider, at, counts, None));
        assert_eq!(a.map(|usd| (usd * 1e9).round()), b.map(|usd| (usd * 1e9).round()), "{provider}/{model}");
    }
}
