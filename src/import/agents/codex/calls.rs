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
    recorded: Vec<OpenCall>,
    /// The last call in the counter, unless it was recorded too.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<OpenCall>,
    #[serde(skip)]
    calls: Vec<ParsedCall>,
    /// Index in `call` by key.
    #[serde(skip)]
    places: HashMap<String, usize>,
}

/// A call of which one side was read.
#[derive(Serialize, Deserialize)]
struct OpenCall {
    used: Vector,
    at: Timestamp,
    keys: Vec<String>,
    /// Its index in `call`, until it is emitted.
    #[serde(skip)]
    place: Option<usize>,
}

impl ThreadCalls {
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    pub fn take(&mut self) -> Vec<ParsedCall> {
        self.places.clear();
        for open in self.recorded.iter_mut().chain(&mut self.counted) {
            open.place = None;
        }
        std::mem::take(&mut self.calls)
    }

    /// Adds a call from a record.
    pub fn recorded(&mut self, used: Vector, call: ParsedCall) {
        if let Some(place) = self.place(&call) {
            self.counted.take_if(|open| open.place == Some(place));
            self.unite(place, call, true);
        } else if let Some(open) = self.counted.take_if(|open| open.used == used) {
            self.join(open, call, true);
        } else {
            let open = self.push(used, call);
            if self.recorded.len() == MAX_OPEN {
                self.recorded.remove(0);
            }
            self.recorded.push(open);
        }
    }

    /// Adds a call from an increase of the counter.
    pub fn counted(&mut self, used: Vector, call: ParsedCall) {
        self.counted = None;
        if let Some(place) = self.place(&call) {
            self.recorded.retain(|open| open.place != Some(place));
            self.unite(place, call, false);
        } else if let Some(nth) = self.recorded.iter().position(|open| open.used == used) {
            // Earlier recorded calls never increased the counter.
            let open = self.recorded.drain(..=nth).next_back();
            if let Some(open) = open {
                self.join(open, call, false);
            }
        } else {
            self.counted = Some(self.push(used, call));
        }
    }

    /// Returns the index of a call that shares a key with this one.
    fn place(&self, call: &ParsedCall) -> Option<usize> {
        call.record.keys.iter().find_map(|key| self.places.get(key).copied())
    }

    fn push(&mut self, used: Vector, call: ParsedCall) -> OpenCall {
        let place = self.calls.len();
        let (at, keys) = (call.at, call.record.keys.clone());
        self.places.extend(keys.iter().map(|key| (key.clone(), place)));
        self.calls.push(call);
        OpenCall { used, at, keys, place: Some(place) }
    }

    /// Joins the two sides of a call.
    fn join(&mut self, open: OpenCall, mut call: ParsedCall, is_record: bool) {
        if let Some(place) = open.place {
            self.unite(place, call, is_record);
            return;
        }
        // The other side was emitted already. Emit this side under the same key, for the data that it adds.
        let mut keys = open.keys;
        let known = keys.len();
        add(&mut keys, std::mem::take(&mut call.record.keys));
        if keys.len() > known {
            call.record.keys = keys;
            let counted = call.counted_time();
            call.at = call.at.min(open.at);
            self.push(open.used, call.counted(counted));
        }
    }

    /// Joins two sightings. The larger total wins; on a tie the record wins.
    fn unite(&mut self, place: usize, mut call: ParsedCall, is_record: bool) {
        let Some(other) = self.calls.get_mut(place) else { return };
        let [before, now] = [&*other, &call].map(total);
        // On a tie the counter gives the time, because it increases at the end of a call.
        let counted =
            if now > before || (now == before && !is_record) { call.counted_time() } else { other.counted_time() };
        other.at = other.at.min(call.at);
        // Only one side may state the searches.
        let mut tools = std::mem::take(&mut other.record.server_tools);
        for (tool, uses) in std::mem::take(&mut call.record.server_tools) {
            let known = tools.entry(tool).or_default();
            *known = uses.max(*known);
        }
        let mut keys = std::mem::take(&mut other.record.keys);
        let more = std::mem::take(&mut call.record.keys);
        self.places.extend(more.iter().map(|key| (key.clone(), place)));
        if is_record {
            let known = std::mem::replace(&mut keys, more);
            add(&mut keys, known);
        } else {
            add(&mut keys, more);
        }
        if now > before || (now == before && is_record) {
            other.record = call.record;
        }
        other.record.keys = keys;
        other.record.server_tools = tools;
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
