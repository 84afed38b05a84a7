//! Cosignatures of witnesses: Ed25519 with a time, `c2sp.org/tlog-cosignature`.

#[cfg(feature = "cli")]
mod cosigner;

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};

use super::Note;
use super::verifier::{COSIGNATURE, Hex, SECRET, key_hash, split, typed};
use crate::model::error::{Error, Result};

#[cfg(feature = "cli")]
pub use cosigner::Cosigner;

/// The length of a cosignature: a time in seconds, and a signature.
const LEN: usize = 8 + 64;

/// The public key of a witness, with signature type 4.
///
/// ```
/// use usage_ledger::merkle::Witness;
/// let published = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
/// assert_eq!(published.parse::<Witness>()?.to_string(), published);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    name: String,
    hash: [u8; 4],
    key: VerifyingKey,
}

impl Witness {
    fn new(name: &str, key: VerifyingKey) -> Result<Self> {
        // Any message has a valid signature under such a key.
        if key.is_weak() {
            return Err(Error::invalid(format!("the key of the witness {name} is weak: anyone can sign for it")));
        }
        Ok(Self { name: name.to_owned(), hash: key_hash(name, COSIGNATURE, key.as_bytes())?, key })
    }

    /// The name of the witness.
    ///
    /// ```
    /// # use usage_ledger::merkle::Witness;
    /// let witness: Witness = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4".parse()?;
    /// assert_eq!(witness.name(), "witness.example/w1");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lines by which this witness signed a note.
    #[cfg(feature = "cli")]
    pub(crate) fn lines_in(&self, note: &Note) -> String {
        note.lines_of(&self.name, self.hash)
    }

    /// The note with these lines of this witness in place of its earlier ones.
    #[cfg(feature = "cli")]
    pub(crate) fn replace_in(&self, note: &Note, lines: &str) -> Result<Note> {
        note.with_lines_of(&self.name, self.hash, lines)
    }

    /// The key alone. Two witnesses with one key are one witness, whatever their names.
    pub(super) fn key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The time, in seconds since 1970, at which this witness cosigned a checkpoint; `None` without its cosignature. Of
    /// several cosignatures the latest counts.
    ///
    /// # Errors
    /// [`Error::Unproven`] if any cosignature of this key is invalid.
    ///
    /// ```
    /// use usage_ledger::merkle::{Checkpoint, Hash, Note, Signer, Witness};
    /// let witness: Witness = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4".parse()?;
    /// let signer = Signer::generate("a.example/log")?;
    /// let note: Note = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.sign(&signer)?.parse()?;
    /// assert_eq!(witness.cosigned(&note)?, None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn cosigned(&self, note: &Note) -> Result<Option<u64>> {
        let mut latest = None;
        for signature in note.signatures_of(&self.name, self.hash) {
            let time = self
                .time_of(note.text(), signature)
                .ok_or_else(|| Error::unproven(format!("its cosignature by {} does not fit its text", self.name)))?;
            latest = latest.max(Some(time));
        }
        Ok(latest)
    }

    /// The time of a valid cosignature.
    fn time_of(&self, text: &str, cosignature: &[u8]) -> Option<u64> {
        let (time, signature) = cosignature.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let signature = Signature::from_slice(signature).ok()?;
        let is_valid = cosignature.len() == LEN && i64::try_from(time).is_ok();
        (is_valid && self.key.verify_strict(message(text, time).as_bytes(), &signature).is_ok()).then_some(time)
    }
}

/// What a witness signs.
fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, Hex(self.hash), typed(COSIGNATURE, self.key.as_bytes()))
    }
}

impl FromStr for Witness {
    type Err = Error;

