//! Amends the calls of logs that were imported with other labels than those that the import states.

use std::collections::HashSet;

use crate::import::engine::agent::Agent;
use crate::import::engine::file_labels::{FileLabels, Labels, has_all, relabelled, replaced};
use crate::import::engine::log_file::LogFile;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::reader;
use crate::import::engine::reconcile::correction_time;
use crate::import::engine::repeated_ids::{can_be_one, may_repeat, with_time};
use crate::ledger::{Appender, Ledger};
use crate::model::error::Result;
use crate::model::event::{
    Event, Imported, ImportedFile, NewEvent, Payload, Position, SkippedLine, TELEMETRY, TokenRecord, TokensAmended,
};
use crate::model::secrets;
use crate::model::time::{Timestamp, Zone};
use crate::projection::{Effective, effective, file_outlines, file_state, find_record};
use crate::store::ReadView;

/// The result for the logs of one agent.
#[derive(Debug, Default)]
pub(in crate::import) struct Relabelled {
    /// Number of amended records.
    pub amended: u64,
    /// Logs that cannot be read.
    pub skipped: Vec<SkippedLine>,
}

/// Reads the imported logs that have other labels than the stated ones from their beginning, and amends the labels of their calls.
///
/// A call that a person corrected stays. So does a call without a key, which no second reading of a log can find. Each log is one
/// transaction with its new labels, so an import that is killed amends the rest next time.
pub(in crate::import) fn run(
    ledger: &Ledger,
    agent: &Agent,
    files: &[LogFile],
    (labels, zone): (&FileLabels, Zone),
    now: Timestamp,
) -> Result<Relabelled> {
    let mut done = Relabelled::default();
    let mut met = HashSet::new();
    for (file, state) in relabelled_files(ledger, agent, files, labels)? {
        let Some(calls) = calls(agent, zone, file, &mut done.skipped) else { continue };
        let after = replaced(&state.labels, &labels.of_file(&file.path));
        done.amended += ledger.transact(now, |appender| {
            let mut run = Imported { version: state.version, ..Imported::new(agent.name) };
            for call in &calls {
                for position in positions(appender.flushed_view(), call)? {
                    if met.insert(position) {
                        let amended = amend(appender, (position, agent.name), (&state.labels, &after), now)?;
                        run.amended += u64::from(amended);
                    }
                }
            }
            let amended = run.amended;
            run.files.push(ImportedFile { labels: after, ..state.clone() });
            appender.push(NewEvent::new(run, now).source(agent.name))?;
            Ok(amended)
        })?;
    }
    Ok(done)
}

/// The imported logs that lack a stated label.
fn relabelled_files<'f>(
    ledger: &Ledger,
    agent: &Agent,
    files: &'f [LogFile],
    labels: &FileLabels,
) -> Result<Vec<(&'f LogFile, ImportedFile)>> {
    let snapshot = ledger.snapshot()?;
    let outlines = file_outlines(snapshot.view(), agent.name)?;
    let mut found = Vec::new();
    for file in files {
        let path = file.path.to_string_lossy();
        let path = secrets::path(&path);
        let is_other = |known: &ImportedFile| !has_all(&known.labels, &labels.of_file(&file.path));
        if outlines.get(&*path).is_some_and(is_other) {
            found.extend(file_state(snapshot.view(), agent.name, &path)?.map(|state| (file, state)));
        }
    }
    Ok(found)
}

/// The calls of a log; `None` if it cannot be read completely.
fn calls(agent: &Agent, zone: Zone, file: &LogFile, skipped: &mut Vec<SkippedLine>) -> Option<Vec<ParsedCall>> {
    let (mut calls, mut unreadable) = (Vec::new(), Vec::new());
    reader::read(agent.source, zone, file, None, &mut |mut chunk| {
        chunk.scrub();
        if chunk.unreadable > 0 {
            unreadable.append(&mut chunk.skipped);
        }
        calls.extend(chunk.calls.into_iter().map(|sighting| sighting.call));
        true
    });
    let is_readable = unreadable.is_empty();
    skipped.append(&mut unreadable);
    is_readable.then_some(calls)
}

/// The records of a call.
fn positions(view: &dyn ReadView, call: &ParsedCall) -> Result<Vec<Position>> {
    let mut found = find_record(view, &call.record)?;
    if may_repeat(&call.record) {
        found.extend(find_record(view, &with_time(call.clone()).record)?);
        let mut own = Vec::new();
        for position in found {
            let Some(recorded) = effective(view, position, None)? else { continue };
            if can_be_one(&ParsedCall { at: recorded.at, record: recorded.record }, call) {
                own.push(position);
            }
        }
        return Ok(own);
    }
    Ok(found)
}

/// Amends the labels of a record. Returns whether they changed.
fn amend(
    appender: &mut Appender<'_>,
    (position, agent): (Position, &str),
    (before, after): (&Labels, &Labels),
    now: Timestamp,
) -> Result<bool> {
    let Some(recorded) = effective(appender.flushed_view(), position, None)? else { return Ok(false) };
    let Effective { at, record, source, amended_at, shredded, .. } = recorded;
    let is_of_import = source == TELEMETRY || crate::import::names().contains(&source.as_str());
    let labels = relabelled(&record.labels, before, after);
    if !is_of_import || shredded || labels == record.labels {
        return Ok(false);
    }
    let target = Event::from_line(position, &appender.flushed_view().expect_line(position)?)?.id;
    let reason = "the labels of its log changed".to_owned();
    let replacement = TokenRecord { labels, ..record };
    let amend = TokensAmended { target, reason, at: Some(at), replacement };
    let at = correction_time(now, amended_at);
    appender.push(NewEvent::new(Payload::from(amend), at).source(agent.to_owned()))?;
    Ok(true)
}
