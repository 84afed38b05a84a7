//! Reads the reasons for skipped lines from the ledger.

use std::collections::{BTreeMap, HashMap};

use crate::import::engine::reader::INCOMPLETE;
use crate::import::health::missing_usage::WITHOUT_COUNTS;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{Event, EventKind, Payload, Position, SkippedLine};
use crate::store::GO_ON;

/// Number of entries that are currently skipped, by importer and path.
pub(in crate::import) type SkippedCounts = HashMap<(String, String), u64>;

/// Returns the newest reasons by importer, for each file as many as it has skipped entries. Reasons of lines that a
/// later import understood are left out.
pub(in crate::import) fn reasons(
    snapshot: &Snapshot<'_>,
    skipping: &SkippedCounts,
) -> Result<HashMap<String, Vec<SkippedLine>>> {
    let mut newest: BTreeMap<(String, String), Vec<SkippedLine>> = BTreeMap::new();
    if !skipping.is_empty() {
        snapshot.view().rows(Position::START.next(), &mut |position, row| {
            if !row.is_kind(EventKind::Imported) {
                return GO_ON;
            }
            // Skip redacted lines: their file names are gone, so there is nothing to report.
            let Ok(Payload::Imported(run)) = Event::from_line(position, row.body).map(|event| event.payload) else {
                return GO_ON;
            };
            for skipped in run.skipped {
                let file = (run.source.clone(), skipped.file.clone());
                if skipped.why != INCOMPLETE && skipping.contains_key(&file) {
                    let of = newest.entry(file).or_default();
                    of.retain(|known| *known != skipped);
                    of.push(skipped);
                }
            }
            GO_ON
        })?;
    }
    let mut by_source: HashMap<String, Vec<SkippedLine>> = HashMap::new();
    for (file, mut reasons) in newest {
        let most = skipping.get(&file).and_then(|most| usize::try_from(*most).ok()).unwrap_or(0);
        let mut newest = reasons.split_off(reasons.len().saturating_sub(most));
        newest.sort_by_key(|skipped| skipped.line);
        by_source.entry(file.0).or_default().extend(newest);
    }
    Ok(by_source)
}

/// Parts of the reasons of skips that lose no counts: the log states none, another record has them, or a later import reads
/// them. Any other skip may lose some, so a new reason is a finding until it is in this list.
const LOSSLESS: [&str; 13] = [
    INCOMPLETE,
    "without token counts",
    "without the token counts",
    "no token counts",
    "token counts are not known",
    "whose own logs tell of them",
    "less than what was imported of them",
    // Quota counters, which are no calls.
    "counters are left out",
    "they are left out",
    "neither line of percentages",
    "the file has no time of its last change",
    "it is no such document",
    "was read again from its beginning",
];

/// Returns whether a skip for this reason may have lost token counts.
pub fn loses_counts(why: &str) -> bool {
    why.starts_with("unknown ") || why.contains(WITHOUT_COUNTS) || !LOSSLESS.iter().any(|part| why.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skip_loses_counts_unless_its_reason_tells_of_none() {
        for why in [
            "unreadable timestamp `2026-11-23 19:00:41`",
            "unreadable time `soon`",
            "not valid JSON: expected value at line 1 column 2",
            "torn line: it does not end with `}`",
            "torn row: a number is missing; the row behind it on the same line is taken in",
            "line of 65 MiB: over the 64 MiB that are read",
            "a thread of 70 MiB",
            "not valid UTF-8 at column 3",
            "an event that cannot be unpacked: unknown frame descriptor",
            "answers with token counts but without a time: 3",
            "answers without token counts: 2, whose counts are all 0",
            "unknown usage: all counts of a call are 0",
        ] {
            assert!(loses_counts(why), "{why}");
        }
        for why in [
            INCOMPLETE,
            "requests without token counts: 3",
            "a session without token counts",
            "sessions that ended without the token counts of their calls: 1",
            "requests made through Claude Code, whose own logs tell of them: 2",
            "the counters are left out: their provider has no valid name",
        ] {
            assert!(!loses_counts(why), "{why}");
        }
    }
}
