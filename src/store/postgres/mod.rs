//! Ledgers in PostgreSQL: many ledgers in one database, each with its own log, tree and projections.

mod address;
mod ahead;
mod archive;
mod connection;
mod failure;
mod fetch;
mod known;
mod line_archive;
mod lock;
mod migrate;
#[cfg(feature = "cli")]
mod moving;
#[cfg(feature = "cli")]
mod passfile;
mod place;
#[cfg(feature = "cli")]
mod shards;
mod snapshot;
mod structure;
mod transaction;
mod view;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

pub use self::address::PostgresAddress;
use self::connection::{Connection, ServerConnections};
use self::failure::RequestFailure;
use self::fetch::TypedStatement;
#[cfg(feature = "cli")]
pub(crate) use self::moving::LedgerHeadRow;
#[cfg(feature = "cli")]
use self::place::OtherCluster;
use self::place::PLACE;
pub(crate) use self::place::{LedgerRedirect, MoveState};
#[cfg(feature = "cli")]
pub(crate) use self::shards::{ShardAddress, ShardClusters, ShardMap};
use self::snapshot::SnapshotView;
use self::transaction::PostgresTransaction;
use self::view::{Reading, StoredState};
use super::{EventStore, ReadView, Transaction};
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

/// How long a writer waits for others, in seconds.
const BUSY_SECONDS: u64 = 60;
/// The statements that distribute the tables over the nodes of Citus.
#[cfg(feature = "cli")]
pub(crate) const CITUS: &str = include_str!("citus.sql");
/// How long the tables may be rewritten after shredding.
const REWRITE: Duration = Duration::from_secs(3_600);
/// How long the rewrite may wait for readers and writers.
const ERASE_LIMIT: &str = "SET lock_timeout = '5s'";
/// How long others may read and write before the rewrite is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// A ledger in a PostgreSQL database.
///
/// A writer locks the ledger's row in the table `heads`, so positions have no gaps; ledgers do not wait for each other. If
/// the connection is lost during a commit, the store asks the server whether the commit happened.
///
/// ```no_run
/// use usage_ledger::{Ledger, store::PostgresStore};
/// let ledger = Ledger::with_store(Box::new(PostgresStore::open(&"postgres://localhost/usage?ledger=team".parse()?)?));
/// # let _ = ledger;
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub struct PostgresStore {
    pool: Arc<ServerConnections>,
    busy_seconds: u64,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("address", &self.pool.address).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens a ledger. Creates the tables and the ledger if they do not exist and the user may create them.
    ///
    /// # Errors
    /// [`Error::Store`] if the server cannot be reached, [`Error::NewerSchema`] for tables of a newer build, and
    /// [`Error::ReadOnly`] if the user may not create what is missing.
    ///
    /// ```no_run
    /// use usage_ledger::store::{EventStore, PostgresStore};
    /// let store = PostgresStore::open(&"postgres://localhost/usage?ledger=team".parse()?)?;
    /// assert_eq!(store.read()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn open(address: &PostgresAddress) -> Result<Self> {
        let store = Self::connect(address)?;
        let mut connection = store.lease()?;
        let schema = store.answer(migrate::version(&mut connection), "reading the schema")?;
        migrate::expect_known(schema, address)?;
        migrate::upgrade(schema, &mut connection, address)?;
        if !store.answer(migrate::has_ledger(&mut connection, address), "opening")? {
            migrate::create_ledger(&mut connection, address)?;
        }
        connection.finish();
        Ok(store)
    }

    /// Opens a ledger that exists; `None` if it does not. Creates nothing.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    ///
    /// ```no_run
    /// use usage_ledger::store::PostgresStore;
    /// let missing = PostgresStore::open_existing(&"postgres://localhost/usage?ledger=nothing".parse()?)?;
    /// assert!(missing.is_none());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn open_existing(address: &PostgresAddress) -> Result<Option<Self>> {
        let store = Self::connect(address)?;
        let mut connection = store.lease()?;
        let schema = store.answer(migrate::version(&mut connection), "reading the schema")?;
        migrate::expect_known(schema, address)?;
        if schema == 0 {
            connection.finish();
            return Ok(None);
        }
        migrate::upgrade(schema, &mut connection, address)?;
        let exists = store.answer(migrate::has_ledger(&mut connection, address), "opening")?;
        connection.finish();
        Ok(exists.then_some(store))
    }

    /// Another ledger of the same database, over the same connections. A missing one is created, or `None`.
    #[cfg(feature = "cli")]
    pub(crate) fn ledger(&self, name: &str, create: bool) -> Result<Option<Self>> {
        let store = self.same_tables(name)?;
        let mut connection = store.lease()?;
        let exists = store.answer(migrate::has_ledger(&mut connection, &store.pool.address), "opening")?;
        if !exists && create {
            migrate::create_ledger(&mut connection, &store.pool.address)?;
        }
        connection.finish();
        Ok((exists || create).then_some(store))
    }

    /// Another ledger of the same database, whether or not it exists, over the same connections.
    #[cfg(feature = "cli")]
    pub(crate) fn same_tables(&self, name: &str) -> Result<Self> {
        Ok(Self { pool: Arc::new(self.pool.of_ledger(name)?), busy_seconds: self.busy_seconds })
    }

    /// The same store again.
    #[cfg(feature = "cli")]
    fn same(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), busy_seconds: self.busy_seconds }
    }

    /// Opens the tables of a database, without a ledger: the owner creates missing ones.
    #[cfg(feature = "cli")]
    pub(crate) fn tables(address: &PostgresAddress) -> Result<Self> {
        let store = Self::connect(address)?;
        let mut connection = store.lease()?;
        let schema = store.answer(migrate::version(&mut connection), "reading the schema")?;
        migrate::expect_known(schema, address)?;
        migrate::upgrade(schema, &mut connection, address)?;
        connection.finish();
        Ok(store)
    }

    /// The same store with another limit for the wait for other writers, in seconds.
    #[cfg(feature = "cli")]
    pub(crate) const fn busy_timeout_seconds(mut self, seconds: u64) -> Self {
        self.busy_seconds = seconds;
        self
    }

    fn connect(address: &PostgresAddress) -> Result<Self> {
        Ok(Self { pool: Arc::new(ServerConnections::new(address.clone())?), busy_seconds: BUSY_SECONDS })
    }

    fn lease(&self) -> Result<Connection> {
        self.answer(self.pool.lease(), "connecting")
    }

    fn answer<T>(&self, done: Result<T, RequestFailure>, doing: &str) -> Result<T> {
        done.map_err(|failure| failure.into_error(&self.pool.address, doing))
    }

    /// Begins the transaction of a snapshot, and reads the place of the ledger and the head: a snapshot is taken at the first read.
    fn begin_read(connection: &mut Connection) -> Result<[Vec<tokio_postgres::Row>; 2], RequestFailure> {
        let ledger = connection.address().ledger().to_owned();
        let place = format!("SELECT {PLACE} FROM usage_ledger.heads h WHERE h.ledger_id = $1");
        let place = TypedStatement::new(place).with(ledger.clone(), Type::TEXT);
        let head = fetch::head(&ledger);
        connection.run(|client| async {
            let start = client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
            let (begun, place, head) = futures_util::future::join3(start, place.send(client), head.send(client)).await;
            begun?;
            Ok([place?, head?])
        })
    }

    /// Opens a snapshot, unless the ledger is on another cluster.
    fn snapshot(&self) -> Result<SnapshotView> {
        let mut connection = self.lease()?;
        let mut begun = Self::begin_read(&mut connection);
        if matches!(&begun, Err(failure) if failure.is_lost()) {
            // An idle connection may have ended with a restart of the server.
            connection.discard();
            connection = self.answer(self.pool.lease_new(), "connecting")?;
            begun = Self::begin_read(&mut connection);
        }
        if begun.is_err() {
            connection.roll_back();
        }
        let [place, head] = self.answer(begun, "opening a snapshot")?;
        let snapshot = SnapshotView(StoredState::new(connection, Some(fetch::head_of(&head)?), Reading::Direct));
        let redirect = place.first().map(|row| LedgerRedirect::of(row, 0)).transpose();
        match self.answer(redirect, "opening a snapshot")?.flatten() {
            // What leaves is complete here until it has moved.
            Some(redirect) if redirect.state != MoveState::Leaving && !self.pool.is_mover => {
                Err(redirect.refusal(&self.pool.address))
            }
            _ => Ok(snapshot),
        }
    }
}

