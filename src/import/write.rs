//! The one writer of an import: what was gathered goes into the ledger, each call once.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use fastbloom::BloomFilter;

use super::SourceReport;
use super::gather::Batch;
use super::meet::{Meeting, Met};
use super::source::Found;
use super::twin::{self, Heard};
use crate::error::Result;
use crate::event::{EventId, Imported, ImportedFile, NewEvent, Payload, Position};
use crate::ledger::{Appender, Ledger, Outcome, Ready};
use crate::projection::find_record;
use crate::time::Timestamp;

/// Batches written in one transaction, unless they keep it waiting: the fewer commits, the fewer pages are written again.
const TOGETHER: usize = 8;
/// How long a transaction waits for a batch. Others who write wait for it.
const PATIENCE: Duration = Duration::from_millis(50);
/// Skipped lines kept in one `imported` event; the report has them all.
const SKIPPED_KEPT: usize = 1_000;
/// Bits by which keys are remembered to spare look-ups in a ledger that was empty when the import began. Of a million
/// keys one in some hundred is taken for known, and looked up.
const REMEMBERED: usize = 1 << 24;
/// Bits a key.
const HASHES: u32 = 3;

/// Keys that a run has written, while it knows all there are: the ledger was empty when it began and nobody else writes.
pub(super) struct Written(Option<(BloomFilter, Position)>);

impl Written {
    /// What a run knows that begins at this head.
    pub fn since(head: Position) -> Self {
        let empty = head == Position::START;
        Self(empty.then(|| (BloomFilter::with_num_bits(REMEMBERED).hashes(HASHES), head)))
    }

    /// Knows nothing more when somebody else has written.
    fn check(&mut self, head: Position) {
        if self.0.as_ref().is_some_and(|(_, expected)| *expected != head) {
            self.0 = None;
        }
    }

    fn reach(&mut self, head: Position) {
        if let Some((_, expected)) = &mut self.0 {
            *expected = head;
        }
    }

    /// Whether no event in the ledger can have one of these keys; remembers them.
    fn is_new(&mut self, ids: &[EventId]) -> bool {
        let Some((keys, _)) = &mut self.0 else { return false };
        let mut new = true;
        for id in ids {
            new &= !keys.insert_hash(id.prefix());
        }
        new
    }
}

/// Writes batches, several in a transaction.
pub(super) struct Writer<'w> {
    now: Timestamp,
    pub report: SourceReport,
    /// When conversations begin, as far as this run has seen.
    began: HashMap<String, Timestamp>,
    /// Conversations that telemetry has told of.
    heard: Heard,
    written: &'w mut Written,
}

impl<'w> Writer<'w> {
    pub fn new(source: &str, now: Timestamp, written: &'w mut Written, heard: Heard) -> Self {
        Self {
            now,
            heard,
            report: SourceReport { source: source.to_owned(), ..SourceReport::default() },
            began: HashMap::new(),
            written,
        }
    }

    /// Writes a batch, and those that follow soon, in one transaction.
    pub fn flush(&mut self, ledger: &mut Ledger, first: Batch, following: &Receiver<Batch>) -> Result<()> {
        let mut run = Imported::new(self.report.source.clone());
        let (mut states, mut skipped) = (HashMap::new(), Vec::new());
        let (mut observed, mut bytes) = (0, 0);
        ledger.transact(self.now, |appender| {
            self.written.check(appender.committed_view().head()?.position);
            let mut next = Some(first);
            for written in 1.. {
                let Some(batch) = next else { break };
                // Copies of what was written just now have to be found.
                appender.view()?;
                run.duplicates += batch.copies;
                bytes += batch.bytes;
                self.began.extend(batch.began);
                skipped.extend(batch.skipped);
                states.extend(batch.states.into_iter().map(|state| (state.path.clone(), state)));
                for one in batch.calls {
                    self.write(appender, one, &mut run)?;
                }
                for one in batch.keyless {
                    appender.push(one)?;
                    run.recorded += 1;
                }
                for event in batch.observed {
                    // Forks and moved logs tell it again: the same words at the same time are one observation.
                    let is_new = self.written.is_new(&[event.event().id]);
                    let outcome = if is_new { appender.push_ready(event) } else { appender.push(event.into()) }?;
                    observed += u64::from(matches!(outcome, Outcome::Appended(_)));
                }
                next = if written < TOGETHER { following.recv_timeout(PATIENCE).ok() } else { None };
            }
            run.files = new_states(appender, &run.source, states)?;
            let news = run.recorded + run.amended > 0 || !run.files.is_empty();
            if news {
                run.files.sort_by(|a, b| a.path.cmp(&b.path));
                run.skipped = skipped.iter().take(SKIPPED_KEPT).cloned().collect();
                appender.push(NewEvent::new(run.clone(), self.now).source(run.source.clone()))?;
            }
            self.written.reach(appender.view()?.head()?.position);
            Ok(())
        })?;
        self.report.bytes += bytes;
        self.report.recorded += run.recorded;
        self.report.duplicates += run.duplicates;
        self.report.amended += run.amended;
        self.report.skipped.extend(skipped);
        self.report.observed += observed;
        Ok(())
    }

    fn write(&mut self, appender: &mut Appender<'_>, call: Ready, run: &mut Imported) -> Result<()> {
        if self.written.is_new(call.ids()) {
            return self.record(appender, call, run);
        }
        let Payload::TokensRecorded(record) = &call.event().payload else { return Ok(()) };
        let known = find_record(appender.committed_view(), record)?;
        if known.is_empty() {
            return self.record(appender, call, run);
        }
        let event = call.into_event();
        let Payload::TokensRecorded(record) = event.payload else { return Ok(()) };
        self.meet(appender, Found { at: event.occurred_at, record }, &known, run)
    }

    /// Writes a call that no key finds: telemetry may have told of it without one.
    fn record(&mut self, appender: &mut Appender<'_>, call: Ready, run: &mut Imported) -> Result<()> {
        let event = call.event();
        if let Payload::TokensRecorded(record) = &event.payload
            && self.heard.of(record)
            && let Some(twin) = twin::find(appender.view()?, record, event.occurred_at, &twin::is_telemetry)?
        {
            let event = call.into_event();
            let Payload::TokensRecorded(record) = event.payload else { return Ok(()) };
            return self.meet(appender, Found { at: event.occurred_at, record }, &[twin], run);
        }
        appender.push_ready(call)?;
        run.recorded += 1;
        Ok(())
    }

    fn meet(&self, appender: &mut Appender<'_>, found: Found, known: &[Position], run: &mut Imported) -> Result<()> {
        let meeting = Meeting { source: &run.source, now: self.now, began: &self.began };
        match meeting.meet(appender, found, known)? {
            Met::Amended => run.amended += 1,
            Met::Known => run.duplicates += 1,
        }
        Ok(())
    }
}

/// The files that were read further, or differ from what is known of them.
fn new_states(
    appender: &mut Appender<'_>,
    source: &str,
    states: HashMap<String, ImportedFile>,
) -> Result<Vec<ImportedFile>> {
    let view = appender.committed_view();
    let mut new = Vec::new();
    for state in states.into_values() {
        let known = crate::projection::file_state(view, source, &state.path)?;
        if known.is_none_or(|known| (known.offset, &known.hash) != (state.offset, &state.hash)) {
            new.push(state);
        }
    }
    Ok(new)
}
