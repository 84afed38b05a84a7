//! Blocks summarise each 1,024 positions of the log, so that a query for a few records does not read all of it.
//!
//! A block has a summary (kinds, quarters of an hour, hashes of names, corrected records) and a column (times, names
//! and counts of its records). Both are written when the block is full, so an append writes no page for them; queries
//! read the records after the last full block from the log. A column depends only on the lines of its block. A later
//! correction changes the summary: it marks its record, and adds the time that it gives the record. An index names the
//! blocks of each quarter of an hour.

mod collect;
mod column;
mod digest;
mod names;
mod quarters;
mod summary;

pub(super) use collect::Collector;
pub(crate) use column::{ColumnEntry, NumberedNames, StoredColumn, series_of};
pub(crate) use digest::{Digest, digest_of};
#[cfg(feature = "cli")]
pub(crate) use quarters::quarters_between;
pub(crate) use quarters::{QuarterBits, QuarterRanges, blocks_with, build_quarters, lacks_quarters, last_blocks};
pub(crate) use summary::{StoredSummary, Summary, quarter_of};

use std::collections::BTreeSet;

use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::store::{Flow, GO_ON, KeyRange, Order, ReadView, STOP, Table, WriteView};

/// Blocks that are nearer to each other are read together.
const GAP: u64 = 8;

/// Positions per block.
pub(crate) const BLOCK: u64 = 1_024;

/// The block of a position and the offset in it.
pub(crate) fn place(position: Position) -> (u64, u16) {
    let index = position.get().saturating_sub(1);
    (index / BLOCK, (index % BLOCK) as u16)
}

/// The position at an offset of a block.
pub(crate) fn position_at(number: u64, offset: u16) -> Position {
    Position::new(number * BLOCK + u64::from(offset) + 1)
}

/// The key of a block in both tables.
pub(crate) fn block_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The block of a key.
pub(crate) fn block_number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The number of full blocks.
pub(crate) fn full_blocks(view: &dyn ReadView) -> Result<u64> {
    Ok(view.head()?.position.get() / BLOCK)
}

/// Whether a ledger has full blocks and no records of any, because an earlier build wrote it. A ledger with the records of some
/// blocks is damaged.
pub(crate) fn lacks_blocks(view: &dyn ReadView) -> Result<bool> {
    Ok(view.head()?.position.get() >= BLOCK && !view.has_any(&KeyRange::whole(Table::Columns))?)
}

/// The error for a block with an unreadable row.
pub(crate) fn damaged(number: u64) -> Error {
    let what = "the summary of the block that begins here is unreadable: run `usage-ledger replay --write`";
    Error::damaged(position_at(number, 0), what)
}

/// So many blocks without a summary are visited for each one that is checked to have events. A check is a round trip to a
/// server.
const CHECKED: u64 = 64;

/// Fails at the first position of a full block that has no event.
fn expect_events(view: &dyn ReadView, number: u64) -> Result<()> {
    let (first, last) = (position_at(number, 0), position_at(number, (BLOCK - 1) as u16));
    let mut has_last = false;
    view.rows(last, &mut |position, _| {
        has_last = position == last;
        STOP
    })?;
    if has_last {
        return Ok(());
    }
    let mut next = first;
    view.rows(first, &mut |position, _| {
        if position != next {
            return STOP;
        }
        next = next.next();
        GO_ON
    })?;
    Err(Error::damaged(next, "there is no event here"))
}

/// Fails if the last of the full blocks lacks an event: then the last event has a wrong position, and there are fewer.
pub(crate) fn expect_last(view: &dyn ReadView, full: u64) -> Result<()> {
    full.checked_sub(1).map_or(Ok(()), |last| expect_events(view, last))
}

