//! Records telemetry in a ledger: each call once, whichever feed reports it first.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::trace::TracePlace;
use super::{Telemetry, gen_ai, trace};
use crate::import::engine::match_index::Feed;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::reconcile::{Reconciled, Reconciler};
use crate::import::engine::repeated_ids;
use crate::import::engine::telemetry_match::{self, KEY, TelemetryMatcher};
use crate::ledger::{Appender, Ledger};
use crate::model::error::{Error, Result};
use crate::model::event::{EventData, Imported, ImportedFile, NewEvent, Position, TELEMETRY, TokenRecord};
use crate::model::invariant::bug;
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::projection::{effective, find_record};

/// Number of calls by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ingested {
    /// New calls.
    pub recorded: u64,
    /// Recorded calls about which the message contains nothing new.
    pub known: u64,
    /// Recorded calls that were amended, such as by their cost.
    pub amended: u64,
}

impl Ingested {
    const fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.known += other.known;
        self.amended += other.amended;
    }
}

/// Result of one request.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RecordedCalls {
    /// Number of calls by result.
    pub counts: Ingested,
    /// The records of all calls, including unchanged ones.
    pub records: Vec<TokenRecord>,
    /// Reasons why readable calls were not recorded, one text per call.
    pub refused: Vec<String>,
}

/// Records the calls of a request in one transaction. A call that was reported before counts once.
///
/// A call that the ledger refuses (a name that is too long, different content under a used id) is left out and
/// reported. The others are recorded.
///
/// # Errors
/// The store's own. Nothing is recorded then.
#[cfg(any(test, feature = "internals"))]
pub fn take(ledger: &Ledger, telemetry: Telemetry, now: impl Into<Timestamp>) -> Result<RecordedCalls> {
    TelemetryRecorder::new(ledger.clone()).record_alone(PreparedRequest::new(telemetry), now.into())
}

/// Records requests, and remembers what later requests need to find the records of their calls.
pub(crate) struct TelemetryRecorder {
    ledger: Ledger,
    matcher: Option<TelemetryMatcher>,
}

/// A call and its place in a trace.
type LocatedCall = (ParsedCall, TracePlace);

/// The calls of one request that are valid by themselves.
struct PreparedRequest {
    recorded: RecordedCalls,
    calls: Vec<LocatedCall>,
}

impl PreparedRequest {
    fn new(telemetry: Telemetry) -> Self {
        let mut recorded = RecordedCalls::default();
        let mut calls = Vec::with_capacity(telemetry.calls.len());
        for (mut call, place) in telemetry.calls {
            if call.record.keys.is_empty() {
                call.record.keys.push(made_key(&call, &place));
            }
            match call.record.validate() {
                Ok(()) => calls.push((call, place)),
                Err(error) => recorded.refused.push(refusal(&error)),
            }
        }
        Self { recorded, calls }
    }

    /// The result of a request whose calls are recorded.
    fn done(mut self, counts: Ingested) -> RecordedCalls {
        self.recorded.counts = counts;
        self.recorded.records.extend(self.calls.into_iter().map(|(call, _)| call.record));
        self.recorded
    }
}

impl TelemetryRecorder {
    pub const fn new(ledger: Ledger) -> Self {
        Self { ledger, matcher: None }
    }

    /// Records several requests in one transaction. If one of them cannot be recorded, each gets its own transaction, so
    /// that one does not affect the others.
    #[cfg(feature = "web")]
    pub fn record(&mut self, requests: Vec<Telemetry>, now: Timestamp) -> Result<Vec<Result<RecordedCalls>>> {
        let requests: Vec<PreparedRequest> = requests.into_iter().map(PreparedRequest::new).collect();
        let groups: Vec<&[LocatedCall]> = requests.iter().map(|request| request.calls.as_slice()).collect();
        match self.together(&groups, now) {
            Ok(counts) => {
                Ok(requests.into_iter().zip(counts).map(|(request, counts)| Ok(request.done(counts))).collect())
            }
            Err(error) if concerns_one_call(&error) => {
                Ok(requests.into_iter().map(|request| self.record_alone(request, now)).collect())
            }
            Err(error) => Err(error),
        }
    }

