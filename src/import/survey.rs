//! Which logs there are, and which of them are in the ledger already.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ImportOptions;
use super::discover::{LogFile, logs, roots};
use super::run::is_unchanged;
use super::source::Source;
use crate::error::Result;
use crate::ledger::Sight;
use crate::projection::file_states;
use crate::time::{DAY, Timestamp};

/// Logs that are deleted within so many days are soon gone.
const SOON_DAYS: i64 = 7;

/// The logs of one agent.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let home = tempfile::tempdir()?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let mut ledger = Ledger::in_memory()?;
/// let found = import::survey(&ledger.sight()?, &options, chrono::Utc::now())?;
/// assert!(found.iter().all(|agent| agent.files == 0)); // an empty home
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Surveyed {
    /// The importer.
    pub source: String,
    /// The directories that are there.
    pub places: Vec<PathBuf>,
    /// Logs that were found.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Logs that an import would read: they are new, or have changed.
    pub unread: u64,
    /// Logs that the ledger knows and the agent has deleted: their records are safe.
    pub gone: u64,
    /// After how many days without a change the agent deletes a log, if it does.
    pub deleted_after_days: Option<u32>,
    /// Logs that it deletes within a week.
    pub going: u64,
    /// Those of them that are not in the ledger as they are now.
    pub going_unread: u64,
    /// Logs that cannot be opened, and why.
    pub unreadable: Vec<Unreadable>,
}

/// A log that cannot be opened.
///
/// ```
/// let denied = usage_ledger::import::Unreadable { file: "/root/x.jsonl".into(), why: "permission denied".to_owned() };
/// assert!(denied.why.contains("denied"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub why: String,
}

/// Looks at the logs that an import with these options would read, and reads none.
///
/// # Errors
/// As those of [`run`](super::run).
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let home = tempfile::tempdir()?;
/// # let logs = home.path().join(".claude/projects/acme");
/// # std::fs::create_dir_all(&logs)?;
/// std::fs::write(logs.join("s.jsonl"), "{}\n")?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let mut ledger = Ledger::in_memory()?;
/// let found = import::survey(&ledger.sight()?, &options, chrono::Utc::now())?;
/// let claude = found.iter().find(|agent| agent.source == "claude-code").unwrap();
/// assert_eq!((claude.files, claude.unread, claude.deleted_after_days), (1, 1, Some(30)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn survey(sight: &Sight<'_>, options: &ImportOptions, now: impl Into<Timestamp>) -> Result<Vec<Surveyed>> {
    let now = now.into();
    options.sources()?.into_iter().map(|source| one(sight, source, options, now)).collect()
}

fn one(sight: &Sight<'_>, source: &dyn Source, options: &ImportOptions, now: Timestamp) -> Result<Surveyed> {
    let roots = roots(source, &options.homes)?;
    let places: Vec<PathBuf> = roots.into_iter().filter(|root| root.exists()).collect();
    let mut states = file_states(sight.view(), source.name())?;
    let mut found = Surveyed { source: source.name().to_owned(), ..Surveyed::default() };
    for file in logs(source, &places)? {
        let known = states.remove(&*file.path.to_string_lossy());
        let unread = !known.is_some_and(|known| is_unchanged(&file, &known));
        found.files += 1;
        found.bytes += file.size;
        found.unread += u64::from(unread);
        if let Err(error) = File::open(&file.path) {
            found.unreadable.push(Unreadable { file: file.path.clone(), why: error.to_string() });
        }
        let kept = places.iter().find(|place| file.path.starts_with(place)).and_then(|place| source.kept_days(place));
        if let Some(days) = kept {
            found.deleted_after_days = Some(found.deleted_after_days.map_or(days, |known| known.min(days)));
            let going = is_going(&file, days, now);
            found.going += u64::from(going);
            found.going_unread += u64::from(going && unread);
        }
    }
    found.gone = states.keys().filter(|path| !Path::new(path).exists()).count() as u64;
    found.places = places;
    Ok(found)
}

fn is_going(file: &LogFile, days: u32, now: Timestamp) -> bool {
    let age = now.millis().saturating_sub(file.modified / 1_000_000);
    age >= (i64::from(days) - SOON_DAYS).max(0) * DAY
}
