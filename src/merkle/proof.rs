//! Proofs about the tree, and their verification (RFC 6962 §2.1, RFC 9162 §2.1.3 and §2.1.4).

use super::Hash;
use super::hash::node_hash;
use crate::model::error::{Error, Result};
use crate::model::event::Position;

/// A proof that a line is at a position among the first `size` ones.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, merkle::Hash};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// for input in 1..=7 {
///     ledger.record(TokenRecord::new("openai", "gpt-5").input(input), now)?;
/// }
/// let proof = ledger.snapshot()?.prove_inclusion(3.into(), None)?;
/// let leaf = Hash::of_line(ledger.event(3)?.to_line()?);
/// assert!(proof.verify(&leaf, &ledger.root()?).is_ok()); // this needs no ledger
/// assert!(proof.verify(&Hash::of_line("another line"), &ledger.root()?).is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The position of the line.
    pub position: Position,
    /// The number of lines that the root covers.
    pub size: u64,
    /// The sibling hashes on the path from the line to the root.
    pub hashes: Vec<Hash>,
}

impl InclusionProof {
    /// Verifies the proof for the hash of a line and a root over [`size`](Self::size) lines.
    ///
    /// # Errors
    /// [`Error::Unproven`] if the proof is invalid.
    ///
    /// ```
    /// use usage_ledger::merkle::{Hash, InclusionProof};
    /// let leaf = Hash::of_line("the only line");
    /// let proof = InclusionProof { position: 1.into(), size: 1, hashes: Vec::new() };
    /// assert!(proof.verify(&leaf, &leaf).is_ok());
    /// assert!(proof.verify(&leaf, &Hash::EMPTY).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, leaf: &Hash, root: &Hash) -> Result<()> {
        let Self { position, size, .. } = self;
        if self.root_from(leaf).as_ref() == Some(root) {
            return Ok(());
        }
        Err(Error::unproven(format!("the line is not the one at position {position} of {size} under this root")))
    }

    /// The root that follows from a leaf and the hashes; `None` if there are too many or too few.
    fn root_from(&self, leaf: &Hash) -> Option<Hash> {
        let mut index = self.position.get().checked_sub(1).filter(|index| *index < self.size)?;
        let mut last = self.size - 1;
        let mut root = *leaf;
        for beside in &self.hashes {
            if last == 0 {
                return None;
            }
            if index % 2 == 1 || index == last {
                root = node_hash(beside, &root);
                // At the right edge a node without a sibling is its own parent.
                while index.is_multiple_of(2) && index != 0 {
                    (index, last) = (index / 2, last / 2);
                }
            } else {
                root = node_hash(&root, beside);
            }
            (index, last) = (index / 2, last / 2);
        }
        (last == 0).then_some(root)
    }
}

/// A proof that the first `old` of `new` lines are unchanged.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let noted = ledger.root()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
/// let proof = ledger.snapshot()?.prove_consistency(1, 2)?;
/// assert!(proof.verify(&noted, &ledger.root()?).is_ok()); // nothing was changed, only added
/// assert!(proof.verify(&ledger.root()?, &noted).is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The number of lines that the old root covers.
    pub old: u64,
    /// The number of lines that the new root covers.
    pub new: u64,
    /// The hashes from which both roots follow.
    pub hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// Verifies the proof for a root over [`old`](Self::old) lines and one over [`new`](Self::new) lines.
    ///
    /// # Errors
    /// [`Error::Unproven`] if the proof is invalid.
    ///
    /// ```
    /// use usage_ledger::merkle::{ConsistencyProof, Hash};
    /// let [one, other] = ["one", "other"].map(Hash::of_line);
    /// let same = ConsistencyProof { old: 1, new: 1, hashes: Vec::new() };
    /// assert!(same.verify(&one, &one).is_ok());
    /// assert!(same.verify(&one, &other).is_err()); // two histories
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> Result<()> {
        let Self { old, new, .. } = self;
        let shown = match (*old, *new) {
            (old, new) if old > new => false,
            (0, _) => self.hashes.is_empty() && *old_root == Hash::EMPTY,
            (old, new) if old == new => self.hashes.is_empty() && old_root == new_root,
            _ => self.roots(old_root) == Some((*old_root, *new_root)),
        };
        if shown {
            return Ok(());
        }
        Err(Error::unproven(format!("the ledger of {new} events does not continue the one of {old}")))
    }

    /// Both roots that follow from the hashes, for 0 < `old` < `new`.
    fn roots(&self, old_root: &Hash) -> Option<(Hash, Hash)> {
        let mut hashes = self.hashes.iter();
        // If `old` is a power of two, the old leaves are one node, whose hash is the old root.
        let first = if self.old.is_power_of_two() { old_root } else { hashes.next()? };
        let (mut index, mut last) = (self.old - 1, self.new - 1);
        while index % 2 == 1 {
            (index, last) = (index / 2, last / 2);
        }
        let (mut old, mut new) = (*first, *first);
        for beside in hashes {
            if last == 0 {
                return None;
            }
            if index % 2 == 1 || index == last {
                old = node_hash(beside, &old);
                new = node_hash(beside, &new);
                while index.is_multiple_of(2) && index != 0 {
                    (index, last) = (index / 2, last / 2);
                }
            } else {
                new = node_hash(&new, beside);
            }
            (index, last) = (index / 2, last / 2);
        }
        (last == 0).then_some((old, new))
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
