//! Trees whose leaves are given as hashes, and proofs of any subset of the leaves.

use super::Hash;
use super::hash::node_hash;

/// The number of leaves in the left half of a tree: the largest power of two below the size (RFC 6962 §2.1).
const fn left_half(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root of the tree over leaf hashes.
pub(crate) fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(left_half(leaves.len() as u64) as usize);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The hashes that lead from the chosen leaves to the root: the roots of the largest subtrees without a chosen leaf,
/// from left to right. `chosen` is sorted and without repetition.
pub(crate) fn prove_subset(leaves: &[Hash], chosen: &[u64]) -> Vec<Hash> {
    let mut hashes = Vec::new();
    prove(leaves, 0, chosen, &mut hashes);
    hashes
}

fn prove(leaves: &[Hash], first: u64, chosen: &[u64], hashes: &mut Vec<Hash>) {
    if chosen.is_empty() {
        hashes.push(root_of(leaves));
    } else if leaves.len() > 1 {
        let half = left_half(leaves.len() as u64);
        let (left, right) = leaves.split_at(half as usize);
        let (below, above) = chosen.split_at(chosen.partition_point(|index| *index < first + half));
        prove(left, first, below, hashes);
        prove(right, first + half, above, hashes);
    }
}

/// The root that follows from the chosen leaves and the hashes of [`prove_subset`]. `None` if an index is not below the
/// size, not in order or repeated, or if there are too few or too many hashes.
pub(crate) fn root_from_subset(size: u64, chosen: &[(u64, Hash)], hashes: &[Hash]) -> Option<Hash> {
    let in_order = chosen.windows(2).all(|pair| matches!(pair, [(one, _), (next, _)] if one < next));
    if size == 0 || !in_order || chosen.last().is_some_and(|(index, _)| *index >= size) {
        return None;
    }
    let mut hashes = hashes.iter();
    let root = follow(0, size, chosen, &mut hashes)?;
    hashes.next().is_none().then_some(root)
}

fn follow(first: u64, size: u64, chosen: &[(u64, Hash)], hashes: &mut std::slice::Iter<'_, Hash>) -> Option<Hash> {
    match chosen {
        [] => hashes.next().copied(),
        [(_, leaf)] if size == 1 => Some(*leaf),
        _ => {
            let half = left_half(size);
            let (below, above) = chosen.split_at(chosen.partition_point(|(index, _)| *index < first + half));
            let left = follow(first, half, below, hashes)?;
            let right = follow(first + half, size - half, above, hashes)?;
            Some(node_hash(&left, &right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::InclusionProof;

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size).map(|number| Hash::of_line(number.to_string())).collect()
    }

    #[test]
    fn every_subset_of_small_trees_is_proved_and_every_change_is_refused() {
        for size in 1..=9_u64 {
            let leaves = leaves(size);
            let root = root_of(&leaves);
            for mask in 1_u64..1 << size {
                let chosen: Vec<u64> = (0..size).filter(|index| mask >> index & 1 == 1).collect();
                let shown: Vec<(u64, Hash)> = chosen.iter().map(|index| (*index, leaves[*index as usize])).collect();
                let hashes = prove_subset(&leaves, &chosen);
                assert_eq!(root_from_subset(size, &shown, &hashes), Some(root), "{size} {chosen:?}");
                for place in 0..shown.len() {
                    let mut other = shown.clone();
                    other[place].1 = Hash::of_line("another");
                    assert_ne!(root_from_subset(size, &other, &hashes), Some(root));
                    let mut moved = shown.clone();
                    moved[place].0 += 1;
                    assert_ne!(root_from_subset(size, &moved, &hashes), Some(root), "{size} {chosen:?} {place}");
                }
                for place in 0..hashes.len() {
                    let mut fewer = hashes.clone();
                    fewer.remove(place);
                    assert_ne!(root_from_subset(size, &shown, &fewer), Some(root));
                }
                let more = [hashes.as_slice(), &[root]].concat();
                assert_eq!(root_from_subset(size, &shown, &more), None);
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_ledgers_tree() {
        for size in 1..=40_u64 {
            let leaves = leaves(size);
            for index in 0..size {
                // RFC 9162 orders the hashes of a path from the leaf up, this proof from left to right.
                let mut path = Vec::new();
                let (mut low, mut high) = (0, size);
                while high - low > 1 {
                    let half = low + left_half(high - low);
                    if index < half {
                        path.push(root_of(&leaves[half as usize..high as usize]));
                        high = half;
                    } else {
                        path.push(root_of(&leaves[low as usize..half as usize]));
                        low = half;
                    }
                }
                path.reverse();
                let proof = InclusionProof { position: (index + 1).into(), size, hashes: path };
                proof.verify(&leaves[index as usize], &root_of(&leaves)).unwrap();
            }
        }
    }

    #[test]
    fn impossible_sizes_and_indices_are_refused() {
        let leaf = Hash::of_line("a");
        assert_eq!(root_from_subset(0, &[], &[leaf]), None);
        assert_eq!(root_from_subset(1, &[(1, leaf)], &[]), None);
        assert_eq!(root_from_subset(2, &[(0, leaf), (0, leaf)], &[]), None);
        assert_eq!(root_from_subset(2, &[(1, leaf), (0, leaf)], &[]), None);
        assert_eq!(root_from_subset(u64::MAX, &[(u64::MAX - 1, leaf)], &[leaf; 4]), None);
        assert_eq!(root_of(&[]), Hash::EMPTY);
    }
}