/// Visits the full blocks. A block without a summary is visited with `None`.
pub(crate) fn scan_blocks(
    view: &dyn ReadView,
    order: Order,
    visit: &mut dyn FnMut(u64, Option<&StoredSummary<'_>>) -> Flow,
) -> Result<()> {
    scan_range(view, (0, full_blocks(view)?), order, visit).map(drop)
}

/// Like [`scan_blocks`], for those of some blocks that are full. A few others between them are read too, and not visited,
/// because a look-up costs more.
pub(crate) fn scan_these(
    view: &dyn ReadView,
    numbers: &BTreeSet<u64>,
    order: Order,
    visit: &mut dyn FnMut(u64, Option<&StoredSummary<'_>>) -> Flow,
) -> Result<()> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers.range(..full_blocks(view)?) {
        match runs.last_mut() {
            Some((_, end)) if number - *end < GAP => *end = number + 1,
            _ => runs.push((*number, number + 1)),
        }
    }
    if order == Order::Descending {
        runs.reverse();
    }
    for run in runs {
        let mut visit = |number: u64, block: Option<&StoredSummary<'_>>| {
            if numbers.contains(&number) { visit(number, block) } else { GO_ON }
        };
        if scan_range(view, run, order, &mut visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Visits the blocks from one up to another, which is not among them. Of many blocks without a summary some are checked to
/// have events, because a wrong position of the last event would end very many blocks.
fn scan_range(
    view: &dyn ReadView,
    (first, end): (u64, u64),
    order: Order,
    visit: &mut dyn FnMut(u64, Option<&StoredSummary<'_>>) -> Flow,
) -> Flow {
    let count = end - first;
    // The number of visited blocks, from either end.
    let mut visited = 0;
    let next = |visited: u64| if order == Order::Ascending { first + visited } else { end - 1 - visited };
    let (mut over, mut bare) = (false, 0_u64);
    let mut check = |number: u64| {
        bare += 1;
        if bare.is_multiple_of(CHECKED) { expect_events(view, number) } else { Ok(()) }
    };
    view.scan(Table::Blocks, &block_key(first), &block_key(end), order, &mut |key, value| {
        let number = block_number(key).filter(|number| (first..end).contains(number)).ok_or_else(|| damaged(first))?;
        while visited < count && next(visited) != number {
            check(next(visited))?;
            visited += 1;
            if visit(next(visited - 1), None)?.is_break() {
                over = true;
                return STOP;
            }
        }
        visited += 1;
        let summary = StoredSummary::read(value).ok_or_else(|| damaged(number))?;
        let flow = visit(number, Some(&summary))?;
        over = flow.is_break();
        Ok(flow)
    })?;
    while !over && visited < count {
        check(next(visited))?;
        visited += 1;
        over = visit(next(visited - 1), None)?.is_break();
    }
    if over { STOP } else { GO_ON }
}

/// Writes both rows of a block, and notes its quarters.
fn put(sink: &mut dyn WriteView, number: u64, digest: &Digest, bits: &mut QuarterBits) -> Result<()> {
    let key = block_key(number);
    bits.add_all(number, &digest.summary);
    sink.put(Table::Columns, &key, Some(&digest.column()))?;
    sink.put(Table::Blocks, &key, Some(&digest.summary.encode()))
}

/// Rewrites the block of a position if it is full, after its lines or their corrections changed.
pub(crate) fn refresh(sink: &mut dyn WriteView, position: Position) -> Result<()> {
    let (number, _) = place(position);
    if number < full_blocks(&*sink)? {
        let digest = digest_of(&*sink, number)?;
        let mut bits = QuarterBits::default();
        put(sink, number, &digest, &mut bits)?;
        bits.write(sink)?;
    }
    Ok(())
}

/// Writes all blocks from the log and the corrections. `progress` receives the number of written blocks and of all
/// blocks.
pub(crate) fn build(sink: &mut dyn WriteView, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let full = full_blocks(&*sink)?;
    expect_last(&*sink, full)?;
    let mut bits = QuarterBits::default();
    for number in 0..full {
        let digest = digest_of(&*sink, number)?;
        put(sink, number, &digest, &mut bits)?;
        progress(number + 1, full);
    }
    bits.write(sink)
}

/// Calls `bad` for each row of a block that is not full.
pub(crate) fn surplus(view: &dyn ReadView, bad: &mut dyn FnMut(Table)) -> Result<()> {
    let full = full_blocks(view)?;
    for table in [Table::Blocks, Table::Columns] {
        let is_surplus = |key: &[u8]| block_number(key).is_none_or(|number| number >= full);
        let rows: Vec<()> = view.collect(&KeyRange::whole(table), |key, _| Ok(is_surplus(key).then_some(())))?;
        for () in rows {
            bad(table);
        }
    }
    Ok(())
}
