//! Rules about the log: positions, ids and rows.

use crate::model::error::Error;
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::store::{Head, Row, STOP};

use super::super::Factory;
use super::super::support::{LogRow, bodies, commit, id, lines, rows_from};

pub fn an_empty_ledger_has_no_head(factory: &dyn Factory) {
    let store = factory.open();
    let view = store.read().unwrap();
    assert_eq!(view.head().unwrap(), Head::default());
    assert_eq!(view.head().unwrap().position, Position::START);
    assert!(rows_from(&*view, 0).is_empty());
    assert_eq!(view.position_of(id(1)).unwrap(), None);
}

pub fn positions_have_no_gaps(factory: &dyn Factory) {
    let (one, other) = (factory.open(), factory.open());
    assert_eq!(commit(&*one, &lines([1])).get(), 1);
    assert_eq!(commit(&*other, &lines(2..5)).get(), 4);
    assert_eq!(commit(&*other, &[]).get(), 4, "nothing appended: the last position stays");
    assert_eq!(commit(&*one, &lines(5..7)).get(), 6);

    let view = other.read().unwrap();
    let positions: Vec<u64> = rows_from(&*view, 0).iter().map(|(at, _)| *at).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6]);
}

pub fn rows_are_in_the_order_of_commits(factory: &dyn Factory) {
    let (one, other) = (factory.open(), factory.open());
    commit(&*one, &lines([30, 10, 20]));
    commit(&*other, &lines([5]));
    let mut tx = one.write().unwrap();
    for n in [40, 7] {
        tx.append(&[LogRow::new(n).row()]).unwrap();
    }
    tx.commit().unwrap();

    let expected: Vec<String> = [30, 10, 20, 5, 40, 7].into_iter().map(|n| LogRow::new(n).body).collect();
    assert_eq!(bodies(&*other.read().unwrap()), expected);
}

pub fn a_rolled_back_append_uses_up_no_position(factory: &dyn Factory) {
    let store = factory.open();
    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(8).row(), LogRow::new(9).row()]).unwrap();
    drop(tx);
    assert_eq!(commit(&*store, &lines([1])).get(), 1);
}

pub fn rows_are_read_from_a_given_position(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines(1..6));
    let view = store.read().unwrap();
    let count = |from: u64| rows_from(&*view, from).len();
    assert_eq!([0, 1, 2, 5, 6, 99].map(count), [5, 5, 4, 1, 0, 0]);
    assert_eq!(rows_from(&*view, 4)[0].1, LogRow::new(4));

    let mut seen = 0;
    view.rows(Position::new(2), &mut |_, _| {
        seen += 1;
        if seen == 2 { STOP } else { crate::store::GO_ON }
    })
    .unwrap();
    assert_eq!(seen, 2, "the visitor said stop");
}

pub fn a_row_round_trips_with_all_its_columns(factory: &dyn Factory) {
    let store = factory.open();
    let mut first = LogRow::new(15);
    first.occurred_at = Timestamp::MIN;
    first.recorded_at = Timestamp::from_millis(-1);
    let mut second = LogRow::new(1);
    second.occurred_at = Timestamp::MAX;
    second.kind = u8::MAX;
    commit(&*store, &[first.clone(), second.clone()]);

    let view = store.read().unwrap();
    let rows: Vec<LogRow> = rows_from(&*view, 0).into_iter().map(|(_, line)| line).collect();
    assert_eq!(rows, [first, second]);
}

pub fn the_bytes_of_a_body_round_trip(factory: &dyn Factory) {
    let odd = [
        "",
        " leading and trailing \n",
        "a\0b\0",
        "\u{feff}byte order mark",
        "e\u{301} is not \u{e9}",
        "\u{1f9fe} \u{10ffff} \u{fffd}",
        "'; DROP TABLE events; --",
        "12345678901234567890.0",
        "\r\n\t\u{7f}\u{80}",
    ];
    let store = factory.open();
    let given: Vec<LogRow> = (1..).zip(odd).map(|(n, body)| LogRow::with_body(n, body)).collect();
    commit(&*store, &given);
    assert_eq!(bodies(&*store.read().unwrap()), odd);
}

