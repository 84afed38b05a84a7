//! A write transaction: changes are collected in memory and sent at the commit, in one round trip.
//!
//! The row of the ledger in `heads` is locked from the beginning, so nothing that was read changes. Its `version`
//! counts commits: if a connection is lost, and nobody committed in between, the same changes can be sent again.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{join, try_join_all};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::overlay::{Overlay, SavedChanges};
use super::super::{Flow, Head, Order, ReadView, Row, StructureFinding, Table, Transaction, WriteView};
use super::connection::{Connection, ServerConnections};
use super::failure::RequestFailure;
use super::fetch::{TypedStatement, number, uuid};
use super::lock::{Attempts, LockedHead, lock_again};
use super::snapshot::forward;
use super::view::{Reading, StoredState};
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::invariant::bug;

/// Passes of one batch. Each pass reads rows that the one before did not know, so only damage takes more.
const PASSES: u32 = 200;
/// Replaces bodies by tombstones, as the owner of the tables.
const UPDATE_BODIES: &str = "UPDATE usage_ledger.events e SET body = t.body FROM unnest($2, $3) AS t (position, body) \
    WHERE e.ledger_id = $1 AND e.position = t.position";
/// The same for others.
const ERASE_BODIES: &str = "SELECT usage_ledger.erase($1, $2, $3)";

/// Moves the head on.
const NEXT_HEAD: &str =
    "UPDATE usage_ledger.heads SET position = $2, version = version + 1, last_commit = $3 WHERE ledger_id = $1";
/// The same for a copy that takes no commits of others.
const MOVE_HEAD: &str = "UPDATE usage_ledger.heads SET position = $2, version = version + 1, last_commit = $3, \
    moved_version = CASE WHEN moved_state IS NULL THEN NULL ELSE version + 1 END WHERE ledger_id = $1";

/// The position of an event on the cluster where the ledger is.
pub(super) type FindElsewhere = Box<dyn Fn(EventId) -> Result<Option<Position>>>;

/// What a transaction reads: shared with the overlay of its changes.
#[derive(Clone)]
struct SharedState(Rc<StoredState>);

forward!(SharedState, 0);

pub(super) struct PostgresTransaction {
    pool: Arc<ServerConnections>,
    state: SharedState,
    changes: Overlay<'static>,
    base: LockedHead,
    /// Bodies that tombstones replace.
    tombstones: BTreeMap<Position, String>,
    /// The state before the current pass.
    before_pass: Option<SavedChanges>,
    passes: u32,
    busy_seconds: u64,
    /// Finds an event after the ledger has moved to another cluster.
    elsewhere: Option<FindElsewhere>,
}

impl PostgresTransaction {
    pub fn begin(pool: &Arc<ServerConnections>, busy_seconds: u64) -> Result<Self> {
        let (mut connection, base, head) = lock_again(pool, busy_seconds)?;
        if base.position != number(head.position) {
            connection.roll_back();
            let what = format!("the log ends at position {}, but the table heads has {}", head.position, base.position);
            return Err(Error::damaged(head.position, what));
        }
        let state = SharedState(Rc::new(StoredState::new(connection, Some(head), Reading::Known)));
        Ok(Self {
            pool: Arc::clone(pool),
            changes: Overlay::new(Box::new(state.clone()))?,
            state,
            base,
            tombstones: BTreeMap::new(),
            before_pass: None,
            passes: 0,
            busy_seconds,
            elsewhere: None,
        })
    }

    /// Asks the cluster to which the ledger moved whether a commit of unknown outcome happened.
    #[cfg(feature = "cli")]
    pub fn set_elsewhere(&mut self, find: FindElsewhere) {
        self.elsewhere = Some(find);
    }

