//! The `usage-ledger` command: parse, validate, act.
//!
//! What the command line means is decided below this floor; here answers are given a form.

pub(crate) mod audit;
pub(crate) mod backup;
mod call;
pub(crate) mod checkpoint;
pub(crate) mod context;
pub(crate) mod correct;
pub(crate) mod csv;
pub(crate) mod doctor;
pub(crate) mod doctor_events;
pub(crate) mod doctor_logs;
pub(crate) mod export;
pub(crate) mod fields;
pub(crate) mod gate;
pub(crate) mod grid;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod key_file;
pub(crate) mod limit;
pub(crate) mod lines;
pub(crate) mod log;
pub(crate) mod override_usage;
pub(crate) mod overview;
pub(crate) mod pause;
pub(crate) mod pretty;
pub(crate) mod price;
pub(crate) mod probe;
pub(crate) mod prove;
pub(crate) mod prove_check;
pub(crate) mod provider;
pub(crate) mod quota;
pub(crate) mod quota_page;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod report_filters;
pub(crate) mod report_rows;
pub(crate) mod reserve;
pub(crate) mod scan_output;
pub(crate) mod seal;
pub(crate) mod show;
pub(crate) mod shred;
pub(crate) mod status;
pub(crate) mod statusline;
pub(crate) mod switch;
pub(crate) mod target;
