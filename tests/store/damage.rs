//! Whatever is changed in a ledger's file behind the ledger's back, `verify` finds it and names the event.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "damage_parts/mod.rs"]
mod bench;
#[path = "damage_parts/every_table.rs"]
mod every_table;
#[path = "damage_parts/flips.rs"]
mod flips;
#[path = "damage_parts/log.rs"]
mod log;
#[path = "damage_parts/projections.rs"]
mod projections;
#[path = "damage_parts/tree.rs"]
mod tree;

use bench::{Bench, FOLDED, rows, sound};
use usage_ledger::store::SqliteStore;

#[test]
fn an_unchanged_copy_has_no_findings() {
    let bench = Bench::new();
    let verified = bench.verify().unwrap();
    assert!(verified.ok, "{:?}", verified.findings);
    assert_eq!(verified.size, sound().size.unsigned_abs());
    assert_eq!(rows(&SqliteStore::open(&bench.path).unwrap()), sound().rows);
    for table in FOLDED {
        assert!(sound().rows.keys().any(|(s, _)| *s == table), "nothing in {}: this test is no test", table.name());
    }
}
