//! The two halves of an Ed25519 key, written as the signed note of C2SP writes them.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::text::{decode, encode, is_name};
use crate::error::{Error, Result};

/// The signature type of Ed25519.
const ED25519: u8 = 1;
/// What a secret key starts with, so that nobody takes it for a public one.
const SECRET: &str = "PRIVATE+KEY+";

/// The half of a key that signs. Keep it where the ledger is not: who has both can tell another history.
///
/// ```
/// use usage_ledger::audit::{Note, Signer};
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
    /// The name is also the origin of the checkpoints that it signs: choose one that is only this ledger's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or has blanks, control characters or `+`; [`Error::Store`] when the
    /// system has no randomness.
    ///
    /// ```
    /// use usage_ledger::audit::Signer;
    /// assert!(Signer::generate("usage-ledger.example/alice").is_ok());
    /// assert!(Signer::generate("my ledger").is_err());
    /// ```
    pub fn generate(name: &str) -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::Store {
            what: "asking the system for randomness".to_owned(),
            source: error.to_string().into(),
        })?;
        Self::new(name, SigningKey::from_bytes(&seed))
    }

    fn new(name: &str, key: SigningKey) -> Result<Self> {
        Ok(Self { verifier: Verifier::new(name, key.verifying_key())?, key })
    }

    /// The half that others check with.
    ///
    /// ```
    /// # use usage_ledger::audit::Signer;
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// assert!(signer.verifier().to_string().starts_with("usage-ledger.example/alice+"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The secret itself, to be kept: `PRIVATE+KEY+name+hash+base64`. It is no `Display`, so that no log gets it by
    /// accident.
    ///
    /// ```
    /// # use usage_ledger::audit::Signer;
    /// let signer = Signer::generate("usage-ledger.example/alice")?;
    /// let kept = signer.secret();
    /// assert_eq!(kept.parse::<Signer>()?.verifier(), signer.verifier());
    /// assert!(!format!("{signer:?}").contains(&kept));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn secret(&self) -> String {
        let Verifier { name, hash, .. } = &self.verifier;
        format!("{SECRET}{name}+{}+{}", Hex(*hash), typed(self.key.as_bytes()))
    }

    /// Signs a text: the text, an empty line, and a line with the signature.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a text that does not end its last line or has control characters.
    ///
    /// ```
    /// # use usage_ledger::audit::Signer;
    /// let note = Signer::generate("usage-ledger.example/alice")?.sign("hello\n")?;
    /// assert!(note.starts_with("hello\n\n— usage-ledger.example/alice "));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn sign(&self, text: &str) -> Result<String> {
        if !super::note::is_text(text) {
            return Err(Error::invalid("a text to sign ends with a newline and has no other control characters"));
        }
        let Verifier { name, hash, .. } = &self.verifier;
        let mut signature = hash.to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        Ok(format!("{text}\n— {name} {}\n", encode(&signature)))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl FromStr for Signer {
    type Err = Error;

    /// Reads `PRIVATE+KEY+name+hash+base64`. The message of a failure does not repeat it.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "this is no secret key: it is written PRIVATE+KEY+name+hash+base64, \
                 as `usage-ledger key generate` makes it",
            )
        };
        let (name, hash, seed) = text.strip_prefix(SECRET).and_then(split).ok_or_else(bad)?;
        let signer = Self::new(name, SigningKey::from_bytes(&seed)).map_err(|_| bad())?;
        if signer.verifier.hash == hash { Ok(signer) } else { Err(bad()) }
    }
}

/// The half of a key that checks. It is no secret: give it to whoever is to check.
///
/// ```
/// use usage_ledger::audit::{Note, Verifier};
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
    fn new(name: &str, key: VerifyingKey) -> Result<Self> {
        if !is_name(name) {
            return Err(Error::invalid(format!(
                "`{}` cannot name a key: use a text without blanks and `+`, such as usage-ledger.example/alice",
                name.escape_debug()
            )));
        }
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', ED25519]);
        hasher.update(key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        Ok(Self { name: name.to_owned(), hash: [a, b, c, d], key })
    }

    /// The name of the key, and of the log whose checkpoints it signs.
    ///
    /// ```
    /// # use usage_ledger::audit::Signer;
    /// assert_eq!(Signer::generate("usage-ledger.example/alice")?.verifier().name(), "usage-ledger.example/alice");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key), by which signatures name their key.
    pub(super) const fn hash(&self) -> [u8; 4] {
        self.hash
    }

    /// Whether a signature of this key stands for a text.
    pub(super) fn fits(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| {
            // The strict rule: no key and no signature in a form that others read otherwise.
            self.key.verify_strict(text.as_bytes(), &signature).is_ok()
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, Hex(self.hash), typed(self.key.as_bytes()))
    }
}

impl FromStr for Verifier {
    type Err = Error;

    /// Reads `name+hash+base64`.
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
        let (name, hash, key) = split(text).ok_or_else(bad)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| bad())?;
        let verifier = Self::new(name, key).map_err(|_| bad())?;
        if verifier.hash == hash { Ok(verifier) } else { Err(bad()) }
    }
}

/// Four bytes as eight hexadecimal digits.
struct Hex([u8; 4]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key with its type in front, in base64.
fn typed(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    encode(&bytes)
}

/// The parts of `name+hash+base64`; base64 may have a `+` of its own.
fn split(text: &str) -> Option<(&str, [u8; 4], [u8; 32])> {
    let (name, rest) = text.split_once('+')?;
    let (hash, key) = rest.split_once('+')?;
    if hash.len() != 8 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let hash = u32::from_str_radix(hash, 16).ok()?.to_be_bytes();
    let bytes = decode(key)?;
    let (kind, key) = bytes.split_first()?;
    (*kind == ED25519).then_some((name, hash, key.try_into().ok()?))
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
    fn the_example_of_go_is_signed_to_the_letter() {
        let signer: Signer = SECRET_KEY.parse().unwrap();
        assert_eq!(signer.verifier().to_string(), PUBLIC_KEY);
        assert_eq!(signer.secret(), SECRET_KEY);
        assert_eq!(signer.sign(TEXT).unwrap(), NOTE);
        NOTE.parse::<Note>().unwrap().verify(&PUBLIC_KEY.parse().unwrap()).unwrap();
    }

    #[test]
    fn a_key_that_is_not_whole_is_refused() {
        for (index, _) in PUBLIC_KEY.char_indices() {
            assert!(PUBLIC_KEY[..index].parse::<Verifier>().is_err(), "cut at {index}");
            let mut other = PUBLIC_KEY.to_owned();
            other.replace_range(index..=index, if &PUBLIC_KEY[index..=index] == "A" { "B" } else { "A" });
            // A hash may be written in upper case; everything else is another key.
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
    fn a_text_to_sign_is_whole_lines() {
        let signer = Signer::generate("a").unwrap();
        for text in ["", "no end", "a\tb\n", "a\r\n"] {
            assert!(signer.sign(text).is_err(), "{text:?}");
        }
    }
}
