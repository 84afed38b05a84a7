use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::{EventStore, Flow, Head, Order, Row, Sink, Space, Transaction, View};
use crate::error::{Error, Result};
use crate::event::{EventId, Position};
use crate::time::Timestamp;

/// `ULDG`: marks a database file as a usage ledger.
pub(crate) const APPLICATION_ID: i32 = 0x554c_4447;
/// Every migration in order; the schema number of a file is how many it has seen.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_ledger.sql")];
/// The newest schema this build knows.
const SCHEMA: i64 = 1;
const _: () = assert!(MIGRATIONS.len() == SCHEMA.unsigned_abs() as usize);
/// Bytes of a page in a new file.
const PAGE: u32 = 8_192;
/// How long the erasing of shredded bytes waits for readers at most, in seconds.
const ERASE_SECONDS: u64 = 5;
/// Bytes of an SQLite header.
const HEADER: usize = 100;

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
    busy_seconds: u64,
    create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_seconds: 60, create: true }
    }
}

impl Options {
    /// The defaults: create the file when it is missing, wait up to 60 s for other writers.
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

    /// Opens a ledger file.
    ///
    /// # Errors
    /// [`Error::NotALedger`] for another program's file, [`Error::NewerSchema`] for a newer build's, both untouched;
    /// [`Error::Damaged`], [`Error::Busy`], [`Error::DiskFull`] or [`Error::Io`] as they say.
    ///
    /// ```
    /// use usage_ledger::{Error, store::Options};
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("notes.txt");
    /// std::fs::write(&path, "not a database")?;
    /// assert!(matches!(Options::new().open(&path), Err(Error::NotALedger { .. })));
    /// assert_eq!(std::fs::read_to_string(&path)?, "not a database"); // untouched
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(self, path: &Path) -> Result<SqliteStore> {
        refuse_foreign(path)?;
        if self.create {
            create_private(path)?;
        }
        let about = About { path: path.to_owned(), busy_seconds: self.busy_seconds };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| about.error(e, "opening the ledger"))?;
        let mut store = SqliteStore { connection, about };
        store.prepare()?;
        Ok(store)
    }
}

/// Reads the header before SQLite does, so that a foreign or newer file is not touched at all.
fn refuse_foreign(path: &Path) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    let meta = file.metadata().map_err(io)?;
    let foreign = |why: &str| Error::NotALedger { path: path.to_owned(), why: why.to_owned() };
    if meta.is_dir() {
        return Err(foreign("it is a directory"));
    }
    if meta.len() == 0 {
        return Ok(());
    }
    let mut header = [0_u8; HEADER];
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(foreign("it is not an SQLite database"));
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or([0; 4]);
        i32::from_be_bytes(bytes)
    };
    let (version, application) = (i64::from(number(60)), number(68));
    if application == APPLICATION_ID {
        newer(path, version)
    } else if application == 0 {
        Ok(()) // perhaps a new file whose first page is still in the write-ahead log
    } else {
        Err(foreign("it is the database of another program"))
    }
}

fn newer(path: &Path, found: i64) -> Result<()> {
    if found > SCHEMA {
        return Err(Error::NewerSchema { path: path.to_owned(), found, known: SCHEMA });
    }
    Ok(())
}

/// Makes an empty file that only its owner can read; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// What error messages need to know of a store.
#[derive(Debug)]
struct About {
    path: PathBuf,
    busy_seconds: u64,
}

impl About {
    fn error(&self, error: rusqlite::Error, doing: &str) -> Error {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                Error::NotALedger { path: self.path.clone(), why: "it is not an SQLite database".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => Error::damaged(None, format!("SQLite says: {error}")),
            Some(ErrorCode::DiskFull) => Error::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { seconds: self.busy_seconds },
            _ => Error::Store { what: format!("{doing} in {}", self.path.display()), source: Box::new(error) },
        }
    }
}

/// The default store: one SQLite file in WAL mode, `synchronous=FULL`, mode 0600.
///
/// A commit is durable when it returns. Readers never wait; writers wait for each other.
///
/// ```
/// use usage_ledger::{Ledger, store::SqliteStore};
/// # let dir = tempfile::tempdir()?;
/// let ledger = Ledger::with_store(Box::new(SqliteStore::open(&dir.path().join("usage.db"))?));
/// # let _ = ledger;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    about: About,
}

