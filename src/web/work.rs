//! Decodes and records on threads other than the one that serves connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use super::answer::{BodyForm, RequestRefusal};

/// Maximum number of requests in progress. One records while another is decoded. Each may need many times the memory of
/// its body.
const AT_ONCE: usize = 2;
/// Maximum number of requests that wait for one transaction, which records all of them.
const WAITING: usize = 64;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Waits until the server should end.
pub(super) async fn wait_for_end(ending: &mut watch::Receiver<bool>) {
    // A dropped sender also means that the server has ended.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Runs jobs that block or compute for long.
#[derive(Clone, Debug)]
pub(super) struct WorkPool {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl WorkPool {
    pub fn new(ending: watch::Receiver<bool>) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { turns: semaphore(AT_ONCE), places: semaphore(WAITING), ending }
    }

    /// Runs a job that computes, and waits for its result. Refuses if the server is too busy or ending.
    pub async fn run<T: Send + 'static>(
        &self,
        form: BodyForm,
        job: impl FnOnce() -> Result<T, RequestRefusal> + Send + 'static,
    ) -> Result<T, RequestRefusal> {
        self.run_within(&self.turns, form, job).await
    }

    /// Runs a job that mostly waits for the ledger, together with many others.
    pub async fn wait<T: Send + 'static>(
        &self,
        form: BodyForm,
        job: impl FnOnce() -> Result<T, RequestRefusal> + Send + 'static,
    ) -> Result<T, RequestRefusal> {
        self.run_within(&self.places, form, job).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        form: BodyForm,
        job: impl FnOnce() -> Result<T, RequestRefusal> + Send + 'static,
    ) -> Result<T, RequestRefusal> {
        let mut ending = self.ending.clone();
        let turn = tokio::select! {
            biased;
            () = wait_for_end(&mut ending) => return Err(RequestRefusal::ending(form)),
            turn = tokio::time::timeout(TURN, Arc::clone(turns).acquire_owned()) => turn,
        };
        let Ok(Ok(turn)) = turn else {
            return Err(RequestRefusal::later(form, "the server has too much to do: send again later"));
        };
        let done = spawn_blocking(move || {
            let answer = job();
            drop(turn);
            answer
        });
        done.await.unwrap_or_else(|_| Err(RequestRefusal::failed(form)))
    }
}
