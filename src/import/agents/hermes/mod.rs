//! Hermes Agent: `~/.hermes/state.db`.
//!
//! Supported: schema 22 (checked against a real 0.19.0 and the responses of its server). `session_model_usage` has the
//! sums of a session for each model, provider and task: one record that grows, dated at its first call, with the
//! quality `derived`. A session without such rows has only its own sums. `input_tokens` excludes the cache,
//! `output_tokens` includes reasoning. A session that ended, has messages and states no counts was closed while its call
//! was under way, as those of subagents are when their parent ends. Such sessions are counted as skipped.

mod descriptor;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DatabaseLog, LogFormat, Source};
use crate::model::event::Quality;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Hermes' sessions.
pub(crate) struct Hermes;

const AGENT: &str = "hermes";
const DATABASE: &str = "state.db";
const COUNTS: [&str; 5] =
    ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"];
/// The number of calls, which is also known if the server states no counts.
const CALLS: &str = "api_call_count";
/// Hermes' name for a provider that the user configured.
const OWN: &str = "custom";

impl Source for Hermes {
    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == DATABASE)
    }

    fn enters(&self, directory: &Path) -> bool {
        // `profiles/<name>/state.db`; next to them are logs, skills and checkouts.
        let is = |levels: usize| {
            directory.ancestors().nth(levels).and_then(Path::file_name).is_some_and(|name| name == "profiles")
        };
        is(0) || is(1)
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Database(self)
    }
}

impl DatabaseLog for Hermes {
    fn database(&self, _path: &Path, database: &Connection, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let have = fields::columns(database, "sessions")?;
        if have.is_empty() {
            return Err("unknown shape: a database without a table of sessions".into());
        }
        let optional: Vec<&str> = COUNTS
            .into_iter()
            .chain(["model", "cwd", "billing_provider", "actual_cost_usd", "ended_at", "message_count", CALLS])
            .collect();
        let columns = fields::choose(&have, "sessions", &["id", "started_at"], &optional)?;
        let mut sessions = BTreeMap::new();
        let (mut document, mut place) = (Document::default(), 0_u64);
        let read = fields::visit(database, &format!("SELECT {columns} FROM sessions"), [], &mut |row| {
            place += 1;
            match fields::text(&row, "id").map(str::to_owned) {
                Some(id) => drop(sessions.insert(id, row)),
                None => document.skipped.push((place, "unknown shape: a session whose id is no text".to_owned())),
            }
        });
        document.cut = read.err();
        let began = sessions.iter().filter_map(|(id, row)| Some((id.clone(), fields::time(row.get("started_at"))?)));
        document.conversations = began.collect();
        let summed = match by_model(database, &sessions, &mut document) {
            // Sessions whose rows were not reached must not count by their own sums too.
            Err(why) if why.is_unreadable() => {
                document.cut = Some(why);
                return Ok(document);
            }
            summed => summed?,
        };
        let mut tally = SkipTally::default();
        for (place, (id, row)) in (1_u64..).zip(&sessions) {
            if !summed.contains(id) {
                let read = sums(row, id, row, &["", "", "", ""]);
                if read == Ok(None) && was_cut_off(row) {
                    tally.add("sessions that ended without the token counts of their calls");
                }
                take(&mut document, place, read);
            }
        }
        document.skipped.extend(tally.skipped());
        Ok(document)
    }
}

/// Reads the sums per model, and returns the sessions that have some.
fn by_model(
    database: &Connection,
    sessions: &BTreeMap<String, Value>,
    document: &mut Document,
) -> Result<BTreeSet<String>, Refusal> {
    const TABLE: &str = "session_model_usage";
    let (mut summed, mut place) = (BTreeSet::new(), 0_u64);
    let have = fields::columns(database, TABLE)?;
    if have.is_empty() {
        return Ok(summed);
    }
    let names =
        ["billing_provider", "billing_base_url", "billing_mode", "task", "first_seen", "actual_cost_usd", CALLS];
    let optional: Vec<&str> = COUNTS.into_iter().skip(2).chain(names).collect();
    let columns = fields::choose(&have, TABLE, &["session_id", "model", "input_tokens", "output_tokens"], &optional)?;
    fields::visit(database, &format!("SELECT {columns} FROM {TABLE} ORDER BY rowid"), [], &mut |row| {
        place += 1;
        let Some(id) = fields::text(&row, "session_id") else {
            document.skipped.push((place, "unknown shape: sums without a session".to_owned()));
            return;
        };
        summed.insert(id.to_owned());
        let none = Value::Null;
        let session = sessions.get(id).unwrap_or(&none);
        let key = ["billing_provider", "billing_base_url", "billing_mode", "task"];
        let key = key.map(|name| fields::text(&row, name).unwrap_or_default());
        take(document, place, sums(&row, id, session, &key));
    })?;
    Ok(summed)
}

/// Returns whether a session has ended after it sent a message to its model.
fn was_cut_off(session: &Value) -> bool {
    let is_over = session.get("ended_at").is_some_and(|end| !end.is_null());
    is_over && fields::count(session, "message_count").is_ok_and(|messages| messages > Some(0))
}

fn take(document: &mut Document, place: u64, read: Result<Option<ParsedCall>, String>) {
    match read {
        Ok(call) => document.calls.extend(call),
        Err(why) => document.skipped.push((place, why)),
    }
}

/// Returns the record of a row with sums. `None` if nothing was used.
fn sums(row: &Value, id: &str, session: &Value, key: &[&str; 4]) -> Result<Option<ParsedCall>, String> {
    let field = |name| fields::field(row, name);
    let [input, output, read, written, reasoning] = COUNTS;
    let mut logged = Logged::new(AGENT, "hermes/1", field(input)?, field(output)?);
    (logged.cache_read, logged.cache_write) = (field(read)?, field(written)?);
    logged.reasoning = field(reasoning)?;
    logged.cache_inside = false;
    if logged.is_nothing() {
        let has_calls = fields::count(row, CALLS).is_ok_and(|calls| calls > Some(0));
        return if has_calls { Err("unknown usage: all counts of a session are 0".to_owned()) } else { Ok(None) };
    }
    let at = fields::time(row.get("first_seen")).or_else(|| fields::time(session.get("started_at")));
    let at = at.ok_or("unknown shape: a session without a time")?;
    let model = fields::text(row, "model");
    let named = fields::text(row, "billing_provider").filter(|name| *name != OWN);
    let provider = provider_names::provider(named, model, provider_names::UNKNOWN);
    let [billing, server, mode, task] = key;
    // The server's address may contain a credential, so the key has only its hash.
    let server = xxhash_rust::xxh3::xxh3_64(server.as_bytes());
    let model_name = model.unwrap_or_default();
    let mut record = fields::record(&provider, AGENT, logged)?;
    record = record.key(format!("hermes/{id}/{model_name}/{billing}/{server:x}/{mode}/{task}")).conversation(id);
    record.quality = Quality::Derived;
    record.model = model.map(str::to_owned);
    record.project = fields::text(session, "cwd").map(str::to_owned);
    fields::set_cost(&mut record, "actual_cost_usd", row.get("actual_cost_usd"));
    record.cost = record.cost.filter(|cost| *cost != crate::model::tokens::Usd::default());
    if !task.is_empty() {
        record = record.label("purpose", *task);
    }
    record.raw = fields::raw_of(row, &COUNTS);
    fields::checked(at, record).map(Some)
}
