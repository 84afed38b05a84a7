//! A self-contained inclusion proof: the proof, and the signed checkpoint of its root.

use std::fmt;
use std::str::FromStr;

use super::proof_text::{field, halves, hashes, same_size, tail};
use super::{Checkpoint, Hash, InclusionProof, Note, Verifier};
use crate::model::error::{Error, Result};
use crate::model::event::Position;

/// The first line of an inclusion proof.
const KIND: &str = "c2sp.org/tlog-proof@v1";

/// A proof that an event is in a ledger whose key signed a checkpoint (`c2sp.org/tlog-proof`).
///
/// ```text
/// c2sp.org/tlog-proof@v1
/// index 16
/// WOWzi9l7…=
///
/// usage-ledger.example/alice
/// 120
/// nqB2bE…=
///
/// — usage-ledger.example/alice DHhOZl…=
/// ```
///
/// The index is the position minus one. Verification needs only the event's line and the verifier key:
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, merkle::{InclusionProofText, Signer}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
/// let line = ledger.event(2)?.to_line()?;
/// let snapshot = ledger.snapshot()?;
/// let checkpoint = snapshot.checkpoint(&signer)?.parse()?;
/// let receipt = InclusionProofText::new(snapshot.prove_inclusion(2.into(), None)?, checkpoint)?.to_string();
///
/// let signed = receipt.parse::<InclusionProofText>()?.verify(&line, signer.verifier())?;
/// assert_eq!(signed.size(), 2);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProofText {
    proof: InclusionProof,
    checkpoint: Note,
}

impl InclusionProofText {
    /// Combines a proof with the checkpoint of its root.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the note is not a checkpoint, or its size differs from the proof's.
    ///
    /// ```
    /// use usage_ledger::merkle::{Checkpoint, Hash, InclusionProof, InclusionProofText, Signer};
    /// let signer = Signer::generate("a.example/log")?;
    /// let leaf = Hash::of_line("a line");
    /// let proof = InclusionProof { position: 1.into(), size: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, leaf)?.sign(&signer)?.parse()?;
    /// assert!(InclusionProofText::new(proof, note)?.verify("a line", signer.verifier()).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(proof: InclusionProof, checkpoint: Note) -> Result<Self> {
        same_size(&checkpoint, proof.size)?;
        Ok(Self { proof, checkpoint })
    }

    /// The proof alone.
    #[cfg(feature = "cli")]
    pub(crate) const fn proof(&self) -> &InclusionProof {
        &self.proof
    }

    /// Verifies the whole text for an event's line, and returns the checkpoint that covers the line.
    ///
    /// # Errors
    /// [`Error::Unproven`] if the key did not sign the checkpoint, or the line is not at the proof's position.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash, InclusionProof, InclusionProofText, Signer};
    /// # let signer = Signer::generate("a.example/log")?;
    /// let proof = InclusionProof { position: 1.into(), size: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// let receipt = InclusionProofText::new(proof, note)?;
    /// assert!(receipt.verify("another line", signer.verifier()).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, line: impl AsRef<[u8]>, verifier: &Verifier) -> Result<Checkpoint> {
        self.verify_leaf(&Hash::of_line(line), verifier)
    }

    /// The same for a shredded event, of which only the leaf hash remains.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub(crate) fn verify_leaf(&self, leaf: &Hash, verifier: &Verifier) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::open(&self.checkpoint, verifier)?;
        self.proof.verify(leaf, &checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl fmt::Display for InclusionProofText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{KIND}\nindex {}", self.proof.position.get().saturating_sub(1))?;
        tail(f, &self.proof.hashes, &self.checkpoint)
    }
}

impl FromStr for InclusionProofText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, checkpoint) = halves(text, KIND)?;
        let mut lines = head.lines().skip(1).peekable();
        // Additional data of applications are not part of the proof.
        let _ = lines.next_if(|line| line.starts_with("extra "));
        let index = field(lines.next(), "index")?;
        let position = Position::new(index).next();
        let size = Checkpoint::from_str(checkpoint.text())?.size();
        Self::new(InclusionProof { position, size, hashes: hashes(lines)? }, checkpoint)
    }
}
