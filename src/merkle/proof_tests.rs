//! Tests proofs against known answers of Certificate Transparency, another implementation, and altered inputs.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::super::leaf_hash;
use super::*;
use crate::projection::{Nodes, append_leaves, root_at, tree_root};
use crate::store::{EventStore, MemoryStore};

type Foreign = MemoryBackedTree<Sha256, Vec<u8>>;

fn leaf(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A stored tree of a number of leaves, appended in batches of odd sizes.
fn stored(leaves: &[Vec<u8>]) -> MemoryStore {
    let store = MemoryStore::new();
    let mut size = 0;
    for batch in leaves.chunks((leaves.len() / 7).max(37)) {
        let hashes: Vec<Hash> = batch.iter().map(|leaf| leaf_hash(leaf)).collect();
        let mut write = store.write().unwrap();
        append_leaves(&mut *write, size, &hashes).unwrap();
        write.commit().unwrap();
        size += batch.len() as u64;
    }
    store
}

fn inclusion(store: &mut MemoryStore, index: u64, size: u64) -> InclusionProof {
    let view = store.read().unwrap();
    let hashes = Nodes::new(&*view).inclusion(index, size).unwrap();
    InclusionProof { position: Position::new(index + 1), size, hashes }
}

fn consistency(store: &mut MemoryStore, old: u64, new: u64) -> ConsistencyProof {
    let view = store.read().unwrap();
    ConsistencyProof { old, new, hashes: Nodes::new(&*view).consistency(old, new).unwrap() }
}

fn hashes(hex: &[&str]) -> Vec<Hash> {
    hex.iter().map(|hash| hash.parse().unwrap()).collect()
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The eight leaves that implementations of Certificate Transparency test with.
fn reference() -> MemoryStore {
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let unhex =
        |text: &str| (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    stored(&leaves.map(unhex))
}

#[test]
fn the_reference_proofs_of_certificate_transparency() {
    let mut store = reference();
    // Leaf number (from 1), size, path.
    let paths: [(u64, u64, &[&str]); 5] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (3, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            2,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (number, size, path) in paths {
        assert_eq!(inclusion(&mut store, number - 1, size).hashes, hashes(path), "leaf {number} of {size}");
    }
    let links: [(u64, u64, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (old, new, parts) in links {
        assert_eq!(consistency(&mut store, old, new).hashes, hashes(parts), "{old} to {new}");
    }
}

/// Compares every proof of every tree up to a size with the other implementation, and checks that it verifies no other
/// claim.
#[test]
fn proofs_of_small_trees_equal_another_implementation_and_verify_one_claim() {
    const MOST: u64 = 40;
    let leaves: Vec<_> = (0..MOST).map(leaf).collect();
    let mut store = stored(&leaves);
    let roots: Vec<Hash> = (0..=MOST).map(|size| root_at(&*store.read().unwrap(), size).unwrap()).collect();
    let mut foreign = Foreign::new();
    for size in 1..=MOST {
        foreign.push(leaf(size - 1));
        let root = roots[size as usize];
        assert_eq!(root.as_bytes().as_slice(), foreign.root().as_bytes().as_slice());
        for index in 0..size {
            let proof = inclusion(&mut store, index, size);
            assert_eq!(bytes(&proof.hashes), foreign.prove_inclusion(index as usize).as_bytes(), "{index} of {size}");
            for other in 0..size {
                let shows = proof.verify(&leaf_hash(&leaf(other)), &root).is_ok();
                assert_eq!(shows, other == index, "{other} with the proof of {index} of {size}");
            }
            let leaf_hash_of = leaf_hash(&leaf(index));
            for (other, root) in roots.iter().enumerate() {
                assert_eq!(proof.verify(&leaf_hash_of, root).is_ok(), other as u64 == size);
            }
            is_any_alteration_accepted(&proof.hashes, |hashes| {
                InclusionProof { hashes, ..proof.clone() }.verify(&leaf_hash_of, &root).is_ok()
            });
        }
        for old in 1..=size {
            let proof = consistency(&mut store, old, size);
            if old < size {
                let foreign_proof = foreign.prove_consistency((size - old) as usize);
                assert_eq!(bytes(&proof.hashes), foreign_proof.as_bytes(), "{old} to {size}");
            }
            for (other, old_root) in roots.iter().enumerate() {
                assert_eq!(proof.verify(old_root, &root).is_ok(), other as u64 == old, "{other} for {old} to {size}");
                assert_eq!(proof.verify(&roots[old as usize], old_root).is_ok(), other as u64 == size);
            }
            let old_root = roots[old as usize];
            is_any_alteration_accepted(&proof.hashes, |hashes| {
                ConsistencyProof { hashes, ..proof.clone() }.verify(&old_root, &root).is_ok()
            });
        }
    }
}

/// A proof with a changed, missing, repeated or additional hash is invalid.
fn is_any_alteration_accepted(hashes: &[Hash], shows: impl Fn(Vec<Hash>) -> bool) {
    assert!(shows(hashes.to_vec()));
    assert!(!shows([hashes, &[Hash::EMPTY]].concat()));
    for at in 0..hashes.len() {
        let mut changed = hashes.to_vec();
        changed[at] = Hash::EMPTY;
        assert!(!shows(changed.clone()));
        changed.remove(at);
        assert!(!shows(changed));
        let mut doubled = hashes.to_vec();
        doubled.insert(at, hashes[at]);
        assert!(!shows(doubled));
    }
}

#[test]
fn impossible_positions_and_sizes_verify_nothing() {
    let leaf = leaf_hash(b"");
    for (position, size) in [(0, 0), (0, 1), (1, 0), (2, 1), (u64::MAX, 1)] {
        let proof = InclusionProof { position: Position::new(position), size, hashes: Vec::new() };
        assert!(proof.verify(&leaf, &leaf).is_err(), "{position} of {size}");
    }
    for (old, new) in [(2, 1), (u64::MAX, 1), (1, 2), (1, u64::MAX), (u64::MAX - 1, u64::MAX)] {
        assert!(ConsistencyProof { old, new, hashes: Vec::new() }.verify(&leaf, &leaf).is_err(), "{old} to {new}");
    }
    let from_nothing = ConsistencyProof { old: 0, new: 9, hashes: Vec::new() };
    assert!(from_nothing.verify(&Hash::EMPTY, &leaf).is_ok());
    assert!(from_nothing.verify(&leaf, &leaf).is_err());
    assert!(ConsistencyProof { old: 0, new: 0, hashes: Vec::new() }.verify(&Hash::EMPTY, &Hash::EMPTY).is_ok());
}

#[test]
fn a_tree_with_a_missing_node_gives_no_proof() {
    let store = stored(&(0..300).map(leaf).collect::<Vec<_>>());
    let mut tx = store.write().unwrap();
    tx.put(crate::store::Table::Tree, &crate::projection::group_key(0, 3), None).unwrap();
    tx.commit().unwrap();
    let view = store.read().unwrap();
    let hole = Nodes::new(&*view).inclusion(50, 300);
    assert!(matches!(hole, Err(Error::Damaged { .. })), "{hole:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proofs_of_large_trees_equal_another_implementation(
        size in 1_u64..3_000,
        index in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
    ) {
        // The stored tree is larger than the size of the proof.
        let leaves: Vec<_> = (0..size + 300).map(leaf).collect();
        let mut store = stored(&leaves);
        let mut foreign = Foreign::new();
        leaves.into_iter().take(size as usize).for_each(|leaf| foreign.push(leaf));
        let top = root_at(&*store.read().unwrap(), size).unwrap();
        prop_assert_eq!(top.as_bytes().to_vec(), foreign.root().as_bytes().to_vec());
        let whole = tree_root(&*store.read().unwrap(), size + 300).unwrap();
        prop_assert_eq!(root_at(&*store.read().unwrap(), size + 300).unwrap(), whole);

        let index = index.index(size as usize) as u64;
        let proof = inclusion(&mut store, index, size);
        prop_assert_eq!(bytes(&proof.hashes), foreign.prove_inclusion(index as usize).as_bytes().to_vec());
        prop_assert!(proof.verify(&leaf_hash(&leaf(index)), &top).is_ok());

        let old = old.index(size as usize) as u64 + 1;
        let old_root = root_at(&*store.read().unwrap(), old).unwrap();
        prop_assert!(consistency(&mut store, old, size).verify(&old_root, &top).is_ok());
        prop_assert!(consistency(&mut store, size, size + 300).verify(&top, &whole).is_ok());
    }
}
