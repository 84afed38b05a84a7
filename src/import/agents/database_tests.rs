//! One damaged row or column of a database hides no other row, in any importer.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::limits::Limit;

use super::ALL;
use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::query::{LONGEST_VALUE, Refusal};
use crate::import::engine::source::LogFormat;

/// The importers of databases, a database of each (below `tests/fixtures/agents`, or as SQL), and the tables that they read.
const DATABASES: [(&str, &str, &[&str]); 10] = [
    (
        "antigravity",
        ".gemini/antigravity/conversations/adf2fd49-0000-4000-8000-000000000001.db",
        &["trajectory_metadata_blob", "gen_metadata", "steps"],
    ),
    ("copilot-cli", ".copilot/session-store.db", &["sessions", "assistant_usage_events"]),
    ("cursor", ".config/Cursor/User/globalStorage/state.vscdb", &["cursorDiskKV"]),
    ("goose", ".local/share/goose/sessions/sessions.db", &["sessions", "usage_ledger"]),
    ("hermes", ".hermes/state.db", &["sessions", "session_model_usage"]),
    ("llm", ".config/io.datasette.llm/logs.db", &["turns", "responses"]),
    ("openclaw", ".openclaw/agents/main/agent/openclaw-agent.sqlite", &["transcript_events"]),
    ("opencode", ".local/share/opencode/opencode.db", &["session", "part", "message", "session_message"]),
    ("zcode", ".zcode/cli/db/db.sqlite", &["session", "model_usage"]),
    ("zed", ".local/share/zed/threads/threads.db", &["threads"]),
];

const OPENCODE: &str = r#"
    CREATE TABLE session (id, directory, time_created);
    INSERT INTO session VALUES ('ses_1', '/work', 1795464190000);
    CREATE TABLE part (id, message_id, data);
    INSERT INTO part VALUES ('prt_1', 'msg_1', '{"type":"text"}'), ('prt_2', 'msg_2', '{"type":"text"}');
    CREATE TABLE message (id, session_id, time_created, time_updated, data);
    CREATE TABLE session_message (id, session_id, type, time_created, time_updated, data);
    INSERT INTO message SELECT 'msg_' || value, 'ses_1', 1795464190000 + value, 1795464190009 + value,
        '{"role":"assistant","providerID":"openai","modelID":"m","finish":"stop","time":{"created":' || (1795464190000 + value) ||
        ',"completed":1795464190900},"tokens":{"input":5,"output":' || value || ',"reasoning":0,"cache":{"read":0,"write":0}}}'
        FROM json_each('[1, 2]');
    INSERT INTO session_message SELECT 'msg_' || value, 'ses_1', iif(value = 4, 'compaction', 'assistant'), 1795464190000 + value,
        1795464190009 + value,
        '{"model":{"id":"m","providerID":"mock"},"finish":"stop","time":{"created":' || (1795464190000 + value) ||
        ',"completed":1795464190900},"tokens":{"input":5,"output":' || value || ',"reasoning":0,"cache":{"read":0,"write":0}}}'
        FROM json_each('[3, 4]');
"#;

fn database(agent: &str, path: &str) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents").join(agent);
    let sql = match agent {
        "opencode" => OPENCODE.to_owned(),
        _ => std::fs::read_to_string(fixture.join(format!("{path}.sql"))).unwrap(),
    };
    database.execute_batch(&sql).unwrap();
    database
}

fn read(agent: &str, path: &str, database: &Connection) -> Result<Document, Refusal> {
    let agent = ALL.iter().find(|known| known.name == agent).unwrap();
    let path = Path::new("/nowhere").join(path);
    let LogFormat::Database(log) = agent.source.format(&path) else { panic!("{} is no database", path.display()) };
    log.database(&path, database, None)
}

/// The keys of the calls in a document.
fn keys(document: &Document) -> BTreeSet<String> {
    document.calls.iter().flat_map(|call| call.record.keys.clone()).collect()
}

/// Visits each column of some tables.
fn columns(database: &Connection, tables: &[&str], each: &mut dyn FnMut(&str, &str, &[String])) {
    for table in tables {
        let columns = fields::columns(database, table).unwrap();
        assert!(!columns.is_empty(), "{table}");
        for column in &columns {
            each(table, column, &columns);
        }
    }
}

