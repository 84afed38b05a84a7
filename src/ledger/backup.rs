//! Backups of a ledger, and their restoration.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Ledger, Verification};
use crate::merkle::{Checkpoint, Hash, Signer};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::projection::root_at;
use crate::store::{
    CopyKind, LockedLedger, Options, PendingCopy, copy_file, is_taken, refuse_ledger, refuse_stale_log,
};

/// A completed backup.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let dir = tempfile::tempdir()?;
/// let ledger = Ledger::open(dir.path().join("usage.db"))?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let backup = ledger.backup(dir.path().join("backup.db"), false, None)?;
/// assert_eq!((backup.size, backup.checkpoint), (1, None)); // nobody signed it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Events in it.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// A signed checkpoint of exactly these events.
    pub checkpoint: Option<String>,
    /// The new path of what was replaced, if it is no earlier state of this ledger.
    pub former: Option<PathBuf>,
}

/// A restored ledger.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let dir = tempfile::tempdir()?;
/// let (place, backup) = (dir.path().join("usage.db"), dir.path().join("backup.db"));
/// Ledger::open(&place)?.backup(&backup, false, None)?;
/// Ledger::open(&place)?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let restored = Ledger::restore(&backup, &place, true, &[])?;
/// assert_eq!(restored.size, 0);
/// let former = restored.former.unwrap(); // what was there is not lost
/// assert_eq!(Ledger::open(&former)?.head()?.position.get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Events in it.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The new path of the replaced ledger, or of its log if only that was left.
    pub former: Option<PathBuf>,
}

impl Ledger {
    /// Copies the ledger into a file without verifying the copy, for a trial.
    #[cfg(feature = "import")]
    pub(crate) fn copy_for_trial(&self, to: &Path) -> Result<()> {
        self.store().copy_to(to)
    }

    /// Copies the ledger into a file, while others may read and write it, and verifies the copy before it gets its
    /// name. With `replace` the file may exist. An earlier state of this ledger is replaced; any other ledger is renamed next
    /// to the path. A signer signs a checkpoint of the copy.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file is the ledger itself; [`Error::AlreadyExists`] if it exists; [`Error::StaleLog`] if
    /// the log of another ledger is there; [`Error::InUse`] if another program has the replaced file open;
    /// [`Error::Damaged`] at the first finding of `verify`, and no file is left at the path; the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let dir = tempfile::tempdir()?;
    /// let (ledger, signer) = (Ledger::open(dir.path().join("usage.db"))?, Signer::generate("a.example/log")?);
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let backup = ledger.backup(dir.path().join("backup.db"), false, Some(&signer))?;
    /// assert!(backup.checkpoint.unwrap().starts_with("a.example/log\n1\n"));
    /// assert!(ledger.backup(dir.path().join("backup.db"), false, None).is_err()); // it is there already
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>, replace: bool, signer: Option<&Signer>) -> Result<Backup> {
        let to = to.as_ref();
        refuse_ledger(to, None)?;
        if fs::symlink_metadata(to).is_ok_and(|meta| !(replace && meta.is_file())) {
            return Err(taken(to, replace));
        }
        if !replace {
            refuse_stale_log(to)?;
        }
        let copy = PendingCopy::beside(to, CopyKind::Backup)?;
        self.store().copy_to(copy.path())?;
        copy.finish()?;
        let copied = Self::open_with(copy.path(), Options::new().read_only(true))?;
        let verified = copied.verify()?;
        sound(&verified, "the copy")?;
        let checkpoint = signer.map(|signer| copied.snapshot()?.checkpoint(signer)).transpose()?;
        let former = if replace {
            replace_backup(to, copied, copy)?
        } else {
            drop(copied);
            copy.keep_at(to)?;
            None
        };
        Ok(Backup { size: verified.size, root: verified.root, checkpoint, former })
    }

    /// Restores a copy of a backup at a path. The copy is verified first, and must continue these checkpoints.
    ///
    /// An existing ledger is replaced only with `replace`, in one step, and only if no other program has it open. It is
    /// renamed next to the path.
    ///
    /// # Errors
    /// [`Error::Invalid`] if something is at the path and `replace` is not set; [`Error::InUse`] if another program has
    /// the ledger open; [`Error::Damaged`] or [`Error::Unproven`] if the backup is invalid; the store's own errors. The
    /// ledger at the path is then unchanged.
    ///
    /// ```
    /// use usage_ledger::Ledger;
    /// # let dir = tempfile::tempdir()?;
    /// let (place, backup) = (dir.path().join("usage.db"), dir.path().join("backup.db"));
    /// Ledger::open(&place)?.backup(&backup, false, None)?;
    /// assert!(Ledger::restore(&backup, &place, false, &[]).is_err()); // there is a ledger
    /// assert_eq!(Ledger::restore(&backup, dir.path().join("other.db"), false, &[])?.former, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        replace: bool,
        checkpoints: &[Checkpoint],
    ) -> Result<Restored> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let place = fs::canonicalize(to).unwrap_or_else(|_| to.to_owned());
        let is_there = is_taken(&place)?;
        if is_there && !replace {
            return Err(taken(to, replace));
        }
        if is_there && fs::canonicalize(from).is_ok_and(|from| from == place) {
            return Err(Error::invalid(format!("{} is the ledger itself: give the path of a backup", from.display())));
        }
        if !is_there && !replace {
            refuse_stale_log(&place)?;
        }
        let copy = PendingCopy::beside(&place, CopyKind::Restore)?;
        copy_file(from, copy.path())?;
        let (size, root) = {
            // This upgrades an older backup to the schema of this build.
            let copied = Self::open_with(copy.path(), Options::new().create(false))?;
            let verified = copied.verify_against(checkpoints)?;
            sound(&verified, &from.display().to_string())?;
            (verified.size, verified.root)
        };
        copy.finish()?;
        let former = if replace {
            LockedLedger::take(&place)?.replace_by(copy)?
        } else {
            copy.keep_at(&place)?;
            None
        };
        Ok(Restored { size, root, former })
    }
}

/// Replaces a backup with a newer copy. A ledger with events that the copy lacks is renamed, and its new path returned.
fn replace_backup(to: &Path, copied: Ledger, copy: PendingCopy) -> Result<Option<PathBuf>> {
    let mut former = LockedLedger::take_any(to)?;
    let is_earlier = former.read(|view| {
        let size = view.head()?.position.get();
        let snapshot = copied.snapshot()?;
        Ok(size <= snapshot.head()?.position.get() && root_at(view, size)? == snapshot.root_at(size)?)
    });
    drop(copied);
    // Events of a damaged ledger may exist nowhere else.
    if former.is_no_ledger() || matches!(is_earlier, Ok(Some(true))) {
        former.supersede_by(copy).map(|()| None)
    } else {
        former.replace_by(copy)
    }
}

fn taken(path: &Path, replace: bool) -> Error {
    if replace {
        return Error::invalid(format!("{} is there already: only a file can be replaced", path.display()));
    }
    Error::AlreadyExists { path: path.to_owned() }
}

/// Checks that an audit has no findings.
fn sound(verified: &Verification, of: &str) -> Result<()> {
    let Some(first) = verified.findings.first() else { return Ok(()) };
    let more = match verified.findings.len() {
        1 => String::new(),
        all => format!(" ({} more findings)", all - 1),
    };
    let position = first.position.filter(|position| *position > Position::START);
    Err(Error::damaged(position, format!("{of}: {}{more}", first.what)))
}
