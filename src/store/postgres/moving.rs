//! The steps of a move of a ledger to another cluster, on the side of one cluster.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::failure::RequestFailure;
use super::fetch::TypedStatement;
use super::place::{LedgerRedirect, OtherCluster, PLACE};
use super::{PostgresStore, REWRITE, migrate};
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

/// The row of a ledger in `heads`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerHeadRow {
    pub position: u64,
    pub version: i64,
    pub redirect: Option<LedgerRedirect>,
}

impl LedgerHeadRow {
    /// Reads position, version and the columns [`PLACE`].
    fn of(row: &Row, first: usize) -> Result<Self, RequestFailure> {
        let damaged = || RequestFailure::Other(Error::damaged(None, "the row of the head is unreadable"));
        let position: i64 = row.try_get(first).map_err(|_| damaged())?;
        Ok(Self {
            position: u64::try_from(position).map_err(|_| damaged())?,
            version: row.try_get(first + 1).map_err(|_| damaged())?,
            redirect: LedgerRedirect::of(row, first + 2)?,
        })
    }
}

impl PostgresStore {
    /// The same ledger for a program that moves it: it reads and writes a copy that takes no commits of others.
    pub(crate) fn for_mover(&self) -> Result<Self> {
        Ok(Self { pool: Arc::new(self.pool.for_mover()?), busy_seconds: self.busy_seconds })
    }

    /// Sends one statement in a transaction of its own.
    fn ask(&self, statement: &TypedStatement, doing: &str) -> Result<Vec<Row>> {
        let mut connection = self.lease()?;
        let done = connection.run(|client| statement.send(client));
        match &done {
            Ok(_) => connection.finish(),
            Err(_) => connection.discard(),
        }
        self.answer(done, doing)
    }

    /// The row of the ledger; `None` if it does not exist here.
    pub(crate) fn head_row(&self) -> Result<Option<LedgerHeadRow>> {
        let sql = format!("SELECT position, version, {PLACE} FROM usage_ledger.heads h WHERE h.ledger_id = $1");
        let asked = TypedStatement::new(sql).with(self.pool.address.ledger().to_owned(), Type::TEXT);
        let rows = self.ask(&asked, "reading the place of the ledger")?;
        rows.first().map(|row| self.answer(LedgerHeadRow::of(row, 0), "reading the place of the ledger")).transpose()
    }

    /// The rows of all ledgers of the database: the one statement that is about several ledgers.
    pub(crate) fn all_head_rows(&self) -> Result<Vec<(String, LedgerHeadRow)>> {
        let sql = format!("SELECT position, version, {PLACE}, ledger_id FROM usage_ledger.heads h ORDER BY ledger_id");
        let read = |row: &Row| {
            let name = row.try_get(5).map_err(|_| RequestFailure::Other(bug!("the id of a ledger is no text")))?;
            Ok((name, LedgerHeadRow::of(row, 0)?))
        };
        let rows = self.ask(&TypedStatement::new(sql), "listing the ledgers")?;
        self.answer(rows.iter().map(read).collect(), "listing the ledgers")
    }

    /// Creates an empty copy that takes no commits of others, unless the ledger has a row here.
    pub(crate) fn create_incoming(&self, from: &OtherCluster) -> Result<()> {
        let mut connection = self.lease()?;
        migrate::create_ledger_role(&mut connection, &self.pool.address)?;
        connection.finish();
        let row = TypedStatement::new(
            "INSERT INTO usage_ledger.heads (ledger_id, moved_state, moved_to, moved_address, moved_version) \
             VALUES ($1, 'incoming', $2, $3, 0) ON CONFLICT DO NOTHING",
        )
        .with(self.pool.address.ledger().to_owned(), Type::TEXT)
        .with(from.name.clone(), Type::TEXT)
        .with(from.address.clone(), Type::TEXT);
        self.ask(&row, "creating the copy").map(drop)
    }

    /// Ends all commits here: the ledger leaves for another cluster. Waits for the commit that is under way. False if it
    /// takes none any more.
    pub(crate) fn begin_leaving(&self, to: &OtherCluster) -> Result<bool> {
        let statement = TypedStatement::new(
            "UPDATE usage_ledger.heads SET version = version + 1, moved_version = version + 1, moved_state = 'leaving', \
             moved_to = $2, moved_address = $3 WHERE ledger_id = $1 AND moved_state IS NULL RETURNING 1",
        )
        .with(self.pool.address.ledger().to_owned(), Type::TEXT)
        .with(to.name.clone(), Type::TEXT)
        .with(to.address.clone(), Type::TEXT);
        Ok(!self.ask(&statement, "closing the ledger for its move")?.is_empty())
    }

    /// Changes the place of a ledger whose row still has a version; `None` makes it take commits here. False if the row has
    /// changed.
    pub(crate) fn change_place(&self, version: i64, redirect: Option<&LedgerRedirect>) -> Result<bool> {
        let (state, to) = redirect.map(|redirect| (redirect.state.name(), redirect.to.clone())).unzip();
        let (name, address) = to.map(|to| (to.name, to.address)).unzip();
        let statement = TypedStatement::new(
            "UPDATE usage_ledger.heads SET version = version + 1, moved_state = $3, moved_to = $4, moved_address = $5, \
             moved_version = CASE WHEN $3 IS NULL THEN NULL ELSE version + 1 END \
             WHERE ledger_id = $1 AND version = $2 RETURNING 1",
        )
        .with(self.pool.address.ledger().to_owned(), Type::TEXT)
        .with(version, Type::INT8)
        .with(state.map(str::to_owned), Type::TEXT)
        .with(name, Type::TEXT)
        .with(address, Type::TEXT);
        Ok(!self.ask(&statement, "changing the place of the ledger")?.is_empty())
    }

    /// Removes the rows of a copy that is not the ledger any more, and leaves the row that names its place. False if the row
    /// has changed.
    pub(crate) fn remove_copy(&self, version: i64, to: &OtherCluster) -> Result<bool> {
        let ledger = || self.pool.address.ledger().to_owned();
        let head = TypedStatement::new(
            "UPDATE usage_ledger.heads SET version = version + 1, moved_version = version + 1, position = 0, \
             moved_state = 'moved', moved_to = $3, moved_address = $4 \
             WHERE ledger_id = $1 AND version = $2 AND moved_state IS NOT NULL RETURNING 1",
        )
        .with(ledger(), Type::TEXT)
        .with(version, Type::INT8)
        .with(to.name.clone(), Type::TEXT)
        .with(to.address.clone(), Type::TEXT);
        let rows = [
            "DELETE FROM usage_ledger.events WHERE ledger_id = $1",
            "DELETE FROM usage_ledger.projections WHERE ledger_id = $1",
            "DELETE FROM usage_ledger.settings WHERE ledger_id = $1",
        ]
        .map(|sql| TypedStatement::new(sql).with(ledger(), Type::TEXT));
        let mut connection = self.lease()?;
        let done = connection.run_within(REWRITE, |client| async {
            client.batch_execute("BEGIN").await?;
            if head.send(client).await?.is_empty() {
                client.batch_execute("ROLLBACK").await?;
                return Ok(false);
            }
            for statement in &rows {
                statement.send(client).await?;
            }
            client.batch_execute("COMMIT").await?;
            Ok(true)
        });
        match &done {
            Ok(_) => connection.finish(),
            Err(_) => connection.discard(),
        }
        self.answer(done, "removing the former copy")
    }
}
