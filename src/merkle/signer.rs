//! The secret half of an Ed25519 key, in the format of Go's `sumdb/note`.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey};

use super::blinding::Blinding;
use super::text::encode;
use super::verifier::{ED25519, Hex, SECRET, Verifier, split, typed};
use crate::model::error::{Error, Result};

/// The signing half of a key. Keep it away from the ledger: a person with both can forge another history.
///
/// ```
/// use usage_ledger::merkle::{Note, Signer};
/// let signer = Signer::generate("usage-ledger.example/alice")?;
/// let note = signer.sign("the root is 42\n")?;
/// assert!(note.parse::<Note>()?.verify(signer.verifier()).is_ok());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub struct Signer {
    verifier: Verifier,
    key: SigningKey,
}

impl Signer {
    /// A new key from the system's randomness, under a name.
    ///
    /// The name is also the origin of the checkpoints that it signs. Choose a name that is unique to this ledger.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or has blanks, control characters or `+`; [`Error::Store`] if the
    /// system provides no randomness.
    ///
    /// ```
    /// use usage_ledger::merkle::Signer;
    /// assert!(Signer::generate("usage-ledger.example/alice").is_ok());
    /// assert!(Signer::generate("my ledger").is_err());
    /// ```
    pub fn generate(name: &str) -> Result<Self> {
        Self::new(name, random_key()?)
    }

    fn new(name: &str, key: SigningKey) -> Result<Self> {
        Ok(Self { verifier: Verifier::new(name, key.verifying_key())?, key })
    }

    /// The public half.
    ///
    /// ```
    /// # use usage_ledger::merkle::Signer;
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// assert!(signer.verifier().to_string().starts_with("usage-ledger.example/alice+"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The secret key as text, to be stored: `PRIVATE+KEY+name+hash+base64`. There is no `Display`, so that no log
    /// prints it by accident.
    ///
    /// ```
    /// # use usage_ledger::merkle::Signer;
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// let kept = signer.secret();
    /// assert_eq!(kept.parse::<Signer>()?.verifier(), signer.verifier());
    /// assert!(!format!("{signer:?}").contains(&kept));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn secret(&self) -> String {
        let (name, hash) = (self.verifier.name(), self.verifier.hash());
        format!("{SECRET}{name}+{}+{}", Hex(hash), typed(ED25519, self.key.as_bytes()))
    }

    /// The salts of the blinded rows of a statement.
    pub(crate) fn blinding(&self, statement: &str) -> Result<Blinding> {
        Blinding::new(self.key.as_bytes(), statement)
    }

    /// Signs a text: the text, an empty line, and a line with the signature.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a text without a newline at its end or with control characters.
    ///
    /// ```
    /// # use usage_ledger::merkle::Signer;
    /// let note = Signer::generate("usage-ledger.example/alice")?.sign("hello\n")?;
    /// assert!(note.starts_with("hello\n\n— usage-ledger.example/alice "));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn sign(&self, text: &str) -> Result<String> {
        if !super::note::is_text(text) {
            return Err(Error::invalid("a text to sign ends with a newline and has no other control characters"));
        }
        let (name, hash) = (self.verifier.name(), self.verifier.hash());
        let mut signature = hash.to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        Ok(format!("{text}\n— {name} {}\n", encode(&signature)))
    }
}

/// A new key from the system's randomness.
pub(super) fn random_key() -> Result<SigningKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Store {
        what: "asking the system for randomness".to_owned(),
        source: error.to_string().into(),
    })?;
    Ok(SigningKey::from_bytes(&seed))
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl FromStr for Signer {
    type Err = Error;

    /// Parses `PRIVATE+KEY+name+hash+base64`. Error messages do not repeat it.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "this is no secret key: it is written PRIVATE+KEY+name+hash+base64, \
                 as `usage-ledger key generate` makes it",
            )
        };
        let (name, hash, kind, seed) = text.strip_prefix(SECRET).and_then(split).ok_or_else(bad)?;
        let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| bad())?;
        let signer = Self::new(name, SigningKey::from_bytes(&seed)).map_err(|_| bad())?;
        if kind == ED25519 && signer.verifier.hash() == hash { Ok(signer) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Note;
    use super::*;

    // The example of Go's golang.org/x/mod/sumdb/note.
    const SECRET_KEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const PUBLIC_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_signature_of_the_go_example_is_reproduced() {
        let signer: Signer = SECRET_KEY.parse().unwrap();
        assert_eq!(signer.verifier().to_string(), PUBLIC_KEY);
        assert_eq!(signer.secret(), SECRET_KEY);
        assert_eq!(signer.sign(TEXT).unwrap(), NOTE);
        NOTE.parse::<Note>().unwrap().verify(&PUBLIC_KEY.parse().unwrap()).unwrap();
    }

    #[test]
    fn an_incomplete_key_is_refused() {
        for (index, _) in PUBLIC_KEY.char_indices() {
            assert!(PUBLIC_KEY[..index].parse::<Verifier>().is_err(), "cut at {index}");
            let mut other = PUBLIC_KEY.to_owned();
            other.replace_range(index..=index, if &PUBLIC_KEY[index..=index] == "A" { "B" } else { "A" });
            // A hash may be in upper case; every other change gives another key.
            let upper = other.eq_ignore_ascii_case(PUBLIC_KEY) && (13..21).contains(&index);
            assert_eq!(other.parse::<Verifier>().is_ok(), upper, "{other}");
        }
        let secret = SECRET_KEY.parse::<Verifier>().unwrap_err().to_string();
        assert!(!secret.contains("AYEK") && secret.contains("key show"), "{secret}");
        let cut = SECRET_KEY[..60].parse::<Signer>().unwrap_err().to_string();
        assert!(!cut.contains("AYEK"), "{cut}");
    }

    #[test]
    fn a_name_is_one_word_without_a_plus() {
        for name in ["", " ", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{7}"] {
            assert!(Signer::generate(name).is_err(), "{name:?}");
        }
        let one = Signer::generate("a").unwrap();
        assert_ne!(one.verifier(), Signer::generate("a").unwrap().verifier());
    }

    #[test]
    fn a_text_to_sign_must_end_with_a_line_break() {
        let signer = Signer::generate("a").unwrap();
        for text in ["", "no end", "a\tb\n", "a\r\n"] {
            assert!(signer.sign(text).is_err(), "{text:?}");
        }
    }
}
