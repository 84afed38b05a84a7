//! Runs an import: parallel readers, one batcher for each source, and one writer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use crate::import::engine::agent::{Agent, Overlap};
use crate::import::engine::background::BackgroundThreads;
use crate::import::engine::backpressure::{Budget, QueueShare};
use crate::import::engine::batcher::{Batch, Batcher};
use crate::import::engine::chunk::Chunk;
use crate::import::engine::discover::{FoundLogs, logs, roots};
use crate::import::engine::file_labels::{FileLabels, Labels, has_all};
use crate::import::engine::log_file::{LogFile, is_unchanged};
use crate::import::engine::redacted_logs::RedactedLogs;
use crate::import::engine::relabel::{self, Relabelled};
use crate::import::engine::renormalise;
use crate::import::engine::seen_keys::SeenKeys;
use crate::import::engine::telemetry_match::TelemetryMatcher;
use crate::import::engine::withdraw;
use crate::import::engine::writer::{ImportWriter, UncontendedWriter};
use crate::import::options::ImportOptions;
use crate::import::outcome::{ImportReport, Progress, SourceReport};
use crate::ledger::Ledger;
use crate::model::error::{Error, Result};
use crate::model::event::{ImportedFile, Position, SkippedLine};
use crate::model::invariant::bug;
use crate::model::secrets;
use crate::model::threads::{self, Stop};
use crate::model::time::{Timestamp, Zone};
use crate::projection::{file_outlines, file_state};

/// Number of records that readers may be ahead of the writer.
const AHEAD: usize = 4_096;
/// Number of batches that may wait for the writer, so that the batcher does not wait during a commit.
const WAITING: usize = 1;
/// Bytes of logs from which background threads support the writer.
const LARGE: u64 = 16 << 20;
/// Interval of progress reports.
const TICK: Duration = Duration::from_millis(100);

/// Imports the new content of agents' logs.
///
/// Each transaction contains records together with the read offsets of their files. So an import that is killed loses
/// nothing and repeats nothing. `progress` is called periodically.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown source, [`Error::Io`](crate::Error::Io) for a home
/// that cannot be read (nothing is imported then), and the store's own. The report names any other place that cannot
/// be read.
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
/// let options = ImportOptions::new().homes([home.path().to_owned()]);
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
    run_some(ledger, options, None, (now, &Stop::default()), progress)
}

/// As [`run`], but a request to stop ends the import between two transactions. The report then contains what was
/// written, and the next import continues there.
#[cfg(any(feature = "tui", feature = "web"))]
pub(crate) fn run_until(
    ledger: &Ledger,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    stop: &Stop,
) -> Result<ImportReport> {
    run_some(ledger, options, None, (now, stop), &mut |_| {})
}

/// Changed files, and the watched directories.
pub(in crate::import) struct NamedSource<'n> {
    pub paths: BTreeSet<PathBuf>,
    pub roots: &'n BTreeSet<PathBuf>,
}

