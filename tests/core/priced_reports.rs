//! Costs of reports: exact, by date, tier and tariff, and equal from every projection and from single records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use usage_ledger::event::PriceSet;
use usage_ledger::event::{INFERENCE_GEO, SERVICE_TIER};
use usage_ledger::price::Prices;
use usage_ledger::report::Report;
use usage_ledger::usage::Cost;
use usage_ledger::{AsOf, Ledger, ReportKey, Timestamp, TokenClass, TokenRecord, Usd};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[allow(clippy::unnecessary_wraps)] // as costs are compared
fn usd(text: &str) -> Option<Usd> {
    Some(text.parse().unwrap())
}

fn total(ledger: &Ledger, report: &Report) -> Cost {
    ledger.report(report).unwrap().total.cost
}

fn sonnet() -> TokenRecord {
    TokenRecord::new("anthropic", "claude-sonnet-4-5")
}

#[test]
fn long_prompts_and_batches_have_separate_prices_in_every_report() {
    let ledger = Ledger::in_memory().unwrap();
    let day = at("2026-11-23T10:00:00Z");
    // $3 per million below 200,000 prompt tokens, $6 above; $15 and $22.50 for output; half of it in a batch.
    let calls = [
        sonnet().input(100_000).output(10_000).project("a"),
        sonnet().input(150_000).cache_read(50_000).output(10_000).project("a"),
        sonnet().input(150_000).cache_read(50_001).output(10_000).project("b").conversation("c"),
        sonnet().input(100_000).output(10_000).label(SERVICE_TIER, "batch"),
        sonnet().input(100_000).output(10_000).label(SERVICE_TIER, "standard"),
        // No price of this call is published.
        sonnet().input(100_000).output(10_000).label(SERVICE_TIER, "priority"),
    ];
    let prices = Prices::list();
    let mut sum = Usd::default();
    for (number, call) in calls.into_iter().enumerate() {
        let when = day.plus(number as i64 * 61_000);
        sum = sum.checked_add(prices.cost(&call, when).unwrap().unwrap_or_default()).unwrap();
        ledger.record(call, when).unwrap();
    }
    assert_eq!(Some(sum), usd("2.8950006"));
    for keys in [
        vec![],
        vec![ReportKey::Day],
        vec![ReportKey::Hour, ReportKey::Model],
        vec![ReportKey::Project],
        vec![ReportKey::Conversation],
        vec![ReportKey::Window],
        vec![ReportKey::Label(SERVICE_TIER.to_owned())],
    ] {
        let cost = total(&ledger, &Report::by_all(keys.clone()));
        assert_eq!((cost.usd, cost.unpriced_requests), (Some(sum), 1), "{keys:?}");
    }
    // Cut within a quarter of an hour, so that single records answer: without the first call.
    let cost = total(&ledger, &Report::by(ReportKey::Day).since(day.plus(1)));
    assert_eq!(cost.usd, usd("2.4450006"));
}

#[test]
fn a_price_applies_from_its_date() {
    let ledger = Ledger::in_memory().unwrap();
    let now = at("2026-11-23T10:00:00Z");
    let price = |input: &str, from: Option<&str>| {
        let mut price = PriceSet::new("openai", "house", input.parse().unwrap(), "0".parse().unwrap()).unwrap();
        price.from = from.map(at);
        price
    };
    ledger.set_price(price("1", None), now).unwrap();
    ledger.set_price(price("2", Some("2026-07-01T12:00:00Z")), now).unwrap();
    for (hour, tokens) in [("2026-06-30T23:00:00Z", 1_000_000), ("2026-07-01T11:59:59Z", 2_000_000)] {
        ledger.record(TokenRecord::new("openai", "house-model").input(tokens), at(hour)).unwrap();
    }
    ledger.record(TokenRecord::new("openai", "house-model").input(5_000_000), at("2026-07-01T12:00:00Z")).unwrap();
    let by_day = ledger.report(&Report::by(ReportKey::Day)).unwrap();
    let costs: Vec<_> = by_day.rows.iter().map(|row| row.usage.cost.usd).collect();
    assert_eq!(costs, [usd("1"), usd("12")]);
    assert_eq!(by_day.prices.custom, [1.into(), 2.into()]);
    assert_eq!(by_day.prices.sha256.unwrap().len(), 64);
    // A price cannot begin between quarters, because the rollups could not separate it.
    assert!(ledger.set_price(price("3", Some("2026-07-01T12:01:00Z")), now).is_err());
}

