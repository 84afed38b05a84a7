//! Bodies that give way to stubs.

use usage_ledger::audit::Hash;
use usage_ledger::store::{Space, Transaction};
use usage_ledger::{Error, Position};

use super::super::{Factory, Line, bodies, commit, lines, rows_from};

/// What stays of the lines here.
const KEPT: &str = r#"{"kept":true}"#;

/// The stub of a position, in a transaction in which a row says so and the tree has the hash: a store may look.
fn stub(tx: &mut dyn Transaction, position: u64) -> String {
    let leaf = Hash::of_line(&rows_from(&*tx, position)[0].1.body);
    let word = Line {
        kind: 15,
        ..Line::with_body(100 + position, format!(r#"{{"data":{{"position":{position},"keeps":{KEPT}}}}}"#))
    };
    let by = tx.append(&[word.row()]).unwrap();
    let hashes = [*leaf.as_bytes(); 16].concat();
    tx.put(Space::Tree, &[0; 9], Some(&hashes)).unwrap();
    format!(r#"{{"shredded":{position},"leaf":"{leaf}","by":{by},"kept":{KEPT}}}"#)
}

pub fn a_stub_takes_the_place_of_a_body(factory: &dyn Factory) {
    let (mut writer, mut reader) = (factory.open(), factory.open());
    commit(&mut *writer, &lines(1..4));
    let before = reader.read().unwrap();
    let mut tx = writer.write().unwrap();
    let stub = stub(&mut *tx, 2);
    tx.shred(Position::new(2), &stub).unwrap();
    let shredded = Line { body: stub, ..Line::new(2) };
    assert_eq!(rows_from(&*tx, 2)[0].1, shredded, "its own write, and all other columns as they were");
    tx.commit().unwrap();
    assert_eq!(rows_from(&*before, 2)[0].1, Line::new(2), "a snapshot stays as it is");
    drop(before);
    let found = rows_from(&*reader.read().unwrap(), 1);
    assert_eq!([&found[0].1, &found[1].1, &found[2].1], [&Line::new(1), &shredded, &Line::new(3)]);
    writer.erase().unwrap();
    assert_eq!(rows_from(&*factory.open().read().unwrap(), 1), found, "erasing changes no row");
}

pub fn a_position_that_is_not_there_is_not_shredded(factory: &dyn Factory) {
    let mut store = factory.open();
    commit(&mut *store, &lines(1..3));
    for position in [0, 3] {
        let refused = store.write().unwrap().shred(Position::new(position), "{}");
        assert!(matches!(refused, Err(Error::NotFound { .. })), "position {position}: {refused:?}");
    }
}

pub fn a_dropped_transaction_shreds_nothing(factory: &dyn Factory) {
    let mut store = factory.open();
    commit(&mut *store, &lines(1..3));
    let mut tx = store.write().unwrap();
    let stub = stub(&mut *tx, 1);
    tx.shred(Position::new(1), &stub).unwrap();
    drop(tx);
    assert_eq!(bodies(&*store.read().unwrap()), [Line::new(1).body, Line::new(2).body]);
}