/// Imports all new content, or that of some files.
pub(in crate::import) fn run_some(
    ledger: &Ledger,
    options: &ImportOptions,
    named: Option<&NamedSource<'_>>,
    (now, stop): (impl Into<Timestamp>, &Stop),
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport> {
    let now = now.into();
    let labels = FileLabels::of(options)?;
    // Search all sources before writing anything.
    let mut searched = Vec::new();
    for agent in options.agents()? {
        if stop.is_requested() {
            return Ok(ImportReport::default());
        }
        let mut roots = roots(agent, &options.homes)?;
        let found = if let Some(named) = named {
            roots.retain(|root| named.roots.contains(root));
            let files = crate::import::engine::discover::named(agent.source, &roots, &named.paths);
            if files.is_empty() {
                continue;
            }
            FoundLogs { files, ..FoundLogs::default() }
        } else {
            logs(agent.source, &roots)
        };
        searched.push((agent, roots, found));
    }
    let mut jobs = Vec::new();
    for (agent, roots, found) in searched {
        if stop.is_requested() {
            return Ok(ImportReport::default());
        }
        let zone = options.zone.unwrap_or(Zone::UTC);
        let relabelled = if options.relabel {
            relabel::run(ledger, agent, &found.files, (&labels, zone), now)?
        } else {
            Relabelled::default()
        };
        let mut job = ImportJob::new(agent, roots, found, zone, (ledger, named, &labels))?;
        job.amended = relabelled.amended;
        job.unreadable.extend(relabelled.skipped);
        jobs.push(job);
    }
    let mut bar = Progress { total: jobs.iter().map(ImportJob::bytes).sum(), ..Progress::default() };
    progress(bar);
    let head = ledger.head()?.position;
    let (mut seen_keys, mut uncontended) = (SeenKeys::new(head == Position::START), UncontendedWriter::since(head));
    let is_large = bar.total >= LARGE;
    let ledger = &if is_large { ledger.deferred() } else { ledger.clone() };
    let housekeeping = if is_large { ledger.housekeeping()? } else { None };
    let imported = std::thread::scope(|scope| {
        let background =
            if is_large { BackgroundThreads::start(scope, housekeeping)? } else { BackgroundThreads::default() };
        let mut sources = Vec::new();
        for together in lanes(&jobs) {
            if stop.is_requested() {
                break;
            }
            sources.extend(together.run(
                ledger,
                (now, stop),
                (&mut seen_keys, &mut uncontended, &background),
                &mut bar,
                progress,
            )?);
        }
        sources.sort_by_key(|(place, _)| *place);
        Ok(ImportReport { sources: sources.into_iter().map(|(_, report)| report).collect() })
    });
    if is_large {
        // Even after an error, make durable what was committed.
        ledger.sync()?;
    }
    imported
}

/// Groups jobs that may run at the same time: sources whose calls occur in no other source. The other jobs run one
/// after the other, because the first sighting of a call owns the record.
fn lanes(jobs: &[ImportJob]) -> Vec<ParallelJobs<'_>> {
    let (apart, others): (Vec<_>, Vec<_>) =
        jobs.iter().enumerate().partition(|(_, job)| job.agent.overlap == Overlap::Apart);
    std::iter::once(apart).chain(others.into_iter().map(|job| vec![job])).map(ParallelJobs).collect()
}

/// Progress of the readers of a job.
struct ReadFile {
    /// Index of the next file.
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
struct ChangedFile {
    file: LogFile,
    /// The stored state, if reading can continue from it.
    stored: Option<ImportedFile>,
    /// The state that an older version of the importer stored.
    older: Option<ImportedFile>,
    /// The labels of its calls: those of its first import.
    labels: Labels,
}

/// A file to read: the index of its job in the lane, and the job.
type FileTask<'j> = (usize, &'j ImportJob, &'j ChangedFile);

/// The new or changed files of one importer.
struct ImportJob {
    agent: &'static Agent,
    roots: Vec<PathBuf>,
    zone: Zone,
    files: u64,
    unreadable: Vec<SkippedLine>,
    changed: Vec<ChangedFile>,
    /// Deleted files that an older version of the importer read.
    deleted: Vec<ImportedFile>,
    /// Number of files with other labels than the import states.
    other_labels: u64,
    /// Number of records whose labels were amended.
    amended: u64,
}

impl ImportJob {
    fn new(
        agent: &'static Agent,
        roots: Vec<PathBuf>,
        logs: FoundLogs,
        zone: Zone,
        (ledger, named, labels): (&Ledger, Option<&NamedSource<'_>>, &FileLabels),
    ) -> Result<Self> {
        let snapshot = ledger.snapshot()?;
        let mut states = file_outlines(snapshot.view(), agent.name)?;
        let redacted = RedactedLogs::take(&mut states);
        let files = logs.files.len() as u64;
        let unread = |path: &Path, error: &std::io::Error| {
            let file = path.to_string_lossy().into_owned();
            let mut skipped = SkippedLine { file, line: 0, why: format!("it cannot be read: {error}") };
            skipped.scrub();
            skipped
        };
        let mut unreadable: Vec<SkippedLine> =
            logs.unreadable.iter().map(|(path, error)| unread(path, error)).collect();
        let (mut changed, mut other_labels) = (Vec::new(), 0);
        for file in logs.files {
            let path = file.path.to_string_lossy();
            let path = secrets::path(&path);
            let mut own_labels = labels.of_file(&file.path);
            if let Some(known) = states.get(&*path) {
                other_labels += u64::from(!has_all(&known.labels, &own_labels));
                own_labels.clone_from(&known.labels);
            }
            let mut older = None;
            let stored = match states.remove(&*path) {
                Some(stored) if stored.version < agent.source.version() => {
                    older = file_state(snapshot.view(), agent.name, &path)?;
                    None
                }
                Some(stored) if is_unchanged(&file, &stored) => continue,
                Some(_) => file_state(snapshot.view(), agent.name, &path)?,
                // A shredded log with new content is read from the beginning. Its earlier calls are found by their
                // keys.
                None => match redacted.contains(agent.source, &file) {
                    Ok(true) => continue,
                    Ok(false) => None,
                    Err(error) => {
                        unreadable.push(unread(&file.path, &error));
                        continue;
                    }
                },
            };
            drop(path);
            changed.push(ChangedFile { file, stored, older, labels: own_labels });
        }
        let mut deleted = Vec::new();
        let old = states.iter().filter(|(_, state)| state.version < agent.source.version() && named.is_none());
        for (path, _) in old.filter(|(path, _)| renormalise::is_deleted(path)) {
            deleted.extend(file_state(snapshot.view(), agent.name, path)?);
        }
        Ok(Self { agent, roots, zone, files, unreadable, changed, deleted, other_labels, amended: 0 })
    }

    /// Returns the files that an older version of the importer read, with its states of them.
    fn reads_again(&self) -> Vec<withdraw::ReadAgain<'_>> {
        self.changed.iter().filter_map(|changed| Some((&changed.file, changed.older.as_ref()?))).collect()
    }

