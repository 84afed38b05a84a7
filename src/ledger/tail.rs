//! Follows a ledger: returns its events as they are appended.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Ledger;
use crate::model::error::Result;
use crate::model::event::{Event, Position};
use crate::store::{GO_ON, STOP};

/// Events per read.
const BATCH: usize = 256;
/// How often the ledger is polled for events of other handles and programs.
const POLL: Duration = Duration::from_millis(100);

/// Wakes the followers of a ledger.
#[derive(Debug, Default)]
pub(super) struct CommitSignal {
    commits: Mutex<u64>,
    changed: Condvar,
}

impl CommitSignal {
    /// Signals that a clone of the handle committed, or that a follower was stopped.
    pub fn notify(&self) {
        *self.commits.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    fn commits(&self) -> u64 {
        *self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a commit after the `seen` ones, with a timeout.
    fn wait(&self, seen: u64, most: Duration) {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.changed.wait_timeout_while(commits, most, |commits| *commits == seen);
    }
}

/// The events of a ledger from a position on, including later ones: [`Ledger::tail`].
///
/// As an iterator it waits for the next event. It ends after an error and when it is [stopped](Tail::stopper).
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let tail = ledger.tail(1);
/// let stopper = tail.stopper();
/// let follower = std::thread::spawn(move || tail.map(|event| event.map(|(at, _)| at.get())).collect::<Result<Vec<_>, _>>());
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// ledger.switch_provider("ollama", "rate limited", now)?;
/// stopper.stop(); // what is appended by now is still given
/// assert_eq!(follower.join().expect("it does not panic")?, [1, 2]);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Debug)]
pub struct Tail {
    ledger: Ledger,
    next: Position,
    ready: VecDeque<(Position, Event)>,
    stopper: TailStopper,
    is_over: bool,
}

/// Stops a [`Tail`] from another thread.
///
/// ```
/// # use usage_ledger::Ledger;
/// let mut tail = Ledger::in_memory()?.tail(1);
/// tail.stopper().stop();
/// assert!(tail.next().is_none());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TailStopper {
    is_stopped: Arc<AtomicBool>,
    signal: Arc<CommitSignal>,
}

impl TailStopper {
    /// Ends the iterator after the events that are already appended.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// let tail = Ledger::in_memory()?.tail(1);
    /// tail.stopper().stop();
    /// assert_eq!(tail.count(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.signal.notify();
    }
}

impl Ledger {
    /// Follows the ledger from a position on: existing events, and those that are appended later.
    ///
    /// A commit through a clone of this handle wakes the iterator at once. Commits of other handles and programs are
    /// noticed within 100 ms. No snapshot is open during the wait. A position beyond the head is waited for.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, event::Payload};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(7), now)?;
    /// let mut tail = ledger.tail(1);
    /// let Some((position, event)) = tail.try_next()? else { panic!("it is there") };
    /// let Payload::TokensRecorded(record) = event.payload else { panic!("it is a record") };
    /// assert_eq!((position.get(), record.tokens.input), (1, Some(7)));
    /// assert!(tail.try_next()?.is_none()); // nothing yet
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn tail(&self, from: impl Into<Position>) -> Tail {
        let signal = Arc::clone(&self.shared.signal);
        Tail {
            ledger: self.clone(),
            next: from.into().max(Position::START.next()),
            ready: VecDeque::new(),
            stopper: TailStopper { is_stopped: Arc::default(), signal },
            is_over: false,
        }
    }
}

impl Tail {
    /// The next event if it exists, without waiting.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::UnknownEvent`](crate::Error::UnknownEvent) for an
    /// unreadable line, and the store's own errors. The next call tries the same event again.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// assert!(Ledger::in_memory()?.tail(1).try_next()?.is_none());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn try_next(&mut self) -> Result<Option<(Position, Event)>> {
        if self.ready.is_empty() {
            self.read()?;
        }
        Ok(self.ready.pop_front())
    }

    /// The next event; `None` after a timeout.
    ///
    /// # Errors
    /// As for [`try_next`](Self::try_next).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use usage_ledger::Ledger;
    /// assert!(Ledger::in_memory()?.tail(1).next_within(Duration::from_millis(5))?.is_none());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn next_within(&mut self, time: Duration) -> Result<Option<(Position, Event)>> {
        let end = Instant::now().checked_add(time);
        loop {
            // The wait below notices a stop or a commit after this.
            let seen = self.stopper.signal.commits();
            let is_stopped = self.stopper.is_stopped.load(Ordering::Acquire);
            if let Some(event) = self.try_next()? {
                return Ok(Some(event));
            }
            let left = end.map_or(POLL, |end| end.saturating_duration_since(Instant::now()));
            if is_stopped || left.is_zero() {
                return Ok(None);
            }
            self.stopper.signal.wait(seen, left.min(POLL));
        }
    }

    /// A handle that stops this iterator from another thread.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// let tail = Ledger::in_memory()?.tail(1);
    /// let stopper = tail.stopper();
    /// std::thread::spawn(move || stopper.stop());
    /// assert_eq!(tail.count(), 0); // it waits for the stop
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn stopper(&self) -> TailStopper {
        self.stopper.clone()
    }

    /// Reads existing events. The error of an unreadable event is returned after the events before it.
    fn read(&mut self) -> Result<()> {
        let snapshot = self.ledger.snapshot()?;
        let (ready, next) = (&mut self.ready, &mut self.next);
        let read = snapshot.view().rows(*next, &mut |position, row| {
            ready.push_back((position, Event::from_line(position, row.body)?));
            *next = position.next();
            if ready.len() == BATCH { STOP } else { GO_ON }
        });
        if ready.is_empty() { read } else { Ok(()) }
    }
}

impl Iterator for Tail {
    type Item = Result<(Position, Event)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_within(Duration::MAX).transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
