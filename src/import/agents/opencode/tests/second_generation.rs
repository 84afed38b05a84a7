//! Tests of the tables of the second generation of clients.

use super::*;
use crate::report::{Report, ReportKey, ReportRow};

/// Builds a message row of the second generation, `minute` minutes after `START`.
fn second(home: &OpencodeHome, id: &str, session: &str, minute: i64, input: u64) {
    let created = START + minute * 60_000;
    let data = format!(
        r#"{{"time":{{"created":{created},"completed":{}}},"agent":"build","model":{{"id":"m","providerID":"mock"}},"finish":"stop","cost":0,"tokens":{{"input":{input},"output":1,"reasoning":0,"cache":{{"read":0,"write":0}}}}}}"#,
        created + 9
    );
    let insert = "INSERT INTO session_message VALUES (?, ?, 'assistant', 1, ?, ?, ?)";
    home.database.execute(insert, params![id, session, created, created + 9, data]).unwrap();
}

/// Returns conversations with their projects and totals.
fn placed(ledger: &Ledger) -> Vec<(String, String, u64)> {
    let report = Report::by(ReportKey::Conversation).and(ReportKey::Project);
    let rows = ledger.report(&report).unwrap().rows;
    let key = |row: &ReportRow, at: usize| row.keys[at].clone().unwrap_or_default();
    rows.iter().map(|row| (key(row, 0), key(row, 1), u64::try_from(row.usage.tokens.total()).unwrap())).collect()
}

#[test]
fn the_second_generations_sessions_have_projects_and_forks() {
    let home = OpencodeHome::new();
    let table =
        "CREATE TABLE session_v2 (id text PRIMARY KEY, directory text, fork_session_id text, time_created integer);";
    home.database.execute_batch(table).unwrap();
    // The later session has the smaller id.
    for (id, directory, origin, minute) in
        [("ses_9", "/a", None, 0), ("ses_5", "/b", Some("ses_9"), 10), ("ses_3", "/c", Some("ses_5"), 20)]
    {
        let insert = "INSERT INTO session_v2 VALUES (?, ?, ?, ?)";
        home.database.execute(insert, params![id, directory, origin, START + minute * 60_000]).unwrap();
    }
    let copied = "msg_20a383e5d001dIKjgYkSV6AIA";
    second(&home, &format!("{copied}1"), "ses_3", 1, 100);
    second(&home, &format!("{copied}2"), "ses_3", 11, 20);
    second(&home, &format!("{copied}3"), "ses_3", 21, 3);
    second(&home, &format!("{copied}4"), "ses_5", 1, 100);
    second(&home, "msg_20a0a9000001dIKjgYkSV6AIAq", "ses_5", 11, 20);
    second(&home, ID, "ses_9", 1, 100);
    let expected = [("ses_3", "/c", 4), ("ses_5", "/b", 21), ("ses_9", "/a", 101)]
        .map(|(session, project, total)| (session.to_owned(), project.to_owned(), total));
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger);
    assert_eq!(placed(&ledger), expected);
    // Copies are attributed correctly even if the original sessions were deleted.
    for session in ["ses_5", "ses_9"] {
        home.database.execute("DELETE FROM session_message WHERE session_id = ?", [session]).unwrap();
    }
    let ledger = Ledger::in_memory().unwrap();
    home.import(&ledger);
    assert_eq!(placed(&ledger), expected);
}

#[test]
fn the_second_generations_table_is_read() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    let data = format!(
        r#"{{"time":{{"created":{START},"completed":{}}},"agent":"build","model":{{"id":"gpt-5.1","providerID":"mock"}},"finish":"stop","cost":0,"tokens":{{"input":10,"output":5,"reasoning":9,"cache":{{"read":0,"write":0}}}}}}"#,
        START + 9
    );
    let insert = "INSERT INTO session_message VALUES (?, 'ses_1', ?, 1, ?, ?, ?)";
    home.database.execute(insert, params!["msg_1", "assistant", START, START + 9, data]).unwrap();
    home.database.execute(insert, params!["msg_2", "user", START, START + 9, r#"{"text":"hi"}"#]).unwrap();
    assert_eq!(import_counts(&home.import(&ledger)), [1, 0, 0, 0]);
    assert_eq!(total(&ledger), 24);
}

#[test]
fn a_summary_of_the_second_generation_is_a_call_of_the_model_before_it() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    let insert = "INSERT INTO session_message VALUES (?, ?, ?, ?, ?, ?, ?)";
    let put = |id: &str, session: &str, kind: &str, at: i64, data: &str| {
        home.database.execute(insert, params![id, session, kind, at, START + at, START + at, data]).unwrap();
    };
    let answer = |at: i64| {
        format!(
            r#"{{"time":{{"created":{},"completed":{}}},"model":{{"id":"gpt-5.1","providerID":"mock"}},"finish":"stop","tokens":{{"input":10,"output":5,"reasoning":0,"cache":{{"read":0,"write":0}}}}}}"#,
            START + at,
            START + at + 9
        )
    };
    let summary = |at: i64, tokens: &str| {
        format!(
            r#"{{"status":"completed","reason":"auto","summary":"s","time":{{"created":{}}},"cost":0.04{tokens}}}"#,
            START + at
        )
    };
    let counts = r#","tokens":{"input":18000,"output":260,"reasoning":0,"cache":{"read":0,"write":0}}"#;
    put("msg_20a383e5d001dIKjgYkSV6AIAq", "ses_1", "assistant", 0, &answer(0));
    put("msg_20a383e5e001dIKjgYkSV6AIAr", "ses_1", "compaction", 50, &summary(50, counts));
    put("msg_3", "ses_1", "compaction", 60, &summary(60, "")); // from an earlier client
    put("msg_4", "ses_9", "compaction", 70, &summary(70, counts)); // its session has no answers
    assert_eq!(import_counts(&home.import(&ledger)), [3, 0, 0, 0]);
    assert_eq!(import_counts(&home.import(&ledger)), [0; 4]);
    assert_eq!(total(&ledger), 15 + 18_260);
    let report = Report::by_all([ReportKey::Provider, ReportKey::Label("purpose".to_owned())]);
    let rows = ledger.report(&report).unwrap().rows;
    let names: Vec<Vec<&str>> =
        rows.iter().map(|row| row.keys.iter().map(|key| key.as_deref().unwrap_or("-")).collect()).collect();
    assert_eq!(names, [["mock", "-"], ["mock", "compaction"], ["unknown", "compaction"]]);
}
