//! Records telemetry in a ledger: each call once, whichever feed reports it first.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::nest::NestPlace;
use super::{Telemetry, gen_ai, nest};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::reconcile::{Meeting, Reconciled};
use crate::import::engine::repeated_ids;
use crate::import::engine::telemetry_match::{self, KEY, SeenConversations, TELEMETRY};
use crate::ledger::{Appender, Ledger};
use crate::model::error::{Error, Result};
use crate::model::event::{Imported, ImportedFile, NewEvent, Position, TokenRecord};
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::projection::{effective, find_record};

/// Number of calls by result.
///
/// ```
/// use usage_ledger::import::telemetry::Ingested;
/// let taken = Ingested { recorded: 2, known: 1, amended: 1 };
/// assert_eq!(taken.recorded + taken.known + taken.amended, 4); // calls that were told of
/// ```
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
///
/// ```
/// use usage_ledger::{Ledger, import::telemetry::{self, Telemetry}};
/// let taken = telemetry::take(&Ledger::in_memory()?, Telemetry::default(), chrono::Utc::now())?;
/// assert!(taken.records.is_empty() && taken.refused.is_empty());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TakenCalls {
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
///
/// ```
/// # use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
/// use usage_ledger::{Ledger, import::telemetry::{self, Telemetry}};
/// # let logs: ExportLogsServiceRequest = serde_json::from_str(r#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{
/// #     "timeUnixNano": "1780308000000000000",
/// #     "attributes": [
/// #         {"key": "event.name", "value": {"stringValue": "codex.sse_event"}},
/// #         {"key": "conversation.id", "value": {"stringValue": "c1"}},
/// #         {"key": "input_token_count", "value": {"intValue": "30"}},
/// #         {"key": "output_token_count", "value": {"intValue": "12"}}
/// #     ]
/// # }]}]}]}"#)?;
/// let ledger = Ledger::in_memory()?;
/// let first = telemetry::take(&ledger, Telemetry::of_logs(&logs), chrono::Utc::now())?;
/// let again = telemetry::take(&ledger, Telemetry::of_logs(&logs), chrono::Utc::now())?;
/// assert_eq!(first.records.len(), 1);
/// assert_eq!((first.counts.recorded, again.counts.recorded, again.counts.known), (1, 0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn take(ledger: &Ledger, told: Telemetry, now: impl Into<Timestamp>) -> Result<TakenCalls> {
    let now = now.into();
    let mut taken = TakenCalls::default();
    let mut calls = Vec::with_capacity(told.found.len());
    for (mut found, place) in told.found {
        if found.record.keys.is_empty() {
            found.record.keys.push(made_key(&found, &place));
        }
        match found.record.validate() {
            Ok(()) => calls.push((found, place)),
            Err(error) => taken.refused.push(refusal(&error)),
        }
    }
    if calls.is_empty() {
        return Ok(taken);
    }
    // Senders within one message may name different providers for a call.
    let named: BTreeSet<String> = calls.iter().map(|(found, _)| found.record.provider.to_string()).collect();
    match together(ledger, &calls, &named, now) {
        Ok(counts) => {
            taken.counts = counts;
            taken.records.extend(calls.into_iter().map(|(found, _)| found.record));
        }
        // The transaction is rolled back. Then each call gets its own, so that one call does not affect the others.
        Err(error) if is_of_a_call(&error) => {
            for call in calls {
                match together(ledger, std::slice::from_ref(&call), &named, now) {
                    Ok(counts) => {
                        taken.counts.add(counts);
                        taken.records.push(call.0.record);
                    }
                    Err(error) if is_of_a_call(&error) => taken.refused.push(refusal(&error)),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    Ok(taken)
}

/// Returns whether an error concerns a single call rather than the ledger.
const fn is_of_a_call(error: &Error) -> bool {
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

/// Records calls in one transaction.
fn together(
    ledger: &Ledger,
    calls: &[(ParsedCall, NestPlace)],
    named: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Ingested> {
    ledger.transact(now, |appender| {
        let mut taken = Ingested::default();
        let mut heard = SeenConversations::read(appender.view()?)?;
        let mut run = Imported::new(TELEMETRY);
        for (found, place) in calls {
            let record = &found.record;
            if let Some(conversation) = record.conversation.as_deref().filter(|name| heard.add(name)) {
                run.files.push(conversation_of(record, conversation));
            }
            match one(appender, found.clone(), (place, named), now)? {
                None => taken.recorded += 1,
                Some(Reconciled::Known) => taken.known += 1,
                Some(Reconciled::Amended) => taken.amended += 1,
            }
        }
        if !run.files.is_empty() {
            run.files.sort_by(|a, b| a.path.cmp(&b.path));
            run.recorded = taken.recorded;
            run.duplicates = taken.known;
            run.amended = taken.amended;
            appender.push(NewEvent::new(run, now).source(TELEMETRY))?;
        }
        Ok(taken)
    })
}

/// Records a call, or reconciles it with its record; `None` if it is new.
fn one(
    appender: &mut Appender<'_>,
    mut found: ParsedCall,
    (place, named): (&NestPlace, &BTreeSet<String>),
    now: Timestamp,
) -> Result<Option<Reconciled>> {
    let mut known = same_calls(appender, &found)?;
    if known.is_empty() && !find_record(appender.view()?, &found.record)?.is_empty() {
        found = repeated_ids::with_time(found);
        known = find_record(appender.view()?, &found.record)?;
    }
    let meeting = Meeting { source: TELEMETRY, now, began: &HashMap::new(), heard: None, again: None };
    if gen_ai::is_told_by(&found.record) {
        let kin = nest::look(appender.view()?, place, named, &found, &known)?;
        if kin.is_sum {
            return Ok(Some(Reconciled::Known));
        }
        if let Some(sum) = kin.sum {
            meeting.withdraw(appender, sum, "a sum of calls that are told of one by one")?;
        }
        known.extend(kin.same);
        known.sort_unstable();
        known.dedup();
        found.record.keys.extend(kin.key);
        found.record.keys.extend(kin.pair);
    }
    if known.is_empty() {
        // The agent's log may contain the call under a key that telemetry lacks.
        appender.sink()?;
        let unmet = |call: &ParsedCall| {
            !telemetry_match::is_met(&call.record) || telemetry_match::are_of_two_feeds(call, &found)
        };
        known.extend(telemetry_match::find(appender.view()?, &found.record, found.at, &unmet)?);
        if !known.is_empty() && !found.record.keys.iter().any(|key| key.starts_with(KEY)) {
            // The key marks this call as matched, and lets a repeated message find it.
            found.record.keys.push(made_key(&found, place));
        }
    }
    if known.is_empty() {
        appender.push(NewEvent::new(found.record, found.at).source(TELEMETRY))?;
        return Ok(None);
    }
    meeting.meet(appender, found, &known).map(Some)
}

/// The records that the keys of a call find, without other calls to which a relay gave the same id.
fn same_calls(appender: &mut Appender<'_>, found: &ParsedCall) -> Result<Vec<Position>> {
    let mut same = Vec::new();
    for position in find_record(appender.view()?, &found.record)? {
        let known = effective(appender.view()?, position, None)?;
        let known = known.map(|known| ParsedCall { at: known.at, record: known.record });
        if known.is_none_or(|known| !repeated_ids::is_another_in_telemetry(&known, found)) {
            same.push(position);
        }
    }
    Ok(same)
}

/// Derives a key from the content, so that a call without an id is one record however often it is sent.
fn made_key(found: &ParsedCall, place: &NestPlace) -> String {
    let record = &found.record;
    let of = record.conversation.as_deref().or(record.agent.as_deref()).unwrap_or_default();
    let model = record.model.as_deref().unwrap_or_default();
    let mut told = format!("{of}\n{model}\n{:?}", record.tokens.counts());
    if let Some(within) = place.within.as_ref().filter(|_| gen_ai::is_told_by(record)) {
        told = format!("{told}\n{within}");
    }
    format!("{KEY}{}/{:016x}", found.at.millis(), xxh3_64(told.as_bytes()))
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
