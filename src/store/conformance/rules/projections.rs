//! Rules about projections: keys and values.

use crate::store::Table;

use super::super::Factory;
use super::super::support::{commit_puts, whole};

pub fn a_value_is_put_replaced_and_removed(factory: &dyn Factory) {
    let store = factory.open();
    let get = |store: &dyn crate::store::EventStore, key: &[u8]| {
        store.read().unwrap().get(Table::UsageInstants, key).unwrap()
    };
    commit_puts(&*store, Table::UsageInstants, &[(b"a", Some(b"1")), (b"b", Some(b"2"))]);
    assert_eq!(get(&*store, b"a").as_deref(), Some(b"1".as_slice()));
    commit_puts(&*store, Table::UsageInstants, &[(b"a", Some(b"longer than before"))]);
    assert_eq!(get(&*store, b"a").as_deref(), Some(b"longer than before".as_slice()));
    assert_eq!(get(&*store, b"c"), None);
    // Removing a missing key is not an error.
    commit_puts(&*store, Table::UsageInstants, &[(b"a", None), (b"zzz", None)]);
    assert_eq!(get(&*store, b"a"), None);
    assert_eq!(whole(&*store.read().unwrap(), Table::UsageInstants), [(b"b".to_vec(), b"2".to_vec())]);
}

pub fn an_empty_value_is_a_value(factory: &dyn Factory) {
    let store = factory.open();
    commit_puts(&*store, Table::Accounts, &[(b"here", Some(b""))]);
    let view = store.read().unwrap();
    assert_eq!(view.get(Table::Accounts, b"here").unwrap(), Some(Vec::new()));
    assert_eq!(whole(&*view, Table::Accounts), [(b"here".to_vec(), Vec::new())]);
}

pub fn tables_are_separate(factory: &dyn Factory) {
    let store = factory.open();
    for table in Table::ALL {
        commit_puts(&*store, table, &[(b"key", Some(table.name().as_bytes()))]);
    }
    commit_puts(&*store, Table::Keys, &[(b"key", None)]);
    let view = store.read().unwrap();
    for table in Table::ALL {
        let expected = (table != Table::Keys).then(|| table.name().as_bytes().to_vec());
        assert_eq!(view.get(table, b"key").unwrap(), expected);
        assert_eq!(whole(&*view, table).len(), usize::from(expected.is_some()));
    }
}

pub fn every_byte_can_be_in_a_key_and_a_value(factory: &dyn Factory) {
    let store = factory.open();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = vec![(vec![], b"the empty key".to_vec())];
    for byte in 0..=u8::MAX {
        for key in [vec![byte], vec![byte, 0], vec![byte, byte], vec![b'k', byte], vec![byte; 40]] {
            expected.push((key, vec![byte, 0, 0xff, !byte]));
        }
    }
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    expected.push((all_bytes.clone(), all_bytes));
    expected.sort();
    expected.dedup_by(|a, b| a.0 == b.0);
    let puts: Vec<(&[u8], Option<&[u8]>)> =
        expected.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))).collect();
    commit_puts(&*store, Table::EventIndex, &puts);

    let view = store.read().unwrap();
    assert_eq!(whole(&*view, Table::EventIndex).len(), expected.len());
    for (key, value) in &expected {
        assert_eq!(view.get(Table::EventIndex, key).unwrap().as_ref(), Some(value), "key {key:x?}");
    }
}

pub fn a_large_value_round_trips(factory: &dyn Factory) {
    let store = factory.open();
    let large = (0..=u8::MAX).collect::<Vec<u8>>().repeat(10_000);
    commit_puts(&*store, Table::EventIndex, &[(b"large", Some(&large))]);
    let value = store.read().unwrap().get(Table::EventIndex, b"large").unwrap().unwrap();
    assert!(value == large, "{} bytes went in, {} came back", large.len(), value.len());
}