    /// The statements that write the changes.
    fn statements(&self, commit: Uuid, erasure: &'static str) -> Result<Vec<TypedStatement>> {
        let ledger = self.pool.address.ledger();
        let mut statements = Vec::new();
        let rows = self.changes.new_rows();
        if !rows.is_empty() {
            let first = self.base.position + 1;
            statements.push(
                TypedStatement::new(
                    "INSERT INTO usage_ledger.events (ledger_id, position, id, kind, occurred_at, recorded_at, body) \
                     SELECT $1, r.* FROM unnest($2, $3, $4, $5, $6, $7) AS r",
                )
                .with(ledger.to_owned(), Type::TEXT)
                .with((first..).take(rows.len()).collect::<Vec<_>>(), Type::INT8_ARRAY)
                .with(rows.iter().map(|row| uuid(row.id)).collect::<Vec<_>>(), Type::UUID_ARRAY)
                .with(rows.iter().map(|row| i16::from(row.kind)).collect::<Vec<_>>(), Type::INT2_ARRAY)
                .with(rows.iter().map(|row| row.occurred_at.millis()).collect::<Vec<_>>(), Type::INT8_ARRAY)
                .with(rows.iter().map(|row| row.recorded_at.millis()).collect::<Vec<_>>(), Type::INT8_ARRAY)
                .with(rows.iter().map(|row| row.body.clone().into_bytes()).collect::<Vec<_>>(), Type::BYTEA_ARRAY),
            );
        }
        self.add_projections(&mut statements);
        if !self.tombstones.is_empty() {
            statements.push(
                TypedStatement::new(erasure)
                    .with(ledger.to_owned(), Type::TEXT)
                    .with(self.tombstones.keys().copied().map(number).collect::<Vec<_>>(), Type::INT8_ARRAY)
                    .with(
                        self.tombstones.values().map(|body| body.clone().into_bytes()).collect::<Vec<_>>(),
                        Type::BYTEA_ARRAY,
                    ),
            );
        }
        let rows = i64::try_from(rows.len()).map_err(|_| bug!("a transaction has more rows than positions exist"))?;
        statements.push(
            TypedStatement::new(if self.pool.is_mover { MOVE_HEAD } else { NEXT_HEAD })
                .with(ledger.to_owned(), Type::TEXT)
                .with(self.base.position + rows, Type::INT8)
                .with(commit, Type::UUID),
        );
        Ok(statements)
    }

