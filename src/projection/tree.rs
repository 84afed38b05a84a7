//! The RFC 6962 Merkle tree, stored in groups of sixteen hashes.
//!
//! Group `g` of level 0 contains the hashes of leaves `16 g … 16 g + 15`; the root of a full group is a child in a
//! group of the next level. Nodes in between are computed from the group, so each hash is stored once.

use crate::merkle::{Hash, node_hash};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;
use crate::store::{ReadView, Table, WriteView};

/// Children in a group.
pub(crate) const GROUP: u64 = 16;
/// Levels that 2^64 leaves can need.
const LEVELS: u8 = 16;

/// The key of a group in [`Table::Tree`].
pub(crate) fn group_key(level: u8, group: u64) -> [u8; 9] {
    let mut key = [level; 9];
    for (slot, byte) in key.iter_mut().skip(1).zip(group.to_be_bytes()) {
        *slot = byte;
    }
    key
}

pub(super) fn children(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.iter().map(|chunk| Hash::from_bytes(*chunk)).collect()
}

/// The root of a power of two of nodes.
pub(super) fn perfect_root(mut nodes: Vec<Hash>) -> Option<Hash> {
    while nodes.len() > 1 {
        nodes = nodes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    nodes.pop()
}

/// Splits a partial group into its perfect subtrees, largest first, and adds their roots.
fn add_peaks(peaks: &mut Vec<Hash>, mut nodes: &[Hash]) {
    while !nodes.is_empty() {
        let size = 1 << nodes.len().ilog2();
        let (head, tail) = nodes.split_at(size);
        peaks.extend(perfect_root(head.to_vec()));
        nodes = tail;
    }
}

/// Joins peaks, largest first, into the root (RFC 6962 §2.1: the right side is joined first).
fn join_peaks(peaks: &[Hash]) -> Hash {
    let mut right_to_left = peaks.iter().rev();
    let Some(last) = right_to_left.next() else { return Hash::EMPTY };
    right_to_left.fold(*last, |right, left| node_hash(left, &right))
}

/// The first position below a group.
fn first_of(level: u8, group: u64) -> Position {
    // The one group of the highest level begins at the first leaf.
    Position::new(group.checked_shl(4 * (u32::from(level) + 1)).unwrap_or(0)).next()
}

fn load(view: &dyn ReadView, level: u8, group: u64, len: u64) -> Result<Vec<Hash>> {
    if len == 0 {
        return Ok(Vec::new());
    }
    let bytes = view.get(Table::Tree, &group_key(level, group))?.unwrap_or_default();
    if bytes.len() as u64 != len * Hash::LEN as u64 {
        let first = first_of(level, group);
        return Err(Error::damaged(
            first,
            format!("tree group {level}/{group} holds {} bytes, not {len} hashes", bytes.len()),
        ));
    }
    Ok(children(&bytes))
}

/// Appends leaves after the first `size` ones.
pub(crate) fn append_leaves(sink: &mut dyn WriteView, size: u64, leaves: &[Hash]) -> Result<()> {
    let mut pending: Vec<Hash> = leaves.to_vec();
    let mut count = size;
    // All groups at the edge are read before one of them is used, so that a store can read them together.
    let read = |level| {
        let count = size >> (4 * u32::from(level));
        load(&*sink, level, count / GROUP, count % GROUP)
    };
    let edge: Vec<_> = (0..LEVELS).map(read).collect();
    // A failed read is an error even if no group of its level is used.
    let edge = edge.into_iter().collect::<Result<Vec<_>>>()?;
    for (level, mut nodes) in (0..LEVELS).zip(edge) {
        if pending.is_empty() {
            break;
        }
        let mut next_level = Vec::new();
        let mut group = count / GROUP;
        for hash in pending {
            nodes.push(hash);
            if nodes.len() as u64 == GROUP {
                store(sink, level, group, &nodes)?;
                next_level.extend(perfect_root(std::mem::take(&mut nodes)));
                group += 1;
            }
        }
        if !nodes.is_empty() {
            store(sink, level, group, &nodes)?;
        }
        pending = next_level;
        count /= GROUP;
    }
    Ok(())
}

fn store(sink: &mut dyn WriteView, level: u8, group: u64, nodes: &[Hash]) -> Result<()> {
    let bytes: Vec<u8> = nodes.iter().flat_map(|hash| *hash.as_bytes()).collect();
    sink.put(Table::Tree, &group_key(level, group), Some(&bytes))
}

/// The stored leaf hash of a position.
pub(crate) fn leaf_at(view: &dyn ReadView, position: Position) -> Result<Hash> {
    let index = position.get().checked_sub(1).ok_or_else(|| bug!("the leaf hash of position 0, where no event is"))?;
    let bytes = view.get(Table::Tree, &group_key(0, index / GROUP))?.unwrap_or_default();
    children(&bytes)
        .get((index % GROUP) as usize)
        .copied()
        .ok_or_else(|| Error::damaged(position, "the tree has no hash of this event"))
}

/// A node that is stored as a child in a group; `None` if it is missing.
pub(crate) fn node_in(view: &dyn ReadView, level: u8, child: u64) -> Result<Option<Hash>> {
    let bytes = view.get(Table::Tree, &group_key(level, child / GROUP))?.unwrap_or_default();
    Ok(children(&bytes).get((child % GROUP) as usize).copied())
}

/// Nodes that are stored as children in groups, from a child on.
#[cfg(feature = "archive")]
pub(crate) fn nodes_in(view: &dyn ReadView, level: u8, first: u64, count: u64) -> Result<Vec<Hash>> {
    let mut nodes = Vec::new();
    let mut group = first / GROUP;
    let mut skip = (first % GROUP) as usize;
    while (nodes.len() as u64) < count {
        let stored = children(&view.get(Table::Tree, &group_key(level, group))?.unwrap_or_default());
        let left = count as usize - nodes.len();
        let taken = stored.get(skip..).unwrap_or_default();
        if taken.len() < left && stored.len() as u64 != GROUP {
            let position = first_of(level, group);
            return Err(Error::damaged(position, format!("tree group {level}/{group} holds {} hashes", stored.len())));
        }
        nodes.extend(taken.iter().take(left));
        (group, skip) = (group + 1, 0);
    }
    Ok(nodes)
}

/// The root of a full group, computed from its stored hashes; `None` if it is not full.
pub(crate) fn group_root(view: &dyn ReadView, level: u8, group: u64) -> Result<Option<Hash>> {
    let nodes = children(&view.get(Table::Tree, &group_key(level, group))?.unwrap_or_default());
    Ok(if nodes.len() as u64 == GROUP { perfect_root(nodes) } else { None })
}

/// Whether the tree has no leaves after the first `size` ones.
pub(crate) fn ends_at(view: &dyn ReadView, size: u64) -> Result<bool> {
    let kept =
        |group| Ok(view.get(Table::Tree, &group_key(0, group))?.map_or(0, |bytes| children(&bytes).len()) as u64);
    Ok(kept(size / GROUP)? == size % GROUP && kept(size / GROUP + 1)? == 0)
}

/// The root over the first `size` leaves, where `size` is the length of the log.
pub(crate) fn tree_root(view: &dyn ReadView, size: u64) -> Result<Hash> {
    let mut counts = Vec::new();
    let mut count = size;
    for level in 0_u8.. {
        if count == 0 {
            break;
        }
        counts.push((level, count));
        count /= GROUP;
    }
    let mut peaks = Vec::new();
    for (level, count) in counts.into_iter().rev() {
        let nodes = load(view, level, count / GROUP, count % GROUP)?;
        add_peaks(&mut peaks, &nodes);
    }
    Ok(join_peaks(&peaks))
}

/// Called with the level, number and children of a group that is full.
pub(crate) type FullGroup<'a> = dyn FnMut(u8, u64, &[Hash]) -> Result<()> + 'a;

/// A tree that is built in one pass with memory for a few groups, to check the stored one or a prefix of the log.
#[derive(Default)]
pub(crate) struct StreamingTree {
    levels: Vec<Vec<Hash>>,
    size: u64,
}

impl StreamingTree {
    /// Adds a leaf. Calls `full` with the level, number and children of each completed group.
    pub fn push(&mut self, leaf: Hash, full: &mut FullGroup<'_>) -> Result<()> {
        self.size += 1;
        let mut next_level = Some(leaf);
        let mut level = 0_u8;
        let mut number = self.size;
        while let Some(hash) = next_level.take() {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::with_capacity(16));
            }
            let nodes = self.levels.get_mut(usize::from(level));
            let nodes = nodes.ok_or_else(|| bug!("the tree of {} leaves has no level {level}", self.size))?;
            nodes.push(hash);
            number /= GROUP;
            if nodes.len() as u64 == GROUP {
                full(level, number - 1, nodes)?;
                next_level = perfect_root(std::mem::take(nodes));
                level += 1;
            }
        }
        Ok(())
    }

    /// The groups that are not full yet, as level, number and children.
    pub fn partial(&self) -> impl Iterator<Item = (u8, u64, &[Hash])> {
        (0_u8..).zip(&self.levels).filter(|(_, nodes)| !nodes.is_empty()).map(|(level, nodes)| {
            let group = self.size >> (4 * (u32::from(level) + 1));
            (level, group, nodes.as_slice())
        })
    }

    /// The number of leaves so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over the leaves so far.
    pub fn root(&self) -> Hash {
        let mut peaks = Vec::new();
        for nodes in self.levels.iter().rev() {
            add_peaks(&mut peaks, nodes);
        }
        join_peaks(&peaks)
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use sha2::Sha256;

    use super::*;
    use crate::merkle::leaf_hash;
    use crate::store::{EventStore, MemoryStore};

    /// Known answers of the Certificate Transparency reference tree.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    #[test]
    fn the_reference_roots_of_certificate_transparency() {
        let known = [
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ];
        for (size, root) in known {
            let mut tree = StreamingTree::default();
            for leaf in &LEAVES[..size] {
                tree.push(leaf_hash(leaf), &mut |_, _, _| Ok(())).unwrap();
            }
            assert_eq!(tree.root().to_string(), root, "size {size}");
        }
        assert_eq!(StreamingTree::default().root(), Hash::EMPTY);
    }

    #[test]
    fn stored_streamed_and_foreign_trees_agree_for_every_batching() {
        let store = MemoryStore::new();
        let mut streamed = StreamingTree::default();
        let mut foreign = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut size = 0_u64;
        for batch in [1_u64, 1, 3, 11, 1, 15, 16, 17, 200, 31, 4096 - 296] {
            let leaves: Vec<Vec<u8>> = (size..size + batch).map(|n| n.to_be_bytes().to_vec()).collect();
            let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
            let mut write = store.write().unwrap();
            append_leaves(&mut *write, size, &hashes).unwrap();
            write.commit().unwrap();
            size += batch;
            for (leaf, hash) in leaves.into_iter().zip(hashes) {
                foreign.push(leaf);
                streamed.push(hash, &mut |_, _, _| Ok(())).unwrap();
            }
            let stored = tree_root(&*store.read().unwrap(), size).unwrap();
            assert_eq!(stored, streamed.root(), "size {size}");
            assert_eq!(stored.as_bytes(), foreign.root().as_bytes().as_slice(), "size {size}");
        }
    }
}
