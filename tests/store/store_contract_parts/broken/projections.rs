//! Stores that break rules about projections.

use std::cell::Cell;
use std::ops::ControlFlow;

use usage_ledger::store::{GO_ON, Order, ReadView, Table, Transaction};
use usage_ledger::{Error, Result};

use super::{Flaw, KeyVisitor};

super::breakages! {
    RemovesNothing fails [a_value_is_put_replaced_and_removed tables_are_separate a_transaction_reads_the_values_it_put]
    KeepsTheFirstValue fails [a_value_is_put_replaced_and_removed a_transaction_reads_the_values_it_put
        rows_and_values_appear_together no_update_is_lost]
    TakesEmptyForNothing fails [an_empty_value_is_a_value a_scan_begins_with_its_first_key]
    HasOneTableForAll fails [tables_are_separate a_visitor_may_query_the_view]
    HasSevenBitKeys fails [every_byte_can_be_in_a_key_and_a_value a_scan_begins_with_its_first_key
        a_scan_ends_before_its_last_key a_scan_without_an_end_includes_the_last_key]
    CutsLargeValues fails [a_large_value_round_trips]
    ScansUpwardsOnly fails [a_scan_can_ascend_and_descend]
    ScansInNoOrder fails [a_scan_can_ascend_and_descend]
    ScanLeavesOutItsFirstKey fails [a_scan_begins_with_its_first_key a_visitor_may_query_the_view]
    ScanIncludesItsEnd fails [a_scan_ends_before_its_last_key]
    ScanNeedsAnEnd fails [a_value_is_put_replaced_and_removed an_empty_value_is_a_value tables_are_separate
        every_byte_can_be_in_a_key_and_a_value a_scan_without_an_end_includes_the_last_key a_scan_stops_when_the_visitor_breaks
        a_scan_returns_the_error_of_its_visitor a_transaction_reads_the_values_it_put a_dropped_transaction_leaves_no_values
        a_snapshot_stays_as_it_is]
    ScanStopsTooEarly fails [a_scan_without_an_end_includes_the_last_key every_byte_can_be_in_a_key_and_a_value]
    ScanDoesNotStop fails [a_scan_stops_when_the_visitor_breaks]
    ScanSwallowsErrors fails [a_scan_returns_the_error_of_its_visitor]
    ScanGoesOnAfterAnError fails [a_scan_returns_the_error_of_its_visitor]
    CannotBeReadInAVisitor fails [a_visitor_may_query_the_view]
}

#[derive(Default)]
struct RemovesNothing;

impl Flaw for RemovesNothing {
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if value.is_none() && table != Table::EventIndex { Ok(()) } else { tx.put(table, key, value) }
    }
}

/// `INSERT OR IGNORE`.
#[derive(Default)]
struct KeepsTheFirstValue;

impl Flaw for KeepsTheFirstValue {
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if value.is_some() && tx.get(table, key)?.is_some() { Ok(()) } else { tx.put(table, key, value) }
    }
}

/// A database that cannot distinguish the empty string from NULL.
#[derive(Default)]
struct TakesEmptyForNothing;

impl Flaw for TakesEmptyForNothing {
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        tx.put(table, key, value.filter(|bytes| !bytes.is_empty()))
    }
}

#[derive(Default)]
struct HasOneTableForAll;

impl Flaw for HasOneTableForAll {
    fn put(&self, tx: &mut dyn Transaction, _: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        tx.put(Table::EventIndex, key, value)
    }
    fn get(&self, view: &dyn ReadView, _: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        view.get(Table::EventIndex, key)
    }
    fn scan(
        &self,
        view: &dyn ReadView,
        _: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: KeyVisitor<'_>,
    ) -> Result<()> {
        view.scan(Table::EventIndex, from, to, order, visit)
    }
}

#[derive(Default)]
struct HasSevenBitKeys;

impl Flaw for HasSevenBitKeys {
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let cut: Vec<u8> = key.iter().map(|byte| byte & 0x7f).collect();
        // Rules whose values repeat their keys should detect this flaw only where keys collide.
        tx.put(table, &cut, value.map(|value| if value == key { &cut } else { value }))
    }
}

#[derive(Default)]
struct CutsLargeValues;

impl Flaw for CutsLargeValues {
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        tx.put(table, key, value.map(|bytes| &bytes[..bytes.len().min(0xf_ffff)]))
    }
}

/// Scans with a changed range, order or visits.
macro_rules! scans {
    ($($(#[$doc:meta])* $flaw:ident: $scan:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        struct $flaw;

        impl Flaw for $flaw {
            fn scan(
                &self,
                view: &dyn ReadView,
                table: Table,
                from: &[u8],
                to: &[u8],
                order: Order,
                visit: KeyVisitor<'_>,
            ) -> Result<()> {
                let scan: fn(Scan<'_>, KeyVisitor<'_>) -> Result<()> = $scan;
                scan(Scan { view, table, from, to, order }, visit)
            }
        }
    )*};
}

#[derive(Clone, Copy)]
struct Scan<'a> {
    view: &'a dyn ReadView,
    table: Table,
    from: &'a [u8],
    to: &'a [u8],
    order: Order,
}

impl Scan<'_> {
    fn run(self, visit: KeyVisitor<'_>) -> Result<()> {
        self.view.scan(self.table, self.from, self.to, self.order, visit)
    }
}

scans! {
    ScansUpwardsOnly: |scan, visit| Scan { order: Order::Ascending, ..scan }.run(visit);
    /// A hash table.
    ScansInNoOrder: |scan, visit| {
        let mut pairs = Vec::new();
        scan.run(&mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            GO_ON
        })?;
        if pairs.len() > 6 {
            pairs.swap(1, 4);
        }
        for (key, value) in pairs {
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    };
    ScanLeavesOutItsFirstKey: |scan, visit| scan.run(&mut |key, value| {
        if key == scan.from && !key.is_empty() { GO_ON } else { visit(key, value) }
    });
    ScanIncludesItsEnd: |scan, visit| {
        let end = [scan.to, &[0]].concat();
        let to = if scan.to.is_empty() { scan.to } else { end.as_slice() };
        Scan { to, ..scan }.run(visit)
    };
    /// `key < ''` is never true.
    ScanNeedsAnEnd: |scan, visit| if scan.to.is_empty() { Ok(()) } else { scan.run(visit) };
    /// An open end as a key: `key < x'ff'`.
    ScanStopsTooEarly: |scan, visit| Scan { to: if scan.to.is_empty() { b"\xff" } else { scan.to }, ..scan }.run(visit);
    ScanDoesNotStop: |scan, visit| scan.run(&mut |key, value| {
        let _ = visit(key, value)?;
        GO_ON
    });
    ScanSwallowsErrors: |scan, visit| scan.run(&mut |key, value| {
        visit(key, value).or(Ok(ControlFlow::Break(())))
    });
    ScanGoesOnAfterAnError: |scan, visit| {
        let mut failed = Ok(());
        scan.run(&mut |key, value| match visit(key, value) {
            Ok(flow) => Ok(flow),
            Err(error) => {
                failed = Err(error);
                GO_ON
            }
        })?;
        failed
    };
    /// One cursor per connection.
    CannotBeReadInAVisitor: |scan, visit| {
        thread_local!(static BUSY: Cell<bool> = const { Cell::new(false) });
        if BUSY.replace(true) {
            return Err(Error::Invalid { what: "a scan is under way".into() });
        }
        let done = scan.run(visit);
        BUSY.set(false);
        done
    };
}
