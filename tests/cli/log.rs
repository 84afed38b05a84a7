//! `log` and its filters, on a ledger with several blocks.

use std::fmt::Write;

use crate::cli_support::TestCli;

fn positions(listed: &str) -> Vec<u64> {
    listed.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[test]
fn filters_select_the_same_events_at_any_distance_from_the_end() {
    let cli = TestCli::new();
    let mut lines = String::new();
    for n in 0..2_600 {
        let (provider, project) = (["openai", "anthropic"][usize::from(n % 2 == 0)], n / 500);
        writeln!(
            lines,
            r#"{{"provider":"{provider}","model":"m{}","agent":"a","conversation":"c{}","project":"p{project}","input":1,"key":"{n}","occurred_at":"2026-06-{:02}T00:00:00Z"}}"#,
            n % 3,
            n / 100,
            1 + n / 100,
        )
        .unwrap();
    }
    cli.ok_with_input(lines, &["--now", "2026-07-01T00:00:00Z", "record", "--jsonl", "-"]);
    cli.at("2026-07-01T00:00:01Z", &["switch", "openai"]);
    let log = |args: &[&str]| positions(&cli.ok(&[&["log"], args].concat()));

    assert_eq!(log(&["--kind", "provider_switched"]), [2_601]);
    assert_eq!(log(&["--project", "p1", "--limit", "2"]), [999, 1_000]);
    assert_eq!(log(&["--project", "p1", "--provider", "anthropic", "--limit", "2", "--reverse"]), [999, 997]);
    assert_eq!(log(&["--project", "p1", "--project", "p5"]).len(), 600);
    assert_eq!(log(&["--conversation", "c3", "--model", "m0"]).len(), 34);
    assert!(log(&["--conversation", "c3", "--kind", "paused"]).is_empty());
    assert!(log(&["--agent", "other"]).is_empty());
    assert!(log(&["--account", "work"]).is_empty());
    assert_eq!(log(&["--since", "2026-06-03", "--until", "2026-06-04"]), (201..=300).collect::<Vec<_>>());
    assert_eq!(cli.ok(&["log", "--activity", "--project", "p0"]).lines().count(), 500);
    assert!(log(&["--activity", "--kind", "provider_switched"]).is_empty());
    assert_eq!(log(&["--provider", "openai"]).len(), 1_301, "the calls, and the switch to it");
    assert_eq!(positions(&cli.ok(&["--as-of", "700", "log", "--project", "p1", "--limit", "1"])), [700]);
    assert_eq!(log(&[]).len(), 2_601);
    assert!(log(&["--limit", "0"]).is_empty());
}
