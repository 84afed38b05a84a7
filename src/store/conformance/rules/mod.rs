//! The rules of [`EventStore`](crate::store::EventStore), one function each.
//!
//! A rule tests one promise and relies on the others as little as possible: a store that breaks one promise should fail
//! that rule and few others.

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
