//! The import: files in parallel, who gathers what they tell, and one writer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use super::budget::{Budget, Share};
use super::discover::{LogFile, Logs, logs, roots};
use super::gather::{Batch, Gatherer};
use super::hands::Hands;
use super::known::Known;
use super::reader::Chunk;
use super::source::Source;
use super::twin::Heard;
use super::withdrawn::Withdrawn;
use super::write::{Alone, Writer};
use super::{ImportOptions, ImportReport, Progress, SourceReport};
use crate::error::{Error, Result};
use crate::event::{ImportedFile, Position, SkippedLine};
use crate::ledger::{Ledger, Outcome};
use crate::projection::file_states;
use crate::time::{Timestamp, Zone};

/// Records that readers may be ahead.
const AHEAD: usize = 2_048;
/// Bytes of logs from which on the store is put in order beside the writing.
const MUCH: u64 = 16 << 20;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// Imports what is new in agents' logs.
///
/// Every transaction holds the records of some files' parts together with how far those files are read, so an
/// import that is killed loses nothing and repeats nothing. `progress` is called now and then.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown source, [`Error::Io`](crate::Error::Io) for a home
/// that cannot be read (nothing is imported then), and the store's own. Another place that cannot be read is told of in the
/// report.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// # let logs = home.path().join(".claude/projects/acme");
/// # std::fs::create_dir_all(&logs)?;
/// let line = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-11-23T19:00:00Z","requestId":"req_1",
///     "message":{"id":"msg_1","model":"claude-opus-4-5","usage":{"input_tokens":30,"output_tokens":12}}}"#;
/// std::fs::write(logs.join("s.jsonl"), line.replace('\n', " ") + "\n")?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let mut ledger = Ledger::in_memory()?;
/// import::run(&mut ledger, &options, now, &mut |_| {})?;
/// import::run(&mut ledger, &options, now, &mut |_| {})?; // nothing is new
/// assert_eq!(ledger.provider("anthropic", now)?.all_time.tokens.total(), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(
    ledger: &mut Ledger,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport> {
    run_some(ledger, options, None, now, progress)
}

/// Files that are known to have changed, and the directories that are watched.
pub(super) struct Named<'n> {
    pub paths: BTreeSet<PathBuf>,
    pub roots: &'n BTreeSet<PathBuf>,
}

/// Imports all that is new, or what is new in some files.
pub(super) fn run_some(
    ledger: &mut Ledger,
    options: &ImportOptions,
    named: Option<&Named<'_>>,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport> {
    let now = now.into();
    // Look everywhere before anything is written.
    let mut jobs = Vec::new();
    for source in options.sources()? {
        let mut roots = roots(source, &options.homes)?;
        let found = if let Some(named) = named {
            roots.retain(|root| named.roots.contains(root));
            let files = super::discover::named(source, &roots, &named.paths);
            if files.is_empty() {
                continue;
            }
            Logs { files, ..Logs::default() }
        } else {
            logs(source, &roots)
        };
        jobs.push(Job::new(source, roots, found, options.zone.unwrap_or(Zone::UTC), ledger)?);
    }
    let mut bar = Progress { total: jobs.iter().map(Job::bytes).sum(), ..Progress::default() };
    progress(bar);
    let mut report = ImportReport::default();
    let head = ledger.head()?.position;
    let (mut known, mut alone) = (Known::new(head == Position::START), Alone::since(head));
    let housekeeping = if bar.total >= MUCH { ledger.housekeeping()? } else { None };
    std::thread::scope(|scope| {
        let hands = Hands::start(scope, housekeeping);
        for job in jobs {
            report.sources.push(job.run(ledger, now, (&mut known, &mut alone, &hands), &mut bar, progress)?);
        }
        Ok(report)
    })
}

/// How far the readers of a job are.
struct Read {
    /// The next file.
    next: AtomicUsize,
    bytes: AtomicU64,
    records: AtomicU64,
    ahead: Budget,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            next: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            records: AtomicU64::new(0),
            ahead: Budget::new(AHEAD),
        }
    }
}

impl Read {
    fn added_to(&self, bar: Progress) -> Progress {
        Progress {
            total: bar.total,
            done: bar.done + self.bytes.load(Ordering::Relaxed),
            records: bar.records + self.records.load(Ordering::Relaxed),
        }
    }
}

/// One importer's files that are new or changed.
struct Job {
    source: &'static dyn Source,
    roots: Vec<PathBuf>,
    zone: Zone,
    files: u64,
    unreadable: Vec<SkippedLine>,
    changed: Vec<(LogFile, Option<ImportedFile>)>,
}

