//! Rebuilds everything that the log alone determines: projections and interior hashes.

use serde::Serialize;

use super::as_of;
use super::verify::{AuditScope, StoredPart, verify};
use super::{Finding, Ledger};
use crate::merkle::{Hash, stored_leaf};
use crate::model::error::Result;
use crate::model::event::Position;
use crate::projection::{GROUP, append_leaves, group_root, node_in};
use crate::store::clear;
use crate::store::{GO_ON, ReadView, STOP, Table, WriteView};

/// Leaves that are appended to the tree at once.
const LEAVES: usize = 16_384;

/// The result of a repair.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let repair = ledger.repair()?;
/// assert!(repair.ok && repair.repaired.is_empty()); // nothing was wrong, so nothing was written
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Repair {
    /// Whether `verify` has no findings now.
    pub ok: bool,
    /// Events in the ledger.
    pub size: u64,
    /// The root of the tree over them, computed from their lines.
    pub root: String,
    /// The repaired findings.
    pub repaired: Vec<Finding>,
    /// Findings that the log cannot repair. If there are any, nothing was changed.
    pub refused: Vec<Finding>,
}

impl Ledger {
    /// Rebuilds projections and interior hashes from the lines, and the triggers of the store, in one
    /// transaction, if they are wrong and everything else is correct.
    ///
    /// A line, its columns, its id, its position and its leaf hash exist once. A ledger with damage to one of them is
    /// not changed: restore a backup. The same applies if the tree shows that a line and its leaf hash were changed
    /// together. A tree of up to 256 events is too small to show that: compare it with a checkpoint from elsewhere.
    ///
    /// # Errors
    /// [`Error::UnknownEvent`](crate::Error::UnknownEvent) or [`Error::Damaged`](crate::Error::Damaged) at an event
    /// that cannot be folded, and the store's own errors. Nothing changes then.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// use usage_ledger::store::{EventStore, MemoryStore, Table};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let store = MemoryStore::new();
    /// let ledger = Ledger::with_store(Box::new(store.clone()));
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let mut behind_its_back = store.write()?;
    /// behind_its_back.put(Table::Accounts, b"nobody", Some(b""))?;
    /// behind_its_back.commit()?;
    /// assert!(!ledger.verify()?.ok);
    /// assert_eq!(ledger.repair()?.repaired.len(), 1);
    /// assert!(ledger.verify()?.ok);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn repair(&self) -> Result<Repair> {
        let audit = {
            let view = self.store().read()?;
            verify(&*view, AuditScope::Everything, &[])?
        };
        let done = |repaired: Vec<Finding>, refused: Vec<Finding>| Repair {
            ok: refused.is_empty(),
            size: audit.size,
            root: audit.root.to_string(),
            repaired,
            refused,
        };
        if audit.ok {
            return Ok(done(Vec::new(), Vec::new()));
        }
        let mut tx = self.store().write()?;
        // Others may have written meanwhile, so the findings are determined again under the write lock.
        let audit = verify(&*tx, AuditScope::Everything, &[])?;
        let mut refused: Vec<Finding> =
            audit.findings.iter().filter(|one| one.part == StoredPart::Log).cloned().collect();
        refused.extend(changed_together(&*tx, &audit.findings)?);
        if !refused.is_empty() {
            return Ok(Repair { size: audit.size, root: audit.root.to_string(), ..done(Vec::new(), refused) });
        }
        tx.repair_structure()?;
        clear(&mut *tx, Table::Tree)?;
        grow_tree(&mut *tx)?;
        as_of::fold_anew(&mut *tx)?;
        let after = verify(&*tx, AuditScope::Everything, &[])?;
        let (size, root) = (after.size, after.root.to_string());
        if !after.ok {
            return Ok(Repair { size, root, ..done(Vec::new(), after.findings) });
        }
        tx.commit()?;
        Ok(Repair { size, root, ..done(audit.findings, Vec::new()) })
    }
}

/// Builds the tree from the lines.
fn grow_tree(sink: &mut dyn WriteView) -> Result<()> {
    let mut size = 0;
    loop {
        let mut leaves = Vec::new();
        sink.rows(Position::new(size + 1), &mut |position, row| {
            leaves.push(stored_leaf(position, row.body)?);
            if leaves.len() == LEAVES { STOP } else { GO_ON }
        })?;
        if leaves.is_empty() {
            return Ok(());
        }
        append_leaves(sink, size, &leaves)?;
        size += leaves.len() as u64;
    }
}

