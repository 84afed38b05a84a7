//! Copies a ledger into a file, and replaces a ledger with a copy.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::file::{
    FileContext, SQLITE_SIDES, behind_links, beside, change_journal_mode, expect_no_log, is_taken, log_beside, plain,
    prepare_journal, private_file, remove_empty_journal,
};
use super::inspect::refuse_foreign;
use super::leftover::{COPY_LOCK, COPY_SIDES, CopyKind, sweep_copies};
use super::lock_file::{LockAttempt, LockFile, NameLock};
use super::pool::Lease;
use super::read_only::{self, FilesState};
use super::user_file::refuse_ledger;
use super::view::SqliteView;
use crate::model::error::{Error, Result};
use crate::store::{ReadView, directory};

/// The delay between attempts to copy while the ledger is locked exclusively.
const AGAIN: Duration = Duration::from_millis(20);
/// How long restore waits for other programs to close the ledger, in seconds.
const CLOSE_SECONDS: u64 = 2;
/// How long a copy waits for a program that makes a ledger at its path, in seconds.
const NAME_SECONDS: u64 = 30;

/// A file that is deleted on drop unless it is kept.
#[derive(Debug)]
pub(crate) struct PendingCopy {
    path: PathBuf,
    kept: bool,
    /// The lock that tells others that this process still writes the file. The other files are removed before it.
    _writing: LockFile,
}

impl PendingCopy {
    /// A path next to `path` for a file that is renamed to it later. Removes the files of killed programs there.
    pub fn beside(path: &Path, kind: CopyKind) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::invalid(format!("`{}` names no file: give the path of one", path.display())))?;
        sweep_copies(directory::parent(path));
        loop {
            let mut own = std::ffi::OsString::from(".");
            own.push(name);
            own.push(format!(".{}.{}", uuid::Uuid::now_v7().simple(), kind.suffix()));
            let path = path.with_file_name(own);
            match LockFile::attempt(&beside(&path, COPY_LOCK)) {
                Ok(LockAttempt::Taken(writing) | LockAttempt::NoLocks(writing)) => {
                    return Ok(Self { path, kept: false, _writing: writing });
                }
                // A program that removes the files of killed ones found this one before it was locked.
                Ok(LockAttempt::Held) => {}
                Err(source) => return Err(Error::Io { path, source }),
            }
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the file to its final path, after it is closed. It overwrites only an empty file, and stays away from the log
    /// of another ledger.
    pub fn keep_at(self, path: &Path) -> Result<()> {
        self.keep_within(path, NAME_SECONDS)
    }

    fn keep_within(self, path: &Path, seconds: u64) -> Result<()> {
        self.finish()?;
        let taken = |path: &Path| Error::AlreadyExists { path: path.to_owned() };
        // A program that makes a ledger in an empty file finishes it first.
        let _naming = NameLock::wait(path, seconds)?;
        expect_no_log(path)?;
        if is_taken(path)? {
            return Err(taken(path));
        }
        let done = if fs::metadata(path).is_ok() {
            fs::rename(&self.path, path)
        } else {
            match fs::hard_link(&self.path, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(path)),
                // Some file systems have no hard links.
                Err(_) if fs::symlink_metadata(path).is_ok() => return Err(taken(path)),
                Err(_) => fs::rename(&self.path, path),
                Ok(()) => fs::remove_file(&self.path),
            }
        };
        self.settle(path, done)
    }

    /// Moves the file to its final path, after it is closed. The caller made sure that no log is there, and holds the
    /// lock of the name.
    fn put_over(self, path: &Path, _naming: &NameLock) -> Result<()> {
        self.finish()?;
        let done = fs::rename(&self.path, path);
        self.settle(path, done)
    }

    /// Makes the file durable. That can take long, so it is done before the path is locked, and does nothing the second
    /// time.
    pub fn finish(&self) -> Result<()> {
        // A connection that cannot move its log into the file leaves it, and the file alone is not the ledger.
        if let Some(log) = log_beside(&self.path) {
            let source = format!("{} still contains a part of it", log.display()).into();
            return Err(Error::Store { what: "completing the copy of the ledger".to_owned(), source });
        }
        sync(&self.path)
    }

    fn settle(mut self, path: &Path, done: std::io::Result<()>) -> Result<()> {
        done.and_then(|()| directory::sync(directory::parent(path)))
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        self.kept = true;
        self.remove("-queue");
        Ok(())
    }

    /// Removes a file beside this one. Most of them do not exist.
    fn remove(&self, end: &str) {
        let _ = fs::remove_file(beside(&self.path, end));
    }
}

