//! `usage-ledger watch`: the status as a live dashboard.
//!
//! It shows the result of [`Snapshot::status`] and decides nothing. Each action of a user is an event.

mod account;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod as_text;
mod days;
mod draw;
mod modal;
mod model;
mod run;
mod tail;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod timeline;
mod windows;

pub(crate) use model::{Action, ViewModel};
#[cfg(any(test, feature = "internals"))]
pub use model::{KeyEntry, modal_input};
pub(crate) use run::{Backend, run};
pub(crate) use theme::Theme;
