//! Chapters as they are stored.
//!
//! `history` has three kinds of rows by their first byte. 0 and 1: a level of the rollups, then the key of a row, then the
//! number of a chapter (4 bytes) → how the chapter changes the row. 3: the key of an account → the number of the first
//! chapter that names it. `chapters` has for each chapter the days that its events change.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::super::blocks::{BLOCK, expect_last, full_blocks};
use super::super::varint;
use super::accounts;
use super::changes::{self, Changes};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;
use crate::store::{GO_ON, KeyRange, Order, ReadView, Table, WriteView, clear};

/// Blocks of a chapter. Tests have short ones.
const BLOCKS: u64 = if cfg!(test) { 2 } else { 16 };
/// Positions of a chapter.
pub(crate) const CHAPTER: u64 = BLOCK * BLOCKS;
/// The bytes of a chapter's number at the end of a key of `history`.
pub(super) const NUMBER: usize = 4;
/// The levels of the rollups whose changes are stored.
pub(super) const LEVELS: usize = 2;
/// The first byte of the rows that name accounts.
const ACCOUNTS: u8 = 3;
/// Rows of `history` that are removed at a time.
const REMOVED: usize = 100_000;

/// The chapter of a position.
pub(crate) const fn chapter_of(position: Position) -> u64 {
    position.get().saturating_sub(1) / CHAPTER
}

/// The last position of the chapter in front of one.
pub(super) const fn start_of(number: u64) -> Position {
    Position::new(number * CHAPTER)
}

/// Returns the number of full chapters.
pub(crate) fn full_chapters(view: &dyn ReadView) -> Result<u64> {
    Ok(view.head()?.position.get() / CHAPTER)
}

/// Whether a ledger has full chapters and none of them is stored, because an earlier build wrote it. A ledger with some of
/// them is damaged.
pub(crate) fn lacks_chapters(view: &dyn ReadView) -> Result<bool> {
    Ok(full_chapters(view)? > 0 && !view.has_any(&KeyRange::whole(Table::Chapters))?)
}

fn chapter_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(super) fn unreadable(number: u64) -> Error {
    let what = "the changes of the chapter that begins here are unreadable: run `usage-ledger replay --write`";
    Error::damaged(start_of(number).next(), what)
}

/// The key of the changes of a row, without a chapter.
pub(super) fn row_key(level: usize, row: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(row.len() + 1 + NUMBER);
    key.push(level as u8);
    key.extend_from_slice(row);
    key
}

fn history_key(level: usize, row: &[u8], number: u64) -> Result<Vec<u8>> {
    let mut key = row_key(level, row);
    let short = u32::try_from(number).map_err(|_| bug!("chapter {number} has a number of more than 32 bits"))?;
    key.extend_from_slice(&short.to_be_bytes());
    Ok(key)
}

/// The level, row and chapter of a key of `history`; `None` for a row of an account, or a damaged one.
pub(super) fn split_key(key: &[u8]) -> Option<(u8, &[u8], u64)> {
    let (front, number) = key.split_last_chunk::<NUMBER>()?;
    let (level, row) = front.split_first()?;
    (usize::from(*level) < LEVELS).then_some((*level, row, u64::from(u32::from_be_bytes(*number))))
}

/// Writes the days of a chapter: the first, then steps.
fn encode_days(days: &BTreeSet<i64>) -> Vec<u8> {
    let (mut out, mut last) = (Vec::new(), None);
    for day in days {
        match last {
            None => varint::put_wide(&mut out, i128::from(*day)),
            Some(last) => varint::put(&mut out, (day - last) as u64),
        }
        last = Some(*day);
    }
    out
}

fn decode_days(mut bytes: &[u8], visit: &mut dyn FnMut(i64)) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let mut day = i64::try_from(varint::take_wide(&mut bytes)?).ok()?;
    visit(day);
    while !bytes.is_empty() {
        day = day.checked_add_unsigned(varint::take(&mut bytes)?)?;
        visit(day);
    }
    Some(())
}

/// Visits each day that a full chapter changes, with the number of the chapter, in the order of the chapters.
pub(super) fn each_day(view: &dyn ReadView, visit: &mut dyn FnMut(u64, i64)) -> Result<()> {
    let full = full_chapters(view)?;
    let mut next = 0;
    view.scan(Table::Chapters, &chapter_key(0), &chapter_key(full), Order::Ascending, &mut |key, value| {
        if *key != chapter_key(next) {
            return Err(unreadable(next));
        }
        decode_days(value, &mut |day| visit(next, day)).ok_or_else(|| unreadable(next))?;
        next += 1;
        GO_ON
    })?;
    if next == full { Ok(()) } else { Err(unreadable(next)) }
}

/// The first chapter that names an account, if a full one does.
pub(super) fn first_naming(view: &dyn ReadView, account: &[u8]) -> Result<Option<u64>> {
    let Some(value) = view.get(Table::History, &row_key(ACCOUNTS.into(), account))? else { return Ok(None) };
    let mut bytes = value.as_slice();
    let number = varint::take(&mut bytes).filter(|_| bytes.is_empty());
    number
        .map(Some)
        .ok_or_else(|| Error::damaged(None, "a row of history is unreadable: run `usage-ledger replay --write`"))
}

/// Writes the chapters that end with one of these full blocks. The blocks are written already.
pub(in super::super) fn write_full(sink: &mut dyn WriteView, blocks: impl Iterator<Item = u64>) -> Result<()> {
    for block in blocks {
        if (block + 1) % BLOCKS == 0 {
            write(sink, block / BLOCKS)?;
        }
    }
    Ok(())
}

