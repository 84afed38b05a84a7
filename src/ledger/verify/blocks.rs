//! Compares the stored blocks with those that the lines give.

use super::lines::VerifiedLog;
use super::wrong_block::wrong;
use super::{Findings, StoredPart};
use crate::model::error::Result;
use crate::model::event::{Event, Payload, Position};
use crate::projection::blocks::{QuarterBits, Summary, block_key, place, surplus};
use crate::projection::record_before;
use crate::store::{ReadView, Table};

/// Compares the summaries, after adding the corrections.
pub(super) fn check(view: &dyn ReadView, seen: &VerifiedLog, findings: &mut Findings) -> Result<()> {
    let mut summaries: Vec<Option<Summary>> = seen.summaries.clone();
    for (position, line) in &seen.others {
        let event = Event::from_line(*position, line)?;
        let Some(target) = event.payload.corrects() else { continue };
        let Some(record) = record_before(view, target, Position::new(u64::MAX))? else { continue };
        let (number, offset) = place(record);
        let at = if let Payload::TokensAmended(amend) = &event.payload { amend.at } else { None };
        if let Some(Some(summary)) = usize::try_from(number).ok().and_then(|index| summaries.get_mut(index)) {
            summary.correct(offset, at.as_slice());
        }
    }
    let mut bits = QuarterBits::default();
    for (number, summary) in (0..).zip(&summaries) {
        let Some(summary) = summary else { continue };
        bits.add_all(number, summary);
        if view.get(Table::Blocks, &block_key(number))?.as_deref() != Some(&summary.encode()) {
            wrong(number, Table::Blocks, findings);
        }
    }
    // The quarters of a block with an unreadable event are not known.
    if summaries.iter().all(Option::is_some) {
        bits.differences(view, &mut |row| {
            let table = Table::Quarters.name();
            let (position, what) = match row {
                Some((first, at)) => {
                    (Some(first), format!("{table}: the row of {at} differs from what the events say"))
                }
                None => (None, format!("{table}: a row is unreadable")),
            };
            // A row may concern blocks that do not exist.
            let position = position.filter(|position| place(*position).0 < summaries.len() as u64);
            findings.add_of(StoredPart::Folded, position, what);
        })?;
    }
    surplus(view, &mut |table| {
        findings.add_of(
            StoredPart::Folded,
            None,
            format!("{}: a row belongs to no full block of the log", table.name()),
        );
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::model::event::{NewEvent, TokenRecord};
    use crate::model::time::Timestamp;
    use crate::projection::blocks::{BLOCK, position_at};
    use crate::store::{EventStore, MemoryStore};

    /// A test's change of a stored value.
    type Change<'a> = &'a dyn Fn(Vec<u8>) -> Option<Vec<u8>>;

    #[test]
    fn a_changed_block_row_is_a_finding_and_is_rebuilt() {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let at = Timestamp::from_millis(1_780_000_000_000);
        let call = |n: u64| NewEvent::new(TokenRecord::new("openai", "m").input(n).key(n.to_string()), at);
        ledger.append((0..2 * BLOCK + 5).map(call), at).unwrap();
        let change = |table: Table, number: u64, change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
            let mut tx = store.write().unwrap();
            let value = tx.get(table, &block_key(number)).unwrap().unwrap_or_default();
            tx.put(table, &block_key(number), change(value).as_deref()).unwrap();
            tx.commit().unwrap();
        };
        let turned = |mut value: Vec<u8>| {
            *value.last_mut().unwrap() ^= 1;
            Some(value)
        };
        let changes: [(Table, u64, Change<'_>, Option<Position>); 5] = [
            (Table::Blocks, 1, &turned, Some(position_at(1, 0))),
            (Table::Columns, 1, &turned, Some(position_at(1, 0))),
            (Table::Blocks, 0, &|_| None, Some(position_at(0, 0))),
            (Table::Columns, 0, &|_| None, Some(position_at(0, 0))),
            (Table::Columns, 2, &|_| Some(vec![0]), None),
        ];
        for (table, number, how, position) in changes {
            change(table, number, how);
            for report in [ledger.verify().unwrap(), ledger.replay().unwrap()] {
                assert_eq!(report.findings.iter().map(|one| one.position).collect::<Vec<_>>(), [position]);
                assert!(report.findings[0].what.starts_with(table.name()));
            }
            assert!(ledger.repair().unwrap().ok && ledger.verify().unwrap().ok);
        }
    }
}
