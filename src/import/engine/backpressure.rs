//! Limits how far readers may run ahead of the writer.

use std::sync::{Condvar, Mutex, PoisonError};

/// A number of records that may be in memory at once, over all threads.
pub(in crate::import) struct Budget {
    room: Mutex<usize>,
    freed: Condvar,
    total: usize,
}

impl Budget {
    pub const fn new(total: usize) -> Self {
        Self { room: Mutex::new(total), freed: Condvar::new(), total }
    }

    /// Waits until there is capacity for `records`, and reserves it until the share is dropped.
    ///
    /// A request for 0 reserves 1. A request above the total reserves the total, so it cannot wait for ever.
    pub fn take(&self, records: usize) -> QueueShare<'_> {
        let records = records.clamp(1, self.total);
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = self.freed.wait_while(room, |room| *room < records).unwrap_or_else(PoisonError::into_inner);
        *room -= records;
        QueueShare { budget: self, records }
    }
}

/// Reserved capacity.
pub(in crate::import) struct QueueShare<'b> {
    budget: &'b Budget,
    records: usize,
}

impl Drop for QueueShare<'_> {
    fn drop(&mut self) {
        *self.budget.room.lock().unwrap_or_else(PoisonError::into_inner) += self.records;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn memory_is_bounded_and_no_thread_waits_for_ever() {
        let (budget, held, most) = (Budget::new(10), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (budget, held, most) = (&budget, &held, &most);
                scope.spawn(move || {
                    for records in 0..200 {
                        let share = budget.take((records * 7 + thread) % 25);
                        let now = held.fetch_add(share.records, Ordering::SeqCst) + share.records;
                        most.fetch_max(now, Ordering::SeqCst);
                        held.fetch_sub(share.records, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
    }
}
