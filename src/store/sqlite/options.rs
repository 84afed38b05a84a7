//! How a ledger file is opened.

/// How to open a ledger file.
///
/// ```
/// use usage_ledger::store::Options;
/// # let dir = tempfile::tempdir()?;
/// let store = Options::new().busy_timeout_seconds(5).open(&dir.path().join("usage.db"))?;
/// # let _ = store;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Options {
    pub(super) busy_seconds: u64,
    pub(super) create: bool,
    pub(super) read_only: bool,
    pub(super) keep_small_log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_seconds: 60, create: true, read_only: false, keep_small_log: false }
    }
}

impl Options {
    /// The defaults: create a missing file, wait up to 60 s for other writers.
    ///
    /// ```
    /// # use usage_ledger::store::Options;
    /// # let dir = tempfile::tempdir()?;
    /// assert!(Options::new().open(&dir.path().join("usage.db")).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a write waits for another process, in seconds. Default 60.
    ///
    /// ```
    /// use usage_ledger::{Error, store::{EventStore, Options}};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("usage.db");
    /// let (mut one, mut other) = (Options::new().open(&path)?, Options::new().busy_timeout_seconds(0).open(&path)?);
    /// let writing = one.write()?;
    /// assert!(matches!(other.write(), Err(Error::Busy { seconds: 0 }))); // it did not wait
    /// # drop(writing);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn busy_timeout_seconds(mut self, seconds: u64) -> Self {
        self.busy_seconds = seconds;
        self
    }

    /// Whether a missing file is created. Default true.
    ///
    /// ```
    /// # use usage_ledger::store::Options;
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("usage.db");
    /// assert!(Options::new().create(false).open(&path).is_err());
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether closing keeps a small write-ahead log. Moving it into the file takes four more syncs than appending an
    /// event. A program that appends one event and ends avoids them.
    #[cfg(feature = "cli")]
    pub(crate) const fn keep_small_log(mut self) -> Self {
        self.keep_small_log = true;
        self
    }

    /// Whether the ledger is only read: nothing is written to it or beside it, so no write permission is needed.
    /// Default false.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, TokenRecord, store::Options};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("usage.db");
    /// Ledger::open(&path)?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let ledger = Ledger::open_with(&path, Options::new().read_only(true))?;
    /// assert_eq!(ledger.head()?.position.get(), 1);
    /// let refused = ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now);
    /// assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }
}