pub fn a_large_body_round_trips(factory: &dyn Factory) {
    let store = factory.open();
    let large = "Voil\u{e0}: 3.2 megabytes of this;".repeat(100_000);
    commit(&*store, &[LogRow::new(1), LogRow::with_body(2, large.clone()), LogRow::new(3)]);
    let view = store.read().unwrap();
    let rows = rows_from(&*view, 2);
    assert!(rows[0].1.body == large, "{} bytes went in, {} came back", large.len(), rows[0].1.body.len());
    assert_eq!(rows[1].1, LogRow::new(3));
}

pub fn the_head_is_the_last_row(factory: &dyn Factory) {
    let store = factory.open();
    for (n, last) in [(1..3, 2), (3..4, 3)] {
        commit(&*store, &lines(n));
        let view = store.read().unwrap();
        let (position, line) = rows_from(&*view, 0).pop().unwrap();
        assert_eq!(line, LogRow::new(last));
        let head = view.head().unwrap();
        assert_eq!((head.position.get(), head.recorded_at), (position, line.recorded_at));
    }
}

pub fn an_id_finds_its_position(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([4, 2]));
    commit(&*store, &lines([9]));
    let view = store.read().unwrap();
    for (at, line) in rows_from(&*view, 0) {
        assert_eq!(view.position_of(line.id).unwrap(), Some(Position::new(at)));
    }
    assert_eq!(view.position_of(id(3)).unwrap(), None);
}

pub fn an_id_is_unique_in_the_log(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([1, 2]));
    let refused = |result: crate::Result<Position>| {
        assert!(matches!(result, Err(Error::Conflict { .. })), "the same id was taken twice: {result:?}");
    };
    // The id is in the log already; the body does not matter.
    refused(store.write().unwrap().append(&[LogRow::with_body(2, "another body").row()]));
    refused(store.write().unwrap().append(&[LogRow::new(2).row()]));
    // Twice in one call, and twice in one transaction.
    refused(store.write().unwrap().append(&[LogRow::new(3).row(), LogRow::new(3).row()]));
    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(4).row()]).unwrap();
    refused(tx.append(&[LogRow::new(4).row()]));
}

pub fn a_conflict_names_the_earlier_position(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([11, 12, 13]));
    let named = |result: crate::Result<Position>| match result {
        Err(Error::Conflict { id, position }) => (id, position.get()),
        other => panic!("no conflict: {other:?}"),
    };
    let clash: Vec<LogRow> = lines([20, 12]);
    let rows: Vec<Row<'_>> = clash.iter().map(LogRow::row).collect();
    assert_eq!(named(store.write().unwrap().append(&rows)), (id(12), 2));

    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(30).row(), LogRow::new(31).row()]).unwrap();
    assert_eq!(named(tx.append(&[LogRow::new(31).row()])), (id(31), 5), "one of its own rows");
}

pub fn a_conflict_leaves_no_trace(factory: &dyn Factory) {
    let store = factory.open();
    commit(&*store, &lines([1, 2]));
    let mut tx = store.write().unwrap();
    tx.append(&[LogRow::new(3).row()]).unwrap();
    assert!(tx.append(&[LogRow::new(4).row(), LogRow::new(1).row()]).is_err());
    drop(tx);
    let view = store.read().unwrap();
    assert_eq!(bodies(&*view), [LogRow::new(1).body, LogRow::new(2).body]);
    assert_eq!(view.position_of(id(1)).unwrap(), Some(Position::new(1)));
    assert_eq!(view.position_of(id(4)).unwrap(), None);
}

pub fn a_row_never_disappears(factory: &dyn Factory) {
    let store = factory.open();
    let mut seen: Vec<(u64, LogRow)> = Vec::new();
    for n in 1..7 {
        commit(&*store, &lines([n]));
        let now = rows_from(&*store.read().unwrap(), 0);
        assert_eq!(now[..seen.len()], seen, "a row changed after it had been seen");
        seen = now;
    }
}
