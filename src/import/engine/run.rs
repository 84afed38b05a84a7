//! The import: files in parallel, who gathers what they tell, and one writer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use crate::import::engine::agent::{Agent, Overlap};
use crate::import::engine::background::BackgroundThreads;
use crate::import::engine::backpressure::{Budget, QueueShare};
use crate::import::engine::batcher::{Batch, Gatherer};
use crate::import::engine::chunk::Chunk;
use crate::import::engine::discover::{Logs, logs, roots};
use crate::import::engine::log_file::{LogFile, is_unchanged};
use crate::import::engine::redacted_logs::Withdrawn;
use crate::import::engine::renormalise;
use crate::import::engine::seen_keys::SeenKeys;
use crate::import::engine::telemetry_match::SeenConversations;
use crate::import::engine::writer::{UncontendedWriter, Writer};
use crate::import::options::ImportOptions;
use crate::import::outcome::{ImportReport, Progress, SourceReport};
use crate::ledger::Ledger;
use crate::model::error::{Error, Result};
use crate::model::event::{ImportedFile, Position, SkippedLine};
use crate::model::secrets;
use crate::model::time::{Timestamp, Zone};
use crate::projection::{file_outlines, file_state};

/// Records that readers may be ahead.
const AHEAD: usize = 4_096;
/// Batches that may wait for the writer, so that nobody waits while it commits.
const WAITING: usize = 1;
/// Bytes of logs from which on other threads help the writer.
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
/// let ledger = Ledger::in_memory()?;
/// import::run(&ledger, &options, now, &mut |_| {})?;
/// import::run(&ledger, &options, now, &mut |_| {})?; // nothing is new
/// assert_eq!(ledger.provider("anthropic", now)?.all_time.tokens.total(), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(
    ledger: &Ledger,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport> {
    run_some(ledger, options, None, now, progress)
}

/// Files that are known to have changed, and the directories that are watched.
pub(in crate::import) struct NamedSource<'n> {
    pub paths: BTreeSet<PathBuf>,
    pub roots: &'n BTreeSet<PathBuf>,
}

/// Imports all that is new, or what is new in some files.
pub(in crate::import) fn run_some(
    ledger: &Ledger,
    options: &ImportOptions,
    named: Option<&NamedSource<'_>>,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport> {
    let now = now.into();
    // Look everywhere before anything is written.
    let mut jobs = Vec::new();
    for agent in options.agents()? {
        let mut roots = roots(agent, &options.homes)?;
        let found = if let Some(named) = named {
            roots.retain(|root| named.roots.contains(root));
            let files = crate::import::engine::discover::named(agent.source, &roots, &named.paths);
            if files.is_empty() {
                continue;
            }
            Logs { files, ..Logs::default() }
        } else {
            logs(agent.source, &roots)
        };
        jobs.push(Job::new(agent, roots, found, options.zone.unwrap_or(Zone::UTC), (ledger, named))?);
    }
    let mut bar = Progress { total: jobs.iter().map(Job::bytes).sum(), ..Progress::default() };
    progress(bar);
    let head = ledger.head()?.position;
    let (mut known, mut alone) = (SeenKeys::new(head == Position::START), UncontendedWriter::since(head));
    let much = bar.total >= MUCH;
    let ledger = &if much { ledger.deferred() } else { ledger.clone() };
    let housekeeping = if much { ledger.housekeeping()? } else { None };
    let imported = std::thread::scope(|scope| {
        let hands = if much { BackgroundThreads::start(scope, housekeeping) } else { BackgroundThreads::default() };
        let mut sources = Vec::new();
        for together in lanes(&jobs) {
            sources.extend(together.run(ledger, now, (&mut known, &mut alone, &hands), &mut bar, progress)?);
        }
        sources.sort_by_key(|(place, _)| *place);
        Ok(ImportReport { sources: sources.into_iter().map(|(_, report)| report).collect() })
    });
    if much {
        // However it went: what is committed is kept.
        ledger.sync()?;
    }
    imported
}

/// Jobs that are done at a time: those of sources that tell of no call that another source tells of. The others are done
/// one after the other, for of two that tell of one call the first counts.
fn lanes(jobs: &[Job]) -> Vec<Lane<'_>> {
    let (apart, others): (Vec<_>, Vec<_>) =
        jobs.iter().enumerate().partition(|(_, job)| job.agent.overlap == Overlap::Apart);
    std::iter::once(apart).chain(others.into_iter().map(|job| vec![job])).map(Lane).collect()
}

