//! One snapshot or one write of an SQLite ledger.

use rusqlite::{ErrorCode, OptionalExtension, params};

use super::file::FileContext;
use super::identity::OpenFiles;
use super::queue::Turn;
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;
use crate::store::{Flow, Head, Order, ReadView, Row, Table, Transaction, WriteView};

pub(super) struct SqliteView<'a> {
    pub tx: rusqlite::Transaction<'a>,
    pub about: &'a FileContext,
    /// The files that are open; `None` for a draft.
    pub files: Option<&'a OpenFiles>,
    /// The turn to write, which passes on when the transaction has ended: fields are dropped in their order.
    pub turn: Option<Turn>,
}

impl SqliteView<'_> {
    fn fail(&self, error: rusqlite::Error) -> Error {
        self.about.error(error, "reading")
    }
}

fn number(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

fn position(number: i64) -> Position {
    Position::new(u64::try_from(number).unwrap_or(0))
}

impl ReadView for SqliteView<'_> {
    fn head(&self) -> Result<Head> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1")
            .map_err(|e| self.fail(e))?;
        let found = statement
            .query_row([], |row| {
                Ok(Head { position: position(row.get(0)?), recorded_at: Timestamp::from_millis(row.get(1)?) })
            })
            .optional();
        Ok(found.map_err(|e| self.fail(e))?.unwrap_or_default())
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        let mut statement =
            self.tx.prepare_cached("SELECT position FROM events WHERE id = ?").map_err(|e| self.fail(e))?;
        let found = statement.query_row([id.as_bytes().as_slice()], |row| row.get(0)).optional();
        Ok(found.map_err(|e| self.fail(e))?.map(position))
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let mut statement = self
            .tx
            .prepare_cached(
                "SELECT position, id, kind, occurred_at, recorded_at, body FROM events WHERE position >= ? ORDER BY position",
            )
            .map_err(|e| self.fail(e))?;
        // From the start means from the very first row, so that an audit sees what nobody else would.
        let from = if from == Position::START { i64::MIN } else { number(from) };
        let mut rows = statement.query([from]).map_err(|e| self.fail(e))?;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let at = position(row.get(0).map_err(|e| self.fail(e))?);
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
        let mut statement = self.tx.prepare_cached(sql(table).get).map_err(|e| self.fail(e))?;
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
        let mut statement = self.tx.prepare_cached(text).map_err(|e| self.fail(e))?;
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
}

impl WriteView for SqliteView<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let done = match value {
            Some(value) => self.tx.prepare_cached(sql(table).put).and_then(|mut s| s.execute([key, value])),
            None => self.tx.prepare_cached(sql(table).remove).and_then(|mut s| s.execute([key])),
        };
        done.map(|_| ()).map_err(|e| self.about.error(e, "writing a projection"))
    }

    fn put_all(&mut self, table: Table, rows: &mut dyn Iterator<Item = (&[u8], &[u8])>) -> Result<()> {
        let fail = |e| self.about.error(e, "writing a projection");
        let mut statement = self.tx.prepare_cached(sql(table).put).map_err(fail)?;
        for (key, value) in rows {
            statement.execute([key, value]).map_err(fail)?;
        }
        Ok(())
    }
}

impl Transaction for SqliteView<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        let mut at = self.head()?.position;
        let fail = |e| self.about.error(e, "appending");
        let mut statement = self
            .tx
            .prepare_cached(
                "INSERT INTO events (position, id, kind, occurred_at, recorded_at, body) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .map_err(fail)?;
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

    fn shred(&mut self, position: Position, stub: &str) -> Result<()> {
        let fail = |e| self.about.error(e, "shredding");
        // What is freed from here on is overwritten with zeros, in this transaction already.
        self.tx.query_row("PRAGMA secure_delete=ON", [], |_| Ok(())).map_err(fail)?;
        let mut statement = self.tx.prepare_cached("UPDATE events SET body = ? WHERE position = ?").map_err(fail)?;
        if statement.execute(params![stub, number(position)]).map_err(fail)? == 0 {
            return Err(Error::NotFound { what: format!("at position {position}") });
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        // The turn passes on when this returns.
        let Self { tx, about, files, turn: _turn } = *self;
        let expect_in_place = || files.map_or(Ok(()), |files| files.expect_in_place(about));
        expect_in_place()?;
        tx.commit().map_err(|e| about.error(e, "committing"))?;
        // Nothing is acknowledged that went into a file which was taken away meanwhile.
        expect_in_place()
    }
}

/// The statements of one table's table.
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
        Table::Uses => sql!("uses"),
        Table::Openings => sql!("session_openings"),
        Table::Facts => sql!("facts"),
        Table::Corrections => sql!("corrections"),
        Table::Keys => sql!("natural_keys"),
        Table::Files => sql!("imported_files"),
        Table::Conversations => sql!("conversations"),
        Table::Accounts => sql!("accounts"),
        Table::Snapshots => sql!("snapshots"),
    }
}
