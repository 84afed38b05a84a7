//! Variable-length integers: LEB128, with zigzag encoding for signed ones.

pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            // The tenth byte has only one bit, and each number has one spelling.
            let canonical = *byte != 0 || shift == 0;
            return (canonical && (shift < 63 || *byte <= 1)).then_some(value);
        }
    }
    None
}

/// Passes over a number.
pub(crate) fn skip(bytes: &mut &[u8]) -> Option<()> {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    *bytes = bytes.get(last + 1..)?;
    Some(())
}

/// Writes a number of up to 128 bits. A number of up to 64 bits has the bytes of [`put`].
pub(crate) fn put_u128(out: &mut Vec<u8>, mut value: u128) {
    while value > u128::from(u64::MAX) {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    put(out, value as u64);
}

pub(crate) fn take_u128(bytes: &mut &[u8]) -> Option<u128> {
    let mut value = 0_u128;
    for shift in (0..128).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u128::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            // The nineteenth byte has only two bits, and each number has one spelling.
            let canonical = *byte != 0 || shift == 0;
            return (canonical && (shift < 126 || *byte <= 3)).then_some(value);
        }
    }
    None
}

pub(crate) fn put_wide(out: &mut Vec<u8>, value: i128) {
    let zigzag = ((value << 1) ^ (value >> 127)) as u128;
    put(out, zigzag as u64);
    put(out, (zigzag >> 64) as u64);
}

pub(crate) fn take_wide(bytes: &mut &[u8]) -> Option<i128> {
    let low = u128::from(take(bytes)?);
    let zigzag = low | (u128::from(take(bytes)?) << 64);
    Some(((zigzag >> 1) as i128) ^ -((zigzag & 1) as i128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for value in [0, 1, 127, 128, 300, u64::MAX / 2, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, value);
            let mut bytes = out.as_slice();
            assert_eq!(take(&mut bytes), Some(value));
            assert!(bytes.is_empty());
        }
        for value in [0, 127, 128, u128::from(u64::MAX), 1 << 64, 1 << 70, u128::MAX / 2, u128::MAX] {
            let mut out = Vec::new();
            put_u128(&mut out, value);
            assert_eq!(take_u128(&mut out.as_slice()), Some(value));
            if let Ok(small) = u64::try_from(value) {
                let mut same = Vec::new();
                put(&mut same, small);
                assert_eq!(out, same);
            }
        }
        for value in [0, 1, -1, i128::from(i64::MIN), i128::MAX, i128::MIN] {
            let mut out = Vec::new();
            put_wide(&mut out, value);
            assert_eq!(take_wide(&mut out.as_slice()), Some(value));
        }
    }

    #[test]
    fn torn_and_padded_numbers_are_refused() {
        assert_eq!(take(&mut [0x80_u8].as_slice()), None);
        assert_eq!(take(&mut [0x80_u8, 0x00].as_slice()), None);
        assert_eq!(take(&mut [0xff_u8; 11].as_slice()), None);
        assert_eq!(take_u128(&mut [0x80_u8, 0x00].as_slice()), None);
        assert_eq!(take_u128(&mut [0xff_u8; 20].as_slice()), None);
    }
}
