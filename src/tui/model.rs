//! What is shown, and what keys do to it. Nothing here draws, and nothing decides.

mod keys;
mod view_model;

pub(crate) use keys::{Action, Modal, ScreenState};
pub use keys::{KeyEntry, modal_input};
pub(crate) use view_model::{DayUse, ViewModel};
