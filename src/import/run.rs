//! The import: files in parallel, one writer, a transaction for every few thousand records.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

use super::budget::{Budget, Share};
use super::discover::{LogFile, Logs, logs, roots};
use super::gather::{Batch, Gatherer};
use super::meet::{Meeting, Met};
use super::reader::Chunk;
use super::source::{Found, Source};
use super::twin::{self, Heard};
use super::{ImportOptions, ImportReport, Progress, SourceReport};
use crate::error::{Error, Result};
use crate::event::{EventId, Imported, ImportedFile, NewEvent, Payload, Position, SkippedLine, withdrawn_path};
use crate::ledger::{Appender, Ledger, Outcome, Ready};
use crate::projection::{file_states, find_record};
use crate::time::{Timestamp, Zone};

/// Records that readers may be ahead.
const AHEAD: usize = 2_048;
/// Batches written in one transaction, unless they keep it waiting: the fewer commits, the fewer pages are written again.
const TOGETHER: usize = 8;
/// How long a transaction waits for a batch. Others who write wait for it.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// Skipped lines kept in one `imported` event; the report has them all.
const SKIPPED_KEPT: usize = 1_000;
/// Keys remembered to spare look-ups in a ledger that was empty when the import began.
const REMEMBERED: usize = 1 << 20;

