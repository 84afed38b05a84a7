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

/// Returns whether a skip for this reason may have lost token counts.
pub fn loses_counts(why: &str) -> bool {
    why.starts_with("unknown ") || why.contains(WITHOUT_COUNTS)
}
