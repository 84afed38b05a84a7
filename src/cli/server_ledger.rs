//! Ledgers on a PostgreSQL server, named by an address instead of a path.

use crate::model::error::Result;
use crate::present::failure::Failure;
use crate::store::EventStore;
#[cfg(feature = "web")]
use crate::sync::fleet::StreamPlace;

#[cfg(all(feature = "postgres", feature = "web"))]
pub(super) use self::with_postgres::stream_place;
#[cfg(feature = "postgres")]
pub(super) use self::with_postgres::{ServerAddress, address, is_address, open, open_existing};
#[cfg(all(not(feature = "postgres"), feature = "web"))]
pub(super) use self::without::stream_place;
#[cfg(not(feature = "postgres"))]
pub(super) use self::without::{ServerAddress, address, is_address, open, open_existing};

#[cfg(feature = "postgres")]
mod with_postgres {
    use super::{EventStore, Failure, Result};
    use crate::store::{PostgresAddress, PostgresStore};

    pub(in super::super) type ServerAddress = PostgresAddress;

    /// Whether a text is the address of a ledger on a server.
    pub(in super::super) fn is_address(text: &str) -> bool {
        PostgresAddress::is_one(text)
    }

    pub(in super::super) fn address(text: &str) -> Result<PostgresAddress, Failure> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let address: PostgresAddress = text.parse()?;
        Ok(address.or_credentials(set("PGUSER"), set("PGPASSWORD")))
    }

    /// Where a server on this database keeps pushed ledgers.
    #[cfg(feature = "web")]
    pub(in super::super) fn stream_place(address: PostgresAddress) -> super::StreamPlace {
        super::StreamPlace::Postgres(Box::new(address))
    }

    /// Opens a ledger for writing, and creates it if necessary.
    pub(in super::super) fn open(address: &PostgresAddress, busy_seconds: Option<u64>) -> Result<Box<dyn EventStore>> {
        let store = PostgresStore::open(address)?;
        Ok(Box::new(match busy_seconds {
            Some(seconds) => store.busy_timeout_seconds(seconds),
            None => store,
        }))
    }

    /// Opens a ledger that exists.
    pub(in super::super) fn open_existing(address: &PostgresAddress) -> Result<Option<Box<dyn EventStore>>> {
        let store = PostgresStore::open_existing(address)?;
        Ok(store.map(|store| -> Box<dyn EventStore> { Box::new(store) }))
    }
}

#[cfg(not(feature = "postgres"))]
mod without {
    use super::{EventStore, Failure, Result};

    /// This build opens no ledger on a server, so there is no address of one.
    pub(in super::super) enum ServerAddress {}

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
        text.starts_with("postgres://") || text.starts_with("postgresql://")
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
