//! Caches past states that were folded once, so that later queries about them are fast.
//!
//! Each cached state must equal the fold of the events up to its position, which `verify` checks. Without the cache
//! every answer is the same. A checksum detects damaged states, which are then ignored. It does not protect against
//! forgery.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::error::Result;
use crate::model::event::{EventKind, Position};
use crate::store::{EventStore, GO_ON, KeyRange, Order, PrefixView, ReadView, STOP, Table};

/// The default distance from the nearest cached state at which a state is cached, in events.
pub(super) const EVERY: u64 = 50_000;
/// The maximal number of cached states.
const KEPT: usize = 8;
/// Increase this with every change of the fold or of the encoding, so that older states are ignored.
const VERSION: u8 = 3;

fn key(at: Position) -> Vec<u8> {
    let mut key = vec![VERSION];
    key.extend_from_slice(&at.get().to_be_bytes());
    key
}

/// The position of a key; `None` if this build would never read that row.
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

/// The state in a stored value; `None` if it is damaged or belongs to another position.
fn unseal(at: Position, value: &[u8]) -> Option<&[u8]> {
    let (sum, state) = value.split_first_chunk::<8>()?;
    (xxh3_64_with_seed(state, at.get()).to_le_bytes() == *sum).then_some(state)
}

/// The last valid cached state up to a position: its position, and its bytes.
pub(super) fn nearest(view: &dyn ReadView, at: Position) -> Result<(Position, Option<Vec<u8>>)> {
    let end = key(at.next());
    let range = KeyRange::between(Table::Snapshots, &[VERSION], &end).descending();
    let nearest = view
        .first(&range, |key, value| Ok(position(key).and_then(|at| Some((at, Some(unseal(at, value)?.to_vec()))))))?;
    Ok(nearest.unwrap_or((Position::START, None)))
}

/// Loads the nearest cached state into a prefix and returns its position.
pub(super) fn load(past: &mut PrefixView<'_>) -> Result<Position> {
    let at = past.head()?.position;
    match nearest(past.log(), at)? {
        (position, Some(state)) if past.load(&state) => Ok(position),
        _ => Ok(Position::START),
    }
}

/// The positions of cached states that this build would read, valid or not.
pub(super) fn positions(view: &dyn ReadView) -> Result<Vec<Position>> {
    view.collect(&KeyRange::prefix(Table::Snapshots, &[VERSION]), |key, _| Ok(position(key)))
}

/// Rows that no build wrote. Rows of an earlier version are ignored: nothing reads them, and the next save removes
/// them.
pub(super) fn strange(view: &dyn ReadView) -> Result<Vec<String>> {
    view.collect(&KeyRange::whole(Table::Snapshots), |key, value| {
        let at = match key.split_first() {
            Some((version, number)) if (1..=VERSION).contains(version) => {
                number.try_into().ok().map(u64::from_be_bytes)
            }
            _ => None,
        };
        let is_sound = |at| position(key).is_some() || unseal(Position::new(at), value).is_some();
        let message =
            || format!("snapshots: the row {key:02x?} is no snapshot of any build; `replay --write` drops it");
        Ok((!at.is_some_and(is_sound)).then(message))
    })
}

/// The cached state of a position; `None` if it is damaged.
pub(super) fn state(view: &dyn ReadView, at: Position) -> Result<Option<Vec<u8>>> {
    let value = view.get(Table::Snapshots, &key(at))?;
    Ok(value.and_then(|value| unseal(at, &value).map(<[u8]>::to_vec)))
}

/// Saves a state that was folded when the ledger ended at `seen`.
pub(super) fn save(store: &dyn EventStore, at: Position, state: &[u8], seen: Position) -> Result<()> {
    let mut tx = store.write()?;
    let mut shredded = false;
    tx.rows(seen.next(), &mut |_, row| {
        shredded |= row.is_kind(EventKind::EventShredded);
        if shredded { STOP } else { GO_ON }
    })?;
    if shredded {
        // It may contain names that were shredded meanwhile.
        return Ok(());
    }
    tx.put(Table::Snapshots, &key(at), Some(&seal(at, state)))?;
    let (mut kept, mut strange) = (Vec::new(), Vec::new());
    tx.scan(Table::Snapshots, &[], &[], Order::Ascending, &mut |key, _| {
        match position(key) {
            Some(at) => kept.push(at),
            // A row of another version of the fold, which nothing reads.
            None => strange.push(key.to_vec()),
        }
        GO_ON
    })?;
    for key in strange {
        tx.put(Table::Snapshots, &key, None)?;
    }
    if kept.len() > KEPT {
        // Removes the state whose neighbours are closest, so that the rest stays spread out.
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

/// Stores a forged state, for tests that must detect it.
#[cfg(test)]
pub(super) fn forge(store: &dyn EventStore, at: Position, state: &[u8]) {
    let mut tx = store.write().unwrap();
    crate::store::WriteView::put(&mut *tx, Table::Snapshots, &key(at), Some(&seal(at, state))).unwrap();
    tx.commit().unwrap();
}
