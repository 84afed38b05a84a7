use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::model::error::{Error, Result};
use crate::model::event::{Position, Tombstone};

/// A SHA-256 hash of a leaf, an inner node or the root of the tree.
///
/// ```
/// use usage_ledger::merkle::Hash;
/// // RFC 6962: the root of an empty tree is the hash of nothing.
/// let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(Hash::EMPTY.to_string(), text);
/// assert_eq!(text.parse::<Hash>()?, Hash::EMPTY);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The length of a hash in bytes.
    pub(crate) const LEN: usize = 32;

    /// The root of an empty tree: SHA-256 of the empty string (RFC 6962 §2.1).
    ///
    /// ```
    /// use usage_ledger::{Ledger, merkle::Hash};
    /// assert_eq!(Ledger::in_memory()?.root()?, Hash::EMPTY);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
        0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// A hash from its bytes.
    ///
    /// ```
    /// # use usage_ledger::merkle::Hash;
    /// assert_eq!(Hash::from_bytes([0xab; 32]).to_string(), "ab".repeat(32));
    /// ```
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The leaf hash of a line: SHA-256(0x00 ‖ line), without a newline at its end.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Hash};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(Hash::of_line(&ledger.event(1)?.to_line()?), ledger.root()?); // of one line, it is the root
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn of_line(line: impl AsRef<[u8]>) -> Self {
        leaf_hash(line.as_ref())
    }

    /// Its bytes.
    ///
    /// ```
    /// # use usage_ledger::merkle::Hash;
    /// assert_eq!(Hash::from_bytes(*Hash::EMPTY.as_bytes()), Hash::EMPTY);
    /// ```
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// RFC 6962 leaf hash: SHA-256(0x00 ‖ line).
pub(crate) fn leaf_hash(line: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(line);
    Hash(hasher.finalize().into())
}

/// The leaf hash of the stored line at a position. A tombstone states the hash of the erased line.
pub(crate) fn stored_leaf(position: Position, line: &str) -> Result<Hash> {
    match Tombstone::read(position, line)? {
        None => Ok(leaf_hash(line.as_bytes())),
        Some(tombstone) => tombstone
            .leaf
            .parse()
            .map_err(|_| Error::damaged(position, "the tombstone in place of the line has a leaf hash that is none")),
    }
}

/// RFC 6962 node hash: SHA-256(0x01 ‖ left ‖ right).
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [1_u8; 65];
    let (_, rest) = block.split_at_mut(1);
    let (first, second) = rest.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    Hash(Sha256::digest(block).into())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;
    /// Reads 64 hexadecimal digits, in either case.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("`{text}` is not a hash: write 64 hexadecimal digits"));
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (slot, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *slot = text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad)?;
        }
        Ok(Self(bytes))
    }
}
