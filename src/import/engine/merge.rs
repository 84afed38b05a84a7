//! Joins the sightings of one call into one record, independent of their order.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use crate::import::engine::attribution::SightingNames;
use crate::import::engine::feed_counts::{keep_lifetimes, repeats_start};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::project_paths;
use crate::import::engine::provider_names::UNKNOWN;
use crate::import::engine::repeated_ids::{can_be_one, may_repeat, with_time};
use crate::import::engine::service_tiers;
use crate::import::engine::telemetry_match::GUESSED;
use crate::model::event::{EventData, EventId, Quality, Raw, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::TokenClass::{
    self, CacheRead, CacheWrite, CacheWrite1h, CacheWrite5m, Input, Output, Reasoning,
};
use crate::readers::normalise::merged;
use crate::readers::price::prompt;

/// Returns the time at which the log of a conversation begins.
pub(in crate::import) type ConversationStarts<'a> = &'a dyn Fn(&str) -> Option<Timestamp>;

/// Joins two sightings of a call. The larger total wins as a whole, dated at the earliest time, in the conversation
/// whose log begins first. `counted_at` is the time of the first sighting with that total. Every choice is a total
/// order of the contents, so the result does not depend on the order of arrival.
///
/// `a` is the current state, `b` the new sighting.
pub(in crate::import) fn join(a: ParsedCall, b: ParsedCall, began: ConversationStarts<'_>) -> ParsedCall {
    let names = SightingNames::of(&a.record, &b.record);
    let mut joined = if is_known_repetition(&a, &b) || is_origin(&a, &b) {
        join_copy(a, b)
    } else if b.record.keys.len() == 1 && is_origin(&b, &a) {
        // A fork's copy also has its parent's key. So the sighting with one key is the original.
        join_copy(b, a)
    } else {
        join_equals(a, b, began)
    };
    if let Some(names) = names {
        names.agree(&mut joined.record);
    }
    joined
}

/// Joins a call from a log with the same call from telemetry. The larger total wins as a whole. On a tie the log wins,
/// because it knows the project and conversation. Telemetry adds what the log lacks, such as the cost.
pub(in crate::import) fn complete(log: ParsedCall, telemetry: ParsedCall) -> ParsedCall {
    let names = SightingNames::of(&log.record, &telemetry.record);
    let telemetry_has_more = total(&telemetry) > total(&log) && !repeats_start(&log.record, &telemetry.record);
    let counted = if telemetry_has_more { telemetry.counted_time() } else { log.counted_time() };
    let (mut record, counted_at) = (log.record, telemetry.at);
    let telemetry = telemetry.record;
    let new: Vec<_> = telemetry.keys.iter().filter(|key| !record.keys.contains(key)).cloned().collect();
    record.keys.extend(new);
    if record.provider == UNKNOWN {
        record.provider = telemetry.provider;
    }
    record.model = record.model.or(telemetry.model);
    record.agent = record.agent.or(telemetry.agent);
    record.account = record.account.or(telemetry.account);
    record.conversation = record.conversation.or(telemetry.conversation);
    record.project = record.project.or(telemetry.project);
    record.cost = record.cost.or(telemetry.cost);
    record.duration_ms = record.duration_ms.or(telemetry.duration_ms);
    service_tiers::settle(&mut record, &telemetry.labels);
    for (name, value) in telemetry.labels {
        record.labels.entry(name).or_insert(value);
    }
    if telemetry_has_more {
        let logged = std::mem::replace(&mut record.tokens, telemetry.tokens);
        keep_lifetimes(&mut record.tokens, &logged);
        record.normaliser = telemetry.normaliser;
        record.quality = telemetry.quality;
        record.residual = telemetry.residual;
        record.raw = telemetry.raw;
    } else {
        keep_lifetimes(&mut record.tokens, &telemetry.tokens);
    }
    if let Some(names) = names {
        names.agree(&mut record);
    }
    ParsedCall { at: log.at.min(counted_at), record }.counted(counted)
}

/// Joins two telemetry items of one call, such as a span and the log record in it. The more detailed one wins and the
/// other one adds what is missing. On a tie `a`, the current state, wins.
pub(in crate::import) fn unite(a: ParsedCall, b: ParsedCall) -> ParsedCall {
    let counted = counted(&a, &b);
    let b_is_fuller = fullness(&b.record) > fullness(&a.record) && !repeats_start(&a.record, &b.record);
    let (fuller, other) = if b_is_fuller || repeats_start(&b.record, &a.record) { (b, a) } else { (a, b) };
    let surer = other.record.normaliser.clone();
    let mut united = complete(fuller, other);
    if united.record.normaliser.as_deref() == Some(GUESSED) {
        united.record.normaliser = surer;
    }
    united.counted(counted)
}

/// Returns whether `a` has all keys of `b`: then `b` is a fork's copy that is already joined.
fn is_known_repetition(a: &ParsedCall, b: &ParsedCall) -> bool {
    let (keys, new) = (&a.record.keys, &b.record.keys);
    new.len() > 1 && new.first() != keys.first() && new.iter().all(|key| keys.contains(key))
}

/// Returns whether `a` is the original of the copy `b`. A fork gives each copied call its own key and its parent's key;
/// the parent has only its own.
fn is_origin(a: &ParsedCall, b: &ParsedCall) -> bool {
    match (a.record.keys.first(), b.record.keys.first()) {
        (Some(first), Some(other)) => b.record.keys.contains(first) && !a.record.keys.contains(other),
        _ => false,
    }
}

/// Joins a copy into its original: adds its keys, and its counts if they are larger. Everything else comes from the
/// original.
fn join_copy(mut origin: ParsedCall, mut repeated: ParsedCall) -> ParsedCall {
    let mut keys = std::mem::take(&mut origin.record.keys);
    let new: Vec<_> = repeated.record.keys.drain(..).filter(|key| !keys.contains(key)).collect();
    keys.extend(new);
    let mut counted = origin.counted_time();
    if total(&repeated) > total(&origin) {
        counted = repeated.counted_time();
        let original = std::mem::replace(&mut origin.record, repeated.record);
        keep_lifetimes(&mut origin.record.tokens, &original.tokens);
        set_conversation(&mut origin.record, original);
    }
    origin.record.keys = keys;
    origin.counted(counted)
}

fn join_equals(mut a: ParsedCall, b: ParsedCall, began: ConversationStarts<'_>) -> ParsedCall {
    let (at, counted) = (a.at.min(b.at), counted(&a, &b));
    let mut keys = std::mem::take(&mut a.record.keys);
    keys.extend(b.record.keys.iter().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>());
    let a_is_home = conversation_rank(&a.record, began) <= conversation_rank(&b.record, began);
    let a_is_fuller = fullness(&a.record) >= fullness(&b.record);
    let (mut record, other) = if a_is_fuller { (a.record, b.record) } else { (b.record, a.record) };
    keep_lifetimes(&mut record.tokens, &other.tokens);
    fill(&mut record, &other);
    if a_is_home != a_is_fuller {
        set_conversation(&mut record, other);
    }
    record.keys = keys;
    ParsedCall { at, record }.counted(counted)
}

/// Completes the counts of one answer where a sighting has no input counts. The last event of a stream may state only
/// the output.
fn fill(record: &mut TokenRecord, other: &TokenRecord) {
    let answer = |record: &TokenRecord| {
        let [.., output, reasoning] = record.tokens.counts();
        output.saturating_add(reasoning)
    };
    let has_input = prompt(&record.tokens) > 0;
    let classes: &[TokenClass] = match (has_input, prompt(&other.tokens) > 0) {
        (false, true) => &[Input, CacheRead, CacheWrite5m, CacheWrite1h, CacheWrite],
        (true, false) if answer(other) > answer(record) => &[Output, Reasoning],
        _ => return,
    };
    for class in classes {
        record.tokens.set(*class, other.tokens.get(*class));
    }
    let objects = (record.raw.as_ref(), other.raw.as_ref());
    if let (Some(own), Some(others)) = objects
        && record.normaliser == other.normaliser
    {
        let (whole, part) = if has_input { (own, others) } else { (others, own) };
        let merged = merged(whole.get(), part.get()).and_then(|merged| Raw::parse(&merged).ok());
        record.raw = merged.or_else(|| record.raw.take());
    }
    record.quality = Quality::Derived;
    record.residual = Some("put together from two sightings, one of which states no input".to_owned());
}

/// Returns the total of a call, for comparisons. A total above 64 bits, which no admitted record has, is the largest.
pub(in crate::import) fn total(call: &ParsedCall) -> u64 {
    call.record.tokens.total().unwrap_or(u64::MAX)
}

/// Returns when the larger total was reported; on a tie, the earlier time.
pub(in crate::import) fn counted(a: &ParsedCall, b: &ParsedCall) -> Timestamp {
    match total(a).cmp(&total(b)) {
        Ordering::Less => b.counted_time(),
        Ordering::Equal => a.counted_time().min(b.counted_time()),
        Ordering::Greater => a.counted_time(),
    }
}

/// Moves a call to the conversation of another sighting, with the names that depend on it.
pub(in crate::import) fn set_conversation(record: &mut TokenRecord, from: TokenRecord) {
    record.account = from.account;
    record.agent = from.agent;
    record.conversation = from.conversation;
    record.project = from.project;
    record.labels = from.labels;
}

/// Sort key of detail: the larger total, then the finer split into classes.
fn fullness(record: &TokenRecord) -> (u64, usize, [u64; 7], Option<&str>, Option<Cow<'_, str>>) {
    let raw = record.raw.as_ref().map(Raw::minified);
    let classes = TokenClass::ALL.into_iter().filter(|class| record.tokens.get(*class).is_some()).count();
    (record.tokens.total().unwrap_or(u64::MAX), classes, record.tokens.counts(), record.model.as_deref(), raw)
}

/// Sort key of the conversation of a call: the smallest wins.
pub(in crate::import) type Placement<'r> =
    (Timestamp, bool, Option<&'r str>, usize, Option<&'r str>, Vec<(&'r String, &'r String)>);

pub(in crate::import) fn conversation_rank<'r>(
    record: &'r TokenRecord,
    began: ConversationStarts<'_>,
) -> Placement<'r> {
    let conversation = record.conversation.as_deref();
    let start = conversation.and_then(began).unwrap_or(Timestamp::MAX);
    let labels: Vec<_> = record.labels.iter().collect();
    // A sighting without a conversation sorts last.
    (start, conversation.is_none(), conversation, labels.len(), record.project.as_deref(), labels)
}

