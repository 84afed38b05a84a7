//! `session-state/<id>/events.jsonl`: the events of a session, and sums at the end of each run.

use std::path::{Path, PathBuf};
use std::{fs, io};

use memchr::memmem;
use serde_json::Value;

use super::call_provider::{self, LoggedUse, SessionLog};
use super::metrics::{COUNTS, Counts, SessionMetrics};
use super::store::Store;
use super::{AGENT, PROVIDER, SESSIONS, TELEMETRY, home_of, is_named, logged, otel};
use crate::import::engine::compression;
use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::model::event::Quality;
use crate::model::time::{MINUTE, Timestamp};

/// A run of the program within a session.
#[derive(Default)]
struct CopilotRun {
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
    answers: u64,
    /// Output tokens that its answers state, if they do.
    put_out: Option<u64>,
    compacted: bool,
}

struct EventsReading<'p> {
    path: &'p Path,
    session: String,
    project: Option<String>,
    store: Option<Store>,
    run: CopilotRun,
    /// The calls that the log states one by one.
    log: SessionLog,
    /// The sums at the end of the previous run.
    last_metrics: Option<SessionMetrics>,
    document: Document,
    /// Why it is unknown whether other files contain the calls.
    refusal: Option<Refusal>,
}

pub(super) fn read(path: &Path, text: &[u8]) -> Result<Document, Refusal> {
    if path.extension().is_some_and(|extension| extension == "json") {
        fields::parse(text)?;
        let why = "an older session, whose file tells no token counts".to_owned();
        return Ok(Document { skipped: vec![(0, why)], ..Document::default() });
    }
    let of_directory = path.parent().filter(|directory| !is_named(Some(directory), &SESSIONS));
    let named = of_directory.and_then(Path::file_name).or_else(|| path.file_stem()).unwrap_or_default();
    let mut reading = EventsReading {
        path,
        session: named.to_string_lossy().into_owned(),
        project: None,
        store: Store::beside(path)?,
        run: CopilotRun::default(),
        log: SessionLog::default(),
        last_metrics: None,
        document: Document::default(),
        refusal: None,
    };
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = at as u64 + 1;
        match jsonl::whole(line) {
            Ok(None) => {}
            Ok(Some(line)) => {
                if let Err(why) = reading.line(line, number) {
                    reading.document.skipped.push((number, why));
                }
            }
            Err(why) => reading.document.skipped.push((number, why)),
        }
    }
    reading.close();
    reading.document.conversation = Some(reading.session);
    reading.refusal.map_or(Ok(reading.document), Err)
}