impl SqliteStore {
    /// Opens a ledger file with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open`].
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, SqliteStore};
    /// # let dir = tempfile::tempdir()?;
    /// let mut store = SqliteStore::open(&dir.path().join("usage.db"))?;
    /// assert_eq!(store.read()?.head()?.position.get(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: &Path) -> Result<Self> {
        Options::new().open(path)
    }

    fn prepare(&mut self) -> Result<()> {
        let about = &self.about;
        let fail = |e| about.error(e, "opening the ledger");
        let connection = &self.connection;
        connection.busy_timeout(Duration::from_secs(about.busy_seconds)).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(64);
        if self.schema()? < SCHEMA {
            self.migrate()?;
        }
        let about = &self.about;
        let fail = |e| about.error(e, "opening the ledger");
        self.connection
            .execute_batch("PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; PRAGMA wal_autocheckpoint=4000;")
            .map_err(fail)
    }

    /// The schema number of the file; 0 for an empty one.
    fn schema(&self) -> Result<i64> {
        let fail = |e| self.about.error(e, "reading the schema");
        // One snapshot for all three answers: another process may be making the tables just now.
        let tx = self.connection.unchecked_transaction().map_err(fail)?;
        let number = |pragma: &str| tx.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(fail);
        let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
        if application == i64::from(APPLICATION_ID) {
            newer(&self.about.path, version)?;
            return Ok(version);
        }
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        if application == 0 && version == 0 && tables == 0 {
            return Ok(0);
        }
        Err(Error::NotALedger {
            path: self.about.path.clone(),
            why: "it is the database of another program".to_owned(),
        })
    }

    /// Writes the whole file anew, without free pages, and empties the write-ahead log; false when a reader keeps that.
    fn rewrite(&self) -> rusqlite::Result<bool> {
        // New pages hold zeros where they hold no row, not what memory held before.
        self.connection.query_row("PRAGMA secure_delete=ON", [], |_| Ok(()))?;
        self.connection.execute_batch("VACUUM")?;
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    fn migrate(&mut self) -> Result<()> {
        // Lines of 400 to 900 bytes leave less of a page of this size unused; it has no effect on a file with pages.
        let size = format!("PRAGMA page_size={PAGE}");
        self.connection.execute_batch(&size).map_err(|e| self.about.error(e, "choosing a page size"))?;
        // Many processes may find the file empty at once: the first one through the write lock migrates.
        let deadline = std::time::Instant::now() + Duration::from_secs(self.about.busy_seconds);
        loop {
            let mode: rusqlite::Result<String> =
                self.connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0));
            match mode {
                Ok(_) => break,
                // This one pragma does not honour the busy timeout.
                Err(e)
                    if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && std::time::Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(self.about.error(e, "switching to write-ahead logging")),
            }
        }
        let about = &self.about;
        let fail = |e| about.error(e, "migrating the ledger");
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let from: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
            tx.execute_batch(migration).map_err(fail)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        tx.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
        tx.commit().map_err(fail)
    }
}

impl EventStore for SqliteStore {
    fn read(&mut self) -> Result<Box<dyn View + '_>> {
        let about = &self.about;
        let fail = |e| about.error(e, "opening a snapshot");
        let tx = self.connection.transaction().map_err(fail)?;
        // A deferred transaction takes its snapshot at its first read, not at BEGIN.
        tx.query_row("SELECT 1 FROM kinds LIMIT 1", [], |_| Ok(())).map_err(fail)?;
        Ok(Box::new(SqliteView { tx, about }))
    }

    fn write(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let about = &self.about;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| about.error(e, "taking the write lock"))?;
        Ok(Box::new(SqliteView { tx, about }))
    }

    fn erase(&mut self) -> Result<()> {
        let patience = |seconds| self.connection.busy_timeout(Duration::from_secs(seconds));
        let done = patience(self.about.busy_seconds.min(ERASE_SECONDS)).and_then(|()| self.rewrite());
        // However that went, other writes are waited for as before.
        let restored = patience(self.about.busy_seconds);
        let why = match done.and_then(|whole| restored.map(|()| whole)) {
            Ok(true) => return Ok(()),
            Ok(false) => "another program is reading the ledger, so its write-ahead log must stay".to_owned(),
            Err(e) => match e.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    "another program is using the ledger".to_owned()
                }
                Some(ErrorCode::DiskFull) => "the disk is full, and a second copy of the file needs room".to_owned(),
                _ => e.to_string(),
            },
        };
        Err(Error::NotErased { why })
    }
}

struct SqliteView<'a> {
    tx: rusqlite::Transaction<'a>,
    about: &'a About,
}

impl SqliteView<'_> {
    fn fail(&self, error: rusqlite::Error) -> Error {
        self.about.error(error, "reading")
    }
}

