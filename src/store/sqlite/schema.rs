//! The tables of a ledger file, and the upgrade of earlier schemas.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::file::{change_journal_mode, forget_failed_commit, newer, prepare_journal, sync_entry_of};
use super::identity::OpenFiles;
use super::pool::ConnectionPool;
use super::{APPLICATION_ID, PAGE, SCHEMA, queue};
use crate::model::error::{Error, Result};
use crate::model::event::EventKind;
use crate::model::invariant::bug;

/// Every migration in order. The schema number of a file is the number of applied migrations.
pub(super) const MIGRATIONS: [&str; 6] = [
    include_str!("../migrations/0001_ledger.sql"),
    include_str!("../migrations/0002_blocks.sql"),
    include_str!("../migrations/0003_alerts.sql"),
    include_str!("../migrations/0004_history.sql"),
    include_str!("../migrations/0005_labels.sql"),
    include_str!("../migrations/0006_quarters.sql"),
];
const _: () = assert!(MIGRATIONS.len() == SCHEMA.unsigned_abs() as usize);

impl ConnectionPool {
    /// Prepares a connection, and creates missing tables.
    pub fn prepare(&mut self, connection: &mut Connection) -> Result<()> {
        let fail = |pool: &Self, e| pool.about.error(e, "opening the ledger");
        connection.busy_timeout(Duration::from_secs(self.about.busy_seconds)).map_err(|e| fail(self, e))?;
        let schema = self.schema(connection)?;
        if self.read_only.is_some() {
            self.expect_current(schema)?;
        } else if schema < SCHEMA || !self.has_log(connection)? || lacks_kinds(connection) {
            self.migrate(connection)?;
        }
        self.configure(connection).map_err(|e| fail(self, e))
    }

    /// Whether the file is in WAL mode. A file that was locked to be replaced is not.
    fn has_log(&self, connection: &Connection) -> Result<bool> {
        let mode: rusqlite::Result<String> = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
        Ok(mode.map_err(|e| self.about.error(e, "opening the ledger"))? == "wal")
    }

    /// Checks that the ledger can be read without a write.
    fn expect_current(&self, schema: i64) -> Result<()> {
        if schema == SCHEMA {
            return Ok(());
        }
        let why = format!("it has schema {schema}, and has to be written to once to bring it to schema {SCHEMA}");
        Err(Error::ReadOnly { path: self.about.path.clone(), why })
    }

    /// The schema number of the file; 0 for an empty one.
    fn schema(&self, connection: &Connection) -> Result<i64> {
        let fail = |e| self.about.error(e, "reading the schema");
        // One snapshot for all three reads: another process may be creating the tables.
        let tx = connection.unchecked_transaction().map_err(fail)?;
        let number = |pragma: &str| tx.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(fail);
        let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
        if application == i64::from(APPLICATION_ID) {
            newer(&self.about.path, version)?;
            if version < 1 {
                return Err(other_tables(version));
            }
            return Ok(version);
        }
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        if application == 0 && version == 0 && tables == 0 {
            return Ok(0);
        }
        Err(Error::NotALedger {
            path: self.about.path.clone(),
            why: "it is the database of another program".to_owned(),
        })
    }

    fn migrate(&mut self, connection: &mut Connection) -> Result<()> {
        // With lines of 400 to 900 bytes, pages of this size waste less space. The pragma has no effect on a file with
        // pages.
        let size = format!("PRAGMA page_size={PAGE}");
        connection.execute_batch(&size).map_err(|e| self.about.error(e, "choosing a page size"))?;
        // Several processes may find the file empty at once: the first in the queue migrates.
        let deadline = queue::after(self.about.busy_seconds);
        let _turn = self.turn(deadline, self.about.busy_seconds)?;
        self.enter_log_mode(connection, deadline)?;
        self.make_tables(connection)?;
        // A new ledger is moved completely into its file on close.
        self.options.keep_small_log = false;
        self.expect_new_log();
        Ok(())
    }

    /// Switches to write-ahead logging. The names of the journal and of the log are durable before SQLite relies on them.
    fn enter_log_mode(&self, connection: &Connection, deadline: Instant) -> Result<()> {
        const DOING: &str = "switching to write-ahead logging";
        let database = self.files.as_ref().map(OpenFiles::database);
        // If the mode cannot be read, the change below fails with the reason.
        if let Some(database) = database.filter(|_| !matches!(self.has_log(connection), Ok(true))) {
            prepare_journal(database)?;
        }
        loop {
            match change_journal_mode(connection, "WAL") {
                Ok(mode) if mode == "wal" => break,
                Ok(mode) => {
                    let what = format!("{DOING} in {}", self.about.path.display());
                    return Err(Error::Store { what, source: format!("the journal mode stays `{mode}`").into() });
                }
                // This pragma ignores the busy timeout.
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(self.about.error(e, DOING)),
            }
        }
        let Some(database) = database else { return Ok(()) };
        // The first read creates the log. The sync also makes the removal of the journal durable.
        let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        read.map_err(|e| self.about.error(e, DOING))?;
        sync_entry_of(database)
    }

    /// Upgrades the tables to the newest schema.
    pub fn make_tables(&self, connection: &mut Connection) -> Result<()> {
        let fail = |e| self.about.error(e, "migrating the ledger");
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let from: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
        let applied = usize::try_from(from).map_err(|_| bug!("the schema number is {from}"))?;
        for migration in MIGRATIONS.iter().skip(applied) {
            tx.execute_batch(migration).map_err(|error| match error {
                rusqlite::Error::SqlInputError { .. } => other_tables(from),
                other => fail(other),
            })?;
        }
        add_kinds(&tx).map_err(fail)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        tx.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
        tx.commit().map_err(|error| {
            forget_failed_commit(connection);
            fail(error)
        })
    }
}

/// The error for a schema number that is not that of the tables.
fn other_tables(schema: i64) -> Error {
    let what = format!("the file states schema {schema}, and its tables are not of that schema");
    Error::Damaged { position: None, what }
}

/// The greatest code in the table `kinds`.
fn last_kind(connection: &Connection) -> rusqlite::Result<Option<u8>> {
    connection.query_row("SELECT max(code) FROM kinds", [], |row| row.get(0))
}

/// Whether the file is older than a kind of the registry. A damaged table is left to `verify`.
fn lacks_kinds(connection: &Connection) -> bool {
    last_kind(connection).is_ok_and(|last| last < EventKind::ALL.last().map(|kind| kind.code()))
}

/// Adds the names of the kinds that are newer than the file. The table explains the file and no event refers to it, so a new
/// kind needs no migration.
pub(super) fn add_kinds(connection: &Connection) -> rusqlite::Result<()> {
    let last = last_kind(connection)?;
    for kind in EventKind::ALL.iter().filter(|kind| Some(kind.code()) > last) {
        connection.execute("INSERT INTO kinds (code, name) VALUES (?, ?)", (kind.code(), kind.name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build that knows more kinds than the file adds their names when it opens the file for writing.
    #[test]
    fn a_file_gets_the_names_of_newer_kinds() {
        let file = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            file.execute_batch(migration).unwrap();
        }
        file.execute("DELETE FROM kinds WHERE code > 15", []).unwrap();
        assert!(lacks_kinds(&file));
        add_kinds(&file).unwrap();
        assert!(!lacks_kinds(&file));
        assert_eq!(super::super::structure::differences(&file).unwrap(), []);
        // A name that is missing in between is a fault, which stays visible.
        file.execute("DELETE FROM kinds WHERE code = 3", []).unwrap();
        assert!(!lacks_kinds(&file));
    }
}
