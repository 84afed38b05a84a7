//! Collects the calls of one file. A client may write one answer several times; that is one call.

use std::collections::HashMap;

use crate::import::engine::merge::{counted, total};
use crate::import::engine::parsed_call::ParsedCall;

/// Calls in the order of their first sighting.
#[derive(Default)]
pub(in crate::import) struct FileCalls {
    found: Vec<ParsedCall>,
    /// Index in `found` by first key.
    places: HashMap<String, usize>,
}

impl FileCalls {
    /// Adds a sighting. Of several sightings of one call the largest total wins, dated at the earliest time.
    pub fn add(&mut self, found: ParsedCall) {
        let Some(key) = found.record.keys.first() else {
            self.found.push(found);
            return;
        };
        let known = self.places.get(key).and_then(|place| self.found.get_mut(*place));
        let Some(known) = known else {
            self.places.insert(key.clone(), self.found.len());
            self.found.push(found);
            return;
        };
        let (at, counted) = (known.at.min(found.at), counted(known, &found));
        if total(&found) > total(known) {
            *known = found;
        }
        known.at = at;
        known.count_at(counted);
    }

    pub const fn len(&self) -> usize {
        self.found.len()
    }

    pub fn take(&mut self) -> Vec<ParsedCall> {
        self.places.clear();
        std::mem::take(&mut self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::TokenRecord;
    use crate::model::time::Timestamp;

    fn found(at: i64, key: &str, output: u64) -> ParsedCall {
        let mut record = TokenRecord::new("google", "m").output(output);
        record.keys = vec![key.to_owned()];
        ParsedCall { at: Timestamp::from_millis(at), record }
    }

    #[test]
    fn the_largest_counts_at_the_earliest_time() {
        let mut calls = FileCalls::default();
        for one in [found(5, "a", 3), found(6, "b", 1), found(7, "a", 9), found(4, "a", 2)] {
            calls.add(one);
        }
        assert_eq!(calls.len(), 2);
        assert_eq!(calls.take(), [found(4, "a", 9).counted(Timestamp::from_millis(7)), found(6, "b", 1)]);
        calls.add(found(8, "a", 1));
        assert_eq!(calls.take(), [found(8, "a", 1)]);
    }
}
