//! A signed note of C2SP: a text, followed by its signatures.

use std::fmt;
use std::str::FromStr;

use super::Verifier;
use super::text::{decode, encode, is_name};
use crate::model::error::{Error, Result};

/// Our notes never have more signatures. A longer note may be an attempt to consume a reader's time.
const MOST_SIGNATURES: usize = 100;

/// A text with signatures (`c2sp.org/signed-note`).
///
/// ```
/// use usage_ledger::merkle::{Note, Signer};
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let note: Note = signer.sign("hello\n")?.parse()?;
/// assert_eq!(note.text(), "hello\n");
/// assert!(note.verify(signer.verifier()).is_ok());
/// assert!(note.verify(Signer::generate("usage-ledger.example/bob")?.verifier()).is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    hash: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    /// The line, with its end.
    fn line(&self) -> String {
        format!("— {} {}\n", self.name, encode(&[self.hash.as_slice(), self.signature.as_slice()].concat()))
    }
}

impl Note {
    /// The signed text, including the newline at its end.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Note, Signer};
    /// let note: Note = Signer::generate("usage-ledger.example/alice")?.sign("one\n\ntwo\n")?.parse()?;
    /// assert_eq!(note.text(), "one\n\ntwo\n"); // an empty line within is part of it
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures under a name and a key hash.
    pub(super) fn signatures_of(&self, name: &str, hash: [u8; 4]) -> impl Iterator<Item = &[u8]> {
        let named = self.signatures.iter().filter(move |one| one.name == name && one.hash == hash);
        named.map(|one| one.signature.as_slice())
    }

    /// The note with further signature lines. A line that it has already is not added again.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a line is not that of a signature, or if there are too many of them.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Note, Signer};
    /// let [alice, bob] = [Signer::generate("a.example/log")?, Signer::generate("b.example/log")?];
    /// let note: Note = alice.sign("hello\n")?.parse()?;
    /// let line = bob.sign("hello\n")?.lines().last().unwrap().to_owned() + "\n";
    /// let both = note.with_signatures(&line)?;
    /// assert!(both.verify(alice.verifier()).is_ok() && both.verify(bob.verifier()).is_ok());
    /// assert_eq!(both.with_signatures(&line)?, both);
    /// assert!(note.with_signatures("hello\n").is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn with_signatures(&self, lines: &str) -> Result<Self> {
        let added: Self = format!("{}\n{lines}", self.text).parse()?;
        let mut note = self.clone();
        for signature in added.signatures {
            if !note.signatures.contains(&signature) {
                note.signatures.push(signature);
            }
        }
        if note.signatures.len() > MOST_SIGNATURES {
            return Err(Error::invalid("a note has at most a hundred signatures"));
        }
        Ok(note)
    }

    /// The note with the signature lines of one key in place of its earlier ones. Strict readers refuse two lines of one
    /// key.
    #[cfg(feature = "cli")]
    pub(super) fn with_lines_of(&self, name: &str, hash: [u8; 4], lines: &str) -> Result<Self> {
        let is_other = |one: &&NoteSignature| one.name != name || one.hash != hash;
        let signatures = self.signatures.iter().filter(is_other).cloned().collect();
        Self { text: self.text.clone(), signatures }.with_signatures(lines)
    }

    /// The signature lines of one key.
    #[cfg(feature = "cli")]
    pub(super) fn lines_of(&self, name: &str, hash: [u8; 4]) -> String {
        let is_its = |one: &&NoteSignature| one.name == name && one.hash == hash;
        self.signatures.iter().filter(is_its).map(NoteSignature::line).collect()
    }

    /// The note with the signatures of a key alone.
    #[cfg(feature = "cli")]
    pub(crate) fn signed_by(&self, verifier: &Verifier) -> Self {
        let is_its = |one: &&NoteSignature| one.name == verifier.name() && one.hash == verifier.hash();
        Self { text: self.text.clone(), signatures: self.signatures.iter().filter(is_its).cloned().collect() }
    }

    /// Verifies the signature of a key. Signatures of other keys, such as witnesses', are ignored.
    ///
    /// # Errors
    /// [`Error::Unproven`] without a valid signature of this key.
    ///
    /// ```
    /// # use usage_ledger::{Error, merkle::{Note, Signer}};
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// let forged: Note = signer.sign("1 token\n")?.replace('1', "2").parse()?;
    /// assert!(matches!(forged.verify(signer.verifier()), Err(Error::Unproven { .. })));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, verifier: &Verifier) -> Result<()> {
        let mut from_key =
            self.signatures.iter().filter(|one| one.name == verifier.name() && one.hash == verifier.hash()).peekable();
        if from_key.peek().is_none() {
            return Err(Error::unproven(format!("it has no signature of the key {verifier}")));
        }
        if from_key.all(|one| verifier.is_valid(&self.text, &one.signature)) {
            return Ok(());
        }
        Err(Error::unproven(format!("its signature by {} does not fit its text", verifier.name())))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| f.write_str(&signature.line()))
    }
}

