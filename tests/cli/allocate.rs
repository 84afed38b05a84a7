//! `allocate`: parts that sum to the bill exactly, by rules that are events.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::process::Command;

use crate::cli_support::TestCli;
use proptest::prelude::*;
use serde_json::{Value, json};
use usage_ledger::event::{
    AllocationCondition, AllocationMeasure, AllocationRest, AllocationSet, AllocationShare, EventVoided, NewEvent,
    PriceSet,
};
use usage_ledger::internals::{self, Allocation, AllocationTable};
use usage_ledger::{AsOf, Ledger, Report, ReportKey, Timestamp, TokenRecord, Usd};

const NOW: &str = "2026-06-02T00:00:00Z";

/// May of three projects and a shared one, at prices of 3 and 1 dollars per million tokens.
fn cli() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-05-01T00:00:00Z", &["price", "set", "mine", "m", "--input", "3", "--output", "1"]);
    let lines = [
        r#"{"provider":"mine","model":"m","account":"work","input":1000000,"project":"acme"}"#,
        r#"{"provider":"mine","model":"m","output":1000000,"project":"globex"}"#,
        r#"{"provider":"mine","model":"m","output":333333,"project":"platform"}"#,
        r#"{"provider":"mine","model":"m","output":7,"labels":{"purpose":"ci"}}"#,
        r#"{"provider":"mine","model":"unpriced","output":7,"project":"acme"}"#,
    ];
    cli.ok_with_input(lines.join("\n"), &["--now", "2026-05-10T12:00:00Z", "record", "--jsonl", "-"]);
    cli
}

fn set(cli: &TestCli, args: &[&str]) {
    cli.at("2026-06-01T00:00:00Z", &[&["allocate", "set"], args].concat());
}

fn parts(answer: &Value) -> BTreeMap<String, String> {
    let receivers = answer["receivers"].as_array().unwrap().iter();
    receivers
        .map(|one| (one["name"].as_str().unwrap_or("-").to_owned(), one["usd"].as_str().unwrap().to_owned()))
        .collect()
}

fn allocate(cli: &TestCli, args: &[&str]) -> Value {
    cli.json(&[&["--now", NOW, "allocate", "--period", "2026-05"], args].concat())
}

#[test]
fn shared_spend_follows_usage_and_the_parts_sum_to_the_report() {
    let cli = cli();
    set(&cli, &["platform", "--of", "project=platform", "--rest", "usage"]);
    let answer = allocate(&cli, &[]);
    assert_eq!(
        parts(&answer),
        [("-", "0.000007"), ("acme", "3.24999975"), ("globex", "1.08333325")]
            .map(|(name, usd)| (name.to_owned(), usd.to_owned()))
            .into()
    );
    let cost = &cli.json(&["--now", NOW, "report", "--since", "2026-05", "--until", "2026-06"])["total"]["cost"];
    assert_eq!((&answer["bill"], &answer["cost"]), (&cost["usd"], &cost["usd"]));
    assert_eq!(answer["unpriced_requests"], 1);
    assert_eq!(answer["rules"][0]["cost"], "0.333333");
    let acme = &answer["receivers"][1];
    assert_eq!(acme["lines"][0]["rule"], Value::Null);
    assert_eq!((&acme["lines"][1]["rule"], &acme["lines"][1]["usd"]), (&json!("platform"), &json!("0.24999975")));
    let text = cli.at(NOW, &["allocate", "--period", "2026-05"]);
    assert!(text.contains("acme: $3.24999975\n  own usage, mine work m: $3\n  rule platform, mine m: "), "{text}");
    assert!(text.ends_with("total: $4.33334\n"), "{text}");
}

