//! Goose: `sessions.db` in `~/.local/share/goose/sessions` (and the corresponding directories on macOS and Windows),
//! and the older `sessions/*.jsonl`.
//!
//! Supported: schemas 1 to 17 of the database. Since 15 the table `usage_ledger` has one row per call; one row,
//! `carried_forward`, has the sums from before. A session without such rows has only sums (`accumulated_*`; the counts
//! of its last call are no sums and are ignored). They are one record that grows, dated at the start of the session
//! because any later time would depend on the time of the import; its quality is `derived`. The input includes the
//! cache. The sums of a session stay with the provider of their first import, because one session is one record.
//!
//! Line logs state the sums of a session in their first line. A database next to them already contains them. Calls that
//! Goose made through another agent's program (`claude-code`, `codex` …) are in that agent's logs.
//!
//! Skipped with a reason: a database without a table of sessions or with other columns, a log whose first line does not
//! describe a session.

mod descriptor;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::jsonl;
use crate::import::engine::provider_names;
use crate::import::engine::query::{self, Refusal};
use crate::import::engine::resume;
use crate::import::engine::source::{DatabaseLog, DocumentLog, LogFormat, Source};
use crate::model::event::{Quality, TokenRecord};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Goose's sessions.
pub(crate) struct Goose;

const AGENT: &str = "goose";
const DATABASE: &str = "sessions.db";
/// Providers that are programs with logs of their own.
const PROGRAMS: [&str; 7] =
    ["claude-code", "claude-acp", "codex", "codex-acp", "gemini-cli", "cursor-agent", "gemini_cli"];

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for Goose {
    fn version(&self) -> u32 {
        VERSION
    }

    fn enters(&self, _directory: &Path) -> bool {
        false
    }

    fn wants(&self, path: &Path) -> bool {
        let log = path.extension().is_some_and(|extension| extension == "jsonl");
        path.file_name().is_some_and(|name| name == DATABASE) || (log && !path.with_file_name(DATABASE).exists())
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if path.file_name().is_some_and(|name| name == DATABASE) {
            LogFormat::Database(self)
        } else {
            LogFormat::Document(self)
        }
    }
}

impl DocumentLog for Goose {
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        Ok(log(path, text)?)
    }
}

impl DatabaseLog for Goose {
    fn database(&self, _path: &Path, database: &Connection, resume: Option<&Value>) -> Result<Document, Refusal> {
        GooseReading::new(database, resume)?.read(database)
    }
}

/// Calls and sums in a database.
struct GooseReading {
    /// Last row of the usage ledger that was read.
    last: i64,
    /// Provider under which the sums of a session are recorded.
    summed: HashMap<String, String>,
    sessions: HashMap<String, GooseSession>,
    document: Document,
    tally: SkipTally,
}

/// A row of sessions.
struct GooseSession {
    row: Value,
    provider: Option<String>,
    model: Option<String>,
    began: Option<Timestamp>,
    /// Whether the usage ledger has rows of it.
    in_ledger: bool,
}

impl GooseSession {
    fn whose(&self) -> String {
        provider_names::provider(self.provider.as_deref(), self.model.as_deref(), AGENT)
    }
}

impl GooseReading {
    fn new(database: &Connection, resume: Option<&Value>) -> Result<Self, Refusal> {
        let mut last: i64 = resume::member(resume, "last")?.unwrap_or(0);
        let summed = resume::member(resume, "summed")?.unwrap_or_default();
        let have = fields::columns(database, "sessions")?;
        if have.is_empty() {
            return Err("unknown shape: a database without a table of sessions".into());
        }
        let sums = ["accumulated_input_tokens", "accumulated_output_tokens"];
        let more = [
            "accumulated_cache_read_tokens",
            "accumulated_cache_write_tokens",
            "working_dir",
            "created_at",
            "provider_name",
            "model_config_json",
            "session_type",
        ];
        let chosen = fields::choose(&have, "sessions", &["id", sums[0], sums[1]], &more)?;
        let (mut sessions, mut document, mut place) = (HashMap::new(), Document::default(), 0);
        fields::visit(database, &format!("SELECT {chosen} FROM sessions"), [], &mut |row| {
            place += 1;
            let Some(id) = fields::text(&row, "id").map(str::to_owned) else {
                document.skipped.push((place, "unknown shape: a session whose id is no text".to_owned()));
                return;
            };
            let config =
                fields::text(&row, "model_config_json").and_then(|json| serde_json::from_str::<Value>(json).ok());
            let session = GooseSession {
                provider: fields::text(&row, "provider_name").map(str::to_owned),
                model: config.as_ref().and_then(|config| fields::text(config, "model_name")).map(str::to_owned),
                began: fields::time(row.get("created_at")),
                in_ledger: false,
                row,
            };
            sessions.insert(id, session);
        })?;
        if !fields::columns(database, "usage_ledger")?.is_empty() {
            (_, last) = query::new_rows(database, "usage_ledger", last)?;
        }
        Ok(Self { last, summed, sessions, document, tally: SkipTally::default() })
    }

