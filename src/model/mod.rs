//! Pure types without I/O: events, providers, tokens, windows, times and errors.

pub(crate) mod error;
pub mod event;
pub mod humanize;
pub(crate) mod invariant;
pub mod provider;
pub(crate) mod secrets;
pub(crate) mod serde_skip;
pub(crate) mod spreadsheet;
pub(crate) mod threads;
pub mod time;
pub(crate) mod tokens;
pub(crate) mod window;
