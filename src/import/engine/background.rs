//! Hands that take from the writer what another thread can do as well.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Scope;

use crate::ledger::Ready;
use crate::store::Housekeeping;

/// Lots of written events that wait to be dropped.
const LOTS: usize = 2;

/// Threads that work until this is dropped, of which a run with little to do needs none.
#[derive(Default)]
pub(in crate::import) struct BackgroundThreads {
    /// Drops what is written: made by other threads, piece by piece, it is dear to drop.
    pub spent: Option<SyncSender<Vec<Ready>>>,
    tidy: Option<SyncSender<()>>,
}

impl BackgroundThreads {
    pub fn start<'s>(scope: &'s Scope<'s, '_>, housekeeping: Option<Housekeeping>) -> Self {
        let (spent, lots) = sync_channel::<Vec<Ready>>(LOTS);
        scope.spawn(move || lots.into_iter().for_each(drop));
        let tidy = housekeeping.map(|mut work| {
            let (tidy, asked) = sync_channel(1);
            scope.spawn(move || asked.into_iter().for_each(|()| work()));
            tidy
        });
        Self { spent: Some(spent), tidy }
    }

    /// Has the store put in order, unless somebody is at it or will be next.
    pub fn tidy(&self) {
        if let Some(tidy) = &self.tidy {
            let _ = tidy.try_send(());
        }
    }
}
