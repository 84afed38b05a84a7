//! The stores that the rules are checked against, and stores that break them.

pub mod broken;

use std::path::PathBuf;

use usage_ledger::store::conformance::Factory;
use usage_ledger::store::{EventStore, MemoryStore, SqliteStore};

#[derive(Default)]
pub struct Memory(MemoryStore);

impl Factory for Memory {
    fn open(&self) -> Box<dyn EventStore> {
        Box::new(self.0.clone())
    }
}

pub struct Sqlite {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Default for Sqlite {
    fn default() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { path: dir.path().join("usage.db"), _dir: dir }
    }
}

impl Factory for Sqlite {
    fn open(&self) -> Box<dyn EventStore> {
        Box::new(SqliteStore::open(&self.path).unwrap())
    }
}
