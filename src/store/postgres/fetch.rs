//! Asks the server for rows: everything that is wanted at once, in one round trip.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::super::{Head, Order, Table};
use super::connection::Connection;
use super::failure::RequestFailure;
use super::known::{Known, KnownRow, Pair, StoredBody, successor};
use super::line_archive::archived_leaf;
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;

/// A scan that is wanted: table, from, to (empty means to the end), whether it descends.
type Range = (Table, Vec<u8>, Vec<u8>, bool);

/// Rows to ask for.
#[derive(Default)]
pub(super) struct Wanted {
    pub ids: BTreeSet<EventId>,
    /// Positions from (inclusive) to (inclusive).
    pub rows: BTreeSet<(Position, Position)>,
    pub keys: BTreeSet<(Table, Vec<u8>)>,
    /// Scans, and how many rows of each.
    pub ranges: BTreeMap<Range, usize>,
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.rows.is_empty() && self.keys.is_empty() && self.ranges.is_empty()
    }
}

/// The rows of a log in a range of positions, or with ids.
const COLUMNS: &str = "position, id, kind, occurred_at, recorded_at, body";

/// A statement and its parameters.
pub(super) struct TypedStatement {
    pub sql: String,
    parameters: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl TypedStatement {
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new() }
    }

    pub fn with(mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> Self {
        self.parameters.push((Box::new(value), kind));
        self
    }

    /// Sends the statement. Its types are stated, so it takes one round trip and no prepared statement, which a pool in
    /// front of the server could lose.
    pub async fn send(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            self.parameters.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
        client.query_typed(&self.sql, &parameters).await
    }
}

