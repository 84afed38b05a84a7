//! Collects the calls of one file. A client may write one answer several times; that is one call.

use std::collections::HashMap;

use crate::import::engine::merge::{counted, total};
use crate::import::engine::parsed_call::ParsedCall;

/// Calls in the order of their first sighting.
#[derive(Default)]
pub(in crate::import) struct FileCalls {
    calls: Vec<ParsedCall>,
    /// Index in `calls` by first key.
    places: HashMap<String, usize>,
}

impl FileCalls {
    /// Adds a sighting. Of several sightings of one call the largest total wins, dated at the earliest time.
    pub fn add(&mut self, call: ParsedCall) {
        let Some(key) = call.record.keys.first() else {
            self.calls.push(call);
            return;
        };
        let earlier = self.places.get(key).and_then(|place| self.calls.get_mut(*place));
        let Some(earlier) = earlier else {
            self.places.insert(key.clone(), self.calls.len());
            self.calls.push(call);
            return;
        };
        let (at, counted) = (earlier.at.min(call.at), counted(earlier, &call));
        if total(&call) > total(earlier) {
            *earlier = call;
        }
        earlier.at = at;
        earlier.count_at(counted);
    }

    pub const fn len(&self) -> usize {
        self.calls.len()
    }

    pub fn take(&mut self) -> Vec<ParsedCall> {
        self.places.clear();
        std::mem::take(&mut self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::TokenRecord;
    use crate::model::time::Timestamp;

    fn call(at: i64, key: &str, output: u64) -> ParsedCall {
        let mut record = TokenRecord::new("google", "m").output(output);
        record.keys = vec![key.to_owned()];
        ParsedCall { at: Timestamp::from_millis(at), record }
    }

    #[test]
    fn the_largest_counts_at_the_earliest_time() {
        let mut calls = FileCalls::default();
        for one in [call(5, "a", 3), call(6, "b", 1), call(7, "a", 9), call(4, "a", 2)] {
            calls.add(one);
        }
        assert_eq!(calls.len(), 2);
        assert_eq!(calls.take(), [call(4, "a", 9).counted(Timestamp::from_millis(7)), call(6, "b", 1)]);
        calls.add(call(8, "a", 1));
        assert_eq!(calls.take(), [call(8, "a", 1)]);
    }
}
