//! Ledgers on several clusters: each is on one of them, and can move to another one while it is written.
//!
//! The map says where to look first. The rows in `heads` decide: a row that names another cluster is followed, so an old map
//! delays and loses nothing.

mod map;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::map::{ShardAddress, ShardMap};

use super::super::{EventStore, ReadView, Transaction};
use super::address::PostgresAddress;
use super::lock::Attempts;
use super::moving::LedgerHeadRow;
use super::transaction::PostgresTransaction;
use super::{BUSY_SECONDS, MoveState, OtherCluster, PostgresStore};
use crate::model::error::{Error, Result};
use crate::model::event::EventId;

/// Adds user and password of this machine to an address that has none.
type Complete = Box<dyn Fn(PostgresAddress) -> Result<PostgresAddress> + Send + Sync>;

/// The clusters of a map, with their connections.
pub(crate) struct ShardClusters {
    path: PathBuf,
    complete: Complete,
    /// The tables of the clusters that were used, by name.
    tables: Mutex<BTreeMap<String, (String, PostgresStore)>>,
}

impl fmt::Debug for ShardClusters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardClusters").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A ledger that is on one of several clusters.
pub(crate) struct ShardedStore {
    clusters: Arc<ShardClusters>,
    ledger: String,
    /// Where the ledger was when it was used last.
    current: Arc<Mutex<Arc<PostgresStore>>>,
    busy_seconds: u64,
}

impl ShardClusters {
    pub fn new(path: &Path, complete: Complete) -> Self {
        Self { path: path.to_owned(), complete, tables: Mutex::default() }
    }

    /// The path of the map.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The map as it is now.
    pub fn map(&self) -> Result<ShardMap> {
        ShardMap::read(&self.path, &*self.complete)
    }

    /// A ledger on a cluster; `None` if it has no row there.
    pub fn ledger_on(
        &self,
        map: &ShardMap,
        cluster: &str,
        ledger: &str,
        create: bool,
    ) -> Result<Option<PostgresStore>> {
        self.on(map, cluster, |tables| tables.ledger(ledger, create))
    }

    /// A ledger on a cluster, whether or not it has a row there.
    pub fn copy_on(&self, map: &ShardMap, cluster: &str, ledger: &str) -> Result<PostgresStore> {
        self.on(map, cluster, |tables| tables.same_tables(ledger))
    }

    /// The rows of all ledgers of a cluster.
    pub fn rows_on(&self, map: &ShardMap, cluster: &str) -> Result<Vec<(String, LedgerHeadRow)>> {
        self.on(map, cluster, PostgresStore::all_head_rows)
    }

    fn on<T>(&self, map: &ShardMap, cluster: &str, work: impl FnOnce(&PostgresStore) -> Result<T>) -> Result<T> {
        let address = map.clusters().get(cluster).ok_or_else(|| {
            Error::invalid(format!("{} names no cluster `{cluster}`: add it to [clusters]", self.path.display()))
        })?;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables.get(cluster).filter(|(at, _)| *at == address.to_string()).map(|(_, store)| store.same());
        let store = if let Some(store) = known {
            store
        } else {
            let store = PostgresStore::tables(address)?;
            tables.insert(cluster.to_owned(), (address.to_string(), store.same()));
            store
        };
        drop(tables);
        work(&store)
    }

    /// A cluster as rows in `heads` name it.
    pub fn named(&self, map: &ShardMap, cluster: &str, ledger: &str) -> Result<OtherCluster> {
        let address = map.clusters().get(cluster).ok_or_else(|| {
            Error::invalid(format!("{} names no cluster `{cluster}`: add it to [clusters]", self.path.display()))
        })?;
        Ok(OtherCluster { name: cluster.to_owned(), address: address.with_ledger(ledger)?.to_string() })
    }

