//! Computes any node of the stored tree, for the roots of earlier sizes and for proofs, by reading one group per node.

use std::collections::BTreeMap;
use std::ops::Range;

use super::tree::{GROUP, children, group_key, perfect_root};
use crate::merkle::{Hash, node_hash};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::store::{ReadView, Table};

/// The nodes of the tree over the log of a view. It reads each group once.
pub(crate) struct Nodes<'v> {
    view: &'v dyn ReadView,
    groups: BTreeMap<(u8, u64), Vec<Hash>>,
}

/// The largest power of two below `size`, where the tree divides (RFC 6962 §2.1).
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

impl<'v> Nodes<'v> {
    pub const fn new(view: &'v dyn ReadView) -> Self {
        Self { view, groups: BTreeMap::new() }
    }

    /// The root of the perfect subtree over `2^height` leaves, the `index`th of its height.
    fn perfect(&mut self, height: u32, index: u64) -> Result<Hash> {
        // Groups store every fourth height; the three heights in between are computed.
        let (level, between) = ((height / 4) as u8, height % 4);
        let first = index << between;
        let key = (level, first / GROUP);
        if !self.groups.contains_key(&key) {
            let bytes = self.view.get(Table::Tree, &group_key(key.0, key.1))?.unwrap_or_default();
            self.groups.insert(key, children(&bytes));
        }
        let offset = (first % GROUP) as usize;
        let nodes = self.groups.get(&key).and_then(|nodes| nodes.get(offset..offset + (1 << between)));
        nodes.and_then(|nodes| perfect_root(nodes.to_vec())).ok_or_else(|| {
            let first = Position::new((index << height) + 1);
            Error::damaged(first, format!("tree group {}/{} has no hash of it", key.0, key.1))
        })
    }

    /// The root over a range of leaves that is a subtree of some tree.
    fn over(&mut self, mut range: Range<u64>) -> Result<Hash> {
        let mut left = Vec::new();
        while !(range.end - range.start).is_power_of_two() {
            let middle = range.start + split(range.end - range.start);
            left.push(self.over(range.start..middle)?);
            range.start = middle;
        }
        let height = (range.end - range.start).trailing_zeros();
        let last = self.perfect(height, range.start >> height)?;
        Ok(left.into_iter().rev().fold(last, |right, left| node_hash(&left, &right)))
    }

    fn all_over(&mut self, ranges: impl IntoIterator<Item = Range<u64>>) -> Result<Vec<Hash>> {
        ranges.into_iter().map(|range| self.over(range)).collect()
    }

    /// The root over the first `size` leaves.
    pub fn root(&mut self, size: u64) -> Result<Hash> {
        if size == 0 { Ok(Hash::EMPTY) } else { self.over(0..size) }
    }

    /// The audit path of a leaf in the tree of `size` leaves, from the leaf up (RFC 6962 §2.1.1).
    pub fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>> {
        let mut beside = Vec::new();
        let mut range = 0..size;
        while range.end - range.start > 1 {
            let middle = range.start + split(range.end - range.start);
            if index < middle {
                beside.push(middle..range.end);
                range.end = middle;
            } else {
                beside.push(range.start..middle);
                range.start = middle;
            }
        }
        self.all_over(beside.into_iter().rev())
    }

    /// The proof that the tree of `new` leaves continues that of `old` ones, 0 < `old` ≤ `new` (RFC 6962 §2.1.2).
    pub fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Hash>> {
        let mut parts = Vec::new();
        let mut range = 0..new;
        while range.end != old {
            let middle = range.start + split(range.end - range.start);
            if old <= middle {
                parts.push(middle..range.end);
                range.end = middle;
            } else {
                parts.push(range.start..middle);
                range.start = middle;
            }
        }
        // The verifier already has the old root itself.
        if range.start > 0 {
            parts.push(range);
        }
        self.all_over(parts.into_iter().rev())
    }
}

/// The root over the first `size` leaves, where `size` is at most the length of the log.
pub(crate) fn root_at(view: &dyn ReadView, size: u64) -> Result<Hash> {
    Nodes::new(view).root(size)
}
