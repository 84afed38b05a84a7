//! Imports homes of each agent: calls that count, duplicates, and entries that are reported and do not count.

#![cfg(feature = "import")]
#![allow(clippy::pedantic, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use usage_ledger::event::{Event, Payload, Quality};
use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::{Ledger, Report, ReportKey, ReportRow, ReportTable, Timestamp, TokenClass, TokenRecord};

const AGENTS: [&str; 8] = ["amp", "cline", "roo-code", "kilo-code", "copilot-cli", "cursor", "goose", "droid"];

/// A home with the logs of some agents.
pub(super) struct Home(TempDir);

impl Home {
    pub(super) fn of(agents: &[&str]) -> Self {
        let home = Self(TempDir::new().unwrap());
        for agent in agents {
            let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents").join(agent);
            copy(&fixture, home.0.path());
        }
        home
    }

    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        fs::create_dir_all(self.file(path).parent().unwrap()).unwrap();
        fs::write(self.file(path), text).unwrap();
    }

    /// Changes a file and its size, because a clock may be too coarse to show the change.
    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(path)).unwrap();
        assert!(text.contains(from), "{from}");
        self.put(path, &(text.replace(from, to) + "\n"));
    }

    pub(super) fn sql(&self, path: &str, sql: &str) {
        Connection::open(self.file(path)).unwrap().execute_batch(sql).unwrap();
    }

    fn import(&self, ledger: &Ledger, sources: &[&str]) -> Vec<SourceReport> {
        let options = ImportOptions::new().sources(sources.iter().copied()).homes([self.0.path().to_owned()]);
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        import::run(ledger, &options, now, &mut |_| {}).unwrap().sources
    }

    pub(super) fn one(&self, ledger: &Ledger, source: &str) -> SourceReport {
        self.import(ledger, &[source]).remove(0)
    }

    /// Every file in it.
    fn files(&self) -> Vec<PathBuf> {
        let mut collected = Vec::new();
        gather(self.0.path(), &mut collected);
        collected.sort();
        collected
    }
}

/// Copies a directory. Databases are stored as SQL statements.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            let database = Connection::open(target.with_extension("")).unwrap();
            database.execute_batch(&fs::read_to_string(&path).unwrap()).unwrap();
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn gather(directory: &Path, collected: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { gather(&entry.path(), collected) } else { collected.push(entry.path()) }
    }
}

pub(super) fn lines(ledger: &Ledger) -> Vec<String> {
    let mut collected = Vec::new();
    let snapshot = ledger.snapshot().unwrap();
    let mut visit = |_, line: &str| {
        collected.push(line.to_owned());
        Ok(true)
    };
    snapshot.lines(1.into(), &mut visit).unwrap();
    collected
}

fn records(ledger: &Ledger) -> Vec<TokenRecord> {
    let events = lines(ledger)
        .into_iter()
        .enumerate()
        .map(|(at, line)| Event::from_line((at as u64 + 1).into(), &line).unwrap());
    events
        .filter_map(|event| if let Payload::TokensRecorded(record) = event.payload { Some(record) } else { None })
        .collect()
}

/// The counts of a ledger: provider and model, requests, input, cache reads, cache writes, output, reasoning.
pub(super) fn counted(ledger: &Ledger) -> Vec<(String, u64, [u128; 5])> {
    let table = ledger.report(&Report::by(ReportKey::Provider).and(ReportKey::Model)).unwrap();
    let row = |row: ReportRow| {
        let tokens = row.usage.tokens;
        let one = |class| tokens.get(class);
        let sums = [
            one(TokenClass::Input),
            one(TokenClass::CacheRead),
            tokens.cache_write(),
            one(TokenClass::Output),
            one(TokenClass::Reasoning),
        ];
        (
            row.keys.iter().map(|key| key.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" "),
            row.usage.requests,
            sums,
        )
    };
    table.rows.into_iter().map(row).collect()
}

fn expected(rows: &[(&str, u64, [u128; 5])]) -> Vec<(String, u64, [u128; 5])> {
    rows.iter().map(|(name, requests, sums)| ((*name).to_owned(), *requests, *sums)).collect()
}

