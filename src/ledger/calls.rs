//! Visits calls with their corrections, in the order of the log. Other threads parse the lines.

use std::ops::Range;

use super::Snapshot;
use super::pipeline::in_order;
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, EventKind, Position};
use crate::model::invariant::bug;
use crate::projection::{Effective, corrections_exist, effective, is_corrected, uncorrected};
use crate::store::{GO_ON, STOP};

/// Rows of the log in a batch. Memory is bounded by a few batches.
const BATCH: u64 = 256;

/// A call with its corrections.
pub(crate) struct CorrectedCall {
    /// The position and the id of its record, which corrections do not change.
    pub position: Position,
    pub id: EventId,
    pub now: Effective,
}

/// A record of a batch.
enum BatchedRecord {
    /// Nothing corrects it: the place of its line in the text of the batch.
    Line(Range<usize>),
    /// The result of its corrections.
    Corrected(Box<Effective>),
}

type RecordOfBatch = (Position, EventId, BatchedRecord);

#[derive(Default)]
struct CallBatch {
    text: String,
    records: Vec<RecordOfBatch>,
}

impl CallBatch {
    /// The calls, each parsed when it is asked for.
    fn calls(self) -> impl Iterator<Item = Result<CorrectedCall>> {
        let Self { text, records } = self;
        records.into_iter().filter_map(move |(position, id, record)| {
            let now = match record {
                BatchedRecord::Corrected(now) => Ok(Some(*now)),
                BatchedRecord::Line(place) => {
                    let line = text.get(place).ok_or_else(|| bug!("the batch has no line of {position}"));
                    line.and_then(|line| uncorrected(position, line))
                }
            };
            now.map(|now| now.map(|now| CorrectedCall { position, id, now })).transpose()
        })
    }
}

impl Snapshot<'_> {
    /// Visits every call with its corrections, in the order of positions.
    pub(crate) fn each_call(&self, visit: &mut dyn FnMut(Position, Effective) -> Result<()>) -> Result<()> {
        self.map_calls(&|calls| calls.collect::<Result<Vec<_>>>(), &mut |calls| {
            calls.into_iter().try_for_each(|call| visit(call.position, call.now))
        })
    }

    /// Passes all calls through `work`, a batch at a time and on several threads, and the results to `take` in the order of
    /// positions.
    pub(crate) fn map_calls<P: Send, E: From<Error> + Send>(
        &self,
        work: &(impl Fn(&mut dyn Iterator<Item = Result<CorrectedCall>>) -> Result<P, E> + Sync),
        take: &mut dyn FnMut(P) -> Result<(), E>,
    ) -> Result<(), E> {
        // Without corrections nothing has to be looked up.
        let corrected = corrections_exist(self.view())?;
        in_order(
            |send| {
                let mut next = Position::START.next();
                loop {
                    let (batch, last) = self.call_batch(next, corrected)?;
                    let Some(last) = last else { return Ok(()) };
                    next = last.next();
                    send(batch)?;
                }
            },
            &|batch: CallBatch| work(&mut batch.calls()),
            &mut |result| take(result?),
        )
    }

    /// The records of the next rows, and the last position that was read.
    fn call_batch(&self, from: Position, corrected: bool) -> Result<(CallBatch, Option<Position>)> {
        let mut batch = CallBatch::default();
        let mut last = None;
        let mut rows = 0;
        self.view().rows(from, &mut |position, row| {
            last = Some(position);
            rows += 1;
            if row.is_kind(EventKind::TokensRecorded) {
                let start = batch.text.len();
                batch.text.push_str(row.body);
                batch.records.push((position, row.id, BatchedRecord::Line(start..batch.text.len())));
            }
            if rows == BATCH { STOP } else { GO_ON }
        })?;
        if corrected {
            batch.records = self.resolved(batch.records)?;
        }
        Ok((batch, last))
    }

    /// Applies the corrections of records, and leaves out voided ones.
    fn resolved(&self, records: Vec<RecordOfBatch>) -> Result<Vec<RecordOfBatch>> {
        let mut resolved = Vec::with_capacity(records.len());
        for (position, id, record) in records {
            if !is_corrected(self.view(), id)? {
                resolved.push((position, id, record));
            } else if let Some(now) = effective(self.view(), position, None)? {
                resolved.push((position, id, BatchedRecord::Corrected(Box::new(now))));
            }
        }
        Ok(resolved)
    }
}
