//! Checkpoints and proofs of a ledger for third parties.

use super::{Finding, Ledger, Snapshot, Verification, verify};
use crate::merkle::{Checkpoint, ConsistencyProof, Hash, InclusionProof, Signer, Verifier};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
#[cfg(feature = "archive")]
use crate::projection::nodes_in;
use crate::projection::{Nodes, ends_at, leaf_at, root_at};

impl Snapshot<'_> {
    /// The root of the tree over the first `size` lines, computed from a few stored hashes.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a size beyond the head, [`Error::Damaged`] if nodes of the tree are missing.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let noted = ledger.root()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// assert_eq!(ledger.snapshot()?.root_at(1)?, noted);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn root_at(&self, size: u64) -> Result<Hash> {
        self.within(size)?;
        root_at(self.view(), size)
    }

    /// Checks that a size is not beyond the head.
    fn within(&self, size: u64) -> Result<u64> {
        let head = self.head()?.position;
        if size > head.get() {
            return Err(Error::NotFound { what: format!("at position {size} (the last one is {head})") });
        }
        Ok(size)
    }

    /// The signed checkpoint of this snapshot: its size and root, with the name of the key as origin.
    ///
    /// # Errors
    /// As for [`root_at`](Self::root_at).
    ///
    /// ```
    /// # use usage_ledger::{Ledger, merkle::{Checkpoint, Signer}};
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// let note = Ledger::in_memory()?.snapshot()?.checkpoint(&signer)?;
    /// assert_eq!(Checkpoint::open(&note.parse()?, signer.verifier())?.size(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn checkpoint(&self, signer: &Signer) -> Result<String> {
        self.checkpoint_at(self.head()?.position.get(), signer)
    }

    /// The checkpoint of an earlier size, signed now.
    ///
    /// # Errors
    /// As for [`root_at`](Self::root_at).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// let ledger = Ledger::in_memory()?;
    /// let noted = ledger.snapshot()?.checkpoint(&signer)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(ledger.snapshot()?.checkpoint_at(0, &signer)?, noted);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn checkpoint_at(&self, size: u64, signer: &Signer) -> Result<String> {
        self.expect_whole()?;
        Checkpoint::new(signer.verifier().name(), size, self.root_at(size)?)?.sign(signer)
    }

    /// Checks that log and tree end with the same event, so that a visibly damaged ledger is not signed. This is not an
    /// audit.
    pub(crate) fn expect_whole(&self) -> Result<()> {
        let head = self.head()?.position;
        if head > Position::START && self.leaf(head)? != leaf_at(self.view(), head)? {
            return Err(Error::damaged(head, "the line does not have the hash that the tree keeps of it"));
        }
        // The tree of a past snapshot also has later leaves.
        if self.moment().is_none() && !ends_at(self.view(), head.get())? {
            return Err(Error::damaged(
                head.next(),
                "the tree knows of an event here, the log does not: its end was cut off",
            ));
        }
        Ok(())
    }

    /// The hashes of a tile of the tree, from one on. A hash of level L is the root over 256^L leaves.
    #[cfg(feature = "archive")]
    pub(crate) fn tile_hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>> {
        nodes_in(self.view(), 2 * level, first, count)
    }

    /// Proves that the event at a position is among the first `size` ones; without a size, among all.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a position or size beyond the head, [`Error::Invalid`] for a position beyond the size,
    /// [`Error::Damaged`] if nodes of the tree are missing.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Hash};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// let proof = ledger.snapshot()?.prove_inclusion(1.into(), None)?;
    /// let leaf = Hash::of_line(ledger.event(1)?.to_line()?);
    /// assert!(proof.verify(&leaf, &ledger.root()?).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn prove_inclusion(&self, position: Position, size: Option<u64>) -> Result<InclusionProof> {
        let head = self.head()?.position;
        let size = size.map_or(Ok(head.get()), |size| self.within(size))?;
        if position == Position::START || position > head {
            return Err(Error::NotFound { what: format!("at position {position}") });
        }
        if position.get() > size {
            return Err(Error::invalid(format!(
                "position {position} came after the checkpoint of {size} events: prove it with a later one"
            )));
        }
        let hashes = Nodes::new(self.view()).inclusion(position.get() - 1, size)?;
        Ok(InclusionProof { position, size, hashes })
    }

    /// Proves that the first `old` of the first `new` events are unchanged.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a size beyond the head, [`Error::Invalid`] if `old` is larger than `new`,
    /// [`Error::Damaged`] if nodes of the tree are missing.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// for input in 1..=9 {
    ///     ledger.record(TokenRecord::new("openai", "gpt-5").input(input), now)?;
    /// }
    /// let snapshot = ledger.snapshot()?;
    /// let proof = snapshot.prove_consistency(3, 9)?;
    /// assert!(proof.verify(&snapshot.root_at(3)?, &snapshot.root()?).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof> {
        self.within(new)?;
        if old > new {
            return Err(Error::invalid(format!("{old} events are no beginning of {new}: name the smaller size first")));
        }
        // Every ledger continues an empty one, which needs no hash.
        let hashes = if old == 0 { Vec::new() } else { Nodes::new(self.view()).consistency(old, new)? };
        Ok(ConsistencyProof { old, new, hashes })
    }

    /// Compares a checkpoint with this snapshot; `None` if the snapshot continues it.
    ///
    /// This reads a few stored hashes. [`Ledger::verify_against`] also checks these against the lines.
    ///
    /// # Errors
    /// [`Error::Damaged`] if nodes of the tree are missing, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Checkpoint};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let checkpoint = Checkpoint::new("usage-ledger.example/alice", 1, ledger.root()?)?;
    /// assert_eq!(ledger.snapshot()?.check(&checkpoint)?, None);
    /// let older = Ledger::in_memory()?.snapshot()?.check(&checkpoint)?;
    /// assert_eq!(older.and_then(|finding| finding.position), Some(1.into())); // the event that is gone
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<Option<Finding>> {
        verify::hold(self.view(), checkpoint)
    }
}

