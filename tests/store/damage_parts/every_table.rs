//! Damage of each kind to each object that a ledger's file contains: the list comes from the file, so a new table or guard
//! is damaged here as soon as it exists.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use usage_ledger::merkle::Signer;
use usage_ledger::{Ledger, Shred};

use crate::damage::bench::{events, start};

/// A ledger with a row in every table: every kind of event that leaves one, a shredded event, a seal.
fn fill(path: &Path) {
    let ledger = Ledger::open(path).unwrap();
    ledger.append(events(), start()).unwrap();
    let now = start().plus(1);
    let shredded = ledger.event(20).unwrap().id;
    let _ = ledger.shred(&Shred::because("asked").event(shredded), now).unwrap();
    ledger.seal(None, start(), &Signer::generate("a.example/log").unwrap(), now).unwrap();
}

struct Object {
    kind: String,
    name: String,
    sql: Option<String>,
}

fn objects(file: &Connection) -> Vec<Object> {
    let mut statement = file.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok(Object { kind: row.get(0)?, name: row.get(1)?, sql: row.get(2)? }));
    rows.unwrap().map(|row| row.unwrap()).collect()
}

/// The columns of a table, with the primary key first.
fn columns(file: &Connection, table: &str) -> Vec<String> {
    let sql = "SELECT name FROM pragma_table_info(?) ORDER BY pk = 0, cid";
    let mut statement = file.prepare(sql).unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect()
}

/// All rows of a table, in the order of its primary key.
fn rows(file: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Value>> {
    let mut statement =
        file.prepare(&format!("SELECT {} FROM {table} ORDER BY {}", columns.join(", "), columns[0])).unwrap();
    let read = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect();
    statement.query_map([], read).unwrap().map(|row| row.unwrap()).collect()
}

/// What a cell can be turned into.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(number) => vec![Value::Integer(number ^ 1), Value::Integer(number + 1_000)],
        Value::Text(text) => {
            let mut altered = text.clone();
            altered.push('x');
            vec![Value::Text(String::new()), Value::Text(altered)]
        }
        Value::Blob(bytes) => {
            let mut altered = bytes.clone();
            match altered.last_mut() {
                Some(last) => *last ^= 1,
                None => altered.push(1),
            }
            let mut longer = bytes.clone();
            longer.push(0);
            vec![Value::Blob(Vec::new()), Value::Blob(altered), Value::Blob(longer)]
        }
        other => panic!("no column has values such as {other:?}"),
    }
}

/// A row that is not there yet: the last one with another key, and another id.
fn extra(row: &[Value], table: &str) -> Vec<Value> {
    let mut row = row.to_vec();
    row[0] = match &row[0] {
        Value::Integer(number) => Value::Integer(number + 1),
        Value::Blob(key) => Value::Blob([key.as_slice(), b"x"].concat()),
        other => panic!("no key is {other:?}"),
    };
    match table {
        "events" => row[1] = Value::Blob(vec![7; 16]),
        "kinds" => row[1] = Value::Text("something_else".to_owned()),
        _ => {}
    }
    row
}

struct Case {
    what: String,
    sql: String,
    values: Vec<Value>,
}

/// Each kind of damage to the first and the last row of a table.
fn of_table(file: &Connection, table: &str) -> Vec<Case> {
    let columns = columns(file, table);
    let rows = rows(file, table, &columns);
    // Blocks and chapters are stored when they are full, which this short log does not reach: `verify::blocks`,
    // `verify::history` and `projection::blocks::quarters` damage full ones.
    if rows.is_empty() && ["blocks", "block_calls", "block_quarters", "chapters", "history"].contains(&table) {
        return Vec::new();
    }
    assert!(!rows.is_empty(), "nothing is in `{table}`: this test is no test");
    let key = &columns[0];
    let mut cases = Vec::new();
    let mut places = vec![0, rows.len() - 1];
    places.dedup();
    for place in places {
        let row = &rows[place];
        // A file without the newest kind is a file of an earlier build, and gets the name when it is opened.
        let is_newest_kind = table == "kinds" && place == rows.len() - 1;
        if !is_newest_kind {
            cases.push(Case {
                what: format!("row {place} of {table} deleted"),
                sql: format!("DELETE FROM {table} WHERE {key} = ?"),
                values: vec![row[0].clone()],
            });
        }
        for (column, value) in columns.iter().zip(row) {
            for other in others(value).into_iter().filter(|other| other != value) {
                cases.push(Case {
                    what: format!("{column} of row {place} of {table}: {value:?} is now {other:?}"),
                    sql: format!("UPDATE {table} SET {column} = ? WHERE {key} = ?"),
                    values: vec![other, row[0].clone()],
                });
            }
        }
    }
    let marks = vec!["?"; columns.len()].join(", ");
    cases.push(Case {
        what: format!("a row added to {table}"),
        sql: format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", ")),
        values: extra(rows.last().unwrap(), table),
    });
    cases
}

/// Damage to the structure. A trigger can be dropped; a table or an index also without SQLite's consent.
fn of_object(object: &Object) -> Vec<Case> {
    let Object { kind, name, sql } = object;
    let case = |what: &str, sql: String| Case { what: format!("{kind} {name} {what}"), sql, values: Vec::new() };
    let mut cases = Vec::new();
    if kind == "trigger" {
        cases.push(case("dropped", format!("DROP TRIGGER {name}")));
        let harmless = format!("{} BEGIN SELECT 1; END", sql.as_deref().unwrap().split("BEGIN").next().unwrap());
        cases.push(case("replaced", format!("DROP TRIGGER {name}; {harmless}")));
    }
    if kind == "table" {
        cases.push(case("with one column more", format!("ALTER TABLE {name} ADD COLUMN more TEXT")));
    }
    cases
}