#[test]
fn a_damaged_row_hides_no_other_row() {
    let mut reported = BTreeSet::new();
    for (agent, path, tables) in DATABASES {
        let database = database(agent, path);
        let before = read(agent, path, &database).unwrap();
        let whole = keys(&before);
        assert!(!whole.is_empty() && before.cut.is_none(), "{agent}");
        let too_long = format!("zeroblob({LONGEST_VALUE} + 1)");
        let limit = database.limit(Limit::SQLITE_LIMIT_LENGTH).unwrap();
        columns(&database, tables, &mut |table, column, columns| {
            for value in ["NULL", "7", "x'00ff'", "'x'", &too_long] {
                if (table, column, value) == ("part", "data", "7") {
                    // A step may be missing, so the message of this part is skipped.
                    continue;
                }
                // The damaged row is the first one, in a table without constraints.
                let damaged = columns.iter().map(|name| if name == column { value } else { name });
                let damaged = damaged.collect::<Vec<_>>().join(", ");
                let names = columns.join(", ");
                let sql = format!(
                    "SAVEPOINT before; ALTER TABLE {table} RENAME TO whole_{table};
                     CREATE TABLE {table} ({names});
                     INSERT INTO {table} SELECT {damaged} FROM whole_{table} LIMIT 1;
                     INSERT INTO {table} SELECT * FROM whole_{table};"
                );
                database.execute_batch(&sql).unwrap();
                database.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE).unwrap();
                let what = format!("{agent}: {value} in `{column}` of `{table}`");
                let document = read(agent, path, &database).unwrap_or_else(|why| panic!("{what}: {why}"));
                assert_eq!(document.cut, None, "{what}");
                assert!(keys(&document).is_superset(&whole), "{what}: {:?}", document.skipped);
                database.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit).unwrap();
                if document.skipped.len() > before.skipped.len() {
                    reported.insert(format!("{agent} {table}.{column} {value}"));
                }
                database.execute_batch("ROLLBACK TO before; RELEASE before").unwrap();
            }
        });
    }
    for id in [
        "goose sessions.id",
        "hermes sessions.id",
        "openclaw transcript_events.session_id",
        "opencode session.id",
        "opencode message.id",
        "zcode session.id",
        "zed threads.id",
    ] {
        for value in ["NULL", "7"] {
            assert!(reported.contains(&format!("{id} {value}")), "{value} in {id} is not reported: {reported:?}");
        }
    }
}

#[test]
fn no_importer_computes_a_generated_column() {
    for (agent, path, tables) in DATABASES {
        columns(&database(agent, path), tables, &mut |table, column, columns| {
            for generated in [column, "rowid", "oid", "_rowid_"] {
                let kept = columns.iter().filter(|name| *name != generated).cloned().collect::<Vec<_>>().join(", ");
                let kept = if kept.is_empty() { "1 AS other".to_owned() } else { kept };
                let database = self::database(agent, path);
                let sql = format!(
                    "ALTER TABLE {table} RENAME TO whole_{table};
                     CREATE TABLE {table} AS SELECT {kept} FROM whole_{table};
                     PRAGMA writable_schema = ON;"
                );
                database.execute_batch(&sql).unwrap();
                // Computing the column is an error, so only a change of the schema can add it to a table with rows.
                let schema: String = database
                    .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0))
                    .unwrap();
                let schema = schema.trim_end().strip_suffix(')').unwrap().to_owned()
                    + &format!(", {generated} AS (abs(-9223372036854775807 - 1)))");
                database.execute("UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2", [&*schema, table]).unwrap();
                database.execute_batch("PRAGMA writable_schema = RESET").unwrap();
                let what = format!("{agent}: generated `{generated}` in `{table}`");
                let whys = match read(agent, path, &database) {
                    Err(why) => vec![why.to_string()],
                    Ok(document) => {
                        let skipped = document.skipped.into_iter().map(|(_, why)| why);
                        document.cut.map(|why| why.to_string()).into_iter().chain(skipped).collect()
                    }
                };
                assert!(!whys.iter().any(|why| why.contains("overflow")), "{what}: {whys:?}");
            }
        });
    }
}
