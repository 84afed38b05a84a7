//! Lists the logs on this machine, and which of them are imported.

use std::path::{Path, PathBuf};

use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use crate::import::engine::agent::Agent;
use crate::import::engine::compression::{is_packed, open};
use crate::import::engine::discover::{logs, roots};
use crate::import::engine::log_file::{LogFile, is_unchanged};
use crate::import::engine::reader;
use crate::import::engine::redacted_logs::RedactedLogs;
use crate::import::engine::regular;
use crate::import::engine::renormalise::is_deleted;
use crate::import::engine::source::Source;
use crate::import::health::skip_reasons::{SkippedCounts, reasons};
use crate::import::options::ImportOptions;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{ImportedFile, SkippedLine};
use crate::model::secrets;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::projection::file_states;

/// Logs that will be deleted within this number of days are listed.
const SOON_DAYS: i64 = 7;

/// The logs of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogInventory {
    /// The importer.
    pub source: String,
    /// Existing directories.
    pub places: Vec<PathBuf>,
    /// Number of logs.
    pub files: u64,
    /// Bytes of all logs.
    pub bytes: u64,
    /// Number of logs that an import would read, because they are new or changed.
    pub unread: u64,
    /// Number of imported logs that the agent has deleted. Their records remain.
    #[serde(rename = "gone")]
    pub deleted: u64,
    /// Days without a change after which the agent deletes a log, if it does.
    pub deleted_after_days: Option<u32>,
    /// Calls that its logs never contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never_logged: Vec<&'static str>,
    /// Logs that it deletes within a week, the next one first.
    #[serde(rename = "going")]
    pub expiring: Vec<ExpiringLog>,
    /// Logs and directories that cannot be read, and the reasons.
    pub unreadable: Vec<Unreadable>,
    /// Number of lines or entries that imports skipped, including those of deleted logs.
    pub skipped: u64,
    /// Logs with skipped lines.
    pub skipped_in: Vec<PathBuf>,
    /// Skipped lines or entries with reasons, as far as the ledger contains them.
    pub reasons: Vec<SkippedLine>,
}

/// A log that its agent will delete soon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpiringLog {
    /// The file.
    pub file: PathBuf,
    /// The time from which the agent deletes it, unless it changes before.
    pub from: Timestamp,
    /// Whether the ledger contains all its content.
    pub safe: bool,
}

/// A log, or a directory of logs, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// The reason.
    pub why: String,
}

/// Examines the logs that an import with these options would read, and imports nothing.
///
/// # Errors
/// Those of [`run`](crate::import::run).
pub fn inventory(
    snapshot: &Snapshot<'_>,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
) -> Result<Vec<LogInventory>> {
    let now = now.into();
    let mut skipping = SkippedCounts::new();
    let sources = options.agents()?.into_iter();
    let inventories = sources.map(|agent| of_agent(snapshot, agent, options, now, &mut skipping));
    let mut inventories = inventories.collect::<Result<Vec<_>>>()?;
    let mut reasons = reasons(snapshot, &skipping)?;
    for agent in &mut inventories {
        agent.reasons = reasons.remove(&agent.source).unwrap_or_default();
    }
    Ok(inventories)
}

