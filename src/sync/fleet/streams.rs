//! The stores of pushed ledgers: one file per ledger, or one ledger of a database or of several clusters each.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::ledger::Ledger;
use crate::model::error::{Error, Result};
use crate::store::Options;
#[cfg(feature = "postgres")]
use crate::store::{PostgresAddress, PostgresStore, ShardClusters};

/// Ledgers that stay open between requests.
const OPEN: usize = 16;
/// How long a request waits for another one that writes to the same ledger, in seconds.
const BUSY_SECONDS: u64 = 10;

/// Where a server keeps pushed ledgers.
#[derive(Clone, Debug)]
pub(crate) enum StreamPlace {
    /// A directory with a file per ledger.
    Files(PathBuf),
    /// A database. The name of each ledger in it is its id.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresAddress>),
    /// Several clusters. Each ledger is on one of them.
    #[cfg(feature = "postgres")]
    Shards(std::sync::Arc<ShardClusters>),
}

/// The open ledgers of a server.
pub(super) struct LedgerStreams {
    place: StreamPlace,
    /// The latest ones, last used last.
    open: Mutex<Vec<(String, Ledger)>>,
    /// The database, once it was opened. All ledgers use its connections.
    #[cfg(feature = "postgres")]
    tables: Mutex<Option<PostgresStore>>,
}

impl LedgerStreams {
    pub fn new(place: StreamPlace) -> Self {
        Self {
            place,
            open: Mutex::new(Vec::new()),
            #[cfg(feature = "postgres")]
            tables: Mutex::new(None),
        }
    }

    /// Opens a ledger, and creates a missing one.
    pub fn open(&self, id: &str) -> Result<Ledger> {
        match self.open_with(id, true)? {
            Some(ledger) => Ok(ledger),
            None => Err(Error::NotFound { what: format!("of the ledger {id}") }),
        }
    }

    /// Opens a ledger that exists.
    pub fn open_existing(&self, id: &str) -> Result<Option<Ledger>> {
        self.open_with(id, false)
    }

    fn open_with(&self, id: &str, create: bool) -> Result<Option<Ledger>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = open.iter().position(|(known, _)| known == id) {
            let known = open.remove(index);
            let ledger = known.1.clone();
            open.push(known);
            return Ok(Some(ledger));
        }
        let ledger = match &self.place {
            StreamPlace::Files(directory) => {
                let path = directory.join(format!("{id}.db"));
                if !create && !path.exists() {
                    return Ok(None);
                }
                crate::store::directory::make_private(directory)
                    .map_err(|source| Error::Io { path: directory.clone(), source })?;
                Ledger::open_with(&path, Options::new().create(true).busy_timeout_seconds(BUSY_SECONDS))?
            }
            #[cfg(feature = "postgres")]
            StreamPlace::Postgres(address) => {
                let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
                let tables = match tables.as_ref() {
                    Some(tables) => tables,
                    None => tables.insert(PostgresStore::tables(address)?.busy_timeout_seconds(BUSY_SECONDS)),
                };
                let Some(store) = tables.ledger(id, create)? else { return Ok(None) };
                Ledger::upgraded(Box::new(store), &mut |_, _| {})?
            }
            #[cfg(feature = "postgres")]
            StreamPlace::Shards(clusters) => {
                let Some(store) = clusters.open(id, create)? else { return Ok(None) };
                Ledger::upgraded(Box::new(store.busy_timeout_seconds(BUSY_SECONDS)), &mut |_, _| {})?
            }
        };
        let ledger = ledger.source("push");
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push((id.to_owned(), ledger.clone()));
        Ok(Some(ledger))
    }

    /// Whether the bodies of shredded events can be erased from the files of one ledger. The tables of a database hold all
    /// ledgers, and rewriting them stops every machine.
    pub fn erases_alone(&self) -> bool {
        matches!(self.place, StreamPlace::Files(_))
    }
}
