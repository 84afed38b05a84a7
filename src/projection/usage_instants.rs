//! Every instant at which a provider account was used, with its counts. Windows are computed from these.
//!
//! Instants are stored in chunks whose borders depend on the instants alone: the hash of an instant decides whether it
//! starts a chunk, which one in sixteen does. Equal sets of instants therefore have equal bytes for every order of
//! arrival, and a burst does not make one row grow without bound.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::key::{push_time, take_time};
use super::totals::Totals;
use super::varint;
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::store::{GO_ON, KeyRange, Order, ReadView, Table, WriteView};

/// Sums by instant, in milliseconds.
pub(crate) type Instants = BTreeMap<i64, Totals>;

/// One instant in this many starts a chunk.
const CHUNK: u64 = 16;

fn starts_chunk(millis: i64) -> bool {
    // A hash in which every bit matters. With a multiplication alone, instants at regular intervals could leave a chunk
    // without an end for hundreds of them.
    xxh3_64(&millis.to_le_bytes()).is_multiple_of(CHUNK)
}

pub(super) fn chunk_key(account: &[u8], start: Timestamp) -> Vec<u8> {
    let mut key = account.to_vec();
    push_time(&mut key, start);
    key
}

pub(super) fn encode(start: i64, instants: &Instants) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(12 * instants.len());
    let mut previous = start;
    for (millis, totals) in instants {
        varint::put(&mut out, (millis - previous) as u64);
        totals.encode(&mut out)?;
        previous = *millis;
    }
    Ok(out)
}

fn unreadable() -> Error {
    Error::damaged(None, "a chunk of the uses projection is unreadable")
}

/// The account and the start of a stored chunk.
fn place(key: &[u8]) -> Result<(&[u8], Timestamp)> {
    let (account, start) = key.split_at_checked(key.len().saturating_sub(8)).ok_or_else(unreadable)?;
    let (start, _) = take_time(start).ok_or_else(unreadable)?;
    Ok((account, start))
}

/// The instants of a stored chunk, in order, decoded on demand.
struct ChunkInstants<'v> {
    previous: i64,
    rest: &'v [u8],
}

impl<'v> ChunkInstants<'v> {
    fn new(key: &[u8], value: &'v [u8]) -> Result<Self> {
        Ok(Self { previous: place(key)?.1.millis(), rest: value })
    }

    fn take(&mut self) -> Option<(i64, Totals)> {
        self.previous = self.previous.checked_add_unsigned(varint::take(&mut self.rest)?)?;
        Some((self.previous, Totals::decode(&mut self.rest)?))
    }
}

impl Iterator for ChunkInstants<'_> {
    type Item = Result<(i64, Totals)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_none() {
            self.rest = &[];
        }
        Some(taken.ok_or_else(unreadable))
    }
}

/// The account, start and instants of a stored chunk.
pub(crate) fn read<'k>(key: &'k [u8], value: &[u8]) -> Result<(&'k [u8], Timestamp, Instants)> {
    let (account, start) = place(key)?;
    Ok((account, start, ChunkInstants::new(key, value)?.collect::<Result<_>>()?))
}

/// Whether a chunk has exactly the key, bytes and borders of its instants.
pub(crate) fn is_canonical(key: &[u8], start: Timestamp, instants: &Instants, value: &[u8]) -> bool {
    let borders = instants.keys().enumerate().all(|(index, millis)| {
        let first = index == 0 && start != Timestamp::MIN;
        starts_chunk(*millis) == first && (!first || *millis == start.millis())
    });
    let counts = !instants.is_empty() && !instants.values().any(Totals::is_zero);
    let mut end = Vec::new();
    push_time(&mut end, start);
    borders && counts && key.ends_with(&end) && encode(start.millis(), instants).is_ok_and(|bytes| bytes == value)
}

