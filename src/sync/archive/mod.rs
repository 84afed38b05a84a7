//! Archives: a ledger as static files on an object store, in the layout of `c2sp.org/tlog-tiles`.
//!
//! `save` writes the files of a snapshot, `rebuild` makes a ledger from them alone.

mod bundle;
mod rebuild;
mod save;
mod shredded;

pub(crate) use rebuild::{ArchivedLog, expect_tiles};
pub(crate) use save::{Saved, save};
