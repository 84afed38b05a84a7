//! What the records of stretches of the log come to, so that one pass tells of every beginning that is asked about.

use std::collections::BTreeSet;

use crate::model::event::Position;
use crate::projection::{AccountRef, Fingerprint, FingerprintWeights};

/// The records of one stretch.
#[derive(Clone)]
pub(super) struct LogPart {
    /// Their sum, corrections not applied.
    pub sums: Fingerprint,
    /// Provider accounts that have some.
    pub accounts: BTreeSet<AccountRef<'static>>,
}

impl LogPart {
    /// An empty one in front of each border, and one behind the last.
    pub fn for_each(borders: &[Position], weights: FingerprintWeights) -> Vec<Self> {
        vec![Self { sums: Fingerprint::new(weights), accounts: BTreeSet::new() }; borders.len() + 1]
    }

    /// Adds what another thread saw of the same stretch, or what another stretch holds.
    pub fn add(&mut self, other: &Self) {
        self.sums.join(&other.sums);
        self.accounts.extend(other.accounts.iter().cloned());
    }

    /// All of some stretches.
    pub fn join(parts: &[Self], weights: FingerprintWeights) -> Self {
        let mut sum = Self { sums: Fingerprint::new(weights), accounts: BTreeSet::new() };
        for part in parts {
            sum.add(part);
        }
        sum
    }
}

/// A beginning of the log, or all of it.
pub(super) struct Prefix<'a> {
    pub records: LogPart,
    /// Its events that are no records, and the records that are facts besides.
    pub others: &'a [(Position, String)],
}
