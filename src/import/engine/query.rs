//! Queries the databases of other programs. Each query has a limit of time and bytes, because a foreign database may be
//! damaged or malicious.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row};

use super::compression::time_for;
use super::regular;

/// Bytes that the rows of any query may have, independent of the database's size.
const BYTES: u64 = 16 << 20;
/// Maximum ratio of the bytes of a query's rows to the size of the database.
const TIMES: u64 = 4;
/// Memory overhead of a row in bytes.
const ROW: u64 = 24;
/// A longer value is skipped. Unit tests write one to each column, so theirs is small.
pub(in crate::import) const LONGEST_VALUE: i32 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// Virtual machine steps between two checks of the time limit: at most a millisecond.
const STEPS: i32 = 10_000;
/// How long to wait for a lock of the program that owns the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reason why a file, or the rest of it, is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be read, or only beyond a limit. A later import tries again.
    Unreadable(String),
    /// It can be read but has an unknown format.
    Unknown(String),
    /// The state that an earlier import stored cannot be read.
    State(String),
}

impl Refusal {
    /// Returns whether the file cannot be read.
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unreadable(why) | Self::Unknown(why) | Self::State(why)) = self;
        f.write_str(why)
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Unknown(why)
    }
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::Unknown(why.to_owned())
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        let why = match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => "it takes longer than a database of its size is given".to_owned(),
            _ => error.to_string(),
        };
        Self::Unreadable(format!("the database cannot be read: {why}"))
    }
}

/// Opens an agent's database for reading, and creates no files.
pub(in crate::import) fn open(path: &Path) -> Result<Connection, Refusal> {
    let unreadable = |why: &dyn fmt::Display| Refusal::Unreadable(format!("the database cannot be opened: {why}"));
    let refused = |error: rusqlite::Error| unreadable(&error);
    let mut stored = regular::stored(&regular::check(path).map_err(|error| unreadable(&error))?);
    // A database without a log file has no writer, but SQLite would create a write-ahead log to read it. Open it as
    // immutable instead. With a rollback journal present the file may contain uncommitted pages, so it must not be
    // opened this way.
    let mut immutable = true;
    for end in ["-wal", "-journal", "-shm"] {
        // SQLite opens whatever is there, and opening a pipe may wait for ever.
        let meta = match regular::check(&suffixed(path, end)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            meta => meta.map_err(|error| unreadable(&format_args!("its file `{end}`: {error}")))?,
        };
        if end != "-shm" && meta.len() > 0 {
            stored += regular::stored(&meta);
            immutable = false;
        }
    }
    let escaped: String = path
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '?' => "%3f".to_owned(),
            '#' => "%23".to_owned(),
            '%' => "%25".to_owned(),
            other => other.to_string(),
        })
        .collect();
    let uri = format!("file:{escaped}{}", if immutable { "?immutable=1" } else { "" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(uri, flags).map_err(refused)?;
    connection.busy_timeout(PATIENCE).map_err(refused)?;
    limit(&mut connection, time_for(stored)).map_err(refused)?;
    Ok(connection)
}

/// Sets the time limit for everything on this connection, and disables features of the database that may run code.
fn limit(connection: &mut Connection, time: Duration) -> rusqlite::Result<()> {
    let end = Instant::now() + time;
    connection.progress_handler(STEPS, Some(move || Instant::now() >= end))?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 4 * LONGEST_VALUE)?;
    // All known agents store data in tables. A view may be endless.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch("PRAGMA cell_size_check=ON")
}

/// Returns the path of a database's write-ahead log, which contains the newest changes.
pub(in crate::import) fn wal(path: &Path) -> PathBuf {
    suffixed(path, "-wal")
}

fn suffixed(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What to do after a row.
pub(in crate::import) enum RowAction {
    Row,
    /// End before this row.
    End(Refusal),
}

/// Visits the rows of a query. An error states why it ended early; earlier rows were visited.
pub(in crate::import) fn rows(
    database: &Connection,
    sql: &str,
    parameters: impl Params,
    each: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<RowAction>,
) -> Result<(), Refusal> {
    let most = BYTES.saturating_add(pages(database)?.saturating_mul(TIMES));
    let mut left = most;
    let mut statement = database.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        let mut bytes = ROW;
        for column in 0..columns {
            bytes += row.get_ref(column)?.as_bytes_or_null().ok().flatten().map_or(0, <[u8]>::len) as u64;
        }
        left = left.checked_sub(bytes).ok_or_else(|| {
            let most = regular::size(most);
            Refusal::Unreadable(format!("the database cannot be read: a query gives more than {most}, its limit"))
        })?;
        if let RowAction::End(why) = each(row)? {
            return Err(why);
        }
    }
    Ok(())
}

