//! Formats of other programs: ccusage, hledger, FOCUS, Parquet.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../cli_support/mod.rs"]
mod cli_support;

mod ccusage;
mod exports;
mod hledger;
