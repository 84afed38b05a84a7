//! The single writer of an import: it writes batches to the ledger, each call once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::import::engine::agent::Counters;
use crate::import::engine::background::BackgroundThreads;
use crate::import::engine::batcher::{Batch, PendingEvent};
use crate::import::engine::match_index::Feed;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::reconcile::{Reconciled, Reconciler};
use crate::import::engine::repeated_ids;
use crate::import::engine::telemetry_match::{self, TelemetryMatcher};
use crate::import::health::schema_drift::DriftCheck;
use crate::import::outcome::SourceReport;
use crate::ledger::{Appender, Ledger, PreparedEvent, run_all};
use crate::model::error::Result;
use crate::model::event::{Imported, ImportedFile, NewEvent, Payload, Position, SkippedLine, TokenRecord};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::{effective, file_state, find_record};
use crate::store::ReadView;

/// Maximum number of batches in one transaction. Fewer commits rewrite fewer pages.
const TOGETHER: usize = 16;
/// How long a transaction waits for the next batch. Other writers are blocked meanwhile.
const PATIENCE: Duration = Duration::from_millis(50);
/// Maximum number of skipped lines in one `imported` event. The report contains all of them.
const SKIPPED_KEPT: usize = 1_000;

/// The end of the log, as long as no other process has written since the run began.
pub(in crate::import) struct UncontendedWriter(Option<Position>);

impl UncontendedWriter {
    /// Starts at this head.
    pub const fn since(head: Position) -> Self {
        Self(Some(head))
    }

    /// Returns whether only this run has written up to this head. Once false, it stays false.
    fn is(&mut self, head: Position) -> bool {
        self.0 = self.0.filter(|expected| *expected == head);
        self.0.is_some()
    }

    fn reach(&mut self, head: Position) {
        self.0 = self.0.map(|_| head);
    }
}

/// State of one source in a run.
struct FilePart {
    report: SourceReport,
    /// The importer's version.
    version: u32,
    drift: DriftCheck,
    /// Start times of conversations, as far as this run has read them.
    began: HashMap<String, Timestamp>,
}

/// What one transaction writes for one source.
struct WrittenBatch {
    run: Imported,
    states: HashMap<String, ImportedFile>,
    skipped: Vec<SkippedLine>,
    unreadable: u64,
    observed: u64,
    bytes: u64,
}

impl WrittenBatch {
    fn new(source: &str, version: u32) -> Self {
        let run = Imported { version, ..Imported::new(source.to_owned()) };
        Self { run, states: HashMap::new(), skipped: Vec::new(), unreadable: 0, observed: 0, bytes: 0 }
    }

    /// Appends the `imported` event, unless nothing was read.
    fn append_run(&mut self, appender: &mut Appender<'_>, now: Timestamp) -> Result<()> {
        let run = &mut self.run;
        run.files = new_states(appender, &run.source, std::mem::take(&mut self.states))?;
        if run.recorded + run.amended > 0 || !run.files.is_empty() {
            run.files.sort_by(|a, b| a.path.cmp(&b.path));
            run.skipped = self.skipped.iter().take(SKIPPED_KEPT).cloned().collect();
            let source = run.source.clone();
            for part in run.clone().in_parts() {
                appender.push(NewEvent::new(part, now).source(source.clone()))?;
            }
        }
        Ok(())
    }

    fn add_to(self, report: &mut SourceReport) {
        report.bytes += self.bytes;
        report.recorded += self.run.recorded;
        report.duplicates += self.run.duplicates;
        report.amended += self.run.amended;
        report.skipped.extend(self.skipped);
        report.unreadable += self.unreadable;
        report.observed += self.observed;
    }
}

