//! Lets one thread at a time write through a handle, in the order of their requests.
//!
//! SQLite's lock and the queue of all programs exclude other connections. This lock saves threads that share a handle
//! the system calls of that queue, and its order does not depend on the operating system.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The lock of one handle.
#[derive(Debug, Default)]
pub(super) struct WriterLock {
    tickets: Mutex<TicketQueue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TicketQueue {
    next: u64,
    serving: u64,
    /// Tickets after `serving` whose threads gave up.
    abandoned: BTreeSet<u64>,
}

impl TicketQueue {
    /// Advances to the next ticket with a waiting thread.
    fn advance(&mut self) {
        self.serving += 1;
        while self.abandoned.remove(&self.serving) {
            self.serving += 1;
        }
    }
}

impl WriterLock {
    fn tickets(&self) -> MutexGuard<'_, TicketQueue> {
        // Each change is one assignment or one insertion, so a panic cannot leave it half done.
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread writes; false after a timeout. After true, the caller must call
    /// [`release`](Self::release).
    pub fn acquire(&self, until: Instant) -> bool {
        let mut tickets = self.tickets();
        let ticket = tickets.next;
        tickets.next += 1;
        while tickets.serving != ticket {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tickets.abandoned.insert(ticket);
                return false;
            }
            tickets = self.changed.wait_timeout(tickets, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Lets the next thread write.
    pub fn release(&self) {
        self.tickets().advance();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn threads_write_in_the_order_of_their_requests() {
        let (lock, written) = (WriterLock::default(), Mutex::new(Vec::new()));
        assert!(lock.acquire(soon()));
        std::thread::scope(|scope| {
            for number in 0..16 {
                let (lock, written) = (&lock, &written);
                scope.spawn(move || {
                    assert!(lock.acquire(soon()));
                    written.lock().unwrap().push(number);
                    lock.release();
                });
                // The next thread requests the lock after this one has its ticket.
                while lock.tickets().next < number + 2 {
                    std::thread::yield_now();
                }
            }
            lock.release();
        });
        assert!(written.into_inner().unwrap().into_iter().eq(0..16));
    }

    #[test]
    fn a_thread_that_gives_up_is_skipped() {
        let lock = WriterLock::default();
        assert!(lock.acquire(soon()));
        assert!(!lock.acquire(Instant::now()));
        assert!(!lock.acquire(Instant::now()));
        lock.release();
        assert!(lock.acquire(Instant::now()));
        lock.release();
        assert!(lock.tickets().abandoned.is_empty());
    }
}
