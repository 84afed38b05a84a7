//! The records that an estimate rests on: the latest ones of the window, found without reading the window.

use crate::model::error::Result;
use crate::model::event::{AccountRef, Event, EventKind, NameKind, Payload, Position, TokenRecord};
use crate::model::time::Timestamp;
use crate::projection::blocks::{
    BLOCK, StoredColumn, StoredSummary, block_key, damaged, full_blocks, place, position_at, quarter_of,
};
use crate::projection::last_recorded_until;
use crate::store::{GO_ON, ReadView, Row, STOP, Table};

/// So many records a decision names.
const NAMED: usize = 32;
/// Lines that are read first. Twice as many are read each time that they do not suffice.
const LINES: u64 = 64;
/// Full blocks whose summaries are read at most. A decision about an account that was used little names fewer records.
const BLOCKS: usize = 64;

/// The latest records of an account that happened in a window up to now, by position.
pub(super) fn latest(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    start: Timestamp,
    now: Timestamp,
) -> Result<Vec<Position>> {
    let search = RecordSearch {
        view,
        account,
        key: account.key(),
        // A provider id has no character that JSON escapes.
        provider: format!("\"provider\":\"{}\"", account.provider),
        first: last_recorded_until(view, start.plus(-1))?.next(),
        start,
        now,
    };
    let mut found = search.behind_blocks()?;
    search.add_of_blocks(&mut found)?;
    found.truncate(NAMED);
    found.sort_unstable();
    Ok(found)
}

struct RecordSearch<'s> {
    view: &'s dyn ReadView,
    account: &'s AccountRef<'s>,
    key: Vec<u8>,
    provider: String,
    /// Everything in front of this position was recorded before the window.
    first: Position,
    start: Timestamp,
    now: Timestamp,
}

