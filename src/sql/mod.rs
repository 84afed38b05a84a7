//! SQL queries over read-only tables of a ledger.
//!
//! A query runs on a temporary SQLite database, which holds only the tables that it names. SQLite moves the tables to a
//! temporary file when they outgrow its cache. The query cannot reach the ledger's own file or any other file.

mod amount;
mod tables;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::Value;
use rusqlite::{Batch, Connection};

use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
pub(crate) use tables::TABLES;

/// Memory of the temporary database, in KiB.
const CACHE: u32 = 32_768;

/// Receives the answer of a query: the names of the columns, then each row.
pub(crate) trait RowVisitor {
    fn columns(&mut self, names: &[String]) -> Result<()>;
    fn row(&mut self, values: &[Value]) -> Result<()>;
}

/// Runs one SELECT statement on a snapshot of the ledger.
///
/// `now` is the instant of the answer: it chooses the prices of the table `prices`.
///
/// # Errors
/// [`Error::Invalid`] when the statement is not one valid SELECT over the tables, and the ledger's own errors.
pub(crate) fn query(
    snapshot: &Snapshot<'_>,
    now: Timestamp,
    statement: &str,
    visitor: &mut dyn RowVisitor,
) -> Result<()> {
    let mut database = open().map_err(failed)?;
    let used = names_of(&mut database, statement)?;
    for table in TABLES.iter().filter(|table| used.contains(table.name)) {
        // One transaction for each table: a commit for each row would be slow.
        let fill = database.unchecked_transaction().map_err(failed)?;
        table.fill(snapshot, now, &fill)?;
        fill.commit().map_err(failed)?;
    }
    restrict(&mut database, None)?;
    let mut select = database.prepare(statement).map_err(|error| refused(&error))?;
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    visitor.columns(&names)?;
    let mut values = Vec::with_capacity(names.len());
    let mut rows = select.query([]).map_err(|error| refused(&error))?;
    while let Some(row) = rows.next().map_err(|error| refused(&error))? {
        values.clear();
        for index in 0..names.len() {
            values.push(row.get(index).map_err(|error| refused(&error))?);
        }
        visitor.row(&values)?;
    }
    Ok(())
}

/// Opens the temporary database with empty tables.
fn open() -> rusqlite::Result<Connection> {
    let database = Connection::open("")?;
    database.execute_batch(&format!("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE};"))?;
    for table in TABLES {
        database.execute_batch(&table.definition())?;
    }
    amount::register(&database)?;
    Ok(database)
}

/// Returns the names of the tables that a statement reads, and refuses anything but one SELECT.
fn names_of(database: &mut Connection, statement: &str) -> Result<BTreeSet<String>> {
    let named = Arc::new(Mutex::new(BTreeSet::new()));
    restrict(database, Some(Arc::clone(&named)))?;
    expect_one_select(database, statement)?;
    allow_all(database)?;
    let found = std::mem::take(&mut *named.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(found)
}

fn expect_one_select(database: &Connection, statement: &str) -> Result<()> {
    let mut batch = Batch::new(database, statement);
    let first = batch.next().map_err(|error| refused(&error))?.map(|statement| statement.column_count());
    match first {
        None => return Err(Error::invalid("the query is empty: give one SELECT statement")),
        Some(0) => return Err(Error::invalid("the query returns no columns: give one SELECT statement")),
        Some(_) => {}
    }
    if batch.next().map_err(|error| refused(&error))?.is_some() {
        return Err(Error::invalid("the query has several statements: give one SELECT statement"));
    }
    Ok(())
}

/// Allows statements only to read, and collects the names of the tables that they read.
fn restrict(database: &mut Connection, named: Option<Arc<Mutex<BTreeSet<String>>>>) -> Result<()> {
    let judge = move |context: AuthContext<'_>| match context.action {
        AuthAction::Read { table_name, .. } => {
            if let Some(named) = &named {
                named.lock().unwrap_or_else(PoisonError::into_inner).insert(table_name.to_owned());
            }
            Authorization::Allow
        }
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if function_name != "load_extension" => Authorization::Allow,
        _ => Authorization::Deny,
    };
    database.authorizer(Some(judge)).map_err(failed)
}

fn allow_all(database: &mut Connection) -> Result<()> {
    database.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).map_err(failed)
}

/// The error of a query that SQLite rejects.
fn refused(error: &rusqlite::Error) -> Error {
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) | rusqlite::Error::SqlInputError { msg: message, .. } => {
            message.clone()
        }
        other => other.to_string(),
    };
    if message.starts_with("not authorized") {
        return Error::invalid("the query may only read: give one SELECT statement over the tables of the ledger");
    }
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let remedy = if message.starts_with("no such table") {
        format!(" (the tables are {})", names.join(", "))
    } else if message.starts_with("no such column") {
        " (`usage-ledger sql --tables` lists the columns)".to_owned()
    } else {
        String::new()
    };
    Error::invalid(format!("the query fails: {message}{remedy}"))
}

/// The error of the temporary database itself, such as a full disk.
fn failed(error: rusqlite::Error) -> Error {
    let what = "filling the temporary database of the query (SQLITE_TMPDIR names another directory for it)".to_owned();
    Error::Store { what, source: Box::new(error) }
}
