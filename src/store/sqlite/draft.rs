//! The draft of a new ledger file, which other programs cannot see until it is complete.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::{
    FileContext, behind_links, beside, change_journal_mode, expect_no_log, private_file, refuse_stale_log,
};
use super::leftover::{SIDES, SUFFIX, sweep};
use super::lock_file::{AGAIN, LockAttempt, LockFile, NameLock};
use super::pool::ConnectionPool;
use super::{Options, PAGE, SqliteStore, connect};
use crate::model::error::{Error, Result};
use crate::store::directory;

/// The suffix of the lock file of the process that makes a draft.
const LOCK: &str = ".draft-lock";
/// How long another process's draft is waited for. Afterwards the import writes to a visible ledger.
const WAIT: Duration = Duration::from_secs(60);
/// Page cache in KiB. A draft is written sequentially, and rarely read again.
const CACHE: u32 = 4_000;

/// A ledger that is written next to its final path, and moved there when it is complete.
///
/// No other program can open it meanwhile, and a killed process leaves no ledger. It therefore needs no journal and no
/// locks, and only one sync. Dropping it deletes it. If several processes import at once, one makes a draft; the others
/// wait, and import the rest into the resulting ledger.
pub(crate) struct DraftLedger {
    names: DraftFiles,
    place: PathBuf,
    /// The only descriptor outside SQLite. It is older than SQLite's, and closed before the ledger gets its name.
    file: Arc<File>,
    turn: LockFile,
}

impl DraftLedger {
    /// Starts a draft; `None` if something is at the final path already, or a draft cannot be made there.
    pub fn beside(place: &Path) -> Result<Option<Self>> {
        let place = behind_links(place);
        let Some(name) = place.file_name() else { return Ok(None) };
        let made = || -> io::Result<Option<Self>> {
            let Some(turn) = wait_for_turn(&place)? else { return Ok(None) };
            // With the lock held, no other draft is in use.
            sweep(&place);
            let mut own = name.to_owned();
            own.push(format!(".{}{SUFFIX}", uuid::Uuid::now_v7().simple()));
            let path = place.with_file_name(own);
            let file = Arc::new(private_file(&path)?);
            Ok(Some(Self { names: DraftFiles { path }, place: place.clone(), file, turn }))
        };
        // Before the import reads all logs. The ledger gets its name after a second check.
        refuse_stale_log(&place)?;
        match made() {
            // The name of the ledger already has the maximal length.
            Err(error) if error.kind() == ErrorKind::InvalidFilename => Ok(None),
            Err(source) => Err(Error::Io { path: directory::parent(&place).to_owned(), source }),
            Ok(draft) => Ok(draft),
        }
    }

    /// Opens the draft for writing. It is worthless after a failed write.
    pub fn open(&self) -> Result<SqliteStore> {
        let about = self.about();
        let fail = |e| about.error(e, "making a ledger");
        let mut connection = connect::connect(&self.names.path).map_err(fail)?;
        let settings = format!(
            "PRAGMA page_size={PAGE}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; \
             PRAGMA cache_size=-{CACHE};"
        );
        connection.execute_batch(&settings).map_err(fail)?;
        let mut pool = ConnectionPool::new(self.about(), Options::new(), None);
        pool.draft = Some(Arc::clone(&self.file));
        pool.configure(&connection).map_err(fail)?;
        pool.make_tables(&mut connection)?;
        Ok(SqliteStore::over(pool.with_connection(connection)))
    }

    /// Whether the draft was deleted meanwhile, as `shred` does with all files that may contain shredded text.
    pub fn is_gone(&self) -> bool {
        !self.names.path.exists()
    }