#[test]
fn fixed_shares_equal_parts_and_the_rest_split_a_bill_to_the_cent() {
    let cli = cli();
    set(&cli, &["platform", "--of", "project=platform", "--share", "acme=33.333333", "--rest", "to:internal"]);
    set(&cli, &["ci", "--of", "project=", "--of", "label:purpose=ci", "--rest", "equal:acme,globex,initech"]);
    let answer = allocate(&cli, &["--amount", "100.00"]);
    let parts = parts(&answer);
    let sum: Usd = parts.values().try_fold(Usd::default(), |sum, usd| sum.checked_add(usd.parse().unwrap())).unwrap();
    assert_eq!((sum.to_string().as_str(), &answer["unit"], &answer["bill"]), ("100", &json!("0.01"), &json!("100")));
    assert!(parts.contains_key("internal") && !parts.contains_key("-") && !parts.contains_key("platform"), "{parts:?}");
    for receiver in answer["receivers"].as_array().unwrap() {
        let lines = receiver["lines"].as_array().unwrap().iter();
        let sum = lines
            .fold(Usd::default(), |sum, line| sum.checked_add(line["usd"].as_str().unwrap().parse().unwrap()).unwrap());
        assert_eq!(Some(sum.to_string().as_str()), receiver["usd"].as_str());
    }
    assert!(cli.fails(2, &["allocate", "--period", "2026-05", "--amount", "1.005"]).contains("smaller unit"));
    assert!(cli.fails(2, &["allocate", "--period", "2026-04", "--amount", "1"]).contains("nothing to split"));
    assert_eq!(allocate(&cli, &["--amount", "0"])["bill"], "0");
    // A credit.
    assert_eq!(allocate(&cli, &["--amount", "-7.77"])["bill"], "-7.77");
}

#[test]
fn rules_are_events_replaced_ended_voided_and_read_as_of_a_time() {
    let cli = cli();
    let names = |args: &[&str]| {
        let answer = cli.json(&[args, &["allocate", "list"]].concat());
        let rules = answer["rules"].as_array().unwrap().iter();
        rules.map(|rule| format!("{} {}", rule["name"].as_str().unwrap(), rule["position"])).collect::<Vec<_>>()
    };
    set(&cli, &["platform", "--of", "project=platform", "--rest", "to:acme"]);
    set(&cli, &["platform", "--of", "project=platform", "--rest", "to:globex"]);
    assert_eq!(names(&["--now", NOW]), ["platform 8"]);
    assert_eq!(names(&["--as-of", "7"]), ["platform 7"]);
    assert_eq!(allocate(&cli, &[])["rules"][0]["position"], 8);
    let past = cli.json(&["--as-of", "7", "allocate", "--period", "2026-05"]);
    assert_eq!((&past["rules"][0]["position"], &parts(&past)["acme"]), (&json!(7), &"3.333333".to_owned()));
    cli.at(NOW, &["void", "8", "--reason", "a mistake"]);
    assert_eq!(names(&["--now", NOW]), ["platform 7"]);
    cli.at(NOW, &["allocate", "end", "platform"]);
    assert_eq!(names(&["--now", NOW]), [""; 0]);
    assert_eq!(parts(&allocate(&cli, &[]))["platform"], "0.333333");
    assert!(cli.fails(2, &["--now", NOW, "allocate", "end", "platform"]).contains("no rule platform"));
    assert_eq!(cli.json(&["verify"])["findings"], json!([]));
    assert_eq!(cli.ok(&["log", "--kind", "allocation_set"]).lines().count(), 3);
}

#[test]
fn a_rest_without_usage_stays_and_the_answer_tells() {
    let cli = cli();
    set(&cli, &["platform", "--of", "project=platform", "--share", "acme=25", "--rest", "usage:cost:nobody"]);
    let answer = allocate(&cli, &[]);
    assert_eq!(parts(&answer)["platform"], "0.24999975");
    assert_eq!(answer["rules"][0]["rest_stayed"], true);
}

#[test]
fn bad_rules_are_refused_with_a_remedy() {
    let cli = cli();
    let before = cli.bytes();
    let fails = |args: &[&str]| cli.fails(2, &[&["allocate", "set"], args].concat());
    for (args, what) in [
        (&["a"][..], "less than 100 %"),
        (&["a", "--share", "x=60", "--share", "y=60"], "more than 100 %"),
        (&["a", "--share", "x=60"], "state who receives the rest"),
        (&["a", "--share", "x=100", "--rest", "to:y"], "no rest"),
        (&["a", "--share", "x=50", "--share", "x=50"], "twice"),
        (&["a", "--share", "x=abc", "--rest", "usage"], "33.5"),
        (&["a", "--rest", "magic"], "equal:NAME"),
        (&["a", "--rest", "equal:"], "equal:NAME"),
        (&["a", "--rest", "usage:beauty"], "usage:tokens"),
        (&["a", "--of", "project", "--rest", "usage"], "KEY=VALUE"),
        (&["a", "--of", "day=2026-05-01", "--rest", "usage"], "cannot be allocated by day"),
        (&["a", "--by", "colour", "--rest", "usage"], "report key"),
        (&["", "--rest", "usage"], "not empty"),
    ] {
        let why = fails(args);
        assert!(why.contains(what), "{args:?}: {why}");
    }
    assert_eq!(cli.bytes(), before);
}

