use std::fs;
use std::path::Path;

use super::*;
use crate::import::{ImportOptions, SourceReport, run};
use crate::model::event::Payload;
use crate::report::{Report, ReportKey};

const ROW: &str = r#"{"ts":"2026-06-10T12:00:00","project":"acme","model":"m","input_tokens":5,"output_tokens":2,"mode":"deep","mission":"Fix the secret"}"#;

fn instance() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("instance/usage")).unwrap();
    home
}

fn day(home: &Path, text: impl AsRef<[u8]>) {
    fs::write(home.join("instance/usage/2026-06-10.jsonl"), text).unwrap();
}

fn import(ledger: &Ledger, home: &Path, zone: &str) -> SourceReport {
    let options = ImportOptions {
        sources: vec!["koan".to_owned()],
        homes: vec![home.to_owned()],
        zone: Some(zone.parse().unwrap()),
        ..ImportOptions::default()
    };
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    run(ledger, &options, now, &mut |_| {}).unwrap().sources.remove(0)
}

#[test]
fn a_row_with_unknown_count_names_is_not_a_row_with_zero_tokens() {
    let (home, ledger) = (instance(), Ledger::in_memory().unwrap());
    let renamed = ROW.replace("input_tokens", "prompt_tokens").replace("output_tokens", "completion_tokens");
    day(home.path(), format!("{renamed}\n"));
    let report = import(&ledger, home.path(), "UTC");
    assert_eq!((report.recorded, report.skipped.len()), (0, 1));
    assert!(report.skipped[0].why.starts_with("a record needs at least one token count"), "{report:?}");
}

#[test]
fn rows_are_imported_once_and_growth_is_new() {
    let (home, ledger) = (instance(), Ledger::in_memory().unwrap());
    day(home.path(), format!("{ROW}\n{ROW}\n"));
    assert_eq!(import(&ledger, home.path(), "Europe/Paris").recorded, 2);
    let head = ledger.head().unwrap().position;
    assert_eq!(import(&ledger, home.path(), "Europe/Paris").recorded, 0);
    assert_eq!(ledger.head().unwrap().position, head);
    day(home.path(), format!("{ROW}\n{ROW}\n{ROW}\n"));
    assert_eq!(import(&ledger, home.path(), "Europe/Paris").recorded, 1);
    let event = ledger.event(1).unwrap();
    assert_eq!(event.occurred_at.to_string(), "2026-06-10T10:00:00.000Z");
    assert!(!event.to_line().unwrap().contains("secret"));
}