impl Drop for PendingCopy {
    fn drop(&mut self) {
        if !self.kept {
            for end in COPY_SIDES {
                self.remove(end);
            }
        }
    }
}

/// Copies all pages of a database into a new private file. Others may read and write meanwhile: the copy is one
/// consistent state.
pub(super) fn copy_pages(from: &Connection, to: &Path, about: &FileContext) -> Result<()> {
    private_file(to).map_err(|source| Error::Io { path: to.to_owned(), source })?;
    let fail = |error| about.error(error, "copying the ledger");
    {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(plain(to), flags).map_err(fail)?;
        copy.execute_batch("PRAGMA synchronous=OFF").map_err(fail)?;
        let backup = Backup::new(from, &mut copy).map_err(fail)?;
        let end = Instant::now() + Duration::from_secs(about.busy_seconds);
        loop {
            // All pages in one step, because a step is one read transaction.
            match backup.step(-1).map_err(fail)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked if Instant::now() >= end => {
                    return Err(Error::Busy { seconds: about.busy_seconds });
                }
                _ => std::thread::sleep(AGAIN),
            }
        }
    }
    Ok(())
}

/// Copies the pages of a ledger file of any schema, opened read-only.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let about = FileContext { path: from.to_owned(), busy_seconds: CLOSE_SECONDS };
    if !from.exists() {
        return Err(Error::Io { path: from.to_owned(), source: ErrorKind::NotFound.into() });
    }
    refuse_foreign(from)?;
    if !is_taken(from)? {
        return Err(Error::invalid(format!("{} is empty: it is no backup", from.display())));
    }
    let from =
        read_only::connect(from, &FilesState::at(from)).map_err(|error| about.error(error, "opening the backup"))?;
    copy_pages(&from, to, &about)
}

/// Syncs a file that no connection of this process has open.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| match source.kind() {
        ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::Io { path: path.to_owned(), source },
    })
}

/// What is at the path of a file that is replaced.
enum Former {
    /// An exclusively locked ledger, which no other program can open.
    Locked(Lease),
    /// Nothing, or a ledger that is too damaged to open.
    Unopened,
    /// A ledger that this user may only read.
    ReadOnly,
    /// A ledger that this build cannot open.
    Newer,
    /// A file of another program, or one of several names of a ledger: replacing this name loses nothing of a ledger.
    Other,
}

/// A path that is locked until this is dropped. No other program can open a ledger that is there, or put one there.
pub(crate) struct LockedLedger {
    former: Former,
    path: PathBuf,
    naming: NameLock,
}

impl LockedLedger {
    /// Locks the ledger at a path exclusively.
    ///
    /// A ledger that is too damaged to open can be replaced too; a foreign file cannot.
    pub fn take(path: &Path) -> Result<Self> {
        Self::lock(path, NAME_SECONDS, |_| None)
    }

    /// As [`take`](Self::take), but it also takes a file that is no ledger, or that cannot be locked as one, if no log
    /// is beside it.
    pub fn take_any(path: &Path) -> Result<Self> {
        Self::lock(path, NAME_SECONDS, |error| match error {
            Error::ReadOnly { .. } => Some(Former::ReadOnly),
            Error::NewerSchema { .. } => Some(Former::Newer),
            Error::NotALedger { .. } | Error::HardLinked { .. } => Some(Former::Other),
            _ => None,
        })
    }

