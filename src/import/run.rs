//! The import: files in parallel, one writer, a transaction for every few thousand records.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use super::discover::{LogFile, logs, roots};
use super::merge::{Pending, Sighting, join};
use super::reader::{Chunk, read};
use super::source::{Found, Source};
use super::{ImportOptions, ImportReport, Progress, SourceReport};
use crate::error::Result;
use crate::event::{
    EventId, EventVoided, Imported, ImportedFile, NewEvent, Payload, Position, SkippedLine, TokensAmended,
    withdrawn_path,
};
use crate::ledger::{Appender, Ledger, Outcome};
use crate::projection::{Effective, began, effective, file_states, find_record};
use crate::time::{Timestamp, Zone};

/// Records written in one transaction.
const BATCH: usize = 8_192;
/// Chunks that may wait for the writer.
const QUEUE: usize = 8;
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
    let now = now.into();
    // Look everywhere before anything is written.
    let mut jobs = Vec::new();
    for source in options.sources()? {
        let roots = roots(source, &options.homes)?;
        let found = logs(source, &roots)?;
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

/// One importer's files that are new or changed.
struct Job {
    source: &'static dyn Source,
    roots: Vec<PathBuf>,
    zone: Zone,
    files: u64,
    changed: Vec<(LogFile, Option<ImportedFile>)>,
}

impl Job {
    fn new(
        source: &'static dyn Source,
        roots: Vec<PathBuf>,
        found: Vec<LogFile>,
        zone: Zone,
        ledger: &mut Ledger,
    ) -> Result<Self> {
        let mut states = file_states(ledger.sight()?.view(), source.name())?;
        let files = found.len() as u64;
        let changed = found
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
        Ok(Self { source, roots, zone, files, changed })
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
        let mut writer = Writer::new(self.source.name(), now, empty);
        writer.report.files = self.files;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(self.changed.len());
        let next = AtomicUsize::new(0);
        let (send, receive) = sync_channel::<Chunk>(QUEUE);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (send, next, job) = (send.clone(), &next, &self);
                scope.spawn(move || {
                    while let Some((file, known)) = job.changed.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut open = true;
                        read(job.source, job.zone, file, known.as_ref(), &mut |chunk| {
                            open = send.send(chunk).is_ok();
                            open
                        });
                        if !open {
                            break;
                        }
                    }
                });
            }
            drop(send);
            // A failed write drops the receiver, which stops the readers.
            for chunk in receive {
                bar.done += chunk.progress;
                bar.records += chunk.found.len() as u64;
                progress(*bar);
                writer.take(ledger, chunk)?;
            }
            writer.flush(ledger)
        })?;
        self.beside(ledger, now, &mut writer.report)?;
        Ok(writer.report)
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

fn is_unchanged(file: &LogFile, known: &ImportedFile) -> bool {
    file.size == known.size && file.modified == known.modified && file.identity == known.identity
}

/// Gathers chunks and writes them.
struct Writer {
    now: Timestamp,
    report: SourceReport,
    pending: Pending,
    observed: Vec<NewEvent>,
    states: HashMap<String, ImportedFile>,
    skipped: Vec<SkippedLine>,
    /// When conversations begin, as far as this run has seen.
    began: HashMap<String, Timestamp>,
    bytes: u64,
    /// Keys this run has written, while it knows all there are: the ledger was empty and nobody else writes.
    written: Option<(HashSet<u64>, Position)>,
}

impl Writer {
    fn new(source: &str, now: Timestamp, empty: bool) -> Self {
        Self {
            now,
            report: SourceReport { source: source.to_owned(), ..SourceReport::default() },
            pending: Pending::default(),
            observed: Vec::new(),
            states: HashMap::new(),
            skipped: Vec::new(),
            began: HashMap::new(),
            bytes: 0,
            written: empty.then(|| (HashSet::new(), Position::START)),
        }
    }

    fn take(&mut self, ledger: &mut Ledger, chunk: Chunk) -> Result<()> {
        let own = chunk.state.as_ref().and_then(|state| Some((state.conversation.clone()?, state.began?)));
        for (conversation, at) in chunk.began.into_iter().chain(own) {
            let known = self.began.entry(conversation).or_insert(at);
            *known = at.min(*known);
        }
        if let Some(state) = chunk.state {
            self.states.insert(state.path.clone(), state);
        }
        self.bytes += chunk.bytes;
        self.skipped.extend(chunk.skipped);
        for found in chunk.found {
            self.pending.add(found, &|conversation| self.began.get(conversation).copied());
        }
        self.observed.extend(chunk.observed);
        if self.pending.len() + self.observed.len() >= BATCH { self.flush(ledger) } else { Ok(()) }
    }

