//! The one writer of an import: what was gathered goes into the ledger, each call once.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::SourceReport;
use super::gather::{Batch, Told};
use super::hands::Hands;
use super::meet::{Meeting, Met};
use super::source::Found;
use super::twin::{self, Heard};
use crate::error::Result;
use crate::event::{Imported, ImportedFile, NewEvent, Payload, Position};
use crate::ledger::{Appender, Ledger, Outcome, Ready};
use crate::projection::find_record;
use crate::time::Timestamp;

/// Batches written in one transaction, unless they keep it waiting: the fewer commits, the fewer pages are written again.
const TOGETHER: usize = 8;
/// How long a transaction waits for a batch. Others who write wait for it.
const PATIENCE: Duration = Duration::from_millis(50);
/// Skipped lines kept in one `imported` event; the report has them all.
const SKIPPED_KEPT: usize = 1_000;

/// Where the log ends, as far as a run knows that is alone to write.
pub(super) struct Alone(Option<Position>);

impl Alone {
    /// A run that begins at this head.
    pub const fn since(head: Position) -> Self {
        Self(Some(head))
    }

    /// Whether the run alone has written up to this head; once it has not, it is not alone any more.
    fn is(&mut self, head: Position) -> bool {
        self.0 = self.0.filter(|expected| *expected == head);
        self.0.is_some()
    }

    fn reach(&mut self, head: Position) {
        self.0 = self.0.map(|_| head);
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
    alone: &'w mut Alone,
    hands: &'w Hands,
}

impl<'w> Writer<'w> {
    pub fn new(source: &str, now: Timestamp, alone: &'w mut Alone, heard: Heard, hands: &'w Hands) -> Self {
        Self {
            now,
            heard,
            report: SourceReport { source: source.to_owned(), ..SourceReport::default() },
            began: HashMap::new(),
            alone,
            hands,
        }
    }

    /// Writes a batch, and those that follow soon, in one transaction.
    pub fn flush(&mut self, ledger: &mut Ledger, first: Batch, following: &Receiver<Batch>) -> Result<()> {
        let mut run = Imported::new(self.report.source.clone());
        let (mut states, mut skipped) = (HashMap::new(), Vec::new());
        let (mut observed, mut bytes) = (0, 0);
        ledger.transact(self.now, |appender| {
            appender.leave_spent(self.hands.spent.clone());
            let alone = self.alone.is(appender.committed_view().head()?.position);
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
                for Told { ready, known } in batch.calls {
                    if alone && !known {
                        self.record(appender, ready, &mut run)?;
                    } else {
                        self.look_up(appender, ready, &mut run)?;
                    }
                }
                for one in batch.keyless {
                    appender.push(one)?;
                    run.recorded += 1;
                }
                for Told { ready, known } in batch.observed {
                    // Forks and moved logs tell it again: the same words at the same time are one observation.
                    let outcome =
                        if alone && !known { appender.push_ready(ready) } else { appender.push(ready.into()) }?;
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
            self.alone.reach(appender.view()?.head()?.position);
            Ok(())
        })?;
        self.hands.tidy();
        self.report.bytes += bytes;
        self.report.recorded += run.recorded;
        self.report.duplicates += run.duplicates;
        self.report.amended += run.amended;
        self.report.skipped.extend(skipped);
        self.report.observed += observed;
        Ok(())
    }

    /// Writes a call, unless one of its keys finds one.
    fn look_up(&mut self, appender: &mut Appender<'_>, call: Ready, run: &mut Imported) -> Result<()> {
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
        let meeting = Meeting { source: &run.source, now: self.now, began: &self.began, heard: Some(&self.heard) };
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
