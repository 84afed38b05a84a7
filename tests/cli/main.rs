//! The command, as a user runs it.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../cli_support/mod.rs"]
mod cli_support;

mod alert;
mod allocate;
mod api;
#[cfg(feature = "archive")]
mod archive;
mod backup;
mod bad_input;
mod complete_prices;
mod config;
mod corrections;
#[cfg(unix)]
mod documentation;
mod exit_codes;
mod file_identity;
mod follow;
mod forecast;
mod foreign_text;
mod gate;
mod gate_accounts;
mod import;
mod install;
mod interfaces;
mod koan;
mod koan_counters;
#[cfg(unix)]
mod ledger_as_input;
mod log;
#[cfg(feature = "mcp")]
mod mcp;
mod money;
mod overview;
mod people;
mod poison;
mod proof;
mod quota;
#[cfg(unix)]
mod read_only;
mod reconcile;
mod record;
mod report;
mod rpc;
mod scan_output;
mod serve;
mod sql;
mod status;
mod statusline;
mod watch;
mod watch_on_terminal;
mod web_page;
