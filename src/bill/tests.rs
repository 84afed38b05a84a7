//! Ledgers with known truth, statements of several shapes, and planted discrepancies.

use std::collections::BTreeMap;
use std::fmt::Write;

use rust_decimal::Decimal;

use super::*;
use crate::readers::statement;

const SEEDS: u64 = 240;
const FIRST_DAY: i64 = 20_574;

struct PlantRandom(u64);

impl PlantRandom {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Plant {
    Nothing,
    LostLog,
    Background,
    Telemetry,
    Border,
    Machine,
    Key,
    Lifetime,
    Tier,
    Duplicate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    AnthropicUsage,
    AnthropicAnalytics,
    AnthropicCost,
    OpenAiUsage,
    GitHub,
    Cur,
}

const SHAPES: [Shape; 6] = [
    Shape::AnthropicUsage,
    Shape::AnthropicAnalytics,
    Shape::AnthropicCost,
    Shape::OpenAiUsage,
    Shape::GitHub,
    Shape::Cur,
];

impl Shape {
    fn provider(self) -> &'static str {
        match self {
            Self::OpenAiUsage => "openai",
            Self::GitHub => "github-copilot",
            Self::Cur => "aws-bedrock",
            _ => "anthropic",
        }
    }

    fn plants(self) -> &'static [Plant] {
        use Plant::*;
        match self {
            Self::AnthropicUsage => &[LostLog, Background, Telemetry, Border, Machine, Key, Lifetime, Duplicate],
            Self::AnthropicAnalytics => &[LostLog, Background, Telemetry, Border, Machine, Key, Lifetime],
            Self::AnthropicCost => &[Duplicate],
            Self::OpenAiUsage => &[LostLog, Background, Telemetry, Border, Machine, Key, Duplicate],
            Self::GitHub => &[LostLog, Background, Border, Duplicate],
            Self::Cur => &[LostLog, Telemetry, Tier, Duplicate],
        }
    }
}

fn call(random: &mut PlantRandom, shape: Shape, day: i64, model: usize) -> LedgerCall {
    let model = ["claude-sonnet-4-5", "claude-haiku-4-5"][model];
    let counts: [u64; 7] = match shape {
        Shape::AnthropicUsage | Shape::AnthropicAnalytics => {
            [0, 1, 2, 3, 9, 5, 9].map(|class| if class == 9 { 0 } else { 1 + random.below(9_000) })
        }
        _ => [1 + random.below(9_000), 1 + random.below(9_000), 0, 0, 0, 1 + random.below(9_000), 0],
    };
    let sum: u64 = counts.iter().sum();
    LedgerCall {
        at: Timestamp::from_millis(day * DAY + (2 + random.below(19) as i64) * HOUR + random.below(3_000_000) as i64),
        provider: shape.provider().to_owned(),
        model: model.to_owned(),
        model_key: model_name::model_key(model),
        key: None,
        workspace: None,
        machine: None,
        purpose: None,
        only_telemetry: false,
        counts,
        cost: Some(Usd::from_picos(i128::from(sum) * 3_000_000)),
    }
}

/// A call as the provider bills it.
struct Billed {
    call: LedgerCall,
    day: i64,
    key: &'static str,
    tier: &'static str,
    factor: Decimal,
}

fn money(billed: &Billed, digits: Option<u32>) -> String {
    let usd = billed.call.cost.unwrap().to_decimal() * billed.factor;
    digits.map_or(usd, |digits| usd.round_dp(digits)).to_string()
}

fn date(day: i64) -> String {
    Timestamp::from_millis(day * DAY).to_string()[..10].to_owned()
}

