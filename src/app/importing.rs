//! Imports new calls while a surface runs.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::import;

/// Imports new calls at every interval until the surface ends. `report` receives why an import failed, or `None`.
pub(super) fn keep_importing(
    context: &Context,
    interval: Duration,
    stopped: &Receiver<()>,
    mut report: impl FnMut(Option<String>),
) {
    loop {
        report(import::quietly(context).err().and_then(|failure| failure.message()));
        if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
