//! Starts threads.

use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::error::{Error, Result};

/// Starts a thread of a scope. `Scope::spawn` panics where the system starts no further thread.
///
/// # Errors
/// [`Error::NoThread`].
pub(crate) fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).map_err(|source| Error::NoThread { source })
}
