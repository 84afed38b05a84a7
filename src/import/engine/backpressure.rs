//! How far readers may run ahead of the writer.

use std::sync::{Condvar, Mutex, PoisonError};

/// Room for so many records at a time, whoever holds them.
pub(in crate::import) struct Budget {
    room: Mutex<usize>,
    freed: Condvar,
    total: usize,
}

impl Budget {
    pub const fn new(total: usize) -> Self {
        Self { room: Mutex::new(total), freed: Condvar::new(), total }
    }

    /// Waits until there is room for so many records, and takes it until the share is dropped.
    ///
    /// Something is taken for none, and never more than there is for any number.
    pub fn take(&self, records: usize) -> QueueShare<'_> {
        let records = records.clamp(1, self.total);
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = self.freed.wait_while(room, |room| *room < records).unwrap_or_else(PoisonError::into_inner);
        *room -= records;
        QueueShare { budget: self, records }
    }
}

/// Room that is taken.
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
    fn no_more_is_held_than_there_is_room_for_and_nobody_waits_for_ever() {
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
