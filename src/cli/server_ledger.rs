//! Ledgers on a PostgreSQL server, named by an address instead of a path.

use crate::model::error::Result;
use crate::present::failure::Failure;
use crate::store::EventStore;
#[cfg(feature = "web")]
use crate::sync::fleet::StreamPlace;

#[cfg(all(feature = "postgres", feature = "archive"))]
pub(super) use self::with_postgres::database_of;
#[cfg(all(feature = "postgres", feature = "web"))]
pub(super) use self::with_postgres::stream_place;
#[cfg(feature = "postgres")]
pub(super) use self::with_postgres::{address, is_address, open, open_existing, shards};
#[cfg(all(not(feature = "postgres"), feature = "web"))]
pub(super) use self::without::stream_place;
#[cfg(not(feature = "postgres"))]
pub(super) use self::without::{address, is_address, open, open_existing};

/// A ledger in a database, or on one of several clusters. A build without PostgreSQL has no such address.
pub(super) enum ServerAddress {
    #[cfg(feature = "postgres")]
    Database(Box<crate::store::PostgresAddress>),
    #[cfg(feature = "postgres")]
    Shards(crate::store::ShardAddress),
}

#[cfg(feature = "postgres")]
mod with_postgres {
    use std::fmt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::{EventStore, Failure, Result, ServerAddress};
    use crate::model::error::Error;
    use crate::store::{PostgresAddress, PostgresStore, ShardAddress, ShardClusters};

    impl fmt::Display for ServerAddress {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Database(address) => address.fmt(f),
                Self::Shards(address) => address.fmt(f),
            }
        }
    }

    /// Whether a text is the address of a ledger on a server.
    pub(in super::super) fn is_address(text: &str) -> bool {
        PostgresAddress::is_one(text) || ShardAddress::is_one(text)
    }

    pub(in super::super) fn address(text: &str) -> Result<ServerAddress, Failure> {
        if ShardAddress::is_one(text) {
            return Ok(ServerAddress::Shards(text.parse()?));
        }
        Ok(ServerAddress::Database(Box::new(with_credentials(text.parse()?)?)))
    }

    /// Adds user and password of the environment, and the password of a file of passwords.
    fn with_credentials(address: PostgresAddress) -> Result<PostgresAddress> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let address = address.or_credentials(set("PGUSER"), set("PGPASSWORD"));
        let named = std::env::var_os("PGPASSFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        match named.or_else(|| Some(std::env::home_dir()?.join(".pgpass"))) {
            Some(path) => address.or_password_in(&path),
            None => Ok(address),
        }
    }

    /// The clusters of a map.
    pub(in super::super) fn shards(map: &Path) -> Arc<ShardClusters> {
        Arc::new(ShardClusters::new(map, Box::new(with_credentials)))
    }

    /// Where a server on this database, or on these clusters, keeps pushed ledgers.
    #[cfg(feature = "web")]
    pub(in super::super) fn stream_place(address: ServerAddress) -> super::StreamPlace {
        match address {
            ServerAddress::Database(address) => super::StreamPlace::Postgres(address),
            ServerAddress::Shards(address) => super::StreamPlace::Shards(shards(&address.map)),
        }
    }

    /// Opens a ledger for writing, and creates it if necessary.
    pub(in super::super) fn open(address: &ServerAddress, busy_seconds: Option<u64>) -> Result<Box<dyn EventStore>> {
        match address {
            ServerAddress::Database(address) => {
                let store = PostgresStore::open(address)?;
                Ok(Box::new(match busy_seconds {
                    Some(seconds) => store.busy_timeout_seconds(seconds),
                    None => store,
                }))
            }
            ServerAddress::Shards(address) => {
                let store = shards(&address.map).open(&address.ledger, true)?;
                let store =
                    store.ok_or_else(|| Error::NotFound { what: format!("of the ledger {}", address.ledger) })?;
                Ok(Box::new(match busy_seconds {
                    Some(seconds) => store.busy_timeout_seconds(seconds),
                    None => store,
                }))
            }
        }
    }

    /// The database where a ledger is that exists.
    #[cfg(feature = "archive")]
    pub(in super::super) fn database_of(address: &ServerAddress) -> Result<Option<Arc<PostgresStore>>> {
        match address {
            ServerAddress::Database(address) => Ok(PostgresStore::open_existing(address)?.map(Arc::new)),
            ServerAddress::Shards(address) => {
                let store = shards(&address.map).open(&address.ledger, false)?;
                store.map(|store| store.place()).transpose()
            }
        }
    }

    /// Opens a ledger that exists.
    pub(in super::super) fn open_existing(address: &ServerAddress) -> Result<Option<Box<dyn EventStore>>> {
        fn boxed(store: impl EventStore + 'static) -> Box<dyn EventStore> {
            Box::new(store)
        }
        Ok(match address {
            ServerAddress::Database(address) => PostgresStore::open_existing(address)?.map(boxed),
            ServerAddress::Shards(address) => shards(&address.map).open(&address.ledger, false)?.map(boxed),
        })
    }
}

#[cfg(not(feature = "postgres"))]
mod without {
    use super::{EventStore, Failure, Result, ServerAddress};

    impl std::fmt::Display for ServerAddress {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match *self {}
        }
    }

    #[cfg(feature = "web")]
    pub(in super::super) fn stream_place(address: ServerAddress) -> super::StreamPlace {
        match address {}
    }

    pub(in super::super) fn is_address(text: &str) -> bool {
        ["postgres://", "postgresql://", "shards:"].iter().any(|scheme| text.starts_with(scheme))
    }

    pub(in super::super) fn address(_: &str) -> Result<ServerAddress, Failure> {
        Err(Failure::usage(
            "this build cannot open a PostgreSQL ledger: build it with the feature `postgres`, or give the path of a file with --ledger PATH",
        ))
    }

    pub(in super::super) fn open(address: &ServerAddress, _: Option<u64>) -> Result<Box<dyn EventStore>> {
        match *address {}
    }

    pub(in super::super) fn open_existing(address: &ServerAddress) -> Result<Option<Box<dyn EventStore>>> {
        match *address {}
    }
}
