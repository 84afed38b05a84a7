//! The promises of [`EventStore`](crate::store::EventStore), one function each.
//!
//! A rule looks at one promise and takes the others as little for granted as it can: a store that breaks one
//! should fail that rule and few besides.

mod log;
mod projections;
mod scans;
mod shred;
mod threads;
mod transactions;

pub(super) use log::*;
pub(super) use projections::*;
pub(super) use scans::*;
pub(super) use shred::*;
pub(super) use threads::*;
pub(super) use transactions::*;
