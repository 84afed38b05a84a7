//! A self-contained consistency proof: the proof, and the later checkpoint.

use std::fmt;
use std::str::FromStr;

use super::proof_text::{field, halves, hashes, same_size, tail};
use super::{Checkpoint, ConsistencyProof, Note, Verifier};
use crate::model::error::{Error, Result};

/// The first line of a consistency proof. C2SP defines no such text, so this format is our own.
const KIND: &str = "usage-ledger/consistency@v1";

/// A proof that a signed checkpoint continues an earlier one: events were added, none was changed.
///
/// C2SP defines no such text. This one is that of an inclusion proof, with sizes in place of the index:
///
/// ```text
/// usage-ledger/consistency@v1
/// old 80
/// new 120
/// WOWzi9l7…=
///
/// usage-ledger.example/alice
/// 120
/// nqB2bE…=
///
/// — usage-ledger.example/alice DHhOZl…=
/// ```
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, merkle::{Checkpoint, ConsistencyProofText, Signer}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let old = Checkpoint::open(&ledger.snapshot()?.checkpoint(&signer)?.parse()?, signer.verifier())?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
///
/// let snapshot = ledger.snapshot()?;
/// let new = snapshot.checkpoint(&signer)?.parse()?;
/// let text = ConsistencyProofText::new(snapshot.prove_consistency(1, 2)?, new)?.to_string();
/// assert_eq!(text.parse::<ConsistencyProofText>()?.verify(&old, signer.verifier())?.size(), 2);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProofText {
    proof: ConsistencyProof,
    checkpoint: Note,
}

impl ConsistencyProofText {
    /// Combines a proof with the later checkpoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the note is not a checkpoint, or its size differs from the proof's new size.
    ///
    /// ```
    /// use usage_ledger::merkle::{Checkpoint, ConsistencyProof, ConsistencyProofText, Hash, Signer};
    /// let signer = Signer::generate("a.example/log")?;
    /// let proof = ConsistencyProof { old: 0, new: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// assert!(ConsistencyProofText::new(proof, note).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(proof: ConsistencyProof, checkpoint: Note) -> Result<Self> {
        same_size(&checkpoint, proof.new)?;
        Ok(Self { proof, checkpoint })
    }

    /// Verifies the whole text against the earlier checkpoint, which was opened with the same key, and returns the
    /// later one.
    ///
    /// # Errors
    /// [`Error::Unproven`] if the key did not sign the later checkpoint, or that one does not continue the earlier one.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, ConsistencyProof, ConsistencyProofText, Hash, Signer};
    /// # let signer = Signer::generate("a.example/log")?;
    /// let old = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?;
    /// let proof = ConsistencyProof { old: 0, new: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// assert_eq!(ConsistencyProofText::new(proof, note)?.verify(&old, signer.verifier())?.size(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, old: &Checkpoint, verifier: &Verifier) -> Result<Checkpoint> {
        let new = Checkpoint::open(&self.checkpoint, verifier)?;
        if old.origin() != new.origin() || old.size() != self.proof.old {
            let what = format!("it is about {} events of {}", self.proof.old, new.origin());
            return Err(Error::unproven(format!("{what}, not {} of {}", old.size(), old.origin())));
        }
        self.proof.verify(&old.root(), &new.root())?;
        Ok(new)
    }
}

impl fmt::Display for ConsistencyProofText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{KIND}\nold {}\nnew {}", self.proof.old, self.proof.new)?;
        tail(f, &self.proof.hashes, &self.checkpoint)
    }
}

impl FromStr for ConsistencyProofText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, checkpoint) = halves(text, KIND)?;
        let mut lines = head.lines().skip(1);
        let (old, new) = (field(lines.next(), "old")?, field(lines.next(), "new")?);
        Self::new(ConsistencyProof { old, new, hashes: hashes(lines)? }, checkpoint)
    }
}
