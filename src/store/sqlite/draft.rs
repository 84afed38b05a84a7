//! A ledger file in the making, which nobody else knows of until it is whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};

use super::file::{FileContext, behind_links, create_private, plain};
use super::{PAGE, SqliteStore};
use crate::model::error::{Error, Result};

/// How a draft's name ends; before it stand the name of the ledger that it is to be, and a number drawn at random.
const SUFFIX: &str = ".draft";
/// A draft that nobody has written to for so long is left over from a process that was killed.
const LEFT_AFTER: Duration = Duration::from_secs(60 * 60);
/// What stands behind the names of a draft and of the files that SQLite may make beside it.
const SIDES: [&str; 4] = ["", "-journal", "-wal", "-shm"];
/// KiB of pages that are held: a draft is written from its beginning to its end, and little is read of it again.
const CACHE: u32 = 4_000;

/// A ledger that is written beside its place, and put there once it is whole.
///
/// Nobody else can open it meanwhile, and a process that is killed leaves no ledger. So it needs no journal, no locks, and
/// to be made durable only once. Whoever fails drops it, and it is gone.
pub(crate) struct DraftLedger {
    path: PathBuf,
    place: PathBuf,
}

impl DraftLedger {
    /// Begins a ledger beside its place; `None` where there is something at that place already, or no draft can be there.
    pub fn beside(place: &Path) -> Result<Option<Self>> {
        let place = behind_links(place);
        let Some(name) = place.file_name() else { return Ok(None) };
        sweep(&place);
        match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Io { path: place, source }),
            Ok(_) => return Ok(None),
        }
        let mut own = name.to_owned();
        own.push(format!(".{}{SUFFIX}", uuid::Uuid::now_v7().simple()));
        let path = place.with_file_name(own);
        match create_private(&path) {
            Ok(()) => Ok(Some(Self { path, place })),
            // The name of the ledger is as long as a name can be.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::InvalidFilename => Ok(None),
            Err(Error::Io { source, .. }) => Err(Error::Io { path: directory(&place).to_owned(), source }),
            Err(other) => Err(other),
        }
    }

    /// Opens the draft to be written to. What it holds is worth nothing once a write has failed.
    pub fn open(&self) -> Result<SqliteStore> {
        let about = FileContext { path: self.path.clone(), busy_seconds: 0 };
        let fail = |e| about.error(e, "making a ledger");
        let connection = self.connect().map_err(fail)?;
        let settings = format!(
            "PRAGMA page_size={PAGE}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; \
             PRAGMA cache_size=-{CACHE};"
        );
        connection.execute_batch(&settings).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(super::STATEMENTS);
        let mut store = SqliteStore { connection, about, is_draft: true };
        store.make_tables()?;
        Ok(store)
    }

    /// Makes it durable and puts it in its place, once who wrote to it has closed it. False, and the draft gone, where
    /// something is at that place by now, or it cannot be put there.
    pub fn put_in_place(self) -> Result<bool> {
        let about = FileContext { path: self.path.clone(), busy_seconds: 0 };
        let fail = |e| about.error(e, "making a ledger");
        if !self.path.exists() {
            return Ok(false); // taken for one that a killed process had left
        }
        let connection = self.connect().map_err(fail)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(fail)?;
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(())).map_err(fail)?;
        drop(connection);
        fs::OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.sync_all())
            .map_err(|error| self.not_durable(error))?;
        // Unlike renaming it, this never takes the place of another file.
        if fs::hard_link(&self.path, &self.place).is_err() {
            return Ok(false);
        }
        // Where a directory cannot be synced, its entries are durable otherwise.
        let _ = fs::File::open(directory(&self.place)).and_then(|directory| directory.sync_all());
        // Whoever else is making this ledger comes too late.
        sweep(&self.place);
        Ok(true)
    }

    fn not_durable(&self, error: std::io::Error) -> Error {
        match error.kind() {
            ErrorKind::StorageFull => Error::DiskFull,
            _ => Error::Store { what: format!("making {} durable", self.path.display()), source: Box::new(error) },
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        Connection::open_with_flags(
            plain(&self.path),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
    }
}

impl Drop for DraftLedger {
    fn drop(&mut self) {
        for side in SIDES {
            let mut name = self.path.clone().into_os_string();
            name.push(side);
            // Most of them are not there.
            let _ = fs::remove_file(name);
        }
    }
}

/// Removes the drafts that killed processes have left beside a ledger: all of them once it is there, for nobody can put one
/// in its place any more; else those that are old.
pub(super) fn sweep(place: &Path) {
    let Some(prefix) = place.file_name().map(|name| format!("{}.", name.to_string_lossy())) else { return };
    let is_made = place.exists();
    let Ok(entries) = fs::read_dir(directory(place)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some((id, side)) = name.strip_prefix(&prefix).and_then(|rest| rest.split_once(SUFFIX)) else { continue };
        let is_draft = uuid::Uuid::try_parse(id).is_ok() && SIDES.contains(&side);
        if is_draft && (is_made || is_left(&entry)) {
            // Should it be in use after all, who uses it finds it gone and writes a ledger as usual.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_left(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|meta| meta.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFT_AFTER))
}

fn directory(place: &Path) -> &Path {
    place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
        let mut store = draft.open().unwrap();
        let mut tx = store.write().unwrap();
        tx.put(Table::Facts, b"key", Some(b"value")).unwrap();
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
        let mut store = SqliteStore::open(&place).unwrap();
        assert_eq!(store.read().unwrap().get(Table::Facts, b"key").unwrap().unwrap(), b"value");
        let of = |pragma: &str| -> String { store.connection.query_row(pragma, [], |row| row.get(0)).unwrap() };
        assert_eq!(of("PRAGMA journal_mode"), "wal");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(DraftLedger::beside(&place).unwrap().is_none());
    }

    #[test]
    fn a_draft_never_takes_the_place_of_a_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        written(&draft);
        drop(SqliteStore::open(&place).unwrap());
        let before = fs::read(&place).unwrap();
        assert!(!draft.put_in_place().unwrap());
        assert_eq!(fs::read(&place).unwrap(), before);
        assert_eq!(names(dir.path()), ["usage.db"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("usage.db");
        let leave = |name: &str, hours: u64| {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3_600)).unwrap();
        };
        let id = uuid::Uuid::now_v7().simple();
        leave(&format!("usage.db.{id}.draft"), 2);
        leave(&format!("usage.db.{id}.draft-journal"), 2);
        let mut left = vec!["usage.db.mine.draft".to_owned(), format!("other.db.{id}.draft"), format!("usage.db.{id}")];
        for name in &left {
            leave(name, 2);
        }
        let at_work = format!("usage.db.{}.draft", uuid::Uuid::now_v7().simple());
        leave(&at_work, 0);
        let draft = DraftLedger::beside(&place).unwrap().unwrap();
        left.push(at_work.clone());
        left.sort();
        let others: Vec<_> = names(dir.path()).into_iter().filter(|name| !draft.path.ends_with(name)).collect();
        assert_eq!(others, left);
        // Once there is a ledger none can become one.
        written(&draft);
        assert!(draft.put_in_place().unwrap());
        left.retain(|name| *name != at_work);
        left.push("usage.db".to_owned());
        left.sort();
        assert_eq!(names(dir.path()), left);
    }

    #[test]
    fn a_draft_that_was_swept_is_no_ledger_and_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let draft = DraftLedger::beside(&dir.path().join("usage.db")).unwrap().unwrap();
        written(&draft);
        fs::remove_file(&draft.path).unwrap();
        assert!(!draft.put_in_place().unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn a_name_as_long_as_can_be_has_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        assert!(DraftLedger::beside(&dir.path().join("l".repeat(240))).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_ledger_that_is_not_there_yet_leads_to_where_it_is_made() {
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
        assert_eq!(names(&real), ["usage.db"]);
    }
}
