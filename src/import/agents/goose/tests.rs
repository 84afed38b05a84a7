use super::*;

const SESSIONS: &str = "CREATE TABLE sessions (id TEXT PRIMARY KEY, session_type TEXT, working_dir TEXT NOT NULL,
    created_at TIMESTAMP, updated_at TIMESTAMP, total_tokens INTEGER, input_tokens INTEGER, output_tokens INTEGER,
    accumulated_total_tokens INTEGER, accumulated_input_tokens INTEGER, accumulated_output_tokens INTEGER,
    provider_name TEXT, model_config_json TEXT);
    INSERT INTO sessions VALUES ('20260310_1', 'user', '/w', '2026-03-10 09:00:00', '2026-03-10 09:05:00',
    50, 40, 10, 330, 300, 30, 'anthropic', '{\"model_name\":\"claude-sonnet-4-5\"}');
    INSERT INTO sessions VALUES ('20260310_2', 'user', '/w', '2026-03-10 10:00:00', '2026-03-10 10:00:00',
    NULL, NULL, NULL, NULL, NULL, NULL, 'openrouter', NULL);
    INSERT INTO sessions VALUES ('20260310_3', 'user', '/w', '2026-03-10 11:00:00', '2026-03-10 11:00:00',
    9, 8, 1, 9, 8, 1, 'claude-code', NULL);";
const LEDGER: &str = "CREATE TABLE usage_ledger (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
    created_timestamp INTEGER NOT NULL, model TEXT, input_tokens INTEGER, output_tokens INTEGER,
    total_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER, cost REAL, cost_source TEXT,
    is_compaction INTEGER DEFAULT 0);
    INSERT INTO usage_ledger VALUES (1, '20260310_1', 1773140000, NULL, 300, 30, 330, NULL, NULL, 0.5, 'carried_forward', 0);
    INSERT INTO usage_ledger VALUES (2, '20260310_1', 1773140000, 'gpt-5', 100, 20, 120, 60, 10, 0.25, 'provider_reported', 0);
    INSERT INTO usage_ledger VALUES (3, '20260310_1', 1773140100, 'gpt-5', 50, 5, 55, 0, 0, 0.1, 'estimated', 1);";

fn database(sql: &str) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(sql).unwrap();
    database
}

fn read(database: &Connection, resume: Option<&Value>) -> Document {
    Goose.database(Path::new(DATABASE), database, resume).unwrap()
}

#[test]
fn sums_stay_one_record_when_the_ledger_carries_them_forward() {
    let database = database(SESSIONS);
    let before = read(&database, None);
    assert_eq!(before.calls.len(), 1);
    let record = &before.calls[0].record;
    assert_eq!((&*record.provider, record.model.as_deref()), ("anthropic", Some("claude-sonnet-4-5")));
    assert_eq!((record.tokens.counts(), record.quality), ([300, 0, 0, 0, 0, 30, 0], Quality::Derived));
    assert_eq!(before.calls[0].at.to_string(), "2026-03-10T09:00:00.000Z");
    assert_eq!(
        before.skipped,
        [
            (0, "calls made through another agent's program, whose own logs tell of them: 1".to_owned()),
            (0, "sessions without token counts: 1".to_owned())
        ]
    );
    database.execute_batch(LEDGER).unwrap();
    database.execute_batch("UPDATE sessions SET provider_name = 'openai' WHERE id = '20260310_1'").unwrap();
    let after = read(&database, before.resume.as_ref());
    assert_eq!(after.calls.len(), 3);
    let carried = &after.calls[0].record;
    assert_eq!(
        (&carried.provider, &carried.keys, after.calls[0].at),
        (&record.provider, &record.keys, before.calls[0].at)
    );
    let call = &after.calls[1].record;
    assert_eq!((&*call.provider, call.tokens.counts()), ("openai", [30, 60, 0, 0, 10, 20, 0]));
    assert_eq!((call.cost.unwrap().to_string(), call.quality), ("0.25".to_owned(), Quality::Reported));
    assert_eq!((after.calls[2].record.cost, &*after.calls[2].record.labels["role"]), (None, "compaction"));
    assert!(read(&database, after.resume.as_ref()).calls.is_empty());
}

#[test]
fn a_recreated_database_is_read_from_the_beginning() {
    let database = database(&format!("{SESSIONS}{LEDGER}"));
    let calls = read(&database, Some(&json!({"last": 70, "summed": {}}))).calls;
    assert_eq!(calls.len(), 3);
}

#[test]
fn other_databases_are_refused_by_name() {
    let refused = |sql: &str| Goose.database(Path::new(DATABASE), &database(sql), None).unwrap_err().to_string();
    assert!(refused("CREATE TABLE other (id)").contains("without a table of sessions"));
    assert!(refused("CREATE TABLE sessions (id, tokens)").contains("has no column `accumulated_input_tokens`"));
    let calls = "CREATE TABLE sessions (id, accumulated_input_tokens, accumulated_output_tokens);
        CREATE TABLE usage_ledger (id, session_id, tokens)";
    assert!(refused(calls).contains("`usage_ledger` has no column `created_timestamp`"));
}

#[test]
fn sums_in_a_log_precede_the_calls() {
    let text = concat!(
        r#"{"description":"a secret","working_dir":"/w","message_count":2,"total_tokens":40,"accumulated_total_tokens":90,"accumulated_input_tokens":80,"accumulated_output_tokens":10}"#,
        "\n",
        r#"{"role":"user","created":1746000000,"content":[]}"#,
        "\n"
    );
    let document = log(Path::new("/s/20250430_080000.jsonl"), text.as_bytes()).unwrap();
    let call = &document.calls[0];
    assert_eq!((call.record.tokens.counts(), call.at.millis()), ([80, 0, 0, 0, 0, 10, 0], 1_746_000_000_000));
    assert_eq!((&*call.record.provider, call.record.keys[0].as_str()), ("goose", "goose/20250430_080000"));
    assert!(
        log(Path::new("a.jsonl"), br#"{"role":"user","created":1}"#).unwrap_err().contains("without a description")
    );
    let none = log(Path::new("a.jsonl"), br#"{"working_dir":"/w","description":""}"#).unwrap();
    assert_eq!(none.skipped, [(0, "a session without token counts".to_owned())]);
}