fn number(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

fn position(number: i64) -> Position {
    Position::new(u64::try_from(number).unwrap_or(0))
}

impl View for SqliteView<'_> {
    fn head(&self) -> Result<Head> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1")
            .map_err(|e| self.fail(e))?;
        let found = statement
            .query_row([], |row| {
                Ok(Head { position: position(row.get(0)?), recorded_at: Timestamp::from_millis(row.get(1)?) })
            })
            .optional();
        Ok(found.map_err(|e| self.fail(e))?.unwrap_or_default())
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        let mut statement =
            self.tx.prepare_cached("SELECT position FROM events WHERE id = ?").map_err(|e| self.fail(e))?;
        let found = statement.query_row([id.as_bytes().as_slice()], |row| row.get(0)).optional();
        Ok(found.map_err(|e| self.fail(e))?.map(position))
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let mut statement = self
            .tx
            .prepare_cached(
                "SELECT position, id, kind, occurred_at, recorded_at, body FROM events WHERE position >= ? ORDER BY position",
            )
            .map_err(|e| self.fail(e))?;
        // From the start means from the very first row, so that an audit sees what nobody else would.
        let from = if from == Position::START { i64::MIN } else { number(from) };
        let mut rows = statement.query([from]).map_err(|e| self.fail(e))?;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let at = position(row.get(0).map_err(|e| self.fail(e))?);
            let read = || -> rusqlite::Result<Option<Row<'_>>> {
                let id = row.get_ref(1)?.as_blob().ok().and_then(EventId::from_slice);
                let body = row.get_ref(5)?.as_str().ok();
                let (Some(id), Some(body)) = (id, body) else { return Ok(None) };
                Ok(Some(Row {
                    id,
                    kind: row.get(2)?,
                    occurred_at: Timestamp::from_millis(row.get(3)?),
                    recorded_at: Timestamp::from_millis(row.get(4)?),
                    body,
                }))
            };
            let seen =
                read().ok().flatten().ok_or_else(|| Error::damaged(at, "the row has an id or a body that is none"))?;
            if visit(at, seen)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut statement = self.tx.prepare_cached(sql(space).get).map_err(|e| self.fail(e))?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(|e| self.fail(e))
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let sql = sql(space);
        let (text, bounded) = match (order, to.is_empty()) {
            (Order::Ascending, false) => (sql.up, true),
            (Order::Ascending, true) => (sql.up_open, false),
            (Order::Descending, false) => (sql.down, true),
            (Order::Descending, true) => (sql.down_open, false),
        };
        let mut statement = self.tx.prepare_cached(text).map_err(|e| self.fail(e))?;
        let mut rows =
            if bounded { statement.query([from, to]) } else { statement.query([from]) }.map_err(|e| self.fail(e))?;
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            let bytes = |column| row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
            let (Some(key), Some(value)) = (bytes(0), bytes(1)) else {
                return Err(Error::damaged(None, format!("table {} holds a row that is not bytes", space.name())));
            };
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Sink for SqliteView<'_> {
    fn put(&mut self, space: Space, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let done = match value {
            Some(value) => self.tx.prepare_cached(sql(space).put).and_then(|mut s| s.execute([key, value])),
            None => self.tx.prepare_cached(sql(space).remove).and_then(|mut s| s.execute([key])),
        };
        done.map(|_| ()).map_err(|e| self.about.error(e, "writing a projection"))
    }
}

impl Transaction for SqliteView<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        let mut at = self.head()?.position;
        let fail = |e| self.about.error(e, "appending");
        let mut statement = self
            .tx
            .prepare_cached(
                "INSERT INTO events (position, id, kind, occurred_at, recorded_at, body) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .map_err(fail)?;
        for row in rows {
            at = at.next();
            let done = statement.execute(params![
                number(at),
                row.id.as_bytes().as_slice(),
                row.kind,
                row.occurred_at.millis(),
                row.recorded_at.millis(),
                row.body,
            ]);
            if let Err(e) = done {
                if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
                    && let Some(earlier) = self.position_of(row.id)?
                {
                    return Err(Error::Conflict { id: row.id, position: earlier });
                }
                return Err(fail(e));
            }
        }
        Ok(at)
    }

    fn shred(&mut self, position: Position, stub: &str) -> Result<()> {
        let fail = |e| self.about.error(e, "shredding");
        // What is freed from here on is overwritten with zeros, in this transaction already.
        self.tx.query_row("PRAGMA secure_delete=ON", [], |_| Ok(())).map_err(fail)?;
        let mut statement = self.tx.prepare_cached("UPDATE events SET body = ? WHERE position = ?").map_err(fail)?;
        if statement.execute(params![stub, number(position)]).map_err(fail)? == 0 {
            return Err(Error::NotFound { what: format!("at position {position}") });
        }
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { tx, about } = *self;
        tx.commit().map_err(|e| about.error(e, "committing"))
    }
}

/// The statements of one space's table.
struct Sql {
    get: &'static str,
    put: &'static str,
    remove: &'static str,
    up: &'static str,
    up_open: &'static str,
    down: &'static str,
    down_open: &'static str,
}

macro_rules! sql {
    ($table:literal) => {
        Sql {
            get: concat!("SELECT value FROM ", $table, " WHERE key = ?"),
            put: concat!(
                "INSERT INTO ",
                $table,
                " (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE key = ?"),
            up: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? AND key < ? ORDER BY key"),
            up_open: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? ORDER BY key"),
            down: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? AND key < ? ORDER BY key DESC"),
            down_open: concat!("SELECT key, value FROM ", $table, " WHERE key >= ? ORDER BY key DESC"),
        }
    };
}

const fn sql(space: Space) -> Sql {
    match space {
        Space::Tree => sql!("tree"),
        Space::ByModel => sql!("usage_by_model"),
        Space::ByProject => sql!("usage_by_project"),
        Space::ByConversation => sql!("usage_by_conversation"),
        Space::Uses => sql!("uses"),
        Space::Facts => sql!("facts"),
        Space::Corrections => sql!("corrections"),
        Space::Keys => sql!("natural_keys"),
        Space::Files => sql!("imported_files"),
        Space::Conversations => sql!("conversations"),
        Space::Accounts => sql!("accounts"),
        Space::Snapshots => sql!("snapshots"),
    }
}