pub(super) fn number(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

pub(super) fn uuid(id: EventId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn damaged(position: Option<Position>) -> RequestFailure {
    RequestFailure::Other(Error::damaged(position, "the row in PostgreSQL has a value that no row can have"))
}

/// A row with [`COLUMNS`].
fn log_row(row: &Row) -> Result<(Position, KnownRow), RequestFailure> {
    let position: i64 = row.try_get(0).map_err(|_| damaged(None))?;
    let position = u64::try_from(position).map(Position::new).map_err(|_| damaged(None))?;
    let read = || -> Result<Option<KnownRow>, tokio_postgres::Error> {
        let Ok(kind) = u8::try_from(row.try_get::<_, i16>(2)?) else { return Ok(None) };
        let body: &[u8] = row.try_get(5)?;
        let body = match archived_leaf(body) {
            Some(leaf) => StoredBody::Archived(leaf),
            None => match std::str::from_utf8(body) {
                Ok(line) => StoredBody::Line(line.to_owned()),
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(KnownRow {
            id: EventId::from(row.try_get::<_, Uuid>(1)?),
            kind,
            occurred_at: Timestamp::from_millis(row.try_get(3)?),
            recorded_at: Timestamp::from_millis(row.try_get(4)?),
            body,
        }))
    };
    let known = read().ok().flatten().ok_or_else(|| damaged(Some(position)))?;
    Ok((position, known))
}

fn pair(row: &Row, first: usize) -> Result<Pair, RequestFailure> {
    let read = || Ok::<_, tokio_postgres::Error>((row.try_get(first)?, row.try_get(first + 1)?));
    read().map_err(|_| damaged(None))
}

/// The last row of the log.
pub(super) fn head(ledger: &str) -> TypedStatement {
    TypedStatement::new(
        "SELECT position, recorded_at FROM usage_ledger.events WHERE ledger_id = $1 ORDER BY position DESC LIMIT 1",
    )
    .with(ledger.to_owned(), Type::TEXT)
}

/// The head, from the answer to [`head`].
pub(super) fn head_of(rows: &[Row]) -> Result<Head> {
    let Some(row) = rows.first() else { return Ok(Head::default()) };
    let read = || Ok::<(i64, i64), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
    let bad = || Error::damaged(None, "the last row of the log has no position");
    let (position, recorded_at) = read().map_err(|_| bad())?;
    let position = u64::try_from(position).map(Position::new).map_err(|_| bad())?;
    Ok(Head { position, recorded_at: Timestamp::from_millis(recorded_at) })
}

/// Rows of the log from a position on.
pub(super) fn rows_from(
    connection: &mut Connection,
    ledger: &str,
    from: i64,
    most: i64,
) -> Result<Vec<(Position, KnownRow)>, RequestFailure> {
    let statement = TypedStatement::new(format!(
        "SELECT {COLUMNS} FROM usage_ledger.events WHERE ledger_id = $1 AND position >= $2 ORDER BY position LIMIT $3"
    ))
    .with(ledger.to_owned(), Type::TEXT)
    .with(from, Type::INT8)
    .with(most, Type::INT8);
    connection.run(|client| statement.send(client))?.iter().map(log_row).collect()
}

/// The positions of ids, as the index of ids has them.
pub(super) fn positions_of(
    connection: &mut Connection,
    ledger: &str,
    ids: &[EventId],
) -> Result<Vec<(EventId, Position)>, RequestFailure> {
    let statement =
        TypedStatement::new("SELECT id, position FROM usage_ledger.events WHERE ledger_id = $1 AND id = ANY ($2)")
            .with(ledger.to_owned(), Type::TEXT)
            .with(ids.iter().copied().map(uuid).collect::<Vec<_>>(), Type::UUID_ARRAY);
    let read = |row: &Row| -> Result<(EventId, Position), RequestFailure> {
        let (id, position): (Uuid, i64) =
            row.try_get(0).and_then(|id| Ok((id, row.try_get(1)?))).map_err(|_| damaged(None))?;
        Ok((EventId::from(id), u64::try_from(position).map(Position::new).map_err(|_| damaged(None))?))
    };
    connection.run(|client| statement.send(client))?.iter().map(read).collect()
}

fn ids_statement(ledger: &str, ids: &BTreeSet<EventId>) -> TypedStatement {
    TypedStatement::new(format!("SELECT {COLUMNS} FROM usage_ledger.events WHERE ledger_id = $1 AND id = ANY ($2)"))
        .with(ledger.to_owned(), Type::TEXT)
        .with(ids.iter().copied().map(uuid).collect::<Vec<_>>(), Type::UUID_ARRAY)
}

fn rows_statement(ledger: &str, rows: &BTreeSet<(Position, Position)>) -> TypedStatement {
    TypedStatement::new(
        "SELECT e.position, e.id, e.kind, e.occurred_at, e.recorded_at, e.body \
         FROM unnest($2, $3) AS w (first, last) JOIN usage_ledger.events e \
         ON e.ledger_id = $1 AND e.position BETWEEN w.first AND w.last",
    )
    .with(ledger.to_owned(), Type::TEXT)
    .with(rows.iter().map(|(first, _)| number(*first)).collect::<Vec<_>>(), Type::INT8_ARRAY)
    .with(rows.iter().map(|(_, last)| number(*last)).collect::<Vec<_>>(), Type::INT8_ARRAY)
}

fn keys_statement(ledger: &str, keys: &[(Table, Vec<u8>)]) -> TypedStatement {
    TypedStatement::new(
        "SELECT w.n, p.key, p.value FROM unnest($2, $3, $4) AS w (n, projection, key) \
         JOIN usage_ledger.projections p ON p.ledger_id = $1 AND p.projection = w.projection AND p.key = w.key",
    )
    .with(ledger.to_owned(), Type::TEXT)
    .with((0..keys.len() as i64).collect::<Vec<_>>(), Type::INT8_ARRAY)
    .with(keys.iter().map(|(table, _)| table.name()).collect::<Vec<_>>(), Type::TEXT_ARRAY)
    .with(keys.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>(), Type::BYTEA_ARRAY)
}

/// The scans of one direction, with or without an end.
fn ranges_statement(ledger: &str, ranges: &[(usize, &Range, usize)], descends: bool, bounded: bool) -> TypedStatement {
    let end = if bounded { "AND p.key < w.high" } else { "" };
    let order = if descends { "DESC" } else { "ASC" };
    TypedStatement::new(format!(
        "SELECT w.n, r.key, r.value FROM unnest($2, $3, $4, $5, $6) AS w (n, projection, low, high, most) \
         CROSS JOIN LATERAL (SELECT p.key, p.value FROM usage_ledger.projections p \
         WHERE p.ledger_id = $1 AND p.projection = w.projection AND p.key >= w.low {end} \
         ORDER BY p.key {order} LIMIT w.most) r ORDER BY w.n, r.key {order}"
    ))
    .with(ledger.to_owned(), Type::TEXT)
    .with(ranges.iter().map(|(n, ..)| *n as i64).collect::<Vec<_>>(), Type::INT8_ARRAY)
    .with(ranges.iter().map(|(_, range, _)| range.0.name()).collect::<Vec<_>>(), Type::TEXT_ARRAY)
    .with(ranges.iter().map(|(_, range, _)| range.1.clone()).collect::<Vec<_>>(), Type::BYTEA_ARRAY)
    .with(ranges.iter().map(|(_, range, _)| range.2.clone()).collect::<Vec<_>>(), Type::BYTEA_ARRAY)
    .with(ranges.iter().map(|(.., most)| *most as i64).collect::<Vec<_>>(), Type::INT8_ARRAY)
}

/// Asks for everything that is wanted, and adds the answers to what is known. One round trip.
pub(super) fn fetch(
    connection: &mut Connection,
    ledger: &str,
    wanted: Wanted,
    known: &mut Known,
) -> Result<(), RequestFailure> {
    let keys: Vec<_> = wanted.keys.into_iter().collect();
    let ranges: Vec<_> = wanted.ranges.into_iter().collect();
    let mut statements = Vec::new();
    let logs = usize::from(!wanted.ids.is_empty()) + usize::from(!wanted.rows.is_empty());
    if !wanted.ids.is_empty() {
        statements.push(ids_statement(ledger, &wanted.ids));
    }
    if !wanted.rows.is_empty() {
        statements.push(rows_statement(ledger, &wanted.rows));
    }
    statements.push(keys_statement(ledger, &keys));
    for (descends, bounded) in [(false, false), (false, true), (true, false), (true, true)] {
        let same = |range: &Range| range.3 == descends && range.2.is_empty() != bounded;
        let these: Vec<_> = (0..)
            .zip(&ranges)
            .filter(|(_, (range, _))| same(range))
            .map(|(n, (range, most))| (n, range, *most))
            .collect();
        if !these.is_empty() {
            statements.push(ranges_statement(ledger, &these, descends, bounded));
        }
    }
    // All are sent before the first answer is read.
    let mut answers = connection
        .run(|client| try_join_all(statements.iter().map(|statement| statement.send(client)).collect::<Vec<_>>()))?
        .into_iter();
    for rows in answers.by_ref().take(logs) {
        for row in &rows {
            let (position, row) = log_row(row)?;
            known.add_row(position, row);
        }
    }
    wanted.ids.into_iter().for_each(|id| known.add_missing(id));
    let mut found: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
    let of_keys = answers.next().ok_or_else(|| RequestFailure::Other(bug!("each statement has an answer")))?;
    for row in &of_keys {
        let n: i64 = row.try_get(0).map_err(|_| damaged(None))?;
        let place = usize::try_from(n).ok().and_then(|n| found.get_mut(n)).ok_or_else(|| damaged(None))?;
        *place = Some(pair(row, 1)?.1);
    }
    for ((table, key), value) in keys.into_iter().zip(found) {
        known.add(table, &key, Some(&successor(&key)), value.map(|value| (key.clone(), value)));
    }
    let mut pages: Vec<Vec<Pair>> = vec![Vec::new(); ranges.len()];
    for row in answers.flatten() {
        let n: i64 = row.try_get(0).map_err(|_| damaged(None))?;
        let place = usize::try_from(n).ok().and_then(|n| pages.get_mut(n)).ok_or_else(|| damaged(None))?;
        place.push(pair(&row, 1)?);
    }
    for (((table, from, to, descends), most), page) in ranges.into_iter().zip(pages) {
        let end = (!to.is_empty()).then_some(to.as_slice());
        let last = page.last().map(|(key, _)| key.clone()).filter(|_| page.len() >= most);
        match last {
            None => known.add(table, &from, end, page),
            Some(last) if descends => known.add(table, &last, end, page),
            Some(last) => known.add(table, &from, Some(&successor(&last)), page),
        }
    }
    Ok(())
}

/// One page of a scan.
pub(super) fn page(
    connection: &mut Connection,
    ledger: &str,
    table: Table,
    (from, to): (&[u8], &[u8]),
    order: Order,
    most: usize,
) -> Result<Vec<Pair>, RequestFailure> {
    let descends = order == Order::Descending;
    let range = (table, from.to_vec(), to.to_vec(), descends);
    let statement = ranges_statement(ledger, &[(0, &range, most)], descends, !to.is_empty());
    connection.run(|client| statement.send(client))?.iter().map(|row| pair(row, 1)).collect()
}
