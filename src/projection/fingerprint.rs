//! Compares two sets of counters in constant memory.
//!
//! A counter is a sum, so any linear function of the counters can be computed from the events as well as from the rows.
//! This one multiplies each count by a random weight of its row, modulo a prime. Two different states have equal
//! fingerprints with a probability of about 2^-60, and an attacker cannot prepare such states, because the weights are
//! random each time.

use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::key::push_text;
use super::series::Level;
use super::totals::Totals;
use crate::model::error::Result;
use crate::model::event::{EventId, Position, TokenView};
use crate::model::time::Timestamp;
use crate::store::Table;

/// Spreads small numbers over all bits.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

const fn mul(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) % PRIME as u128) as u64
}

fn residue(value: i128) -> u64 {
    value.rem_euclid(i128::from(PRIME)) as u64
}

/// Random weights, which both sides of a comparison share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FingerprintWeights {
    seed: u64,
    classes: [u64; 10],
}

impl FingerprintWeights {
    /// Draws new weights.
    pub fn random() -> Self {
        let draw = || std::hash::RandomState::new().build_hasher().finish();
        let mut classes = [0; 10];
        for slot in &mut classes {
            *slot = draw() % PRIME;
        }
        Self { seed: draw(), classes }
    }

    fn weigh(&self, totals: &Totals) -> u64 {
        let counts = totals.tokens.iter().copied();
        let rest = [i128::from(totals.requests), i128::from(totals.priced), totals.reported];
        self.classes
            .iter()
            .zip(counts.chain(rest))
            .filter(|(_, value)| *value != 0)
            .fold(0, |sum, (weight, value)| (sum + mul(*weight, residue(value))) % PRIME)
    }

    fn place(&self, table: Table, key: &[u8], sub: i64) -> u64 {
        let seed = self.seed ^ ((table as u64) << 56) ^ (sub as u64).wrapping_mul(ODD);
        xxh3_64_with_seed(key, seed) % PRIME
    }
}

/// The sum of ids with their positions, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdSum {
    sum: u64,
    count: u64,
}

impl IdSum {
    /// Adds an id.
    pub fn add(&mut self, weights: FingerprintWeights, id: EventId, position: Position) {
        let place = xxh3_64_with_seed(id.as_bytes(), weights.seed ^ position.get().wrapping_mul(ODD)) % PRIME;
        self.join(Self { sum: place, count: 1 });
    }

    /// Adds another sum with the same weights.
    pub const fn join(&mut self, other: Self) {
        self.sum = (self.sum + other.sum) % PRIME;
        self.count += other.count;
    }
}

/// One side of a comparison: a sum per table.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprint {
    weights: FingerprintWeights,
    sums: [u64; Table::ALL.len()],
    key: Vec<u8>,
}

impl Fingerprint {
    pub fn new(weights: FingerprintWeights) -> Self {
        Self { weights, sums: [0; Table::ALL.len()], key: Vec::new() }
    }

    fn add_to(&mut self, table: Table, amount: u64) {
        if let Some(slot) = self.sums.get_mut(table as usize) {
            *slot = (*slot + amount) % PRIME;
        }
    }

    /// Adds a stored counter.
    pub fn cell(&mut self, table: Table, key: &[u8], sub: i64, totals: &Totals) {
        let amount = mul(self.weights.place(table, key, sub), self.weights.weigh(totals));
        self.add_to(table, amount);
    }

    /// Adds a row that only exists or not.
    pub fn row(&mut self, table: Table, key: &[u8]) {
        let amount = self.weights.place(table, key, 0);
        self.add_to(table, amount);
    }

    /// Adds the contributions of a record to every counter, or subtracts them.
    pub fn record(&mut self, at: Timestamp, record: &TokenView<'_>, is_removal: bool) -> Result<()> {
        let mut one = Totals::one(&record.tokens, record.cost);
        if is_removal {
            one = one.negated();
        }
        let amount = self.weights.weigh(&one);
        let mut key = std::mem::take(&mut self.key);
        let ends = Level::write_key(&mut key, at, record);
        let quarter = i64::from(at.quarter_of_day());
        for level in Level::ALL {
            let place = self.weights.place(level.table(), &level.key_in(&key, ends)?, quarter);
            self.add_to(level.table(), mul(place, amount));
        }
        key.clear();
        push_text(&mut key, Some(&record.provider));
        push_text(&mut key, record.account.as_deref());
        let place = self.weights.place(Table::UsageInstants, &key, at.millis());
        self.add_to(Table::UsageInstants, mul(place, amount));
        self.key = key;
        Ok(())
    }

    /// Adds a fingerprint that another thread computed with the same weights.
    pub fn join(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum = (*sum + more) % PRIME;
        }
    }

    /// The sum of one table.
    pub fn of(&self, table: Table) -> u64 {
        self.sums.get(table as usize).copied().unwrap_or(0)
    }
}