    /// Syncs the draft and moves it to its final path, after its connections are closed. Returns false, and deletes the
    /// draft, if something is at that path by then or the move fails.
    pub fn put_in_place(self) -> Result<bool> {
        match self.finish() {
            Err(_) if self.is_gone() => return Ok(false),
            done => done?,
        }
        let Self { names, place, file, turn } = self;
        // Closing it later would drop the locks of a thread that opened the ledger by then.
        drop(file);
        let naming = match NameLock::wait(&place, WAIT.as_secs()) {
            Err(Error::Busy { .. }) => return Ok(false),
            naming => naming?,
        };
        expect_no_log(&place)?;
        // Unlike a rename, a link never replaces another file.
        if fs::hard_link(&names.path, &place).is_err() {
            return Ok(false);
        }
        drop(names);
        directory::sync(directory::parent(&place)).map_err(|source| Error::Io { path: place, source })?;
        drop((naming, turn));
        Ok(true)
    }

    /// Converts the draft to the usual form of a ledger, and syncs it.
    fn finish(&self) -> Result<()> {
        let about = self.about();
        let fail = |e| about.error(e, "making a ledger");
        let connection = connect::connect(&self.names.path).map_err(fail)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(fail)?;
        change_journal_mode(&connection, "WAL").map_err(fail)?;
        drop(connection);
        self.file.sync_all().map_err(|error| {
            if error.kind() == ErrorKind::StorageFull {
                return Error::DiskFull;
            }
            Error::Store { what: format!("making {} durable", self.names.path.display()), source: Box::new(error) }
        })
    }

    fn about(&self) -> FileContext {
        FileContext { path: self.names.path.clone(), busy_seconds: 0 }
    }
}

/// The names of a draft and of SQLite's files next to it.
struct DraftFiles {
    path: PathBuf,
}

impl Drop for DraftFiles {
    fn drop(&mut self) {
        for side in SIDES {
            let mut name = self.path.clone().into_os_string();
            name.push(side);
            // Most of them do not exist.
            let _ = fs::remove_file(name);
        }
    }
}

