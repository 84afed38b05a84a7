use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use uuid::Uuid;

use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;

/// Namespace of all ids that are made from keys.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f1c_9a52_6d0e_5b7a_9c41_37a2_e0d6_b5f3);

/// The identity of an event and its idempotency key, for all time.
///
/// ```
/// use usage_ledger::EventId;
/// let id = EventId::from_key("anthropic", "msg_01ABC");
/// assert_eq!(id, EventId::from_key("anthropic", "msg_01ABC"));
/// assert_ne!(id, EventId::from_key("openai", "msg_01ABC"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// UUIDv5 of `provider ‖ 0 ‖ key`: the id of a record with a natural key.
    ///
    /// Source: RFC 9562 §5.5.
    ///
    /// ```
    /// # use usage_ledger::EventId;
    /// let (a, b) = (EventId::from_key("openai", "resp_1"), EventId::from_key("openai", "resp_2"));
    /// assert_ne!(a, b);
    /// assert_eq!(a.to_string().parse::<EventId>()?, a);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn from_key(provider: &str, key: &str) -> Self {
        // Equals `Uuid::new_v5`, but uses the processor's SHA-1 instructions.
        let hash = Sha1::new()
            .chain_update(NAMESPACE.as_bytes())
            .chain_update(provider)
            .chain_update([0])
            .chain_update(key)
            .finalize();
        let mut bytes = [0; 16];
        for (byte, hashed) in bytes.iter_mut().zip(hash) {
            *byte = hashed;
        }
        Self(uuid::Builder::from_sha1_bytes(bytes).into_uuid())
    }

    /// A fresh UUIDv7 whose time part is `now`. Later ids of one context sort after earlier ones.
    pub(crate) fn fresh(context: &uuid::ContextV7, now: Timestamp) -> Self {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let nanos = u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000;
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(context, millis / 1_000, nanos)))
    }

    /// A fresh UUIDv7 that sorts after another of the same millisecond. Each process draws its random part separately,
    /// so without this their order would be lost. The distance is random, because two copies of a ledger may continue from
    /// the same last id.
    pub(crate) fn fresh_after(context: &uuid::ContextV7, now: Timestamp, last: Option<Self>) -> Self {
        let fresh = Self::fresh(context, now);
        match last {
            Some(last) if fresh <= last && last.prefix() >> 16 == fresh.prefix() >> 16 => last.next(fresh),
            _ => fresh,
        }
    }

    /// An id behind this one, by 1 to 2^32. Only the 62 random bits after the variant change; another id supplies the
    /// distance from its last 32 bits, which are random (RFC 9562 §6.2, method 2).
    fn next(self, random: Self) -> Self {
        let (high, low) = self.0.as_u64_pair();
        let variant = low & (0b11 << 62);
        let distance = (random.0.as_u64_pair().1 & u64::from(u32::MAX)) + 1;
        Self(Uuid::from_u64_pair(high, variant | (low.wrapping_add(distance) & !(0b11 << 62))))
    }

    /// Whether the id is a UUIDv7, that is, neither made from a key nor given by the caller.
    pub(crate) fn is_drawn(&self) -> bool {
        self.0.get_version_num() == 7
    }

    /// The 16 bytes of the UUID.
    ///
    /// ```
    /// # use usage_ledger::EventId;
    /// assert_eq!(EventId::from_key("openai", "resp_1").as_bytes()[6] >> 4, 5); // the UUID's version
    /// ```
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    pub(crate) fn hyphenated<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str {
        self.0.hyphenated().encode_lower(buffer)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }

    /// The first 64 bits, by which natural keys are indexed.
    pub(crate) const fn prefix(&self) -> u64 {
        self.0.as_u64_pair().0
    }
}

impl From<Uuid> for EventId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = Error;
    /// Reads a UUID.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text is not one.
    fn from_str(text: &str) -> Result<Self> {
        Uuid::parse_str(text).map(Self).map_err(|e| {
            Error::invalid(format!("`{text}` is not an event id ({e}): ids are UUIDs, as `log` prints them"))
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::ContextV7;

    use super::*;

    #[test]
    fn copies_that_continue_behind_one_id_draw_different_ids() {
        let now = Timestamp::from_millis(1_780_000_000_000);
        let (high, _) = EventId::fresh(&ContextV7::new(), now).0.as_u64_pair();
        // No id of this millisecond is drawn above it.
        let last = EventId(Uuid::from_u64_pair(high | 0xfff, 0b10 << 62));
        let drawn: Vec<EventId> = (0..100).map(|_| EventId::fresh_after(&ContextV7::new(), now, Some(last))).collect();
        assert!(drawn.iter().all(|id| *id > last && id.is_drawn()));
        let different: std::collections::BTreeSet<_> = drawn.iter().collect();
        assert_eq!(different.len(), drawn.len());
    }
}