    /// The statement that replaces bodies: an update by the owner of the tables, and for others the function that accepts
    /// tombstones alone.
    fn erasure(&self) -> Result<&'static str> {
        if self.tombstones.is_empty() {
            return Ok(UPDATE_BODIES);
        }
        let asked = TypedStatement::new("SELECT has_table_privilege('usage_ledger.events', 'UPDATE')");
        let mut connection = self.state.0.connection().borrow_mut();
        let may_update = connection.run(|client| asked.send(client)).and_then(|rows| {
            let may_update = rows.first().map_or(Ok(false), |row| row.try_get(0));
            may_update.map_err(|_| RequestFailure::Other(bug!("the answer about a privilege is no truth value")))
        });
        let may_update =
            may_update.map_err(|failure| failure.into_error(&self.pool.address, "reading the privileges"))?;
        Ok(if may_update { UPDATE_BODIES } else { ERASE_BODIES })
    }

    fn add_projections(&self, statements: &mut Vec<TypedStatement>) {
        let ledger = self.pool.address.ledger();
        let mut put = (Vec::new(), Vec::new(), Vec::new());
        let mut removed = (Vec::new(), Vec::new());
        for (table, changes) in self.changes.changes() {
            for (key, value) in changes {
                if let Some(value) = value {
                    put.0.push(table.name());
                    put.1.push(key.clone());
                    put.2.push(value.clone());
                } else {
                    removed.0.push(table.name());
                    removed.1.push(key.clone());
                }
            }
        }
        if !put.0.is_empty() {
            statements.push(
                TypedStatement::new(
                    "INSERT INTO usage_ledger.projections (ledger_id, projection, key, value) \
                     SELECT $1, r.* FROM unnest($2, $3, $4) AS r \
                     ON CONFLICT (ledger_id, projection, key) DO UPDATE SET value = excluded.value",
                )
                .with(ledger.to_owned(), Type::TEXT)
                .with(put.0, Type::TEXT_ARRAY)
                .with(put.1, Type::BYTEA_ARRAY)
                .with(put.2, Type::BYTEA_ARRAY),
            );
        }
        if !removed.0.is_empty() {
            statements.push(
                TypedStatement::new(
                    "DELETE FROM usage_ledger.projections p USING unnest($2, $3) AS r (projection, key) \
                     WHERE p.ledger_id = $1 AND p.projection = r.projection AND p.key = r.key",
                )
                .with(ledger.to_owned(), Type::TEXT)
                .with(removed.0, Type::TEXT_ARRAY)
                .with(removed.1, Type::BYTEA_ARRAY),
            );
        }
    }

    /// Sends the changes and the commit, in one round trip.
    fn send(connection: &mut Connection, statements: &[TypedStatement]) -> Result<(), RequestFailure> {
        connection.run(|client| async {
            let writes = statements.iter().map(|statement| statement.send(client)).collect::<Vec<_>>();
            let (written, committed) = join(try_join_all(writes), client.batch_execute("COMMIT")).await;
            // After a failed statement the server rolls back and answers the commit without an error.
            written.and(committed)
        })
    }

    /// Whether a commit whose outcome is not known took place, from the state of the locked head now.
    fn has_happened(&self, connection: &mut Connection, commit: Uuid, now: LockedHead) -> Result<bool> {
        if now.last_commit == Some(commit) {
            return Ok(true);
        }
        if now == self.base {
            return Ok(false);
        }
        // Others committed since. The position of the first row shows whether this commit was one of them.
        let address = &self.pool.address;
        let Some(first) = self.changes.new_rows().first() else {
            return Err(Error::Store {
                what: format!("committing to {address}"),
                source: "the connection was lost, and other writers committed since: repeat the call".into(),
            });
        };
        if self.position_in(connection, first.id)? == Some(self.base.position + 1) {
            return Ok(true);
        }
        // What this transaction has read is not the newest state any more, so its changes cannot be sent again.
        Err(Error::Busy { seconds: self.busy_seconds })
    }
}

impl PostgresTransaction {
    /// The position of an event in the log of this cluster.
    fn position_in(&self, connection: &mut Connection, id: EventId) -> Result<Option<i64>> {
        let address = &self.pool.address;
        let asked = TypedStatement::new("SELECT position FROM usage_ledger.events WHERE ledger_id = $1 AND id = $2")
            .with(address.ledger().to_owned(), Type::TEXT)
            .with(uuid(id), Type::UUID);
        let rows = connection
            .run(|client| asked.send(client))
            .map_err(|failure| failure.into_error(address, "reading the outcome of a commit"))?;
        let at = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose();
        at.map_err(|_| Error::damaged(None, "a row of the log has no position"))
    }

    /// The outcome of a commit that is not known, after the ledger moved to another cluster. The row of the ledger was locked
    /// since, so the commit is over.
    fn outcome_before_move(&self, commit: Uuid, moved: Error) -> Result<()> {
        let address = &self.pool.address;
        let fail = |failure: RequestFailure| failure.into_error(address, "reading the outcome of a commit");
        let mut connection = self.pool.lease().map_err(fail)?;
        let asked = TypedStatement::new("SELECT last_commit FROM usage_ledger.heads WHERE ledger_id = $1")
            .with(address.ledger().to_owned(), Type::TEXT);
        let rows = connection.run(|client| asked.send(client)).map_err(fail)?;
        let last: Option<Uuid> = rows.first().and_then(|row| row.try_get(0).ok()).flatten();
        if last == Some(commit) {
            connection.finish();
            return Ok(());
        }
        let is_complete = matches!(moved, Error::Moved { is_complete: true, .. });
        let first = self.changes.new_rows().first().map(|row| row.id);
        let here = first.map(|id| self.position_in(&mut connection, id)).transpose()?.flatten();
        connection.finish();
        // The former copy may have been removed.
        let at = match (first, here, &self.elsewhere) {
            (Some(id), None, Some(find)) if is_complete => find(id)?.map(number),
            (None, ..) | (_, None, None) if is_complete => {
                return Err(Error::Store {
                    what: format!("committing to {address}"),
                    source: format!("the connection was lost, and the outcome is not known: {moved}").into(),
                });
            }
            (_, here, _) => here,
        };
        match at {
            Some(at) if at == self.base.position + 1 => Ok(()),
            _ if self.elsewhere.is_some() => Err(Error::Busy { seconds: self.busy_seconds }),
            _ => Err(moved),
        }
    }
}

