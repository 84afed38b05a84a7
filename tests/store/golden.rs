//! What a fixed log folds to is fixed, table by table.
//!
//! Stored rows depend on the code of the folds and on every default that the folds use: the length of a session, the size of a
//! block, the quarter of an hour of a rollup, the layout of a key. If one of them changes, ledgers that an earlier build
//! wrote hold rows that this build would not write, and nothing rebuilds them. Each change therefore needs a new schema.

use std::path::Path;

use usage_ledger::event::NewEvent;
use usage_ledger::merkle::Hash;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

/// The schema that the hashes below belong to.
const VERSION: i64 = 6;

/// The hash of all rows of each table.
const TABLES: [(&str, &str); 19] = [
    ("accounts", "f8d0384d3994b0a2"),
    ("block_calls", "e23dfe2a2109e3e1"),
    ("block_quarters", "e4d7dd7360a478b4"),
    ("blocks", "00497d707d78c6c8"),
    ("chapters", "6cdc8a20d151faad"),
    ("conversations", "c6d3b2af4cd1a935"),
    ("corrections", "c9ec541516583285"),
    ("facts", "2eb1a3e7019999b3"),
    ("history", "a60c12970c9b16b5"),
    ("imported_files", "9190937fc7f40b55"),
    ("kinds", "e5b7d45563a23e49"),
    ("natural_keys", "05155734e0e05279"),
    ("session_openings", "181cf9175b1cd441"),
    ("tree", "fdacb054592198c1"),
    ("usage_by_conversation", "b80675f2fe33aebc"),
    ("usage_by_label", "bb04dd435b5d35ba"),
    ("usage_by_model", "db10f7d65491f236"),
    ("usage_by_project", "b0afcc63f3278813"),
    ("uses", "05ff6beb2fc07932"),
];

/// A ledger with every kind of event, and with enough further calls for whole blocks and a chapter.
fn folded(path: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledgers/schema-1.db");
    std::fs::copy(fixture, path).unwrap();
    let ledger = Ledger::open(path).unwrap();
    let start: Timestamp = "2026-06-02T02:00:00Z".parse().unwrap();
    let call = |n: u32| {
        // A call every 23 minutes, with a pause of a day after each hundred: many sessions and some weeks.
        let at = start.plus(i64::from(n) * 23 * 60_000 + i64::from(n / 100) * 86_400_000);
        let mut record =
            TokenRecord::new(["anthropic", "openai", "ollama"][n as usize % 3], format!("model-{}", n % 5));
        record = record.input(u64::from(n) * 7).output(u64::from(n % 11)).key(format!("golden-{n}"));
        record = record.project(format!("project-{}", n % 4)).conversation(format!("conversation-{}", n / 20));
        record.tokens.cache_read = n.is_multiple_of(2).then_some(u64::from(n));
        record.tokens.reasoning = n.is_multiple_of(7).then_some(3);
        record.account = n.is_multiple_of(13).then(|| "second".to_owned());
        record.cost = n.is_multiple_of(5).then(|| format!("0.{n:04}").parse().unwrap());
        NewEvent::new(record.label("mission", format!("m{}", n % 9)), at)
    };
    ledger.append((0..17_500).map(call), start.plus(600 * 86_400_000)).unwrap();
    ledger.rebuild().unwrap();
    assert!(ledger.verify().unwrap().ok);
}

/// All rows of a table, in an order that the rows determine.
fn rows(file: &rusqlite::Connection, table: &str) -> String {
    let columns = file.prepare(&format!("SELECT * FROM {table}")).unwrap().column_count();
    let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
    let mut query = file.prepare(&format!("SELECT * FROM {table} ORDER BY {}", order.join(", "))).unwrap();
    let mut text = String::new();
    let mut found = query.query([]).unwrap();
    while let Some(row) = found.next().unwrap() {
        for column in 0..columns {
            text += &format!("{:?}|", row.get_ref(column).unwrap());
        }
        text.push('\n');
    }
    text
}

#[test]
fn what_a_log_folds_to_changes_only_with_a_new_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    folded(&path);
    let file = rusqlite::Connection::open(&path).unwrap();
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let version = number("PRAGMA user_version");
    let mut names = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    // The log itself is given. SQLite's own tables are not ours.
    let names = names.into_iter().filter(|name| name != "events" && !name.starts_with("sqlite_"));
    let found: Vec<(String, String)> = names
        .map(|name| {
            let rows = rows(&file, &name);
            let hash =
                if rows.is_empty() { "empty".to_owned() } else { Hash::of_line(rows).to_string()[..16].to_owned() };
            (name, hash)
        })
        .collect();
    let recorded: Vec<(String, String)> =
        TABLES.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
    let list = |tables: &[(String, String)]| {
        tables.iter().map(|(name, hash)| format!("    (\"{name}\", \"{hash}\"),\n")).collect::<String>()
    };
    if version == VERSION {
        let changed: Vec<&str> =
            found.iter().filter(|table| !recorded.contains(table)).map(|(name, _)| name.as_str()).collect();
        assert!(
            found == recorded,
            "the same log folds to other rows in {changed:?}, but the schema is still {version}. Ledgers of earlier \
             builds keep the old rows. If the change is meant: add a migration that empties these tables so that they are \
             rebuilt, keep a ledger of the present schema in \
             tests/fixtures/ledgers, and record the new schema and hashes here. If it is not meant, a fold or a default \
             that folds use has changed by mistake.\n{}",
            list(&found)
        );
    }
    assert_eq!(version, VERSION, "a new schema: record it in VERSION, and these hashes in TABLES:\n{}", list(&found));
}