    fn bytes(&self) -> u64 {
        self.changed.iter().map(|changed| changed.file.size).sum()
    }

    /// Appends events that an importer reads from files next to the logs. An event whose id is in the ledger is
    /// skipped.
    fn quota_documents(&self, ledger: &Ledger, now: Timestamp, report: &mut SourceReport) -> Result<()> {
        let mut quota_documents = self.agent.source.quota_documents(&self.roots, self.zone, ledger, now)?;
        quota_documents.events.iter_mut().for_each(|event| event.payload.scrub());
        quota_documents.skipped.iter_mut().for_each(SkippedLine::scrub);
        report.files += quota_documents.files;
        report.skipped.extend(quota_documents.skipped);
        if quota_documents.events.is_empty() {
            return Ok(());
        }
        let name = self.agent.name;
        ledger.transact(now, |appender| {
            for event in quota_documents.events {
                match appender.push(event.source(name)) {
                    Ok(outcome) => report.observed += u64::from(outcome.is_new()),
                    // One event that the ledger refuses does not affect the others.
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

/// Jobs that run at the same time, with their indexes among all jobs.
struct ParallelJobs<'j>(Vec<(usize, &'j ImportJob)>);

impl<'j> ParallelJobs<'j> {
    fn run(
        self,
        ledger: &Ledger,
        (now, stop): (Timestamp, &Stop),
        (seen_keys, uncontended, background): (&mut SeenKeys, &mut UncontendedWriter, &BackgroundThreads),
        bar: &mut Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<(usize, SourceReport)>> {
        let matcher = TelemetryMatcher::read(ledger.snapshot()?.view())?;
        let reports = self.0.iter().map(|(_, job)| {
            let report = SourceReport {
                source: job.agent.name.to_owned(),
                files: job.files,
                amended: job.amended,
                other_labels: job.other_labels,
                ..SourceReport::default()
            };
            (report, job.agent.counters, job.agent.source.version())
        });
        let before = ledger.head()?.position;
        let mut writer = ImportWriter::new(reports, now, uncontended, matcher, background);
        let files = self.files();
        let is_complete =
            files.is_empty() || self.read(ledger, (now, stop), &files, (seen_keys, &mut writer), bar, progress)?;
        let mut reports = Vec::new();
        let (written, met) = writer.into_reports();
        for ((place, job), mut report) in self.0.iter().zip(written) {
            // The next steps expect that every file was read to its end.
            if !is_complete {
                reports.push((*place, report));
                continue;
            }
            report.amended += withdraw::run(ledger, job.agent, &job.reads_again(), (&met, before), now)?;
            if !job.deleted.is_empty() {
                report.amended += renormalise::run(ledger, job.agent, &job.deleted, (&met, before), now)?;
            }
            job.quota_documents(ledger, now, &mut report)?;
            report.skipped.extend(job.unreadable.iter().cloned());
            report.unreadable += job.unreadable.len() as u64;
            // Readers report them in an arbitrary order.
            report.skipped.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            reports.push((*place, report));
        }
        Ok(reports)
    }

    /// Reads files and writes their calls. Returns false if a request to stop ended it early.
    fn read(
        &self,
        ledger: &Ledger,
        (now, stop): (Timestamp, &Stop),
        files: &[FileTask<'j>],
        (seen_keys, writer): (&mut SeenKeys, &mut ImportWriter<'_>),
        bar: &mut Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool> {
        let read = ReadFile::default();
        let recorded_at = now.max(ledger.head()?.recorded_at);
        std::thread::scope(|scope| {
            let batches = self.start(scope, files, &read, recorded_at, seen_keys)?;
            let is_complete = loop {
                match batches.recv_timeout(TICK) {
                    // A failed write drops the receiver, which stops the threads that send to it.
                    Ok(batch) => writer.flush(ledger, batch?, &batches)?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break true,
                }
                progress(read.added_to(*bar));
                if stop.is_requested() {
                    break false;
                }
            };
            *bar = read.added_to(*bar);
            Ok::<bool, Error>(is_complete)
        })
    }

    /// Returns all files in reading order. The jobs alternate in equal amounts, so that jobs with expensive parsing and
    /// jobs with many writes overlap.
    fn files(&self) -> Vec<FileTask<'j>> {
        let mut files = Vec::new();
        for (source_index, (_, job)) in self.0.iter().enumerate() {
            let count = job.changed.len().max(1);
            files.extend(
                job.changed.iter().enumerate().map(|(at, file)| ((at << 16) / count, (source_index, *job, file))),
            );
        }
        files.sort_by_key(|(share, _)| *share);
        files.into_iter().map(|(_, file)| file).collect()
    }

    /// Starts the reader threads and the batcher thread.
    fn start<'s>(
        &self,
        scope: &'s std::thread::Scope<'s, '_>,
        files: &'s [FileTask<'j>],
        read: &'s ReadFile,
        recorded_at: Timestamp,
        seen_keys: &'s mut SeenKeys,
    ) -> Result<Receiver<Result<Batch>>> {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(files.len());
        let (send, chunks) = channel::<(usize, Chunk, QueueShare<'s>)>();
        for _ in 0..count {
            let send = send.clone();
            threads::start(scope, move || {
                while let Some((source_index, job, changed)) = files.get(read.next.fetch_add(1, Ordering::Relaxed)) {
                    let ChangedFile { file, stored, older, labels } = changed;
                    let mut open = true;
                    crate::import::engine::reader::read(
                        job.agent.source,
                        job.zone,
                        file,
                        stored.as_ref(),
                        &mut |mut chunk| {
                            chunk.by(job.agent.source.version(), older.is_some());
                            chunk.label(labels);
                            read.bytes.fetch_add(chunk.progress, Ordering::Relaxed);
                            read.records.fetch_add(chunk.calls.len() as u64, Ordering::Relaxed);
                            let share = read.ahead.take(chunk.weight());
                            open = send.send((*source_index, chunk, share)).is_ok();
                            open
                        },
                    );
                    if !open {
                        break;
                    }
                }
            })?;
        }
        let (hand_over, batches) = sync_channel::<Result<Batch>>(WAITING);
        let sources = self.0.iter().enumerate();
        let mut by_source: Vec<_> =
            sources.map(|(source_index, (_, job))| Batcher::new(source_index, job.agent.name, recorded_at)).collect();
        threads::start(scope, move || {
            // An early end drops the queued chunks, and with them the capacity that readers wait for.
            for (source_index, chunk, _share) in chunks {
                let batch = match by_source.get_mut(source_index) {
                    Some(source) => source.take(chunk, seen_keys).map(Ok),
                    None => Some(Err(bug!("a chunk of the source {source_index}, which is not read"))),
                };
                let is_wrong = matches!(batch, Some(Err(_)));
                if batch.is_some_and(|batch| hand_over.send(batch).is_err()) || is_wrong {
                    return;
                }
            }
            for mut batcher in by_source {
                let last = batcher.finish(seen_keys);
                if !last.is_empty() && hand_over.send(Ok(last)).is_err() {
                    return;
                }
            }
        })?;
        Ok(batches)
    }
}
