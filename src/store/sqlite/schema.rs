//! The tables of a ledger file, and how a file of an earlier schema is brought to the newest one.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::file::newer;
use super::pool::Pool;
use super::{APPLICATION_ID, PAGE, queue};
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

/// Every migration in order; the schema number of a file is how many it has seen.
pub(super) const MIGRATIONS: [&str; 2] =
    [include_str!("../migrations/0001_ledger.sql"), include_str!("../migrations/0002_blocks.sql")];
/// The newest schema this build knows.
pub(super) const SCHEMA: i64 = 2;
const _: () = assert!(MIGRATIONS.len() == SCHEMA.unsigned_abs() as usize);

impl Pool {
    /// Makes a connection ready, and the tables if they are missing.
    pub fn prepare(&mut self, connection: &mut Connection) -> Result<()> {
        let fail = |pool: &Self, e| pool.about.error(e, "opening the ledger");
        connection.busy_timeout(Duration::from_secs(self.about.busy_seconds)).map_err(|e| fail(self, e))?;
        let schema = self.schema(connection)?;
        if self.read_only.is_some() {
            self.expect_current(schema)?;
        } else if schema < SCHEMA || !self.has_log(connection)? {
            self.migrate(connection)?;
        }
        self.configure(connection).map_err(|e| fail(self, e))
    }

    /// Whether the file has a write-ahead log. One that was locked to be replaced has none.
    fn has_log(&self, connection: &Connection) -> Result<bool> {
        let mode: rusqlite::Result<String> = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
        Ok(mode.map_err(|e| self.about.error(e, "opening the ledger"))? == "wal")
    }

    /// That nothing would have to be written before the ledger can be read.
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
        // One snapshot for all three answers: another process may be making the tables just now.
        let tx = connection.unchecked_transaction().map_err(fail)?;
        let number = |pragma: &str| tx.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(fail);
        let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
        if application == i64::from(APPLICATION_ID) {
            newer(&self.about.path, version)?;
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
        // Lines of 400 to 900 bytes leave less of a page of this size unused; it has no effect on a file with pages.
        let size = format!("PRAGMA page_size={PAGE}");
        connection.execute_batch(&size).map_err(|e| self.about.error(e, "choosing a page size"))?;
        // Many processes may find the file empty at once: the first one through the queue migrates.
        let deadline = queue::after(self.about.busy_seconds);
        let _turn = self.turn(deadline, self.about.busy_seconds)?;
        loop {
            let mode: rusqlite::Result<String> = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0));
            match mode {
                Ok(_) => break,
                // This one pragma does not honour the busy timeout.
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(self.about.error(e, "switching to write-ahead logging")),
            }
        }
        self.make_tables(connection)?;
        // A new ledger is whole in its file from the beginning.
        self.options.keep_small_log = false;
        self.expect_new_log();
        Ok(())
    }

    /// Brings the tables to the newest schema.
    pub fn make_tables(&self, connection: &mut Connection) -> Result<()> {
        let fail = |e| self.about.error(e, "migrating the ledger");
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let from: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
        let applied = usize::try_from(from).map_err(|_| bug!("the schema number is {from}"))?;
        for migration in MIGRATIONS.iter().skip(applied) {
            tx.execute_batch(migration).map_err(fail)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        tx.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
        tx.commit().map_err(fail)
    }
}