fn skips(report: &SourceReport) -> Vec<&str> {
    report.skipped.iter().map(|skipped| skipped.why.as_str()).collect()
}

/// Imports the home of an agent, compares counts and reports, and imports it again.
pub(super) fn check(agent: &str, rows: &[(&str, u64, [u128; 5])], expected_reports: &[&str]) {
    let (home, ledger) = (Home::of(&[agent]), Ledger::in_memory().unwrap());
    let before = home.files();
    let report = home.one(&ledger, agent);
    assert_eq!(counted(&ledger), expected(rows), "{agent}");
    assert_eq!(skips(&report), expected_reports, "{agent}");
    assert_eq!(report.recorded, rows.iter().map(|(_, requests, _)| requests).sum::<u64>(), "{agent}");
    assert_eq!(home.files(), before, "{agent} is left without a trace");
    let head = ledger.head().unwrap().position;
    let again = home.one(&ledger, agent);
    assert_eq!((again.recorded, again.amended, ledger.head().unwrap().position), (0, 0, head), "{agent}");
    assert!(records(&ledger).iter().all(|record| record.agent.as_deref() == Some(agent)), "{agent}");
    assert!(ledger.verify().unwrap().ok, "{agent}");
}

#[test]
fn amp() {
    check(
        "amp",
        &[
            ("amp claude-haiku-4-5-20251001", 1, [10, 11_372, 986, 178, 0]),
            ("amp claude-sonnet-4-5-20250929", 2, [20, 28_144, 5_820, 405, 0]),
            ("amp gpt-5", 1, [700, 0, 0, 55, 0]),
        ],
        &["calls without token counts: 1"],
    );
}

#[test]
fn cline() {
    check(
        "cline",
        &[
            ("anthropic claude-sonnet-4-5-20250929", 2, [20, 9_300, 9_710, 310, 0]),
            ("openai gpt-5", 1, [1_200, 5_120, 0, 64, 0]),
            ("openrouter z-ai/glm-4.6", 1, [900, 4_000, 0, 48, 0]),
        ],
        &["requests without token counts: 1"],
    );
}

#[test]
fn roo_code() {
    check(
        "roo-code",
        &[
            ("roo-code claude-sonnet-4-5", 2, [30, 9_400, 10_000, 380, 0]),
            ("roo-code gpt-5-mini", 1, [476, 1_024, 0, 41, 0]),
        ],
        &["condensations of a context, which tell no token counts: 1"],
    );
}

#[test]
fn kilo_code() {
    check("kilo-code", &[("kilo-code -", 2, [309, 8_000, 8_200, 150, 0])], &["requests without token counts: 1"]);
}

#[test]
fn copilot_cli() {
    check(
        "copilot-cli",
        &[
            ("github-copilot claude-sonnet-4.6", 2, [11, 15_802, 16_392, 305, 0]),
            ("github-copilot gpt-5-2025-08-07", 1, [60, 30, 10, 15, 5]),
            ("github-copilot gpt-5.3-codex", 1, [9_207, 104_384, 0, 8_906, 321]),
            ("github-copilot gpt-5.4-mini", 1, [1_976, 1_024, 0, 56, 64]),
        ],
        &["answers of a run without a summary, whose token counts are not known: 1"],
    );
}

