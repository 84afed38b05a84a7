//! Folds of the log: pure functions of events, their state kept beside the log and always rebuildable.

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
mod orphan_corrections;
mod series;
mod session_starts;
mod totals;
mod usage_instants;
mod varint;

pub(crate) use check::{add_stored, position_in, record_rows};
pub(crate) use corrections::{
    Effective, corrections_of, effective, exist as corrections_exist, is_void, root, uncorrected, void_of,
};
pub(crate) use describe::describe;
pub(crate) use event_index::{
    Fact, Subject, facts, facts_between, is_told_later, kind_code, latest_facts, subject_account, told_later,
};
pub(crate) use fingerprint::{FieldWeights as FingerprintWeights, Fingerprint};
#[cfg(feature = "web")]
pub(crate) use fold::positions_of_key;
pub(crate) use fold::{Fold, alias_entries, file_small, find_record, position_of_key};
#[cfg(feature = "import")]
pub(crate) use imports::{began, file_outlines, file_state};
pub(crate) use imports::{file_rows, file_states, refile};
pub(crate) use key::AccountRef;
pub(crate) use series::{DayRow, Level, Series, scan_account_day, scan_days};
pub(crate) use session_starts::{
    POLICY as FOLLOWED, first_from as next_opening, last_until as last_opening, row as opening_row,
};
pub(crate) use totals::Totals;
#[cfg(feature = "import")]
pub(crate) use usage_instants::between as uses_between;
pub(crate) use usage_instants::{first_from, last_before, row_of as use_row, sum as sum_uses};
