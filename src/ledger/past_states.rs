//! Snapshots: states of the past that were folded once and are kept, so that the next question about them is quick.
//!
//! They are a cache: each is what the events up to its position come to, `verify` holds it against them, and without
//! any of them every answer is the same. A checksum, which is no protection against anybody, tells a snapshot whose
//! bytes were damaged, so that it is passed over.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::error::Result;
use crate::model::event::{EventKind, Position};
use crate::store::{EventStore, GO_ON, Order, PrefixView, ReadView, STOP, Table};

/// A prefix this much longer than the nearest snapshot earns one of its own, unless the ledger is told otherwise.
pub(super) const EVERY: u64 = 50_000;
/// Snapshots kept.
const KEPT: usize = 8;
/// Changes when the fold or the layout of a snapshot does, so that an old one is not taken for a new one.
const VERSION: u8 = 3;

fn key(at: Position) -> Vec<u8> {
    let mut key = vec![VERSION];
    key.extend_from_slice(&at.get().to_be_bytes());
    key
}

/// The position that a key names; `None` when this build would never read that row.
fn position(key: &[u8]) -> Option<Position> {
    let (version, number) = key.split_first()?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    (*version == VERSION).then(|| Position::new(number))
}

fn seal(at: Position, state: &[u8]) -> Vec<u8> {
    let mut value = xxh3_64_with_seed(state, at.get()).to_le_bytes().to_vec();
    value.extend_from_slice(state);
    value
}

/// The state in a stored value; `None` when it is not as it was stored, or was stored for another position.
fn unseal(at: Position, value: &[u8]) -> Option<&[u8]> {
    let (sum, state) = value.split_first_chunk::<8>()?;
    (xxh3_64_with_seed(state, at.get()).to_le_bytes() == *sum).then_some(state)
}

/// The last sound snapshot up to a position: where it ends, and its state.
pub(super) fn nearest(view: &dyn ReadView, at: Position) -> Result<(Position, Option<Vec<u8>>)> {
    let mut found = (Position::START, None);
    view.scan(Table::Snapshots, &[VERSION], &key(at.next()), Order::Descending, &mut |key, value| match position(key)
        .and_then(|at| Some((at, unseal(at, value)?)))
    {
        Some((at, state)) => {
            found = (at, Some(state.to_vec()));
            STOP
        }
        None => GO_ON,
    })?;
    Ok(found)
}

/// Loads the nearest snapshot into a prefix and says where it ends.
pub(super) fn load(past: &mut PrefixView<'_>) -> Result<Position> {
    let at = past.head()?.position;
    match nearest(past.log(), at)? {
        (position, Some(state)) if past.load(&state) => Ok(position),
        _ => Ok(Position::START),
    }
}

/// Where there are snapshots that this build would read, sound or not.
pub(super) fn positions(view: &dyn ReadView) -> Result<Vec<Position>> {
    let mut found = Vec::new();
    view.scan(Table::Snapshots, &[VERSION], &[VERSION + 1], Order::Ascending, &mut |key, _| {
        found.extend(position(key));
        GO_ON
    })?;
    Ok(found)
}

/// Rows that no build wrote. A row of an earlier version is left alone: nothing reads it, and the next snapshot drops it.
pub(super) fn strange(view: &dyn ReadView) -> Result<Vec<String>> {
    let mut found = Vec::new();
    view.scan(Table::Snapshots, &[], &[], Order::Ascending, &mut |key, value| {
        let at = match key.split_first() {
            Some((version, number)) if (1..=VERSION).contains(version) => {
                number.try_into().ok().map(u64::from_be_bytes)
            }
            _ => None,
        };
        let is_sound = |at| position(key).is_some() || unseal(Position::new(at), value).is_some();
        if !at.is_some_and(is_sound) {
            found.push(format!("snapshots: the row {key:02x?} is no snapshot of any build; `replay --write` drops it"));
        }
        GO_ON
    })?;
    Ok(found)
}

/// The state of the snapshot of a position; `None` when it is damaged.
pub(super) fn state(view: &dyn ReadView, at: Position) -> Result<Option<Vec<u8>>> {
    let value = view.get(Table::Snapshots, &key(at))?;
    Ok(value.and_then(|value| unseal(at, &value).map(<[u8]>::to_vec)))
}

/// Keeps a state that was folded when the ledger ended at `seen`.
pub(super) fn save(store: &dyn EventStore, at: Position, state: &[u8], seen: Position) -> Result<()> {
    let mut tx = store.write()?;
    let mut shredded = false;
    tx.rows(seen.next(), &mut |_, row| {
        shredded |= row.is_kind(EventKind::EventShredded);
        if shredded { STOP } else { GO_ON }
    })?;
    if shredded {
        // It may hold names that have gone meanwhile.
        return Ok(());
    }
    tx.put(Table::Snapshots, &key(at), Some(&seal(at, state)))?;
    let (mut kept, mut strange) = (Vec::new(), Vec::new());
    tx.scan(Table::Snapshots, &[], &[], Order::Ascending, &mut |key, _| {
        match position(key) {
            Some(at) => kept.push(at),
            // Of another version of the fold: nothing reads it any more.
            None => strange.push(key.to_vec()),
        }
        GO_ON
    })?;
    for key in strange {
        tx.put(Table::Snapshots, &key, None)?;
    }
    if kept.len() > KEPT {
        // Drop the one whose neighbours are nearest to each other: what is left stays spread.
        let densest = kept
            .windows(3)
            .filter_map(|three| match three {
                [before, this, after] => Some((after.get() - before.get(), *this)),
                _ => None,
            })
            .min();
        if let Some((_, at)) = densest {
            tx.put(Table::Snapshots, &key(at), None)?;
        }
    }
    tx.commit()
}

/// Stores a state under a position as if it had been folded, for tests of what finds out.
#[cfg(test)]
pub(super) fn forge(store: &dyn EventStore, at: Position, state: &[u8]) {
    let mut tx = store.write().unwrap();
    crate::store::WriteView::put(&mut *tx, Table::Snapshots, &key(at), Some(&seal(at, state))).unwrap();
    tx.commit().unwrap();
}