fn write(sink: &mut dyn WriteView, number: u64) -> Result<()> {
    let changes = Changes::of(&*sink, start_of(number), start_of(number + 1))?;
    for (level, rows) in changes.rows.iter().enumerate().take(LEVELS) {
        let mut stored = Vec::with_capacity(rows.len());
        for (row, quarters) in rows {
            stored.push((history_key(level, row, number)?, changes::encode(quarters)));
        }
        sink.put_all(Table::History, &mut stored.iter().map(|(key, value)| (key.as_slice(), value.as_slice())))?;
    }
    sink.put(Table::Chapters, &chapter_key(number), Some(&encode_days(&changes.days)))?;
    let mut unknown = BTreeSet::new();
    for account in accounts::all(&*sink)? {
        if first_naming(&*sink, &account)?.is_none() {
            unknown.insert(account);
        }
    }
    for account in accounts::named_between(&*sink, unknown, start_of(number), start_of(number + 1))? {
        let mut value = Vec::new();
        varint::put(&mut value, number);
        sink.put(Table::History, &row_key(ACCOUNTS.into(), &account), Some(&value))?;
    }
    Ok(())
}

/// Writes all chapters from the blocks; `progress` gets the number of blocks that are done.
pub(crate) fn build(sink: &mut dyn WriteView, progress: &mut dyn FnMut(u64)) -> Result<()> {
    clear(sink, Table::History)?;
    clear(sink, Table::Chapters)?;
    expect_last(&*sink, full_blocks(&*sink)?)?;
    for number in 0..full_chapters(&*sink)? {
        write(sink, number)?;
        progress((number + 1) * BLOCKS);
    }
    Ok(())
}

/// Writes chapters anew whose lines have changed, so that no name stays in them that is gone from the lines.
pub(crate) fn rewrite(sink: &mut dyn WriteView, numbers: &BTreeSet<u64>) -> Result<()> {
    let full = full_chapters(&*sink)?;
    let numbers: BTreeSet<u64> = numbers.iter().copied().filter(|number| *number < full).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let mut from = Vec::new();
    loop {
        let mut keys = Vec::new();
        sink.scan(Table::History, &from, &[ACCOUNTS], Order::Ascending, &mut |key, _| {
            if split_key(key).is_some_and(|(_, _, number)| numbers.contains(&number)) {
                keys.push(key.to_vec());
            }
            if keys.len() == REMOVED { crate::store::STOP } else { GO_ON }
        })?;
        keys.iter().try_for_each(|key| sink.put(Table::History, key, None))?;
        match keys.pop() {
            Some(last) if keys.len() + 1 == REMOVED => from = last,
            _ => break,
        }
    }
    numbers.into_iter().try_for_each(|number| write(sink, number))
}

/// Calls `bad` with each chapter whose rows differ from what its events produce, and with `None` if a row belongs to no
/// chapter. The caller has checked the log, the blocks and the corrections.
pub(crate) fn differences(view: &dyn ReadView, bad: &mut dyn FnMut(Option<u64>)) -> Result<()> {
    let draw = || std::hash::RandomState::new().build_hasher().finish();
    let (seed, other) = (draw(), draw());
    // The sums of hashes under random seeds do not depend on the order of the rows. Equal sets of rows have equal sums.
    let print = |key: &[u8], value: &[u8]| xxh3_128_with_seed(key, seed ^ xxh3_64_with_seed(value, other));
    let full = full_chapters(view)?;
    let mut stored: BTreeMap<u64, u128> = BTreeMap::new();
    let mut named: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut strange = false;
    view.scan(Table::History, &[], &[], Order::Ascending, &mut |key, value| {
        match (key.split_first(), split_key(key)) {
            (Some((&ACCOUNTS, account)), _) => {
                let mut bytes = value;
                match varint::take(&mut bytes) {
                    Some(number) if bytes.is_empty() && number < full => {
                        named.insert(account.to_vec(), number);
                    }
                    _ => strange = true,
                }
            }
            (_, Some((_, _, number))) if number < full => {
                let sum = stored.entry(number).or_default();
                *sum = sum.wrapping_add(print(key, value));
            }
            _ => strange = true,
        }
        GO_ON
    })?;
    view.scan(Table::Chapters, &[], &[], Order::Ascending, &mut |key, _| {
        strange |= !key.try_into().map(u64::from_be_bytes).is_ok_and(|number| number < full);
        GO_ON
    })?;
    if strange {
        bad(None);
    }
    let mut unknown: BTreeSet<Vec<u8>> = accounts::all(view)?;
    for number in 0..full {
        let changes = Changes::of(view, start_of(number), start_of(number + 1))?;
        let mut sum = 0_u128;
        for (level, rows) in changes.rows.iter().enumerate().take(LEVELS) {
            for (row, quarters) in rows {
                sum = sum.wrapping_add(print(&history_key(level, row, number)?, &changes::encode(quarters)));
            }
        }
        let mut right = stored.remove(&number).unwrap_or(0) == sum;
        right &= view.get(Table::Chapters, &chapter_key(number))?.as_deref() == Some(&encode_days(&changes.days));
        for account in accounts::named_between(view, unknown.clone(), start_of(number), start_of(number + 1))? {
            right &= named.remove(&account) == Some(number);
            unknown.remove(&account);
        }
        if !right {
            bad(Some(number));
        }
    }
    if !named.is_empty() {
        bad(None);
    }
    Ok(())
}