/// Adds changes of one account. If a change removes the start of a chunk, the chunk is merged with the previous one.
pub(crate) fn apply(sink: &mut dyn WriteView, account: &[u8], changes: &Instants) -> Result<()> {
    let takes_border = |millis: i64, change: &Totals| starts_chunk(millis) && change.requests < 0;
    let mut changes = changes.iter().map(|(millis, change)| (*millis, *change)).peekable();
    while let Some((first, change)) = changes.peek().copied() {
        let mut run = InstantRun::default();
        let at = Timestamp::from_millis(first);
        if takes_border(first, &change) {
            run.load(&*sink, account, at.plus(-1))?;
        }
        run.load(&*sink, account, at)?;
        let mut end = next_chunk(&*sink, account, at)?;
        loop {
            while let Some((millis, change)) = changes.next_if(|(m, _)| end.is_none_or(|end| *m < end.millis())) {
                let totals = run.instants.entry(millis).or_default();
                totals.add(&change)?;
                if totals.is_zero() {
                    run.instants.remove(&millis);
                }
            }
            match (changes.peek(), end) {
                (Some((millis, change)), Some(border))
                    if *millis == border.millis() && takes_border(*millis, change) =>
                {
                    run.load(&*sink, account, border)?;
                    end = next_chunk(&*sink, account, border)?;
                }
                _ => break,
            }
        }
        rewrite(sink, account, &run.keys, run.instants)?;
    }
    Ok(())
}

/// Adjacent chunks that are being cut again.
#[derive(Default)]
struct InstantRun {
    keys: Vec<Vec<u8>>,
    instants: Instants,
}

impl InstantRun {
    fn load(&mut self, view: &dyn ReadView, account: &[u8], at: Timestamp) -> Result<()> {
        if let Some((start, instants)) = chunk_at(view, account, at)? {
            let key = chunk_key(account, start);
            if !self.keys.contains(&key) {
                self.keys.push(key);
                self.instants.extend(instants);
            }
        }
        Ok(())
    }
}

fn rewrite(sink: &mut dyn WriteView, account: &[u8], old_keys: &[Vec<u8>], merged: Instants) -> Result<()> {
    let mut chunks: Vec<(Timestamp, Instants)> = Vec::new();
    for (millis, totals) in merged {
        if starts_chunk(millis) || chunks.is_empty() {
            let start = if starts_chunk(millis) { Timestamp::from_millis(millis) } else { Timestamp::MIN };
            chunks.push((start, Instants::new()));
        }
        if let Some((_, instants)) = chunks.last_mut() {
            instants.insert(millis, totals);
        }
    }
    let new_keys: Vec<Vec<u8>> = chunks.iter().map(|(start, _)| chunk_key(account, *start)).collect();
    for key in old_keys.iter().filter(|key| !new_keys.contains(key)) {
        sink.put(Table::UsageInstants, key, None)?;
    }
    for ((start, instants), key) in chunks.iter().zip(&new_keys) {
        sink.put(Table::UsageInstants, key, Some(&encode(start.millis(), instants)?))?;
    }
    Ok(())
}

/// The chunk that contains, or would contain, an instant.
fn chunk_at(view: &dyn ReadView, account: &[u8], at: Timestamp) -> Result<Option<(Timestamp, Instants)>> {
    let to = chunk_key(account, at.plus(1));
    view.first(&KeyRange::between(Table::UsageInstants, account, &to).descending(), |key, value| {
        let (_, start, instants) = read(key, value)?;
        Ok(Some((start, instants)))
    })
}

/// The start of the chunk that contains, or would contain, an instant.
fn start_at(view: &dyn ReadView, account: &[u8], at: Timestamp) -> Result<Option<Timestamp>> {
    let to = chunk_key(account, at.plus(1));
    view.first(&KeyRange::between(Table::UsageInstants, account, &to).descending(), |key, _| Ok(Some(place(key)?.1)))
}

/// The key of the chunk that contains an instant, if any.
pub(crate) fn use_row(view: &dyn ReadView, account: &[u8], at: Timestamp) -> Result<Option<Vec<u8>>> {
    Ok(start_at(view, account, at)?.map(|start| chunk_key(account, start)))
}

/// The start of the chunk after that of an instant.
fn next_chunk(view: &dyn ReadView, account: &[u8], at: Timestamp) -> Result<Option<Timestamp>> {
    let from = chunk_key(account, at.plus(1));
    let range = KeyRange::prefix(Table::UsageInstants, account).starting_at(&from);
    view.first(&range, |key, _| Ok(Some(place(key)?.1)))
}

