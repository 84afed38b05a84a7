//! Compares the schema objects of a file, and its names of event kinds, with those of this build.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::schema::MIGRATIONS;
use crate::model::event::EventKind;
use crate::store::StructureFinding;

/// A table, index, trigger or view by type and name, with the statement that creates it. SQLite's automatic indexes
/// have no statement.
type SchemaObjects = BTreeMap<(String, String), Option<String>>;

fn objects(connection: &Connection) -> rusqlite::Result<SchemaObjects> {
    // Tables with this prefix contain SQLite's own statistics and are not part of the ledger.
    let mut statement = connection.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_stat%' ESCAPE '!' ORDER BY type, name",
    )?;
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    rows.collect()
}

/// The objects that the migrations of this build create in an empty file.
fn expected() -> rusqlite::Result<SchemaObjects> {
    let empty = Connection::open_in_memory()?;
    for migration in MIGRATIONS {
        empty.execute_batch(migration)?;
    }
    objects(&empty)
}

/// Whether an object contains no data, so that the build alone determines it.
fn is_guard(kind: &str) -> bool {
    kind == "trigger"
}

/// The differences between a file and a new file of this build.
pub(super) fn differences(connection: &Connection) -> rusqlite::Result<Vec<StructureFinding>> {
    let (mut findings, mut has_kinds) = (Vec::new(), true);
    let (expected, mut present) = (expected()?, objects(connection)?);
    for ((kind, name), sql) in &expected {
        let what = match present.remove(&(kind.clone(), name.clone())) {
            Some(same) if same == *sql => continue,
            Some(_) => format!("the {kind} `{name}` is not the one that this build creates"),
            None => format!("the {kind} `{name}` is missing"),
        };
        has_kinds &= name != "kinds";
        let finding = StructureFinding::new(what);
        findings.push(if is_guard(kind) { finding.repairable() } else { finding });
    }
    for (kind, name) in present.into_keys() {
        let finding = StructureFinding::new(format!("the {kind} `{name}` belongs to no ledger"));
        findings.push(if is_guard(&kind) { finding.repairable() } else { finding });
    }
    if has_kinds {
        findings.extend(wrong_kinds(connection)?);
    }
    Ok(findings)
}

/// The differences between the table `kinds` and the registry of event kinds.
fn wrong_kinds(connection: &Connection) -> rusqlite::Result<Vec<StructureFinding>> {
    let mut statement = connection.prepare("SELECT code, name FROM kinds ORDER BY code")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut present: BTreeMap<i64, String> = rows.collect::<rusqlite::Result<_>>()?;
    let last = present.last_key_value().map(|(code, _)| *code);
    let mut findings = Vec::new();
    for kind in EventKind::ALL {
        let (code, name) = (kind.code(), kind.name());
        match present.remove(&i64::from(code)) {
            Some(same) if same == name => {}
            Some(other) => findings.push(format!("kinds: code {code} has the name `{other}`, not `{name}`")),
            // The file is older than the kind: the next writer adds its name.
            None if Some(i64::from(code)) > last => {}
            None => findings.push(format!("kinds: code {code} (`{name}`) is missing")),
        }
    }
    findings.extend(present.into_iter().map(|(code, name)| format!("kinds: code {code} (`{name}`) is no event kind")));
    Ok(findings.into_iter().map(|what| StructureFinding::new(what).repairable()).collect())
}

/// Creates the triggers and the names of event kinds again.
pub(super) fn repair(connection: &Connection) -> rusqlite::Result<()> {
    let (expected, present) = (expected()?, objects(connection)?);
    for (key @ (kind, name), sql) in &present {
        if is_guard(kind) && expected.get(key) != Some(sql) {
            connection.execute_batch(&format!("DROP TRIGGER \"{}\"", name.replace('"', "\"\"")))?;
        }
    }
    for (key @ (kind, _), sql) in &expected {
        if is_guard(kind)
            && present.get(key) != Some(sql)
            && let Some(sql) = sql
        {
            connection.execute_batch(sql)?;
        }
    }
    if !wrong_kinds(connection)?.is_empty() {
        connection.execute("DELETE FROM kinds", [])?;
        for kind in EventKind::ALL {
            connection.execute("INSERT INTO kinds (code, name) VALUES (?, ?)", (kind.code(), kind.name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the registry of event kinds with the schema of a new file.
    #[test]
    fn a_new_file_has_the_kinds_and_triggers_of_this_build() {
        let file = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            file.execute_batch(migration).unwrap();
        }
        super::super::schema::add_kinds(&file).unwrap();
        assert_eq!(differences(&file).unwrap(), []);
        let stored_name = |kind: &EventKind| {
            let sql = "SELECT name FROM kinds WHERE code = ?";
            file.query_row(sql, [kind.code()], |row| row.get::<_, String>(0)).unwrap()
        };
        let names: Vec<String> = EventKind::ALL.iter().map(stored_name).collect();
        assert_eq!(names, EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>());
    }

    /// The trigger allows the change of a body only if an `event_shredded` names it, whose kind it identifies by its
    /// code.
    #[test]
    fn the_shredding_trigger_uses_the_code_of_its_kind() {
        let objects = expected().unwrap();
        let guard = ("trigger".to_owned(), "events_are_never_changed".to_owned());
        let sql = objects[&guard].as_ref().unwrap();
        assert!(sql.contains(&format!("word.kind = {}\n", EventKind::EventShredded.code())), "{sql}");
        let codes = sql.split("kind = ").skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(codes.count(), 1, "each code in a guard is compared with the registry here");
    }
}