/// Writes batches, several per transaction.
pub(in crate::import) struct ImportWriter<'w> {
    now: Timestamp,
    parts: Vec<FilePart>,
    /// Finds calls that telemetry has reported.
    matcher: TelemetryMatcher,
    uncontended: &'w mut UncontendedWriter,
    background: &'w BackgroundThreads,
    /// Positions of records that an older version of the importer wrote and this run has read again. The first sighting
    /// replaces the older result; further sightings are joined to it.
    read_again_records: HashSet<Position>,
}

impl<'w> ImportWriter<'w> {
    pub fn new(
        reports: impl Iterator<Item = (SourceReport, Counters, u32)>,
        now: Timestamp,
        uncontended: &'w mut UncontendedWriter,
        matcher: TelemetryMatcher,
        background: &'w BackgroundThreads,
    ) -> Self {
        let parts = reports.map(|(report, counters, version)| FilePart {
            report,
            version,
            drift: DriftCheck::new(counters),
            began: HashMap::new(),
        });
        Self { now, parts: parts.collect(), matcher, uncontended, background, read_again_records: HashSet::new() }
    }

    /// Returns the report of each source, and the positions that were read again.
    pub fn into_reports(self) -> (Vec<SourceReport>, HashSet<Position>) {
        let reports = self.parts.into_iter().map(|part| SourceReport { drift: part.drift.end(), ..part.report });
        (reports.collect(), self.read_again_records)
    }

    /// Writes a batch, and those that follow shortly, in one transaction.
    pub fn flush(&mut self, ledger: &Ledger, first: Batch, following: &Receiver<Result<Batch>>) -> Result<()> {
        let mut by_source: BTreeMap<usize, WrittenBatch> = BTreeMap::new();
        ledger.transact(self.now, |appender| {
            if let Some(written) = &self.background.written {
                appender.leave_spent(written.clone());
            }
            let uncontended = self.uncontended.is(appender.flushed_view().head()?.position);
            let mut next = Some(first);
            for written in 1.. {
                let Some(batch) = next else { break };
                // Lookups must see the records that this transaction has written.
                appender.view()?;
                let part = self
                    .parts
                    .get_mut(batch.source_index)
                    .ok_or_else(|| bug!("a batch of source {} of none", batch.source_index))?;
                part.began.extend(batch.began.iter().map(|(conversation, at)| (conversation.clone(), *at)));
                let written_batch = by_source
                    .entry(batch.source_index)
                    .or_insert_with(|| WrittenBatch::new(&part.report.source, part.version));
                self.write(appender, batch, uncontended, written_batch)?;
                next = if written < TOGETHER { following.recv_timeout(PATIENCE).ok().transpose()? } else { None };
            }
            by_source.values_mut().try_for_each(|written_batch| written_batch.append_run(appender, self.now))?;
            self.uncontended.reach(appender.view()?.head()?.position);
            Ok(())
        })?;
        self.background.tidy();
        for (source_index, written_batch) in by_source {
            let part =
                self.parts.get_mut(source_index).ok_or_else(|| bug!("what source {source_index} of none wrote"))?;
            written_batch.add_to(&mut part.report);
        }
        Ok(())
    }

    fn write(
        &mut self,
        appender: &mut Appender<'_>,
        batch: Batch,
        uncontended: bool,
        written_batch: &mut WrittenBatch,
    ) -> Result<()> {
        written_batch.run.duplicates += batch.copies;
        written_batch.bytes += batch.bytes;
        written_batch.skipped.extend(batch.skipped);
        written_batch.unreadable += batch.unreadable;
        written_batch.states.extend(batch.states.into_iter().map(|state| (state.path.clone(), state)));
        appender.read_ahead(&mut |view| {
            run_all(batch.calls.iter().map(|pending| look_up(view, &pending.ready.event().payload)))
        })?;
        for PendingEvent { ready, maybe_recorded, again } in batch.calls {
            if uncontended && !maybe_recorded {
                self.record(appender, ready, batch.source_index, &mut written_batch.run)?;
            } else {
                self.look_up(appender, (ready, again), batch.source_index, &mut written_batch.run)?;
            }
        }
        for one in batch.keyless {
            self.check_drift(batch.source_index, &one.payload)?;
            appender.push(one)?;
            written_batch.run.recorded += 1;
        }
        for PendingEvent { ready, maybe_recorded, .. } in batch.observed {
            // Forks and moved logs repeat observations. Equal content at the same time is one observation.
            let outcome =
                if uncontended && !maybe_recorded { appender.push_ready(ready) } else { appender.push(ready.into()) }?;
            written_batch.observed += u64::from(outcome.is_new());
        }
        Ok(())
    }

