//! The calls of one rollout. Newer clients write each twice, as a record and as a movement of the counter.
//!
//! The two share the thread's total only until the client compacts the context: that call is recorded, but does not
//! move the counter. So they are also matched, in their order, by what the call itself used.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::vector::Vector;
use crate::import::engine::merge::total;
use crate::import::engine::parsed_call::ParsedCall;
use crate::model::time::Timestamp;

/// Calls recorded and not yet seen in the counter that are kept in mind.
const MAX_OPEN: usize = 4;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ThreadCalls {
    /// Calls recorded, but not seen in the counter yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recorded: Vec<Open>,
    /// The last call seen in the counter, unless it was recorded too.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<Open>,
    #[serde(skip)]
    found: Vec<ParsedCall>,
    /// Where in `found` a key is.
    #[serde(skip)]
    places: HashMap<String, usize>,
}

/// A call of which one side has been seen.
#[derive(Serialize, Deserialize)]
struct Open {
    used: Vector,
    at: Timestamp,
    keys: Vec<String>,
    /// Where in `found` it is, until it is handed over.
    #[serde(skip)]
    place: Option<usize>,
}

impl ThreadCalls {
    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub fn take(&mut self) -> Vec<ParsedCall> {
        self.places.clear();
        for open in self.recorded.iter_mut().chain(&mut self.counted) {
            open.place = None;
        }
        std::mem::take(&mut self.found)
    }

    /// Adds a call that was recorded.
    pub fn recorded(&mut self, used: Vector, found: ParsedCall) {
        if let Some(place) = self.place(&found) {
            self.counted.take_if(|open| open.place == Some(place));
            self.unite(place, found, true);
        } else if let Some(open) = self.counted.take_if(|open| open.used == used) {
            self.join(open, found, true);
        } else {
            let open = self.push(used, found);
            if self.recorded.len() == MAX_OPEN {
                self.recorded.remove(0);
            }
            self.recorded.push(open);
        }
    }

    /// Adds a call that the counter moved by.
    pub fn counted(&mut self, used: Vector, found: ParsedCall) {
        self.counted = None;
        if let Some(place) = self.place(&found) {
            self.recorded.retain(|open| open.place != Some(place));
            self.unite(place, found, false);
        } else if let Some(nth) = self.recorded.iter().position(|open| open.used == used) {
            // Those before it never moved the counter.
            let open = self.recorded.drain(..=nth).next_back();
            if let Some(open) = open {
                self.join(open, found, false);
            }
        } else {
            self.counted = Some(self.push(used, found));
        }
    }

    /// Where a call is that shares a key with this one.
    fn place(&self, found: &ParsedCall) -> Option<usize> {
        found.record.keys.iter().find_map(|key| self.places.get(key).copied())
    }

    fn push(&mut self, used: Vector, found: ParsedCall) -> Open {
        let place = self.found.len();
        let (at, keys) = (found.at, found.record.keys.clone());
        self.places.extend(keys.iter().map(|key| (key.clone(), place)));
        self.found.push(found);
        Open { used, at, keys, place: Some(place) }
    }

    /// Brings the two sides of one call together.
    fn join(&mut self, open: Open, mut found: ParsedCall, is_record: bool) {
        if let Some(place) = open.place {
            self.unite(place, found, is_record);
            return;
        }
        // The other side was handed over already. What it did not know yet is told under its name.
        let mut keys = open.keys;
        let known = keys.len();
        add(&mut keys, std::mem::take(&mut found.record.keys));
        if keys.len() > known {
            found.record.keys = keys;
            let counted = found.told_at();
            found.at = found.at.min(open.at);
            self.push(open.used, found.counted(counted));
        }
    }

    /// Makes one call of two. The larger counts; when they are equal, the side that was recorded.
    fn unite(&mut self, place: usize, mut found: ParsedCall, is_record: bool) {
        let Some(other) = self.found.get_mut(place) else { return };
        let [before, now] = [&*other, &found].map(total);
        // When they are equal, the counter says when: it moves when the call is at its end.
        let counted = if now > before || (now == before && !is_record) { found.told_at() } else { other.told_at() };
        other.at = other.at.min(found.at);
        let mut keys = std::mem::take(&mut other.record.keys);
        let more = std::mem::take(&mut found.record.keys);
        self.places.extend(more.iter().map(|key| (key.clone(), place)));
        if is_record {
            let known = std::mem::replace(&mut keys, more);
            add(&mut keys, known);
        } else {
            add(&mut keys, more);
        }
        if now > before || (now == before && is_record) {
            other.record = found.record;
        }
        other.record.keys = keys;
        other.count_at(counted);
    }
}

/// Adds the keys that are not there yet.
fn add(keys: &mut Vec<String>, more: Vec<String>) {
    for key in more {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}
