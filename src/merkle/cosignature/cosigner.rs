//! The secret key of a witness.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey};

use super::{Witness, message};
use crate::merkle::signer::random_key;
use crate::merkle::text::encode;
use crate::merkle::verifier::{COSIGNATURE, Hex, SECRET, split, typed};
use crate::merkle::{Checkpoint, Note};
use crate::model::error::{Error, Result};

/// The secret key of a witness. It signs nothing else, and no ledger's checkpoints.
pub struct Cosigner {
    witness: Witness,
    key: SigningKey,
}

impl Cosigner {
    /// A new key from the system's randomness, under the name of a witness.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or has blanks, control characters or `+`; [`Error::Store`] if the
    /// system provides no randomness.
    pub fn generate(name: &str) -> Result<Self> {
        Self::new(name, random_key()?)
    }

    pub(super) fn new(name: &str, key: SigningKey) -> Result<Self> {
        Ok(Self { witness: Witness::new(name, key.verifying_key())?, key })
    }

    /// The public half.
    pub const fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The secret key as text, to be stored: `PRIVATE+KEY+name+hash+base64`.
    pub fn secret(&self) -> String {
        let Witness { name, hash, .. } = &self.witness;
        format!("{SECRET}{name}+{}+{}", Hex(*hash), typed(COSIGNATURE, self.key.as_bytes()))
    }

    /// A signature line for a checkpoint, made at a time in seconds since 1970. The caller has checked that the
    /// checkpoint continues the last one that it cosigned.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the note is not a checkpoint.
    pub(crate) fn cosign(&self, note: &Note, time: u64) -> Result<String> {
        let _: Checkpoint = note.text().parse()?;
        let signature = self.key.sign(message(note.text(), time).as_bytes()).to_bytes();
        let bytes = [&self.witness.hash[..], &time.to_be_bytes(), &signature].concat();
        Ok(format!("— {} {}\n", self.witness.name, encode(&bytes)))
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cosigner").field("witness", &self.witness).finish_non_exhaustive()
    }
}

impl FromStr for Cosigner {
    type Err = Error;

    /// Parses `PRIVATE+KEY+name+hash+base64` with signature type 4. Error messages do not repeat it.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "this is no secret key of a witness: `usage-ledger witness key generate` makes one, and the key of a \
                 ledger cannot stand for it",
            )
        };
        let (name, hash, kind, seed) = text.strip_prefix(SECRET).and_then(split).ok_or_else(bad)?;
        let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| bad())?;
        let cosigner = Self::new(name, SigningKey::from_bytes(&seed)).map_err(|_| bad())?;
        if kind == COSIGNATURE && cosigner.witness.hash == hash { Ok(cosigner) } else { Err(bad()) }
    }
}