    /// Writes a call, or reconciles it with the records that have one of its keys.
    fn look_up(
        &mut self,
        appender: &mut Appender<'_>,
        (call, again): (PreparedEvent, bool),
        source_index: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let Payload::TokensRecorded(record) = &call.event().payload else {
            return Err(bug!("a call is a `{}`", call.event().payload.kind()));
        };
        let recorded = find_record(appender.flushed_view(), record)?;
        if recorded.is_empty() {
            return match under_its_id(appender, call.event().occurred_at, record)? {
                Some((sighting, recorded)) => {
                    self.reconcile_recorded(appender, (sighting, again), &recorded, source_index, run)
                }
                None => self.record(appender, call, source_index, run),
            };
        }
        let may_repeat = repeated_ids::may_repeat(record);
        let event = call.into_event();
        let source = event.source.clone();
        let Payload::TokensRecorded(record) = event.payload else {
            return Err(bug!("a call is a `{}`", event.payload.kind()));
        };
        let sighting = ParsedCall { at: event.occurred_at, record };
        if may_repeat && is_another(appender, &sighting, &recorded)? {
            return self.look_up_with_time(appender, (sighting, again), source, source_index, run);
        }
        self.reconcile_recorded(appender, (sighting, again), &recorded, source_index, run)
    }

    /// Writes a call whose id belongs to an earlier call, under a key that includes its time.
    fn look_up_with_time(
        &mut self,
        appender: &mut Appender<'_>,
        (sighting, again): (ParsedCall, bool),
        source: Cow<'static, str>,
        source_index: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let sighting = repeated_ids::with_time(sighting);
        let recorded = find_record(appender.flushed_view(), &sighting.record)?;
        if !recorded.is_empty() {
            return self.reconcile_recorded(appender, (sighting, again), &recorded, source_index, run);
        }
        let ids: Vec<_> = sighting.record.ids().collect();
        let id = *ids.first().ok_or_else(|| bug!("a call with an id that repeats has none"))?;
        let event = NewEvent::new(sighting.record, sighting.at).source(source);
        self.record(appender, PreparedEvent::new(id, event, Some(ids), self.now), source_index, run)
    }

    /// Reconciles a call with the records that have one of its keys.
    fn reconcile_recorded(
        &mut self,
        appender: &mut Appender<'_>,
        (sighting, again): (ParsedCall, bool),
        recorded: &[Position],
        source_index: usize,
        run: &mut Imported,
    ) -> Result<()> {
        // Mark all of them, whichever is amended.
        let new = if again {
            recorded.iter().filter(|position| self.read_again_records.insert(**position)).count()
        } else {
            0
        };
        let is_first = again && new == recorded.len();
        self.reconcile(appender, (sighting, is_first), recorded, source_index, run)
    }

