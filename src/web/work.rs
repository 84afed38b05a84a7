//! Decodes and records on threads other than the one that serves connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use super::answer::{BodyForm, Refusal};

/// Maximum number of requests in progress. One records while another is decoded. Each may need many times the memory of
/// its body.
const AT_ONCE: usize = 2;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Waits until the server should end.
pub(super) async fn told_to_end(ending: &mut watch::Receiver<bool>) {
    // A dropped sender also means that the server has ended.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Runs jobs that block or compute for long.
#[derive(Clone, Debug)]
pub(super) struct Work {
    turns: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Work {
    pub fn new(ending: watch::Receiver<bool>) -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), ending }
    }

    /// Runs a job and waits for its result. Refuses if the server is too busy or ending.
    pub async fn run<T: Send + 'static>(
        &self,
        form: BodyForm,
        job: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let mut ending = self.ending.clone();
        let turn = tokio::select! {
            biased;
            () = told_to_end(&mut ending) => return Err(Refusal::ending(form)),
            turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()) => turn,
        };
        let Ok(Ok(turn)) = turn else {
            return Err(Refusal::later(form, "the server has too much to do: send again later"));
        };
        let done = spawn_blocking(move || {
            let answer = job();
            drop(turn);
            answer
        });
        done.await.unwrap_or_else(|_| Err(Refusal::failed(form)))
    }
}
