//! Ledgers with known truth, statements of every shape, and planted discrepancies.

mod corpus;
mod render;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::*;
use crate::Ledger;
use crate::model::event::TokenRecord;
use crate::model::time::HOUR;
use crate::model::tokens::{TokenClass, Usd};
use crate::readers::statement::{self, Class};
use corpus::{Case, DAYS, FIRST_DAY, Plant, case, case_with};
use render::{SHAPES, Shape, sum};

const SEEDS: u64 = 200;

fn options(now: Timestamp) -> ComparisonOptions<'static> {
    ComparisonOptions { now, tolerance_ppm: 0, prices: None }
}

fn later() -> Timestamp {
    Timestamp::from_millis((FIRST_DAY + DAYS + 9) * DAY)
}

/// The kind of a cause, as JSON names it.
fn kind(cause: &Cause) -> String {
    serde_json::to_value(cause).unwrap()["cause"].as_str().unwrap().to_owned()
}

/// The tokens of a class of a statement.
fn of_class(name: &str, counts: &[i128; 7]) -> i128 {
    let class = Class::of_name(name).unwrap();
    TokenClass::ALL.iter().zip(counts).filter(|(part, _)| class.parts().contains(part)).map(|(_, count)| count).sum()
}

/// The rows of a day and model name the expected causes, each with its tokens. Rows can be hours, or keys.
fn check_rows(rows: &[&BillRow], expected: &[(&'static str, [i128; 7])], discounted: bool, place: &str) {
    let mut named: BTreeMap<String, BTreeMap<&str, i128>> = BTreeMap::new();
    for cause in rows.iter().flat_map(|row| &row.causes) {
        let sums = named.entry(kind(&cause.cause)).or_default();
        for (class, count) in &cause.tokens {
            *sums.entry(class).or_default() += count;
        }
    }
    for (cause, counts) in expected {
        let sums = named.remove(*cause).unwrap_or_else(|| panic!("not named: {cause} in {rows:?}: {place}"));
        for class in rows[0].tokens.keys() {
            let named = sums.get(class).copied().unwrap_or(0);
            assert_eq!(named, of_class(class, counts), "{class} of {cause} in {rows:?}: {place}");
        }
    }
    assert!(named.is_empty(), "unexpected {named:?} in {rows:?}: {place}");
    for row in rows {
        check_sums(row, discounted, place);
    }
}

/// The causes of a row sum to its difference.
fn check_sums(row: &BillRow, discounted: bool, place: &str) {
    if row.agrees() {
        return;
    }
    for (class, pair) in &row.tokens {
        let named: i128 = row.causes.iter().filter_map(|named| named.tokens.get(class)).sum();
        assert_eq!(named, pair.statement - pair.ledger, "the parts of {class} of {row:?}: {place}");
    }
    let has_all = row.causes.iter().all(|named| named.usd.is_some());
    if let (Some(usd), true) = (row.usd(), has_all || !discounted) {
        assert_eq!(sum(row.causes.iter().map(|named| named.usd.unwrap())), usd, "the money of {row:?}: {place}");
    }
}

fn check(seed: u64, shape: Shape, named: &mut BTreeMap<String, u32>) {
    let Case { calls, text, expected, repeated, plants, discount } = case(seed, shape);
    let place = format!("seed {seed}, {shape:?}, {plants:?}, {discount:?}\n{text}");
    let statement = statement::read("statement", text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {place}"));
    let found = compare("statement", &statement, &calls, &options(later())).unwrap();
    assert_eq!(found.duplicate_lines, repeated, "{place}");
    let mut missing = expected.clone();
    let mut by_day: BTreeMap<(i64, String), Vec<&BillRow>> = BTreeMap::new();
    for row in &found.rows {
        by_day.entry((row.start.millis() / DAY, model_key(&row.model))).or_default().push(row);
    }
    for (key, rows) in by_day {
        check_rows(&rows, &missing.remove(&key).unwrap_or_default(), discount.is_some(), &place);
    }
    for row in &found.rows {
        assert_eq!(row.agrees(), row.causes.is_empty(), "{row:?}: {place}");
        for cause in &row.causes {
            *named.entry(kind(&cause.cause)).or_default() += 1;
            if let Cause::Price { factor, .. } = cause.cause {
                // Amounts in cents do not show more places.
                let error = if statement.step == Usd::default() { Decimal::ZERO } else { Decimal::new(2, 3) };
                assert!((factor - discount.unwrap()).abs() <= error, "{row:?}: {place}");
            }
        }
    }
    assert!(missing.is_empty(), "not found: {missing:?}: {place}");
    let unknown = expected.values().flatten().any(|(cause, _)| *cause == "unknown");
    assert_eq!(found.has_unexplained(), unknown || !repeated.is_empty(), "{place}");
    if seed.is_multiple_of(40) {
        again_from_events(&statement, &calls, &found, &place);
    }
}

/// A recorded statement gives the same answer as its file.
fn again_from_events(of_file: &Statement, calls: &[LedgerCall], found: &Reconciliation, place: &str) {
    let ledger = Ledger::in_memory().unwrap();
    let events = events("statement", of_file, &"ab".repeat(32), &FileTerms::default()).unwrap();
    assert_eq!(events.len(), 1, "{place}");
    assert!(ledger.receive_statements(events.clone(), later()).unwrap()[0].is_new());
    assert!(!ledger.receive_statements(events.clone(), later()).unwrap()[0].is_new(), "{place}");
    let recorded = ledger.snapshot().unwrap().statements(later()).unwrap();
    assert!(ledger.verify().unwrap().ok);
    let again = compare("statement", &received::statement(&recorded[0]).unwrap(), calls, &options(later())).unwrap();
    let (again, found) = [&again, found].map(|one| serde_json::to_value(one).unwrap()).into();
    assert_eq!(again["rows"], found["rows"], "{place}");
    assert_eq!((&again["days"], &again["duplicate_lines"]), (&found["days"], &found["duplicate_lines"]), "{place}");
}

/// The seeds: 200 of them, or those from one to another, as in `BILL_SEEDS=201..900`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("BILL_SEEDS") else { return 1..SEEDS + 1 };
    let (first, last) = text.split_once("..").unwrap();
    println!("seeds {text}");
    first.parse().unwrap()..last.parse().unwrap()
}

#[test]
fn every_planted_discrepancy_is_named_to_the_token_and_nothing_else_is() {
    let mut named = BTreeMap::new();
    for seed in seeds() {
        for shape in SHAPES {
            check(seed, shape, &mut named);
        }
    }
    // Every cause occurs, so a rule that is switched off fails here.
    println!("{named:?}");
    assert_eq!(named.len(), 9, "{named:?}");
}

fn with_plant(plant: Plant) -> Case {
    case_with(7, Shape::AnthropicUsage, plant)
}

#[test]
fn a_bucket_younger_than_a_day_is_provisional() {
    let Case { calls, text, expected, .. } = with_plant(Plant::LostLog);
    let (day, _) = expected.keys().next().unwrap();
    let statement = statement::read("statement", text.as_bytes()).unwrap();
    let now = Timestamp::from_millis((day + 1) * DAY + HOUR);
    let found = compare("statement", &statement, &calls, &options(now)).unwrap();
    assert!(found.rows.iter().any(|row| row.verdict == BillVerdict::Provisional));
    assert!(!found.has_unexplained());
}

#[test]
fn a_machine_that_used_less_than_is_missing_explains_nothing() {
    let Case { mut calls, text, .. } = with_plant(Plant::SilentMachine);
    let statement = statement::read("statement", text.as_bytes()).unwrap();
    let unknown = |calls: &[LedgerCall]| compare("s", &statement, calls, &options(later())).unwrap().has_unexplained();
    assert!(!unknown(&calls));
    for call in calls.iter_mut().filter(|call| call.machine.is_some()).skip(1) {
        call.machine = None;
    }
    calls.iter_mut().filter(|call| call.machine.is_some()).for_each(|call| call.counts = [1; 7]);
    assert!(unknown(&calls));
}

#[test]
fn other_money_of_a_single_row_is_no_discount_without_a_list_price() {
    let text = |list: &str| {
        format!(
            "date,username,sku,model,gross_amount,net_amount,input,output,cache_read,cache_write\n\
             2026-05-01,u,s,gpt-5,{list},0.5,1000,0,0,0\n2026-05-02,u,s,gpt-5,1,1,1000,0,0,0\n"
        )
    };
    let call = |day: &str| LedgerCall {
        at: format!("2026-05-0{day}T10:00:00Z").parse().unwrap(),
        provider: "github-copilot".to_owned(),
        model: "gpt-5".to_owned(),
        model_key: model_key("gpt-5"),
        counts: [1_000, 0, 0, 0, 0, 0, 0],
        cost: Some("1".parse().unwrap()),
        ..LedgerCall::default()
    };
    let cause = |list: &str| {
        let statement = statement::read("s", text(list).as_bytes()).unwrap();
        let found = compare("s", &statement, &[call("1"), call("2")], &options(later())).unwrap();
        kind(&found.rows[0].causes[0].cause)
    };
    assert_eq!((cause(""), cause("1")), ("unknown".to_owned(), "price".to_owned()));
}

#[test]
fn a_border_needs_a_neighbour_that_differs_too() {
    let Case { mut calls, text, .. } = with_plant(Plant::Border);
    let statement = statement::read("statement", text.as_bytes()).unwrap();
    assert!(!compare("s", &statement, &calls, &options(later())).unwrap().has_unexplained());
    // The neighbouring bucket agrees now, because the ledger has another call there with the same counts.
    let near = calls.iter().position(|call| DAY - call.at.millis().rem_euclid(DAY) == MINUTE).unwrap();
    let mut copy = calls[near].clone();
    copy.at = copy.at.plus(2 * HOUR);
    calls.push(copy);
    calls.sort_by_key(|call| call.at);
    assert!(compare("s", &statement, &calls, &options(later())).unwrap().has_unexplained());
}

#[test]
fn a_bucket_without_the_call_is_no_border() {
    let Case { mut calls, text, .. } = with_plant(Plant::Border);
    let statement = statement::read("statement", text.as_bytes()).unwrap();
    // The neighbouring bucket differs for another reason: the ledger has a similar call there.
    let near = calls.iter().position(|call| DAY - call.at.millis().rem_euclid(DAY) == MINUTE).unwrap();
    let mut other = calls[near].clone();
    other.at = other.at.plus(2 * HOUR);
    (other.counts[0], other.counts[1]) = (other.counts[0] + 50, other.counts[1] - 1);
    calls.push(other);
    calls.sort_by_key(|call| call.at);
    let found = compare("s", &statement, &calls, &options(later())).unwrap();
    assert!(!found.rows.iter().flat_map(|row| &row.causes).any(|named| kind(&named.cause) == "day_border"));
    assert!(found.has_unexplained());
}

#[test]
fn calls_that_the_statement_leaves_out_are_no_discount() {
    let Case { calls, text, .. } = case_with(3, Shape::OpenAiCost, Plant::Background);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("haiku")).collect();
    let statement = statement::read("statement", lines.join("\n").as_bytes()).unwrap();
    let found = compare("s", &statement, &calls, &options(later())).unwrap();
    let causes: BTreeSet<String> = found
        .rows
        .iter()
        .filter(|row| row.model.contains("haiku"))
        .flat_map(|row| &row.causes)
        .map(|one| kind(&one.cause))
        .collect();
    assert_eq!(causes, BTreeSet::from(["unknown".to_owned()]));
}

#[test]
fn web_searches_are_billed_apart() {
    let ledger = Ledger::in_memory().unwrap();
    let at: Timestamp = "2026-05-01T10:00:00Z".parse().unwrap();
    let record =
        TokenRecord::new("anthropic", "claude-sonnet-4-5").input(100_000).server_tool("web_search", 3).key("a");
    ledger.record(record, at).unwrap();
    let file = |search: &str| {
        format!(
            "usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd,cost_type\n\
             2026-05-01,Claude Sonnet 4.5,Default,k,standard,input_no_cache,0.30,token\n\
             2026-05-01,,Default,k,,,{search},web_search\n2026-05-01,,Default,k,,,0.40,code_execution\n"
        )
    };
    let snapshot = ledger.snapshot().unwrap();
    let found = |search: &str| {
        let statement = statement::read("cost.csv", file(search).as_bytes()).unwrap();
        compare_with_ledger(&snapshot, ("cost.csv", &statement), None, &snapshot.prices().unwrap(), (later(), 0))
            .unwrap()
    };
    let equal = found("0.03");
    assert!(equal.rows.iter().all(BillRow::agrees) && equal.rows.len() == 2, "{equal:?}");
    assert_eq!(equal.other_rows, 1);
    assert!(found("0.30").has_unexplained());
}

#[test]
fn a_replaced_statement_of_money_still_states_money_for_its_other_days() {
    let ledger = Ledger::in_memory().unwrap();
    let head = "start_time,end_time,amount_value,amount_currency,line_item\n";
    let both = format!("{head}1777593600,1777680000,1,usd,gpt-5\n1777680000,1777766400,,,\n");
    let first = format!("{head}1777593600,1777680000,2,usd,gpt-5\n");
    for (text, hash) in [(&both, "ab"), (&first, "cd")] {
        let statement = statement::read("cost.csv", text.as_bytes()).unwrap();
        let events = events("cost.csv", &statement, &hash.repeat(32), &FileTerms::default()).unwrap();
        ledger.receive_statements(events, later()).unwrap();
    }
    let recorded = ledger.snapshot().unwrap().statements(later()).unwrap();
    assert!(recorded[0].content.has_money() && recorded[0].holds_between(Timestamp::MIN, Timestamp::MAX));
    let statement = received::statement(&recorded[0]).unwrap();
    assert!(statement.rows.is_empty() && statement.measures.has_money);
}

#[test]
fn days_sum_what_is_confirmed_explained_and_unexplained() {
    let Case { calls, text, expected, .. } = case_with(7, Shape::Cur, Plant::Key);
    let statement = statement::read("statement", text.as_bytes()).unwrap();
    let found = compare("statement", &statement, &calls, &options(later())).unwrap();
    let charged = sum(statement.rows.iter().filter_map(|row| row.cost));
    let only_ledger = found.rows.iter().flat_map(|row| &row.causes).filter_map(|named| named.usd);
    let only_ledger = sum(only_ledger.filter(|usd| *usd < Usd::default()));
    let spent = sum(found.days.values().flat_map(|spend| [spend.confirmed, spend.explained, spend.unexplained]));
    assert_eq!(spent, charged.checked_add(only_ledger.negated()).unwrap());
    assert!(found.days.values().any(|spend| spend.explained > Usd::default()) && !expected.is_empty());
}

#[test]
fn a_row_without_a_provider_is_an_error_and_a_row_without_an_amount_is_counted() {
    let focus = "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ChargeCategory,ChargeDescription,\
        ConsumedQuantity,ConsumedUnit\n2026-05-01,2026-05-02,1,USD,Usage,m input tokens,2,1K Tokens\n";
    let nameless = statement::read("bill.csv", focus.as_bytes()).unwrap();
    let refused = compare("bill.csv", &nameless, &[], &options(later())).unwrap_err().to_string();
    assert!(refused.contains("bill.csv:2: the row names no provider"), "{refused}");
    let usage = "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n2026-05-01,m,5,1\n";
    let unpriced = statement::read("usage.csv", usage.as_bytes()).unwrap();
    let mut call = case(1, Shape::AnthropicUsage).calls.remove(0);
    (call.at, call.model, call.model_key) = ("2026-05-01T10:00:00Z".parse().unwrap(), "m".to_owned(), "m".to_owned());
    call.cost = None;
    let found = compare("usage.csv", &unpriced, &[call], &options(later())).unwrap();
    assert_eq!(found.days["2026-05-01"], Spend { rows_without_amount: 1, ..Spend::default() });
}
