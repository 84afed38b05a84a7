//! Appends of several threads in one transaction.
//!
//! A commit waits for the disk, or for a server. While one thread commits, the appends of the others wait in a queue; the
//! first of them then writes all of them in one transaction, in the order of their arrival. Each gets its own result. An
//! append that is refused changes nothing; if it had already changed something, each append of the group is repeated in a
//! transaction of its own.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::append::{Appender, expect_plausible};
use super::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::NewEvent;
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::store::Transaction;

/// Events of an append that may share a transaction. A larger one has a transaction of its own.
pub(super) const SMALL: usize = 64;
/// Appends in one transaction.
const MOST: usize = 256;

/// A message to a waiting thread.
enum AppendMessage {
    /// It writes the next group. Its own append is the first in the queue.
    Lead,
    Done(Result<Vec<Outcome>>),
}

struct QueuedAppend {
    events: Vec<NewEvent>,
    now: Timestamp,
    since: Instant,
    answer: Sender<AppendMessage>,
}

impl QueuedAppend {
    fn answer(self, done: Result<Vec<Outcome>>) {
        // The thread waits for the answer, unless it panicked.
        let _ = self.answer.send(AppendMessage::Done(done));
    }

    fn push(&self, appender: &mut Appender<'_>) -> Result<Vec<Outcome>> {
        appender.push_at(self.now, self.events.clone())
    }
}

/// The appends that wait, in the order of their arrival.
#[derive(Default)]
pub(super) struct AppendQueue(Mutex<QueueState>);

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<QueuedAppend>,
    has_leader: bool,
}

impl AppendQueue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        // Each change is one push, pop or assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an append. Returns whether its thread leads now, and where its messages arrive.
    fn add(&self, events: Vec<NewEvent>, now: Timestamp) -> (bool, Receiver<AppendMessage>) {
        let (answer, messages) = channel();
        let mut state = self.state();
        state.waiting.push_back(QueuedAppend { events, now, since: Instant::now(), answer });
        let leads = !std::mem::replace(&mut state.has_leader, true);
        (leads, messages)
    }

    /// Takes the first waiting appends, at most so many.
    fn take(&self, most: usize) -> Vec<QueuedAppend> {
        let mut state = self.state();
        let count = most.min(state.waiting.len());
        state.waiting.drain(..count).collect()
    }

    /// Takes the first append, and further ones that have waited for this long.
    fn take_late(&self, patience: Duration) -> Vec<QueuedAppend> {
        let mut late: Vec<QueuedAppend> = self.take(1);
        let mut state = self.state();
        while state.waiting.front().is_some_and(|one| one.since.elapsed() >= patience) {
            late.extend(state.waiting.pop_front());
        }
        late
    }
}

/// Passes the lead to the first waiting thread when it is dropped, also after a panic.
struct GroupLead<'q>(&'q AppendQueue);

impl Drop for GroupLead<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        while let Some(next) = state.waiting.front() {
            if next.answer.send(AppendMessage::Lead).is_ok() {
                return;
            }
            state.waiting.pop_front(); // its thread is gone
        }
        state.has_leader = false;
    }
}

impl Ledger {
    /// Appends a few events, in a transaction that other threads may share.
    pub(super) fn append_small(&self, events: Vec<NewEvent>, now: Timestamp) -> Result<Vec<Outcome>> {
        expect_plausible(now)?;
        let queue = &self.shared.appends;
        let (mut leads, messages) = queue.add(events, now);
        loop {
            if leads {
                let _lead = GroupLead(queue);
                self.write_group();
            }
            match messages.recv() {
                Ok(AppendMessage::Lead) => leads = true,
                Ok(AppendMessage::Done(done)) => return done,
                Err(_) => return Err(bug!("the thread that wrote this append ended before it answered")),
            }
        }
    }