impl EventStore for PostgresStore {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        Ok(Box::new(self.snapshot()?))
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        Ok(Box::new(PostgresTransaction::begin(&self.pool, self.busy_seconds)?))
    }

    fn erase(&self) -> Result<()> {
        #[cfg(feature = "archive")]
        self.erase_in_archive()
            .map_err(|error| Error::NotErased { why: format!("its archive still has the lines ({error})") })?;
        let end = Instant::now() + Duration::from_secs(self.busy_seconds);
        let done = loop {
            let mut connection = self.lease()?;
            let done = rewrite(&mut connection);
            connection.discard(); // its limit for locks differs
            match done {
                // Whoever waited behind the rewrite goes first.
                Err(failure) if failure.is_conflict() && Instant::now() < end => std::thread::sleep(PAUSE),
                done => break done,
            }
        };
        match done {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NotErased { why: "only the owner of the tables can rewrite them".to_owned() }),
            Err(failure) if failure.is_conflict() => {
                Err(Error::NotErased { why: "another program is reading or writing the tables".to_owned() })
            }
            Err(failure) => {
                let why = failure.into_error(&self.pool.address, "rewriting the tables").to_string();
                Err(Error::NotErased { why })
            }
        }
    }
}

/// Writes the tables anew without dead rows; false if the user does not own them.
fn rewrite(connection: &mut Connection) -> Result<bool, RequestFailure> {
    let owned = TypedStatement::new(
        "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('usage_ledger.events')",
    );
    let rows = connection.run(|client| owned.send(client))?;
    let owned = rows.first().map_or(Ok(false), |row| row.try_get(0));
    if !owned.map_err(|_| RequestFailure::Other(bug!("the answer about the owner is no truth value")))? {
        return Ok(false);
    }
    // Reads and writes of others wait behind a rewrite that waits for its lock.
    connection.run(|client| client.batch_execute(ERASE_LIMIT))?;
    for table in ["VACUUM (FULL) usage_ledger.events", "VACUUM (FULL) usage_ledger.projections"] {
        connection.run_within(REWRITE, |client| client.batch_execute(table))?;
    }
    Ok(true)
}