fn verified(path: &Path) -> Result<(), String> {
    let library = match Ledger::open(path).and_then(|ledger| ledger.verify()) {
        Ok(verified) => !verified.ok && !verified.findings.is_empty(),
        Err(_) => true,
    };
    if library { Ok(()) } else { Err("passes `Ledger::verify`".to_owned()) }
}

/// The command for a part of the cases: it calls the same function, and a process takes a hundred times as long.
fn command_finds(path: &Path) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usage-ledger"));
    let done = command.arg("--ledger").arg(path).args(["--json", "verify"]).env_clear().output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
    matches!(done.status.code(), Some(1 | 3)) && answer["ok"] != true
}

#[test]
fn damage_to_any_schema_object_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let (sound, path) = (dir.path().join("sound.db"), dir.path().join("usage.db"));
    fill(&sound);
    let bytes = std::fs::read(&sound).unwrap();
    let file = Connection::open(&sound).unwrap();
    assert!(Ledger::open(&sound).unwrap().verify().unwrap().ok);
    let mut cases = Vec::new();
    for object in objects(&file) {
        let first = cases.len();
        cases.extend(of_object(&object));
        if object.kind == "table" {
            cases.extend(of_table(&file, &object.name));
        }
        // An index that SQLite made itself cannot be damaged in SQL: see the test below.
        assert!(cases.len() > first || object.kind == "index", "{} {} is not damaged", object.kind, object.name);
    }
    for what in ["TABLE more (a)", "VIEW more AS SELECT 1", "INDEX more ON kinds (name)"] {
        cases.push(Case { what: format!("{what} added"), sql: format!("CREATE {what}"), values: Vec::new() });
    }
    let guard = "CREATE TRIGGER more AFTER INSERT ON events BEGIN DELETE FROM accounts; END";
    cases.push(Case { what: "a trigger added".to_owned(), sql: guard.to_owned(), values: Vec::new() });
    println!("{} cases", cases.len());
    let mut missed = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        std::fs::write(&path, &bytes).unwrap();
        let hand = Connection::open(&path).unwrap();
        hand.execute_batch("PRAGMA synchronous=OFF").unwrap();
        hand.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        if case.values.is_empty() {
            hand.execute_batch(&case.sql).unwrap();
        } else {
            match hand.execute(&case.sql, rusqlite::params_from_iter(&case.values)) {
                Ok(changed) => assert_eq!(changed, 1, "{}", case.what),
                // Two rows of one key, or of one id, are refused by the database itself.
                Err(error) if error.to_string().contains("UNIQUE") => continue,
                Err(error) => panic!("{}: {error}", case.what),
            }
        }
        drop(hand);
        if let Err(why) = verified(&path) {
            missed.push(format!("{} {why}", case.what));
        } else if number % 9 == 0 && !command_finds(&path) {
            missed.push(format!("{} passes the command `verify`", case.what));
        }
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    }
    assert!(missed.is_empty(), "{} of {} cases are not found:\n{}", missed.len(), cases.len(), missed.join("\n"));
}

/// The ids of the log stand in the table and in SQLite's index of it. Damage to either copy is found.
#[test]
fn damage_to_an_id_in_table_or_index_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    fill(&path);
    let file = Connection::open(&path).unwrap();
    let id: Vec<u8> = file.query_row("SELECT id FROM events WHERE position = 17", [], |row| row.get(0)).unwrap();
    drop(file);
    let bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - id.len()).filter(|&at| bytes[at..].starts_with(&id)).collect();
    assert!(places.len() >= 2, "one in the table, one in the index");
    // A change of the first byte moves the id in the order of the index.
    for (at, byte) in places.into_iter().flat_map(|at| [(at, 0), (at, 15)]) {
        let mut damaged = bytes.clone();
        damaged[at + byte] ^= 0x80;
        std::fs::write(&path, &damaged).unwrap();
        verified(&path).unwrap_or_else(|why| panic!("the id at byte {at}, its byte {byte}: {why}"));
    }
}

#[test]
fn repair_restores_triggers_and_kinds_and_keeps_foreign_tables() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    fill(&path);
    let hand = Connection::open(&path).unwrap();
    hand.execute_batch(
        "DROP TRIGGER events_are_never_changed; DELETE FROM kinds WHERE code = 3;
         UPDATE kinds SET name = 'x' WHERE code = 4; INSERT INTO kinds VALUES (200, 'y');
         CREATE TRIGGER more AFTER INSERT ON events BEGIN DELETE FROM accounts; END",
    )
    .unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let repair = ledger.repair().unwrap();
    assert!(repair.ok && repair.repaired.len() == 5, "{repair:?}");
    assert_eq!(ledger.verify().unwrap().findings, []);
    assert!(hand.execute("UPDATE events SET kind = 0 WHERE position = 1", []).is_err(), "the guard is back");
    hand.execute_batch("CREATE TABLE more (a)").unwrap();
    let repair = ledger.repair().unwrap();
    assert!(!repair.ok && repair.refused.len() == 1, "{repair:?}");
    assert!(repair.refused[0].what.contains("`more`"));
    assert_eq!(hand.query_row("SELECT count(*) FROM more", [], |row| row.get::<_, i64>(0)).unwrap(), 0, "it stays");
}
