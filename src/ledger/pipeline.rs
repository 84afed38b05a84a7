//! Work on other threads whose results are taken in order.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use crate::model::error::Error;
use crate::model::invariant::bug;
use crate::model::threads::start;

/// Batches in progress for each thread. This bounds the memory.
const BATCHES: u64 = 2;

/// Sends the batches of `produce` through `work` on several threads, and passes the results to `take` in the order of the batches.
///
/// `produce` and `take` run on the calling thread. An error of `take` ends the work. After an error of `produce`, the batches in
/// front of it are still taken.
pub(crate) fn in_order<B: Send, P: Send, E: From<Error>>(
    produce: impl FnOnce(&mut dyn FnMut(B) -> Result<(), E>) -> Result<(), E>,
    work: &(impl Fn(B) -> P + Sync),
    take: &mut dyn FnMut(P) -> Result<(), E>,
) -> Result<(), E> {
    let threads = available_parallelism().map_or(1, NonZero::get);
    let most = BATCHES * threads as u64;
    let (to_threads, batches) = sync_channel::<(u64, B)>(BATCHES as usize * threads);
    let batches = Mutex::new(batches);
    let (to_caller, done) = channel();
    std::thread::scope(|scope| {
        let started = (0..threads).try_for_each(|_| {
            let (batches, to_caller) = (&batches, to_caller.clone());
            start(scope, move || {
                while let Some((number, batch)) = next(batches) {
                    let mut delivery = Delivery { number, result: None, to_caller: &to_caller };
                    delivery.result = Some(work(batch));
                }
            })
            .map(drop)
        });
        drop(to_caller);
        if let Err(error) = started {
            // The threads that were started wait for batches until then.
            drop(to_threads);
            return Err(error.into());
        }
        let mut order = ResultOrder { sent: 0, taken: 0, has_failed: false, waiting: BTreeMap::new(), done, take };
        let produced = produce(&mut |batch| {
            while order.sent - order.taken >= most {
                order.next().inspect_err(|_| order.has_failed = true)?;
            }
            let number = order.sent;
            order.sent += 1;
            to_threads.send((number, batch)).map_err(|_| ended())
        });
        drop(to_threads);
        while !order.has_failed && order.taken < order.sent {
            order.next()?;
        }
        produced
    })
}

fn next<B>(batches: &Mutex<Receiver<B>>) -> Option<B> {
    // A thread that waits for a batch holds the lock, and the others wait for it.
    batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Sends a result when it is dropped. A panic sends none, so that the caller does not wait for it.
struct Delivery<'t, P> {
    number: u64,
    result: Option<P>,
    to_caller: &'t Sender<(u64, Option<P>)>,
}

impl<P> Drop for Delivery<'_, P> {
    fn drop(&mut self) {
        // After an error the caller no longer receives.
        let _ = self.to_caller.send((self.number, self.result.take()));
    }
}

fn ended<E: From<Error>>() -> E {
    bug!("a thread ended before its work was done").into()
}

struct ResultOrder<'t, P, E> {
    sent: u64,
    taken: u64,
    /// Whether a result could not be taken.
    has_failed: bool,
    /// Results whose predecessors are not done.
    waiting: BTreeMap<u64, P>,
    done: Receiver<(u64, Option<P>)>,
    take: &'t mut dyn FnMut(P) -> Result<(), E>,
}

impl<P, E: From<Error>> ResultOrder<'_, P, E> {
    /// Waits for the next result, and takes all that follow in order.
    fn next(&mut self) -> Result<(), E> {
        let (number, result) = self.done.recv().map_err(|_| ended())?;
        self.waiting.insert(number, result.ok_or_else(ended)?);
        while let Some(result) = self.waiting.remove(&self.taken) {
            self.taken += 1;
            (self.take)(result)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_taken_in_the_order_of_their_batches() {
        let mut taken = Vec::new();
        let done: Result<(), Error> = in_order(
            |send| (0..500_u64).try_for_each(send),
            &|number| {
                // Batches end in another order than they began in.
                (0..(number * 7919) % 97).for_each(|_| std::thread::yield_now());
                number * 2
            },
            &mut |number| {
                taken.push(number);
                Ok(())
            },
        );
        done.unwrap();
        assert!(taken.into_iter().eq((0..500).map(|number| number * 2)));
    }

    #[test]
    fn an_error_ends_the_work() {
        let mut taken = 0;
        let refused: Result<(), Error> =
            in_order(|send| (0..1_000_000_u64).try_for_each(send), &|number| number, &mut |number| {
                taken += 1;
                if number == 5 { Err(Error::invalid("enough")) } else { Ok(()) }
            });
        assert!(refused.is_err());
        assert_eq!(taken, 6);
    }

    #[test]
    fn what_precedes_an_error_of_the_source_is_taken() {
        let mut taken = Vec::new();
        let broken: Result<(), Error> = in_order(
            |send| {
                (0..3_u64).try_for_each(send)?;
                Err(Error::invalid("no more"))
            },
            &|number| number,
            &mut |number| {
                taken.push(number);
                Ok(())
            },
        );
        assert!(broken.is_err());
        assert_eq!(taken, [0, 1, 2]);
    }
}