#[test]
fn custom_prices_are_chosen_by_fragment_then_prompt_length_then_recency() {
    let ledger = Ledger::in_memory().unwrap();
    let now = at("2026-11-23T10:00:00Z");
    let set = |model: &str, input: &str, above: Option<u64>, tier: Option<&str>| {
        let mut price = PriceSet::new("anthropic", model, input.parse().unwrap(), "0".parse().unwrap()).unwrap();
        (price.above, price.service_tier) = (above, tier.map(str::to_owned));
        ledger.set_price(price, now).unwrap().position()
    };
    set("", "1", None, None);
    let opus = set("opus", "2", None, None);
    // With a threshold that no rollup has, single records answer.
    set("opus", "4", Some(1_500_000), None);
    set("opus", "8", None, Some("batch"));
    let last = set("claude-opus-4-5", "16", None, None);
    let input = |model: &str, tokens: u64| TokenRecord::new("anthropic", model).input(tokens);
    let calls = [
        (input("some-model", 1_000_000), "1"),
        (input("Claude-Opus-9", 1_000_000), "2"),
        (input("claude-opus-9", 2_000_000), "8"),
        (input("claude-opus-9", 1_000_000).label(SERVICE_TIER, "batch"), "8"),
        (input("claude-opus-4-5-20251101", 1_000_000), "16"),
    ];
    for (call, _) in &calls {
        ledger.record(call.clone(), now).unwrap();
    }
    let prices = ledger.snapshot().unwrap().prices().unwrap();
    for (call, cost) in calls {
        assert_eq!(prices.cost(&call, now).unwrap(), usd(cost), "{:?}", call.model);
    }
    assert_eq!(total(&ledger, &Report::by(ReportKey::Day)).usd, usd("35"));
    assert_eq!(prices.quote("anthropic", "opus", now, None, 0).unwrap().position, Some(opus));
    // After a void the shorter fragment applies again; in the past state it does not.
    let id = ledger.event(last).unwrap().id;
    ledger.void(id, "a typing mistake", now).unwrap();
    assert_eq!(total(&ledger, &Report::by(ReportKey::Day)).usd, usd("21"));
    let before = ledger.as_of(AsOf::Position(10.into())).unwrap();
    assert_eq!(before.report(&Report::by(ReportKey::Day)).unwrap().total.cost.usd, usd("35"));
}

#[test]
fn prices_that_change_within_a_day_are_applied_by_quarter_hour() {
    let ledger = Ledger::in_memory().unwrap();
    // Half price from 16:30 to 00:30 UTC.
    let call = |when: &str| (TokenRecord::new("deepseek", "deepseek-chat").input(1_000_000).output(0), at(when));
    let mut sum = Usd::default();
    for (record, when) in [call("2025-06-01T16:29:59Z"), call("2025-06-01T16:30:00Z")] {
        sum = sum.checked_add(Prices::list().cost(&record, when).unwrap().unwrap()).unwrap();
        ledger.record(record, when).unwrap();
    }
    let hours = ledger.report(&Report::by(ReportKey::Day)).unwrap();
    assert_eq!(hours.total.cost.usd, Some(sum));
    assert_eq!(sum.to_string(), "0.405");
}

#[test]
fn a_call_without_a_price_is_unknown_and_counted() {
    let ledger = Ledger::in_memory().unwrap();
    let now = at("2026-11-23T10:00:00Z");
    ledger.record(TokenRecord::new("ollama", "qwen3").input(1), now).unwrap();
    ledger.record(TokenRecord::new("anthropic", "").input(1).cost("0.5".parse().unwrap()), now).unwrap();
    ledger.record(TokenRecord::new("somebody", "claude-opus-4-5").input(1), now).unwrap();
    let cost = total(&ledger, &Report::by(ReportKey::Provider));
    assert_eq!((cost.usd, cost.reported_usd, cost.unpriced_requests), (None, usd("0.5"), 3));
    let none = total(&ledger, &Report::by(ReportKey::Provider).prices(Prices::none()));
    assert_eq!((none.usd, none.unpriced_requests), (None, 3));
}

