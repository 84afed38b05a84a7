//! The single writer of an import: it writes batches to the ledger, each call once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::import::engine::agent::Counters;
use crate::import::engine::background::BackgroundThreads;
use crate::import::engine::batcher::{Batch, Delivery};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::reconcile::{Meeting, Reconciled};
use crate::import::engine::repeated_ids;
use crate::import::engine::telemetry_match::{self, SeenConversations};
use crate::import::health::schema_drift::Doubting;
use crate::import::outcome::SourceReport;
use crate::ledger::{Appender, Ledger, PreparedEvent};
use crate::model::error::Result;
use crate::model::event::{Imported, ImportedFile, NewEvent, Payload, Position, SkippedLine};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::{effective, find_record};

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
    doubting: Doubting,
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
    fn of(source: &str, version: u32) -> Self {
        let run = Imported { version, ..Imported::new(source.to_owned()) };
        Self { run, states: HashMap::new(), skipped: Vec::new(), unreadable: 0, observed: 0, bytes: 0 }
    }

    /// Appends the `imported` event, unless nothing was read.
    fn tell(&mut self, appender: &mut Appender<'_>, now: Timestamp) -> Result<()> {
        let run = &mut self.run;
        run.files = new_states(appender, &run.source, std::mem::take(&mut self.states))?;
        if run.recorded + run.amended > 0 || !run.files.is_empty() {
            run.files.sort_by(|a, b| a.path.cmp(&b.path));
            run.skipped = self.skipped.iter().take(SKIPPED_KEPT).cloned().collect();
            appender.push(NewEvent::new(run.clone(), now).source(run.source.clone()))?;
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
pub(in crate::import) struct Writer<'w> {
    now: Timestamp,
    parts: Vec<FilePart>,
    /// Conversations that telemetry has reported.
    heard: SeenConversations,
    alone: &'w mut UncontendedWriter,
    hands: &'w BackgroundThreads,
    /// Positions of records that an older version of the importer wrote and this run has read again. The first sighting
    /// replaces the older result; further sightings are joined to it.
    met: HashSet<Position>,
}

impl<'w> Writer<'w> {
    pub fn new(
        reports: impl Iterator<Item = (SourceReport, Counters, u32)>,
        now: Timestamp,
        alone: &'w mut UncontendedWriter,
        heard: SeenConversations,
        hands: &'w BackgroundThreads,
    ) -> Self {
        let parts = reports.map(|(report, counters, version)| FilePart {
            report,
            version,
            doubting: Doubting::new(counters),
            began: HashMap::new(),
        });
        Self { now, parts: parts.collect(), heard, alone, hands, met: HashSet::new() }
    }

    /// Returns the report of each source, and the positions that were read again.
    pub fn into_reports(self) -> (Vec<SourceReport>, HashSet<Position>) {
        let reports = self.parts.into_iter().map(|part| SourceReport { doubts: part.doubting.end(), ..part.report });
        (reports.collect(), self.met)
    }

    /// Writes a batch, and those that follow shortly, in one transaction.
    pub fn flush(&mut self, ledger: &Ledger, first: Batch, following: &Receiver<Batch>) -> Result<()> {
        let mut taken: BTreeMap<usize, WrittenBatch> = BTreeMap::new();
        ledger.transact(self.now, |appender| {
            if let Some(spent) = &self.hands.spent {
                appender.leave_spent(spent.clone());
            }
            let alone = self.alone.is(appender.flushed_view().head()?.position);
            let mut next = Some(first);
            for written in 1.. {
                let Some(batch) = next else { break };
                // Lookups must see the records that this transaction has written.
                appender.view()?;
                let part =
                    self.parts.get_mut(batch.of).ok_or_else(|| bug!("a batch of source {} of none", batch.of))?;
                part.began.extend(batch.began.iter().map(|(conversation, at)| (conversation.clone(), *at)));
                let of = taken.entry(batch.of).or_insert_with(|| WrittenBatch::of(&part.report.source, part.version));
                self.write(appender, batch, alone, of)?;
                next = if written < TOGETHER { following.recv_timeout(PATIENCE).ok() } else { None };
            }
            taken.values_mut().try_for_each(|of| of.tell(appender, self.now))?;
            self.alone.reach(appender.view()?.head()?.position);
            Ok(())
        })?;
        self.hands.tidy();
        for (of, taken) in taken {
            let part = self.parts.get_mut(of).ok_or_else(|| bug!("what source {of} of none wrote"))?;
            taken.add_to(&mut part.report);
        }
        Ok(())
    }

    fn write(
        &mut self,
        appender: &mut Appender<'_>,
        batch: Batch,
        alone: bool,
        taken: &mut WrittenBatch,
    ) -> Result<()> {
        taken.run.duplicates += batch.copies;
        taken.bytes += batch.bytes;
        taken.skipped.extend(batch.skipped);
        taken.unreadable += batch.unreadable;
        taken.states.extend(batch.states.into_iter().map(|state| (state.path.clone(), state)));
        for Delivery { ready, known, again } in batch.calls {
            if alone && !known {
                self.record(appender, ready, batch.of, &mut taken.run)?;
            } else {
                self.look_up(appender, (ready, again), batch.of, &mut taken.run)?;
            }
        }
        for one in batch.keyless {
            self.doubt(batch.of, &one.payload);
            appender.push(one)?;
            taken.run.recorded += 1;
        }
        for Delivery { ready, known, .. } in batch.observed {
            // Forks and moved logs repeat observations. Equal content at the same time is one observation.
            let outcome = if alone && !known { appender.push_ready(ready) } else { appender.push(ready.into()) }?;
            taken.observed += u64::from(outcome.is_new());
        }
        Ok(())
    }

    /// Writes a call, or reconciles it with the records that have one of its keys.
    fn look_up(
        &mut self,
        appender: &mut Appender<'_>,
        (call, again): (PreparedEvent, bool),
        of: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let Payload::TokensRecorded(record) = &call.event().payload else {
            return Err(bug!("a call is a `{}`", call.event().payload.kind()));
        };
        let known = find_record(appender.flushed_view(), record)?;
        if known.is_empty() {
            return self.record(appender, call, of, run);
        }
        let may_repeat = repeated_ids::may_repeat(record);
        let event = call.into_event();
        let source = event.source.clone();
        let Payload::TokensRecorded(record) = event.payload else {
            return Err(bug!("a call is a `{}`", event.payload.kind()));
        };
        let found = ParsedCall { at: event.occurred_at, record };
        if may_repeat && is_another(appender, &found, &known)? {
            return self.look_up_with_time(appender, (found, again), source, of, run);
        }
        self.meet_known(appender, (found, again), &known, of, run)
    }

    /// Writes a call whose id belongs to an earlier call, under a key that includes its time.
    fn look_up_with_time(
        &mut self,
        appender: &mut Appender<'_>,
        (found, again): (ParsedCall, bool),
        source: Cow<'static, str>,
        of: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let found = repeated_ids::with_time(found);
        let known = find_record(appender.flushed_view(), &found.record)?;
        if !known.is_empty() {
            return self.meet_known(appender, (found, again), &known, of, run);
        }
        let ids: Vec<_> = found.record.ids().collect();
        let id = *ids.first().ok_or_else(|| bug!("a call with an id that repeats has none"))?;
        let event = NewEvent::new(found.record, found.at).source(source);
        self.record(appender, PreparedEvent::new(id, event, Some(ids), self.now), of, run)
    }

    /// Reconciles a call with the records that have one of its keys.
    fn meet_known(
        &mut self,
        appender: &mut Appender<'_>,
        (found, again): (ParsedCall, bool),
        known: &[Position],
        of: usize,
        run: &mut Imported,
    ) -> Result<()> {
        // Mark all of them, whichever is amended.
        let new = if again { known.iter().filter(|position| self.met.insert(**position)).count() } else { 0 };
        let is_first = again && new == known.len();
        self.meet(appender, (found, is_first), known, of, run)
    }

    /// Writes a call whose keys are unknown, unless telemetry has recorded it without a common key.
    fn record(
        &mut self,
        appender: &mut Appender<'_>,
        call: PreparedEvent,
        of: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let event = call.event();
        let is_telemetry = |call: &ParsedCall| telemetry_match::is_telemetry(&call.record);
        if let Payload::TokensRecorded(record) = &event.payload
            && self.heard.of(record)
            && let Some(twin) = telemetry_match::find(appender.view()?, record, event.occurred_at, &is_telemetry)?
        {
            let event = call.into_event();
            let Payload::TokensRecorded(record) = event.payload else {
                return Err(bug!("a call is a `{}`", event.payload.kind()));
            };
            return self.meet(appender, (ParsedCall { at: event.occurred_at, record }, false), &[twin], of, run);
        }
        self.doubt(of, &call.event().payload);
        appender.push_ready(call)?;
        run.recorded += 1;
        Ok(())
    }

    fn doubt(&mut self, of: usize, call: &Payload) {
        if let (Some(part), Payload::TokensRecorded(record)) = (self.parts.get_mut(of), call) {
            part.doubting.see(record);
        }
    }

    fn meet(
        &self,
        appender: &mut Appender<'_>,
        (found, is_again): (ParsedCall, bool),
        known: &[Position],
        of: usize,
        run: &mut Imported,
    ) -> Result<()> {
        let part = self.parts.get(of).ok_or_else(|| bug!("a call of source {of} of none"))?;
        let again = is_again.then_some(part.version);
        let heard = Some(&self.heard);
        let meeting = Meeting { source: &run.source, now: self.now, began: &part.began, heard, again };
        match meeting.meet(appender, found, known)? {
            Reconciled::Amended => run.amended += 1,
            Reconciled::Known => run.duplicates += 1,
        }
        Ok(())
    }
}

/// Returns whether a call with a repeatable id differs from all calls with that id. A withdrawn record counts as the
/// same call.
fn is_another(appender: &Appender<'_>, found: &ParsedCall, known: &[Position]) -> Result<bool> {
    for position in known {
        let Some(told) = effective(appender.flushed_view(), *position, None)? else { return Ok(false) };
        if repeated_ids::can_be_one(&ParsedCall { at: told.at, record: told.record }, found) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the states of files that were read further, or whose stored state differs.
fn new_states(
    appender: &mut Appender<'_>,
    source: &str,
    states: HashMap<String, ImportedFile>,
) -> Result<Vec<ImportedFile>> {
    let view = appender.flushed_view();
    let mut new = Vec::new();
    for state in states.into_values() {
        let known = crate::projection::file_state(view, source, &state.path)?;
        if known.is_none_or(|known| {
            (known.offset, &known.hash, known.skipped, known.version)
                != (state.offset, &state.hash, state.skipped, state.version)
        }) {
            new.push(state);
        }
    }
    Ok(new)
}