    fn lock(path: &Path, seconds: u64, other: impl Fn(&Error) -> Option<Former>) -> Result<Self> {
        let path = behind_links(path);
        // A program that makes a ledger here finishes it first.
        let naming = match NameLock::wait(&path, seconds) {
            Err(Error::Busy { .. }) => return Err(Error::InUse { path }),
            naming => naming?,
        };
        if !is_taken(&path)? {
            return Ok(Self { former: Former::Unopened, path, naming });
        }
        // A damaged ledger is copied without SQLite, and closing such a file drops the locks of this process's
        // connections.
        if refuse_ledger(&path, None).is_err() {
            return Err(Error::InUse { path });
        }
        let options = Options::new().create(false).busy_timeout_seconds(CLOSE_SECONDS);
        let opened = options.open_named(&path, Some(&naming)).and_then(|pool| {
            let connection = pool.lease()?;
            hold_alone(&connection)?;
            Ok(connection)
        });
        let former = match opened {
            Ok(connection) => Former::Locked(connection),
            Err(Error::Damaged { .. }) => Former::Unopened,
            Err(Error::Busy { .. }) => return Err(Error::InUse { path }),
            Err(error) => match other(&error) {
                Some(former) if log_beside(&path).is_none() => former,
                _ => return Err(error),
            },
        };
        Ok(Self { former, path, naming })
    }

    /// Reads the ledger; `None` if there is none that can be opened.
    pub fn read<T>(&mut self, work: impl FnOnce(&dyn ReadView) -> Result<T>) -> Result<Option<T>> {
        let lease = match std::mem::replace(&mut self.former, Former::Unopened) {
            Former::Locked(lease) => lease,
            Former::ReadOnly => {
                self.former = Former::ReadOnly;
                let pool = Options::new().read_only(true).open_pool(&self.path)?;
                return SqliteView::read(pool.lease()?).and_then(|view| work(&view)).map(Some);
            }
            former => {
                self.former = former;
                return Ok(None);
            }
        };
        let pool = Arc::clone(&lease.pool);
        let done = SqliteView::read(lease).and_then(|view| work(&view));
        // The view gave back the connection that has the lock, and no other one is idle.
        self.former = Former::Locked(pool.lease()?);
        done.map(Some)
    }

    /// Whether replacing the file loses no event of a ledger.
    pub fn is_no_ledger(&self) -> bool {
        matches!(self.former, Former::Other)
    }

    /// Replaces the file with a copy that contains all of its events.
    pub fn supersede_by(self, copy: PendingCopy) -> Result<()> {
        copy.put_over(&self.path, &self.naming)
    }

    /// Replaces the ledger with a copy. The old ledger is renamed, and its new path returned. If only its log is left, that
    /// is renamed and returned.
    pub fn replace_by(self, copy: PendingCopy) -> Result<Option<PathBuf>> {
        let io = |path: &Path, source| Error::Io { path: path.to_owned(), source };
        let mut former = None;
        let kept = former_name(&self.path);
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| !meta.is_file() || meta.len() > 0) {
            if fs::hard_link(&self.path, &kept).is_err() {
                match &self.former {
                    Former::Locked(lease) => copy_pages(lease.connection()?, &kept, &lease.pool.about)?,
                    _ => fs::copy(&self.path, &kept).map(drop).map_err(|source| io(&kept, source))?,
                }
            }
            former = Some(kept.clone());
        }
        // A remaining log would be applied to the copy. A locked ledger has none, and its connection owns its journal.
        let ends = if matches!(self.former, Former::Locked(_)) { &["-wal", "-shm"][..] } else { &SQLITE_SIDES };
        for end in ends {
            let (name, kept) = (beside(&self.path, end), beside(&kept, end));
            let Ok(meta) = fs::symlink_metadata(&name) else { continue };
            fs::rename(&name, &kept).map_err(|source| io(&name, source))?;
            if former.is_none() && *end != "-shm" && meta.len() > 0 {
                former = Some(kept);
            }
        }
        copy.put_over(&self.path, &self.naming)?;
        Ok(former)
    }
}

/// A name for a replaced file.
pub(crate) fn former_name(path: &Path) -> PathBuf {
    let now = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3f");
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{}{now}", super::leftover::REPLACED));
    name.into()
}

