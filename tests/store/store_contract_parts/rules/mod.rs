//! The promises of [`EventStore`](usage_ledger::store::EventStore), one function each.
//!
//! A rule looks at one promise and takes the others as little for granted as it can: a store that breaks one
//! should fail that rule and few besides.

mod log;
mod projections;
mod scans;
mod shred;
mod threads;
mod transactions;

pub use log::*;
pub use projections::*;
pub use scans::*;
pub use shred::*;
pub use threads::*;
pub use transactions::*;
