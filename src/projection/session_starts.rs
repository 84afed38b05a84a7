//! The starts of session windows of the default policy without observations: each is the first use after the previous
//! window.
//!
//! Each start depends on the previous one, so without this table a query about now would walk through an account's
//! whole past. The starts depend only on the usage instants, not on their order of arrival. A change of an instant
//! recomputes the starts from there on, until one equals a stored start.

use std::collections::BTreeSet;

use super::key::{push_time, take_time};
use super::usage_instants::{self, Instants};
use crate::model::error::{Error, Result};
use crate::model::event::SessionPolicy;
use crate::model::time::Timestamp;
use crate::store::{GO_ON, KeyRange, Order, ReadView, Table, WriteView, after_prefix};

/// The policy whose starts are stored: the default.
pub(crate) const STORED_POLICY: SessionPolicy = SessionPolicy::DEFAULT;

/// The first instant after the session that started at `opened`, in milliseconds.
pub(super) const fn end(opened: Timestamp) -> i64 {
    opened.millis() + STORED_POLICY.length() + 1
}

pub(super) fn key(account: &[u8], at: Timestamp) -> Vec<u8> {
    let mut key = account.to_vec();
    push_time(&mut key, at);
    key
}

fn instant(account: &[u8], key: &[u8]) -> Result<Timestamp> {
    let time = key.get(account.len()..).and_then(take_time);
    time.map(|(at, _)| at).ok_or_else(|| Error::damaged(None, "a row of the openings of sessions is unreadable"))
}

/// The row of a start.
pub(crate) fn start_row(account: &[u8], at: Timestamp) -> (Table, Vec<u8>) {
    (Table::SessionStarts, key(account, at))
}

/// The last start up to an instant.
pub(crate) fn last_start(view: &dyn ReadView, account: &[u8], until: Timestamp) -> Result<Option<Timestamp>> {
    last_before_key(view, account, &after_prefix(&key(account, until)))
}

/// The last start before a key.
pub(super) fn last_before_key(view: &dyn ReadView, account: &[u8], to: &[u8]) -> Result<Option<Timestamp>> {
    let range = KeyRange::between(Table::SessionStarts, account, to).descending();
    view.first(&range, |key, _| instant(account, key).map(Some))
}

/// The first start at or after an instant.
pub(crate) fn next_start(view: &dyn ReadView, account: &[u8], from: Timestamp) -> Result<Option<Timestamp>> {
    let start = key(account, from);
    let range = KeyRange::prefix(Table::SessionStarts, account).starting_at(&start);
    view.first(&range, |key, _| instant(account, key).map(Some))
}

/// Computes the expected starts from instants in order, account by account.
#[derive(Default)]
pub(super) struct ExpectedStarts {
    account: Vec<u8>,
    last: Option<Timestamp>,
    rows: BTreeSet<Vec<u8>>,
}

impl ExpectedStarts {
    pub fn see(&mut self, account: &[u8], at: Timestamp) {
        if self.account != account {
            (self.account, self.last) = (account.to_vec(), None);
        }
        if self.last.is_none_or(|opened| at.millis() >= end(opened)) {
            self.last = Some(at);
            self.rows.insert(key(account, at));
        }
    }

    /// Calls `bad` for each stored row that is not expected, and for each expected row that is missing.
    pub fn compare(mut self, view: &dyn ReadView, bad: &mut dyn FnMut(Table, &[u8])) -> Result<()> {
        view.scan(Table::SessionStarts, &[], &[], Order::Ascending, &mut |key, value| {
            if !self.rows.remove(key) || !value.is_empty() {
                bad(Table::SessionStarts, key);
            }
            GO_ON
        })?;
        self.rows.iter().for_each(|key| bad(Table::SessionStarts, key));
        Ok(())
    }
}

/// Applies changes of an account's usage instants, which are already written.
pub(super) fn follow(sink: &mut dyn WriteView, account: &[u8], changes: &Instants) -> Result<()> {
    // Up to here the starts are correct, and no change moves one.
    let mut right = i64::MIN;
    for (millis, change) in changes {
        if *millis < right {
            continue;
        }
        let at = Timestamp::from_millis(*millis);
        let mut before = last_start(&*sink, account, at)?;
        if before == Some(at) {
            if change.requests > 0 || usage_instants::first_from(&*sink, account, at)? == before {
                right = end(at);
                continue;
            }
            // The use that started it was removed.
            before = last_before_key(&*sink, account, &key(account, at))?;
        }
        let free = before.map_or(i64::MIN, end);
        right = if *millis < free { free } else { write_starts(sink, account, free)? };
    }
    Ok(())
}

