//! The lock of a ledger: its row in `heads`, for the length of a transaction.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::{join, try_join_all};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::Head;
use super::connection::{Connection, ServerConnections};
use super::failure::RequestFailure;
use super::fetch::{self, TypedStatement};
use super::place::{LedgerRedirect, MoveState, PLACE};
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

/// How long a writer waits for the lock before the server answers, and it tries again.
const LOCK_SECONDS: u64 = 10;
/// The first pause before another attempt.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The state of the locked row in `heads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockedHead {
    pub position: i64,
    pub version: i64,
    pub last_commit: Option<Uuid>,
}

/// Pauses between attempts until a limit of time.
pub(super) struct Attempts {
    end: Instant,
    pause: Duration,
}

impl Attempts {
    pub fn within(seconds: u64) -> Self {
        Self { end: Instant::now() + Duration::from_secs(seconds), pause: PAUSE }
    }

    /// Waits before the next attempt; false if the time is over.
    pub fn pause(&mut self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        thread::sleep(self.pause);
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        true
    }
}

/// The answer to a request for the lock.
enum LockAnswer {
    Locked(LockedHead, Head),
    /// The ledger takes no commits here.
    Elsewhere(LedgerRedirect),
    /// There is no such ledger.
    Missing,
}

/// Begins a transaction and locks the head. One round trip.
fn lock(connection: &mut Connection, seconds: u64) -> Result<LockAnswer, RequestFailure> {
    let ledger = connection.address().ledger().to_owned();
    let start = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{}s'",
        seconds.clamp(1, LOCK_SECONDS)
    );
    let locked = TypedStatement::new(format!(
        "SELECT position, version, last_commit, {PLACE} FROM usage_ledger.heads h WHERE h.ledger_id = $1 FOR UPDATE"
    ))
    .with(ledger.clone(), Type::TEXT);
    // It sees what was committed before the lock was granted, because each statement has its own snapshot.
    let head = fetch::head(&ledger);
    let answers = connection.run(|client| async {
        let (begun, read) =
            join(client.batch_execute(&start), try_join_all([locked.send(client), head.send(client)])).await;
        begun.and(read)
    })?;
    let [locked, head] =
        answers.try_into().map_err(|_| RequestFailure::Other(bug!("two statements have two answers")))?;
    let Some(row) = locked.first() else { return Ok(LockAnswer::Missing) };
    if let Some(redirect) = LedgerRedirect::of(row, 3)?.filter(|_| !connection.is_mover()) {
        return Ok(LockAnswer::Elsewhere(redirect));
    }
    let read = || -> Result<LockedHead, tokio_postgres::Error> {
        Ok(LockedHead { position: row.try_get(0)?, version: row.try_get(1)?, last_commit: row.try_get(2)? })
    };
    let locked =
        read().map_err(|_| RequestFailure::Other(Error::damaged(None, "the row of the head is unreadable")))?;
    let head = fetch::head_of(&head).map_err(RequestFailure::Other)?;
    Ok(LockAnswer::Locked(locked, head))
}

/// Connects and locks the head, and tries again while the server starts or another writer has the lock.
pub(super) fn lock_again(pool: &Arc<ServerConnections>, seconds: u64) -> Result<(Connection, LockedHead, Head)> {
    let mut attempts = Attempts::within(seconds);
    loop {
        let leased = pool.lease();
        let failure = match leased {
            Ok(mut connection) => match lock(&mut connection, seconds) {
                Ok(LockAnswer::Locked(locked, head)) => return Ok((connection, locked, head)),
                Ok(LockAnswer::Elsewhere(redirect)) => {
                    connection.roll_back();
                    // Whoever moves the ledger needs a moment between closing one place and opening the other.
                    if redirect.state == MoveState::Leaving && attempts.pause() {
                        continue;
                    }
                    return Err(redirect.refusal(&pool.address));
                }
                Ok(LockAnswer::Missing) => {
                    connection.roll_back();
                    return Err(pool.address.no_ledger());
                }
                Err(failure) => {
                    if failure.is_lost() {
                        connection.discard();
                    } else {
                        connection.roll_back();
                    }
                    failure
                }
            },
            Err(failure) => failure,
        };
        if !failure.is_conflict() && !failure.is_lost() {
            return Err(failure.into_error(&pool.address, "taking the write lock"));
        }
        if !attempts.pause() {
            return Err(if failure.is_conflict() {
                Error::Busy { seconds }
            } else {
                failure.into_error(&pool.address, "taking the write lock")
            });
        }
    }
}