/// Locks the file exclusively for this connection, with its write-ahead log moved into it.
fn hold_alone(lease: &Lease) -> Result<()> {
    let (about, connection) = (&lease.pool.about, lease.connection()?);
    let fail = |error| about.error(error, "locking the ledger");
    connection.query_row("PRAGMA locking_mode=EXCLUSIVE", [], |_| Ok(())).map_err(fail)?;
    prepare_journal(&about.path)?;
    let left = leave_log(about, connection);
    if left.is_err() {
        remove_empty_journal(&about.path);
    }
    left?;
    // A write takes the lock if the file was not in WAL mode.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT").map_err(fail)
}

/// Leaves WAL mode. That takes an exclusive lock, which is then kept.
fn leave_log(about: &FileContext, connection: &Connection) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(about.busy_seconds);
    loop {
        let changed = change_journal_mode(connection, "DELETE");
        match changed.map_err(|error| about.error(error, "locking the ledger")) {
            Ok(mode) if mode == "delete" => return Ok(()),
            Ok(_) => return Err(Error::Busy { seconds: about.busy_seconds }),
            Err(Error::Busy { .. }) if Instant::now() < end => std::thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::SqliteStore;
    use super::super::identity::OpenFiles;
    use super::super::pool::ConnectionPool;
    use super::*;
    use crate::store::{EventStore, Table};

    /// A copy of a ledger with one row, and the directory of the original.
    fn copy_for(place: &Path) -> (PendingCopy, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("from.db")).unwrap();
        let mut tx = store.write().unwrap();
        tx.put(Table::EventIndex, b"key", Some(b"restored")).unwrap();
        tx.commit().unwrap();
        let copy = PendingCopy::beside(place, CopyKind::Restore).unwrap();
        store.copy_to(copy.path()).unwrap();
        (copy, dir)
    }

    fn value(place: &Path) -> Option<Vec<u8>> {
        SqliteStore::open(place).unwrap().read().unwrap().get(Table::EventIndex, b"key").unwrap()
    }

    /// A creator that has made the empty file, and not yet its first page.
    fn creator(place: &Path) -> (Connection, OpenFiles, Option<NameLock>) {
        let about = FileContext { path: place.to_owned(), busy_seconds: 0 };
        Options::new().connect(place, &about, false).unwrap()
    }

    #[test]
    fn no_file_takes_the_name_of_a_ledger_that_is_being_made() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let (mut connection, files, naming) = creator(&place);
        assert_eq!(fs::metadata(&place).unwrap().len(), 0);
        assert!(matches!(copy_for(&place).0.keep_within(&place, 0), Err(Error::Busy { seconds: 0 })));
        assert!(matches!(LockedLedger::lock(&place, 0, |_| None), Err(Error::InUse { .. })));
        assert!(matches!(Options::new().busy_timeout_seconds(0).open(&place), Err(Error::Busy { seconds: 0 })));
        let about = FileContext { path: place.clone(), busy_seconds: 0 };
        let mut pool = ConnectionPool::new(about, Options::new(), Some(files));
        pool.prepare(&mut connection).unwrap();
        pool.note_files().unwrap();
        drop(naming);
        let store = SqliteStore::over(pool.with_connection(connection));
        let mut tx = store.write().unwrap();
        tx.put(Table::EventIndex, b"key", Some(b"recorded")).unwrap();
        tx.commit().unwrap();
        assert!(matches!(copy_for(&place).0.keep_within(&place, 0), Err(Error::AlreadyExists { .. })));
        assert!(matches!(LockedLedger::take(&place), Err(Error::InUse { .. })));
        drop(store);
        assert_eq!(value(&place).unwrap(), b"recorded");
        assert!(!beside(&place, ".name-lock").exists());
    }

    #[test]
    fn a_ledger_is_made_only_behind_the_lock_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let held = NameLock::wait(&place, 0).unwrap();
        let impatient = || Options::new().busy_timeout_seconds(0).open(&place).map(drop);
        assert!(matches!(impatient(), Err(Error::Busy { seconds: 0 })));
        assert!(!place.exists());
        fs::write(&place, "").unwrap();
        assert!(matches!(impatient(), Err(Error::Busy { seconds: 0 })));
        let (copy, _from) = copy_for(&place);
        std::thread::scope(|scope| {
            // It finds the copy, however far it is when the copy gets the name.
            let opened = scope.spawn(|| value(&place));
            copy.put_over(&place, &held).unwrap();
            // Programs that open a ledger do not need the lock.
            drop(SqliteStore::open(&place).unwrap());
            drop(held);
            assert_eq!(opened.join().unwrap().unwrap(), b"restored");
        });
    }

    #[test]
    fn the_journal_of_a_killed_creation_neither_stops_nor_empties_a_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = vec![0_u8; 512];
        journal[..8].copy_from_slice(&super::super::file::JOURNAL_MAGIC);
        journal[20..24].copy_from_slice(&512_u32.to_be_bytes());
        journal[24..28].copy_from_slice(&8_192_u32.to_be_bytes());
        let killed = |name: &str, journal: &[u8]| {
            let place = dir.path().join(name);
            fs::write(&place, "").unwrap();
            fs::write(beside(&place, "-journal"), journal).unwrap();
            place
        };
        let place = killed("opened.db", &journal);
        assert_eq!(value(&place), None);
        let place = killed("restored.db", &journal);
        copy_for(&place).0.keep_at(&place).unwrap();
        assert_eq!(value(&place).unwrap(), b"restored");
        let place = killed("replaced.db", &journal);
        LockedLedger::take(&place).unwrap().replace_by(copy_for(&place).0).unwrap();
        assert_eq!(value(&place).unwrap(), b"restored");
        // A journal that restores pages is that of another file.
        journal[19] = 1;
        let place = killed("moved.db", &journal);
        assert!(matches!(SqliteStore::open(&place), Err(Error::StaleLog { .. })));
        assert!(matches!(copy_for(&place).0.keep_at(&place), Err(Error::StaleLog { .. })));
        assert_eq!(fs::read(beside(&place, "-journal")).unwrap(), journal);
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_opened_the_replaced_ledger_opens_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        drop(SqliteStore::open(&place).unwrap());
        let locked = LockedLedger::take(&place).unwrap();
        let former = super::super::identity::Identity::at(&place).unwrap().unwrap();
        let (copy, _from) = copy_for(&place);
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| value(&place));
            // It waits for the lock of the former file, or has not opened it yet: the result must be the same.
            let end = Instant::now() + Duration::from_secs(10);
            while former.handles() < 2 && Instant::now() < end {
                std::thread::yield_now();
            }
            locked.replace_by(copy).unwrap();
            assert_eq!(opened.join().unwrap().unwrap(), b"restored");
        });
    }

    #[test]
    fn a_log_beside_an_empty_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (place, log) = (dir.path().join("usage.db"), dir.path().join("usage.db-wal"));
        fs::write(&place, "").unwrap();
        fs::write(&log, "acknowledged events").unwrap();
        for options in [Options::new(), Options::new().create(false), Options::new().read_only(true)] {
            assert!(matches!(options.open(&place), Err(Error::StaleLog { .. })), "{options:?}");
        }
        assert!(matches!(copy_file(&place, &dir.path().join("copy.db")), Err(Error::StaleLog { .. })));
        assert_eq!(fs::read(&log).unwrap(), b"acknowledged events");
    }

    #[test]
    fn only_copies_of_killed_programs_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(dir.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let store = SqliteStore::open(&place).unwrap();
        let other = format!(".usage.db.{}", uuid::Uuid::now_v7().simple());
        fs::write(dir.path().join(&other), "").unwrap();
        let before = names();
        let leave = || {
            for kind in ["backup", "restore", "archive", "pull"] {
                let id = uuid::Uuid::now_v7().simple();
                for side in COPY_SIDES.into_iter().chain([COPY_LOCK]) {
                    fs::write(dir.path().join(format!(".b.db.{id}.{kind}{side}")), "events").unwrap();
                }
            }
        };
        leave();
        let (copy, _from) = copy_for(&place);
        let mut with_copy = before.clone();
        let own = copy.path().file_name().unwrap().to_str().unwrap().to_owned();
        with_copy.extend([format!("{own}-lock"), own]);
        with_copy.sort();
        assert_eq!(names(), with_copy);
        leave();
        store.erase().unwrap();
        assert_eq!(names(), with_copy, "the copy is still written");
        drop(copy);
        assert_eq!(names(), before);
    }
}
