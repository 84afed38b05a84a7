//! An index in memory of recorded calls, by what the log and the telemetry of one call have in common.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::Xxh3;

use super::match_features::{of_tokens, trace};
use super::telemetry_names::{is_instrumented, is_reported_by_telemetry, is_telemetry};
use crate::model::error::Result;
use crate::model::event::{Event, EventKind, Payload, Position, TokenRecord};
use crate::model::time::Timestamp;
use crate::projection::blocks::{QuarterRanges, blocks_with, full_blocks, position_at, quarter_of};
use crate::projection::{corrections_exist, effective, is_corrected, root};
use crate::store::{GO_ON, ReadView, STOP};

/// Number of entries above which the index is rebuilt with the quarters that are needed.
const MOST: usize = 1_000_000;

/// The feeds that reported a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::import) enum Feed {
    /// A log only.
    Log,
    /// A log and telemetry.
    Both,
    /// The telemetry of an agent or of a provider's SDK.
    Telemetry,
    /// An instrumentation.
    Instrumentation,
}

impl Feed {
    const ALL: [Self; 4] = [Self::Log, Self::Both, Self::Telemetry, Self::Instrumentation];

    fn of(record: &TokenRecord) -> Self {
        match (is_instrumented(record), is_telemetry(record), is_reported_by_telemetry(record)) {
            (true, ..) => Self::Instrumentation,
            (false, true, _) => Self::Telemetry,
            (false, false, true) => Self::Both,
            (false, false, false) => Self::Log,
        }
    }
}

/// The calls of some quarters of an hour. An entry may be outdated by a correction, so its record is read before it counts.
#[derive(Debug, Default)]
pub(super) struct MatchIndex {
    quarters: BTreeSet<i64>,
    calls: HashMap<u64, Vec<(Timestamp, Position)>, BuildHasherDefault<Xxh3>>,
    entries: usize,
    /// Number of entries above which the index is rebuilt.
    limit: usize,
}

impl MatchIndex {
    /// Returns whether the calls between two instants are in the index.
    pub fn has(&self, from: Timestamp, to: Timestamp) -> bool {
        (quarter_of(from)..=quarter_of(to)).all(|quarter| self.quarters.contains(&quarter))
    }

    /// Reads the calls between two instants from the ledger.
    pub fn load(&mut self, view: &dyn ReadView, from: Timestamp, to: Timestamp) -> Result<()> {
        if self.entries > self.limit {
            *self = Self::default();
        }
        let missing: BTreeSet<i64> =
            (quarter_of(from)..=quarter_of(to)).filter(|one| !self.quarters.contains(one)).collect();
        let mut blocks = blocks_with(view, &QuarterRanges::of(missing.iter().copied()))?;
        // The events behind the last full block have no summary.
        blocks.insert(full_blocks(view)?);
        for number in blocks {
            self.read(view, position_at(number, 0), position_at(number + 1, 0), &missing)?;
        }
        self.quarters.extend(missing);
        self.limit = MOST.max(2 * self.entries);
        Ok(())
    }

    /// Adds the events of `[from, to)` that count in the quarters of the index.
    pub fn extend(&mut self, view: &dyn ReadView, from: Position, to: Position) -> Result<()> {
        let quarters = std::mem::take(&mut self.quarters);
        let read = self.read(view, from, to, &quarters);
        self.quarters = quarters;
        read
    }

    fn read(&mut self, view: &dyn ReadView, from: Position, to: Position, quarters: &BTreeSet<i64>) -> Result<()> {
        if quarters.is_empty() || from >= to {
            return Ok(());
        }
        let any = corrections_exist(view)?;
        let mut corrected = Vec::new();
        view.rows(from, &mut |position, row| {
            if position >= to {
                return STOP;
            }
            if row.is_kind(EventKind::TokensRecorded) {
                if any && is_corrected(view, row.id)? {
                    corrected.push(position);
                } else if quarters.contains(&quarter_of(row.occurred_at))
                    && let Payload::TokensRecorded(record) = Event::from_line(position, row.body)?.payload
                {
                    self.add(row.occurred_at, position, &record);
                }
            } else if row.is_kind(EventKind::TokensAmended) || row.is_kind(EventKind::EventVoided) {
                corrected.extend(root(view, &Event::from_line(position, row.body)?, position)?);
            }
            GO_ON
        })?;
        for position in corrected {
            if let Some(now) = effective(view, position, None)?
                && quarters.contains(&quarter_of(now.at))
            {
                self.add(now.at, position, &now.record);
            }
        }
        Ok(())
    }

    fn add(&mut self, at: Timestamp, position: Position, record: &TokenRecord) {
        for key in keys(record, Feed::of(record)).into_iter().flatten() {
            self.calls.entry(key).or_default().push((at, position));
            self.entries += 1;
        }
    }

    /// Returns the recorded calls that may be this one, at most `apart` milliseconds away, the nearest first.
    pub fn candidates(
        &self,
        record: &TokenRecord,
        at: Timestamp,
        apart: u64,
        is_wanted: &dyn Fn(Feed) -> bool,
    ) -> BTreeSet<(u64, Position, Timestamp)> {
        let mut found = BTreeSet::new();
        for feed in Feed::ALL.into_iter().filter(|feed| is_wanted(*feed)) {
            for key in keys(record, feed).into_iter().flatten() {
                let entries = self.calls.get(&key).into_iter().flatten();
                let near = entries.map(|(then, position)| (then.millis().abs_diff(at.millis()), *position, *then));
                found.extend(near.filter(|(distance, ..)| *distance <= apart));
            }
        }
        found
    }
}

/// Returns the keys of a record that the feed reported: its conversation and its trace, each with its input count. Only
/// the output may differ between two feeds of one call.
fn keys(record: &TokenRecord, feed: Feed) -> [Option<u64>; 2] {
    let [input, read, written, _] = of_tokens(&record.tokens);
    let input = input.saturating_add(read).saturating_add(written);
    let key = |kind: u8, name: &str| {
        let mut hasher = Xxh3::new();
        hasher.write(&[kind, feed as u8]);
        hasher.write(&input.to_le_bytes());
        hasher.write(name.as_bytes());
        hasher.finish()
    };
    [record.conversation.as_deref().map(|name| key(0, name)), trace(record).map(|name| key(1, name))]
}