    fn read(mut self, database: &Connection) -> Result<Document, Refusal> {
        self.ledger(database)?;
        let mut sums: Vec<_> =
            self.sessions.iter().filter(|(_, session)| !session.in_ledger).map(|(id, _)| id.clone()).collect();
        sums.sort_unstable();
        for id in sums {
            if let Err(why) = self.sums(&id) {
                self.document.skipped.push((0, why));
            }
        }
        self.document.skipped.extend(self.tally.skipped());
        let summed: BTreeMap<_, _> = self.summed.into_iter().collect();
        self.document.resume = Some(json!({"last": self.last, "summed": summed}));
        Ok(self.document)
    }

    fn ledger(&mut self, database: &Connection) -> Result<(), Refusal> {
        let have = fields::columns(database, "usage_ledger")?;
        if have.is_empty() {
            return Ok(());
        }
        let needed = ["id", "session_id", "created_timestamp", "input_tokens", "output_tokens"];
        let more = ["model", "cache_read_tokens", "cache_write_tokens", "cost", "cost_source", "is_compaction"];
        let chosen = fields::choose(&have, "usage_ledger", &needed, &more)?;
        let sql = format!("SELECT DISTINCT {} AS session_id FROM usage_ledger", query::bounded("session_id"));
        fields::visit(database, &sql, [], &mut |row| {
            if let Some(session) = fields::text(&row, "session_id").and_then(|id| self.sessions.get_mut(id)) {
                session.in_ledger = true;
            }
        })?;
        // The row number is the id, but it is a number in a table of another declaration too.
        let sql = format!("SELECT rowid AS row, {chosen} FROM usage_ledger WHERE rowid > ?1 ORDER BY rowid");
        let mut rows = Vec::new();
        self.document.cut = fields::visit(database, &sql, [self.last], &mut |row| rows.push(row)).err();
        for row in rows {
            let number = row.get("row").and_then(Value::as_i64).unwrap_or(0);
            if let Err(why) = self.call(&row) {
                self.document.skipped.push((u64::try_from(number).unwrap_or(0), why));
            }
            self.last = self.last.max(number);
        }
        Ok(())
    }

    /// Adds a row of the usage ledger.
    fn call(&mut self, row: &Value) -> Result<(), String> {
        let id = row.get("id").and_then(Value::as_i64).ok_or("unknown shape: a call without an id")?;
        let conversation = fields::text(row, "session_id").ok_or("unknown shape: a call without a session")?.to_owned();
        let at = fields::time(row.get("created_timestamp")).ok_or("unknown shape: a call without a time")?;
        let names = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"];
        let carried = fields::text(row, "cost_source") == Some("carried_forward");
        let session = self.sessions.get(&conversation);
        let mut provider = session.map_or_else(|| AGENT.to_owned(), GooseSession::whose);
        let (mut at, mut key) = (at, format!("goose/{conversation}/{id}"));
        if carried {
            // These are the sums of earlier imports: the same record.
            provider.clone_from(self.summed.entry(conversation.clone()).or_insert_with(|| provider.clone()));
            at = session.and_then(|session| session.began).unwrap_or(at);
            key = format!("goose/{conversation}");
        }
        let mut record = match counted(row, names, session, &provider)? {
            CountSource::Record(record) => *record,
            CountSource::Uncounted(why) => {
                self.tally.add(why);
                return Ok(());
            }
        };
        record = record.conversation(conversation).key(key);
        if let Some(model) = fields::text(row, "model").filter(|_| !carried) {
            record.model = Some(model.to_owned());
        }
        if fields::text(row, "cost_source") == Some("provider_reported") {
            fields::set_cost(&mut record, "cost", row.get("cost"));
        }
        if carried {
            record.quality = Quality::Derived;
        } else if row.get("is_compaction").and_then(Value::as_i64) == Some(1) {
            record = record.label("role", "compaction");
        }
        self.document.calls.push(fields::checked(at, record)?);
        Ok(())
    }

