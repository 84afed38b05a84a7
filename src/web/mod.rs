//! What listens: telemetry over OTLP/HTTP.

mod answer;
mod body;
mod otlp;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::import::otlp::{Sum, Sums, Taken, Telemetry, take};
use crate::ledger::Ledger;
use crate::time::Timestamp;

/// How long after it was busy the ledger is not asked again: those who wait behind each other would wait for long.
const BUSY: Duration = Duration::from_secs(1);
/// Reasons that are kept of what could not be read.
const KEPT: usize = 100;

/// Takes telemetry into a ledger, one request after the other: what is answered is in the file.
pub struct Receiver {
    inner: Mutex<Inner>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

struct Inner {
    ledger: Ledger,
    report: Received,
    sums: Sums,
    /// When the ledger was last busy.
    busy: Option<Instant>,
}

/// What a receiver has taken since it was started.
///
/// ```
/// use usage_ledger::web::Received;
/// assert_eq!(Received::default().calls.recorded, 0);
/// ```
#[derive(Clone, Debug, Default, Serialize)]
pub struct Received {
    /// Calls that logs and spans told of.
    #[serde(flatten)]
    pub calls: Taken,
    /// Records, spans and metrics that tell of tokens and could not be read.
    pub unread: u64,
    /// Why, of the first hundred kinds of them.
    pub reasons: Vec<String>,
    /// What metrics state, beside what was recorded.
    pub sums: Vec<Sum>,
}

impl Receiver {
    /// A receiver for a ledger, which asks for the time when it records.
    ///
    /// ```
    /// use usage_ledger::{Ledger, web::Receiver};
    /// let receiver = Receiver::new(Ledger::in_memory()?, || chrono::Utc::now().into());
    /// assert_eq!(receiver.received().unread, 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(ledger: Ledger, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let inner = Inner { ledger, report: Received::default(), sums: Sums::default(), busy: None };
        Self { inner: Mutex::new(inner), now: Box::new(now) }
    }

    /// What it has taken so far.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, web::Receiver};
    /// # let receiver = Receiver::new(Ledger::in_memory()?, || chrono::Utc::now().into());
    /// assert!(receiver.received().sums.is_empty());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn received(&self) -> Received {
        let inner = self.lock();
        Received { sums: inner.sums.list().cloned().collect(), ..inner.report.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A transaction is whole or not at all, so what a panic left is sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes calls; answers why some could not be read.
    fn take(&self, told: Telemetry) -> Result<Vec<String>> {
        let unread = told.unread.clone();
        let mut inner = self.lock();
        let Inner { ledger, report, sums, busy } = &mut *inner;
        if busy.is_some_and(|at| at.elapsed() < BUSY) {
            return Err(Error::Busy { seconds: 0 });
        }
        let taken = take(ledger, told, (self.now)(), sums);
        *busy = matches!(taken, Err(Error::Busy { .. })).then(Instant::now);
        let taken = taken?;
        report.calls.recorded += taken.recorded;
        report.calls.known += taken.known;
        report.calls.amended += taken.amended;
        report.note(&unread);
        Ok(unread)
    }

    /// Takes metrics; answers why some could not be read.
    fn compare(
        &self,
        metrics: &opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest,
    ) -> Vec<String> {
        let mut inner = self.lock();
        let unread = Telemetry::of_metrics(metrics, &mut inner.sums);
        inner.report.note(&unread);
        unread
    }
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

/// Listens until `ended` is done; requests that are under way are answered first. `listening` is told where.
///
/// # Errors
/// Those of the operating system, such as an address that is in use.
///
/// ```
/// use std::sync::Arc;
/// use usage_ledger::{Ledger, web::{self, Receiver}};
/// let receiver = Arc::new(Receiver::new(Ledger::in_memory()?, || chrono::Utc::now().into()));
/// let mut at = None;
/// web::serve(&receiver, "127.0.0.1:0".parse()?, |address| at = Some(address), async {})?;
/// assert_ne!(at.map(|address| address.port()), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn serve(
    receiver: &Arc<Receiver>,
    address: SocketAddr,
    listening: impl FnOnce(SocketAddr),
    ended: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        listening(listener.local_addr()?);
        let routes = otlp::routes(Arc::clone(receiver));
        axum::serve(listener, routes).with_graceful_shutdown(ended).await
    })
}

/// Done when the process is asked to end: Ctrl-C, or SIGTERM where there is such.
///
/// ```
/// let waits = usage_ledger::web::asked_to_end();
/// drop(waits); // nobody asked
/// ```
pub async fn asked_to_end() {
    let interrupted = async {
        // Without a handler the default holds: the process ends.
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