/// Writes the starts from an instant on that no session contains, and returns up to where the starts are correct.
fn write_starts(sink: &mut dyn WriteView, account: &[u8], mut free: i64) -> Result<i64> {
    loop {
        // A session that extends beyond the end of the time range has no successor.
        let opens = if free > Timestamp::MAX.millis() {
            None
        } else {
            usage_instants::first_from(&*sink, account, Timestamp::from_millis(free))?
        };
        // Starts within the previous session, before this one, are obsolete.
        let behind = Timestamp::from_millis(free.saturating_sub(STORED_POLICY.length()));
        let mut old = next_start(&*sink, account, behind)?;
        while let Some(stale) = old.filter(|old| opens.is_none_or(|opens| *old < opens)) {
            sink.put(Table::SessionStarts, &key(account, stale), None)?;
            old = next_start(&*sink, account, stale)?;
        }
        let Some(opens) = opens else { return Ok(i64::MAX) };
        if old == Some(opens) {
            return Ok(end(opens));
        }
        sink.put(Table::SessionStarts, &key(account, opens), Some(&[]))?;
        free = end(opens);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::totals::Totals;
    use super::*;
    use crate::model::time::HOUR;
    use crate::store::{EventStore, MemoryStore};

    const ACCOUNT: &[u8] = b"a\0\0";

    fn stored(store: &mut MemoryStore) -> Vec<i64> {
        let view = store.read().unwrap();
        let starts = view.collect(&KeyRange::whole(Table::SessionStarts), |key, value| {
            assert!(value.is_empty());
            Ok(Some(instant(ACCOUNT, key)?.millis()))
        });
        starts.unwrap()
    }

    /// Computes the starts one by one from the first use.
    fn naive(uses: &Instants) -> Vec<i64> {
        let mut starts: Vec<i64> = Vec::new();
        for at in uses.keys() {
            if starts.last().is_none_or(|opened| at - opened > 5 * HOUR) {
                starts.push(*at);
            }
        }
        starts
    }

    fn write(store: &mut MemoryStore, changes: &Instants) {
        let mut tx = store.write().unwrap();
        usage_instants::apply(&mut *tx, ACCOUNT, changes).unwrap();
        follow(&mut *tx, ACCOUNT, changes).unwrap();
        tx.commit().unwrap();
    }

    proptest! {
        /// After any additions and removals, the starts are those of the remaining instants.
        #[test]
        fn session_starts_depend_only_on_the_usage_instants(
            // Instants close to each other and to the ends of sessions, also one millisecond apart.
            batches in prop::collection::vec(
                prop::collection::vec((0_i64..40, -1_i64..=1, any::<bool>()), 0..25), 1..8),
            at_the_end in any::<bool>(),
            probe in 0_i64..40,
        ) {
            let place = |hours: i64, step: i64| {
                let at = hours * HOUR + step;
                if at_the_end { Timestamp::MAX.millis() - 41 * HOUR + at } else { at }
            };
            let one = Totals { requests: 1, ..Totals::default() };
            let mut store = MemoryStore::new();
            let mut model = Instants::new();
            for batch in &batches {
                let mut changes = Instants::new();
                for (hours, step, remove) in batch {
                    let at = place(*hours, *step);
                    let change = if !*remove {
                        one
                    } else if model.contains_key(&at) {
                        one.negated()
                    } else {
                        continue;
                    };
                    changes.entry(at).or_default().add(&change).unwrap();
                    model.entry(at).or_default().add(&change).unwrap();
                    model.retain(|_, totals| !totals.is_zero());
                }
                changes.retain(|_, totals| !totals.is_zero());
                write(&mut store, &changes);
                prop_assert_eq!(stored(&mut store), naive(&model));
            }
            let view = store.read().unwrap();
            let (starts, probe) = (naive(&model), place(probe, 0));
            let at = Timestamp::from_millis;
            let last = starts.iter().rev().find(|opened| **opened <= probe).copied();
            prop_assert_eq!(last_start(&*view, ACCOUNT, at(probe)).unwrap(), last.map(at));
            let first = starts.iter().find(|opened| **opened >= probe).copied();
            prop_assert_eq!(next_start(&*view, ACCOUNT, at(probe)).unwrap(), first.map(at));
        }
    }
}
