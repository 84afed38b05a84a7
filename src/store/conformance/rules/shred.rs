//! Rules about bodies that tombstones replace.

use crate::merkle::Hash;
use crate::model::error::Error;
use crate::model::event::Position;
use crate::store::{ReadView, Table, Transaction};

use super::super::Factory;
use super::super::support::{LogRow, commit, lines, rows_from};

/// The remaining line of the tombstones here.
const KEPT: &str = r#"{"kept":true}"#;

/// The rows as a view shows them, with their positions.
fn shown(view: &dyn ReadView) -> Vec<(u64, LogRow)> {
    rows_from(view, 0)
}

fn body(view: &dyn ReadView, position: u64) -> String {
    let row = shown(view).into_iter().find(|(at, _)| *at == position);
    row.map(|(_, line)| line.body).unwrap_or_default()
}

/// Makes the tombstone of a position, in a transaction with the `event_shredded` and the leaf hash: a store may check
/// both.
fn tombstone(tx: &mut dyn Transaction, position: u64) -> String {
    let leaf = Hash::of_line(body(&*tx, position));
    let word = format!(r#"{{"data":{{"position":{position},"keeps":{KEPT}}}}}"#);
    let by = tx.append(&[LogRow { kind: 15, ..LogRow::with_body(100 + position, word) }.row()]).unwrap();
    let hashes = [*leaf.as_bytes(); 16].concat();
    tx.put(Table::Tree, &[0; 9], Some(&hashes)).unwrap();
    format!(r#"{{"shredded":{position},"leaf":"{leaf}","by":{by},"kept":{KEPT}}}"#)
}

pub fn a_tombstone_replaces_a_body(factory: &dyn Factory) {
    let store = factory.open();
    for n in 1..4 {
        commit(&*store, &lines([n]));
    }
    let mut expected = shown(&*store.read().unwrap());
    let mut tx = store.write().unwrap();
    let tombstone = tombstone(&mut *tx, 2);
    tx.shred(Position::new(2), &tombstone).unwrap();
    tx.commit().unwrap();
    expected[1].1.body = tombstone;
    assert_eq!(shown(&*store.read().unwrap())[..3], expected, "the body changes, and nothing else");
    store.erase().unwrap();
    assert_eq!(shown(&*store.read().unwrap())[..3], expected, "erasing changes no row");
}

pub fn a_snapshot_keeps_the_shredded_body(factory: &dyn Factory) {
    let (writer, reader) = (factory.open(), factory.open());
    commit(&*writer, &lines([1]));
    let view = reader.read().unwrap();
    let before = body(&*view, 1);
    let mut tx = writer.write().unwrap();
    let tombstone = tombstone(&mut *tx, 1);
    tx.shred(Position::new(1), &tombstone).unwrap();
    tx.commit().unwrap();
    assert_eq!(body(&*view, 1), before);
}

pub fn a_missing_position_cannot_be_shredded(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines(1..3));
    for position in [0, 3] {
        let refused = store.write().unwrap().shred(Position::new(position), "{}");
        assert!(matches!(refused, Err(Error::NotFound { .. })), "position {position}: {refused:?}");
    }
}

pub fn a_dropped_transaction_shreds_nothing(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([1]));
    let before = body(&*store.read().unwrap(), 1);
    let mut tx = store.write().unwrap();
    let tombstone = tombstone(&mut *tx, 1);
    tx.shred(Position::new(1), &tombstone).unwrap();
    drop(tx);
    assert_eq!(body(&*store.read().unwrap(), 1), before);
}