/// Waits until no other process makes a draft; `None` if a ledger exists by then, or the wait takes too long.
fn wait_for_turn(place: &Path) -> io::Result<Option<LockFile>> {
    let lock = beside(place, LOCK);
    let deadline = Instant::now() + WAIT;
    while !is_taken(place)? {
        match LockFile::attempt(&lock)? {
            // The previous process may just have created the ledger.
            LockAttempt::Taken(turn) => return Ok((!is_taken(place)?).then_some(turn)),
            LockAttempt::Held if Instant::now() < deadline => std::thread::sleep(AGAIN),
            // The wait took too long, or the file system has no locks.
            LockAttempt::Held | LockAttempt::NoLocks(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Whether anything is at a path, even a dangling link.
fn is_taken(place: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(place) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventStore, Table};

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn written(draft: &DraftLedger) {
        let store = draft.open().unwrap();
        let mut tx = store.write().unwrap();
        tx.put(Table::EventIndex, b"key", Some(b"value")).unwrap();
        tx.commit().unwrap();
    }

    #[test]
    fn a_draft_becomes_a_ledger_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        written(&draft);
        assert!(!place.exists());
        assert!(draft.put_in_place().unwrap());
        assert_eq!(names(dir.path()), ["usage.db"]);
        let store = SqliteStore::open(&place).unwrap();
        assert_eq!(store.read().unwrap().get(Table::EventIndex, b"key").unwrap().unwrap(), b"value");
        let lease = store.pool().unwrap().lease().unwrap();
        let of =
            |pragma: &str| -> String { lease.connection().unwrap().query_row(pragma, [], |row| row.get(0)).unwrap() };
        assert_eq!(of("PRAGMA journal_mode"), "wal");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(DraftLedger::beside(&place).unwrap().is_none());
    }

    #[test]
    fn a_draft_never_replaces_a_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        written(&draft);
        drop(SqliteStore::open(&place).unwrap());
        let before = fs::read(&place).unwrap();
        assert!(!draft.put_in_place().unwrap());
        assert_eq!(fs::read(&place).unwrap(), before);
        assert_eq!(names(dir.path()), ["usage.db", "usage.db-queue"]);
    }

    #[test]
    fn a_draft_stays_away_from_the_log_of_another_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let (place, log) = (dir.path().join("usage.db"), dir.path().join("usage.db-wal"));
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        written(&draft);
        fs::write(&log, "the log of a moved ledger").unwrap();
        assert!(matches!(draft.put_in_place(), Err(Error::StaleLog { .. })));
        assert!(matches!(DraftLedger::beside(&place), Err(Error::StaleLog { .. })));
        assert!(matches!(SqliteStore::open(&place), Err(Error::StaleLog { .. })));
        assert_eq!(names(dir.path()), ["usage.db-wal"]);
        fs::write(&log, "").unwrap();
        assert!(DraftLedger::beside(&place).unwrap().unwrap().put_in_place().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_no_lock_of_a_draft() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("usage.db.draft-lock");
        assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
        assert!(matches!(DraftLedger::beside(&dir.path().join("usage.db")), Err(Error::Io { .. })));
    }

    #[test]
    fn only_drafts_of_killed_processes_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let leave = |name: &str| drop(File::create(dir.path().join(name)).unwrap());
        let id = uuid::Uuid::now_v7().simple();
        leave(&format!("usage.db.{id}.draft"));
        leave(&format!("usage.db.{id}.draft-journal"));
        leave("usage.db.draft-lock");
        let mut left = vec!["usage.db.mine.draft".to_owned(), format!("other.db.{id}.draft"), format!("usage.db.{id}")];
        for name in &left {
            leave(name);
        }
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        left.push("usage.db.draft-lock".to_owned());
        left.sort();
        let others: Vec<_> = names(dir.path()).into_iter().filter(|name| !draft.names.path.ends_with(name)).collect();
        assert_eq!(others, left);
        written(&draft);
        assert!(draft.put_in_place().unwrap());
        left.retain(|name| name != "usage.db.draft-lock");
        left.push("usage.db".to_owned());
        left.sort();
        assert_eq!(names(dir.path()), left);
    }

    #[test]
    fn one_process_makes_a_draft_and_the_others_wait_for_the_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        std::thread::scope(|scope| {
            let others: Vec<_> =
                (0..4).map(|_| scope.spawn(|| DraftLedger::beside(&place).unwrap().is_none())).collect();
            written(&draft);
            assert!(draft.put_in_place().unwrap());
            assert!(others.into_iter().all(|other| other.join().unwrap()));
        });
        assert_eq!(names(dir.path()), ["usage.db"]);
        // If the previous process gives up, the next one takes the lock.
        fs::remove_file(&place).unwrap();
        let given_up = DraftLedger::beside(&place).unwrap().unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| DraftLedger::beside(&place).unwrap().unwrap().put_in_place().unwrap());
            drop(given_up);
            assert!(other.join().unwrap());
        });
    }

    #[test]
    fn the_second_name_of_a_draft_killed_after_linking_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        drop(SqliteStore::open(&place).unwrap());
        let id = uuid::Uuid::now_v7().simple();
        fs::hard_link(&place, dir.path().join(format!("usage.db.{id}.draft"))).unwrap();
        drop(SqliteStore::open(&place).unwrap());
        assert!(!names(dir.path()).iter().any(|name| name.contains("draft")));
    }

    #[test]
    fn a_draft_that_was_removed_meanwhile_is_not_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let draft = DraftLedger::beside(&dir.path().join("usage.db")).unwrap().unwrap();
        written(&draft);
        fs::remove_file(&draft.names.path).unwrap();
        assert!(!draft.put_in_place().unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn a_name_of_maximal_length_has_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        assert!(DraftLedger::beside(&dir.path().join("l".repeat(240))).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_dangling_link_creates_the_ledger_at_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let (link, real) = (dir.path().join("link.db"), dir.path().join("real"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink("real/usage.db", &link).unwrap();
        let draft = DraftLedger::beside(&link).unwrap().unwrap();
        written(&draft);
        assert!(draft.put_in_place().unwrap());
        assert_eq!(names(&real), ["usage.db"]);
        drop(SqliteStore::open(&link).unwrap());

        fs::remove_file(real.join("usage.db")).unwrap();
        drop(SqliteStore::open(&link).unwrap());
        assert_eq!(names(&real), ["usage.db", "usage.db-queue"]);
    }
}
