//! The commands: each parses its options, runs an operation and prints the answer.
//!
//! Lower layers decide; this layer formats.

mod agent_files;
pub(crate) mod alert;
pub(crate) mod alert_delivery;
pub(crate) mod allocate;
pub(crate) mod amend_void;
#[cfg(feature = "archive")]
pub(crate) mod archive;
pub(crate) mod backup;
mod call_args;
pub(crate) mod checkpoint;
pub(crate) mod complete;
pub(crate) mod config;
pub(crate) mod config_file;
pub(crate) mod context;
pub(crate) mod csv;
pub(crate) mod doctor;
pub(crate) mod doctor_logs;
mod doctor_self_check;
pub(crate) mod event_ref;
pub(crate) mod export;
#[cfg(feature = "web")]
pub(crate) mod fleet;
pub(crate) mod gate;
mod gate_from;
pub(crate) mod hook;
pub(crate) mod import;
mod import_preview;
mod import_summary;
pub(crate) mod input_lines;
pub(crate) mod install;
pub(crate) mod json_indent;
mod json_rpc;
pub(crate) mod key;
pub(crate) mod key_file;
pub(crate) mod limit;
mod limit_show;
pub(crate) mod log;
mod markdown;
pub(crate) mod override_usage;
pub(crate) mod overview;
pub(crate) mod pause;
mod plans;
pub(crate) mod price;
pub(crate) mod probe;
pub(crate) mod prove;
pub(crate) mod prove_check;
pub(crate) mod prove_total;
pub(crate) mod provider;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod quota;
pub(crate) mod quota_page;
pub(crate) mod reconcile;
pub(crate) mod record;
pub(crate) mod record_flags;
pub(crate) mod report;
pub(crate) mod report_table;
pub(crate) mod reserve;
pub(crate) mod rpc;
pub(crate) mod scan_output;
pub(crate) mod seal;
mod server_ledger;
mod server_request;
#[cfg(feature = "postgres")]
pub(crate) mod shards;
mod short_names;
pub(crate) mod show;
pub(crate) mod shred;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod statusline;
mod statusline_session;
pub(crate) mod switch;
pub(crate) mod verify;
pub(crate) mod witness;
