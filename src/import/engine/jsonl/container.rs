//! Skips whole objects and arrays.

/// Bytes per step: one bit each in a 64-bit word.
const BLOCK: usize = 64;

/// Returns one bit for each byte of the block that equals `wanted`; the first byte is the lowest bit.
#[inline]
fn bits(block: &[u8; BLOCK], wanted: u8) -> u64 {
    /// Multiplier that collects the lowest bits of eight bytes in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let hits = block.map(|byte| u8::from(byte == wanted));
    let (eights, _) = hits.as_chunks::<8>();
    eights.iter().rev().fold(0, |bits, eight| (bits << 8) | (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56))
}

/// Returns the length of the object or array at the start of `bytes`, if its brackets match.
///
/// Tool output contains many escaped quotes, so stopping at each is slow. Words with one bit per byte state which
/// quotes are escaped and which bytes are outside strings. Only the remaining few bytes are examined one by one.
pub(super) fn container(bytes: &[u8]) -> Option<usize> {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    // All bits are set while a string continues into the next block.
    let mut in_string = 0_u64;
    // One if the next block begins with an escaped byte.
    let mut escape = 0_u64;
    // Kinds of the open brackets, the innermost in the lowest bit: 1 is an object.
    let (mut open, mut depth) = (0_u64, 0_u32);
    let mut padded = [b' '; BLOCK];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (block, after) = rest.split_first_chunk::<BLOCK>().unwrap_or_else(|| {
            padded.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
            (&padded, &[])
        });
        // JSON text contains no bare control characters. If there is one, the line was overwritten.
        if block.iter().fold(b' ', |least, byte| least.min(*byte)) < b' ' {
            return None;
        }
        let backslashes = bits(block, b'\\');
        let mut quotes = bits(block, b'"');
        if backslashes | escape != 0 {
            // A backslash run of odd length escapes the byte after it. Adding the first bit of the run carries to the
            // byte after the run, and the parity of its position gives the length.
            let starting = backslashes & !escape;
            let behind = (starting << 1) | escape;
            let (sums, carried) = (starting & !EVEN & !behind).overflowing_add(starting);
            escape = u64::from(carried);
            quotes &= !((EVEN ^ (sums << 1)) & behind);
        }
        // Set every bit between an opening quote and its closing quote.
        let mut inside = quotes;
        for by in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << by;
        }
        inside ^= in_string;
        in_string = 0_u64.wrapping_sub(inside >> 63);
        let mut outside = !(inside | quotes);
        while outside != 0 {
            let at = outside.trailing_zeros() as usize;
            outside &= outside - 1;
            match block.get(at)? {
                kind @ (b'{' | b'[') => {
                    depth += 1;
                    if depth > u64::BITS {
                        return None;
                    }
                    open = (open << 1) | u64::from(*kind == b'{');
                }
                kind @ (b'}' | b']') => {
                    if open & 1 != u64::from(*kind == b'}') {
                        return None;
                    }
                    open >>= 1;
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(bytes.len() - rest.len() + at + 1);
                    }
                }
                byte if is_plain(*byte) => {}
                _ => return None,
            }
        }
        rest = after;
    }
    None
}

/// Returns whether a byte other than a bracket may occur outside strings. Letters are those of `true`, `false`, `null`
/// and exponents. Any other letter shows that a string was cut.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b' ' | b'0'..=b'9' | b'-' | b'+' | b'.')
        || matches!(byte, b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that are hard to skip, each at any distance from block borders.
    fn hard() -> Vec<String> {
        let mut values: Vec<String> = [
            r#"{"a":[1,2.5e-3,true,null,{"b":"}]"}]}"#,
            r#"["\"","\\","\\\"","\\\\",""]"#,
            r#"[[],{},"{[",["\u00e9"]]"#,
            r#"{"use":"{\"usage\":{\"x\":\"\\\\\\\"\"}}"}"#,
        ]
        .map(str::to_owned)
        .into();
        for run in 0..70 {
            values.push(format!(r#"["{}{}","]"]"#, "x".repeat(run), r"\\".repeat(run)));
            values.push(format!(r#"["{}\"]","]"]"#, r"\\".repeat(run)));
        }
        values
    }

    #[test]
    fn containers_are_skipped_at_every_block_offset() {
        for value in hard() {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok(), "{value}");
            for pad in 0..130 {
                let padded = format!("[\"{}\",{value}]", "p".repeat(pad));
                let followed = format!("{padded},\"]\":[]}}");
                assert_eq!(container(padded.as_bytes()), Some(padded.len()), "{padded}");
                assert_eq!(container(followed.as_bytes()), Some(padded.len()), "{followed}");
            }
        }
    }

    #[test]
    fn broken_containers_are_declined() {
        for text in ["[", "{]", "[}", "[\"a]", r#"["abc{"parentUuid":"x"}]"#, "]", "[[]", "[?]", "[\"a\0b\"]"] {
            assert_eq!(container(text.as_bytes()), None, "{text}");
        }
        assert_eq!(container("[".repeat(100).as_bytes()), None);
    }
}