/// Returns an expression for a column that reads no value above the limit. An empty blob stands for such a value: unlike
/// NULL it is no absent count, and unlike an empty text no name. SQLite refuses a row with a value above its own limit,
/// and the rows behind it would be lost.
pub(in crate::import) fn bounded(column: &str) -> String {
    format!("CASE WHEN octet_length({column}) > {LONGEST_VALUE} THEN x'' ELSE {column} END")
}

/// Why a value of so many bytes is skipped, if it is above the limit.
pub(in crate::import) fn too_long(what: &str, bytes: Option<i64>) -> Option<String> {
    bytes.filter(|bytes| *bytes > i64::from(LONGEST_VALUE)).map(|bytes| format!("{what} of {} MiB", bytes >> 20))
}

/// Returns the number of the last row of a table, and the number behind which its rows are new, given the last row of the
/// previous reading.
pub(in crate::import) fn new_rows(database: &Connection, table: &str, last: i64) -> Result<(i64, i64), Refusal> {
    let newest: i64 =
        database.query_row(&format!("SELECT coalesce(max(rowid), 0) FROM {table}"), [], |row| row.get(0))?;
    // A recreated database numbers its rows from the beginning. After the largest number, SQLite chooses any free ones.
    let is_continued = last <= newest && newest != i64::MAX;
    Ok((newest, if is_continued { last } else { 0 }))
}

/// Returns the size of a database in bytes.
fn pages(database: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| database.query_row(pragma, [], |row| row.get::<_, u32>(0));
    Ok(u64::from(number("PRAGMA page_count")?) * u64::from(number("PRAGMA page_size")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a writer that was killed after it wrote pages without committing them.
    #[test]
    fn uncommitted_content_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        let rows = "PRAGMA cache_size = 2; CREATE TABLE t (v, x);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
            INSERT INTO t SELECT 0, zeroblob(3000) FROM n";
        writer.execute_batch(rows).unwrap();
        let changed = |path: &Path| {
            let database = open(path).map_err(|why| why.to_string())?;
            let sum = database.query_row("SELECT sum(v) FROM t", [], |row| row.get::<_, i64>(0));
            sum.map_err(|error| error.to_string())
        };
        assert_eq!(changed(&path), Ok(0));
        writer.execute_batch("BEGIN; UPDATE t SET v = 1").unwrap();
        let killed = home.path().join("killed.db");
        for end in ["", "-journal"] {
            std::fs::copy(suffixed(&path, end), suffixed(&killed, end)).unwrap();
        }
        // Only a process with write access can roll it back.
        assert!(changed(&killed).unwrap_err().contains("readonly"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_next_to_a_database_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (i)").unwrap();
        let copy = home.path().join("b.db");
        for end in ["", "-wal"] {
            std::fs::copy(suffixed(&path, end), suffixed(&copy, end)).unwrap();
        }
        for end in ["-journal", "-shm"] {
            let pipe = suffixed(&copy, end);
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            let why = open(&copy).unwrap_err();
            assert!(why.is_unreadable() && why.to_string().contains("a named pipe"), "{end}: {why}");
            std::fs::remove_file(&pipe).unwrap();
        }
        open(&copy).unwrap();
    }

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

    #[test]
    fn a_query_ends_at_its_limit_of_bytes_or_time() {
        let mut database = Connection::open_in_memory().unwrap();
        let mut seen = 0_u64;
        let done = rows(&database, &format!("{ENDLESS} SELECT i FROM n"), [], &mut |_| {
            seen += 1;
            Ok(RowAction::Row)
        });
        assert!(done.unwrap_err().to_string().contains("16 MiB"));
        assert_eq!(seen, BYTES / ROW);
        limit(&mut database, Duration::ZERO).unwrap();
        let done = rows(&database, &format!("{ENDLESS} SELECT count(*) FROM n"), [], &mut |_| Ok(RowAction::Row));
        assert!(done.unwrap_err().to_string().contains("takes longer"));
    }

    #[test]
    fn a_view_is_not_a_table() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.db");
        let view = format!("CREATE TABLE t (i); CREATE VIEW v AS {ENDLESS} SELECT i FROM n");
        Connection::open(&path).unwrap().execute_batch(&view).unwrap();
        let database = open(&path).unwrap();
        let ask = |sql| rows(&database, sql, [], &mut |_| Ok(RowAction::Row));
        assert_eq!(ask("SELECT i FROM t"), Ok(()));
        let why = ask("SELECT i FROM v").unwrap_err();
        assert!(why.is_unreadable(), "{why}");
        let why = crate::import::engine::fields::columns(&database, "V").unwrap_err();
        assert!(why.is_unreadable() && why.to_string().contains("is a view"), "{why}");
    }
}