fn of_agent(
    snapshot: &Snapshot<'_>,
    agent: &Agent,
    options: &ImportOptions,
    now: Timestamp,
    skipping: &mut SkippedCounts,
) -> Result<LogInventory> {
    let source = agent.source;
    let roots = roots(agent, &options.homes)?;
    let logs = logs(source, &roots);
    let places: Vec<PathBuf> = roots.into_iter().filter(|root| root.exists()).collect();
    let mut states = file_states(snapshot.view(), agent.name)?;
    let redacted = RedactedLogs::take(&mut states);
    let mut inventory = LogInventory {
        source: agent.name.to_owned(),
        never_logged: agent.unlogged.to_vec(),
        ..LogInventory::default()
    };
    for (file, error) in logs.unreadable {
        inventory.unreadable.push(Unreadable { file, why: error.to_string() });
    }
    let paths: Vec<&Path> = logs.files.iter().map(|file| file.path.as_path()).collect();
    let doomed = source.deleted_at_next_start(&paths);
    for file in logs.files {
        let stored = states.remove(&*secrets::path(&file.path.to_string_lossy()));
        let unread = !is_imported(source, &file, stored.as_ref(), &redacted);
        inventory.note_skipped(stored.as_ref(), skipping);
        inventory.files += 1;
        inventory.bytes += file.size;
        inventory.unread += u64::from(unread);
        let stored = stored.as_ref().filter(|_| unread);
        let why = match opened(source, &file.path) {
            Err(error) => Some(error.to_string()),
            Ok(()) if unread => refused(source, options, &file, stored),
            Ok(()) => None,
        };
        inventory.unreadable.extend(why.map(|why| Unreadable { file: file.path.clone(), why }));
        let kept_days =
            places.iter().find(|place| file.path.starts_with(place)).and_then(|place| agent.kept_days(place));
        if let Some(days) = kept_days {
            inventory.deleted_after_days =
                Some(inventory.deleted_after_days.map_or(days, |shortest| shortest.min(days)));
            let from = if doomed.contains(&file.path) { now } else { deleted_from(&file, days) };
            if from <= now.plus(SOON_DAYS * DAY) {
                inventory.expiring.push(ExpiringLog { file: file.path, from, safe: !unread });
            }
        }
    }
    for state in states.values() {
        inventory.deleted += u64::from(is_deleted(&state.path));
        inventory.note_skipped(Some(state), skipping);
    }
    inventory.expiring.sort_by(|a, b| (a.from, &a.file).cmp(&(b.from, &b.file)));
    inventory.skipped_in.sort();
    inventory.places = places;
    Ok(inventory)
}

impl LogInventory {
    fn note_skipped(&mut self, stored: Option<&ImportedFile>, skipping: &mut SkippedCounts) {
        if let Some(stored) = stored.filter(|stored| stored.skipped > 0) {
            self.skipped += stored.skipped;
            skipping.insert((self.source.clone(), stored.path.clone()), stored.skipped);
            self.skipped_in.push(PathBuf::from(&stored.path));
        }
    }
}

/// Checks that a log can be opened. SQLite opens databases itself.
fn opened(source: &dyn Source, path: &Path) -> std::io::Result<()> {
    let is_database = source.format(path).is_database();
    if is_database { regular::check(path).map(drop) } else { regular::open(path).map(drop) }
}

/// Returns why an import would skip the whole of a log that can be opened.
fn refused(
    source: &dyn Source,
    options: &ImportOptions,
    file: &LogFile,
    stored: Option<&ImportedFile>,
) -> Option<String> {
    if source.format(&file.path).is_lines() {
        // Skipped lines are reported one by one. A file that cannot be unpacked has no lines to report.
        return is_packed(&file.path).then(|| content_hash(&file.path).err()).flatten().map(|error| error.to_string());
    }
    let mut why = None;
    reader::read(source, options.zone.unwrap_or(Zone::UTC), file, stored, &mut |chunk| {
        let mut chunk = chunk;
        chunk.scrub();
        let mut skipped = chunk.skipped;
        let refused = (chunk.state.is_none() || chunk.unreadable > 0).then(|| skipped.pop()).flatten();
        why = refused.map(|skipped| skipped.why);
        true
    });
    why
}

/// Returns whether an import would find nothing new in a log. A log that cannot be read counts as not imported.
pub(super) fn is_imported(
    source: &dyn Source,
    file: &LogFile,
    stored: Option<&ImportedFile>,
    redacted: &RedactedLogs,
) -> bool {
    match stored {
        Some(stored) => is_unchanged(file, stored) || is_same(source, file, stored),
        None => redacted.contains(source, file).is_ok_and(|contained| contained),
    }
}

/// Returns whether a log has the content that was imported, although its time or identity changed.
fn is_same(source: &dyn Source, file: &LogFile, stored: &ImportedFile) -> bool {
    !source.format(&file.path).is_database()
        && content_hash(&file.path).is_ok_and(|hash| format!("{hash:016x}") == stored.hash)
}

fn content_hash(path: &Path) -> std::io::Result<u64> {
    let mut hash = Xxh3::new();
    std::io::copy(&mut open(path)?, &mut hash)?;
    Ok(hash.digest())
}

fn deleted_from(file: &LogFile, days: u32) -> Timestamp {
    Timestamp::from_millis(file.modified / 1_000_000).plus(i64::from(days) * DAY)
}
