//! Collects the calls of one rollout. Newer clients write each call twice: as a record, and as an increase of the
//! counter.
//!
//! Both state the thread's total, and the totals agree until the client compacts the context: that call is recorded but
//! does not increase the counter. So they are also matched in order by the counts of the call itself.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::vector::Vector;
use crate::import::engine::merge::total;
use crate::import::engine::parsed_call::ParsedCall;
use crate::model::time::Timestamp;

/// Maximum number of recorded calls to remember until the counter shows them.
const MAX_OPEN: usize = 4;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ThreadCalls {
    /// Calls that are recorded but not in the counter yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recorded: Vec<Open>,
    /// The last call in the counter, unless it was recorded too.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<Open>,
    #[serde(skip)]
    found: Vec<ParsedCall>,
    /// Index in `found` by key.
    #[serde(skip)]
    places: HashMap<String, usize>,
}

/// A call of which one side was read.
#[derive(Serialize, Deserialize)]
struct Open {
    used: Vector,
    at: Timestamp,
    keys: Vec<String>,
    /// Its index in `found`, until it is emitted.
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

    /// Adds a call from a record.
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

    /// Adds a call from an increase of the counter.
    pub fn counted(&mut self, used: Vector, found: ParsedCall) {
        self.counted = None;
        if let Some(place) = self.place(&found) {
            self.recorded.retain(|open| open.place != Some(place));
            self.unite(place, found, false);
        } else if let Some(nth) = self.recorded.iter().position(|open| open.used == used) {
            // Earlier recorded calls never increased the counter.
            let open = self.recorded.drain(..=nth).next_back();
            if let Some(open) = open {
                self.join(open, found, false);
            }
        } else {
            self.counted = Some(self.push(used, found));
        }
    }

    /// Returns the index of a call that shares a key with this one.
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

    /// Joins the two sides of a call.
    fn join(&mut self, open: Open, mut found: ParsedCall, is_record: bool) {
        if let Some(place) = open.place {
            self.unite(place, found, is_record);
            return;
        }
        // The other side was emitted already. Emit this side under the same key, for the data that it adds.
        let mut keys = open.keys;
        let known = keys.len();
        add(&mut keys, std::mem::take(&mut found.record.keys));
        if keys.len() > known {
            found.record.keys = keys;
            let counted = found.counted_time();
            found.at = found.at.min(open.at);
            self.push(open.used, found.counted(counted));
        }
    }

    /// Joins two sightings. The larger total wins; on a tie the record wins.
    fn unite(&mut self, place: usize, mut found: ParsedCall, is_record: bool) {
        let Some(other) = self.found.get_mut(place) else { return };
        let [before, now] = [&*other, &found].map(total);
        // On a tie the counter gives the time, because it increases at the end of a call.
        let counted =
            if now > before || (now == before && !is_record) { found.counted_time() } else { other.counted_time() };
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

/// Adds missing keys.
fn add(keys: &mut Vec<String>, more: Vec<String>) {
    for key in more {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}
