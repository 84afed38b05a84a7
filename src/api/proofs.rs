//! `prove` and `checkpoint`: texts that others can verify without access to the ledger.

use serde::Serialize;

use crate::ledger::Snapshot;
use crate::merkle::{
    Checkpoint, ConsistencyProof, ConsistencyProofText, Hash, InclusionProof, InclusionProofText, Note, Signer,
};
use crate::model::error::{Error, Result};
use crate::model::event::Position;

/// Proof that an event is in the ledger.
#[derive(Serialize)]
pub(crate) struct InclusionProofAnswer {
    position: u64,
    index: u64,
    size: u64,
    leaf: String,
    root: String,
    hashes: Vec<String>,
    /// The proof with its signed checkpoint; `None` without a signing key.
    pub proof: Option<String>,
}

/// Proof that a later state extends an earlier one.
#[derive(Serialize)]
pub(crate) struct ConsistencyProofAnswer {
    old: TreeRoot,
    new: TreeRoot,
    hashes: Vec<String>,
    /// The proof with its signed checkpoint; `None` without a signing key.
    pub proof: Option<String>,
}

#[derive(Serialize)]
struct TreeRoot {
    size: u64,
    root: String,
}

/// A checkpoint in JSON.
#[derive(Serialize)]
pub(crate) struct SignedCheckpoint {
    origin: String,
    size: u64,
    root: String,
    pub note: String,
}

/// A checkpoint and its note. Signatures are not verified yet.
pub(crate) struct CheckpointNote {
    pub note: Note,
    pub checkpoint: Checkpoint,
}

impl CheckpointNote {
    /// Parses the checkpoint in a note.
    pub fn of(text: &str) -> Result<Self> {
        let note: Note = text.parse()?;
        let checkpoint = note.text().parse()?;
        Ok(Self { note, checkpoint })
    }

    /// Signs a checkpoint of a size, now.
    pub fn sign(snapshot: &Snapshot<'_>, size: Option<u64>, signer: &Signer) -> Result<Self> {
        let size = size.map_or_else(|| Ok(snapshot.head()?.position.get()), Ok::<_, Error>)?;
        Self::of(&snapshot.checkpoint_at(size, signer)?)
    }
}

impl SignedCheckpoint {
    pub fn new(note: String) -> Result<Self> {
        let CheckpointNote { checkpoint, .. } = CheckpointNote::of(&note)?;
        let (origin, root) = (checkpoint.origin().to_owned(), checkpoint.root().to_string());
        Ok(Self { origin, size: checkpoint.size(), root, note })
    }
}

/// The state that a proof refers to: its size and root, signed or not.
pub(crate) struct ProvenState {
    size: u64,
    root: Hash,
    note: Option<Note>,
}

impl ProvenState {
    /// Creates an anchor from a signed checkpoint.
    pub fn signed(checkpoint_note: CheckpointNote) -> Self {
        Self {
            size: checkpoint_note.checkpoint.size(),
            root: checkpoint_note.checkpoint.root(),
            note: Some(checkpoint_note.note),
        }
    }

    /// Creates an anchor from a size of a snapshot, signed if there is a key.
    pub fn at(snapshot: &Snapshot<'_>, size: Option<u64>, signer: Option<&Signer>) -> Result<Self> {
        if let Some(signer) = signer {
            return Ok(Self::signed(CheckpointNote::sign(snapshot, size, signer)?));
        }
        let size = size.map_or_else(|| Ok(snapshot.head()?.position.get()), Ok::<_, Error>)?;
        Ok(Self { size, root: snapshot.root_at(size)?, note: None })
    }
}

/// Proves that the event at a position is in a state.
pub(crate) fn inclusion(
    snapshot: &Snapshot<'_>,
    position: Position,
    anchor: ProvenState,
) -> Result<InclusionProofAnswer> {
    let leaf = snapshot.leaf(position)?;
    let proof = snapshot.prove_inclusion(position, Some(anchor.size))?;
    // Verify the proof before returning it, because the stored hash of this line may be wrong.
    proof.verify(&leaf, &anchor.root)?;
    let hashes = hex(&proof.hashes);
    let text = |proof: InclusionProof, note| Ok::<_, Error>(InclusionProofText::new(proof, note)?.to_string());
    Ok(InclusionProofAnswer {
        position: position.get(),
        index: position.get() - 1,
        size: anchor.size,
        leaf: leaf.to_string(),
        root: anchor.root.to_string(),
        hashes,
        proof: anchor.note.map(|note| text(proof, note)).transpose()?,
    })
}

/// Proves that a state extends an earlier one.
pub(crate) fn consistency(
    snapshot: &Snapshot<'_>,
    old: (u64, Hash),
    anchor: ProvenState,
) -> Result<ConsistencyProofAnswer> {
    let (size, root) = old;
    let proof = snapshot.prove_consistency(size, anchor.size)?;
    proof.verify(&root, &anchor.root)?;
    let hashes = hex(&proof.hashes);
    let text = |proof: ConsistencyProof, note| Ok::<_, Error>(ConsistencyProofText::new(proof, note)?.to_string());
    Ok(ConsistencyProofAnswer {
        old: TreeRoot { size, root: root.to_string() },
        new: TreeRoot { size: anchor.size, root: anchor.root.to_string() },
        hashes,
        proof: anchor.note.map(|note| text(proof, note)).transpose()?,
    })
}

fn hex(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}
