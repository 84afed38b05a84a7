//! Proofs as texts that stand alone: the proof, and the signed checkpoint that it leads to.

use std::fmt;
use std::str::FromStr;

use super::text::{decode_hash, decode_number, encode_hash};
use super::{Checkpoint, ConsistencyProof, Hash, InclusionProof, Note, Verifier};
use crate::error::{Error, Result};
use crate::event::Position;

/// The first line of an inclusion proof.
const INCLUSION: &str = "c2sp.org/tlog-proof@v1";
/// The first line of a consistency proof. There is no C2SP text of it, so it is ours.
const CONSISTENCY: &str = "usage-ledger/consistency@v1";
/// More hashes than this no proof of 2^64 leaves has.
const MOST_HASHES: usize = 128;

/// A receipt: that an event is in a ledger whose key signed a checkpoint (`c2sp.org/tlog-proof`).
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
/// The index is the position less one. Whoever has the event's line and the verifier key needs nothing else:
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, audit::{Receipt, Signer}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
/// let sight = ledger.sight()?;
/// let checkpoint = sight.checkpoint(&signer)?.parse()?;
/// let receipt = Receipt::new(sight.prove_inclusion(2.into(), None)?, checkpoint)?.to_string();
///
/// let line = ledger.event(2)?.to_line();
/// let signed = receipt.parse::<Receipt>()?.verify(&line, signer.verifier())?;
/// assert_eq!(signed.size(), 2);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    proof: InclusionProof,
    checkpoint: Note,
}

impl Receipt {
    /// Lays a proof before the checkpoint that it leads to.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the checkpoint is none, or of another size than the proof.
    ///
    /// ```
    /// use usage_ledger::audit::{Checkpoint, Hash, InclusionProof, Receipt, Signer};
    /// let signer = Signer::generate("a.example/log")?;
    /// let leaf = Hash::of_line("a line");
    /// let proof = InclusionProof { position: 1.into(), size: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, leaf)?.sign(&signer)?.parse()?;
    /// assert!(Receipt::new(proof, note)?.verify("a line", signer.verifier()).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(proof: InclusionProof, checkpoint: Note) -> Result<Self> {
        same_size(&checkpoint, proof.size)?;
        Ok(Self { proof, checkpoint })
    }

    /// The proof in it.
    ///
    /// ```
    /// # use usage_ledger::audit::{Checkpoint, Hash, InclusionProof, Receipt, Signer};
    /// # let signer = Signer::generate("a.example/log")?;
    /// let proof = InclusionProof { position: 1.into(), size: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// assert_eq!(Receipt::new(proof.clone(), note)?.proof(), &proof);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn proof(&self) -> &InclusionProof {
        &self.proof
    }

    /// Checks all of it for an event's line, and gives the checkpoint that vouches for the line.
    ///
    /// # Errors
    /// [`Error::Unproven`] when the key did not sign the checkpoint, or the line is not where the proof says.
    ///
    /// ```
    /// # use usage_ledger::audit::{Checkpoint, Hash, InclusionProof, Receipt, Signer};
    /// # let signer = Signer::generate("a.example/log")?;
    /// let proof = InclusionProof { position: 1.into(), size: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// let receipt = Receipt::new(proof, note)?;
    /// assert!(receipt.verify("another line", signer.verifier()).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, line: impl AsRef<[u8]>, verifier: &Verifier) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::open(&self.checkpoint, verifier)?;
        self.proof.verify(&Hash::of_line(line), &checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{INCLUSION}\nindex {}", self.proof.position.get().saturating_sub(1))?;
        rest(f, &self.proof.hashes, &self.checkpoint)
    }
}

impl FromStr for Receipt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, checkpoint) = halves(text, INCLUSION)?;
        let mut lines = head.lines().skip(1).peekable();
        // What an application adds to a proof is no part of what is proven here.
        let _ = lines.next_if(|line| line.starts_with("extra "));
        let index = field(lines.next(), "index")?;
        let position = Position::new(index).next();
        let size = Checkpoint::from_str(checkpoint.text())?.size();
        Self::new(InclusionProof { position, size, hashes: hashes(lines)? }, checkpoint)
    }
}

