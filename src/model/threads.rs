//! Starts threads, and asks them to end.

#[cfg(feature = "import")]
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};
#[cfg(feature = "cli")]
use std::time::Duration;

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

/// A request to end. Long work looks at it between steps that may not be interrupted.
#[cfg(feature = "import")]
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_requested: Mutex<bool>,
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "only a surface waits"))]
    requested: Condvar,
}

#[cfg(feature = "import")]
impl Stop {
    /// Asks for the end.
    #[cfg(any(feature = "tui", feature = "web"))]
    pub fn request(&self) {
        *self.state() = true;
        self.requested.notify_all();
    }

    /// Returns whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        *self.state()
    }

    /// Waits this long, or until the end is asked for. Returns whether it was.
    #[cfg(feature = "cli")]
    pub fn wait(&self, most: Duration) -> bool {
        let waited = self.requested.wait_timeout_while(self.state(), most, |is_requested| !*is_requested);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn state(&self) -> MutexGuard<'_, bool> {
        self.is_requested.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
