//! The conformance suite of stores: each promise of [`EventStore`] is a rule that any store can be checked against.
//!
//! A rule panics if a store breaks it. Make each rule a test of your store, so that a failure names the rule:
//!
//! ```
//! use usage_ledger::store::conformance::{self, Factory};
//! use usage_ledger::store::{EventStore, MemoryStore};
//!
//! /// An empty ledger, to which each call opens another handle.
//! #[derive(Default)]
//! struct Memory(MemoryStore);
//!
//! impl Factory for Memory {
//!     fn open(&self) -> Box<dyn EventStore> {
//!         Box::new(self.0.clone())
//!     }
//! }
//!
//! let rule = conformance::rules().iter().find(|rule| rule.name() == "no_update_is_lost").expect("it is there");
//! rule.check(&Memory::default());
//! ```

// Rules fail like tests: they panic with the expectation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod rules;
#[doc(hidden)] // used by the rules, and by this crate's tests of broken stores
pub mod support;

use super::EventStore;

/// One empty ledger, to which rules open any number of handles.
///
/// ```
/// use usage_ledger::store::{EventStore, SqliteStore, conformance::Factory};
/// struct InFile(tempfile::TempDir);
/// impl Factory for InFile {
///     fn open(&self) -> Box<dyn EventStore> {
///         Box::new(SqliteStore::open(&self.0.path().join("usage.db")).expect("it opens"))
///     }
/// }
/// # let dir = InFile(tempfile::tempdir()?);
/// assert_eq!(dir.open().read()?.head()?.position.get(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Factory: Sync {
    /// Another handle to the same ledger.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, conformance::Factory};
    /// # struct Memory(MemoryStore);
    /// impl Factory for Memory {
    ///     fn open(&self) -> Box<dyn EventStore> {
    ///         Box::new(self.0.clone())
    ///     }
    /// }
    /// ```
    fn open(&self) -> Box<dyn EventStore>;
}

/// A promise that every store keeps.
///
/// ```
/// use usage_ledger::store::conformance::rules;
/// assert!(rules().iter().any(|rule| rule.name() == "positions_have_no_gaps"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    name: &'static str,
    check: fn(&dyn Factory),
}

impl Rule {
    /// The name of the rule, for use as the name of a test.
    ///
    /// ```
    /// # use usage_ledger::store::conformance::rules;
    /// assert!(rules().iter().all(|rule| !rule.name().is_empty()));
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks a store, which must be empty.
    ///
    /// # Panics
    /// If the store breaks the rule.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, conformance::{Factory, rules}};
    /// # struct Memory(MemoryStore);
    /// # impl Factory for Memory {
    /// #     fn open(&self) -> Box<dyn EventStore> {
    /// #         Box::new(self.0.clone())
    /// #     }
    /// # }
    /// rules()[0].check(&Memory(MemoryStore::new()));
    /// ```
    pub fn check(&self, factory: &dyn Factory) {
        (self.check)(factory);
    }
}

macro_rules! rules {
    ($($rule:ident)*) => {
        const RULES: &[Rule] = &[$(Rule { name: stringify!($rule), check: rules::$rule }),*];
    };
}

rules! {
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

/// All rules.
///
/// ```
/// use usage_ledger::store::conformance::rules;
/// assert!(rules().len() > 40);
/// ```
pub const fn rules() -> &'static [Rule] {
    RULES
}