    /// Records one request.
    fn record_alone(&mut self, request: PreparedRequest, now: Timestamp) -> Result<RecordedCalls> {
        match self.together(&[&request.calls], now) {
            Ok(counts) => match counts.as_slice() {
                [counts] => Ok(request.done(*counts)),
                _ => Err(bug!("one request has {} results", counts.len())),
            },
            // The transaction is rolled back. Then each call gets its own, so that one call does not affect the others.
            Err(error) if concerns_one_call(&error) => {
                let PreparedRequest { mut recorded, calls } = request;
                for call in calls {
                    match self.together(&[std::slice::from_ref(&call)], now) {
                        Ok(counts) => {
                            for counts in counts {
                                recorded.counts.add(counts);
                            }
                            recorded.records.push(call.0.record);
                        }
                        Err(error) if concerns_one_call(&error) => recorded.refused.push(refusal(&error)),
                        Err(error) => return Err(error),
                    }
                }
                Ok(recorded)
            }
            Err(error) => Err(error),
        }
    }

    /// Records groups of calls in one transaction, and counts the results of each group.
    fn together(&mut self, groups: &[&[LocatedCall]], now: Timestamp) -> Result<Vec<Ingested>> {
        if groups.iter().all(|calls| calls.is_empty()) {
            return Ok(vec![Ingested::default(); groups.len()]);
        }
        // Senders may name different providers for a call.
        let calls = groups.iter().copied().flatten();
        let named: BTreeSet<String> = calls.map(|(call, _)| call.record.provider.to_string()).collect();
        // After a failure the matcher may contain events that were rolled back, so it is kept only after a success.
        let known = self.matcher.take();
        let (counts, matcher) = self.ledger.transact(now, |appender| {
            let matcher = match known {
                Some(matcher) => {
                    matcher.follow(appender.view()?)?;
                    matcher
                }
                None => TelemetryMatcher::read(appender.view()?)?,
            };
            let counts = record_groups(appender, groups, (&named, &matcher), now)?;
            Ok((counts, matcher))
        })?;
        self.matcher = Some(matcher);
        Ok(counts)
    }
}

/// Records groups of calls, and the conversations that are new.
fn record_groups(
    appender: &mut Appender<'_>,
    groups: &[&[LocatedCall]],
    (named, matcher): (&BTreeSet<String>, &TelemetryMatcher),
    now: Timestamp,
) -> Result<Vec<Ingested>> {
    let mut run = Imported::new(TELEMETRY);
    let mut counts = Vec::with_capacity(groups.len());
    for calls in groups {
        let mut recorded = Ingested::default();
        for (call, place) in *calls {
            let record = &call.record;
            if let Some(conversation) = record.conversation.as_deref().filter(|name| matcher.add(name)) {
                run.files.push(conversation_of(record, conversation));
            }
            match one(appender, call.clone(), (place, named, matcher), now)? {
                None => recorded.recorded += 1,
                Some(Reconciled::Unchanged) => recorded.known += 1,
                Some(Reconciled::Amended) => recorded.amended += 1,
            }
        }
        counts.push(recorded);
    }
    if !run.files.is_empty() {
        run.files.sort_by(|a, b| a.path.cmp(&b.path));
        run.recorded = counts.iter().map(|one| one.recorded).sum();
        run.duplicates = counts.iter().map(|one| one.known).sum();
        run.amended = counts.iter().map(|one| one.amended).sum();
        appender.push(NewEvent::new(run, now).source(TELEMETRY))?;
    }
    Ok(counts)
}

/// Returns whether an error concerns a single call rather than the ledger.
const fn concerns_one_call(error: &Error) -> bool {
    matches!(
        error,
        Error::Invalid { .. }
            | Error::InvalidProvider { .. }
            | Error::InvalidTime { .. }
            | Error::Conflict { .. }
            | Error::LineBreak { .. }
            | Error::Overflow { .. }
    )
}