    /// Writes the appends that wait in one transaction. The first is that of this thread.
    fn write_group(&self) {
        let queue = &self.shared.appends;
        let tx = match self.store().write() {
            Ok(tx) => tx,
            // Others that have waited for as long as the store waits do not wait again.
            Err(Error::Busy { seconds }) => {
                let late = queue.take_late(Duration::from_secs(seconds));
                return late.into_iter().for_each(|one| one.answer(Err(Error::Busy { seconds })));
            }
            Err(error) => return answer_first(queue.take(1), error),
        };
        // Appends that arrived while this thread waited for the lock are written too.
        let mut group = queue.take(MOST);
        let mut results = Vec::new();
        let written = self.push_group(tx, &mut group, &mut results);
        let appender = match written {
            Ok(appender) => appender,
            Err(error) if group.len() == 1 => return answer_first(group, error),
            Err(_) => {
                return group.into_iter().for_each(|one| {
                    let done = self.transact(one.now, |appender| one.push(appender));
                    one.answer(done);
                });
            }
        };
        let committed = appender.commit();
        if committed.is_ok() {
            self.shared.signal.notify();
        }
        match committed {
            Err(error) if group.len() == 1 => answer_first(group, error),
            committed => {
                for (one, result) in group.into_iter().zip(results) {
                    // A refusal may name an event of this transaction, so it holds only after the commit.
                    one.answer(committed.as_ref().map_err(shared).and(result));
                }
            }
        }
    }

    /// Writes a group to the transaction, and appends that arrive meanwhile.
    fn push_group<'t>(
        &'t self,
        tx: Box<dyn Transaction + 't>,
        group: &mut Vec<QueuedAppend>,
        results: &mut Vec<Result<Vec<Outcome>>>,
    ) -> Result<Appender<'t>> {
        // The clock of an append that is refused must not date the others.
        let now = group.iter().map(|one| one.now).min().ok_or_else(|| bug!("a group without an append"))?;
        let mut appender = Appender::new(tx, now, &self.shared.ids)?;
        while let Some(new) = group.get(results.len()..).filter(|new| !new.is_empty()) {
            let events: Vec<&NewEvent> = new.iter().flat_map(|one| &one.events).collect();
            appender.look_up_all(&events)?;
            for one in new {
                results.push(push_apart(&mut appender, one)?);
            }
            group.extend(self.shared.appends.take(MOST.saturating_sub(group.len())));
        }
        appender.finish()?;
        Ok(appender)
    }
}

fn answer_first(one: Vec<QueuedAppend>, error: Error) {
    if let Some(first) = one.into_iter().next() {
        first.answer(Err(error));
    }
}

/// Adds an append to the transaction. A refusal that changed nothing is its own result; any other failure is that of the
/// transaction.
fn push_apart(appender: &mut Appender<'_>, one: &QueuedAppend) -> Result<Result<Vec<Outcome>>> {
    let before = appender.size();
    match one.push(appender) {
        Err(error) if error.is_store() || appender.size() != before => Err(error),
        result => Ok(result),
    }
}

