//! Exports for other programs, each read by an independent reader.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp)]

use crate::cli_support;

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use cli_support::TestCli;
use cloudevents::AttributesReader;

const ROWS: &str = r#"{"provider":"anthropic","model":"claude-sonnet-4-5","input":1000,"output":200,"cache_read":10000,"cache_write_1h":50,"key":"a","occurred_at":"2026-06-08T10:00:00Z","project":"acme, inc","labels":{"mission":"say \"hi\""},"cost_usd":"0.01"}
{"provider":"anthropic","model":"claude-sonnet-4-5","input":250000,"output":10,"key":"b","occurred_at":"2026-06-08T11:00:00Z","conversation":"c"}
{"provider":"anthropic","account":"work","model":"claude-sonnet-4-5","input":5,"key":"c","occurred_at":"2026-06-30T23:59:59Z"}
{"provider":"ollama","model":"qwen3:8b \"q4\"\\x","output":7,"key":"d","occurred_at":"2026-06-08T12:00:00Z"}
{"provider":"anthropic","model":"claude-sonnet-4-5","input":1,"key":"e","occurred_at":"2026-06-08T13:00:00Z"}
"#;

/// Records, one of them voided, a limit and a switch.
fn cli() -> TestCli {
    let cli = TestCli::new();
    cli.ok_with_input(ROWS, &["--now", "2026-07-01T12:00:00Z", "record", "--jsonl", "-"]);
    cli.at("2026-07-01T12:00:01Z", &["void", "5", "--reason", "a mistake"]);
    cli.at("2026-07-01T12:00:02Z", &["limit", "set", "anthropic", "--session", "1000", "--weekly", "500000"]);
    cli.at("2026-07-01T12:00:03Z", &["switch", "ollama", "--reason", "a\nb"]);
    cli
}

fn export(cli: &TestCli, format: &str) -> String {
    cli.at("2026-07-01T12:00:04Z", &["export", "--format", format])
}

/// The result of Python's standard library.
fn python(cli: &TestCli, args: &[&str]) -> std::process::Output {
    Command::new("python3").args(args).current_dir(cli.dir()).output().unwrap()
}

#[test]
fn csv_has_every_record_with_its_corrections() {
    let cli = cli();
    std::fs::write(cli.dir().join("calls.csv"), export(&cli, "csv")).unwrap();
    let script = "import csv,json; print(json.dumps(list(csv.DictReader(open('calls.csv', newline='')))))";
    let output = python(&cli, &["-c", script]);
    let rows: Vec<BTreeMap<String, String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), 4);
    let first = &rows[0];
    let values =
        ["position", "project", "labels", "input", "cache_write_1h", "cache_write", "total", "reported_usd", "usd"];
    assert_eq!(
        values.map(|name| first[name].as_str()),
        ["1", "acme, inc", r#"{"mission":"say \"hi\""}"#, "1000", "50", "", "11250", "0.01", "0.0093"]
    );
    assert_eq!(rows[3]["usd"], ""); // nobody says what it costs
    let report = cli.json(&["report"]);
    assert_eq!(
        rows.iter().map(|row| row["total"].parse::<u64>().unwrap()).sum::<u64>(),
        report["total"]["tokens"]["total"]
    );
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_the_rows_of_the_csv_with_types() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let cli = cli();
    let path = cli.dir().join("calls.parquet");
    cli.ok(&["export", "--format", "parquet", "--output", path.to_str().unwrap()]);
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(number) => number.to_string(),
        Field::TimestampMillis(millis) => {
            chrono::DateTime::from_timestamp_millis(*millis).unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
        }
        Field::Decimal(amount) => {
            assert_eq!((amount.precision(), amount.scale()), (38, 12));
            let picos = i128::from_be_bytes(amount.data().try_into().unwrap());
            rust_decimal::Decimal::from_i128_with_scale(picos, 12).normalize().to_string()
        }
        other => panic!("{other:?}"),
    };
    let rows: Vec<BTreeMap<String, String>> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect())
        .collect();
    let csv = export(&cli, "csv");
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let rows_read: Vec<BTreeMap<String, String>> = csv.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows, rows_read);
}