#[test]
fn bad_rows_are_reported_and_hide_no_other_row() {
    let (home, ledger) = (instance(), Ledger::in_memory().unwrap());
    let bad: [&[u8]; 8] = [
        b"[1,2]",
        b"null",
        br#"{"ts":"2026-06-10T12:00:00","input_tokens":"12","output_tokens":1}"#,
        br#"{"ts":"2026-06-10T12:00:00","input_tokens":null,"output_tokens":1}"#,
        br#"{"ts":"2026-06-10T12:00:00","input_tokens":-1,"output_tokens":1}"#,
        b"{\"ts\":\"2026-06-10T12:00:00\",\"project\":\"\xff\",\"input_tokens\":1,\"output_tokens\":1}",
        br#"{"ts":"yesterday","input_tokens":1,"output_tokens":1}"#,
        br#"{"ts":"2026-06-10T12:00:00","project":"torn","inp"#,
    ];
    let mut text = Vec::new();
    for row in bad {
        text.extend_from_slice(row);
        // The cut row lacks its newline, so the next row is on the same line.
        text.extend_from_slice(if row.ends_with(b"inp") { b"" } else { b"\n" });
    }
    text.extend_from_slice(format!("{ROW}\n\n{ROW}\n").as_bytes());
    day(home.path(), text);
    let report = import(&ledger, home.path(), "UTC");
    assert_eq!((report.recorded, report.skipped.len()), (2, bad.len()), "{:#?}", report.skipped);
    let lines: Vec<_> = report.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn counters_become_observations_once_and_no_tokens() {
    let (home, ledger) = (instance(), Ledger::in_memory().unwrap());
    let path = home.path().join("instance/usage_state.json");
    let start = chrono::Utc::now().naive_utc() - chrono::TimeDelta::minutes(30);
    let start = start.format("%Y-%m-%dT%H:%M:%S%.6f");
    let state = format!(
        r#"{{"provider":"claude","session_start":"{start}","session_tokens":125000,"weekly_start":"{start}","weekly_tokens":0,"runs":5}}"#
    );
    fs::write(&path, state).unwrap();
    let report = import(&ledger, home.path(), "UTC");
    assert_eq!((report.observed, report.skipped.len()), (1, 0));
    let Payload::QuotaObserved(word) = ledger.event(1).unwrap().payload else { panic!("no observation") };
    assert_eq!((word.window_minutes, word.used_percent.unwrap().whole(), &*word.feed), (300, 25, "koan-usage-state"));
    assert_eq!(import(&ledger, home.path(), "UTC").observed, 0);
    let now = ledger.event(1).unwrap().occurred_at;
    let limits = crate::model::event::LimitSet::new("claude").unwrap().session(1_000_000);
    ledger.set_limit(limits, now).unwrap();
    assert_eq!(import(&ledger, home.path(), "UTC").observed, 0, "the same counters under another limit");
    // An observation of the provider, even an earlier one, precedes an agent's own count.
    let seen =
        crate::model::event::QuotaObserved { used_percent: Some("97".parse().unwrap()), feed: "oauth".into(), ..word };
    ledger.append([crate::model::event::NewEvent::new(seen, now.plus(-1_000))], now).unwrap();
    assert!(ledger.budget("claude", now.plus(1)).unwrap().gated);
    assert_eq!(ledger.report(&Report::by(ReportKey::Provider)).unwrap().total.requests, 0);
    for wrong in ["", "[]", "null", "{", r#"{"session_tokens":"5"}"#, "\"x\""] {
        fs::write(&path, wrong).unwrap();
        let report = import(&ledger, home.path(), "UTC");
        assert_eq!((report.observed, report.skipped.len()), (0, 1), "{wrong}");
    }
}

#[test]
fn a_page_that_quotes_the_provider_is_an_observation() {
    let (home, ledger) = (instance(), Ledger::in_memory().unwrap());
    let page = |source: &str| {
        let text = format!(
            "# Usage\nSession (5hr) : ~73% (reset in 2h30m)\nWeekly (7 day) : ~61% (Resets in 3d4h)\n\
             <!-- Generated: 2026-06-10T12:00:00 -->\n<!-- Usage source: {source} -->\n"
        );
        fs::write(home.path().join("instance/usage.md"), text).unwrap();
    };
    page("heuristic");
    assert_eq!(import(&ledger, home.path(), "UTC").observed, 0);
    page("oauth_usage");
    assert_eq!(import(&ledger, home.path(), "UTC").observed, 2);
    assert_eq!(import(&ledger, home.path(), "UTC").observed, 0);
    let at: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
    let session = ledger.provider("anthropic", at).unwrap().session;
    assert_eq!(session.percent, Some("73".parse().unwrap()));
    assert_eq!(session.resets_at, Some("2026-06-10T14:30:00Z".parse().unwrap()));
}

#[test]
fn a_session_with_a_row_is_not_written_again() {
    let (home, ledger) = (instance(), Ledger::in_memory().unwrap());
    day(home.path(), format!("{ROW}\n"));
    import(&ledger, home.path(), "UTC");
    // The row belongs to the second session, so the first one is missing.
    let outcomes = r#"{"timestamp":"2026-06-10T09:00:00","project":"other","outcome":"empty"}
{"timestamp":"2026-06-10T12:05:00","project":"acme","outcome":"productive"}
{"project":"no time"}
"#;
    fs::write(home.path().join("instance/session_outcomes.json"), outcomes).unwrap();
    let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let done = backfill(&ledger, &options, true, now).unwrap();
    assert_eq!((done.planned, done.written, done.skipped.len()), (1, 1, 1));
    let last = ledger.head().unwrap().position;
    let Payload::TokensRecorded(record) = ledger.event(last).unwrap().payload else { panic!("no record") };
    assert_eq!(record.project.as_deref(), Some("other"));
    assert_eq!(backfill(&ledger, &options, true, now).unwrap().written, 0);
}