/// Whether a text can be that of a note: complete lines without control characters.
pub(super) fn is_text(text: &str) -> bool {
    text.ends_with('\n') && !text.chars().any(|char| char < ' ' && char != '\n')
}

impl FromStr for Note {
    type Err = Error;

    /// Parses a note. It verifies no signature; [`verify`](Note::verify) does.
    fn from_str(note: &str) -> Result<Self> {
        let bad = |why: &str| Error::invalid(format!("this is no signed note: {why}"));
        if !is_text(note) {
            return Err(bad("it has control characters, or its last line has no end"));
        }
        // The last of several empty lines ends the text.
        let border = note.rfind("\n\n").ok_or_else(|| bad("no empty line ends its text"))?;
        let (text, rest) = note.split_at(border + 1);
        let lines: Vec<&str> = rest.lines().skip(1).collect();
        if lines.is_empty() || lines.len() > MOST_SIGNATURES {
            return Err(bad("it has no signature, or more than a hundred"));
        }
        let signatures = lines.into_iter().map(|line| {
            read(line).ok_or_else(|| bad("under the empty line stand lines such as `— NAME BASE64`, nothing else"))
        });
        Ok(Self { text: text.to_owned(), signatures: signatures.collect::<Result<_>>()? })
    }
}

fn read(line: &str) -> Option<NoteSignature> {
    let (name, base64) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = decode(base64)?;
    let (hash, signature) = bytes.split_first_chunk::<4>()?;
    let whole = is_name(name) && !signature.is_empty();
    whole.then(|| NoteSignature { name: name.to_owned(), hash: *hash, signature: signature.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::Signer;
    use super::*;

    #[test]
    fn a_note_round_trips() {
        let [one, two] = ["a", "b"].map(|name| Signer::generate(name).unwrap());
        let first = one.sign("x\n\ny\n").unwrap();
        let second = two.sign("x\n\ny\n").unwrap();
        let both = format!("{first}{}", second.strip_prefix("x\n\ny\n\n").unwrap());
        let note: Note = both.parse().unwrap();
        assert_eq!(note.to_string(), both);
        assert!(note.verify(one.verifier()).is_ok() && note.verify(two.verifier()).is_ok());
    }

    #[test]
    fn two_signatures_of_one_key_must_both_be_valid() {
        let signer = Signer::generate("a").unwrap();
        let good = signer.sign("x\n").unwrap();
        let other = signer.sign("y\n").unwrap();
        let both = format!("{good}{}", other.strip_prefix("y\n\n").unwrap());
        assert!(both.parse::<Note>().unwrap().verify(signer.verifier()).is_err());
    }

    #[test]
    fn every_changed_byte_is_detected() {
        let signer = Signer::generate("a").unwrap();
        let note = signer.sign("usage-ledger.example/a\n17\n").unwrap();
        for index in 0..note.len() {
            // Flips to a neighbour, to the other case, and to an invalid byte.
            for flip in [0x01, 0x20, 0x80] {
                let mut bytes = note.clone().into_bytes();
                bytes[index] ^= flip;
                let accepted = String::from_utf8(bytes)
                    .is_ok_and(|text| text.parse::<Note>().is_ok_and(|note| note.verify(signer.verifier()).is_ok()));
                assert!(!accepted, "byte {index} by {flip:#x}");
            }
        }
    }

    #[test]
    fn malformed_notes_are_refused() {
        let sig = "— a AAAAAAAA";
        for text in
            ["", "\n", "x\n", "x\n\n", &format!("x\n{sig}\n"), &format!("x\n\n{sig}"), &format!("x\n\n{sig}\nx\n")]
        {
            assert!(text.parse::<Note>().is_err(), "{text:?}");
        }
        assert!(format!("x\n\n{sig}\n").parse::<Note>().is_ok());
        assert!(format!("x\n\n{}", format!("{sig}\n").repeat(101)).parse::<Note>().is_err());
    }
}
