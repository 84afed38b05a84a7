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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sighting() -> impl Strategy<Value = ParsedCall> {
        (0_i64..5, 1_u64..4, 0_u64..4, 0_usize..3, 0_usize..3, any::<bool>(), 0_i64..3).prop_map(
            |(at, input, output, conversation, key, side, later)| {
                let mut record = TokenRecord::new("anthropic", format!("m{input}"))
                    .input(input)
                    .output(output)
                    .conversation(["a", "b", "c"][conversation])
                    .key("msg");
                record.keys.push(format!("req{key}"));
                if side {
                    record = record.label("sidechain", "true");
                }
                ParsedCall { at: Timestamp::from_millis(at), record }.counted(Timestamp::from_millis(at + later))
            },
        )
    }

    #[test]
    fn a_call_with_a_repeated_id_keeps_its_mark_of_being_read_again() {
        let mut pending = PendingSightings::default();
        for at in [0, 90_000] {
            let mut record = TokenRecord::new("zai", "m").input(1).output(1).conversation("a").key("relay");
            record.normaliser = Some("anthropic/1".into());
            let sighting = KeyedSighting::from(ParsedCall { at: Timestamp::from_millis(at), record });
            pending.add(KeyedSighting { again: true, ..sighting }, &|_| None);
        }
        let all = pending.drain();
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|sighting| sighting.again));
    }

    fn joined(call: &[ParsedCall]) -> ParsedCall {
        let began = |conversation: &str| match conversation {
            "a" => Some(Timestamp::from_millis(9)),
            "b" => Some(Timestamp::from_millis(3)),
            _ => None,
        };
        let mut pending = PendingSightings::default();
        for one in call {
            pending.add(one.clone().into(), &began);
        }
        let mut all = pending.drain();
        assert_eq!(all.len(), 1);
        let mut one = all.remove(0).call;
        one.record.keys.sort();
        one
    }

    proptest! {
        #[test]
        fn the_order_of_sightings_does_not_matter(call in prop::collection::vec(sighting(), 1..7), seed in any::<u64>()) {
            let mut shuffled = call.clone();
            shuffled.sort_by_key(|one| {
                use std::hash::{Hash, Hasher};
                let mut hasher = std::collections::hash_map::DefaultHasher::new();
                (seed, one.at, &one.record.keys, one.record.tokens.counts()).hash(&mut hasher);
                hasher.finish()
            });
            prop_assert_eq!(joined(&call), joined(&shuffled));
        }
    }

    #[test]
    fn counted_at_is_the_first_sighting_with_the_largest_total() {
        let line = |at, output| {
            let record = TokenRecord::new("anthropic", "m").output(output).key("msg").conversation("a");
            ParsedCall { at: Timestamp::from_millis(at), record }
        };
        let telemetry = |lines: &[ParsedCall]| {
            let one = joined(lines);
            (one.at.millis(), one.counted_time().millis(), one.record.counted_at.is_some())
        };
        let [begun, whole, again] = [line(1, 2), line(4, 9), line(6, 9)];
        for order in [[&begun, &whole, &again], [&again, &begun, &whole], [&whole, &again, &begun]] {
            assert_eq!(telemetry(&order.map(Clone::clone)), (1, 4, true));
        }
        assert_eq!(telemetry(&[whole, again]), (4, 4, false));
    }

    #[test]
    fn telemetry_does_not_change_counted_at_of_the_log() {
        let call = |at, output| ParsedCall {
            at: Timestamp::from_millis(at),
            record: TokenRecord::new("anthropic", "m").output(output),
        };
        let telemetry = |call: ParsedCall| (call.at.millis(), call.counted_time().millis());
        assert_eq!(telemetry(complete(call(5, 9), call(3, 9))), (3, 5));
        assert_eq!(telemetry(complete(call(5, 9), call(3, 10))), (3, 3)); // unless it knows more
        assert_eq!(telemetry(unite(call(5, 9), call(3, 9))), (3, 3));
        assert_eq!(telemetry(unite(call(3, 8), call(5, 9))), (3, 5));
    }

    #[test]
    fn of_equal_totals_the_one_with_more_classes_counts() {
        let call = |record: TokenRecord| ParsedCall {
            at: Timestamp::from_millis(0),
            record: record.key("msg").conversation("a"),
        };
        let coarse = call(TokenRecord::new("openai", "m").input(100).output(20));
        let fine = call(TokenRecord::new("openai", "m").input(40).cache_read(60).output(20));
        for order in [[coarse.clone(), fine.clone()], [fine.clone(), coarse]] {
            assert_eq!(joined(&order).record.tokens, fine.record.tokens);
        }
    }

    #[test]
    fn a_sighting_without_a_conversation_keeps_the_conversation_of_the_other() {
        let call = |record: TokenRecord| ParsedCall { at: Timestamp::from_millis(0), record: record.key("msg") };
        let bare = call(TokenRecord::new("openai", "m").input(5));
        let placed = call(TokenRecord::new("openai", "m").input(5).conversation("d").project("p"));
        for order in [[bare.clone(), placed.clone()], [placed, bare]] {
            let one = joined(&order).record;
            assert_eq!((one.conversation.as_deref(), one.project.as_deref()), (Some("d"), Some("p")));
        }
    }

    #[test]
    fn a_fork_does_not_take_a_repeated_call_at_any_clock_difference() {
        let call = |at, conversation: &str, keys: &[&str]| {
            let mut record = TokenRecord::new("openai", "m").input(1).conversation(conversation);
            record.keys = keys.iter().map(|key| (*key).to_owned()).collect();
            ParsedCall { at: Timestamp::from_millis(at), record }
        };
        let origin = || call(9, "parent", &["parent/7"]);
        let forks = || [call(1, "a", &["a/7", "parent/7"]), call(2, "b", &["b/7", "parent/7"])];
        let [a, b] = forks();
        for order in [[origin(), a.clone(), b.clone()], [a.clone(), origin(), b.clone()], [b, a, origin()]] {
            let mut pending = PendingSightings::default();
            for one in order {
                pending.add(one.into(), &|_| None);
            }
            let all = pending.drain();
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].call.at.millis(), 9);
            assert_eq!(all[0].call.record.conversation.as_deref(), Some("parent"));
            assert_eq!(all[0].call.record.keys[0], "parent/7");
        }
    }

    #[test]
    fn sightings_that_a_third_one_links_become_one() {
        let call = |keys: &[&str]| {
            let mut record = TokenRecord::new("openai", "m").input(1);
            record.keys = keys.iter().map(|key| (*key).to_owned()).collect();
            ParsedCall { at: Timestamp::from_millis(0), record }
        };
        let mut pending = PendingSightings::default();
        for keys in [["a", "b"], ["c", "d"], ["b", "c"]] {
            pending.add(call(&keys).into(), &|_| None);
        }
        assert_eq!(pending.copies, 2);
        let all = pending.drain();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].call.record.keys.len(), 4);
    }
}