/// Compares logs of a real client with keys of other providers with those providers' responses.
#[test]
fn copilot_cli_calls_with_a_custom_key_belong_to_its_provider() {
    let expected = [
        ("anthropic claude-sonnet-4-5", 2, [403, 30_291, 1_723, 666, 665]),
        ("openai gpt-5.2", 2, [12_531, 21_210, 0, 381, 666]),
        ("openai mock-1", 10, [49_450, 35_125, 0, 3_230, 2_087]),
    ];
    let expected = expected.map(|(name, calls, counts): (_, _, [u128; 5])| (name.to_owned(), calls, counts));
    let home = Home::of(&["../copilot-cli-own-key"]);
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger, &["copilot-cli"]);
    assert_eq!(counted(&ledger), expected);
    let truth = fs::read_to_string(home.file("truth.jsonl")).unwrap();
    let ids: Vec<String> = records(&ledger).into_iter().flat_map(|record| record.keys).collect();
    for line in truth.lines() {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(ids.iter().any(|id| Some(id.as_str()) == answer["id"].as_str()), "{line}");
    }
    // The sums of the runs, and telemetry, alone give the same result.
    let home = Home::of(&["../copilot-cli-own-key"]);
    fs::remove_file(home.file(".copilot/session-store.db")).unwrap();
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger, &["copilot-cli"]);
    let sums = counted(&ledger);
    assert_eq!(
        sums.iter().map(|row| (&row.0, row.2)).collect::<Vec<_>>(),
        expected.iter().map(|row| (&row.0, row.2)).collect::<Vec<_>>()
    );
    // Telemetry alone names the provider; a store alone does not.
    let home = Home::of(&["../copilot-cli-own-key"]);
    fs::remove_file(home.file(".copilot/session-store.db")).unwrap();
    fs::remove_dir_all(home.file(".copilot/session-state")).unwrap();
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger, &["copilot-cli"]);
    assert_eq!(counted(&ledger), [("openai mock-1".to_owned(), 2, [6_409, 10_031, 0, 787, 536])]);
    let home = Home::of(&["../copilot-cli-own-key"]);
    fs::remove_dir_all(home.file(".copilot/session-state")).unwrap();
    fs::remove_dir_all(home.file(".copilot/otel")).unwrap();
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger, &["copilot-cli"]);
    assert!(counted(&ledger).iter().all(|row| row.0.starts_with("github-copilot ")));
    // The log of a session may name it later than the store has the call.
    let log = ".copilot/session-state/0608e88e-e441-4a5d-81fb-cd492c24b366/events.jsonl";
    let home = Home::of(&["../copilot-cli-own-key"]);
    let whole = fs::read_to_string(home.file(log)).unwrap();
    let usage_line = whole.lines().position(|line| line.contains("session.usage_record")).unwrap();
    home.put(log, &whole.lines().take(usage_line).map(|line| format!("{line}\n")).collect::<String>());
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger, &["copilot-cli"]);
    assert_eq!(counted(&ledger)[0].0, "github-copilot claude-sonnet-4-5");
    home.put(log, &whole);
    home.sql(".copilot/session-store.db", "CREATE TABLE later (id INTEGER); INSERT INTO later VALUES (1);");
    home.import(&ledger, &["copilot-cli"]);
    assert_eq!(counted(&ledger), expected);
}

#[test]
fn cursor() {
    check(
        "cursor",
        &[("cursor -", 1, [21_000, 0, 0, 0, 0]), ("cursor claude-4.5-sonnet-thinking", 1, [18_250, 0, 0, 640, 0])],
        &[
            "answers without token counts, which Cursor did not keep: 1, in conversations: 1",
            "answers with token counts but without a time: 1",
        ],
    );
}

#[test]
fn goose() {
    check(
        "goose",
        &[
            ("openai gpt-4o", 1, [8_134, 0, 0, 257, 0]),
            ("openrouter anthropic/claude-sonnet-4.5", 2, [13, 23_741, 1_607, 474, 0]),
        ],
        &["sessions without token counts: 1"],
    );
}

#[test]
fn droid() {
    check("droid", &[("factory claude-opus-4-5-20251101", 1, [5_210, 88_000, 20_100, 930, 120])], &[]);
}

#[test]
fn an_import_without_names_reads_all_agents_and_stores_no_text() {
    let (home, ledger) = (Home::of(&AGENTS), Ledger::in_memory().unwrap());
    let recorded: BTreeMap<_, _> =
        home.import(&ledger, &[]).into_iter().map(|one| (one.source, one.recorded)).collect();
    let of_agents: Vec<_> = AGENTS.iter().map(|agent| recorded[*agent]).collect();
    assert_eq!(of_agents, [4, 4, 3, 2, 5, 2, 3, 1]);
    assert_eq!(recorded.values().sum::<u64>(), 24);
    for line in lines(&ledger) {
        assert!(!line.contains("SECRET"), "{line}");
    }
    let reported: Vec<_> = records(&ledger).into_iter().filter_map(|record| record.cost).collect();
    // Costs of Cline (4), Roo Code (3), Kilo Code (2) and Goose; credits and multipliers are not dollars.
    assert_eq!(reported.len(), 10);
}