#[test]
fn an_hour_of_cache_costs_more_than_five_minutes() {
    let ledger = Ledger::in_memory().unwrap();
    let now = at("2026-11-23T10:00:00Z");
    let call = TokenRecord::new("anthropic", "claude-opus-4-5").output(0);
    ledger.record(call.clone().count(TokenClass::CacheWrite5m, 1_000_000), now).unwrap();
    assert_eq!(total(&ledger, &Report::by_all([])).usd, usd("6.25"));
    ledger.record(call.count(TokenClass::CacheWrite1h, 1_000_000), now).unwrap();
    assert_eq!(total(&ledger, &Report::by_all([])).usd, usd("16.25"));
}

#[test]
fn regions_sounds_and_tools_cost_the_same_in_every_report_and_after_shredding() {
    let mut ledger = Ledger::in_memory().unwrap();
    let day = at("2026-11-23T10:00:00Z");
    let opus = || TokenRecord::new("anthropic", "claude-opus-4-8").input(100_000).output(10_000);
    let audio = || TokenRecord::new("openai", "gpt-audio-mini").input(1_000).output(500);
    let calls = [
        opus().label(INFERENCE_GEO, "us").project("acme"),
        opus().label(INFERENCE_GEO, "us").label(SERVICE_TIER, "batch").conversation("c"),
        opus().server_tool("web_search", 3).server_tool("web_fetch", 9),
        opus().server_tool("web_search", 3).server_tool("web_fetch", 9).project("acme"),
        audio().modality("input_audio", 900).modality("output_audio", 400),
        audio().modality("input_audio", 900).modality("output_audio", 400).project("b"),
        audio().modality("input_audio", 1),
        // No price of these calls is published.
        opus().server_tool("a_new_tool", 1),
        opus().label(INFERENCE_GEO, "eu"),
        audio().modality("input_audio", 1_001),
    ];
    let prices = Prices::list();
    let mut sum = Usd::default();
    for (number, call) in calls.into_iter().enumerate() {
        let when = day.plus(number as i64 * 61_000);
        sum = sum.checked_add(prices.cost(&call, when).unwrap().unwrap_or_default()).unwrap();
        ledger.record(call, when).unwrap();
    }
    assert_eq!(Some(sum), usd("2.8339094"));
    let check = |ledger: &mut Ledger| {
        for keys in [
            vec![],
            vec![ReportKey::Hour],
            vec![ReportKey::Project],
            vec![ReportKey::Conversation],
            vec![ReportKey::Window],
        ] {
            let cost = total(ledger, &Report::by_all(keys.clone()));
            assert_eq!((cost.usd, cost.unpriced_requests), (Some(sum), 3), "{keys:?}");
        }
    };
    check(&mut ledger);
    assert!(ledger.replay().unwrap().findings.is_empty());
    let _ = ledger.shred(&usage_ledger::Shred::because("a request").project("acme"), day).unwrap();
    check(&mut ledger);
    let cost = total(&ledger, &Report::by(ReportKey::Day).since(day.plus(1)));
    assert_eq!(cost.unpriced_requests, 3);
}

#[test]
fn a_custom_text_price_does_not_apply_to_audio() {
    let ledger = Ledger::in_memory().unwrap();
    let now = at("2026-11-23T10:00:00Z");
    let set = |provider: &str, model: &str, input: &str| {
        let price = PriceSet::new(provider, model, input.parse().unwrap(), input.parse().unwrap()).unwrap();
        ledger.set_price(price, now).unwrap();
    };
    set("openai", "gpt-audio-mini", "1");
    set("openai", "house", "1");
    set("ollama", "", "0");
    let prices = ledger.snapshot().unwrap().prices().unwrap();
    let cost = |provider: &str, model: &str| {
        let call = TokenRecord::new(provider, model).input(1_000_000).modality("input_audio", 500_000);
        prices.cost(&call, now).unwrap()
    };
    // Half of it at the custom price, half at the table's 10.
    assert_eq!(cost("openai", "gpt-audio-mini"), usd("5.5"));
    assert_eq!(cost("openai", "house-model"), None);
    // If everything is free, audio is free too.
    assert_eq!(cost("ollama", "qwen3-omni"), usd("0"));
}