forward!(PostgresTransaction, changes, except_rows);

impl WriteView for PostgresTransaction {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.changes.put(table, key, value)
    }
}

impl Transaction for PostgresTransaction {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        self.state.0.want_ids(rows.iter().map(|row| row.id))?;
        self.changes.append(rows)
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        if self.changes.replace_body(position, tombstone) {
            return Ok(());
        }
        if position == Position::START || position > self.changes.head()?.position {
            return Err(Error::NotFound { what: format!("at position {position}") });
        }
        self.tombstones.insert(position, tombstone.to_owned());
        Ok(())
    }

    fn reads_together(&self) -> bool {
        true
    }

    fn begin_pass(&mut self) -> Result<()> {
        self.before_pass = Some(self.changes.saved());
        self.state.0.set_reading(Reading::Noting);
        Ok(())
    }

    fn end_pass(&mut self) -> Result<bool> {
        self.state.0.set_reading(Reading::Known);
        let before = self.before_pass.take();
        if !self.state.0.is_incomplete() {
            self.passes = 0;
            self.state.0.set_passes(0);
            return Ok(true);
        }
        self.passes += 1;
        self.state.0.set_passes(self.passes);
        if self.passes > PASSES {
            return Err(Error::damaged(None, "rows of the log are missing in PostgreSQL"));
        }
        if let Some(before) = before {
            self.changes.return_to(before);
        }
        self.state.0.fetch_wanted()?;
        Ok(false)
    }

    fn repair_structure(&mut self) -> Result<()> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        if self.changes.new_rows().is_empty() && self.changes.changes().is_empty() && self.tombstones.is_empty() {
            return Ok(()); // dropping it ends the transaction
        }
        let commit = Uuid::new_v4();
        let statements = self.statements(commit, self.erasure()?)?;
        let address = &self.pool.address;
        let mut attempts = Attempts::within(self.busy_seconds);
        let mut again: Option<Connection> = None;
        loop {
            let done = match &mut again {
                Some(connection) => Self::send(connection, &statements),
                None => Self::send(&mut self.state.0.connection().borrow_mut(), &statements),
            };
            let Err(failure) = done else {
                if again.is_none() {
                    self.state.0.connection().borrow_mut().finish();
                }
                return Ok(());
            };
            let mut own = self.state.0.connection().borrow_mut();
            let connection = again.as_mut().unwrap_or(&mut *own);
            if failure.is_lost() {
                // The server may have carried it out. Its transaction has the lock until that is decided.
                connection.discard();
            } else {
                connection.roll_back();
            }
            drop(own);
            drop(again.take());
            if !failure.is_lost() && !failure.is_conflict() || !attempts.pause() {
                return Err(failure.into_error(address, "committing"));
            }
            let (mut connection, now, _) = match lock_again(&self.pool, self.busy_seconds) {
                Err(moved @ Error::Moved { .. }) => return self.outcome_before_move(commit, moved),
                locked => locked?,
            };
            match self.has_happened(&mut connection, commit, now) {
                Ok(false) => again = Some(connection),
                done => {
                    connection.roll_back();
                    return done.map(|_| ());
                }
            }
        }
    }
}

impl PostgresTransaction {
    fn visit_rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        if self.tombstones.is_empty() {
            return self.changes.rows(from, visit);
        }
        self.changes.rows(from, &mut |at, row| match self.tombstones.get(&at) {
            Some(body) => visit(at, Row { body, ..row }),
            None => visit(at, row),
        })
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        self.state.0.connection().borrow_mut().roll_back();
    }
}
