//! Collects blocks while events are folded.

use std::collections::BTreeMap;

use super::super::past;
use super::{
    BLOCK, Digest, QuarterBits, StoredSummary, block_key, damaged, digest_of, place, put, quarter_of, refresh,
};
use crate::model::error::Result;
use crate::model::event::{Payload, Position, TokenView};
use crate::model::time::Timestamp;
use crate::store::{Table, WriteView};

/// A folded correction: its record, and the times that it gives the record.
type FoldedCorrection = (Position, Vec<Timestamp>);

/// Blocks that are not written yet.
#[derive(Clone, Default)]
pub(in super::super) struct Collector {
    /// The current block, if all of its positions were folded here.
    open: Option<(u64, Digest)>,
    /// Full blocks. A block that was not folded from its first position on is `None`, and read from the log.
    full: BTreeMap<u64, Option<Digest>>,
    corrected: Vec<FoldedCorrection>,
}

impl Collector {
    /// Adds a record.
    pub fn record(&mut self, position: Position, at: Timestamp, record: &TokenView<'_>) -> Result<()> {
        let (number, offset) = self.reach(position);
        if let Some((_, digest)) = &mut self.open {
            digest.record(offset, at, record)?;
        }
        self.pass(number, offset);
        Ok(())
    }

    /// Adds any event.
    pub fn event(&mut self, position: Position, at: Timestamp, payload: &Payload) -> Result<()> {
        let (number, offset) = self.reach(position);
        if let Some((_, digest)) = &mut self.open {
            digest.event(offset, at, payload)?;
        }
        self.pass(number, offset);
        Ok(())
    }

    /// Marks a record as corrected.
    pub fn correct(&mut self, record: Position, times: Vec<Timestamp>) {
        self.corrected.push((record, times));
    }

    fn reach(&mut self, position: Position) -> (u64, u16) {
        let (number, offset) = place(position);
        if offset == 0 {
            self.open = Some((number, Digest::default()));
        }
        (number, offset)
    }

    fn pass(&mut self, number: u64, offset: u16) {
        if u64::from(offset) + 1 == BLOCK {
            let digest = self.open.take().filter(|(open, _)| *open == number).map(|(_, digest)| digest);
            self.full.insert(number, digest);
        }
    }

    /// Writes the collected blocks.
    pub fn flush(&mut self, sink: &mut dyn WriteView) -> Result<()> {
        let mut stored = Vec::new();
        for (record, times) in std::mem::take(&mut self.corrected) {
            let (number, offset) = place(record);
            match (&mut self.open, self.full.get_mut(&number)) {
                (_, Some(Some(digest))) => digest.summary.correct(offset, &times),
                (Some((open, digest)), None) if *open == number => digest.summary.correct(offset, &times),
                // It is read from the log, including its corrections.
                (_, Some(None)) => {}
                _ => stored.push((number, offset, times)),
            }
        }
        let full = std::mem::take(&mut self.full);
        let numbers: Vec<u64> = full.keys().copied().collect();
        let mut bits = QuarterBits::default();
        for (number, digest) in full {
            let digest = match digest {
                Some(digest) => digest,
                None => digest_of(&*sink, number)?,
            };
            put(sink, number, &digest, &mut bits)?;
        }
        for (number, offset, times) in stored {
            mark(sink, number, offset, &times, &mut bits)?;
        }
        bits.write(sink)?;
        past::write_full(sink, numbers.into_iter())
    }
}

/// Marks a record of a stored block. A block that is not full yet is read from the log later.
fn mark(sink: &mut dyn WriteView, number: u64, offset: u16, times: &[Timestamp], bits: &mut QuarterBits) -> Result<()> {
    let key = block_key(number);
    let Some(bytes) = sink.get(Table::Blocks, &key)? else { return Ok(()) };
    let stored = StoredSummary::read(&bytes).ok_or_else(|| damaged(number))?;
    let Some(mut summary) = stored.to_summary() else {
        // Its list of names was omitted, so the row can only be rebuilt from its lines.
        return refresh(sink, super::position_at(number, 0));
    };
    summary.correct(offset, times);
    for at in times {
        bits.add(number, quarter_of(*at));
    }
    let changed = summary.encode();
    if changed == bytes { Ok(()) } else { sink.put(Table::Blocks, &key, Some(&changed)) }
}