/// Checks an export against the columns of the specification.
fn focus(cli: &TestCli, file: &str) -> (bool, String) {
    let root = env!("CARGO_MANIFEST_DIR");
    let (script, columns) = (format!("{root}/tests/focus.py"), format!("{root}/tests/fixtures/focus/columns-1.4.csv"));
    let output = python(cli, &[&script, &columns, file]);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn focus_has_the_columns_types_and_values_of_the_specification() {
    let cli = cli();
    let text = export(&cli, "focus");
    std::fs::write(cli.dir().join("focus.csv"), &text).unwrap();
    let check = |file: &str| focus(&cli, file);
    let cost = cli.json(&["report"])["total"]["cost"]["usd"].as_str().unwrap().to_owned();
    assert_eq!(check("focus.csv"), (true, format!("8 rows, {cost} USD\n")));
    assert!(text.lines().any(|line| line.contains("qwen3") && line.contains(",false,")), "{text}");
    // The check can also fail.
    std::fs::write(cli.dir().join("bad.csv"), text.replacen("AI and Machine Learning", "Magic", 1)).unwrap();
    assert!(!check("bad.csv").0);
}

#[test]
fn focus_adds_up_to_the_report_and_names_each_price() {
    let cli = TestCli::new();
    let call = |model: &str, more: &str| format!("{{\"provider\":{model},{more}}}\n");
    let opus = r#""anthropic","model":"claude-opus-4-6""#;
    let rows = [
        // With an additional price per request.
        call(r#""perplexity","model":"sonar""#, r#""input":100,"output":10,"occurred_at":"2026-06-08T10:00:00Z""#),
        // A call with an unpriced class has no price.
        call(
            r#""openai","model":"text-embedding-3-small""#,
            r#""input":1000,"output":1,"occurred_at":"2026-06-08T10:00:00Z""#,
        ),
        // Short and long prompts, before and after prices became flat.
        call(opus, r#""input":1000,"output":10,"occurred_at":"2026-03-01T10:00:00Z","project":"acme","agent":"bot""#),
        call(opus, r#""input":300000,"output":10,"occurred_at":"2026-03-01T10:00:00Z","labels":{"team":"blue"}"#),
        call(opus, r#""input":300000,"output":10,"occurred_at":"2026-03-20T10:00:00Z""#),
        call(
            opus,
            r#""input":300000,"output":10,"occurred_at":"2026-11-01T10:00:00Z","labels":{"service_tier":"batch"}"#,
        ),
        // Another price in the same hour of another day.
        call(r#""deepseek","model":"deepseek-chat""#, r#""input":1000000,"occurred_at":"2026-06-08T10:00:00Z""#),
        call(r#""deepseek","model":"deepseek-chat""#, r#""input":1000000,"occurred_at":"2026-06-08T20:00:00Z""#),
        call(r#""mine","model":"m""#, r#""input":5,"occurred_at":"2026-06-08T10:00:00Z""#),
        call(r#""mine","model":"m""#, r#""input":5,"occurred_at":"2026-06-10T10:00:00Z""#),
    ];
    cli.ok_with_input(rows.concat(), &["--now", "2026-11-20T12:00:00Z", "record", "--jsonl", "-"]);
    cli.ok(&["price", "set", "mine", "m", "--input", "3", "--output", "1"]);
    cli.ok(&["price", "set", "mine", "m", "--input", "4", "--output", "1", "--from", "2026-06-09T00:00:00Z"]);
    let text = cli.ok(&["export", "--format", "focus"]);
    std::fs::write(cli.dir().join("focus.csv"), &text).unwrap();
    let report = cli.json(&["report"]);
    let (fine, check_output) = focus(&cli, "focus.csv");
    let cost = report["total"]["cost"]["usd"].as_str().unwrap();
    assert!(fine && check_output.ends_with(&format!(" {cost} USD\n")), "{check_output} of {cost}");
    assert_eq!(report["total"]["cost"]["unpriced_requests"], 1);
    let read: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect();
    let unpriced: Vec<_> = read.iter().filter(|row| row["x_PriceKnown"] == "false").collect();
    assert_eq!(unpriced.len(), 2);
    assert!(unpriced.iter().all(|row| row["ListCost"] == "0" && row["SkuPriceId"].ends_with("/unpriced")));
    let ids = |column: &str, of: &str| -> Vec<String> {
        read.iter().filter(|row| row["SkuId"] == of).map(|row| row[column].clone()).collect()
    };
    let input = "anthropic/claude-opus-4-6/input";
    assert_eq!(
        ids("SkuPriceId", input),
        [
            input.to_owned(),
            format!("{input}/above 200000"),
            format!("{input}/2026-03-13"),
            format!("{input}/batch/2026-10-14")
        ]
    );
    assert_eq!(
        ids("SkuPriceDetails", input)[1],
        r#"{"x_Model":"claude-opus-4-6","x_PromptAbove":"200000 tokens","x_TokenClass":"input"}"#
    );
    assert_eq!(
        ids("Tags", input),
        [r#"{"agent":"bot","project":"acme"}"#, r#"{"team":"blue"}"#, "", r#"{"service_tier":"batch"}"#]
    );
    assert_eq!(ids("SkuPriceId", "mine/m/input"), ["mine/m/input/stated at 11", "mine/m/input/stated at 12"]);
    assert_eq!(ids("PricingUnit", "perplexity/sonar/requests"), ["1000 Requests"]);
}

#[test]
fn prometheus_reads_the_counters() {
    let cli = cli();
    let page = export(&cli, "prometheus");
    let scrape = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let samples: HashMap<String, f64> = scrape
        .samples
        .iter()
        .map(|sample| {
            let mut labels: Vec<_> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.sort();
            let value = match sample.value {
                prometheus_parse::Value::Counter(value) | prometheus_parse::Value::Gauge(value) => value,
                ref other => panic!("{other:?}"),
            };
            (format!("{} {}", sample.metric, labels.join(" ")), value)
        })
        .collect();
    let sonnet = "account= class=input model=claude-sonnet-4-5 provider=anthropic";
    assert_eq!(samples[&format!("usage_ledger_tokens_total {sonnet}")], 251_000.0);
    assert_eq!(
        samples["usage_ledger_reported_cost_usd_total account= model=claude-sonnet-4-5 provider=anthropic"],
        0.01
    );
    // Reported and computed costs are separate metrics, and an unreported cost has no sample.
    assert!(
        samples
            .contains_key("usage_ledger_computed_cost_usd_total account= model=claude-sonnet-4-5 provider=anthropic")
    );
    assert!(!page.contains("usage_ledger_cost_usd_total") && !page.contains("class=\"cache_write_5m\""), "{page}");
    let unpriced =
        samples.iter().filter(|(name, value)| name.contains("unpriced") && **value == 1.0).collect::<Vec<_>>();
    assert!(unpriced.len() == 1 && unpriced[0].0.contains("provider=ollama"), "{unpriced:?}");
    assert_eq!(samples["usage_ledger_provider_switches_total "], 1.0);
    assert_eq!(samples["usage_ledger_events_total "], 8.0);
    let names = "account= provider=anthropic window=session";
    assert_eq!(samples[&format!("usage_ledger_window_limit_tokens {names}")], 1_000.0);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(page.contains(&format!("# TYPE {name} ")) && page.contains(&format!("# HELP {name} ")), "{name}");
    }
}

#[test]
fn the_cloudevents_library_reads_the_export() {
    let cli = cli();
    let lines = export(&cli, "cloudevents");
    let events: Vec<cloudevents::Event> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 8);
    assert_eq!(events[0].ty(), "usage-ledger.tokens_recorded");
    assert_eq!(events[7].ty(), "usage-ledger.provider_switched");
    assert_eq!(events[0].time().unwrap().to_rfc3339(), "2026-06-08T10:00:00+00:00");
    assert_eq!(events[2].extension("position").unwrap().to_string(), "3");
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| (event.source().clone(), event.id())).collect();
    assert_eq!(ids.len(), 8);
}
