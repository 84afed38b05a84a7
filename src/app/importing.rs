//! Imports new calls while a surface runs.

use std::time::{Duration, Instant};

use crate::cli::context::Context;
use crate::cli::import;
use crate::model::error::Error;
use crate::model::threads::Stop;
use crate::present::failure::Failure;

/// How long a ledger may be busy before that is a failure. The next import tries again before.
const BUSY: Duration = Duration::from_secs(60);

/// Imports new calls at every interval until the surface ends. `report` receives why an import failed, or `None`.
pub(super) fn keep_importing(
    context: &Context,
    interval: Duration,
    stop: &Stop,
    mut report: impl FnMut(Option<String>),
) {
    let mut busy_since = None;
    loop {
        let failure = import::quietly(context, stop).err();
        if !matches!(failure, Some(Failure::Ledger(Error::Busy { .. }))) {
            busy_since = None;
            report(failure.and_then(|failure| failure.message()));
        } else if busy_since.get_or_insert_with(Instant::now).elapsed() >= BUSY {
            report(failure.and_then(|failure| failure.message()));
        }
        if stop.wait(interval) {
            return;
        }
    }
}
