//! The state of the dashboard, and the effect of keys. Nothing here draws or decides.

mod keys;
mod view_model;

pub(crate) use keys::{Action, Modal, ScreenState};
#[cfg(any(test, feature = "internals"))]
pub use keys::{KeyEntry, modal_input};
pub(crate) use view_model::{DayUse, HOUR_USE, ViewModel};