    /// Parses `name+hash+base64` with signature type 4.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::invalid(format!(
                "`{}` is no key of a witness: {why}; it is written name+hash+base64 with the signature type 4, as \
                 `usage-ledger witness key` prints it",
                text.escape_debug()
            ))
        };
        if text.starts_with(SECRET) {
            return Err(Error::invalid("this is a secret key: checking needs only the public key of the witness"));
        }
        let (name, hash, kind, key) = split(text).ok_or_else(|| bad("it has another form"))?;
        if kind != COSIGNATURE {
            return Err(bad(&format!("its signature type is {kind}")));
        }
        let key = key.as_slice().try_into().map_err(|_| bad("its key has another length"))?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| bad("its key is no point of the curve"))?;
        let witness = Self::new(name, key)?;
        if witness.hash == hash { Ok(witness) } else { Err(bad("its hash is of another key")) }
    }
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::merkle::text::encode;

    // Made with the Python package aics-tlog 0.2.1, from the seed 00 01 … 1f.
    const SECRET_SEED: [u8; 32] = {
        let mut seed = [0; 32];
        let mut index = 0;
        while index < 32 {
            seed[index] = index as u8;
            index += 1;
        }
        seed
    };
    const VKEY: &str = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    const NOTE: &str = "a.example/log\n\
        17\n\
        q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n\
        extension\n\
        \n\
        — a.example/log RlsiZIw4Q9PKGckI2emA5gxZN7w7hVQ1LLbuiJtip4gQ6vGPG75g0Den7z2665irUHGkx32ibqzra9WaiQoYrCAUDQ4=\n\
        — witness.example/w1 519lMgAAAABkGFDLpVrrglZzOi0NRzg6C9ySTrc0sOjaUS8DYadN7foFdsRaNBRS4QTnNV89XHUQwzO1i91s48MvEmkfEZ2DvqkWBw==\n";

    #[test]
    fn an_independent_cosignature_is_verified_and_reproduced() {
        let witness: Witness = VKEY.parse().unwrap();
        let note: Note = NOTE.parse().unwrap();
        assert_eq!(witness.cosigned(&note).unwrap(), Some(1_679_315_147));
        assert_eq!(witness.to_string(), VKEY);
        let cosigner = Cosigner::new("witness.example/w1", SigningKey::from_bytes(&SECRET_SEED)).unwrap();
        assert_eq!(cosigner.witness(), &witness);
        assert!(NOTE.ends_with(&cosigner.cosign(&note, 1_679_315_147).unwrap()));
    }

    #[test]
    fn a_changed_time_text_or_signature_is_refused() {
        let witness: Witness = VKEY.parse().unwrap();
        let line = NOTE.lines().last().unwrap();
        let bytes = super::super::text::decode(line.rsplit(' ').next().unwrap()).unwrap();
        for index in 4..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let note: Note = NOTE.replace(line, &format!("— witness.example/w1 {}", encode(&changed))).parse().unwrap();
            assert!(witness.cosigned(&note).is_err(), "byte {index}");
        }
        for length in [5, 12, 75, 77] {
            let mut other = bytes.clone();
            other.resize(length, 0);
            let note: Note = NOTE.replace(line, &format!("— witness.example/w1 {}", encode(&other))).parse().unwrap();
            assert!(witness.cosigned(&note).is_err(), "{length} bytes");
        }
        let other: Note = NOTE.replace("extension", "extensiom").parse().unwrap();
        assert!(witness.cosigned(&other).is_err());
        // A time beyond 2^63 - 1 is invalid, even if it is signed.
        let cosigner = Cosigner::new("witness.example/w1", SigningKey::from_bytes(&SECRET_SEED)).unwrap();
        let bare: Note = NOTE.replace(&format!("{line}\n"), "").parse().unwrap();
        let late = bare.with_signatures(&cosigner.cosign(&bare, 1 << 63).unwrap()).unwrap();
        assert!(witness.cosigned(&late).is_err());
    }

    #[test]
    fn keys_of_witnesses_and_of_ledgers_are_told_apart() {
        let signer = super::super::Signer::generate("a.example/log").unwrap();
        assert!(signer.verifier().to_string().parse::<Witness>().unwrap_err().to_string().contains("type is 1"));
        assert!(VKEY.parse::<super::super::Verifier>().is_err());
        let secret = Cosigner::generate("w").unwrap().secret();
        assert!(secret.parse::<Witness>().unwrap_err().to_string().contains("secret"));
        assert!(!format!("{:?}", secret.parse::<Cosigner>().unwrap()).contains(&secret[20..]));
        assert!(signer.secret().parse::<Cosigner>().is_err());
        // The neutral element of the curve verifies any text.
        let mut weak = [0; 32];
        weak[0] = 1;
        let hash = key_hash("w", COSIGNATURE, &weak).unwrap();
        let text = format!("w+{}+{}", Hex(hash), typed(COSIGNATURE, &weak));
        assert!(text.parse::<Witness>().unwrap_err().to_string().contains("weak"));
    }
}
