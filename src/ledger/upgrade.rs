//! Projections that a ledger of an earlier build lacks.

use super::Ledger;
use crate::model::error::{Error, Result};
use crate::projection::blocks::{self, build_quarters, full_blocks, lacks_blocks, lacks_quarters};
use crate::projection::labels::{self, lacks_labels};
use crate::projection::leaf_at;
use crate::projection::past::{self, lacks_chapters};
use crate::store::{EventStore, ReadView, Table, WriteView};

impl Ledger {
    /// A ledger on a store that may lack projections of this build. They are built from the log in one transaction.
    /// `progress` receives the number of completed parts and of all parts.
    pub(crate) fn upgraded(store: Box<dyn EventStore>, progress: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        let mut built = buildable(&*store.read()?)?;
        if !built.is_empty() {
            match store.write() {
                // Another process may have built them during the wait.
                Ok(mut tx) if !buildable(&*tx)?.is_empty() => match build(&mut *tx, progress) {
                    Ok(()) => tx.commit()?,
                    // Nothing is written then. Queries read the log, and `verify` names what is damaged.
                    Err(Error::Damaged { .. }) => built.clear(),
                    Err(error) => return Err(error),
                },
                // Without these projections queries read the log.
                Ok(_) | Err(Error::ReadOnly { .. }) => built.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            #[cfg(feature = "cli")]
            built,
            ..Self::with_store(store)
        })
    }
}

/// The names of the tables that have no row and should have some. None if the log lacks events that the tree knows of: a
/// row with a wrong position would count as the end of very many blocks.
fn buildable(view: &dyn ReadView) -> Result<Vec<&'static str>> {
    let tables = [
        (Table::Columns, lacks_blocks(view)?),
        (Table::Quarters, lacks_quarters(view)?),
        (Table::Chapters, lacks_chapters(view)?),
        (Table::ByLabel, lacks_labels(view)?),
    ];
    let lacking: Vec<_> = tables.into_iter().filter(|(_, lacks)| *lacks).map(|(table, _)| table.name()).collect();
    Ok(if lacking.is_empty() || is_head_in_tree(view)? { lacking } else { Vec::new() })
}