/// Positions where the stored tree contradicts both a line and its leaf hash.
///
/// If an interior node differs from its children, either the node is damaged, or the children were changed. In the
/// second case the parent of the node still confirms it.
fn changed_together(view: &dyn ReadView, findings: &[Finding]) -> Result<Vec<Finding>> {
    let mut changed = Vec::new();
    for finding in findings.iter().filter(|finding| finding.part == StoredPart::Tree) {
        let Some(position) = finding.position else { continue };
        let child = position.get().saturating_sub(1) / GROUP;
        let node = node_in(view, 1, child)?;
        let below = group_root(view, 0, child)?;
        let differs = node.is_some() && below.is_some() && node != below;
        if differs && vouched_for(view, child / GROUP)? {
            let (first, last) = (child * GROUP + 1, (child + 1) * GROUP);
            let what = format!(
                "a line at one of the positions {first} to {last} and its leaf hash were changed together: the tree above \
                 still has the hash of what stood there"
            );
            let finding = Finding::new(Position::new(first), what);
            if !changed.contains(&finding) {
                changed.push(finding);
            }
        }
    }
    Ok(changed)
}

/// Whether the parent of a group of level 1 is the hash of that group as stored.
fn vouched_for(view: &dyn ReadView, group: u64) -> Result<bool> {
    let (above, root): (Option<Hash>, Option<Hash>) = (node_in(view, 2, group)?, group_root(view, 1, group)?);
    Ok(above.is_some() && above == root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::TokenRecord;
    use crate::model::time::Timestamp;
    use crate::projection::group_key;
    use crate::store::{EventStore, MemoryStore};

    fn ledger(events: u64) -> (Ledger, MemoryStore) {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        for n in 0..events {
            let record = TokenRecord::new("openai", "gpt-5").input(n).key(format!("k{n}"));
            ledger.record(record, Timestamp::from_millis(1_795_460_400_000)).unwrap();
        }
        (ledger, store)
    }

    fn put(store: &mut MemoryStore, level: u8, group: u64, value: &[u8]) {
        let mut tx = store.write().unwrap();
        tx.put(Table::Tree, &group_key(level, group), Some(value)).unwrap();
        tx.commit().unwrap();
    }

    fn group(store: &mut MemoryStore, level: u8, group: u64) -> Vec<u8> {
        store.read().unwrap().get(Table::Tree, &group_key(level, group)).unwrap().unwrap()
    }

    #[test]
    fn each_interior_hash_can_be_rebuilt() {
        let (ledger, mut store) = ledger(600);
        let root = ledger.root().unwrap();
        for (level, number) in [(1, 0), (1, 1), (1, 2), (2, 0)] {
            let mut hashes = group(&mut store, level, number);
            hashes[5] ^= 1;
            put(&mut store, level, number, &hashes);
            let repair = ledger.repair().unwrap();
            assert!(repair.ok && !repair.repaired.is_empty(), "{level}/{number}: {repair:?}");
            assert_eq!((ledger.root().unwrap(), ledger.verify().unwrap().ok), (root, true));
        }
        // All of them at once.
        for (level, number) in [(1, 0), (1, 1), (1, 2), (2, 0)] {
            let zeros = vec![0; group(&mut store, level, number).len()];
            put(&mut store, level, number, &zeros);
        }
        assert!(ledger.repair().unwrap().ok && ledger.verify().unwrap().ok);
    }

    #[test]
    fn a_leaf_hash_is_not_rebuilt() {
        let (ledger, mut store) = ledger(40);
        let mut hashes = group(&mut store, 0, 1);
        hashes[3 * 32] ^= 1;
        put(&mut store, 0, 1, &hashes);
        let repair = ledger.repair().unwrap();
        assert!(!repair.ok && repair.repaired.is_empty());
        assert_eq!(repair.refused[0].position, Some(Position::new(20)));
        assert_eq!(group(&mut store, 0, 1), hashes, "nothing was changed");
    }

    #[test]
    fn a_line_changed_together_with_its_leaf_hash_is_not_accepted() {
        let (ledger, mut store) = ledger(600);
        let mut line = String::new();
        store
            .read()
            .unwrap()
            .rows(Position::new(20), &mut |_, row| {
                row.body.clone_into(&mut line);
                STOP
            })
            .unwrap();
        let other = line.replace("\"input\":19", "\"input\":18");
        assert_ne!(line, other);
        let mut tx = store.write().unwrap();
        tx.shred(Position::new(20), &other).unwrap();
        tx.commit().unwrap();
        let mut hashes = group(&mut store, 0, 1);
        hashes[3 * 32..4 * 32].copy_from_slice(crate::merkle::leaf_hash(other.as_bytes()).as_bytes());
        put(&mut store, 0, 1, &hashes);
        let repair = ledger.repair().unwrap();
        assert!(!repair.ok && repair.repaired.is_empty(), "{repair:?}");
        assert_eq!(repair.refused[0].position, Some(Position::new(17)));
        assert!(repair.refused[0].what.contains("17 to 32"));
    }

    #[test]
    fn projections_are_rebuilt_and_a_second_repair_writes_nothing() {
        let (ledger, store) = ledger(40);
        let mut tx = store.write().unwrap();
        for table in Table::FOLDED {
            clear(&mut *tx, table).unwrap();
        }
        tx.commit().unwrap();
        assert!(!ledger.verify().unwrap().ok);
        assert!(ledger.repair().unwrap().ok && ledger.verify().unwrap().ok);
        assert!(ledger.repair().unwrap().repaired.is_empty());
    }
}
