//! Rules about transactions and snapshots in one thread.

use crate::model::event::Position;
use crate::store::Table;

use super::super::Factory;
use super::super::support::{LogRow, bodies, commit, commit_puts, id, lines, rows_from, scanned, whole};

pub fn a_transaction_reads_the_rows_it_wrote(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([1]));
    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(2).row()]).unwrap();
    tx.append(&[LogRow::new(3).row()]).unwrap();
    let head = tx.head().unwrap();
    assert_eq!((head.position.get(), head.recorded_at), (3, LogRow::new(3).recorded_at));
    assert_eq!(tx.position_of(id(3)).unwrap(), Some(Position::new(3)));
    assert_eq!(rows_from(&*tx, 2), [(2, LogRow::new(2)), (3, LogRow::new(3))]);
}

pub fn a_transaction_reads_the_values_it_put(factory: &dyn Factory) {
    let store = factory.open();
    commit_puts(&*store, Table::Files, &[(b"a", Some(b"old")), (b"b", Some(b"old"))]);
    let mut tx = store.write().unwrap();
    tx.put(Table::Files, b"a", Some(b"new")).unwrap();
    tx.put(Table::Files, b"b", None).unwrap();
    tx.put(Table::Files, b"c", Some(b"new")).unwrap();
    assert_eq!(tx.get(Table::Files, b"a").unwrap().as_deref(), Some(b"new".as_slice()));
    assert_eq!(tx.get(Table::Files, b"b").unwrap(), None);
    let mut pairs = scanned(&*tx, Table::Files, b"", b"", crate::store::Order::Descending);
    pairs.sort();
    assert_eq!(pairs, [(b"a".to_vec(), b"new".to_vec()), (b"c".to_vec(), b"new".to_vec())]);
    tx.put(Table::Files, b"a", Some(b"newer")).unwrap();
    assert_eq!(tx.get(Table::Files, b"a").unwrap().as_deref(), Some(b"newer".as_slice()));
}

pub fn a_dropped_transaction_leaves_no_rows(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([1]));
    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(2).row()]).unwrap();
    drop(tx);
    let view = store.read().unwrap();
    assert_eq!(bodies(&*view), [LogRow::new(1).body]);
    assert_eq!(view.head().unwrap().recorded_at, LogRow::new(1).recorded_at);
    assert_eq!(view.position_of(id(2)).unwrap(), None);
    drop(view);
    // Its ids are free again.
    commit(&*store, &lines([2]));
}

pub fn a_dropped_transaction_leaves_no_values(factory: &dyn Factory) {
    let store = factory.open();
    commit_puts(&*store, Table::EventIndex, &[(b"a", Some(b"old")), (b"b", Some(b"old"))]);
    let mut tx = store.write().unwrap();
    tx.put(Table::EventIndex, b"a", Some(b"new")).unwrap();
    tx.put(Table::EventIndex, b"b", None).unwrap();
    tx.put(Table::EventIndex, b"c", Some(b"new")).unwrap();
    drop(tx);
    let old = [(b"a".to_vec(), b"old".to_vec()), (b"b".to_vec(), b"old".to_vec())];
    assert_eq!(whole(&*store.read().unwrap(), Table::EventIndex), old);
}

pub fn no_write_is_visible_before_the_commit(factory: &dyn Factory) {
    let (writer, reader) = (factory.open(), factory.open());
    let mut tx = writer.write().unwrap();
    tx.append(&[LogRow::new(1).row()]).unwrap();
    tx.put(Table::EventIndex, b"key", Some(b"value")).unwrap();
    let view = reader.read().unwrap();
    assert_eq!(view.head().unwrap().position, Position::START);
    assert!(bodies(&*view).is_empty());
    assert_eq!(view.position_of(id(1)).unwrap(), None);
    assert_eq!(view.get(Table::EventIndex, b"key").unwrap(), None);
    assert!(whole(&*view, Table::EventIndex).is_empty());
    drop(view);
    tx.commit().unwrap();
}

pub fn a_commit_is_visible_to_every_handle(factory: &dyn Factory) {
    let mut handles = [factory.open(), factory.open(), factory.open()];
    for handle in &mut handles {
        assert!(bodies(&*handle.read().unwrap()).is_empty());
    }
    let mut tx = handles[1].write().unwrap();
    tx.append(&[LogRow::new(1).row()]).unwrap();
    tx.put(Table::EventIndex, b"key", Some(b"value")).unwrap();
    tx.commit().unwrap();
    for handle in &mut handles {
        let view = handle.read().unwrap();
        assert_eq!(bodies(&*view), [LogRow::new(1).body]);
        assert_eq!(view.get(Table::EventIndex, b"key").unwrap().as_deref(), Some(b"value".as_slice()));
    }
}

pub fn a_snapshot_stays_as_it_is(factory: &dyn Factory) {
    let (writer, reader) = (factory.open(), factory.open());
    commit(&*writer, &lines([1]));
    commit_puts(&*writer, Table::EventIndex, &[(b"a", Some(b"old")), (b"b", Some(b"old"))]);

    let view = reader.read().unwrap();
    // The snapshot has not read anything yet: it must show the state at its opening, not at its first read.
    commit(&*writer, &lines([2, 3]));
    commit_puts(&*writer, Table::EventIndex, &[(b"a", Some(b"new")), (b"b", None), (b"c", Some(b"new"))]);

    assert_eq!(view.head().unwrap().recorded_at, LogRow::new(1).recorded_at);
    assert_eq!(bodies(&*view), [LogRow::new(1).body]);
    assert_eq!(view.position_of(id(2)).unwrap(), None);
    let old = [(b"a".to_vec(), b"old".to_vec()), (b"b".to_vec(), b"old".to_vec())];
    assert_eq!(whole(&*view, Table::EventIndex), old);
    assert_eq!(view.get(Table::EventIndex, b"c").unwrap(), None);
}

pub fn a_commit_outlives_every_handle(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([1]));
    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(2).row()]).unwrap();
    tx.put(Table::EventIndex, b"key", Some(b"value")).unwrap();
    tx.commit().unwrap();
    drop(store);

    let store = factory.open();
    let view = store.read().unwrap();
    assert_eq!(bodies(&*view), [LogRow::new(1).body, LogRow::new(2).body]);
    assert_eq!(view.get(Table::EventIndex, b"key").unwrap().as_deref(), Some(b"value".as_slice()));
}
