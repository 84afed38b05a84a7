//! Visits calls without parsing their lines: from the records of blocks. Other threads decode the blocks.

use std::collections::{BTreeMap, BTreeSet};

use super::Snapshot;
use super::pipeline::in_order;
use crate::model::error::{Error, Result};
use crate::model::event::EventKind;
use crate::projection::blocks::{
    ColumnEntry, StoredColumn, StoredSummary, block_key, damaged, full_blocks, last_blocks, place, position_at,
    scan_blocks, scan_these,
};
use crate::projection::{Effective, corrections_exist, effective, is_corrected, uncorrected};
use crate::store::{GO_ON, Order, ReadView, STOP, Table};

/// Calls of a part of the log.
pub(crate) enum CallPart {
    Block(BlockCalls),
    /// Calls with corrections, and calls behind the last full block.
    Calls(Vec<Effective>),
}

/// The calls of a block that nothing corrects.
pub(crate) struct BlockCalls {
    number: u64,
    column: Vec<u8>,
    corrected: BTreeSet<u16>,
}

impl BlockCalls {
    /// Visits the calls in order. [`StoredColumn::key`] names them.
    pub fn each(&self, visit: &mut dyn FnMut(&StoredColumn<'_>, &ColumnEntry) -> Result<()>) -> Result<()> {
        let column = StoredColumn::read(&self.column).ok_or_else(|| self.damaged())?;
        let read = column.each(&mut |entry| {
            if !self.corrected.is_empty() && self.corrected.contains(&entry.offset) {
                return Ok(());
            }
            visit(&column, entry)
        });
        read.ok_or_else(|| self.damaged())?
    }

    /// The number of the block.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The error for unreadable records.
    pub fn damaged(&self) -> Error {
        damaged(self.number)
    }
}

impl Snapshot<'_> {
    /// Passes all calls through `work`, a part at a time and on several threads, and the results to `take` in the order of the
    /// parts. `only` are the blocks that are read, if not all of them; `is_needed` excludes some by their summary.
    pub(crate) fn map_parts<P: Send>(
        &self,
        only: Option<&BTreeSet<u64>>,
        is_needed: &dyn Fn(&StoredSummary<'_>) -> bool,
        work: &(impl Fn(CallPart) -> Result<P> + Sync),
        take: &mut dyn FnMut(P) -> Result<()>,
    ) -> Result<()> {
        let view = self.view();
        in_order(
            |send| {
                let mut visit = |number: u64, block: Option<&StoredSummary<'_>>| {
                    if block.is_none_or(|block| block.has_kind(EventKind::TokensRecorded) && is_needed(block)) {
                        send_block(view, number, block, send)?;
                    }
                    GO_ON
                };
                match only {
                    Some(only) => scan_these(view, only, Order::Ascending, &mut visit)?,
                    None => scan_blocks(view, Order::Ascending, &mut visit)?,
                }
                send(CallPart::Calls(calls_of_lines(view, full_blocks(view)?)?))
            },
            work,
            &mut |result: Result<P>| take(result?),
        )
    }
}

fn send_block(
    view: &dyn ReadView,
    number: u64,
    block: Option<&StoredSummary<'_>>,
    send: &mut dyn FnMut(CallPart) -> Result<()>,
) -> Result<()> {
    let (Some(block), Some(column)) = (block, view.get(Table::Columns, &block_key(number))?) else {
        return send(CallPart::Calls(calls_of_lines(view, number)?));
    };
    let corrected = block.corrected().ok_or_else(|| damaged(number))?;
    if !corrected.is_empty() {
        let mut calls = Vec::new();
        for offset in &corrected {
            calls.extend(effective(view, position_at(number, *offset), None)?);
        }
        send(CallPart::Calls(calls))?;
    }
    send(CallPart::Block(BlockCalls { number, column, corrected }))
}

impl Snapshot<'_> {
    /// The last full block that contains an event of each UTC day; `u64::MAX` for the days of calls behind the last full block.
    /// `None` if the ledger does not know it.
    pub(crate) fn last_blocks_of_days(&self) -> Result<Option<BTreeMap<i64, u64>>> {
        let Some(mut days) = last_blocks(self.view())? else { return Ok(None) };
        for call in calls_of_lines(self.view(), full_blocks(self.view())?)? {
            days.insert(call.at.utc_day(), u64::MAX);
        }
        Ok(Some(days))
    }
}

/// The calls of a block, from their lines.
fn calls_of_lines(view: &dyn ReadView, number: u64) -> Result<Vec<Effective>> {
    let corrected = corrections_exist(view)?;
    let mut calls = Vec::new();
    view.rows(position_at(number, 0), &mut |position, row| {
        if place(position).0 != number {
            return STOP;
        }
        if row.is_kind(EventKind::TokensRecorded) {
            calls.extend(if corrected && is_corrected(view, row.id)? {
                effective(view, position, None)?
            } else {
                uncorrected(position, row.body)?
            });
        }
        GO_ON
    })?;
    Ok(calls)
}
