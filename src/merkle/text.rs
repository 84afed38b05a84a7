//! Encodings in notes, checkpoints and proofs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Hash;
use crate::model::error::{Error, Result};

/// Encodes bytes as standard base64 with padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes standard base64 with padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Encodes a hash for C2SP texts.
pub(super) fn encode_hash(hash: &Hash) -> String {
    encode(hash.as_bytes())
}

/// Decodes a hash from a line of base64.
pub(super) fn decode_hash(line: &str) -> Result<Hash> {
    decode(line)
        .and_then(|bytes| bytes.try_into().ok())
        .map(Hash::from_bytes)
        .ok_or_else(|| Error::invalid(format!("`{line}` is not a hash: a line holds 32 bytes in base64")))
}

/// Parses a decimal number in its canonical spelling: no sign, no leading zeros.
pub(super) fn decode_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Whether a text can name a key or a log: not empty, without blanks, control characters and `+`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|char| char.is_whitespace() || char.is_control() || char == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for (text, number) in [("0", Some(0)), ("10", Some(10)), ("18446744073709551615", Some(u64::MAX))] {
            assert_eq!(decode_number(text), number);
        }
        for text in ["", "01", "+1", "-1", " 1", "1 ", "1.0", "18446744073709551616"] {
            assert_eq!(decode_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_hash_is_thirty_two_bytes() {
        assert_eq!(decode_hash(&encode_hash(&Hash::EMPTY)).unwrap(), Hash::EMPTY);
        for text in ["", "AAAA", "!", &encode(&[0; 33])] {
            assert!(decode_hash(text).is_err(), "{text:?}");
        }
    }
}