impl Ledger {
    /// Runs [`verify`](Self::verify), and compares the result with checkpoints from elsewhere. Together they show that
    /// nothing before the latest checkpoint was changed, moved, omitted or truncated.
    ///
    /// First open each checkpoint with the verifier key ([`Checkpoint::open`]), because an unsigned one proves nothing.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::{Checkpoint, Signer}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// let call = |input| TokenRecord::new("openai", "gpt-5").input(input);
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(call(1), now)?;
    /// let kept = Checkpoint::open(&ledger.snapshot()?.checkpoint(&signer)?.parse()?, signer.verifier())?;
    /// assert!(ledger.verify_against(std::slice::from_ref(&kept))?.ok);
    ///
    /// let mut forged = Ledger::in_memory()?;
    /// forged.record(call(2), now)?;
    /// assert!(forged.verify()?.ok); // alone it is sound
    /// assert!(!forged.verify_against(&[kept])?.ok);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify_against(&self, checkpoints: &[Checkpoint]) -> Result<Verification> {
        self.verify_signed(checkpoints, &[])
    }

    /// Like [`verify_against`](Self::verify_against), and checks that one of these keys signed each seal in the ledger.
    ///
    /// # Errors
    /// As for [`Ledger::verify`].
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.seal(None, now.plus(1), &signer, now.plus(1))?;
    /// assert!(ledger.verify_signed(&[], &[signer.verifier().clone()])?.ok);
    /// let another = Signer::generate("a.example/log")?;
    /// let found = ledger.verify_signed(&[], &[another.verifier().clone()])?.findings;
    /// assert_eq!(found[0].position, Some(2.into())); // the seal
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify_signed(&self, checkpoints: &[Checkpoint], verifiers: &[Verifier]) -> Result<Verification> {
        let view = self.store().read()?;
        let mut verification = verify::verify(&*view, verify::AuditScope::Everything, verifiers)?;
        verification.add(verify::hold_all(&*view, checkpoints)?);
        Ok(verification)
    }
}