/// The same error for another thread.
fn shared(error: &Error) -> Error {
    match error {
        Error::Busy { seconds } => Error::Busy { seconds: *seconds },
        Error::DiskFull => Error::DiskFull,
        Error::Replaced { path, what } => Error::Replaced { path: path.clone(), what: what.clone() },
        Error::ReadOnly { path, why } => Error::ReadOnly { path: path.clone(), why: why.clone() },
        Error::Damaged { position, what } => Error::Damaged { position: *position, what: what.clone() },
        Error::Bug { file, line, what } => Error::Bug { file, line: *line, what: what.clone() },
        Error::Store { what, source } => Error::Store { what: what.clone(), source: source.to_string().into() },
        other => Error::Store { what: "writing".to_owned(), source: other.to_string().into() },
    }
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;
    use crate::TokenRecord;
    use crate::store::EventStore;
    use crate::store::counting::CountingStore;

    fn now(n: i64) -> Timestamp {
        Timestamp::from_millis(1_780_000_000_000 + n)
    }

    fn call(key: &str, input: u64) -> NewEvent {
        NewEvent::new(TokenRecord::new("openai", "m").input(input).key(key), now(0))
    }

    fn ledger() -> (Ledger, CountingStore) {
        let store = CountingStore::default();
        (Ledger::with_store(Box::new(store.clone())), store)
    }

    /// Lets these appends wait together, in their order, while another writer has the lock. Returns their results.
    fn together(ledger: &Ledger, store: &CountingStore, appends: Vec<Vec<NewEvent>>) -> Vec<Result<Vec<Outcome>>> {
        let lock = store.write().unwrap();
        thread::scope(|scope| {
            let threads: Vec<_> = (1_i64..)
                .zip(appends)
                .map(|(number, events)| {
                    let thread = scope.spawn(move || ledger.append(events, now(number)));
                    while ledger.shared.appends.state().waiting.len() < number as usize {
                        thread::yield_now();
                    }
                    thread
                })
                .collect();
            drop(lock);
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(bug!("it panicked")))).collect()
        })
    }

    fn positions(results: &[Result<Vec<Outcome>>]) -> Vec<Option<Vec<u64>>> {
        let of = |outcomes: &Vec<Outcome>| outcomes.iter().map(|one| one.position().get()).collect();
        results.iter().map(|result| result.as_ref().ok().map(of)).collect()
    }

    #[test]
    fn appends_that_wait_are_committed_together_in_the_order_of_their_arrival() {
        let (ledger, store) = ledger();
        let appends = (0..20).map(|n| vec![call(&format!("a{n}"), 1), call(&format!("b{n}"), 2)]).collect();
        let results = together(&ledger, &store, appends);
        assert_eq!(store.commits.count(), 1);
        let expected: Vec<_> = (0..20).map(|n| Some(vec![2 * n + 1, 2 * n + 2])).collect();
        assert_eq!(positions(&results), expected);
        for n in 0..20 {
            let event = ledger.event(2 * n + 1).unwrap();
            assert_eq!(
                (event.id, event.recorded_at),
                (results[n as usize].as_ref().unwrap()[0].id(), now(n as i64 + 1))
            );
        }
        assert!(ledger.verify().unwrap().ok);
    }

    #[test]
    fn a_refused_append_concerns_no_other_one() {
        let (ledger, store) = ledger();
        ledger.append([call("known", 1)], now(0)).unwrap();
        let invalid = NewEvent::new(TokenRecord::new("openai", ""), now(0));
        let appends = vec![
            vec![call("a", 1)],
            vec![call("known", 2)],
            vec![call("a", 2)],
            vec![invalid],
            vec![call("a", 1)],
            vec![call("b", 1)],
        ];
        let results = together(&ledger, &store, appends);
        assert_eq!(store.commits.count(), 2, "one more transaction");
        assert_eq!(positions(&results), [Some(vec![2]), None, None, None, Some(vec![2]), Some(vec![3])]);
        assert!(matches!(results[1], Err(Error::Conflict { position, .. }) if position.get() == 1), "{results:?}");
        assert!(matches!(results[2], Err(Error::Conflict { position, .. }) if position.get() == 2), "{results:?}");
        assert!(matches!(results[3], Err(Error::Invalid { .. })), "{results:?}");
        assert!(!results[4].as_ref().unwrap()[0].is_new());
        assert_eq!(ledger.head().unwrap().position.get(), 3);
        assert!(ledger.verify().unwrap().ok);
    }

    #[test]
    fn the_clock_of_a_refused_append_dates_no_other_one() {
        let (ledger, store) = ledger();
        ledger.append([call("known", 1)], now(0)).unwrap();
        // The refused one has the later clock.
        together(&ledger, &store, vec![vec![call("a", 1)], vec![call("known", 2)]]);
        assert_eq!(ledger.head().unwrap().recorded_at, now(1));
        ledger.append([call("b", 1)], now(1)).unwrap();
        assert_eq!(ledger.event(3).unwrap().recorded_at, now(1));
        // The first one is refused and has the later clock: the second one arrives while it waits.
        let lock = store.write().unwrap();
        thread::scope(|scope| {
            let refused = scope.spawn(|| ledger.append([call("known", 2)], now(9_000)));
            while ledger.shared.appends.state().waiting.is_empty() {
                thread::yield_now();
            }
            let other = scope.spawn(|| ledger.append([call("c", 1)], now(2)));
            while ledger.shared.appends.state().waiting.len() < 2 {
                thread::yield_now();
            }
            drop(lock);
            assert!(refused.join().is_ok_and(|done| done.is_err()));
            assert!(other.join().is_ok_and(|done| done.is_ok()));
        });
        assert_eq!(ledger.event(4).unwrap().recorded_at, now(2));
    }

    /// Its first event is in the transaction already when its second one is refused.
    #[test]
    fn a_half_of_an_append_is_never_recorded() {
        let (ledger, store) = ledger();
        ledger.append([call("known", 1)], now(0)).unwrap();
        let appends = vec![vec![call("a", 1)], vec![call("half", 1), call("known", 2)], vec![call("half", 3)]];
        let results = together(&ledger, &store, appends);
        assert_eq!(positions(&results), [Some(vec![2]), None, Some(vec![3])]);
        assert!(matches!(results[1], Err(Error::Conflict { position, .. }) if position.get() == 1), "{results:?}");
        assert_eq!(ledger.provider("openai", now(9)).unwrap().all_time.tokens.total(), 1 + 1 + 3);
        assert!(ledger.verify().unwrap().ok);
    }

    /// The sum of both overflows when it is written, after each was accepted.
    #[test]
    fn an_append_whose_counts_overflow_concerns_no_other_one() {
        let (ledger, store) = ledger();
        let appends = vec![vec![call("a", u64::MAX)], vec![call("b", u64::MAX)], vec![call("c", 0)]];
        let apart: Vec<_> = {
            let other = Ledger::in_memory().unwrap();
            appends.iter().map(|events| other.append(events.clone(), now(0)).is_ok()).collect()
        };
        let results = together(&ledger, &store, appends);
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), apart);
    }

    #[test]
    fn a_failed_commit_fails_each_append() {
        let (ledger, store) = ledger();
        store.commits.fail();
        let results = together(&ledger, &store, vec![vec![call("a", 1)], vec![call("b", 1)], vec![call("a", 2)]]);
        assert!(results.iter().all(|result| matches!(result, Err(Error::DiskFull))), "{results:?}");
        assert_eq!(ledger.head().unwrap().position.get(), 0);
        assert!(ledger.append([call("a", 1)], now(0)).unwrap()[0].is_new());
    }

    #[test]
    fn a_thread_that_panics_leaves_the_lead_to_others() {
        let (ledger, store) = ledger();
        store.commits.panic();
        assert!(catch_unwind(AssertUnwindSafe(|| ledger.append([call("a", 1)], now(0)))).is_err());
        store.commits.panic();
        let results = together(&ledger, &store, vec![vec![call("a", 1)], vec![call("b", 1)]]);
        assert!(results.iter().all(Result::is_err), "{results:?}");
        assert!(ledger.append([call("a", 1)], now(0)).unwrap()[0].is_new());
    }

    #[test]
    fn a_large_append_has_a_transaction_of_its_own() {
        let (ledger, store) = ledger();
        let count = SMALL as u64 + 1;
        let outcomes = ledger.append((0..count).map(|n| call(&n.to_string(), n)), now(0)).unwrap();
        assert_eq!((outcomes.len() as u64, store.commits.count()), (count, 1));
        assert!(outcomes.iter().map(|one| one.position().get()).eq(1..=count));
    }
}
