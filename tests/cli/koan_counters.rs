//! Koan's own counters next to its rows: rows count, and a counter only replaces missing rows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use cli_support::{TestCli, provider};
use serde_json::{Value, json};
use usage_ledger::Timestamp;

const NOW: &str = "2026-06-10T12:00:00Z";

/// A Koan instance: appended rows, and a state file that is overwritten.
struct Instance(TestCli);

/// An instance below a home of its own.
fn write_instance(home: &Path, rows: &[(&str, u64)], counters: (u64, u64)) {
    fs::create_dir_all(home.join("instance/usage")).unwrap();
    let row = |(at, tokens): &(&str, u64)| {
        json!({"ts": format!("2026-06-10T{at}"), "project": "p", "model": "m", "input_tokens": tokens,
            "output_tokens": 0, "mode": "deep", "mission": "", "provider": "claude"})
        .to_string()
            + "\n"
    };
    let rows: String = rows.iter().map(row).collect();
    if !rows.is_empty() {
        fs::write(home.join("instance/usage/2026-06-10.jsonl"), rows).unwrap();
    }
    let path = home.join("instance/usage_state.json");
    let start = "2026-06-10T11:00:00";
    let state = json!({"provider": "claude", "session_start": start, "session_tokens": counters.0,
        "weekly_start": start, "weekly_tokens": counters.1, "runs": 4});
    fs::write(&path, state.to_string()).unwrap();
    let written: Timestamp = "2026-06-10T11:30:00Z".parse().unwrap();
    let since = std::time::Duration::from_millis(u64::try_from(written.millis()).unwrap());
    fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + since).unwrap();
}

impl Instance {
    fn new() -> Self {
        let cli = TestCli::new();
        fs::create_dir_all(cli.dir().join("instance/usage")).unwrap();
        cli.at("2026-06-01T00:00:00Z", &["limit", "set", "claude", "--session", "500000", "--weekly", "5000000"]);
        Self(cli)
    }

    fn row(&self, at: &str, provider: &str, tokens: u64) {
        let file = self.0.dir().join("instance/usage/2026-06-10.jsonl");
        let row = json!({"ts": format!("2026-06-10T{at}"), "project": "p", "model": "m", "input_tokens": tokens,
            "output_tokens": 0, "mode": "deep", "mission": "", "provider": provider});
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, format!("{before}{row}\n")).unwrap();
    }

    /// Writes the counters with a time of the day.
    fn counters(&self, written: &str, provider: &str, start: &str, (session, weekly): (u64, u64), runs: u64) {
        let path = self.0.dir().join("instance/usage_state.json");
        let start = format!("2026-06-10T{start}");
        let state = json!({"provider": provider, "session_start": start, "session_tokens": session,
            "weekly_start": start, "weekly_tokens": weekly, "runs": runs});
        fs::write(&path, state.to_string()).unwrap();
        let at: Timestamp = format!("2026-06-10T{written}Z").parse().unwrap();
        let since = std::time::Duration::from_millis(u64::try_from(at.millis()).unwrap());
        fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + since).unwrap();
    }

    fn import(&self) -> Value {
        let home = self.0.dir().to_str().unwrap().to_owned();
        let report = self.0.at(NOW, &["--json", "import", "koan", "--home", &home]);
        serde_json::from_str::<Value>(&report).unwrap()["sources"][0].clone()
    }

    /// Tokens and percentage of the session, percentage of the week, and the gate's answer to `claude`.
    fn claude(&self) -> (u64, Value, Value, String) {
        let status: Value = serde_json::from_str(&self.0.at(NOW, &["--json", "status"])).unwrap();
        let of = provider(&status, "anthropic");
        let mode = of["budget"]["mode"].as_str().unwrap().to_owned();
        let tokens = of["session"]["tokens"]["total"].as_u64().unwrap();
        (tokens, of["session"]["percent"].clone(), of["weekly"]["percent"].clone(), mode)
    }
}

#[test]
fn a_counter_reset_by_a_switch_overrides_no_row() {
    let instance = Instance::new();
    instance.row("11:00:00", "claude", 400_000);
    instance.row("11:05:00", "ollama-launch", 50_000);
    instance.row("11:10:00", "claude", 1_000);
    instance.counters("11:10:00", "claude", "11:09:59", (1_000, 1_000), 1);
    let report = instance.import();
    assert_eq!((&report["recorded"], &report["observed"]), (&json!(3), &json!(0)));
    assert_eq!(instance.claude(), (401_000, json!(80), json!(8), "wait".to_owned()));
    instance.0.command().args(["--now", NOW, "gate", "claude"]).assert().code(75);
}

