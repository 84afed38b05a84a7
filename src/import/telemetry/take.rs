//! Telemetry into a ledger: each call once, whoever told of it first.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::nest::NestPlace;
use super::{Telemetry, gen_ai, nest};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::reconcile::{Meeting, Reconciled};
use crate::import::engine::telemetry_match::{self, KEY, SeenConversations, TELEMETRY};
use crate::ledger::{Appender, Ledger};
use crate::model::error::Result;
use crate::model::event::{Imported, ImportedFile, NewEvent, TokenRecord};
use crate::model::time::Timestamp;
use crate::projection::find_record;

/// What a ledger took from telemetry.
///
/// ```
/// use usage_ledger::import::telemetry::Ingested;
/// let taken = Ingested { recorded: 2, known: 1, amended: 1 };
/// assert_eq!(taken.recorded + taken.known + taken.amended, 4); // calls that were told of
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ingested {
    /// Calls that were new.
    pub recorded: u64,
    /// Calls of which nothing was new.
    pub known: u64,
    /// Calls of which something was, such as their cost.
    pub amended: u64,
}

/// Records the calls that telemetry tells of, in one transaction, and returns their records, also of known calls. What is
/// told twice counts once.
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
/// let (first, records) = telemetry::take(&ledger, Telemetry::of_logs(&logs), chrono::Utc::now())?;
/// let (again, _) = telemetry::take(&ledger, Telemetry::of_logs(&logs), chrono::Utc::now())?;
/// assert_eq!(records.len(), 1);
/// assert_eq!((first.recorded, again.recorded, again.known), (1, 0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn take(ledger: &Ledger, told: Telemetry, now: impl Into<Timestamp>) -> Result<(Ingested, Vec<TokenRecord>)> {
    let now = now.into();
    let mut taken = Ingested::default();
    let mut new = Vec::new();
    if told.found.is_empty() {
        return Ok((taken, new));
    }
    // Those of one message may name a call's provider differently.
    let named: BTreeSet<String> = told.found.iter().map(|(found, _)| found.record.provider.to_string()).collect();
    ledger.transact(now, |appender| {
        let mut heard = SeenConversations::read(appender.view()?)?;
        let mut run = Imported::new(TELEMETRY);
        for (mut found, place) in told.found {
            if found.record.keys.is_empty() {
                found.record.keys.push(made_key(&found, &place));
            }
            let record = found.record.clone();
            if let Some(conversation) = record.conversation.as_deref().filter(|name| heard.add(name)) {
                run.files.push(conversation_of(&record, conversation));
            }
            match one(appender, found, (&place, &named), now)? {
                None => taken.recorded += 1,
                Some(Reconciled::Known) => taken.known += 1,
                Some(Reconciled::Amended) => taken.amended += 1,
            }
            new.push(record);
        }
        if !run.files.is_empty() {
            run.files.sort_by(|a, b| a.path.cmp(&b.path));
            run.recorded = taken.recorded;
            run.duplicates = taken.known;
            run.amended = taken.amended;
            appender.push(NewEvent::new(run, now).source(TELEMETRY))?;
        }
        Ok(())
    })?;
    Ok((taken, new))
}

/// Records a call, or holds it against the record that it is; `None` when it was new.
fn one(
    appender: &mut Appender<'_>,
    mut found: ParsedCall,
    (place, named): (&NestPlace, &BTreeSet<String>),
    now: Timestamp,
) -> Result<Option<Reconciled>> {
    let mut known = find_record(appender.view()?, &found.record)?;
    let meeting = Meeting { source: TELEMETRY, now, began: &HashMap::new(), heard: None };
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
        // The agent's own log may have told of it under a name that telemetry does not know.
        appender.sink()?;
        let unmet = |record: &TokenRecord| !telemetry_match::is_met(record);
        known.extend(telemetry_match::find(appender.view()?, &found.record, found.at, &unmet)?);
        if !known.is_empty() && !found.record.keys.iter().any(|key| key.starts_with(KEY)) {
            // So that no other call is taken for this one, and an exporter's second try finds it.
            found.record.keys.push(made_key(&found, place));
        }
    }
    if known.is_empty() {
        appender.push(NewEvent::new(found.record, found.at).source(TELEMETRY))?;
        return Ok(None);
    }
    meeting.meet(appender, found, &known).map(Some)
}

/// A key of what is told, so that a call without an id is one record however often it is sent.
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

/// That a conversation was told of, for those who look for the same calls in its log.
fn conversation_of(record: &TokenRecord, conversation: &str) -> ImportedFile {
    let agent = record.agent.as_deref().unwrap_or("unknown");
    ImportedFile {
        path: format!("{agent}/{conversation}"),
        conversation: Some(conversation.to_owned()),
        ..ImportedFile::default()
    }
}