    /// Adds the sums of a session without rows in the usage ledger.
    fn sums(&mut self, id: &str) -> Result<(), String> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let names = [
            "accumulated_input_tokens",
            "accumulated_output_tokens",
            "accumulated_cache_read_tokens",
            "accumulated_cache_write_tokens",
        ];
        let nothing = |name: &str| session.row.get(name).is_none_or(Value::is_null);
        if names.into_iter().all(nothing) {
            // The session had no answer, or its provider states no counts.
            self.tally.add("sessions without token counts");
            return Ok(());
        }
        let provider = self.summed.get(id).cloned().unwrap_or_else(|| session.whose());
        let at = session.began.ok_or("unknown shape: a session without a time")?;
        let mut record = match counted(&session.row, names, Some(session), &provider)? {
            CountSource::Record(record) => *record,
            CountSource::Uncounted(why) => {
                self.tally.add(why);
                return Ok(());
            }
        };
        record = record.conversation(id).key(format!("goose/{id}"));
        record.quality = Quality::Derived;
        self.document.calls.push(fields::checked(at, record)?);
        self.summed.insert(id.to_owned(), provider);
        Ok(())
    }
}

/// The counts of a row, or why there are none.
enum CountSource {
    Record(Box<TokenRecord>),
    Uncounted(&'static str),
}

/// Builds a record from four columns: input, output, cache reads, cache writes.
fn counted(
    row: &Value,
    names: [&'static str; 4],
    session: Option<&GooseSession>,
    provider: &str,
) -> Result<CountSource, String> {
    let program = session.and_then(|session| session.provider.as_deref());
    if program.is_some_and(|name| PROGRAMS.contains(&name)) {
        return Ok(CountSource::Uncounted("calls made through another agent's program, whose own logs tell of them"));
    }
    let field = |name| fields::field(row, name);
    let mut logged = Logged::new(AGENT, "goose/1", field(names[0])?, field(names[1])?);
    logged.cache_read = field(names[2])?;
    logged.cache_write = field(names[3])?;
    if logged.is_nothing() {
        return Ok(CountSource::Uncounted("calls without token counts"));
    }
    let raw_fields =
        names.iter().filter_map(|name| Some((*name, row.get(*name).filter(|count| count.is_number())?.clone())));
    let raw = fields::raw(&raw_fields.collect());
    let mut record = fields::record(provider, AGENT, logged)?;
    record.raw = raw;
    if let Some(session) = session {
        record.model.clone_from(&session.model);
        record.project = fields::text(&session.row, "working_dir").map(str::to_owned);
        if fields::text(&session.row, "session_type") == Some("sub_agent") {
            record = record.label("sidechain", "true");
        }
    }
    Ok(CountSource::Record(Box::new(record)))
}

/// Reads a line log: its first line describes the session and has its sums.
fn log(path: &Path, text: &[u8]) -> Result<Document, String> {
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut lines = text.split(|byte| *byte == b'\n').filter_map(|line| jsonl::whole(line).ok().flatten());
    let first = lines.next().ok_or("unknown shape: a session without a description")?;
    let row = fields::parse(first)?;
    if row.get("role").is_some() || (row.get("working_dir").is_none() && row.get("description").is_none()) {
        return Err("unknown shape: a session without a description".to_owned());
    }
    let created = |line: &[u8]| fields::time(fields::parse(line).ok()?.get("created"));
    let began = fields::time(row.get("created_at")).or_else(|| lines.find_map(created));
    let mut document = Document { conversation: Some(id.clone()), began, ..Document::default() };
    let names = ["accumulated_input_tokens", "accumulated_output_tokens", "", ""];
    let session = GooseSession { provider: None, model: None, began, in_ledger: false, row };
    match counted(&session.row, names, Some(&session), AGENT)? {
        CountSource::Uncounted(_) => document.skipped.push((0, "a session without token counts".to_owned())),
        CountSource::Record(record) => {
            let at = began.ok_or("unknown shape: a session without a time")?;
            let mut record = record.conversation(id.as_str()).key(format!("goose/{id}"));
            record.quality = Quality::Derived;
            document.calls.push(fields::checked(at, record)?);
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests;