#[test]
fn a_resume_in_koan_resets_nothing() {
    let instance = Instance::new();
    instance.row("11:00:00", "claude", 400_000);
    // Every resume resets the counters; the row of the next run is not written yet.
    instance.counters("11:30:00", "claude", "11:20:00", (1_000, 401_000), 1);
    instance.import();
    assert_eq!(instance.claude(), (400_000, json!(80), json!(8), "wait".to_owned()));
    instance.row("11:30:01", "claude", 1_000);
    instance.import();
    assert_eq!(instance.claude(), (401_000, json!(80), json!(8), "wait".to_owned()));
}

#[test]
fn a_run_first_seen_in_its_counter_counts_once() {
    let instance = Instance::new();
    for run in 1..=4 {
        let (counted, written) = (format!("11:{run}0:00"), format!("11:{run}0:02"));
        instance.counters(&counted, "claude", "11:10:00", (run * 100_000, run * 100_000), run);
        instance.import();
        instance.row(&written, "claude", 100_000);
    }
    instance.import();
    assert_eq!(instance.claude(), (400_000, json!(80), json!(8), "wait".to_owned()));
}

#[test]
fn a_counter_replaces_a_deleted_row() {
    let instance = Instance::new();
    instance.counters("11:30:00", "claude", "11:00:00", (400_000, 400_000), 4);
    assert_eq!(instance.import()["observed"], 2);
    assert_eq!(instance.claude(), (0, json!(80), json!(8), "wait".to_owned()));
    // The rows arrive later, including one from before a reset.
    instance.row("10:00:00", "claude", 50_000);
    instance.row("11:10:00", "claude", 400_000);
    instance.import();
    assert_eq!(instance.claude(), (450_000, json!(90), json!(9), "wait".to_owned()));
}

#[test]
fn a_row_without_tokens_is_not_a_record() {
    let instance = Instance::new();
    instance.row("11:10:00", "claude", 0);
    instance.counters("11:30:00", "claude", "11:00:00", (400_000, 400_000), 4);
    instance.import();
    assert_eq!(instance.claude(), (0, json!(80), json!(8), "wait".to_owned()));
}

#[test]
fn a_counter_that_restarts_within_a_window_adds_to_it() {
    let instance = Instance::new();
    instance.counters("09:00:00", "claude", "08:30:00", (400_000, 400_000), 4);
    instance.import();
    // Koan resumes or changes its provider, and counts from zero again.
    instance.counters("11:30:00", "claude", "11:20:00", (1_000, 1_000), 1);
    instance.import();
    let (_, session, weekly, mode) = instance.claude();
    assert_eq!((session, weekly, mode.as_str()), (json!(80.2), json!(8), "wait"));
    // The counter grows on, and is not added again.
    instance.counters("11:40:00", "claude", "11:20:00", (2_000, 2_000), 2);
    instance.import();
    assert_eq!(instance.claude().1, json!(80.4));
}

#[test]
fn rows_of_one_instance_do_not_hide_the_counter_of_another() {
    let instance = Instance::new();
    let (a, b) = (instance.0.dir().join("a"), instance.0.dir().join("b"));
    write_instance(&a, &[("11:20:00", 25_000)], (25_000, 25_000));
    write_instance(&b, &[], (350_000, 350_000));
    let import = || {
        let homes = [a.to_str().unwrap(), b.to_str().unwrap()];
        instance.0.at(NOW, &["import", "koan", "--home", homes[0], "--home", homes[1]]);
    };
    import();
    assert_eq!(instance.claude(), (25_000, json!(75), json!(7.5), "review".to_owned()));
    write_instance(&a, &[("11:20:00", 25_000), ("11:50:00", 25_000)], (50_000, 50_000));
    import();
    assert_eq!(instance.claude(), (50_000, json!(80), json!(8), "wait".to_owned()));
    // The records of another agent may be those of the counted runs.
    instance.0.at(
        "2026-06-10T11:25:00Z",
        &[
            "record",
            "--provider",
            "anthropic",
            "--agent",
            "claude-code",
            "--input",
            "1",
            "--occurred-at",
            "2026-06-10T11:25:00Z",
        ],
    );
    assert_eq!(instance.claude().1, json!(10));
}

#[test]
fn a_counter_is_not_added_to_imported_rows_whose_file_is_deleted() {
    let instance = Instance::new();
    let home = instance.0.dir().join("a");
    write_instance(&home, &[("11:20:00", 300_000)], (300_000, 300_000));
    let import = || instance.0.at(NOW, &["import", "koan", "--home", home.to_str().unwrap()]);
    import();
    fs::remove_file(home.join("instance/usage/2026-06-10.jsonl")).unwrap();
    import();
    assert_eq!(instance.claude().1, json!(60));
}
