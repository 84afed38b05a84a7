//! What the records of the log produce.

use std::collections::BTreeSet;

use crate::model::event::{AccountRef, Position};
use crate::projection::{Fingerprint, FingerprintWeights, IdSum};

/// The records that one thread saw, or all of them.
pub(super) struct LogSums {
    /// Their sum, corrections not applied.
    pub sums: Fingerprint,
    /// Provider accounts with records.
    pub accounts: BTreeSet<AccountRef<'static>>,
    /// The sum of the ids of all events.
    pub ids: IdSum,
}

impl LogSums {
    pub fn new(weights: FingerprintWeights) -> Self {
        Self { sums: Fingerprint::new(weights), accounts: BTreeSet::new(), ids: IdSum::default() }
    }

    /// Adds what another thread saw.
    pub fn add(&mut self, other: Self) {
        self.sums.join(&other.sums);
        self.accounts.extend(other.accounts);
        self.ids.join(other.ids);
    }
}

/// What the log comes to.
pub(super) struct Whole<'a> {
    pub records: &'a LogSums,
    /// The events that are no records, and the records that are facts besides.
    pub others: &'a [(Position, String)],
}
