//! Proofs that nothing was altered: the RFC 6962 tree over all event lines, and everything that a third party needs to
//! verify it.
//!
//! A [`Checkpoint`] states the size and the root of a ledger, and is signed. A copy that the ledger's owner cannot
//! change protects every line up to its size. An [`InclusionProof`] shows that a line is among them, a
//! [`ConsistencyProof`] that a later checkpoint continues an earlier one, a [`TotalProofText`] that a total is part of a
//! seal. All of them have text formats that other
//! programs can read: `c2sp.org/signed-note`, `c2sp.org/tlog-checkpoint`, `c2sp.org/tlog-proof`.

mod blinding;
mod checkpoint;
mod consistency_text;
pub(crate) mod cosignature;
mod hash;
mod inclusion_text;
mod note;
mod policy;
mod proof;
mod proof_text;
mod sealed_total;
mod signer;
mod subset_proof;
mod text;
#[cfg(feature = "archive")]
pub(crate) mod tiles;
mod total_text;
mod verifier;
#[cfg(feature = "cli")]
pub(crate) mod witness_request;

pub use checkpoint::Checkpoint;
pub use consistency_text::ConsistencyProofText;
pub use cosignature::Witness;
pub use hash::Hash;
pub use inclusion_text::InclusionProofText;
pub use note::Note;
pub use policy::{WitnessPolicy, Witnessed};
pub use proof::{ConsistencyProof, InclusionProof};
pub use sealed_total::{SealedRow, SealedSums, SealedTotal};
pub use signer::Signer;
pub use total_text::{ProvenTotal, TotalProofText};
pub use verifier::Verifier;

#[cfg(feature = "cli")]
pub(crate) use checkpoint::{by_any, signed_by_any};
#[cfg(feature = "cli")]
pub(crate) use cosignature::Cosigner;
pub(crate) use hash::{leaf_hash, node_hash, stored_leaf};
#[cfg(feature = "cli")]
pub(crate) use policy::PolicyWitness;
pub(crate) use subset_proof::root_of;
pub(crate) use total_text::BlindedLeaves;
#[cfg(feature = "cli")]
pub(crate) use total_text::KIND as TOTAL_PROOF;
#[cfg(feature = "cli")]
pub(crate) use witness_request::AddCheckpoint;