fn is_head_in_tree(view: &dyn ReadView) -> Result<bool> {
    let head = view.head()?.position;
    match leaf_at(view, head) {
        Ok(_) => Ok(true),
        Err(Error::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Builds what is missing. Each block counts once for each of the two projections that are made of blocks.
fn build(sink: &mut dyn WriteView, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    if lacks_labels(&*sink)? {
        labels::build(sink)?;
    }
    let full = full_blocks(&*sink)?;
    let (blocks, chapters) = (lacks_blocks(&*sink)?, lacks_chapters(&*sink)?);
    let done = if blocks { full } else { 0 };
    let all = done + if chapters { full } else { 0 };
    if blocks {
        blocks::build(sink, &mut |number, _| progress(number, all))?;
    }
    if lacks_quarters(&*sink)? {
        build_quarters(sink)?;
    }
    if chapters {
        past::build(sink, &mut |number| progress(done + number, all))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{NewEvent, Position};
    use crate::store::{GO_ON, KeyRange, MemoryStore, Order, clear};
    use crate::{Timestamp, TokenRecord};

    #[test]
    fn blocks_that_an_earlier_build_did_not_write_are_built_when_the_ledger_is_opened() {
        let store = MemoryStore::new();
        let at = Timestamp::from_millis(1_780_000_000_000);
        let call = |n: u64| {
            let record = TokenRecord::new("openai", "m").input(n).key(n.to_string());
            let record = record.conversation((n / 7).to_string()).label("team", (n % 3).to_string());
            NewEvent::new(record, at.plus(n as i64 * 100_000))
        };
        let ledger = Ledger::with_store(Box::new(store.clone()));
        ledger.append((0..2_500).map(call), at).unwrap();
        let voided = ledger.event(7).unwrap().id;
        ledger.void(voided, "twice", at).unwrap();
        assert!(ledger.verify().unwrap().ok);
        let mut tx = store.write().unwrap();
        clear(&mut *tx, Table::Blocks).unwrap();
        clear(&mut *tx, Table::Columns).unwrap();
        clear(&mut *tx, Table::Chapters).unwrap();
        clear(&mut *tx, Table::History).unwrap();
        clear(&mut *tx, Table::ByLabel).unwrap();
        tx.commit().unwrap();
        assert!(!ledger.verify().unwrap().ok);
        let mut seen = Vec::new();
        let ledger = Ledger::upgraded(Box::new(store.clone()), &mut |done, of| seen.push((done, of))).unwrap();
        assert_eq!(seen, [(1, 4), (2, 4), (4, 4)]);
        #[cfg(feature = "cli")]
        assert_eq!(ledger.built, ["block_calls", "chapters", "usage_by_label"]);
        assert_eq!(ledger.verify().unwrap().findings, []);
        let mut tx = store.write().unwrap();
        clear(&mut *tx, Table::Chapters).unwrap();
        clear(&mut *tx, Table::Quarters).unwrap();
        tx.commit().unwrap();
        // What is left of the rows of another build gives way.
        let ledger = Ledger::upgraded(Box::new(store), &mut |_, _| {}).unwrap();
        assert_eq!(ledger.verify().unwrap().findings, []);
    }

    #[test]
    fn a_row_at_a_wrong_position_builds_nothing_and_ends_no_query_late() {
        let at = Timestamp::from_millis(1_780_000_000_000);
        for (events, position) in [(3, 1_i64 << 62), (3, 2_000), (1_100, 1 << 62)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("usage.db");
            let call = |n: u64| NewEvent::new(TokenRecord::new("openai", "m").input(n).key(n.to_string()), at);
            Ledger::open(&path).unwrap().append((0..events).map(call), at).unwrap();
            let sql = "INSERT INTO events SELECT ?, zeroblob(16), kind, occurred_at, recorded_at, body FROM events \
                       WHERE position = 1";
            rusqlite::Connection::open(&path).unwrap().execute(sql, [position]).unwrap();
            let rows =
                |ledger: &Ledger| ledger.store().read().unwrap().has_any(&KeyRange::whole(Table::Blocks)).unwrap();
            let ledger = Ledger::open(&path).unwrap();
            assert_eq!(rows(&ledger), events > 1_024);
            let first = ledger.verify().unwrap().findings.into_iter().find_map(|found| found.position);
            assert_eq!(first.map(Position::get), Some(events + 1));
            assert!(matches!(ledger.root(), Err(Error::Damaged { .. })));
            assert!(!ledger.repair().unwrap().ok && rows(&ledger) == (events > 1_024));
            let replayed = ledger.rebuild();
            assert!(matches!(replayed, Err(Error::Damaged { position: Some(at), .. }) if at.get() == events + 1));
            let read = blocks::scan_blocks(&*ledger.store().read().unwrap(), Order::Ascending, &mut |_, _| GO_ON);
            // A scan of a few blocks too many ends soon.
            let is_far = position > 1 << 40;
            assert!(if is_far { matches!(read, Err(Error::Damaged { .. })) } else { read.is_ok() }, "{read:?}");
        }
    }

    #[test]
    fn a_missing_row_is_damage_and_not_the_sign_of_an_earlier_build() {
        let store = MemoryStore::new();
        let at = Timestamp::from_millis(1_780_000_000_000);
        let call = |n: u64| NewEvent::new(TokenRecord::new("openai", "m").input(n).key(n.to_string()), at);
        Ledger::with_store(Box::new(store.clone())).append((0..2_500).map(call), at).unwrap();
        for (table, number) in [(Table::Blocks, 0_u64), (Table::Blocks, 1), (Table::Columns, 0)] {
            let view = store.read().unwrap();
            let key = number.to_be_bytes();
            let row = view.get(table, &key).unwrap().unwrap();
            drop(view);
            let put = |value| {
                let mut tx = store.write().unwrap();
                tx.put(table, &key, value).unwrap();
                tx.commit().unwrap();
            };
            put(None);
            let ledger = Ledger::upgraded(Box::new(store.clone()), &mut |_, _| {}).unwrap();
            assert!(!ledger.verify().unwrap().ok, "{table:?} {number}");
            put(Some(&row[..]));
            assert!(ledger.verify().unwrap().ok);
        }
    }
}