/// How far the readers of a job are.
struct ReadFile {
    /// The next file.
    next: AtomicUsize,
    bytes: AtomicU64,
    records: AtomicU64,
    ahead: Budget,
}

impl Default for ReadFile {
    fn default() -> Self {
        Self {
            next: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            records: AtomicU64::new(0),
            ahead: Budget::new(AHEAD),
        }
    }
}

impl ReadFile {
    fn added_to(&self, bar: Progress) -> Progress {
        Progress {
            total: bar.total,
            done: bar.done + self.bytes.load(Ordering::Relaxed),
            records: bar.records + self.records.load(Ordering::Relaxed),
        }
    }
}

/// A file that is new or changed, or that an older version of the importer read.
struct Changed {
    file: LogFile,
    /// How far it was read before, if reading can go on from there.
    known: Option<ImportedFile>,
    /// Whether an older version of the importer read it.
    again: bool,
}
/// A file to be read: which of the jobs of a lane it belongs to, and that job.
type FileTask<'j> = (usize, &'j Job, &'j Changed);

/// One importer's files that are new or changed.
struct Job {
    agent: &'static Agent,
    roots: Vec<PathBuf>,
    zone: Zone,
    files: u64,
    unreadable: Vec<SkippedLine>,
    changed: Vec<Changed>,
    /// Files that an older version of the importer read and that are gone.
    gone: Vec<ImportedFile>,
}

impl Job {
    fn new(
        agent: &'static Agent,
        roots: Vec<PathBuf>,
        found: Logs,
        zone: Zone,
        (ledger, named): (&Ledger, Option<&NamedSource<'_>>),
    ) -> Result<Self> {
        let snapshot = ledger.snapshot()?;
        let mut states = file_outlines(snapshot.view(), agent.name)?;
        let withdrawn = Withdrawn::take(&mut states);
        let files = found.files.len() as u64;
        let unreadable = found.unreadable.into_iter().map(|(path, error)| SkippedLine {
            file: path.to_string_lossy().into_owned(),
            line: 0,
            why: format!("it cannot be read: {error}"),
        });
        let mut unreadable: Vec<SkippedLine> = unreadable.collect();
        unreadable.iter_mut().for_each(SkippedLine::scrub);
        let mut changed = Vec::new();
        for file in found.files {
            let path = file.path.to_string_lossy();
            let path = secrets::path(&path);
            let mut again = false;
            let known = match states.remove(&*path) {
                Some(known) if known.version < agent.source.version() => {
                    again = true;
                    None
                }
                Some(known) if is_unchanged(&file, &known) => continue,
                Some(_) => file_state(snapshot.view(), agent.name, &path)?,
                // Once something is new in a shredded log it is read from its beginning: what it tells again is known.
                None if withdrawn.knows(agent.source, &file) => continue,
                None => None,
            };
            drop(path);
            changed.push(Changed { file, known, again });
        }
        let mut gone = Vec::new();
        let old = states.iter().filter(|(_, state)| state.version < agent.source.version() && named.is_none());
        for (path, _) in old.filter(|(path, _)| renormalise::is_gone(path)) {
            gone.extend(file_state(snapshot.view(), agent.name, path)?);
        }
        Ok(Self { agent, roots, zone, files, unreadable, changed, gone })
    }

    fn bytes(&self) -> u64 {
        self.changed.iter().map(|changed| changed.file.size).sum()
    }

    /// Takes in what stands beside the logs; an event that is known by its id is not told again.
    fn beside(&self, ledger: &Ledger, now: Timestamp, report: &mut SourceReport) -> Result<()> {
        let mut beside = self.agent.source.beside(&self.roots, self.zone, ledger, now)?;
        beside.events.iter_mut().for_each(|event| event.payload.scrub());
        beside.skipped.iter_mut().for_each(SkippedLine::scrub);
        report.files += beside.files;
        report.skipped.extend(beside.skipped);
        if beside.events.is_empty() {
            return Ok(());
        }
        let name = self.agent.name;
        ledger.transact(now, |appender| {
            for event in beside.events {
                match appender.push(event.source(name)) {
                    Ok(outcome) => report.observed += u64::from(outcome.is_new()),
                    // One event that the ledger refuses does not keep the others out.
                    Err(error) if error.is_store() => return Err(error),
                    Err(error) => {
                        report.skipped.push(SkippedLine { file: name.to_owned(), line: 0, why: error.to_string() });
                    }
                }
            }
            Ok(())
        })
    }
}

/// Jobs that are done at a time, each with its place among all.
struct Lane<'j>(Vec<(usize, &'j Job)>);