/// The statement, one row for each day, model, key and tier.
fn render(shape: Shape, billed: &[Billed]) -> String {
    let mut groups: BTreeMap<(i64, &str, &str, &str), Billed> = BTreeMap::new();
    for one in billed {
        let group = groups.entry((one.day, &one.call.model, one.key, one.tier)).or_insert_with(|| Billed {
            call: LedgerCall { counts: [0; 7], cost: Some(Usd::default()), ..one.call.clone() },
            ..*one
        });
        for (sum, count) in group.call.counts.iter_mut().zip(one.call.counts) {
            *sum += count;
        }
        group.call.cost = Some(group.call.cost.unwrap().checked_add(one.call.cost.unwrap()).unwrap());
    }
    let mut text = match shape {
        Shape::AnthropicUsage => "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens\n",
        Shape::AnthropicAnalytics => "{\"data\":[",
        Shape::AnthropicCost => "usage_date_utc,model,token_type,cost_usd\n",
        Shape::OpenAiUsage => "start_time,end_time,num_model_requests,api_key_id,model,input_tokens,output_tokens,input_cached_tokens\n",
        Shape::GitHub => "date,username,sku,model,net_amount,input,output,cache_read,cache_write\n",
        Shape::Cur => "line_item_usage_start_date,line_item_usage_end_date,line_item_usage_type,line_item_usage_amount,line_item_unblended_cost,pricing_unit\n",
    }
    .to_owned();
    for (index, ((day, model, key, tier), group)) in groups.iter().enumerate() {
        let [input, read, w5, w1, _, output, _] = group.call.counts;
        let (start, end) = (date(*day), date(*day + 1));
        match shape {
            Shape::AnthropicUsage => writeln!(text, "{start},{model},{key},{input},{w5},{w1},{read},{output}"),
            Shape::AnthropicAnalytics => write!(text, "{}{{\"starting_at\":\"{start}T00:00:00Z\",\"ending_at\":\"{end}T00:00:00Z\",\"group\":{{\"model\":\"{model}\",\"api_key_id\":\"{key}\"}},\"usage\":{{\"uncached_input_tokens\":{input},\"cache_read_input_tokens\":{read},\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{w5},\"ephemeral_1h_input_tokens\":{w1}}},\"output_tokens\":{output}}}}}", if index == 0 { "" } else { ",\n" }),
            Shape::AnthropicCost => writeln!(text, "{start},{model},all,{}", money(group, Some(2))),
            Shape::OpenAiUsage => writeln!(text, "{},{},1.0,{key},{model},{}.0,{output}.0,{read}.0", day * 86_400, (day + 1) * 86_400, input + read),
            Shape::GitHub => writeln!(text, "{start},u,s,{model},{},{input},{output},{read},0", money(group, None)),
            Shape::Cur => {
                let part_of = |count: u64| (group.call.cost.unwrap().to_decimal() * group.factor * Decimal::from(count) / Decimal::from(input + read + output)).normalize();
                for (kind, count) in [("input-tokens", input), ("cache-read-input-token-count", read), ("output-tokens", output)] {
                    let amount = Decimal::from(count) / Decimal::from(1_000);
                    writeln!(text, "{start},{end},USE1-{model}-{kind}{tier},{amount},{},1K tokens", part_of(count)).unwrap();
                }
                Ok(())
            }
        }
        .unwrap();
    }
    if shape == Shape::AnthropicAnalytics {
        text.push_str("]}");
    }
    text
}

