//! A checkpoint of C2SP: the size and the root of a log, in three lines.

use std::fmt;
use std::str::FromStr;

use super::text::{decode_hash, decode_number, encode_hash, is_name};
use super::{Hash, Note, Signer, Verifier};
use crate::model::error::{Error, Result};

/// The state of a ledger: its number of events and the root over them (`c2sp.org/tlog-checkpoint`).
///
/// A signed copy outside the ledger protects every line up to its size: any change, move or removal is detectable.
///
/// ```
/// use usage_ledger::merkle::{Checkpoint, Hash, Signer};
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let checkpoint = Checkpoint::new("usage-ledger.example/alice", 0, Hash::EMPTY)?;
/// assert_eq!(
///     checkpoint.to_string(),
///     "usage-ledger.example/alice\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
/// );
/// let note = checkpoint.sign(&signer)?.parse()?;
/// assert_eq!(Checkpoint::open(&note, signer.verifier())?, checkpoint);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// A checkpoint of the log `origin`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an origin that is empty or has blanks, control characters or `+`.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash};
    /// assert!(Checkpoint::new("my ledger", 0, Hash::EMPTY).is_err());
    /// ```
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self> {
        if !is_name(origin) {
            return Err(Error::invalid(format!(
                "`{}` is no origin: use a text without blanks and `+`, such as usage-ledger.example/alice",
                origin.escape_debug()
            )));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The name of the log.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash};
    /// assert_eq!(Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.origin(), "a.example/log");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of events.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash};
    /// assert_eq!(Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.size(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over these events.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash};
    /// assert_eq!(Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.root(), Hash::EMPTY);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// The signed note of the checkpoint.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key and the log have different names, because readers look for the log's own key.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash, Signer};
    /// let checkpoint = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?;
    /// assert!(checkpoint.sign(&Signer::generate("a.example/log")?).is_ok());
    /// assert!(checkpoint.sign(&Signer::generate("b.example/log")?).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn sign(&self, signer: &Signer) -> Result<String> {
        let name = signer.verifier().name();
        if name != self.origin {
            return Err(Error::invalid(format!("the key {name} cannot sign a checkpoint of {}", self.origin)));
        }
        signer.sign(&self.to_string())
    }

    /// Extracts a checkpoint from a note that its log's key signed.
    ///
    /// # Errors
    /// [`Error::Unproven`] if the note lacks a signature of that key or is of another log, [`Error::Invalid`] if the
    /// note's text is not a checkpoint.
    ///
    /// ```
    /// # use usage_ledger::{Error, merkle::{Checkpoint, Hash, Signer}};
    /// let [alice, bob] = [Signer::generate("a.example/log")?, Signer::generate("b.example/log")?];
    /// let note = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.sign(&alice)?.parse()?;
    /// assert_eq!(Checkpoint::open(&note, alice.verifier())?.size(), 0);
    /// assert!(matches!(Checkpoint::open(&note, bob.verifier()), Err(Error::Unproven { .. })));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn open(note: &Note, verifier: &Verifier) -> Result<Self> {
        let checkpoint: Self = note.text().parse()?;
        note.verify(verifier)?;
        if checkpoint.origin != verifier.name() {
            let Self { origin, .. } = checkpoint;
            return Err(Error::unproven(format!("it is of the log {origin}, not of {}", verifier.name())));
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, encode_hash(&self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// Parses the signed text. Further lines after the third are extensions: they are signed too, and ignored here.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::invalid(format!("this is no checkpoint: {why}"));
        let body = text.strip_suffix('\n').ok_or_else(|| bad("its last line has no end"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(bad("it has origin, size and root on a line each"));
        };
        if lines.any(str::is_empty) {
            return Err(bad("it has an empty line"));
        }
        let size = decode_number(size).ok_or_else(|| bad("its second line is the number of events"))?;
        let checkpoint = Self::new(origin, size, decode_hash(root)?)?;
        if size == 0 && checkpoint.root != Hash::EMPTY {
            return Err(bad("a log without events has the root of none"));
        }
        Ok(checkpoint)
    }
}

/// Returns the checkpoint in a note that one of these keys signed; otherwise the error of the last key.
#[cfg(feature = "cli")]
pub(crate) fn signed_by_any(note: &Note, verifiers: &[Verifier]) -> Result<Checkpoint> {
    by_any(verifiers, |verifier| Checkpoint::open(note, verifier))
}

/// Returns the proof by one of the keys; otherwise the error of the last key.
#[cfg(feature = "cli")]
pub(crate) fn by_any(verifiers: &[Verifier], check: impl Fn(&Verifier) -> Result<Checkpoint>) -> Result<Checkpoint> {
    let mut result = Err(Error::unproven("there is no key to check it with"));
    for verifier in verifiers {
        result = check(verifier);
        if result.is_ok() {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn a_checkpoint_has_three_lines_and_optional_extensions() {
        let text = format!("a.example/log\n17\n{ROOT}\n");
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!((checkpoint.origin(), checkpoint.size(), checkpoint.root()), ("a.example/log", 17, Hash::EMPTY));
        assert_eq!(checkpoint.to_string(), text);
        assert_eq!(format!("{text}extension\n").parse::<Checkpoint>().unwrap(), checkpoint);
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        for text in [
            String::new(),
            "\n".to_owned(),
            "a\n1\n".to_owned(),
            format!("a\n1\n{ROOT}"),
            format!("\n1\n{ROOT}\n"),
            format!("a b\n1\n{ROOT}\n"),
            format!("a\n01\n{ROOT}\n"),
            format!("a\n-1\n{ROOT}\n"),
            format!("a\n1\n{ROOT}\n\n"),
            format!("a\n1\n{}\n", &ROOT[4..]),
            format!("a\n0\n{}\n", ROOT.replace("47", "48")),
        ] {
            assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
        }
    }
}
