//! Changes of counters, collected over a batch so that each row is read and written once.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::Xxh3;

use super::day::{self, Quarters};
use super::key::push_text;
use super::series::Level;
use super::session_starts;
use super::totals::Totals;
use super::usage_instants::{self, Instants};
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, TokenRecord, TokenView};
use crate::model::time::Timestamp;
use crate::store::{Table, WriteView};

type DeltaRows = HashMap<Box<[u8]>, Quarters, BuildHasherDefault<Xxh3>>;

/// Pending changes of the counters.
#[derive(Clone, Default)]
pub(crate) struct Deltas {
    rows: [DeltaRows; Level::ALL.len()],
    uses: BTreeMap<Vec<u8>, Instants>,
    key: Vec<u8>,
}

impl Deltas {
    /// Adds a record at an instant, or removes it.
    pub fn add(&mut self, at: Timestamp, record: &TokenView<'_>, is_removal: bool) -> Result<()> {
        let mut one = Totals::one(&record.tokens, record.cost);
        if is_removal {
            one = one.negated();
        }
        let mut key = std::mem::take(&mut self.key);
        let quarter = at.quarter_of_day();
        let ends = Level::write_key(&mut key, at, record);
        for (rows, level) in self.rows.iter_mut().zip(Level::ALL) {
            let row = level.key_in(&key, ends)?;
            if let Some(quarters) = rows.get_mut(&*row) {
                quarters.entry(quarter).or_default().add(&one)?;
            } else {
                rows.insert(row.into(), Quarters::from([(quarter, one)]));
            }
        }
        key.clear();
        push_text(&mut key, Some(&record.provider));
        push_text(&mut key, record.account.as_deref());
        if let Some(instants) = self.uses.get_mut(&key) {
            instants.entry(at.millis()).or_default().add(&one)?;
        } else {
            self.uses.insert(key.clone(), Instants::from([(at.millis(), one)]));
        }
        self.key = key;
        Ok(())
    }

    /// Adds an account to the list of accounts, whether or not it has counts.
    pub fn name(&mut self, record: &TokenRecord) {
        self.uses.entry(AccountRef::new(&record.provider, record.account.as_deref()).key()).or_default();
    }

    /// Writes the changes to the counters, in key order. It reads every row, even if one of them fails, so that a store can
    /// read them together.
    pub fn flush(&mut self, sink: &mut dyn WriteView) -> Result<()> {
        let mut done = Ok(());
        for (level, rows) in Level::ALL.into_iter().zip(&mut self.rows) {
            let mut sorted: Vec<_> = rows.drain().collect();
            sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            for (key, changes) in sorted {
                done = done.and(merge(sink, level.table(), &key, changes));
            }
        }
        for (account, mut instants) in std::mem::take(&mut self.uses) {
            instants.retain(|_, totals| !totals.is_zero());
            done = done.and(write_uses(sink, &account, &instants));
        }
        done
    }
}

/// Writes the changes of an account's instants.
fn write_uses(sink: &mut dyn WriteView, account: &[u8], instants: &Instants) -> Result<()> {
    if sink.get(Table::Accounts, account)?.is_none() {
        sink.put(Table::Accounts, account, Some(&[]))?;
    }
    let applied = usage_instants::apply(sink, account, instants);
    applied.and(session_starts::follow(sink, account, instants))
}

fn merge(sink: &mut dyn WriteView, table: Table, key: &[u8], changes: Quarters) -> Result<()> {
    let mut quarters = match sink.get(table, key)? {
        Some(bytes) => day::decode(&bytes)
            .ok_or_else(|| Error::damaged(None, format!("a row of {} is unreadable", table.name())))?,
        None => Quarters::new(),
    };
    for (quarter, change) in changes {
        let totals = quarters.entry(quarter).or_default();
        totals.add(&change)?;
        if totals.is_zero() {
            quarters.remove(&quarter);
        }
    }
    let bytes = if quarters.is_empty() { None } else { Some(day::encode(&quarters)?) };
    sink.put(table, key, bytes.as_deref())
}
