//! Creates and upgrades the tables. Migrations are numbered; each runs once per database.

use std::thread;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::address::PostgresAddress;
use super::connection::Connection;
use super::failure::RequestFailure;
use super::fetch::TypedStatement;
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_erase.sql"),
    include_str!("migrations/0003_counted_at.sql"),
    include_str!("migrations/0004_places.sql"),
    include_str!("migrations/0005_quarters.sql"),
];
/// The first schema that this build can use as it is. Its owner upgrades it.
const USABLE: i64 = 1;
const ROLES: &str = include_str!("roles.sql");
/// The roles that [`ROLES`] grants to.
const GROUPS: [&str; 5] =
    ["usage_ledger_reader", "usage_ledger_writer", "usage_ledger_server", "usage_ledger_auditor", "usage_ledger_owner"];
/// Attempts while other programs create the same tables.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The newest schema of this build.
pub(super) const fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

/// The schema of the database; 0 if there is none.
pub(super) fn version(connection: &mut Connection) -> Result<i64, RequestFailure> {
    let asked = TypedStatement::new("SELECT max(number) FROM usage_ledger.migrations");
    match connection.run(|client| asked.send(client)) {
        Ok(rows) => {
            let newest = rows.first().map(|row| row.try_get::<_, Option<i64>>(0)).transpose();
            let newest = newest.map_err(|_| RequestFailure::Other(bug!("the schema of the database is no number")))?;
            Ok(newest.flatten().unwrap_or(0)) // a table without rows has no newest number
        }
        Err(failure)
            if failure.has_code(&SqlState::UNDEFINED_TABLE) || failure.has_code(&SqlState::INVALID_SCHEMA_NAME) =>
        {
            Ok(0)
        }
        Err(failure) => Err(failure),
    }
}

/// Whether a statement failed because another program does the same at the same time.
fn is_race(failure: &RequestFailure) -> bool {
    let codes = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_SCHEMA,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        // "tuple concurrently updated": two programs grant the same.
        SqlState::INTERNAL_ERROR,
    ];
    failure.is_conflict() || codes.iter().any(|code| failure.has_code(code))
}

/// Brings the tables to the schema of this build. Who may not do that uses the present tables, if they can be used.
pub(super) fn upgrade(schema: i64, connection: &mut Connection, address: &PostgresAddress) -> Result<()> {
    if schema >= newest() {
        return Ok(());
    }
    match run(connection, address) {
        Err(Error::ReadOnly { .. }) if schema >= USABLE => Ok(()),
        done => done,
    }
}

fn run(connection: &mut Connection, address: &PostgresAddress) -> Result<()> {
    let mut attempt = 0;
    loop {
        let Err(failure) = attempt_all(connection) else { return Ok(()) };
        // If this fails, the connection is lost, and the next attempt reports it.
        let _ = connection.run(|client| client.batch_execute("ROLLBACK"));
        attempt += 1;
        if !is_race(&failure) || attempt == ATTEMPTS {
            return Err(failure.into_error(address, "creating the tables"));
        }
        thread::sleep(PAUSE);
    }
}

fn attempt_all(connection: &mut Connection) -> Result<(), RequestFailure> {
    // Roles in transactions of their own: a distributed database refuses them together with tables.
    let mut has_roles = true;
    for group in GROUPS {
        has_roles &= create_role(connection, group)?;
    }
    connection.run(|client| {
        client.batch_execute(
            "BEGIN; CREATE SCHEMA IF NOT EXISTS usage_ledger; \
             CREATE TABLE IF NOT EXISTS usage_ledger.migrations \
             (number bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()); \
             LOCK TABLE usage_ledger.migrations IN EXCLUSIVE MODE",
        )
    })?;
    let from = version(connection)?;
    for (number, sql) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > from) {
        connection.run(|client| client.batch_execute(sql))?;
        let note =
            TypedStatement::new("INSERT INTO usage_ledger.migrations (number) VALUES ($1)").with(number, Type::INT8);
        connection.run(|client| note.send(client))?;
    }
    if has_roles && from < newest() {
        connection.run(|client| client.batch_execute(ROLES))?;
    }
    connection.run(|client| client.batch_execute("COMMIT"))
}

/// Creates a role that nobody can log in with; false if it does not exist and this user may not create it.
fn create_role(connection: &mut Connection, name: &str) -> Result<bool, RequestFailure> {
    let sql = format!("CREATE ROLE \"{name}\" NOLOGIN");
    match connection.run(|client| client.batch_execute(&sql)) {
        Ok(()) => Ok(true),
        // Another program may create it at the same moment.
        Err(failure)
            if failure.has_code(&SqlState::DUPLICATE_OBJECT) || failure.has_code(&SqlState::UNIQUE_VIOLATION) =>
        {
            Ok(true)
        }
        Err(failure) if failure.has_code(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Creates a ledger, and the role of its members.
pub(super) fn create_ledger(connection: &mut Connection, address: &PostgresAddress) -> Result<()> {
    create_ledger_role(connection, address)?;
    let row = TypedStatement::new("INSERT INTO usage_ledger.heads (ledger_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .with(address.ledger().to_owned(), Type::TEXT);
    let done = connection.run(|client| row.send(client)).map(drop);
    done.map_err(|failure| failure.into_error(address, "creating the ledger"))
}

/// Creates the role of a ledger's members. A user without the right to create roles uses the tables that it owns.
pub(super) fn create_ledger_role(connection: &mut Connection, address: &PostgresAddress) -> Result<()> {
    let created = create_role(connection, &format!("usage_ledger_of_{}", address.ledger()));
    created.map(drop).map_err(|failure| failure.into_error(address, "creating the ledger"))
}

/// Whether the ledger exists.
pub(super) fn has_ledger(connection: &mut Connection, address: &PostgresAddress) -> Result<bool, RequestFailure> {
    let asked = TypedStatement::new("SELECT 1 FROM usage_ledger.heads WHERE ledger_id = $1")
        .with(address.ledger().to_owned(), Type::TEXT);
    Ok(!connection.run(|client| asked.send(client))?.is_empty())
}

/// Fails for tables of a newer build.
pub(super) fn expect_known(schema: i64, address: &PostgresAddress) -> Result<()> {
    if schema <= newest() {
        return Ok(());
    }
    Err(Error::NewerSchema { path: address.as_path(), schema, supported: newest() })
}
