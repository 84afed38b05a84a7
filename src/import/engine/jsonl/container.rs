//! Steps over whole objects and arrays.

/// Bytes looked at together: one bit of a word each.
const BLOCK: usize = 64;

/// One bit for every byte of the block that is the wanted one, the first byte lowest.
#[inline]
fn bits(block: &[u8; BLOCK], wanted: u8) -> u64 {
    /// Brings the lowest bits of eight bytes together in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let hits = block.map(|byte| u8::from(byte == wanted));
    let (eights, _) = hits.as_chunks::<8>();
    eights.iter().rev().fold(0, |bits, eight| (bits << 8) | (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56))
}

/// How far the object or array at the front of `bytes` reaches, if its brackets match.
///
/// Tool output is dense with escaped quotes, so stopping at each is slow. A word of bits per 64 bytes says which
/// quotes are escaped and which bytes are outside of strings; only those few are looked at one by one.
pub(super) fn container(bytes: &[u8]) -> Option<usize> {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    // All bits are set while a string goes on into the next block.
    let mut in_string = 0_u64;
    // One when the next block begins with an escaped byte.
    let mut escape = 0_u64;
    // The kinds of the brackets that are open, the innermost lowest: 1 is an object.
    let (mut open, mut depth) = (0_u64, 0_u32);
    let mut padded = [b' '; BLOCK];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (block, after) = rest.split_first_chunk::<BLOCK>().unwrap_or_else(|| {
            padded.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
            (&padded, &[])
        });
        // No text holds these bare: where they stand, something else was written over the line.
        if block.iter().fold(b' ', |least, byte| least.min(*byte)) < b' ' {
            return None;
        }
        let backslashes = bits(block, b'\\');
        let mut quotes = bits(block, b'"');
        if backslashes | escape != 0 {
            // A run of backslashes escapes what follows it when its length is odd: adding its first bit to the run
            // carries to the byte behind it, whose place (odd or even) then tells the length.
            let starting = backslashes & !escape;
            let behind = (starting << 1) | escape;
            let (sums, carried) = (starting & !EVEN & !behind).overflowing_add(starting);
            escape = u64::from(carried);
            quotes &= !((EVEN ^ (sums << 1)) & behind);
        }
        // Every bit between an opening quote and its closing one.
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

/// Whether a byte may stand outside of strings besides brackets. Of letters those of `true`, `false`, `null` and
/// exponents do; any other shows that a string was cut.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b' ' | b'0'..=b'9' | b'-' | b'+' | b'.')
        || matches!(byte, b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that are hard to step over, each with any distance to the borders of blocks.
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
    fn containers_are_stepped_over_wherever_the_blocks_begin() {
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