impl RecordSearch<'_> {
    fn is_in_window(&self, at: Timestamp) -> bool {
        (self.start..=self.now).contains(&at)
    }

    /// Whether a line is a record, or the amendment of one, of the account in the window.
    fn is_wanted(&self, position: Position, row: &Row<'_>) -> Result<bool> {
        let counts = row.is_kind(EventKind::TokensRecorded) || row.is_kind(EventKind::TokensAmended);
        if !counts || !self.is_in_window(row.occurred_at) || !row.body.contains(&self.provider) {
            return Ok(false);
        }
        let is_own = |record: &TokenRecord| {
            record.provider == self.account.provider && record.account.as_deref() == self.account.account.as_deref()
        };
        Ok(match Event::from_line(position, row.body)?.payload {
            Payload::TokensRecorded(record) => is_own(&record),
            Payload::TokensAmended(amend) => is_own(&amend.replacement),
            _ => false,
        })
    }

    /// Those of `[from, to)`, latest first, of all kinds or of one.
    fn between(&self, from: Position, to: Position, only: Option<EventKind>) -> Result<Vec<Position>> {
        let mut found = Vec::new();
        if from < to {
            self.view.rows(from, &mut |position, row| {
                if position >= to {
                    return STOP;
                }
                if only.is_none_or(|kind| row.is_kind(kind)) && self.is_wanted(position, &row)? {
                    found.push(position);
                }
                if position.next() == to { STOP } else { GO_ON }
            })?;
        }
        found.reverse();
        Ok(found)
    }

    /// Those behind the last full block.
    fn behind_blocks(&self) -> Result<Vec<Position>> {
        let floor = self.first.max(position_at(full_blocks(self.view)?, 0)).get();
        let mut end = self.view.head()?.position.get() + 1;
        let (mut found, mut step) = (Vec::new(), LINES);
        while end > floor && found.len() < NAMED {
            let begin = end.saturating_sub(step).max(floor);
            found.extend(self.between(Position::new(begin), Position::new(end), None)?);
            (end, step) = (begin, step * 2);
        }
        Ok(found)
    }

    /// Adds those of full blocks, from their columns.
    fn add_of_blocks(&self, found: &mut Vec<Position>) -> Result<()> {
        let (begin, full) = (place(self.first).0, full_blocks(self.view)?);
        for number in (begin..full).rev().take(BLOCKS) {
            if found.len() >= NAMED {
                break;
            }
            found.extend(self.of_block(number)?);
        }
        Ok(())
    }

    fn of_block(&self, number: u64) -> Result<Vec<Position>> {
        let (first, behind) = (position_at(number, 0), Position::new((number + 1) * BLOCK + 1));
        let Some(bytes) = self.view.get(Table::Blocks, &block_key(number))? else {
            return self.between(first, behind, None);
        };
        let unreadable = || damaged(number);
        let summary = StoredSummary::read(&bytes).ok_or_else(unreadable)?;
        let quarters = quarter_of(self.start)..=quarter_of(self.now);
        let in_window = summary.has_quarter(&mut |quarter| quarters.contains(&quarter)).ok_or_else(unreadable)?;
        if !in_window || !summary.may_name(NameKind::Provider.hash(&self.account.provider)) {
            return Ok(Vec::new());
        }
        let Some(bytes) = self.view.get(Table::Columns, &block_key(number))? else {
            return self.between(first, behind, None);
        };
        let column = StoredColumn::read(&bytes).ok_or_else(unreadable)?;
        let mut found = Vec::new();
        let read = column.each(&mut |entry| {
            if self.is_in_window(entry.at) && column.account(entry.names).ok_or_else(unreadable)? == self.key {
                found.push(position_at(number, entry.offset));
            }
            Ok(())
        });
        read.ok_or_else(unreadable)??;
        if summary.has_kind(EventKind::TokensAmended) {
            found.extend(self.between(first, behind, Some(EventKind::TokensAmended))?);
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::store::{EventStore, MemoryStore};
    use crate::{Ledger, budget::RunRequest};

    /// Calls of two accounts, one in nine of the rare one, so that it has to be looked for in full blocks.
    fn ledger(count: u64) -> (Ledger, MemoryStore, Timestamp) {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let at = |n: u64| Timestamp::from_millis(1_780_000_000_000 + n as i64);
        let call = |n: u64| {
            let provider = if n.is_multiple_of(97) { "openai" } else { "anthropic" };
            NewEvent::new(TokenRecord::new(provider, "m").input(n), at(n))
        };
        ledger.append((0..count).map(call), at(count)).unwrap();
        (ledger, store, at(count))
    }

    #[test]
    fn the_latest_records_are_named_wherever_they_are() {
        for count in [20, 500, 1_024, 1_100, 3_000, 5_000] {
            let (_, store, now) = ledger(count);
            let view = store.read().unwrap();
            for provider in ["openai", "anthropic", "google"] {
                let mut expected = Vec::new();
                view.rows(Position::new(1), &mut |position, row| {
                    if row.body.contains(&format!("\"{provider}\"")) && position.get() > 3 {
                        expected.push(position);
                    }
                    GO_ON
                })
                .unwrap();
                let expected = expected.split_off(expected.len().saturating_sub(NAMED));
                let start = Timestamp::from_millis(1_780_000_000_003);
                let found = latest(&*view, &AccountRef::new(provider, None), start, now).unwrap();
                assert_eq!(found, expected, "{provider} of {count}");
            }
        }
    }

    #[test]
    fn a_decision_names_records_and_their_amendments_of_full_blocks() {
        let (ledger, _, now) = ledger(2_000);
        ledger.set_limit(crate::event::LimitSet::new("openai").unwrap().session(1_000), now).unwrap();
        let target = ledger.event(98).unwrap().id;
        ledger.amend(target, TokenRecord::new("openai", "m").input(1), "a test", now).unwrap();
        ledger.append((0..1_100).map(|n| NewEvent::new(TokenRecord::new("google", "m").input(n), now)), now).unwrap();
        let verdict = ledger.snapshot().unwrap().gate(&RunRequest::new("openai").unwrap(), now).unwrap();
        assert!(
            [1, 98, 1_941, 2_002].iter().all(|position| verdict.evidence.contains(&Position::new(*position))),
            "{verdict:?}"
        );
    }
}
