//! A snapshot or a write transaction of an SQLite ledger.

use rusqlite::{CachedStatement, ErrorCode, OptionalExtension, params};

use super::file::forget_failed_commit;
use super::pool::{Lease, WriterPermit};
use super::structure;
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;
use crate::store::{Flow, Head, Order, ReadView, Row, StructureFinding, Table, Transaction, WriteView};

pub(super) struct SqliteView {
    /// The connection with the open transaction. Fields are dropped in declaration order.
    lease: Lease,
    /// The permission to write, which is released after the transaction has ended.
    _writer: Option<WriterPermit>,
    /// Rows that this transaction appended.
    appended: usize,
}

/// Appended rows from which on a transaction has a larger page cache.
const MANY_ROWS: usize = 5_000;

impl SqliteView {
    /// Opens a snapshot.
    pub fn read(lease: Lease) -> Result<Self> {
        let begin = || -> Result<()> {
            let fail = |e| lease.pool.about.error(e, "opening a snapshot");
            let connection = lease.connection()?;
            connection.execute_batch("BEGIN").map_err(fail)?;
            // A deferred transaction takes its snapshot at its first read, not at BEGIN.
            connection.query_row("SELECT 1 FROM kinds LIMIT 1", [], |_| Ok(())).map_err(fail)
        };
        begin()?;
        Ok(Self { lease, _writer: None, appended: 0 })
    }

    /// Opens a write transaction.
    pub fn write(lease: Lease, writer: WriterPermit) -> Result<Self> {
        let begun = lease.connection()?.execute_batch("BEGIN IMMEDIATE");
        begun.map_err(|e| lease.pool.about.error(e, "taking the write lock"))?;
        Ok(Self { lease, _writer: Some(writer), appended: 0 })
    }

    fn prepare(&self, sql: &str, doing: &str) -> Result<CachedStatement<'_>> {
        self.lease.connection()?.prepare_cached(sql).map_err(|e| self.lease.pool.about.error(e, doing))
    }

    /// A statement that writes. A full disk makes SQLite roll back on its own; a write after that would be a transaction of
    /// its own, so it is an error.
    fn prepare_write(&self, sql: &str, doing: &str) -> Result<CachedStatement<'_>> {
        if self.lease.connection()?.is_autocommit() {
            let source = "an earlier failure has rolled the transaction back".into();
            return Err(Error::Store { what: doing.to_owned(), source });
        }
        self.prepare(sql, doing)
    }

    fn fail(&self, error: rusqlite::Error) -> Error {
        self.lease.pool.about.error(error, "reading")
    }
}

fn number(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

/// The position of a row. No append writes a negative one, and no ledger reaches the maximum.
fn position(number: i64) -> Result<Position> {
    let number = u64::try_from(number);
    number.map(Position::new).map_err(|_| Error::damaged(None, "an event is stored at a position below 1"))
}

impl ReadView for SqliteView {
    fn head(&self) -> Result<Head> {
        let mut statement =
            self.prepare("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1", "reading")?;
        let result = statement.query_row([], |row| Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?)))).optional();
        match result.map_err(|e| self.fail(e))? {
            Some((number, recorded_at)) => Ok(Head { position: position(number)?, recorded_at }),
            None => Ok(Head::default()),
        }
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        let mut statement = self.prepare("SELECT position FROM events WHERE id = ?", "reading")?;
        let result = statement.query_row([id.as_bytes().as_slice()], |row| row.get(0)).optional();
        result.map_err(|e| self.fail(e))?.map(position).transpose()
    }

    fn each_id(&self, visit: &mut dyn FnMut(EventId, Position) -> Flow) -> Result<()> {
        // The index alone answers, so this visits what lookups find. A tree whose entries are in order finds each of them.
        let sql = "SELECT id, position FROM events INDEXED BY sqlite_autoindex_events_1 ORDER BY id";
        let mut statement = self.prepare(sql, "reading the ids")?;
        let mut rows = statement.query([]).map_err(|e| self.fail(e))?;
        let mut last = None;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let id = row.get_ref(0).ok().and_then(|id| EventId::from_slice(id.as_blob().ok()?));
            let at = position(row.get(1).map_err(|e| self.fail(e))?)?;
            let id = id.filter(|id| last.replace(*id).is_none_or(|last| last < *id));
            let id = id.ok_or_else(|| Error::damaged(at, "the index of the ids is out of order here"))?;
            if visit(id, at)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let mut statement = self.prepare("SELECT position, id, kind, occurred_at, recorded_at, body FROM events WHERE position >= ? ORDER BY position", "reading")?;
        // From the start means from the first row at all, so that an audit also sees rows with invalid positions.
        let from = if from == Position::START { i64::MIN } else { number(from) };
        let mut rows = statement.query([from]).map_err(|e| self.fail(e))?;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let at: i64 = row.get(0).map_err(|e| self.fail(e))?;
            // An audit reads all rows. It reports a row before the first position as one at position 0.
            let at = if at < 0 && from == i64::MIN { Position::START } else { position(at)? };
            let read = || -> rusqlite::Result<Option<Row<'_>>> {
                let id = row.get_ref(1)?.as_blob().ok().and_then(EventId::from_slice);
                let body = row.get_ref(5)?.as_str().ok();
                let (Some(id), Some(body)) = (id, body) else { return Ok(None) };
                Ok(Some(Row {
                    id,
                    kind: row.get(2)?,
                    occurred_at: Timestamp::from_millis(row.get(3)?),
                    recorded_at: Timestamp::from_millis(row.get(4)?),
                    body,
                }))
            };
            let seen =
                read().ok().flatten().ok_or_else(|| Error::damaged(at, "the row has an id or a body that is none"))?;
            if visit(at, seen)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut statement = self.prepare(sql(table).get, "reading")?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(|e| self.fail(e))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let sql = sql(table);
        let (text, bounded) = match (order, to.is_empty()) {
            (Order::Ascending, false) => (sql.up, true),
            (Order::Ascending, true) => (sql.up_open, false),
            (Order::Descending, false) => (sql.down, true),
            (Order::Descending, true) => (sql.down_open, false),
        };
        let mut statement = self.prepare(text, "reading")?;
        let mut rows =
            if bounded { statement.query([from, to]) } else { statement.query([from]) }.map_err(|e| self.fail(e))?;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let bytes = |column| row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
            let (Some(key), Some(value)) = (bytes(0), bytes(1)) else {
                return Err(Error::damaged(None, format!("table {} holds a row that is not bytes", table.name())));
            };
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn structure(&self) -> Result<Vec<StructureFinding>> {
        structure::differences(self.lease.connection()?)
            .map_err(|e| self.lease.pool.about.error(e, "reading the schema"))
    }
}