    /// Opens a ledger; `None` if no cluster has it and it is not to be created.
    ///
    /// A ledger that its cluster does not have may be on another one, because clusters were added to the map since. All of them
    /// must answer before it is created.
    pub fn open(self: &Arc<Self>, ledger: &str, create: bool) -> Result<Option<ShardedStore>> {
        let map = self.map()?;
        let place = map.place(ledger).to_owned();
        let mut found = self.ledger_on(&map, &place, ledger, false)?;
        if found.is_none() {
            for cluster in map.clusters().keys().filter(|cluster| **cluster != place) {
                let Some(store) = self.ledger_on(&map, cluster, ledger, false)? else { continue };
                // A row of a move leads to the ledger; the ledger itself is better.
                let is_here = store
                    .head_row()?
                    .is_some_and(|row| row.redirect.is_none_or(|redirect| redirect.state == MoveState::Leaving));
                if is_here || found.is_none() {
                    found = Some(store);
                }
            }
        }
        if found.is_none() && create {
            found = self.ledger_on(&map, &place, ledger, true)?;
        }
        Ok(found.map(|store| ShardedStore {
            clusters: Arc::clone(self),
            ledger: ledger.to_owned(),
            current: Arc::new(Mutex::new(Arc::new(store))),
            busy_seconds: BUSY_SECONDS,
        }))
    }
}

impl ShardedStore {
    /// The same ledger with another limit for the wait for other writers, in seconds.
    pub const fn busy_timeout_seconds(mut self, seconds: u64) -> Self {
        self.busy_seconds = seconds;
        self
    }

    fn current(&self) -> Arc<PostgresStore> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does something where the ledger is. While it moves, that is not clear for a moment.
    fn follow<T>(&self, work: impl Fn(&PostgresStore) -> Result<T>) -> Result<T> {
        let mut attempts = Attempts::within(self.busy_seconds);
        let mut hops = 0;
        loop {
            let moved = match work(&self.current()) {
                Err(moved @ Error::Moved { is_complete: true, .. }) => moved,
                done => return done,
            };
            let Error::Moved { cluster, .. } = &moved else { return Err(moved) };
            let map = self.clusters.map()?;
            if !map.clusters().contains_key(cluster) {
                return Err(moved);
            }
            hops += 1;
            // Two copies name each other until one of them is opened.
            if hops > map.clusters().len() && !attempts.pause() {
                let Error::Moved { path, cluster, address, .. } = moved else { return Err(moved) };
                return Err(Error::Moved { path, cluster, address, is_complete: false });
            }
            let Some(store) = self.clusters.ledger_on(&map, cluster, &self.ledger, false)? else { return Err(moved) };
            let store = Arc::new(store.busy_timeout_seconds(self.busy_seconds));
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = store;
        }
    }

    /// The database where the ledger is.
    #[cfg(feature = "archive")]
    pub fn place(&self) -> Result<Arc<PostgresStore>> {
        drop(self.follow(PostgresStore::snapshot)?);
        Ok(self.current())
    }

    fn begin(&self) -> Result<PostgresTransaction> {
        let mut tx = self.follow(|store| PostgresTransaction::begin(&store.pool, self.busy_seconds))?;
        let other = self.clone();
        tx.set_elsewhere(Box::new(move |id: EventId| {
            let snapshot = other.follow(PostgresStore::snapshot)?;
            snapshot.position_of(id)
        }));
        Ok(tx)
    }
}

impl Clone for ShardedStore {
    fn clone(&self) -> Self {
        Self {
            clusters: Arc::clone(&self.clusters),
            ledger: self.ledger.clone(),
            current: Arc::clone(&self.current),
            busy_seconds: self.busy_seconds,
        }
    }
}

impl EventStore for ShardedStore {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        Ok(Box::new(self.follow(PostgresStore::snapshot)?))
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        Ok(Box::new(self.begin()?))
    }

    fn erase(&self) -> Result<()> {
        self.current().erase()
    }
}