/// A sighting with the ids of its keys. Computing ids is slow, so it happens once, on the reader's thread.
#[derive(Clone, Debug)]
pub(in crate::import) struct KeyedSighting {
    pub call: ParsedCall,
    pub ids: Vec<EventId>,
    /// Whether it comes from a file that an older version of the importer read.
    pub again: bool,
}

impl From<ParsedCall> for KeyedSighting {
    fn from(mut call: ParsedCall) -> Self {
        // Scrub before deriving ids, so that every sighting of the call gets the same ids.
        call.record.scrub();
        project_paths::unify(&mut call.record);
        let ids = call.record.ids().collect();
        Self { call, ids, again: false }
    }
}

/// Sightings that are not written yet, joined by their keys.
#[derive(Default)]
pub(in crate::import) struct PendingSightings {
    sightings: Vec<Option<KeyedSighting>>,
    index: HashMap<EventId, usize>,
    /// Number of copies that were joined to a pending sighting.
    pub copies: u64,
}

impl PendingSightings {
    pub const fn len(&self) -> usize {
        self.sightings.len()
    }

    pub fn add(&mut self, sighting: KeyedSighting, began: ConversationStarts<'_>) {
        let mut joined = sighting;
        let mut places = self.places(&joined);
        let is_other = |place: &usize| {
            let pending = self.sightings.get(*place).and_then(Option::as_ref);
            pending.is_some_and(|pending| !can_be_one(&pending.call, &joined.call))
        };
        if may_repeat(&joined.call.record) && places.iter().any(is_other) {
            let again = joined.again;
            joined = KeyedSighting { again, ..KeyedSighting::from(with_time(joined.call)) };
            places = self.places(&joined);
        }
        for place in &places {
            if let Some(pending) = self.sightings.get_mut(*place).and_then(Option::take) {
                self.copies += 1;
                let again = pending.again || joined.again;
                joined = KeyedSighting { again, ..KeyedSighting::from(join(pending.call, joined.call, began)) };
            }
        }
        let place = places.first().copied().unwrap_or(self.sightings.len());
        for id in &joined.ids {
            self.index.insert(*id, place);
        }
        match self.sightings.get_mut(place) {
            Some(slot) => *slot = Some(joined),
            None => self.sightings.push(Some(joined)),
        }
    }

    /// Returns the indexes of the pending sightings with one of its keys.
    fn places(&self, sighting: &KeyedSighting) -> Vec<usize> {
        let mut places: Vec<usize> = sighting.ids.iter().filter_map(|id| self.index.get(id).copied()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Removes and returns all sightings in the order of their arrival.
    pub fn drain(&mut self) -> Vec<KeyedSighting> {
        self.index.clear();
        self.sightings.drain(..).flatten().collect()
    }
}

#[cfg(test)]
mod tests;
