//! A filter, of fixed size, of the keys that a run has met.

use fastbloom::BloomFilter;

use crate::model::event::EventId;

/// Number of bits. With a million keys, one in a hundred new keys is a false positive, which costs a lookup.
const BITS: usize = 1 << 24;
/// Bits per key.
const HASHES: u32 = 2;

/// Tracks the keys of a run that starts with an empty ledger, which saves lookups.
pub(in crate::import) struct SeenKeys(Option<BloomFilter>);

impl SeenKeys {
    /// Creates the filter. Without `empty`, every key has to be looked up.
    pub fn new(empty: bool) -> Self {
        Self(empty.then(|| BloomFilter::with_num_bits(BITS).hashes(HASHES)))
    }

    /// Returns whether the run may have met one of these keys before, and adds them.
    pub fn any(&mut self, ids: &[EventId]) -> bool {
        let Some(keys) = &mut self.0 else { return true };
        let mut any = false;
        for id in ids {
            any |= keys.insert_hash(id.prefix());
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_seen_from_its_second_use_and_always_in_a_ledger_with_events() {
        let ids: Vec<EventId> = (0..1_000).map(|n| EventId::from_key("p", &n.to_string())).collect();
        let mut known = SeenKeys::new(true);
        let taken_for_known = ids.iter().filter(|id| known.any(&[**id])).count();
        assert!(taken_for_known < 10, "{taken_for_known}");
        assert!(ids.iter().all(|id| known.any(&[EventId::from_key("p", "another"), *id])));
        assert!(SeenKeys::new(false).any(&ids));
    }
}