/// Imports what is new in agents' logs.
///
/// Every transaction holds the records of some files' parts together with how far those files are read, so an
/// import that is killed loses nothing and repeats nothing. `progress` is called now and then.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown source, [`Error::Io`](crate::Error::Io) for a home or
/// directory that cannot be read (nothing is imported then), and the store's own.
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
    for job in jobs {
        report.sources.push(job.run(ledger, now, &mut bar, progress)?);
    }
    Ok(report)
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
            .filter(|(file, known)| {
                // A log whose name was shredded is not opened as long as nothing is new in it; then it is read from its
                // beginning, and what it tells again is known.
                let shredded = || file.identity.as_deref().and_then(|identity| states.get(&withdrawn_path(identity)));
                !known.as_ref().or_else(shredded).is_some_and(|known| is_unchanged(file, known))
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
        bar: &mut Progress,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SourceReport> {
        let empty = ledger.head()?.position == Position::START;
        let heard = Heard::read(ledger.sight()?.view())?;
        let mut writer = Writer::new(self.source.name(), now, empty, heard);
        writer.report.files = self.files;
        let read = Read::default();
        let recorded_at = now.max(ledger.head()?.recorded_at);
        std::thread::scope(|scope| {
            let batches = self.start(scope, &read, recorded_at);
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
        let mut gatherer = Gatherer::new(self.source.name(), recorded_at);
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

/// Writes batches, each in a transaction of its own.
struct Writer {
    now: Timestamp,
    report: SourceReport,
    /// When conversations begin, as far as this run has seen.
    began: HashMap<String, Timestamp>,
    /// Conversations that telemetry has told of.
    heard: Heard,
    /// Keys this run has written, while it knows all there are: the ledger was empty and nobody else writes.
    written: Option<(HashSet<u64>, Position)>,
}

impl Writer {
    fn new(source: &str, now: Timestamp, empty: bool, heard: Heard) -> Self {
        Self {
            now,
            heard,
            report: SourceReport { source: source.to_owned(), ..SourceReport::default() },
            began: HashMap::new(),
            written: empty.then(|| (HashSet::new(), Position::START)),
        }
    }

    /// Writes a batch, and those that follow soon, in one transaction.
    fn flush(&mut self, ledger: &mut Ledger, first: Batch, following: &Receiver<Batch>) -> Result<()> {
        let mut run = Imported::new(self.report.source.clone());
        let (mut states, mut skipped) = (HashMap::new(), Vec::new());
        let (mut observed, mut bytes) = (0, 0);
        ledger.transact(self.now, |appender| {
            self.check_alone(appender)?;
            let mut next = Some(first);
            for written in 1.. {
                let Some(batch) = next else { break };
                // Copies of what was written just now have to be found.
                appender.view()?;
                run.duplicates += batch.copies;
                bytes += batch.bytes;
                self.began.extend(batch.began);
                skipped.extend(batch.skipped);
                states.extend(batch.states.into_iter().map(|state| (state.path.clone(), state)));
                for one in batch.calls {
                    self.write(appender, one, &mut run)?;
                }
                for one in batch.keyless {
                    appender.push(one)?;
                    run.recorded += 1;
                }
                for event in batch.observed {
                    // Forks and moved logs tell it again: the same words at the same time are one observation.
                    if let Outcome::Appended(_) = appender.push(event)? {
                        observed += 1;
                    }
                }
                next = if written < TOGETHER { following.recv_timeout(PATIENCE).ok() } else { None };
            }
            run.files = new_states(appender, &run.source, states)?;
            let news = run.recorded + run.amended > 0 || !run.files.is_empty();
            if news {
                run.files.sort_by(|a, b| a.path.cmp(&b.path));
                run.skipped = skipped.iter().take(SKIPPED_KEPT).cloned().collect();
                appender.push(NewEvent::new(run.clone(), self.now).source(run.source.clone()))?;
            }
            if let Some((_, head)) = &mut self.written {
                *head = appender.view()?.head()?.position;
            }
            Ok(())
        })?;
        self.report.bytes += bytes;
        self.report.recorded += run.recorded;
        self.report.duplicates += run.duplicates;
        self.report.amended += run.amended;
        self.report.skipped.extend(skipped);
        self.report.observed += observed;
        Ok(())
    }

    /// Stops sparing look-ups when somebody else has written, or when there is too much to remember.
    fn check_alone(&mut self, appender: &Appender<'_>) -> Result<()> {
        let head = appender.committed_view().head()?.position;
        if self.written.as_ref().is_some_and(|(keys, expected)| *expected != head || keys.len() > REMEMBERED) {
            self.written = None;
        }
        Ok(())
    }

    /// Whether no record in the ledger can have one of these keys; remembers them.
    fn is_new(&mut self, ids: &[EventId]) -> bool {
        let Some((keys, _)) = &mut self.written else { return false };
        let mut new = true;
        for id in ids {
            new &= keys.insert(id.prefix());
        }
        new
    }

    fn write(&mut self, appender: &mut Appender<'_>, call: Ready, run: &mut Imported) -> Result<()> {
        if self.is_new(call.ids()) {
            return self.record(appender, call, run);
        }
        let Payload::TokensRecorded(record) = &call.event().payload else { return Ok(()) };
        let known = find_record(appender.committed_view(), record)?;
        if known.is_empty() {
            return self.record(appender, call, run);
        }
        let event = call.into_event();
        let Payload::TokensRecorded(record) = event.payload else { return Ok(()) };
        self.meet(appender, Found { at: event.occurred_at, record }, &known, run)
    }

    /// Writes a call that no key finds: telemetry may have told of it without one.
    fn record(&mut self, appender: &mut Appender<'_>, call: Ready, run: &mut Imported) -> Result<()> {
        let event = call.event();
        if let Payload::TokensRecorded(record) = &event.payload
            && self.heard.of(record)
            && let Some(twin) = twin::find(appender.view()?, record, event.occurred_at, &twin::is_telemetry)?
        {
            let event = call.into_event();
            let Payload::TokensRecorded(record) = event.payload else { return Ok(()) };
            return self.meet(appender, Found { at: event.occurred_at, record }, &[twin], run);
        }
        appender.push_ready(call)?;
        run.recorded += 1;
        Ok(())
    }

    fn meet(&self, appender: &mut Appender<'_>, found: Found, known: &[Position], run: &mut Imported) -> Result<()> {
        let meeting = Meeting { source: &run.source, now: self.now, began: &self.began };
        match meeting.meet(appender, found, known)? {
            Met::Amended => run.amended += 1,
            Met::Known => run.duplicates += 1,
        }
        Ok(())
    }
}

/// The files that were read further, or differ from what is known of them.
fn new_states(
    appender: &mut Appender<'_>,
    source: &str,
    states: HashMap<String, ImportedFile>,
) -> Result<Vec<ImportedFile>> {
    let view = appender.committed_view();
    let mut new = Vec::new();
    for state in states.into_values() {
        let known = crate::projection::file_state(view, source, &state.path)?;
        if known.is_none_or(|known| (known.offset, &known.hash) != (state.offset, &state.hash)) {
            new.push(state);
        }
    }
    Ok(new)
}