impl<'j> Lane<'j> {
    fn run(
        self,
        ledger: &Ledger,
        now: Timestamp,
        (known, alone, hands): (&mut SeenKeys, &mut UncontendedWriter, &BackgroundThreads),
        bar: &mut Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<(usize, SourceReport)>> {
        let heard = SeenConversations::read(ledger.snapshot()?.view())?;
        let reports = self.0.iter().map(|(_, job)| {
            let report =
                SourceReport { source: job.agent.name.to_owned(), files: job.files, ..SourceReport::default() };
            (report, job.agent.counters, job.agent.source.version())
        });
        let before = ledger.head()?.position;
        let mut writer = Writer::new(reports, now, alone, heard, hands);
        let files = self.files();
        if !files.is_empty() {
            self.read(ledger, now, &files, (known, &mut writer), bar, progress)?;
        }
        let mut reports = Vec::new();
        let (written, met) = writer.into_reports();
        for ((place, job), mut report) in self.0.iter().zip(written) {
            if !job.gone.is_empty() {
                report.amended += renormalise::run(ledger, job.agent, &job.gone, (&met, before), now)?;
            }
            job.beside(ledger, now, &mut report)?;
            report.skipped.extend(job.unreadable.iter().cloned());
            report.unreadable += job.unreadable.len() as u64;
            // Readers tell of them as they come by.
            report.skipped.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            reports.push((*place, report));
        }
        Ok(reports)
    }

    /// Reads files and writes what they tell.
    fn read(
        &self,
        ledger: &Ledger,
        now: Timestamp,
        files: &[FileTask<'j>],
        (known, writer): (&mut SeenKeys, &mut Writer<'_>),
        bar: &mut Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let read = ReadFile::default();
        let recorded_at = now.max(ledger.head()?.recorded_at);
        std::thread::scope(|scope| {
            let batches = self.start(scope, files, &read, recorded_at, known);
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
        })
    }

    /// All files in the order in which they are read: of each job about as much at a time, so that who parses much and
    /// who has much written are at work together.
    fn files(&self) -> Vec<FileTask<'j>> {
        let mut files = Vec::new();
        for (of, (_, job)) in self.0.iter().enumerate() {
            let count = job.changed.len().max(1);
            files.extend(job.changed.iter().enumerate().map(|(at, file)| ((at << 16) / count, (of, *job, file))));
        }
        files.sort_by_key(|(share, _)| *share);
        files.into_iter().map(|(_, file)| file).collect()
    }

    /// Starts who reads the files, and who gathers what they find.
    fn start<'s>(
        &self,
        scope: &'s std::thread::Scope<'s, '_>,
        files: &'s [FileTask<'j>],
        read: &'s ReadFile,
        recorded_at: Timestamp,
        known: &'s mut SeenKeys,
    ) -> Receiver<Batch> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(files.len());
        let (send, chunks) = channel::<(usize, Chunk, QueueShare<'s>)>();
        for _ in 0..threads {
            let send = send.clone();
            scope.spawn(move || {
                while let Some((of, job, changed)) = files.get(read.next.fetch_add(1, Ordering::Relaxed)) {
                    let Changed { file, known, again } = changed;
                    let mut open = true;
                    crate::import::engine::reader::read(
                        job.agent.source,
                        job.zone,
                        file,
                        known.as_ref(),
                        &mut |mut chunk| {
                            chunk.by(job.agent.source.version(), *again);
                            read.bytes.fetch_add(chunk.progress, Ordering::Relaxed);
                            read.records.fetch_add(chunk.found.len() as u64, Ordering::Relaxed);
                            let share = read.ahead.take(chunk.weight());
                            open = send.send((*of, chunk, share)).is_ok();
                            open
                        },
                    );
                    if !open {
                        break;
                    }
                }
            });
        }
        let (hand_over, batches) = sync_channel::<Batch>(WAITING);
        let sources = self.0.iter().enumerate();
        let mut gatherers: Vec<_> =
            sources.map(|(of, (_, job))| Gatherer::new(of, job.agent.name, recorded_at)).collect();
        scope.spawn(move || {
            // Who stops here drops what the readers have sent, and so all room they wait for.
            for (of, chunk, _share) in chunks {
                let batch = gatherers.get_mut(of).and_then(|gatherer| gatherer.take(chunk, known));
                if let Some(batch) = batch
                    && hand_over.send(batch).is_err()
                {
                    return;
                }
            }
            for mut gatherer in gatherers {
                let rest = gatherer.rest(known);
                if !rest.is_empty() && hand_over.send(rest).is_err() {
                    return;
                }
            }
        });
        batches
    }
}
