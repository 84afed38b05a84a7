//! The token that clients must send if the server is reachable from other machines.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::error::{Error, Result};

/// Minimum length: 16 random characters cannot be guessed over a network.
const SHORTEST: usize = 16;
/// Maximum length, so that it fits into a request header.
const LONGEST: usize = 512;

/// A bearer token. Only its hash is stored, so neither a log nor a memory dump of this value reveals the token.
#[derive(Clone)]
pub struct Token {
    hash: [u8; 32],
}

impl Token {
    /// Creates a token that the user chose. Surrounding white space is ignored.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 16 or more than 512 characters, or other characters than visible ASCII.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        if !(SHORTEST..=LONGEST).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "the token must be {SHORTEST} to {LONGEST} visible ASCII characters: \
                 make one with `openssl rand -base64 24`"
            )));
        }
        Ok(Self { hash: hash(text) })
    }

    /// Creates a random token of 256 bits, and returns its text.
    ///
    /// # Errors
    /// [`Error::Store`] when the operating system provides no random bytes.
    pub fn generate() -> Result<(Self, String)> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Error::Store {
            what: "asking the operating system for random bytes".to_owned(),
            source: Box::new(error),
        })?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok((Self { hash: hash(&text) }, text))
    }

    /// Compares with a text in constant time.
    pub(super) fn is(&self, text: &str) -> bool {
        self.hash.ct_eq(&hash(text)).into()
    }
}

/// Hashing gives both sides of the comparison the same length.
fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}