    /// Writes what is pending in one transaction.
    fn flush(&mut self, ledger: &mut Ledger) -> Result<()> {
        let mut run = Imported::new(self.report.source.clone());
        run.duplicates = std::mem::take(&mut self.pending.copies);
        let found = self.pending.drain();
        let seen = std::mem::take(&mut self.observed);
        let mut observed = 0;
        let states = std::mem::take(&mut self.states);
        let skipped = std::mem::take(&mut self.skipped);
        ledger.transact(self.now, |appender| {
            self.check_alone(appender)?;
            for one in found {
                self.write(appender, one, &mut run)?;
            }
            for event in seen {
                // Forks and moved logs tell it again: the same words at the same time are one observation.
                if let Outcome::Appended(_) = appender.push(event.source(run.source.clone()))? {
                    observed += 1;
                }
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
        self.report.bytes += std::mem::take(&mut self.bytes);
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

    fn write(&mut self, appender: &mut Appender<'_>, sighting: Sighting, run: &mut Imported) -> Result<()> {
        let Sighting { found, ids } = sighting;
        let new = self.is_new(&ids);
        let known = if new { Vec::new() } else { find_record(appender.committed_view(), &found.record)? };
        let mut counting = Vec::new();
        for position in &known {
            if let Some(now) = effective(appender.committed_view(), *position, None)? {
                counting.push((*position, now));
            }
        }
        let mut counting = counting.into_iter();
        match counting.next() {
            None if known.is_empty() => {
                let event = NewEvent::new(found.record, found.at).source(run.source.clone());
                match ids.first() {
                    Some(id) => appender.push_new(*id, event, Some(ids))?,
                    None => appender.push(event)?,
                };
                run.recorded += 1;
                Ok(())
            }
            // Somebody withdrew it: seeing it again in a log does not bring it back.
            None => {
                run.duplicates += 1;
                Ok(())
            }
            Some(keeper) => self.meet(appender, found, keeper, &counting.collect::<Vec<_>>(), run),
        }
    }

    /// Holds a sighting against the records it meets in the ledger.
    fn meet(
        &self,
        appender: &mut Appender<'_>,
        found: Found,
        (position, keeper): (Position, Effective),
        others: &[(Position, Effective)],
        run: &mut Imported,
    ) -> Result<()> {
        // What a person or another feed said last about a call is not overruled by a log.
        if keeper.source != run.source {
            run.duplicates += 1;
            return Ok(());
        }
        let sighting = |told: Effective| Found { at: told.at, record: told.record };
        let (amended_at, shredded) = (keeper.amended_at, keeper.shredded);
        let before = sighting(keeper);
        let mut after = before.clone();
        {
            let view = appender.committed_view();
            let start = |conversation: &str| {
                let stored = began(view, &run.source, conversation).ok().flatten();
                [stored, self.began.get(conversation).copied()].into_iter().flatten().min()
            };
            let ours = others.iter().filter(|(_, told)| told.source == run.source).map(|(_, told)| told.clone());
            for one in ours.map(sighting).chain([found]) {
                after = join(after, one, &start);
            }
        }
        let target = id_at(appender, position)?;
        for (other, told) in others.iter().filter(|(_, told)| told.source == run.source) {
            let void = EventVoided { target: id_at(appender, *other)?, reason: format!("the same call as {target}") };
            let at = told.amended_at.map_or(self.now, |amended| self.now.max(amended.plus(1)));
            appender.push(NewEvent::new(void, at).source(run.source.clone()))?;
        }
        if shredded {
            // The numbers may still become better; the names do not come back.
            after.record = after.record.without_names();
        }
        if after == before {
            run.duplicates += 1;
            return Ok(());
        }
        let amend = TokensAmended {
            target,
            reason: "later lines of the log".to_owned(),
            at: Some(after.at),
            replacement: after.record,
        };
        // Later than the amend it replaces, whatever the clock says.
        let at = amended_at.map_or(self.now, |amended| self.now.max(amended.plus(1)));
        appender.push(NewEvent::new(Payload::from(amend), at).source(run.source.clone()))?;
        run.amended += 1;
        Ok(())
    }
}

fn id_at(appender: &mut Appender<'_>, position: Position) -> Result<EventId> {
    let line = appender.committed_view().expect_line(position)?;
    Ok(crate::event::Envelope::parse(position, &line)?.id)
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
