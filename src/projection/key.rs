//! Keys of the projections: byte strings whose order is the order of queries.

use std::borrow::Cow;

use crate::model::event::{AccountRef, EventId, Position};
use crate::model::time::Timestamp;

/// Days from 0001-01-01 to 1970-01-01, so that no day number is negative.
const DAY_SHIFT: i64 = 719_162;

/// The largest day number in three bytes, 45,000 years after the first one.
const LAST_DAY: i64 = (1 << 24) - 1;

pub(crate) fn push_day(key: &mut Vec<u8>, day: i64) {
    // Events are in the years 1 to 9999. The bounds of a range may be outside and are clamped.
    let shifted = day.saturating_add(DAY_SHIFT).clamp(0, LAST_DAY);
    key.extend(shifted.to_be_bytes().iter().skip(5));
}

pub(crate) fn day_of(key: &[u8]) -> Option<i64> {
    let (bytes, _) = key.split_first_chunk::<3>()?;
    let [a, b, c] = *bytes;
    Some(i64::from(u32::from_be_bytes([0, a, b, c])) - DAY_SHIFT)
}

pub(crate) fn push_text(key: &mut Vec<u8>, text: Option<&str>) {
    key.extend_from_slice(text.unwrap_or_default().as_bytes());
    key.push(0);
}

/// Splits strings that [`push_text`] joined; `None` if the bytes are not UTF-8.
pub(crate) fn texts(bytes: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let joined = std::str::from_utf8(bytes).ok()?;
    let (mut start, mut ends) = (0, memchr::memchr_iter(0, bytes));
    Some(std::iter::from_fn(move || {
        let (from, end) = (start, ends.next().unwrap_or(joined.len()));
        start = end + 1;
        // Nothing follows the last zero.
        joined.get(from..end).filter(|_| from < joined.len())
    }))
}

/// Appends milliseconds so that the bytes sort like the value.
pub(crate) fn push_time(key: &mut Vec<u8>, at: Timestamp) {
    key.extend_from_slice(&((at.millis() as u64) ^ (1 << 63)).to_be_bytes());
}

pub(crate) fn take_time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis((u64::from_be_bytes(*head) ^ (1 << 63)) as i64), rest))
}

pub(crate) fn take_id(bytes: &[u8]) -> Option<(EventId, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<16>()?;
    Some((EventId::from_slice(head)?, rest))
}

pub(crate) fn position_value(position: Position) -> Vec<u8> {
    let mut out = Vec::new();
    super::varint::put(&mut out, position.get());
    out
}

pub(crate) fn take_position(mut bytes: &[u8]) -> Option<Position> {
    let position = super::varint::take(&mut bytes).map(Position::new)?;
    bytes.is_empty().then_some(position)
}

impl AccountRef<'_> {
    /// The bytes by which projections store the account.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(24);
        push_text(&mut key, Some(&self.provider));
        push_text(&mut key, self.account.as_deref());
        key
    }

    pub fn from_key(bytes: &[u8]) -> Option<AccountRef<'static>> {
        let mut texts = texts(bytes)?;
        let provider = texts.next()?.to_owned();
        let account = texts.next().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(AccountRef { provider: provider.into(), account: account.map(Cow::Owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_sort_like_their_values() {
        let key = |day| {
            let mut key = Vec::new();
            push_day(&mut key, day);
            assert_eq!(day_of(&key), Some(day));
            key
        };
        assert!(key(-719_162) < key(-1) && key(-1) < key(0) && key(0) < key(2_932_896));
        let time = |millis| {
            let mut key = Vec::new();
            push_time(&mut key, Timestamp::from_millis(millis));
            assert_eq!(take_time(&key).unwrap().0.millis(), millis);
            key
        };
        assert!(time(-5) < time(-1) && time(-1) < time(0) && time(0) < time(1));
    }

    #[test]
    fn texts_round_trip() {
        let mut key = Vec::new();
        push_text(&mut key, Some("a"));
        push_text(&mut key, None);
        push_text(&mut key, Some("c"));
        assert_eq!(texts(&key).unwrap().collect::<Vec<_>>(), ["a", "", "c"]);
        for bytes in ["", "\0", "\0\0", "a", "a\0", "a\0b", "a\0\0b\0", "é\0ü"] {
            assert!(texts(bytes.as_bytes()).unwrap().eq(bytes.split_terminator('\0')), "{bytes:?}");
        }
        assert!(texts(b"a\0\xff\0").is_none(), "damaged bytes are no empty name");
    }

    #[test]
    fn days_outside_the_calendar_sort_first_or_last() {
        let key = |day| {
            let mut key = Vec::new();
            push_day(&mut key, day);
            key
        };
        let days = [i64::MIN, -DAY_SHIFT - 1, -DAY_SHIFT, 0, 2_932_896, LAST_DAY - DAY_SHIFT, i64::MAX];
        let keys: Vec<_> = days.iter().map(|day| key(*day)).collect();
        assert!(keys.is_sorted());
        assert_eq!((keys[0].clone(), keys[6].clone()), (vec![0; 3], vec![255; 3]));
        assert_eq!(day_of(&key(2_932_896)), Some(2_932_896));
    }
}
