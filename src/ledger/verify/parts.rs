//! Sums of the records in sections of the log, so that one pass serves every prefix that is checked.

use std::collections::BTreeSet;

use crate::model::event::{AccountRef, Position};
use crate::projection::{Fingerprint, FingerprintWeights};

/// The records of one section.
#[derive(Clone)]
pub(super) struct LogPart {
    /// Their sum, corrections not applied.
    pub sums: Fingerprint,
    /// Provider accounts with records.
    pub accounts: BTreeSet<AccountRef<'static>>,
}

impl LogPart {
    /// An empty section before each border, and one after the last.
    pub fn for_each(borders: &[Position], weights: FingerprintWeights) -> Vec<Self> {
        vec![Self { sums: Fingerprint::new(weights), accounts: BTreeSet::new() }; borders.len() + 1]
    }

    /// Adds the results of another thread or another section.
    pub fn add(&mut self, other: &Self) {
        self.sums.join(&other.sums);
        self.accounts.extend(other.accounts.iter().cloned());
    }

    /// The union of several sections.
    pub fn join(parts: &[Self], weights: FingerprintWeights) -> Self {
        let mut sum = Self { sums: Fingerprint::new(weights), accounts: BTreeSet::new() };
        for part in parts {
            sum.add(part);
        }
        sum
    }
}

/// A prefix of the log, or all of it.
pub(super) struct Prefix<'a> {
    pub records: LogPart,
    /// Its events other than records, and the records that are indexed.
    pub others: &'a [(Position, String)],
}
