//! Rules about scans: order, bounds, and visitors that stop, fail or query the view.

use crate::model::error::Error;
use crate::model::event::Position;
use crate::store::{EventStore, GO_ON, Order, ReadView, STOP, Table};

use super::super::Factory;
use super::super::support::{Pairs, commit, commit_puts, lines, scanned};

/// Keys whose byte order differs from their order as text and from the order of insertion.
const KEYS: [&[u8]; 7] = [b"", b"a", b"a\0", b"a\x7f", b"a\x80", b"b", b"\xff\xff"];

fn filled(factory: &dyn Factory) -> Box<dyn EventStore> {
    let store = factory.open();
    let mut puts: Vec<(&[u8], Option<&[u8]>)> = KEYS.iter().map(|key| (*key, Some(*key))).collect();
    puts.rotate_left(3);
    commit_puts(&*store, Table::Corrections, &puts);
    store
}

fn keys(pairs: Pairs) -> Vec<Vec<u8>> {
    for (key, value) in &pairs {
        assert_eq!(key, value, "a value stands at another key");
    }
    pairs.into_iter().map(|(key, _)| key).collect()
}

pub fn a_scan_can_ascend_and_descend(factory: &dyn Factory) {
    let store = filled(factory);
    let view = store.read().unwrap();
    let up = keys(scanned(&*view, Table::Corrections, b"", b"", Order::Ascending));
    assert!(up.is_sorted(), "upwards: {up:x?}");
    let mut down = keys(scanned(&*view, Table::Corrections, b"", b"", Order::Descending));
    down.reverse();
    assert!(down.is_sorted(), "downwards, reversed: {down:x?}");
}

/// The keys of a range, in sorted order; both directions must agree.
fn range(view: &dyn ReadView, from: &[u8], to: &[u8]) -> Vec<Vec<u8>> {
    let [mut up, mut down] =
        [Order::Ascending, Order::Descending].map(|order| keys(scanned(view, Table::Corrections, from, to, order)));
    up.sort();
    down.sort();
    assert_eq!(up, down, "{from:x?} to {to:x?}: the two directions differ");
    up
}

pub fn a_scan_begins_with_its_first_key(factory: &dyn Factory) {
    let store = filled(factory);
    let view = store.read().unwrap();
    assert_eq!(range(&*view, b"a", b"a\x01"), [b"a".to_vec(), b"a\0".to_vec()]);
    assert_eq!(range(&*view, b"a\x01", b"a\x80\0"), [b"a\x7f".to_vec(), b"a\x80".to_vec()]);
    assert_eq!(range(&*view, b"", b"\0"), [b"".to_vec()]);
}

pub fn a_scan_ends_before_its_last_key(factory: &dyn Factory) {
    let store = filled(factory);
    let view = store.read().unwrap();
    assert_eq!(range(&*view, b"a\x10", b"b"), [b"a\x7f".to_vec(), b"a\x80".to_vec()]);
    let nothing: [Vec<u8>; 0] = [];
    assert_eq!(range(&*view, b"b", b"b"), nothing, "an empty range");
    assert_eq!(range(&*view, b"b", b"a"), nothing, "a range that ends before it begins");
}

pub fn a_scan_without_an_end_includes_the_last_key(factory: &dyn Factory) {
    let store = filled(factory);
    let view = store.read().unwrap();
    assert_eq!(range(&*view, b"a\x81", b""), [b"b".to_vec(), b"\xff\xff".to_vec()]);
    assert_eq!(range(&*view, b"\xff\xff\xff", b"").len(), 0);
}

pub fn a_scan_stops_when_the_visitor_breaks(factory: &dyn Factory) {
    let store = filled(factory);
    let view = store.read().unwrap();
    for order in [Order::Ascending, Order::Descending] {
        let mut seen = 0;
        view.scan(Table::Corrections, b"a", b"", order, &mut |_, _| {
            seen += 1;
            if seen == 3 { STOP } else { GO_ON }
        })
        .unwrap();
        assert_eq!(seen, 3);
    }
}

pub fn a_scan_returns_the_error_of_its_visitor(factory: &dyn Factory) {
    let store = filled(factory);
    commit(&*store, &lines([1, 2]));
    let view = store.read().unwrap();
    let mut visits = 0;
    let scan = view.scan(Table::Corrections, b"", b"", Order::Ascending, &mut |_, _| {
        visits += 1;
        Err(Error::DiskFull)
    });
    assert!(matches!(scan, Err(Error::DiskFull)), "{scan:?}");
    let rows = view.rows(Position::new(1), &mut |_, _| {
        visits += 1;
        Err(Error::DiskFull)
    });
    assert!(matches!(rows, Err(Error::DiskFull)), "{rows:?}");
    assert_eq!(visits, 2, "nothing is visited after an error");
}

pub fn a_visitor_may_query_the_view(factory: &dyn Factory) {
    let store = filled(factory);
    commit(&*store, &lines([1, 2, 3]));
    let asks = |view: &dyn ReadView| {
        let mut answers = Vec::new();
        view.scan(Table::Corrections, b"a", b"a\x01", Order::Ascending, &mut |key, _| {
            view.scan(Table::Corrections, b"a", b"a\x01", Order::Descending, &mut |inner, _| {
                view.rows(Position::new(2), &mut |at, row| {
                    let found = view.position_of(row.id)?;
                    answers.push((key.to_vec(), inner.to_vec(), found == Some(at), view.get(Table::EventIndex, key)?));
                    GO_ON
                })?;
                GO_ON
            })?;
            GO_ON
        })
        .unwrap();
        assert_eq!(answers.len(), 2 * 2 * 2);
        assert!(answers.iter().all(|(_, _, found, fact)| *found && fact.is_none()));
    };
    asks(&*store.read().unwrap());
    asks(&*store.write().unwrap());
}