impl EventsReading<'_> {
    fn line(&mut self, line: &[u8], number: u64) -> Result<(), String> {
        let event = fields::parse(line)?;
        let at = fields::time(event.get("timestamp"));
        let data = event.get("data").unwrap_or(&Value::Null);
        self.document.began = self.document.began.or(at);
        self.run.began = self.run.began.or(at);
        self.run.ended = at.or(self.run.ended);
        match fields::text(&event, "type").unwrap_or_default() {
            "session.start" | "session.resume" => {
                self.close();
                self.run = CopilotRun { began: at, ended: at, ..CopilotRun::default() };
                if let Some(id) = fields::text(data, "sessionId") {
                    id.clone_into(&mut self.session);
                }
                let directory = data.get("context").and_then(|context| fields::text(context, "cwd"));
                self.project = directory.map(str::to_owned).or(self.project.take());
            }
            "session.context_changed" => {
                self.project = fields::text(data, "cwd").map(str::to_owned).or(self.project.take());
            }
            "session.compaction_complete" => self.run.compacted = true,
            call_provider::USAGE_RECORD => self.log.add(LoggedUse::parse(data)?),
            "assistant.message" => {
                self.run.answers += 1;
                if let Ok(Some(count)) = fields::unsigned(data, "outputTokens") {
                    self.run.put_out = Some(self.run.put_out.unwrap_or_default().saturating_add(count));
                }
            }
            "session.shutdown" => {
                let result = self.summary(&event, data, at, number);
                self.run = CopilotRun::default();
                return result;
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the sums at the end of a run, unless other files contain its calls.
    fn summary(&mut self, event: &Value, data: &Value, at: Option<Timestamp>, number: u64) -> Result<(), String> {
        let has_reported = self.has_reported();
        let Some(model_metrics) = data.get("modelMetrics").and_then(Value::as_object) else {
            let why = "a run whose summary tells no token counts: an older version".to_owned();
            return if has_reported { Ok(()) } else { Err(why) };
        };
        let (mut metrics, mut wrong) = (SessionMetrics::default(), None);
        for (model, metric) in model_metrics {
            wrong = metrics.add(model, metric).err().or(wrong);
        }
        // A run without answers has no output.
        let put_out = self.run.put_out.or_else(|| (self.run.answers == 0).then_some(0));
        let before = self.last_metrics.replace(metrics.clone()).filter(|before| metrics.go_on_from(before, put_out));
        if has_reported {
            return Ok(());
        }
        let at = at.ok_or("unknown shape: a summary without a time")?;
        let key = fields::text(event, "id").map_or_else(|| at.to_string(), str::to_owned);
        let calls_before = self.document.calls.len();
        for (model, metric) in model_metrics {
            match self.sums(model, metric, metrics.since(before.as_ref(), model), (at, &key)) {
                Ok(call) => self.document.calls.extend(call.map(|mut call| {
                    if before.is_some() {
                        call.record.residual = Some("the summary goes on from that of the run before".to_owned());
                    }
                    call
                })),
                Err(why) => wrong = Some(why),
            }
        }
        if wrong.is_none() && self.run.answers > 0 && self.document.calls.len() == calls_before {
            wrong = Some("unknown usage: answers of a run whose summary counts no tokens".to_owned());
        }
        if self.run.compacted {
            let why = "the context was compacted: the summary may tell only of the calls since then".to_owned();
            self.document.skipped.push((number, why));
        }
        wrong.map_or(Ok(()), Err)
    }

    fn sums(
        &self,
        model: &str,
        metric: &Value,
        counts: Counts,
        (at, key): (Timestamp, &str),
    ) -> Result<Option<ParsedCall>, String> {
        let mut fields = [("", None); 5];
        for (field, (name, count)) in fields.iter_mut().zip(COUNTS.into_iter().zip(counts)) {
            *field = (name, count.and_then(|count| i64::try_from(count).ok()));
        }
        let logged = logged(fields);
        if logged.is_nothing() {
            return Ok(None);
        }
        let mut record = fields::record(PROVIDER, AGENT, logged)?;
        record = record.conversation(self.session.as_str()).key(format!("copilot-cli/{}/{key}/{model}", self.session));
        record.model = jsonl::name(model).map(str::to_owned);
        let ids = record.ids().collect();
        call_provider::serve(&mut record, self.log.server(model), ids);
        record.project.clone_from(&self.project);
        record.quality = Quality::Derived;
        let counts = COUNTS.iter().filter_map(|name| Some((*name, metric.get("usage")?.get(*name)?.clone())));
        let requests = metric.pointer("/requests/count").map(|count| ("requests", count.clone()));
        record.raw = fields::raw(&counts.chain(requests).collect());
        fields::checked(at, record).map(Some)
    }

    /// Returns whether other files contain the calls of this run.
    fn has_reported(&mut self) -> bool {
        let (Some(began), Some(ended)) = (self.run.began, self.run.ended) else { return false };
        let stored = self.store.as_ref().is_some_and(|store| store.has_between(&self.session, began, ended));
        stored
            || self.is_in_telemetry(began.plus(-MINUTE), ended.plus(MINUTE)).unwrap_or_else(|refusal| {
                self.refusal = Some(refusal);
                false
            })
    }

    /// Returns whether telemetry has a call of the session in this time. A run reports all its calls to telemetry, or
    /// none.
    fn is_in_telemetry(&self, from: Timestamp, to: Timestamp) -> Result<bool, Refusal> {
        let Some(directory) = home_of(self.path).map(|home| home.join(TELEMETRY)) else { return Ok(false) };
        let session = memmem::Finder::new(self.session.as_bytes());
        let tells = |line: &[u8]| {
            let at = || fields::parse(line).ok().and_then(|line| otel::time(&line));
            session.find(line).is_some()
                && otel::USAGE.find(line).is_some()
                && at().is_some_and(|at| at >= from && at <= to)
        };
        let refused = |path: PathBuf, error: io::Error| {
            let name = path.strip_prefix(&directory).unwrap_or(&path).display().to_string();
            Refusal::Unreadable(format!("the telemetry `{name}` beside it may tell of its calls: {error}"))
        };
        for path in files(&directory).map_err(|error| refused(directory.clone(), error))? {
            // Ignore anything but files. It must not make the session fail.
            let is_log = path.extension().is_some_and(|name| name == "jsonl") && regular::check(&path).is_ok();
            if is_log && compression::any_line(&path, &tells).map_err(|error| refused(path, error))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends a run without sums: it continues, or it was killed.
    fn close(&mut self) {
        if self.run.answers > 0 && !self.has_reported() {
            let why =
                format!("answers of a run without a summary, whose token counts are not known: {}", self.run.answers);
            self.document.skipped.push((0, why));
        }
        self.run = CopilotRun::default();
    }
}

/// Lists the files below a directory; none if it does not exist. Links to directories are not followed because they may
/// form a cycle.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files_found, mut left) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = left.pop() {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() { &mut left } else { &mut files_found }.push(entry.path());
        }
    }
    Ok(files_found)
}
