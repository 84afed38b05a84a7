//! `imports`: runs of importers, the latest first, with the reasons of skipped lines.

use serde::Serialize;

use super::input::limit;
use super::log::{before, shortened};
use super::view_inputs::ImportsInput;
use crate::import;
use crate::ledger::{EventFilter, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, Imported, Payload, Position, SkippedLine};
use crate::model::time::Timestamp;

/// Default and maximum number of runs in an answer.
const DEFAULT: usize = 20;
const MOST: usize = 50;
/// Maximum number of reasons for each run.
const REASONS: usize = 5;
/// Maximum length of a path or reason, in characters.
const TEXT: usize = 160;

/// Runs of importers.
#[derive(Serialize)]
pub(crate) struct ImportRuns {
    head: Position,
    runs: Vec<ImportRun>,
    /// Value of `before` for the next call; null at the first run.
    next: Option<Position>,
}

/// One run that found something new.
#[derive(Serialize)]
struct ImportRun {
    position: Position,
    at: Timestamp,
    source: String,
    version: u32,
    files: usize,
    /// Bytes of the files that have been read so far.
    bytes: u64,
    recorded: u64,
    duplicates: u64,
    amended: u64,
    /// Number of lines or entries that could not be read.
    skipped: usize,
    /// The most frequent reasons.
    reasons: Vec<SkipReason>,
}

/// Why lines were skipped.
#[derive(Serialize)]
struct SkipReason {
    why: String,
    lines: u64,
    /// Whether the lines may contain tokens that are in no report.
    loses_counts: bool,
    /// The first of the lines; 0 for a whole file.
    file: String,
    line: u64,
}

/// Lists the runs before a position.
pub(crate) fn answer(snapshot: &Snapshot<'_>, input: &ImportsInput) -> Result<ImportRuns> {
    let (limit, before) = (limit(input.limit, DEFAULT, MOST)?, before(input.before)?);
    let filter = EventFilter::default().kinds([EventKind::Imported]);
    let (mut runs, mut next) = (Vec::new(), None);
    snapshot.find_back(&filter, before, &mut |position, line| {
        if runs.len() == limit {
            next = runs.last().map(|last: &ImportRun| last.position);
            return Ok(false);
        }
        let event = Event::from_line(position, line)?;
        let Payload::Imported(data) = event.payload else {
            return Err(Error::damaged(position, "the index states the kind `imported`, the line another one"));
        };
        runs.push(ImportRun::new(position, event.occurred_at, &data));
        Ok(true)
    })?;
    Ok(ImportRuns { head: snapshot.head()?.position, runs, next })
}

impl ImportRun {
    fn new(position: Position, at: Timestamp, data: &Imported) -> Self {
        Self {
            position,
            at,
            version: data.version,
            files: data.files.len(),
            bytes: data.files.iter().map(|file| file.offset).sum(),
            recorded: data.recorded,
            duplicates: data.duplicates,
            amended: data.amended,
            skipped: data.skipped.len(),
            reasons: reasons(&data.skipped),
            source: shortened(&data.source, TEXT),
        }
    }
}

/// Groups skipped lines by reason, the most frequent first.
fn reasons(skipped: &[SkippedLine]) -> Vec<SkipReason> {
    let mut reasons: Vec<SkipReason> = Vec::new();
    for line in skipped {
        let why = shortened(&line.why, TEXT);
        if let Some(known) = reasons.iter_mut().find(|reason| reason.why == why) {
            known.lines += 1;
        } else {
            let loses_counts = import::loses_counts(&line.why);
            reasons.push(SkipReason {
                why,
                lines: 1,
                loses_counts,
                file: shortened(&line.file, TEXT),
                line: line.line,
            });
        }
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.lines));
    reasons.truncate(REASONS);
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_cut() {
        let line = |why: &str, line| SkippedLine { file: "/a.jsonl".to_owned(), line, why: why.to_owned() };
        let long = "é".repeat(500);
        let skipped = [line("not JSON", 1), line(&long, 2), line("torn", 3), line("torn", 4)];
        let found = reasons(&skipped);
        assert_eq!((found.len(), found[0].lines, &*found[0].why, found[0].line), (3, 2, "torn", 3));
        assert_eq!(found[2].why.chars().count(), TEXT + 1);
    }
}