#[test]
fn csv_focus_and_the_page_state_the_same_parts() {
    let cli = cli();
    let evil = r#"{"provider":"mine","model":"m","input":10,"project":"=<script>alert(1)</script>\u202e&\"x"}"#;
    cli.ok_with_input(evil, &["--now", "2026-05-11T00:00:00Z", "record", "--jsonl", "-"]);
    set(&cli, &["platform", "--of", "project=platform", "--rest", "usage"]);
    let export =
        |format: &str| cli.at(NOW, &["allocate", "--period", "2026-05", "--amount", "1234.56", "--format", format]);
    let csv = export("csv");
    assert!(csv.starts_with("period_start,period_end,project,rule,provider,account,model,currency,amount\n"), "{csv}");
    assert!(csv.contains("\"'=<script>"), "a formula is a text: {csv}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let sum =
        reader.records().fold(Usd::default(), |sum, row| sum.checked_add(row.unwrap()[8].parse().unwrap()).unwrap());
    assert_eq!(sum.to_string(), "1234.56");

    let focus = export("focus");
    std::fs::write(cli.dir().join("focus.csv"), &focus).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let done = Command::new("python3")
        .args([format!("{root}/tests/focus.py"), format!("{root}/tests/fixtures/focus/columns-1.4.csv")])
        .arg(cli.dir().join("focus.csv"))
        .output()
        .unwrap();
    let checked = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && checked.ends_with("1234.56 USD\n"), "{checked}");
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(focus.as_bytes()).deserialize().map(Result::unwrap).collect();
    let shared = rows.iter().find(|row| row["AllocatedMethodId"] == "platform" && row["x_Receiver"] == "acme").unwrap();
    assert_eq!(
        (shared["Tags"].as_str(), shared["AllocatedTags"].as_str()),
        (r#"{"project":"acme"}"#, r#"{"project":"acme"}"#)
    );
    assert_eq!(
        (shared["ChargePeriodStart"].as_str(), shared["ChargePeriodEnd"].as_str()),
        ("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")
    );

    let file = cli.dir().join("may.html");
    let args = ["allocate", "--period", "2026-05", "--amount", "1234.56", "--format", "html", "--output"];
    cli.at(NOW, &[&args[..], &[file.to_str().unwrap()]].concat());
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.contains("&lt;script&gt;") && page.contains("\\u{202e}&amp;&quot;x"), "{page}");
    for forbidden in ["<script", "src=", "href=", "http:", "https:", "url(", "@import", "onload"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    assert!(page.contains("<td>Total</td><td class=\"n\">1234.56</td>"), "{page}");
}

/// A rule in the ranges that people use.
fn rule() -> impl Strategy<Value = (AllocationSet, bool)> {
    let name = || prop::sample::select(vec!["acme", "globex", "initech", "platform", "new"]).prop_map(str::to_owned);
    let names =
        move || prop::collection::btree_set(name(), 1..4).prop_map(|names| names.into_iter().collect::<Vec<_>>());
    let measure =
        prop::sample::select(vec![AllocationMeasure::Cost, AllocationMeasure::Tokens, AllocationMeasure::Requests]);
    let rest = prop_oneof![
        (measure, prop_oneof![Just(Vec::new()), names()])
            .prop_map(|(measure, names)| AllocationRest::Usage { measure, names }),
        names().prop_map(|names| AllocationRest::Equal { names }),
        name().prop_map(|name| AllocationRest::To { name }),
    ];
    let of = prop_oneof![
        name().prop_map(|name| AllocationCondition::new("project", Some(&name))),
        Just(AllocationCondition::new("project", None)),
        Just(AllocationCondition::new("label:team", Some("blue"))),
        Just(AllocationCondition::new("provider", Some("mine"))),
    ];
    let shares = prop::collection::btree_map(name(), 0..33_000_000_u32, 0..3);
    ("[a-c]", prop::collection::vec(of, 0..3), shares, rest, any::<bool>()).prop_map(
        |(name, of, shares, rest, voided)| {
            let mut set = AllocationSet::new(name, "project");
            set.of = of;
            for (name, millionths) in shares {
                let percent = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
                set.shares.push(AllocationShare::new(name, percent.parse().unwrap()));
            }
            set.rest = Some(rest);
            (set, voided)
        },
    )
}

fn call() -> impl Strategy<Value = TokenRecord> {
    let project = prop::sample::select(vec![None, Some("acme"), Some("globex"), Some("initech"), Some("platform")]);
    let of = prop::sample::select(vec![("mine", "m"), ("mine", "free"), ("other", "m"), ("other", "unpriced")]);
    (project, of, 0..1_000_000_000_u64, 0..1_000_u64, any::<bool>()).prop_map(
        |(project, (provider, model), input, output, blue)| {
            let mut record = TokenRecord::new(provider, model).input(input).output(output);
            if let Some(project) = project {
                record = record.project(project);
            }
            if blue { record.label("team", "blue") } else { record }
        },
    )
}

fn sum(amounts: impl Iterator<Item = Usd>) -> Usd {
    amounts.fold(Usd::default(), |sum, usd| sum.checked_add(usd).unwrap())
}

fn assert_exact(table: &AllocationTable) {
    assert_eq!(sum(table.receivers.iter().map(|receiver| receiver.usd)), table.bill);
    for receiver in &table.receivers {
        assert_eq!(sum(receiver.lines.iter().map(|line| line.usd)), receiver.usd);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn parts_sum_exactly_for_random_money_and_shares(
        calls in prop::collection::vec(call(), 0..12),
        rules in prop::collection::vec(rule(), 0..5),
        cents in -10_000_000_000_i64..10_000_000_000,
    ) {
        let since: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        let until: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        for (provider, model, input) in [("mine", "m", "0.333333333333"), ("mine", "free", "0"), ("other", "m", "75.000001")] {
            let price = PriceSet::new(provider, model, input.parse().unwrap(), "1".parse().unwrap()).unwrap();
            ledger.append([NewEvent::new(price, since)], since).unwrap();
        }
        for (number, call) in calls.into_iter().enumerate() {
            ledger.append([NewEvent::new(call, since.plus(number as i64))], until).unwrap();
        }
        for (set, voided) in rules {
            let outcome = ledger.set_allocation(set, until).unwrap();
            if voided {
                let target = ledger.event(outcome.position()).unwrap().id;
                ledger.append([NewEvent::new(EventVoided::new(target, "no"), until)], until).unwrap();
            }
        }
        let period = (since, until);
        let cost = ledger.report(&Report::by(ReportKey::Project).since(since).until(until)).unwrap().total.cost.usd;
        let exact = internals::allocate(&ledger.snapshot().unwrap(), &Allocation::by(ReportKey::Project, period), until).unwrap();
        prop_assert_eq!((exact.bill, exact.cost), (cost.unwrap_or_default(), cost.unwrap_or_default()));
        assert_exact(&exact);
        let sign = if cents < 0 { "-" } else { "" };
        let bill: Usd = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100).parse().unwrap();
        let request = Allocation::by(ReportKey::Project, period).bill(bill).unit("0.01".parse().unwrap());
        let head = ledger.head().unwrap().position;
        match internals::allocate(&ledger.snapshot().unwrap(), &request, until) {
            Ok(table) => {
                prop_assert_eq!(table.bill, bill);
                assert_exact(&table);
                // The same again, and as of the same position.
                let again = internals::allocate(&ledger.as_of(AsOf::Position(head)).unwrap(), &request, until).unwrap();
                prop_assert_eq!(again, table);
            }
            Err(error) => prop_assert!(exact.cost == Usd::default(), "{}", error),
        }
    }
}