impl WriteView for SqliteView {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        const DOING: &str = "writing a projection";
        let done = match value {
            Some(value) => self.prepare_write(sql(table).put, DOING)?.execute([key, value]),
            None => self.prepare_write(sql(table).remove, DOING)?.execute([key]),
        };
        done.map(|_| ()).map_err(|e| self.lease.pool.about.error(e, DOING))
    }

    fn put_all(&mut self, table: Table, rows: &mut dyn Iterator<Item = (&[u8], &[u8])>) -> Result<()> {
        const DOING: &str = "writing a projection";
        let fail = |e| self.lease.pool.about.error(e, DOING);
        let mut statement = self.prepare_write(sql(table).put, DOING)?;
        for (key, value) in rows {
            statement.execute([key, value]).map_err(fail)?;
        }
        Ok(())
    }
}

impl Transaction for SqliteView {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        const DOING: &str = "appending";
        self.appended += rows.len();
        if self.appended >= MANY_ROWS {
            self.lease.enlarge_cache()?;
        }
        let mut at = self.head()?.position;
        let fail = |e| self.lease.pool.about.error(e, DOING);
        let mut statement = self.prepare_write(
            "INSERT INTO events (position, id, kind, occurred_at, recorded_at, body) VALUES (?, ?, ?, ?, ?, ?)",
            DOING,
        )?;
        for row in rows {
            at = at.next();
            let done = statement.execute(params![
                number(at),
                row.id.as_bytes().as_slice(),
                row.kind,
                row.occurred_at.millis(),
                row.recorded_at.millis(),
                row.body,
            ]);
            if let Err(e) = done {
                if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
                    && let Some(earlier) = self.position_of(row.id)?
                {
                    return Err(Error::Conflict { id: row.id, position: earlier });
                }
                return Err(fail(e));
            }
        }
        Ok(at)
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        const DOING: &str = "shredding";
        let fail = |e| self.lease.pool.about.error(e, DOING);
        // From here on freed space is overwritten with zeros, including in this transaction.
        self.lease.connection()?.query_row("PRAGMA secure_delete=ON", [], |_| Ok(())).map_err(fail)?;
        let mut statement = self.prepare_write("UPDATE events SET body = ? WHERE position = ?", DOING)?;
        if statement.execute(params![tombstone, number(position)]).map_err(fail)? == 0 {
            return Err(Error::NotFound { what: format!("at position {position}") });
        }
        Ok(())
    }

    fn repair_structure(&mut self) -> Result<()> {
        structure::repair(self.lease.connection()?).map_err(|e| self.lease.pool.about.error(e, "repairing the schema"))
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let pool = &self.lease.pool;
        pool.expect_in_place()?;
        let connection = self.lease.connection()?;
        if let Err(error) = connection.execute_batch("COMMIT") {
            forget_failed_commit(connection);
            return Err(pool.about.error(error, "committing"));
        }
        // A write is not acknowledged if its file was removed meanwhile.
        pool.expect_in_place()
    }
}

/// The statements of one table.
struct Sql {
    get: &'static str,
    put: &'static str,
    remove: &'static str,
    up: &'static str,
    up_open: &'static str,
    down: &'static str,
    down_open: &'static str,
}

macro_rules! sql {
    ($table:literal) => {
        Sql {
            get: concat!("SELECT value FROM ", $table, " WHERE key = ?"),
            put: concat!(
                "INSERT INTO ",
                $table,
                " (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE key = ?"),
            up: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? AND key < ? ORDER BY key"),
            up_open: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? ORDER BY key"),
            down: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? AND key < ? ORDER BY key DESC"),
            down_open: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? ORDER BY key DESC"),
        }
    };
}

const fn sql(table: Table) -> Sql {
    match table {
        Table::Tree => sql!("tree"),
        Table::ByModel => sql!("usage_by_model"),
        Table::ByProject => sql!("usage_by_project"),
        Table::ByConversation => sql!("usage_by_conversation"),
        Table::ByLabel => sql!("usage_by_label"),
        Table::UsageInstants => sql!("uses"),
        Table::SessionStarts => sql!("session_openings"),
        Table::EventIndex => sql!("facts"),
        Table::Corrections => sql!("corrections"),
        Table::Keys => sql!("natural_keys"),
        Table::Files => sql!("imported_files"),
        Table::Conversations => sql!("conversations"),
        Table::Accounts => sql!("accounts"),
        Table::Blocks => sql!("blocks"),
        Table::Columns => sql!("block_calls"),
        Table::Quarters => sql!("block_quarters"),
        Table::Chapters => sql!("chapters"),
        Table::History => sql!("history"),
    }
}