/// The first use at or after an instant.
pub(crate) fn first_from(view: &dyn ReadView, account: &[u8], from: Timestamp) -> Result<Option<Timestamp>> {
    // Called once per window, so it decodes a chunk only up to the first match.
    let first_in = |key: &[u8], value: &[u8]| -> Result<Option<Timestamp>> {
        for one in ChunkInstants::new(key, value)? {
            let (millis, _) = one?;
            if millis >= from.millis() {
                return Ok(Some(Timestamp::from_millis(millis)));
            }
        }
        Ok(None)
    };
    let border = chunk_key(account, from.plus(1));
    let own_chunk = KeyRange::between(Table::UsageInstants, account, &border).descending();
    // The outer option is the chunk that would contain `from`; earlier chunks have no later instants.
    let in_chunk = view.first(&own_chunk, |key, value| first_in(key, value).map(Some))?.flatten();
    if in_chunk.is_some() {
        return Ok(in_chunk);
    }
    view.first(&KeyRange::prefix(Table::UsageInstants, account).starting_at(&border), first_in)
}

/// The last use before an instant.
pub(crate) fn last_before(view: &dyn ReadView, account: &[u8], before: Timestamp) -> Result<Option<Timestamp>> {
    let end = chunk_key(account, before);
    view.first(&KeyRange::between(Table::UsageInstants, account, &end).descending(), |key, value| {
        let (_, _, instants) = read(key, value)?;
        Ok(instants.range(..before.millis()).next_back().map(|(millis, _)| Timestamp::from_millis(*millis)))
    })
}

/// The sum over `[from, to)`, computed from single instants.
pub(crate) fn sum_uses(view: &dyn ReadView, account: &[u8], from: Timestamp, to: Timestamp) -> Result<Totals> {
    let mut total = Totals::default();
    if from >= to {
        return Ok(total);
    }
    let first = start_at(view, account, from)?.unwrap_or(from);
    let (start, end) = (chunk_key(account, first), chunk_key(account, to));
    view.scan(Table::UsageInstants, &start, &end, Order::Ascending, &mut |key, value| {
        for one in ChunkInstants::new(key, value)? {
            let (millis, totals) = one?;
            if (from.millis()..to.millis()).contains(&millis) {
                total.add(&totals)?;
            }
        }
        GO_ON
    })?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{EventStore, MemoryStore};

    fn dump(store: &mut MemoryStore) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        let view = store.read().unwrap();
        view.scan(Table::UsageInstants, &[], &[], Order::Ascending, &mut |k, v| {
            rows.push((k.to_vec(), v.to_vec()));
            GO_ON
        })
        .unwrap();
        rows
    }

    fn write(store: &mut MemoryStore, changes: &Instants) {
        let mut tx = store.write().unwrap();
        apply(&mut *tx, b"a\0\0", changes).unwrap();
        tx.commit().unwrap();
    }

    fn use_at(requests: i64) -> Totals {
        Totals { requests, ..Totals::default() }
    }

    proptest! {
        /// After any additions and removals, the chunks depend only on the remaining instants, and queries agree with a
        /// model.
        #[test]
        fn chunks_depend_only_on_the_usage_instants(
            batches in prop::collection::vec(prop::collection::vec((0_i64..400, any::<bool>()), 0..60), 1..8),
            probe in 0_i64..400,
        ) {
            let mut store = MemoryStore::new();
            let mut model = Instants::new();
            for batch in &batches {
                let mut changes = Instants::new();
                for (at, remove) in batch {
                    if *remove {
                        if let Some(old) = model.remove(at) {
                            changes.entry(*at).or_default().add(&old.negated()).unwrap();
                        }
                    } else {
                        model.entry(*at).or_default().add(&use_at(1)).unwrap();
                        changes.entry(*at).or_default().add(&use_at(1)).unwrap();
                    }
                }
                changes.retain(|_, totals| !totals.is_zero());
                write(&mut store, &changes);
            }
            let mut fresh = MemoryStore::new();
            write(&mut fresh, &model);
            prop_assert_eq!(dump(&mut store), dump(&mut fresh));

            let view = store.read().unwrap();
            let at = Timestamp::from_millis;
            let first = model.range(probe..).next().map(|(m, _)| at(*m));
            prop_assert_eq!(first_from(&*view, b"a\0\0", at(probe)).unwrap(), first);
            let last = model.range(..probe).next_back().map(|(m, _)| at(*m));
            prop_assert_eq!(last_before(&*view, b"a\0\0", at(probe)).unwrap(), last);
            let want: i64 = model.range(probe..probe + 100).map(|(_, t)| t.requests).sum();
            prop_assert_eq!(sum_uses(&*view, b"a\0\0", at(probe), at(probe + 100)).unwrap().requests, want);
        }
    }
}
