//! The HTTP server: an API for programs, and telemetry over OTLP/HTTP, with guards for every route.
//!
//! A request passes, in this order: the limit of connections and the time limit of its head (`server`, `connection`),
//! the accepted host names, pages and token (`access`), the limits of its body (`intake`), and a queue for processing
//! (`work`). Every route that is merged into the router has all of them.

mod access;
mod answer;
mod api;
mod body;
mod cached;
mod connection;
mod fleet;
mod gzip;
mod intake;
mod openapi;
mod otlp;
mod page;
mod problem;
mod push;
mod responses;
mod server;
mod services;
mod stream;
mod token;
mod views;
mod witness;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::import::telemetry::{Ingested, MetricSum, MetricSums, RecordedCalls, Telemetry, TelemetryRecorder};
use crate::ledger::Ledger;
use crate::model::error::Error;
use crate::model::time::Timestamp;

pub use access::Access;
pub use server::serve;
pub use services::{Api, Services};
pub use token::Token;
pub use witness::serve_witness;

/// Maximum size of a body in bytes, also after decompression.
const MOST: usize = 16 << 20;
/// How long to refuse requests after the ledger was busy. Otherwise waiting requests would add up their timeouts.
const BUSY: Duration = Duration::from_secs(1);
/// Maximum number of calls in one transaction, unless a single request has more.
const TOGETHER: usize = 2_000;
/// Maximum number of reasons to keep.
const KEPT: usize = 100;

/// Records telemetry in a ledger. One transaction serves all requests that wait. An answer means that the calls are in
/// the file.
pub struct Receiver {
    /// Requests that wait for a transaction.
    queue: Mutex<Vec<QueuedRequest>>,
    writer: Mutex<LedgerWriter>,
    /// Separate from the writer, so a query is answered while a transaction waits for the write lock.
    report: Mutex<ReceivedTotals>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

struct LedgerWriter {
    recorder: TelemetryRecorder,
    /// When the ledger was last busy.
    busy: Option<Instant>,
}

/// The result of a request: why some items could not be read. Requests of one transaction share its error.
type TelemetryAnswer = Result<Vec<String>, Arc<Error>>;

struct QueuedRequest {
    telemetry: Telemetry,
    answer: mpsc::Sender<TelemetryAnswer>,
}

#[derive(Default)]
struct ReceivedTotals {
    received: Received,
    sums: MetricSums,
}

/// What a receiver has processed since its start.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Received {
    /// Calls in logs and spans.
    #[serde(flatten)]
    pub calls: Ingested,
    /// Number of log records, spans and metrics with tokens that could not be read.
    pub unread: u64,
    /// Reasons, at most one hundred different ones.
    pub reasons: Vec<String>,
    /// Sums of metrics, next to those of the records.
    pub sums: Vec<MetricSum>,
}

impl Receiver {
    /// Creates a receiver for a ledger. `now` returns the recording time.
    pub fn new(ledger: Ledger, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let writer = Mutex::new(LedgerWriter { recorder: TelemetryRecorder::new(ledger), busy: None });
        Self { queue: Mutex::default(), writer, report: Mutex::default(), now: Box::new(now) }
    }

    /// Returns what it has processed so far.
    pub fn received(&self) -> Received {
        let report = lock(&self.report);
        Received { sums: report.sums.list().cloned().collect(), ..report.received.clone() }
    }

    /// Records calls. Returns why some could not be read. The first thread that gets the writer records the requests of
    /// all threads that wait for it.
    fn take(&self, telemetry: Telemetry) -> TelemetryAnswer {
        let (answer, answered) = mpsc::channel();
        lock(&self.queue).push(QueuedRequest { telemetry, answer });
        loop {
            let mut writer = lock(&self.writer);
            if let Ok(answer) = answered.try_recv() {
                return answer;
            }
            self.record_waiting(&mut writer);
        }
    }

    /// Records the requests that wait, up to the limit of one transaction.
    fn record_waiting(&self, writer: &mut LedgerWriter) {
        let mut requests = {
            let mut queue = lock(&self.queue);
            let mut calls = 0;
            let fit = queue.iter().take_while(|request| {
                let is_first = calls == 0;
                calls += request.telemetry.calls().max(1);
                is_first || calls <= TOGETHER
            });
            let count = fit.count();
            queue.drain(..count).collect::<Vec<_>>()
        };
        let unread: Vec<Vec<String>> = requests.iter().map(|request| request.telemetry.unread.clone()).collect();
        let telemetry = requests.iter_mut().map(|request| std::mem::take(&mut request.telemetry)).collect();
        let results = if writer.busy.is_some_and(|at| at.elapsed() < BUSY) {
            Err(Error::Busy { seconds: 0 })
        } else {
            let results = writer.recorder.record(telemetry, (self.now)());
            writer.busy = matches!(results, Err(Error::Busy { .. })).then(Instant::now);
            results
        };
        match results {
            Ok(results) => {
                for ((request, unread), result) in requests.into_iter().zip(unread).zip(results) {
                    let answer = result.map(|accepted| self.note(accepted, unread)).map_err(Arc::new);
                    // A thread that no longer waits needs no answer.
                    let _ = request.answer.send(answer);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for request in requests {
                    let _ = request.answer.send(Err(Arc::clone(&error)));
                }
            }
        }
    }

    /// Adds a recorded request to the totals. Returns why some items could not be read.
    fn note(&self, accepted: RecordedCalls, mut unread: Vec<String>) -> Vec<String> {
        let mut report = lock(&self.report);
        for record in &accepted.records {
            report.sums.record(record);
        }
        report.received.calls.recorded += accepted.counts.recorded;
        report.received.calls.known += accepted.counts.known;
        report.received.calls.amended += accepted.counts.amended;
        unread.extend(accepted.refused);
        report.received.note(&unread);
        unread
    }

    /// Compares metrics with the records. Returns why some could not be read.
    fn compare(
        &self,
        metrics: &opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest,
    ) -> Vec<String> {
        let mut report = lock(&self.report);
        let unread = Telemetry::of_metrics(metrics, &mut report.sums);
        report.received.note(&unread);
        unread
    }
}

/// Transactions are atomic, so the state is valid even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Received {
    fn note(&mut self, unread: &[String]) {
        self.unread += unread.len() as u64;
        for why in unread {
            if self.reasons.len() < KEPT && !self.reasons.contains(why) {
                self.reasons.push(why.clone());
            }
        }
    }
}

/// Completes when the process should end: on Ctrl-C or, where it exists, SIGTERM.
pub async fn shutdown_signal() {
    let interrupted = async {
        // Without a handler the default applies: the process ends.
        let _ = tokio::signal::ctrl_c().await;
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    interrupted.await;
}
