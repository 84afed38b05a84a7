//! Compares the stored history with what the events produce.

use super::{Findings, StoredPart};
use crate::model::error::Result;
use crate::model::event::Position;
use crate::projection::past::{CHAPTER, differences};
use crate::store::ReadView;

/// Checks each chapter. The blocks, from which chapters are computed, are checked before.
pub(super) fn check(view: &dyn ReadView, findings: &mut Findings) -> Result<()> {
    differences(view, &mut |chapter| match chapter {
        Some(number) => {
            let (first, last) = (Position::new(number * CHAPTER + 1), Position::new((number + 1) * CHAPTER));
            let what =
                format!("history: the changes of positions {first} to {last} differ from what the events produce");
            findings.add_of(StoredPart::Folded, first, what);
        }
        None => findings.add_of(StoredPart::Folded, None, "history: a row belongs to no full chapter of the log"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::model::event::{NewEvent, TokenRecord};
    use crate::model::time::Timestamp;
    use crate::store::{EventStore, GO_ON, MemoryStore, Order, Table};

    /// What a test does to a stored value.
    type Change<'a> = &'a dyn Fn(Vec<u8>) -> Option<Vec<u8>>;

    #[test]
    fn a_changed_row_of_the_past_is_found_and_made_anew() {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let at = Timestamp::from_millis(1_780_000_000_000);
        let call = |n: u64| NewEvent::new(TokenRecord::new("openai", "m").input(n).key(n.to_string()), at);
        ledger.append((0..2 * CHAPTER + 5).map(call), at).unwrap();
        let mut rows = Vec::new();
        for table in [Table::History, Table::Chapters] {
            store
                .read()
                .unwrap()
                .scan(table, &[], &[], Order::Ascending, &mut |key, value| {
                    rows.push((table, key.to_vec(), value.to_vec()));
                    GO_ON
                })
                .unwrap();
        }
        assert_eq!(rows.len(), 2 * 2 + 1 + 2);
        let longer = |mut value: Vec<u8>| {
            value.push(1);
            Some(value)
        };
        let put = |table: Table, key: &[u8], value: Option<&[u8]>| {
            let mut tx = store.write().unwrap();
            tx.put(table, key, value).unwrap();
            tx.commit().unwrap();
        };
        for (table, key, value) in &rows {
            let changes: [Change<'_>; 2] = [&longer, &|_| None];
            for change in changes {
                put(*table, key, change(value.clone()).as_deref());
                for found in [ledger.verify().unwrap(), ledger.replay().unwrap()] {
                    assert!(!found.ok && found.findings[0].what.starts_with("history:"), "{table:?} {found:?}");
                }
                assert!(ledger.repair().unwrap().ok && ledger.verify().unwrap().ok);
            }
        }
        let strange: [(Table, &[u8]); 4] = [
            (Table::History, b"strange"),
            (Table::History, b"\x03nobody\0\0"),
            (Table::Chapters, b"x"),
            (Table::Chapters, &[255; 8]),
        ];
        for (table, key) in strange {
            put(table, key, Some(&[0]));
            assert!(!ledger.verify().unwrap().ok, "{table:?} {key:?}");
            assert!(ledger.repair().unwrap().ok && ledger.verify().unwrap().ok);
        }
    }
}
