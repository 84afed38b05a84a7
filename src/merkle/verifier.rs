//! The public half of an Ed25519 key, in the format of the C2SP signed note.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::text::{decode, encode, is_name};
use crate::model::error::{Error, Result};

/// The signature type of Ed25519.
pub(super) const ED25519: u8 = 1;
/// The signature type of a witness: Ed25519 with a time.
pub(super) const COSIGNATURE: u8 = 4;
/// The prefix of a secret key, which distinguishes it from a public one.
pub(super) const SECRET: &str = "PRIVATE+KEY+";

/// The verifying half of a key. It is not secret: publish it.
///
/// ```
/// use usage_ledger::merkle::{Note, Verifier};
/// // The example of Go's `sumdb/note`, which writes and reads the same format.
/// let verifier: Verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse()?;
/// let note: Note = "If you think cryptography is the answer to your problem,\n\
///     then you don't know what your problem is.\n\n\
///     — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
///     .parse()?;
/// assert!(note.verify(&verifier).is_ok());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    hash: [u8; 4],
    key: VerifyingKey,
}

impl Verifier {
    pub(super) fn new(name: &str, key: VerifyingKey) -> Result<Self> {
        Ok(Self { name: name.to_owned(), hash: key_hash(name, ED25519, key.as_bytes())?, key })
    }

    /// The name of the key, and of the log whose checkpoints it signs.
    ///
    /// ```
    /// # use usage_ledger::merkle::Signer;
    /// assert_eq!(Signer::generate("usage-ledger.example/alice")?.verifier().name(), "usage-ledger.example/alice");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key), by which signatures identify their key.
    pub(super) const fn hash(&self) -> [u8; 4] {
        self.hash
    }

    /// The key alone.
    pub(super) fn key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether a signature of this key is valid for a text.
    pub(super) fn is_valid(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| {
            // Strict verification rejects keys and signatures whose encoding other implementations interpret
            // differently.
            self.key.verify_strict(text.as_bytes(), &signature).is_ok()
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, Hex(self.hash), typed(ED25519, self.key.as_bytes()))
    }
}

impl FromStr for Verifier {
    type Err = Error;

    /// Parses `name+hash+base64`.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with(SECRET) {
            return Err(Error::invalid(
                "this is a secret key: checking needs only what `usage-ledger key show` prints of it",
            ));
        }
        let bad = || {
            Error::invalid(format!(
                "`{}` is no verifier key: it is written name+hash+base64, as `usage-ledger key show` prints it",
                text.escape_debug()
            ))
        };
        let (name, hash, kind, key) = split(text).ok_or_else(bad)?;
        if kind == COSIGNATURE {
            return Err(Error::invalid(format!("{text} is the key of a witness, where that of a ledger is expected")));
        }
        let key = key.as_slice().try_into().map_err(|_| bad())?;
        let key = VerifyingKey::from_bytes(key).ok().filter(|_| kind == ED25519).ok_or_else(bad)?;
        let verifier = Self::new(name, key).map_err(|_| bad())?;
        if verifier.hash == hash { Ok(verifier) } else { Err(bad()) }
    }
}

/// Four bytes as eight hexadecimal digits.
pub(super) struct Hex(pub [u8; 4]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key), by which signatures identify their key.
pub(super) fn key_hash(name: &str, kind: u8, key: &[u8; 32]) -> Result<[u8; 4]> {
    if !is_name(name) {
        return Err(Error::invalid(format!(
            "`{}` cannot name a key: use a text without blanks and `+`, such as usage-ledger.example/alice",
            name.escape_debug()
        )));
    }
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update([b'\n', kind]);
    hasher.update(key);
    let digest: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, ..] = digest;
    Ok([a, b, c, d])
}

/// A key prefixed with its type, in base64.
pub(super) fn typed(kind: u8, key: &[u8; 32]) -> String {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(key);
    encode(&bytes)
}

/// Splits `name+hash+base64` into name, hash, type and key. The base64 part may contain a `+`.
pub(super) fn split(text: &str) -> Option<(&str, [u8; 4], u8, Vec<u8>)> {
    let (name, rest) = text.split_once('+')?;
    let (hash, key) = rest.split_once('+')?;
    if hash.len() != 8 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let hash = u32::from_str_radix(hash, 16).ok()?.to_be_bytes();
    let bytes = decode(key)?;
    let (kind, key) = bytes.split_first()?;
    Some((name, hash, *kind, key.to_vec()))
}
