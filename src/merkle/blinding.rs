//! Salts for blinded leaves: reproducible with the signing key, unpredictable without it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::Hash;
use crate::model::error::Result;
use crate::model::invariant::bug;

/// Separates these keys from every other use of the signing key.
const PURPOSE: &[u8] = b"usage-ledger row blinding v1";

/// A value that hides the content of a leaf.
pub(crate) type Salt = [u8; 32];

/// Derives the salts of one seal.
///
/// A salt is HMAC-SHA-256 of the leaf's content under a key of its seal, which is HMAC-SHA-256 of the seal's statement
/// under a key that is derived from the signing key. Nothing has to be stored, and a revealed salt says nothing about
/// another one.
pub(crate) struct Blinding([u8; 32]);

impl Blinding {
    /// The blinding of one statement. `secret` is the secret half of the signing key.
    pub(super) fn new(secret: &[u8; 32], statement: &str) -> Result<Self> {
        let purpose = hmac(secret, &[PURPOSE])?;
        Ok(Self(hmac(&purpose, &[statement.as_bytes()])?))
    }

    /// The blinding of the rows of one total.
    pub(crate) fn of_rows(&self, name: Option<&str>) -> Result<Self> {
        let is_named = [u8::from(name.is_some())];
        Ok(Self(hmac(&self.0, &[b"rows\0", &is_named, name.unwrap_or_default().as_bytes()])?))
    }

    /// The salt of a content.
    pub(super) fn salt(&self, content: &str) -> Result<Salt> {
        hmac(&self.0, &[b"leaf\0", content.as_bytes()])
    }

    /// A hash in place of a leaf, which nobody else can tell from the hash of a content.
    pub(super) fn padding(&self, number: u64) -> Result<Hash> {
        Ok(Hash::from_bytes(hmac(&self.0, &[b"padding\0", &number.to_be_bytes()])?))
    }
}

/// The hash of a blinded leaf: SHA-256(0x00 ‖ salt ‖ content).
pub(crate) fn blinded_leaf(salt: &Salt, content: &str) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(salt);
    hasher.update(content);
    Hash::from_bytes(hasher.finalize().into())
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Result<[u8; 32]> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).map_err(|error| bug!("HMAC refuses a key of 32 bytes ({error})"))?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_are_reproducible_and_differ_by_key_statement_and_content() {
        let salt = |secret: u8, statement: &str, content: &str| {
            Blinding::new(&[secret; 32], statement).unwrap().salt(content).unwrap()
        };
        let one = salt(1, "may", "acme");
        assert_eq!(one, salt(1, "may", "acme"));
        for other in [salt(2, "may", "acme"), salt(1, "june", "acme"), salt(1, "may", "globex")] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_salt_is_what_an_independent_computation_yields() {
        // python3: h = lambda k, m: hmac.new(k, m, 'sha256').digest()
        // h(h(h(bytes(range(32)), b'usage-ledger row blinding v1'), b'may'), b'leaf\0acme').hex()
        let secret: [u8; 32] = std::array::from_fn(|index| index as u8);
        let salt = Blinding::new(&secret, "may").unwrap().salt("acme").unwrap();
        assert_eq!(
            Hash::from_bytes(salt).to_string(),
            "f11c45fada380f89ee72f1546867a591098090fec294a2f34fef61c54176919a"
        );
        // hashlib.sha256(b'\0' + salt + b'acme').hexdigest()
        assert_eq!(
            blinded_leaf(&salt, "acme").to_string(),
            "7b0ef5a5fefc33efbd8559ac4fae9aa7f42146b79d4084073e7b9edbc1ca3012"
        );
    }
}