impl Job {
    fn new(
        source: &'static dyn Source,
        roots: Vec<PathBuf>,
        found: Logs,
        zone: Zone,
        ledger: &mut Ledger,
    ) -> Result<Self> {
        let mut states = file_states(ledger.sight()?.view(), source.name())?;
        let withdrawn = Withdrawn::take(&mut states);
        let files = found.files.len() as u64;
        let unreadable = found.unreadable.into_iter().map(|(path, error)| SkippedLine {
            file: path.to_string_lossy().into_owned(),
            line: 0,
            why: format!("it cannot be read: {error}"),
        });
        let unreadable = unreadable.collect();
        let changed = found
            .files
            .into_iter()
            .map(|file| {
                let known = states.remove(&*file.path.to_string_lossy());
                (file, known)
            })
            .collect::<Vec<_>>()
            .into_iter()
            .filter(|(file, known)| match known {
                Some(known) => !is_unchanged(file, known),
                // Once something is new in a shredded log it is read from its beginning: what it tells again is known.
                None => !withdrawn.knows(source, file),
            })
            .collect();
        Ok(Self { source, roots, zone, files, unreadable, changed })
    }

    fn bytes(&self) -> u64 {
        self.changed.iter().map(|(file, _)| file.size).sum()
    }

    fn run(
        self,
        ledger: &mut Ledger,
        now: Timestamp,
        (known, alone, hands): (&mut Known, &mut Alone, &Hands),
        bar: &mut Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SourceReport> {
        let heard = Heard::read(ledger.sight()?.view())?;
        let mut writer = Writer::new(self.source.name(), now, alone, heard, hands);
        writer.report.files = self.files;
        let read = Read::default();
        let recorded_at = now.max(ledger.head()?.recorded_at);
        std::thread::scope(|scope| {
            let batches = self.start(scope, &read, recorded_at, known);
            loop {
                match batches.recv_timeout(TICK) {
                    // A failed write drops the receiver, which stops all who work towards it.
                    Ok(batch) => writer.flush(ledger, batch, &batches)?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                progress(read.added_to(*bar));
            }
            *bar = read.added_to(*bar);
            Ok::<(), Error>(())
        })?;
        self.beside(ledger, now, &mut writer.report)?;
        writer.report.skipped.extend(self.unreadable);
        Ok(writer.report)
    }

    /// Starts who reads the files, and who gathers what they find. A batch is handed over when the writer asks for it.
    fn start<'s>(
        &'s self,
        scope: &'s std::thread::Scope<'s, '_>,
        read: &'s Read,
        recorded_at: Timestamp,
        known: &'s mut Known,
    ) -> Receiver<Batch> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(self.changed.len());
        let (send, chunks) = channel::<(Chunk, Share<'s>)>();
        for _ in 0..threads {
            let send = send.clone();
            scope.spawn(move || {
                while let Some((file, known)) = self.changed.get(read.next.fetch_add(1, Ordering::Relaxed)) {
                    let mut open = true;
                    super::reader::read(self.source, self.zone, file, known.as_ref(), &mut |chunk| {
                        read.bytes.fetch_add(chunk.progress, Ordering::Relaxed);
                        read.records.fetch_add(chunk.found.len() as u64, Ordering::Relaxed);
                        let share = read.ahead.take(chunk.weight());
                        open = send.send((chunk, share)).is_ok();
                        open
                    });
                    if !open {
                        break;
                    }
                }
            });
        }
        let (hand_over, batches) = sync_channel::<Batch>(0);
        let mut gatherer = Gatherer::new(self.source.name(), recorded_at, known);
        scope.spawn(move || {
            // Who stops here drops what the readers have sent, and so all room they wait for.
            for (chunk, _share) in chunks {
                if let Some(batch) = gatherer.take(chunk)
                    && hand_over.send(batch).is_err()
                {
                    return;
                }
            }
            let _ = hand_over.send(gatherer.rest());
        });
        batches
    }

    /// Takes in what stands beside the logs; an event that is known by its id is not told again.
    fn beside(&self, ledger: &mut Ledger, now: Timestamp, report: &mut SourceReport) -> Result<()> {
        let beside = self.source.beside(&self.roots, self.zone, ledger, now)?;
        report.files += beside.files;
        report.skipped.extend(beside.skipped);
        if beside.events.is_empty() {
            return Ok(());
        }
        let name = self.source.name();
        let outcomes = ledger.append(beside.events.into_iter().map(|event| event.source(name)), now)?;
        report.observed += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Appended(_))).count() as u64;
        Ok(())
    }
}

pub(super) fn is_unchanged(file: &LogFile, known: &ImportedFile) -> bool {
    file.size == known.size && file.modified == known.modified && file.identity == known.identity
}