/// That a signed checkpoint continues an earlier one: between them events were added, none was changed.
///
/// There is no C2SP text of it; this one is the inclusion proof's with sizes in the place of the index:
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
/// use usage_ledger::{Ledger, TokenRecord, audit::{Checkpoint, Continuation, Signer}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let old = Checkpoint::open(&ledger.sight()?.checkpoint(&signer)?.parse()?, signer.verifier())?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
///
/// let sight = ledger.sight()?;
/// let new = sight.checkpoint(&signer)?.parse()?;
/// let text = Continuation::new(sight.prove_consistency(1, 2)?, new)?.to_string();
/// assert_eq!(text.parse::<Continuation>()?.verify(&old, signer.verifier())?.size(), 2);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    proof: ConsistencyProof,
    checkpoint: Note,
}

impl Continuation {
    /// Lays a proof before the later checkpoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the checkpoint is none, or of another size than the proof's new one.
    ///
    /// ```
    /// use usage_ledger::audit::{Checkpoint, ConsistencyProof, Continuation, Hash, Signer};
    /// let signer = Signer::generate("a.example/log")?;
    /// let proof = ConsistencyProof { old: 0, new: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// assert!(Continuation::new(proof, note).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(proof: ConsistencyProof, checkpoint: Note) -> Result<Self> {
        same_size(&checkpoint, proof.new)?;
        Ok(Self { proof, checkpoint })
    }

    /// The proof in it.
    ///
    /// ```
    /// # use usage_ledger::audit::{Checkpoint, ConsistencyProof, Continuation, Hash, Signer};
    /// # let signer = Signer::generate("a.example/log")?;
    /// let proof = ConsistencyProof { old: 0, new: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// assert_eq!(Continuation::new(proof.clone(), note)?.proof(), &proof);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn proof(&self) -> &ConsistencyProof {
        &self.proof
    }

    /// Checks all of it for the earlier checkpoint, which was opened with the same key, and gives the later one.
    ///
    /// # Errors
    /// [`Error::Unproven`] when the key did not sign the later checkpoint, or it does not continue the earlier one.
    ///
    /// ```
    /// # use usage_ledger::audit::{Checkpoint, ConsistencyProof, Continuation, Hash, Signer};
    /// # let signer = Signer::generate("a.example/log")?;
    /// let old = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?;
    /// let proof = ConsistencyProof { old: 0, new: 1, hashes: Vec::new() };
    /// let note = Checkpoint::new("a.example/log", 1, Hash::of_line("a line"))?.sign(&signer)?.parse()?;
    /// assert_eq!(Continuation::new(proof, note)?.verify(&old, signer.verifier())?.size(), 1);
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

impl fmt::Display for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{CONSISTENCY}\nold {}\nnew {}", self.proof.old, self.proof.new)?;
        rest(f, &self.proof.hashes, &self.checkpoint)
    }
}

impl FromStr for Continuation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, checkpoint) = halves(text, CONSISTENCY)?;
        let mut lines = head.lines().skip(1);
        let (old, new) = (field(lines.next(), "old")?, field(lines.next(), "new")?);
        Self::new(ConsistencyProof { old, new, hashes: hashes(lines)? }, checkpoint)
    }
}

fn bad(why: impl fmt::Display) -> Error {
    Error::invalid(format!("this is no proof: {why}"))
}

fn same_size(checkpoint: &Note, size: u64) -> Result<()> {
    let found = Checkpoint::from_str(checkpoint.text())?.size();
    if found == size { Ok(()) } else { Err(bad(format!("it is about {size} events, its checkpoint about {found}"))) }
}

/// The lines of a proof, and the note behind the first empty line.
fn halves<'t>(text: &'t str, kind: &str) -> Result<(&'t str, Note)> {
    let (head, note) = text.split_once("\n\n").ok_or_else(|| bad("an empty line and a checkpoint end it"))?;
    if head.lines().next() != Some(kind) {
        return Err(bad(format!("its first line is `{kind}`")));
    }
    Ok((head, note.parse()?))
}

fn field(line: Option<&str>, name: &str) -> Result<u64> {
    line.and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(decode_number)
        .filter(|number| *number < u64::MAX)
        .ok_or_else(|| bad(format!("a line `{name} NUMBER` is missing")))
}

fn hashes<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<Hash>> {
    let hashes: Vec<Hash> = lines.take(MOST_HASHES + 1).map(decode_hash).collect::<Result<_>>()?;
    if hashes.len() > MOST_HASHES { Err(bad("it has too many hashes")) } else { Ok(hashes) }
}

fn rest(f: &mut fmt::Formatter<'_>, hashes: &[Hash], checkpoint: &Note) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", encode_hash(hash)))?;
    write!(f, "\n{checkpoint}")
}