type Expected = BTreeMap<(i64, String), (&'static str, Option<[i128; 7]>)>;

/// One case: the ledger's calls, the statement's text, and the expected cause and difference of each cell.
struct Case {
    calls: Vec<LedgerCall>,
    text: String,
    expected: Expected,
    repeated: Vec<u64>,
}

fn case(seed: u64, shape: Shape) -> Case {
    let mut random = PlantRandom(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let choices = shape.plants();
    // One kind of plant for one case, in a cell of the second day. Other cells agree.
    let plant =
        if random.below(8) == 0 { Plant::Nothing } else { choices[random.below(choices.len() as u64) as usize] };
    // A discount needs money and counts; it applies to every row.
    let discounted = shape == Shape::GitHub && plant == Plant::Nothing;
    let factor = if discounted { Decimal::new(85, 2) } else { Decimal::ONE };
    let (mut calls, mut billed, mut expected) = (Vec::new(), Vec::new(), Expected::new());
    let signed = |call: &LedgerCall, sign: i128| Some(call.counts.map(|count| sign * i128::from(count)));
    for day in 0..3 {
        for model in 0..2 {
            for _ in 0..3 + random.below(5) {
                let one = call(&mut random, shape, FIRST_DAY + day, model);
                calls.push(one.clone());
                billed.push(Billed { call: one, day: FIRST_DAY + day, key: "k", tier: "", factor });
            }
        }
    }
    let mut extra = call(&mut random, shape, FIRST_DAY + 1, 0);
    let cell = (FIRST_DAY + 1, extra.model_key.clone());
    let mut bill = |call: &LedgerCall, day: i64, key: &'static str| {
        billed.push(Billed { call: call.clone(), day, key, tier: "", factor });
    };
    match plant {
        Plant::Nothing | Plant::Duplicate => {}
        Plant::LostLog => {
            bill(&extra, FIRST_DAY + 1, "k");
            expected.insert(cell, ("unknown", signed(&extra, 1)));
        }
        Plant::Machine => {
            bill(&extra, FIRST_DAY + 1, "k");
            let mut old = call(&mut random, shape, FIRST_DAY, 1);
            old.machine = Some("laptop".to_owned());
            bill(&old, FIRST_DAY, "k");
            calls.push(old);
            expected.insert(cell, ("another_machine", signed(&extra, 1)));
        }
        Plant::Key => {
            bill(&extra, FIRST_DAY + 1, "other");
            expected.insert(cell, ("another_key", signed(&extra, 1)));
        }
        Plant::Background | Plant::Telemetry => {
            extra.purpose = (plant == Plant::Background).then(|| "title".to_owned());
            extra.only_telemetry = plant == Plant::Telemetry;
            let name = if plant == Plant::Background { "background_call" } else { "only_in_telemetry" };
            expected.insert(cell, (name, signed(&extra, -1)));
            calls.push(extra);
        }
        Plant::Border => {
            extra.at = Timestamp::from_millis((FIRST_DAY + 2) * DAY - 60_000);
            bill(&extra, FIRST_DAY + 2, "k");
            expected.insert((FIRST_DAY + 2, cell.1.clone()), ("day_border", signed(&extra, 1)));
            expected.insert(cell, ("day_border", signed(&extra, -1)));
            calls.push(extra);
        }
        Plant::Lifetime => {
            let one = billed.iter_mut().find(|one| one.day == cell.0 && one.call.model_key == cell.1).unwrap();
            let moved = one.call.counts[2];
            one.call.counts[2] = 0;
            one.call.counts[3] += moved;
            let moved = i128::from(moved);
            expected.insert(cell, ("cache_write_lifetime", Some([0, 0, -moved, moved, 0, 0, 0])));
        }
        Plant::Tier => {
            for one in billed.iter_mut().filter(|one| one.day == cell.0 && one.call.model_key == cell.1) {
                (one.tier, one.factor) = ("-batch", Decimal::new(5, 1));
            }
            expected.insert(cell, ("tier", Some([0; 7])));
        }
    }
    if discounted {
        for one in &billed {
            expected.insert((one.day, one.call.model_key.clone()), ("price", Some([0; 7])));
        }
    }
    let mut text = render(shape, &billed);
    let mut repeated = Vec::new();
    if plant == Plant::Duplicate {
        let copy = text.lines().nth(2).unwrap().to_owned();
        repeated.push(text.lines().count() as u64 + 1);
        text.push_str(&copy);
        text.push('\n');
    }
    calls.sort_by_key(|call| call.at);
    Case { calls, text, expected, repeated }
}

/// The kind of a cause, as JSON names it.
fn kind(row: &BillRow) -> Option<String> {
    let cause = serde_json::to_value(row.cause.as_ref()?).unwrap();
    Some(cause["cause"].as_str().unwrap().to_owned())
}

#[test]
fn every_planted_discrepancy_is_named_to_the_token_and_nothing_else_is() {
    let mut named: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..SEEDS {
        for shape in SHAPES {
            let Case { calls, text, expected, repeated } = case(seed + 1, shape);
            let place = format!("seed {seed}, {shape:?}\n{text}");
            let statement = statement::read("statement", text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {place}"));
            let options = ComparisonOptions { now: Timestamp::from_millis((FIRST_DAY + 9) * DAY), tolerance_ppm: 0 };
            let found = compare("statement", &statement, &calls, options).unwrap();
            assert_eq!(found.duplicate_lines, repeated, "{place}");
            let mut missing = expected.clone();
            for row in &found.rows {
                let key = (row.start.millis() / DAY, model_name::model_key(&row.model));
                let Some((cause, counts)) = missing.remove(&key) else {
                    assert!(
                        matches!(row.verdict, BillVerdict::Equal | BillVerdict::WithinRounding),
                        "{row:?}: {place}"
                    );
                    continue;
                };
                assert_eq!(kind(row).as_deref(), Some(cause), "{row:?}: {place}");
                *named.entry(cause).or_default() += 1;
                for (class, pair) in &row.tokens {
                    let class = statement::Class::ALL.iter().find(|of| of.name() == *class).unwrap();
                    let parts = crate::model::tokens::TokenClass::ALL.iter().zip(counts.unwrap());
                    let sum: i128 = parts.filter(|(part, _)| class.parts().contains(part)).map(|(_, n)| n).sum();
                    assert_eq!(difference(pair), sum, "{class:?} of {row:?}: {place}");
                }
            }
            assert!(missing.is_empty(), "not found: {missing:?}: {place}");
            let unexplained = expected.values().any(|(cause, _)| *cause == "unknown") || !repeated.is_empty();
            assert_eq!(found.has_unexplained(), unexplained, "{place}");
        }
    }
    // Every cause occurs, so a rule that is switched off fails here.
    assert_eq!(named.len(), 9, "{named:?}");
}

#[test]
fn a_bucket_younger_than_a_day_is_provisional() {
    let seed = (1..SEEDS)
        .find(|seed| case(*seed, Shape::AnthropicUsage).expected.values().any(|(c, _)| *c == "unknown"))
        .unwrap();
    let Case { calls, text, .. } = case(seed, Shape::AnthropicUsage);
    let statement = statement::read("statement", text.as_bytes()).unwrap();
    let options = ComparisonOptions { now: Timestamp::from_millis((FIRST_DAY + 2) * DAY + HOUR), tolerance_ppm: 0 };
    let found = compare("statement", &statement, &calls, options).unwrap();
    assert!(found.rows.iter().any(|row| row.verdict == BillVerdict::Provisional));
    assert!(!found.has_unexplained());
}

#[test]
fn a_row_without_a_provider_is_an_error_and_a_row_without_an_amount_is_counted() {
    let options = ComparisonOptions { now: Timestamp::from_millis((FIRST_DAY + 9) * DAY), tolerance_ppm: 0 };
    let focus = "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ChargeCategory,ChargeDescription,\
        ConsumedQuantity,ConsumedUnit\n2026-05-01,2026-05-02,1,USD,Usage,m input tokens,2,1K Tokens\n";
    let nameless = statement::read("bill.csv", focus.as_bytes()).unwrap();
    let refused = compare("bill.csv", &nameless, &[], options).unwrap_err().to_string();
    assert!(refused.contains("bill.csv:2: the row names no provider"), "{refused}");
    let usage = "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n2026-05-01,m,5,1\n";
    let unpriced = statement::read("usage.csv", usage.as_bytes()).unwrap();
    let mut call = case(1, Shape::AnthropicUsage).calls.remove(0);
    (call.at, call.model, call.model_key) = ("2026-05-01T10:00:00Z".parse().unwrap(), "m".to_owned(), "m".to_owned());
    (call.key, call.workspace, call.cost) = (None, None, None);
    let found = compare("usage.csv", &unpriced, &[call], options).unwrap();
    assert_eq!(found.days["2026-05-01"], Spend { rows_without_amount: 1, ..Spend::default() });
}
