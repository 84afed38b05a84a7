//! What a fixed log folds to is fixed, table by table.
//!
//! Stored rows depend on the code of the folds and on every default that the folds use: the length of a session, the size of a
//! block, the quarter of an hour of a rollup, the layout of a key. If one of them changes, ledgers that an earlier build
//! wrote hold rows that this build would not write, and nothing rebuilds them. Each change therefore needs a new schema.

use std::path::Path;

use usage_ledger::event::NewEvent;
use usage_ledger::merkle::Hash;
use usage_ledger::{AsOf, Ledger, Timestamp, TokenRecord};

/// The schema and the version of cached past states that the hashes below belong to.
const VERSIONS: (i64, i64) = (3, 3);

/// The hash of all rows of each table.
const TABLES: [(&str, &str); 16] = [
    ("accounts", "f8d0384d3994b0a2"),
    ("block_records", "faf351bd73282737"),
    ("blocks", "a05c5676ec205168"),
    ("conversations", "c6d3b2af4cd1a935"),
    ("corrections", "c9ec541516583285"),
    ("facts", "2eb1a3e7019999b3"),
    ("imported_files", "9190937fc7f40b55"),
    ("kinds", "08a8b54b344792c4"),
    ("natural_keys", "05155734e0e05279"),
    ("session_openings", "ac4185920453bb5d"),
    ("snapshots", "477b1fb38ba55769"),
    ("tree", "978261ca59dc5078"),
    ("usage_by_conversation", "35358fb688ddfbfe"),
    ("usage_by_model", "a753826fd4ed553c"),
    ("usage_by_project", "8e6db8b4e39706f7"),
    ("uses", "5b3bcbf0dc9a0ff7"),
];

/// A ledger with every kind of event, and with enough further calls for whole blocks and for a cached past state.
fn folded(path: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledgers/schema-1.db");
    std::fs::copy(fixture, path).unwrap();
    let ledger = Ledger::open(path).unwrap().past_states_every(500);
    let start: Timestamp = "2026-06-02T02:00:00Z".parse().unwrap();
    let call = |n: u32| {
        // A call every 23 minutes for 30 days, with a pause of a day after each hundred: many sessions and some weeks.
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
    ledger.append((0..1_800).map(call), start.plus(200 * 86_400_000)).unwrap();
    ledger.rebuild().unwrap();
    ledger.as_of(AsOf::Position(1_000.into())).unwrap();
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
    // The key of a cached past state begins with its version.
    let cached: Vec<u8> = file.query_row("SELECT key FROM snapshots", [], |row| row.get(0)).unwrap();
    let versions = (number("PRAGMA user_version"), i64::from(cached[0]));
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
    if versions == VERSIONS {
        let changed: Vec<&str> =
            found.iter().filter(|table| !recorded.contains(table)).map(|(name, _)| name.as_str()).collect();
        assert!(
            found == recorded,
            "the same log folds to other rows in {changed:?}, but the versions are still {versions:?}. Ledgers of earlier \
             builds keep the old rows. If the change is meant: add a migration that empties these tables so that they are \
             rebuilt, raise VERSION in src/ledger/past_states.rs, keep a ledger of the present schema in \
             tests/fixtures/ledgers, and record the new versions and hashes here. If it is not meant, a fold or a default \
             that folds use has changed by mistake.\n{}",
            list(&found)
        );
    }
    assert_eq!(
        versions,
        VERSIONS,
        "new versions: record them in VERSIONS, and these hashes in TABLES:\n{}",
        list(&found)
    );
}
