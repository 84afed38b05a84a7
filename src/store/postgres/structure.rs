//! Compares what protects the tables with what a new database has.

use tokio_postgres::Row;

use super::super::StructureFinding;
use super::connection::Connection;
use super::failure::RequestFailure;
use super::fetch::TypedStatement;
use crate::model::invariant::bug;

/// The keys and checks that the tables must have: table, kind, columns.
const CONSTRAINTS: [(&str, &str, &str); 4] = [
    ("events", "p", "ledger_id,position"),
    ("events", "u", "ledger_id,id"),
    ("heads", "p", "ledger_id"),
    ("projections", "p", "ledger_id,projection,key"),
];

fn text(row: &Row, column: usize) -> Result<String, RequestFailure> {
    row.try_get(column).map_err(|_| RequestFailure::Other(bug!("column {column} of a catalogue is no text")))
}

/// What is missing, or can make a log change: keys, row-level security, privileges of the roles, triggers and rules.
pub(super) fn differences(connection: &mut Connection) -> Result<Vec<StructureFinding>, RequestFailure> {
    let keys = TypedStatement::new(
        "SELECT c.relname::text, k.contype::text, (SELECT string_agg(a.attname::text, ',' ORDER BY n.place) \
         FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place) \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = n.number) \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
         WHERE c.relnamespace = to_regnamespace('usage_ledger') AND k.contype IN ('p', 'u')",
    );
    let found: Vec<(String, String, String)> = connection
        .run(|client| keys.send(client))?
        .iter()
        .map(|row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?)))
        .collect::<Result<_, RequestFailure>>()?;
    let mut findings = Vec::new();
    for (table, kind, columns) in CONSTRAINTS {
        if !found.iter().any(|(t, k, c)| (t.as_str(), k.as_str(), c.as_str()) == (table, kind, columns)) {
            findings.push(StructureFinding::new(format!("table {table} has no unique key ({columns})")));
        }
    }
    let active = TypedStatement::new(
        "SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
         WHERE c.relnamespace = to_regnamespace('usage_ledger') AND NOT t.tgisinternal \
         UNION ALL SELECT tablename::text, rulename::text FROM pg_rules WHERE schemaname = 'usage_ledger'",
    );
    for row in connection.run(|client| active.send(client))? {
        findings.push(StructureFinding::new(format!(
            "table {} has a foreign trigger or rule `{}`",
            text(&row, 0)?,
            text(&row, 1)?
        )));
    }
    let may_change = TypedStatement::new(
        "SELECT grantee::text, privilege_type::text FROM information_schema.table_privileges p \
         WHERE table_schema = 'usage_ledger' AND table_name = 'events' AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') \
         AND grantee <> (SELECT tableowner FROM pg_tables WHERE schemaname = 'usage_ledger' AND tablename = 'events')",
    );
    for row in connection.run(|client| may_change.send(client))? {
        let (role, privilege) = (text(&row, 0)?, text(&row, 1)?);
        findings.push(StructureFinding::new(format!("role {role} may {privilege} lines of the log")));
    }
    Ok(findings)
}
