//! What is shown, and what keys do to it. Nothing here draws, and nothing decides.

mod keys;
mod scene;

pub(crate) use keys::{Action, Modal, State};
pub use keys::{Entry, modal_input};
pub(crate) use scene::{Day, Scene};
