//! Background threads that free imported batches and run store housekeeping, so the writer thread waits for neither.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Scope;

use crate::ledger::PreparedEvent;
use crate::model::error::Result;
use crate::model::threads::start;
use crate::store::Housekeeping;

/// Number of written batches that may wait to be freed.
const QUEUED: usize = 2;

/// Threads that run until this value is dropped. A small run starts none.
#[derive(Default)]
pub(in crate::import) struct BackgroundThreads {
    /// Receives written batches. Freeing them is slow because other threads allocated them in many small pieces.
    pub written: Option<SyncSender<Vec<PreparedEvent>>>,
    tidy: Option<SyncSender<()>>,
}

impl BackgroundThreads {
    pub fn start<'s>(scope: &'s Scope<'s, '_>, housekeeping: Option<Housekeeping>) -> Result<Self> {
        let (written, batches) = sync_channel::<Vec<PreparedEvent>>(QUEUED);
        start(scope, move || batches.into_iter().for_each(drop))?;
        let tidy = match housekeeping {
            Some(mut work) => {
                let (tidy, asked) = sync_channel(1);
                start(scope, move || asked.into_iter().for_each(|()| work()))?;
                Some(tidy)
            }
            None => None,
        };
        Ok(Self { written: Some(written), tidy })
    }

    /// Requests housekeeping of the store, unless a request is already waiting.
    pub fn tidy(&self) {
        if let Some(tidy) = &self.tidy {
            let _ = tidy.try_send(());
        }
    }
}
