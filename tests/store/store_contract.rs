//! Checks every rule against every store, and against stores that break it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "store_contract_parts/mod.rs"]
mod conformance;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use conformance::{Memory, Sqlite, broken};
use usage_ledger::store::conformance::{Factory, Rule, rules};

fn check(name: &str, factory: &dyn Factory) {
    rules().iter().find(|rule| rule.name() == name).expect("the rule is in the suite").check(factory);
}

/// Makes the list of rules, and a test of each rule on each store.
macro_rules! conformance {
    ($($rule:ident)*) => {
        /// The rules with a test of their name.
        const TESTED: &[&str] = &[$(stringify!($rule)),*];

        mod memory {
            $(#[test] fn $rule() { super::check(stringify!($rule), &super::Memory::default()); })*
        }
        mod sqlite {
            $(#[test] fn $rule() { super::check(stringify!($rule), &super::Sqlite::default()); })*
        }
    };
}

conformance! {
    an_empty_ledger_has_no_head
    positions_have_no_gaps
    rows_are_in_the_order_of_commits
    a_rolled_back_append_uses_up_no_position
    rows_are_read_from_a_given_position
    a_row_round_trips_with_all_its_columns
    the_bytes_of_a_body_round_trip
    a_large_body_round_trips
    the_head_is_the_last_row
    an_id_finds_its_position
    an_id_is_unique_in_the_log
    a_conflict_names_the_earlier_position
    a_conflict_leaves_no_trace
    a_row_never_disappears
    a_tombstone_replaces_a_body
    a_snapshot_keeps_the_shredded_body
    a_missing_position_cannot_be_shredded
    a_dropped_transaction_shreds_nothing
    a_value_is_put_replaced_and_removed
    an_empty_value_is_a_value
    tables_are_separate
    every_byte_can_be_in_a_key_and_a_value
    a_large_value_round_trips
    a_scan_can_ascend_and_descend
    a_scan_begins_with_its_first_key
    a_scan_ends_before_its_last_key
    a_scan_without_an_end_includes_the_last_key
    a_scan_stops_when_the_visitor_breaks
    a_scan_returns_the_error_of_its_visitor
    a_visitor_may_query_the_view
    a_transaction_reads_the_rows_it_wrote
    a_transaction_reads_the_values_it_put
    a_dropped_transaction_leaves_no_rows
    a_dropped_transaction_leaves_no_values
    no_write_is_visible_before_the_commit
    a_commit_is_visible_to_every_handle
    a_snapshot_stays_as_it_is
    a_commit_outlives_every_handle
    no_update_is_lost
    rows_and_values_appear_together
    a_follower_misses_nothing
}

thread_local! {
    /// Whether the test expects a panic on this thread.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// The names of the rules that a broken store fails.
fn failed_by(breakage: &broken::Breakage) -> BTreeSet<&'static str> {
    EXPECTED.set(true);
    let fails = |rule: &&Rule| catch_unwind(AssertUnwindSafe(|| rule.check(&breakage.factory()))).is_err();
    let failed = rules().iter().filter(fails).map(|rule| rule.name()).collect();
    EXPECTED.set(false);
    failed
}

#[test]
fn each_broken_store_fails_the_rules_it_breaks_and_no_others() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !EXPECTED.get() {
            report(panic);
        }
    }));
    let stores: Vec<_> = broken::all().collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        // More threads than cores, because they mostly wait.
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(breakage) = stores.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let failed = failed_by(breakage);
                    let named: BTreeSet<&str> = breakage.fails.iter().copied().collect();
                    if failed != named {
                        let (passes, fails) = (named.difference(&failed), failed.difference(&named));
                        let (passes, fails): (Vec<_>, Vec<_>) = (passes.collect(), fails.collect());
                        wrong.lock().unwrap().push(format!("{} passes {passes:?}, fails {fails:?}", breakage.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "otherwise than named:\n{}", wrong.join("\n"));
}

#[test]
fn each_rule_of_the_suite_has_a_test() {
    assert!(rules().iter().map(Rule::name).eq(TESTED.iter().copied()));
}

#[test]
fn each_rule_is_failed_by_a_broken_store() {
    let caught: BTreeSet<&str> = broken::all().flat_map(|breakage| breakage.fails).copied().collect();
    let idle: Vec<&str> = rules().iter().map(|rule| rule.name()).filter(|name| !caught.contains(name)).collect();
    assert!(idle.is_empty(), "no store breaks {idle:?}");
    let unknown: Vec<&&str> = caught.iter().filter(|name| rules().iter().all(|rule| rule.name() != **name)).collect();
    assert!(unknown.is_empty(), "no such rule: {unknown:?}");
}