    /// Writes a call whose keys are unknown, unless telemetry has recorded it without a common key.
    fn record(
        &mut self,
        appender: &mut Appender<'_>,
        call: PreparedEvent,
        source_index: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let event = call.event();
        let is_of_telemetry = |feed: Feed| matches!(feed, Feed::Telemetry | Feed::Instrumentation);
        let is_telemetry = |call: &ParsedCall| telemetry_match::is_telemetry(&call.record);
        if let Payload::TokensRecorded(record) = &event.payload
            && self.matcher.is_reported(record)
            && let Some(telemetry_record) =
                self.matcher.find(appender, record, event.occurred_at, &is_of_telemetry, &is_telemetry)?
        {
            let event = call.into_event();
            let Payload::TokensRecorded(record) = event.payload else {
                return Err(bug!("a call is a `{}`", event.payload.kind()));
            };
            return self.reconcile(
                appender,
                (ParsedCall { at: event.occurred_at, record }, false),
                &[telemetry_record],
                source_index,
                run,
            );
        }
        self.check_drift(source_index, &call.event().payload)?;
        appender.push_ready(call)?;
        run.recorded += 1;
        Ok(())
    }

    fn check_drift(&mut self, source_index: usize, call: &Payload) -> Result<()> {
        let part = self.parts.get_mut(source_index).ok_or_else(|| bug!("a call of source {source_index} of none"))?;
        if let Payload::TokensRecorded(record) = call {
            part.drift.see(record);
        }
        Ok(())
    }

    fn reconcile(
        &self,
        appender: &mut Appender<'_>,
        (sighting, is_again): (ParsedCall, bool),
        recorded: &[Position],
        source_index: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let part = self.parts.get(source_index).ok_or_else(|| bug!("a call of source {source_index} of none"))?;
        let again = is_again.then_some(part.version);
        let matcher = Some(&self.matcher);
        let reconciler = Reconciler { source: &run.source, now: self.now, began: &part.began, matcher, again };
        match reconciler.reconcile(appender, sighting, recorded)? {
            Reconciled::Amended => run.amended += 1,
            Reconciled::Unchanged => run.duplicates += 1,
        }
        Ok(())
    }
}

/// Finds the records of a call whose key includes its time under the id of its server. The first call with an id has no
/// time in its key, and the order of calls differs between runs.
fn under_its_id(
    appender: &Appender<'_>,
    at: Timestamp,
    record: &TokenRecord,
) -> Result<Option<(ParsedCall, Vec<Position>)>> {
    let Some(record) = repeated_ids::without_time(at, record) else { return Ok(None) };
    let sighting = ParsedCall { at, record };
    let recorded = find_record(appender.flushed_view(), &sighting.record)?;
    let is_same = !recorded.is_empty() && !is_another(appender, &sighting, &recorded)?;
    Ok(is_same.then_some((sighting, recorded)))
}

/// Returns whether a call with a repeatable id differs from all calls with that id. A withdrawn record counts as the
/// same call.
fn is_another(appender: &Appender<'_>, sighting: &ParsedCall, recorded: &[Position]) -> Result<bool> {
    for position in recorded {
        let Some(recorded) = effective(appender.flushed_view(), *position, None)? else { return Ok(false) };
        if repeated_ids::can_be_one(&ParsedCall { at: recorded.at, record: recorded.record }, sighting) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes the lookups of a call. One that fails does not prevent the others.
fn look_up(view: &dyn ReadView, payload: &Payload) -> Result<()> {
    let Payload::TokensRecorded(record) = payload else { return Ok(()) };
    let found = find_record(view, record)?;
    run_all(found.iter().map(|position| effective(view, *position, None).map(drop)))
}

/// Returns the states of files that were read further, or whose stored state differs.
fn new_states(
    appender: &mut Appender<'_>,
    source: &str,
    states: HashMap<String, ImportedFile>,
) -> Result<Vec<ImportedFile>> {
    appender.read_ahead(&mut |view| run_all(states.keys().map(|path| file_state(view, source, path).map(drop))))?;
    let view = appender.flushed_view();
    let mut new = Vec::new();
    for state in states.into_values() {
        let recorded = file_state(view, source, &state.path)?;
        if recorded.is_none_or(|recorded| {
            (recorded.offset, &recorded.hash, recorded.skipped, recorded.version)
                != (state.offset, &state.hash, state.skipped, state.version)
        }) {
            new.push(state);
        }
    }
    Ok(new)
}