/// Describes why a call was refused. The text may quote the sender.
fn refusal(error: &Error) -> String {
    secrets::short(&error.to_string()).into_owned()
}

/// Records a call, or reconciles it with its record; `None` if it is new.
fn one(
    appender: &mut Appender<'_>,
    mut call: ParsedCall,
    (place, named, matcher): (&TracePlace, &BTreeSet<String>, &TelemetryMatcher),
    now: Timestamp,
) -> Result<Option<Reconciled>> {
    let mut known = same_calls(appender, &call)?;
    if known.is_empty() && !find_record(appender.view()?, &call.record)?.is_empty() {
        call = repeated_ids::with_time(call);
        known = find_record(appender.view()?, &call.record)?;
    }
    let reconciler = Reconciler { source: TELEMETRY, now, began: &HashMap::new(), matcher: None, again: None };
    if gen_ai::is_instrumented(&call.record) {
        let related = trace::find_related(appender.view()?, place, named, &call, &known)?;
        if related.is_sum {
            return Ok(Some(Reconciled::Unchanged));
        }
        if let Some(sum) = related.sum {
            reconciler.withdraw(appender, sum, "a sum of calls that are reported one by one")?;
        }
        known.extend(related.same);
        known.sort_unstable();
        known.dedup();
        call.record.keys.extend(related.key);
        call.record.keys.extend(related.pair);
    }
    if known.is_empty() {
        // The agent's log may contain the call under a key that telemetry lacks.
        let is_instrumented = telemetry_match::is_instrumented(&call.record);
        let feeds = |feed: Feed| feed == Feed::Log || (feed == Feed::Instrumentation) != is_instrumented;
        let unmet = |other: &ParsedCall| {
            !telemetry_match::is_reported_by_telemetry(&other.record) || telemetry_match::are_of_two_feeds(other, &call)
        };
        known.extend(matcher.find(appender, &call.record, call.at, &feeds, &unmet)?);
        if !known.is_empty() && !call.record.keys.iter().any(|key| key.starts_with(KEY)) {
            // The key marks this call as matched, and lets a repeated message find it.
            call.record.keys.push(made_key(&call, place));
        }
    }
    if known.is_empty() {
        appender.push(NewEvent::new(call.record, call.at).source(TELEMETRY))?;
        return Ok(None);
    }
    reconciler.reconcile(appender, call, &known).map(Some)
}

/// Finds the records with one of the keys of a call. Leaves out other calls to which a relay gave the same id.
fn same_calls(appender: &mut Appender<'_>, call: &ParsedCall) -> Result<Vec<Position>> {
    let mut same = Vec::new();
    for position in find_record(appender.view()?, &call.record)? {
        let recorded = effective(appender.view()?, position, None)?;
        let recorded = recorded.map(|recorded| ParsedCall { at: recorded.at, record: recorded.record });
        if recorded.is_none_or(|recorded| !repeated_ids::is_another_in_telemetry(&recorded, call)) {
            same.push(position);
        }
    }
    Ok(same)
}

/// Derives a key from the content, so that a call without an id is one record however often it is sent.
fn made_key(call: &ParsedCall, place: &TracePlace) -> String {
    let record = &call.record;
    let of = record.conversation.as_deref().or(record.agent.as_deref()).unwrap_or_default();
    let model = record.model.as_deref().unwrap_or_default();
    let mut content = format!("{of}\n{model}\n{:?}", record.tokens.counts());
    if let Some(within) = place.within.as_ref().filter(|_| gen_ai::is_instrumented(record)) {
        content = format!("{content}\n{within}");
    }
    format!("{KEY}{}/{:016x}", call.at.millis(), xxh3_64(content.as_bytes()))
}

/// Marks a conversation as reported by telemetry, for importers of its log.
fn conversation_of(record: &TokenRecord, conversation: &str) -> ImportedFile {
    let agent = record.agent.as_deref().unwrap_or("unknown");
    ImportedFile {
        path: format!("{agent}/{conversation}"),
        conversation: Some(conversation.to_owned()),
        ..ImportedFile::default()
    }
}