#[test]
fn a_growing_sum_amends_one_record() {
    let (home, ledger) = (Home::of(&["goose", "droid", "cline"]), Ledger::in_memory().unwrap());
    home.import(&ledger, &["goose", "droid", "cline"]);
    let before = ledger.report(&Report::by(ReportKey::Agent)).unwrap();

    let sums = "UPDATE sessions SET accumulated_input_tokens = 9000, accumulated_output_tokens = 300, provider_name = 'google',
        updated_at = '2026-03-10 10:00:00' WHERE id = '20260310_2'";
    home.sql(".local/share/goose/sessions/sessions.db", sums);
    let settings = ".factory/sessions/-home-dev-acme/6f1c2ab4-9b0e-4f55-8a3c-0e5d7c1b2a90.settings.json";
    home.edit(settings, "\"inputTokens\": 5210", "\"inputTokens\": 6000");
    let task = ".config/Code/User/globalStorage/saoudrizwan.claude-dev/tasks/1795428000000/ui_messages.json";
    home.edit(task, r#"\"tokensOut\":64"#, r#"\"tokensOut\":164"#);
    let reports = home.import(&ledger, &["goose", "droid", "cline"]);
    let changes: Vec<_> = reports.iter().map(|one| (one.recorded, one.amended)).collect();
    assert_eq!(changes, [(0, 1); 3]);

    let after = ledger.report(&Report::by(ReportKey::Agent)).unwrap();
    let sum = |table: &ReportTable, agent: &str| {
        let row = table.rows.iter().find(|row| row.keys == [Some(agent.to_owned())]).unwrap();
        (row.usage.requests, row.usage.tokens.total())
    };
    for (agent, more) in [("goose", 866 + 43), ("droid", 790), ("cline", 100)] {
        let (requests, tokens) = sum(&before, agent);
        assert_eq!(sum(&after, agent), (requests, tokens + more), "{agent}");
    }
    // A session keeps its first provider, because otherwise there would be two records.
    let providers = counted(&ledger).into_iter().filter(|(name, ..)| name.contains("gpt-4o")).map(|row| row.0);
    assert_eq!(providers.collect::<Vec<_>>(), ["openai gpt-4o"]);
    let grown = records(&ledger).into_iter().filter(|record| record.quality == Quality::Derived);
    assert!(grown.filter(|record| record.agent.as_deref() == Some("goose")).count() == 1);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn only_new_rows_of_a_database_are_read() {
    let (home, ledger) = (Home::of(&["cursor", "copilot-cli"]), Ledger::in_memory().unwrap());
    home.import(&ledger, &["cursor", "copilot-cli"]);
    let bubble = r#"INSERT INTO cursorDiskKV VALUES ('bubbleId:77aa:0002', '{"type":2,"tokenCount":{"inputTokens":5,"outputTokens":6},"createdAt":"2026-11-23T13:00:09.000Z"}')"#;
    home.sql(".config/Cursor/User/globalStorage/state.vscdb", bubble);
    let row = "INSERT INTO assistant_usage_events (session_id, model, input_tokens, output_tokens, created_at)
        VALUES ('b1c60f3e-6a80-4b02-a0ad-1f7f5c9d2e22', 'gpt-5.4', 40, 2, '2026-11-23 13:00:00')";
    home.sql(".copilot/session-store.db", row);
    let reports = home.import(&ledger, &["cursor", "copilot-cli"]);
    let changes: Vec<_> = reports.iter().map(|one| (one.recorded, one.duplicates, one.skipped.len())).collect();
    assert_eq!(changes, [(1, 0, 0); 2]);
}

#[test]
fn the_database_of_kilo_code_is_read_like_that_of_opencode() {
    let (home, ledger) = (Home::of(&[]), Ledger::in_memory().unwrap());
    let path = ".local/share/kilo/kilo.db";
    fs::create_dir_all(home.file(path).parent().unwrap()).unwrap();
    home.sql(
        path,
        r#"CREATE TABLE session (id text PRIMARY KEY, directory text NOT NULL, time_created integer NOT NULL);
        CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
            time_updated integer NOT NULL, data text NOT NULL);
        INSERT INTO session VALUES ('ses_k', '/work', 1795464190000);
        INSERT INTO message VALUES ('msg_k', 'ses_k', 1795464190000, 1795464195000,
            '{"role":"assistant","modelID":"claude-sonnet-4-5","providerID":"anthropic","cost":0.01,
              "time":{"created":1795464190000,"completed":1795464195000},
              "tokens":{"input":30,"output":7,"reasoning":0,"cache":{"read":100,"write":20}}}');"#,
    );
    let report = home.one(&ledger, "kilo-code");
    assert_eq!((report.recorded, report.skipped.len()), (1, 0), "{:?}", report.skipped);
    let event = ledger.event(1).unwrap();
    let Payload::TokensRecorded(record) = &event.payload else { panic!("{event:?}") };
    assert_eq!((record.agent.as_deref(), record.conversation.as_deref()), (Some("kilo-code"), Some("ses_k")));
    assert_eq!((record.tokens.total().unwrap(), record.project.as_deref()), (157, Some("/work")));
}

/// A file of each agent in an unknown format.
const STRANGE: [(&str, &str, &str); 8] = [
    ("amp", ".local/share/amp/threads/T-x.json", r#"{"id":"T-x","usageLedger":{"calls":[]}}"#),
    ("cline", ".config/Code/User/globalStorage/saoudrizwan.claude-dev/tasks/1/ui_messages.json", r#"{"messages":[]}"#),
    ("roo-code", ".vscode-server/data/User/globalStorage/rooveterinaryinc.roo-cline/tasks/1/ui_messages.json", "[{"),
    ("kilo-code", ".local/share/kilo/kilo.db", ""),
    ("copilot-cli", ".copilot/otel/x.jsonl", "{\"resource\":{\"gen_ai.usage.input_tokens\":5}}\n"),
    ("cursor", "AppData/Roaming/Cursor/User/globalStorage/state.vscdb", ""),
    ("goose", "AppData/Roaming/Block/goose/data/sessions/sessions.db", ""),
    ("droid", ".factory/sessions/x.settings.json", r#"{"tokenUsage":{"inputTokens":"5"}}"#),
];

#[test]
fn unknown_entries_are_reported_and_hide_no_others() {
    let (home, ledger) = (Home::of(&AGENTS), Ledger::in_memory().unwrap());
    let known = home.import(&ledger, &AGENTS);
    for (agent, path, text) in STRANGE {
        let (home, ledger) = (Home::of(&[agent]), Ledger::in_memory().unwrap());
        if text.is_empty() {
            fs::create_dir_all(home.file(path).parent().unwrap()).unwrap();
            home.sql(path, "CREATE TABLE strange (id INTEGER)");
        } else {
            home.put(path, text);
        }
        let report = home.one(&ledger, agent);
        let alone = known.iter().find(|one| one.source == agent).unwrap();
        assert_eq!(report.recorded, alone.recorded, "{agent}");
        assert_eq!(report.skipped.len(), alone.skipped.len() + 1, "{agent}: {:?}", report.skipped);
        assert!(report.skipped.iter().any(|skipped| skipped.file.ends_with(path)), "{agent}: {:?}", report.skipped);
    }
}

#[test]
fn a_database_is_read_together_with_its_write_ahead_log() {
    let (home, ledger) = (Home::of(&["goose"]), Ledger::in_memory().unwrap());
    let writer = Connection::open(home.file(".local/share/goose/sessions/sessions.db")).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    let call = "INSERT INTO usage_ledger (session_id, created_timestamp, input_tokens, output_tokens) VALUES ('20261123_1', 1795442500, 7, 1)";
    writer.execute_batch(call).unwrap();
    assert_eq!(home.one(&ledger, "goose").recorded, 4);
    writer.execute_batch(call).unwrap();
    assert_eq!(home.one(&ledger, "goose").recorded, 1);
}
