//! The single entry point to a ledger: opening, commands and queries, each in its own file.

mod append;
mod as_of;
#[cfg(test)]
mod as_of_tests;
mod backup;
mod calls;
mod commands;
#[cfg(feature = "cli")]
mod copied;
#[cfg(feature = "cli")]
mod find;
mod future;
mod group;
mod observe;
mod outcome;
mod parts;
mod pause;
mod pipeline;
mod prepared_event;
mod prove;
mod queries;
mod repair;
mod reused_key;
mod revise;
mod seals;
mod shred;
mod snapshot;
mod statements;
#[cfg(feature = "cli")]
mod suppose;
#[cfg(feature = "cli")]
mod suspects;
mod tail;
mod upgrade;
mod verify;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

pub use as_of::AsOf;
pub use backup::{Backup, Restored};
pub use outcome::Outcome;
pub use repair::Repair;
pub use shred::{Shred, Shredding};
pub use snapshot::Snapshot;
pub use tail::{Tail, TailStopper};
pub use verify::{Finding, Verification};

pub(crate) use append::Appender;
#[cfg(feature = "import")]
pub(crate) use append::run_all;
pub(crate) use calls::CorrectedCall;
#[cfg(feature = "cli")]
pub(crate) use copied::{Copied, CopiedLine};
#[cfg(feature = "cli")]
pub(crate) use find::EventFilter;
#[cfg(feature = "cli")]
pub(crate) use future::is_ahead;
pub(crate) use future::{FutureEvents, KINDS_OF_ACCOUNTS};
pub(crate) use parts::{BlockCalls, CallPart};
#[cfg(feature = "import")]
pub(crate) use prepared_event::PreparedEvent;
pub(crate) use seals::{current_seals, refuse_overlap};
#[cfg(feature = "cli")]
pub(crate) use statements::{ReceivedStatement, is_within};
#[cfg(feature = "cli")]
pub(crate) use suspects::Suspicion;

use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::store::{EventStore, MemoryStore, Options, SqliteStore};

/// A ledger of token usage: a cheap handle that threads share.
///
/// A clone is another handle to the same open ledger. Readers never wait for writers; writers wait for each other, in
/// the order of their requests.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey::{Day, Provider}, TokenRecord};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("usage.db");
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::open(&path)?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(120).output(40).project("acme"), now)?;
/// ledger.switch_provider("ollama", "rate limited", now)?;
///
/// let usage = ledger.provider("anthropic", now)?;
/// assert_eq!(usage.session.usage.tokens.total(), 160); // a switch is a marker: nothing was wiped
/// let table = ledger.report(&Report::by(Day).and(Provider))?;
/// assert_eq!(table.total.requests, 1);
/// assert_eq!(ledger.snapshot()?.head()?, ledger.clone().snapshot()?.head()?); // two reads in one expression
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<LedgerInner>,
    pub(crate) source: Cow<'static, str>,
    /// The tables that were empty when it was opened, and were built from the log.
    #[cfg(feature = "cli")]
    pub(crate) built: Vec<&'static str>,
    /// Whether a commit may become durable later.
    #[cfg(feature = "import")]
    is_deferred: bool,
}

/// The state that all clones of a handle share.
struct LedgerInner {
    store: Box<dyn EventStore>,
    ids: Mutex<uuid::ContextV7>,
    appends: group::AppendQueue,
    signal: Arc<tail::CommitSignal>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens a ledger file, and creates a missing one.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`].
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("usage.db");
    /// Ledger::open(&path)?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(Ledger::open(&path)?.head()?.position.get(), 1); // it is still there
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::upgraded(Box::new(SqliteStore::open(path.as_ref())?), &mut |_, _| {})
    }

    /// Opens a ledger file with options.
    ///
    /// # Errors
    /// As for [`Options::open`].
    ///
    /// ```
    /// use usage_ledger::{Ledger, store::Options};
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("usage.db");
    /// assert!(Ledger::open_with(&path, Options::new().create(false)).is_err()); // there is none yet
    /// let ledger = Ledger::open_with(&path, Options::new().busy_timeout_seconds(5))?;
    /// # let _ = ledger;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::upgraded(Box::new(options.open(path.as_ref())?), &mut |_, _| {})
    }

    /// A ledger in memory, which is lost when it is dropped.
    ///
    /// # Errors
    /// None today; the signature allows for later ones.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// assert_eq!(Ledger::in_memory()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn in_memory() -> Result<Self> {
        Ok(Self::with_store(Box::new(MemoryStore::new())))
    }

    /// A ledger on the caller's own store.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, store::MemoryStore};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let store = MemoryStore::new();
    /// let one = Ledger::with_store(Box::new(store.clone()));
    /// let other = Ledger::with_store(Box::new(store));
    /// one.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(other.head()?.position.get(), 1); // two handles to one store
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn with_store(store: Box<dyn EventStore>) -> Self {
        Self {
            shared: Arc::new(LedgerInner {
                store,
                ids: Mutex::new(uuid::ContextV7::new()),
                appends: group::AppendQueue::default(),
                signal: Arc::default(),
            }),
            source: "library".into(),
            #[cfg(feature = "cli")]
            built: Vec::new(),
            #[cfg(feature = "import")]
            is_deferred: false,
        }
    }

    /// Sets the source of all events that are appended through this handle.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?.source("my-agent");
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(ledger.event(1)?.source, "my-agent");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn source(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = source.into();
        self
    }

    fn store(&self) -> &dyn EventStore {
        &*self.shared.store
    }

    /// Runs `work` in one write transaction. If it fails, nothing is written.
    pub(crate) fn transact<T>(&self, now: Timestamp, work: impl FnOnce(&mut Appender<'_>) -> Result<T>) -> Result<T> {
        #[cfg(feature = "import")]
        let tx = if self.is_deferred { self.store().write_deferred()? } else { self.store().write()? };
        #[cfg(not(feature = "import"))]
        let tx = self.store().write()?;
        let mut appender = Appender::new(tx, now, &self.shared.ids)?;
        let done = work(&mut appender)?;
        appender.commit()?;
        self.shared.signal.notify();
        Ok(done)
    }

    /// A handle for a long job. Its commits may become durable only when [`sync`](Self::sync) returns.
    #[cfg(feature = "import")]
    pub(crate) fn deferred(&self) -> Self {
        Self { is_deferred: true, ..self.clone() }
    }

    /// Work for another thread during a long job: [`EventStore::housekeeping`].
    #[cfg(feature = "import")]
    pub(crate) fn housekeeping(&self) -> Result<Option<crate::store::Housekeeping>> {
        self.store().housekeeping()
    }

    /// Makes the commits of a [deferred](Self::deferred) handle durable.
    #[cfg(feature = "import")]
    pub(crate) fn sync(&self) -> Result<()> {
        self.store().sync()
    }

    /// Folds all events again from position 1 and replaces the projections. The log does not change.
    ///
    /// # Errors
    /// [`Error::UnknownEvent`](crate::Error::UnknownEvent) or [`Error::Damaged`](crate::Error::Damaged) at an event
    /// that cannot be folded, or whose line does not match its leaf hash. Nothing changes then.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let (usage, root) = (ledger.provider("openai", now)?, ledger.root()?);
    /// ledger.rebuild()?;
    /// assert_eq!((ledger.provider("openai", now)?, ledger.root()?), (usage, root)); // folds forget nothing
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn rebuild(&self) -> Result<()> {
        as_of::rebuild(self.store())
    }
}
