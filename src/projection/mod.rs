//! Folds of the log: pure functions of events, whose state is stored next to the log and can be rebuilt.

pub(crate) mod blocks;
mod check;
mod corrections;
mod day;
mod deltas;
mod describe;
mod event_index;
mod fingerprint;
mod fold;
mod imports;
mod key;
pub(crate) mod labels;
mod orphan_corrections;
pub(crate) mod past;
mod recorded;
mod series;
mod session_starts;
mod totals;
mod tree;
mod tree_nodes;
mod usage_instants;
mod varint;

pub(crate) use check::{add_stored, position_in, record_rows};
pub(crate) use corrections::{
    Effective, any as is_corrected, correction_of, corrections_exist, corrections_of, effective, is_void,
    record_before, root, uncorrected,
};
pub(crate) use describe::describe;
#[cfg(feature = "cli")]
pub(crate) use event_index::each_entry_between;
pub(crate) use event_index::{
    IndexedEvent, IndexedLine, collect_events, counted_later, each_event, each_event_between, each_line_between,
    events_latest_first, latest_event,
};
pub(crate) use fingerprint::{Fingerprint, FingerprintWeights, IdSum};
#[cfg(feature = "web")]
pub(crate) use fold::positions_of_key;
pub(crate) use fold::{Fold, alias_entries, file_small, find_record, find_record_beside, position_of_key};
#[cfg(feature = "import")]
pub(crate) use imports::{began, file_outlines, file_state};
pub(crate) use imports::{file_rows, file_states, refile};
pub(crate) use recorded::{last_recorded_until, recorded_at};
pub(crate) use series::{DayRow, KeyEnds, Level, Series, scan_account_day, scan_days};
pub(crate) use session_starts::{STORED_POLICY, last_start, next_start, start_row};
pub(crate) use totals::Totals;
#[cfg(feature = "archive")]
pub(crate) use tree::nodes_in;
pub(crate) use tree::{
    GROUP, StreamingTree, append_leaves, ends_at, group_key, group_root, leaf_at, node_in, tree_root,
};
pub(crate) use tree_nodes::{Nodes, root_at};
#[cfg(test)]
pub(crate) use usage_instants::read as read_uses;
pub(crate) use usage_instants::{first_from, last_before, sum_uses, use_row};
