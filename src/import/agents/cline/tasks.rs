//! Parses the messages of a task, `ui_messages.json`.
//!
//! Cline's `tokensIn` excludes the cache, except for servers with `OpenAI`'s API (`openai`). Roo Code and Kilo Code
//! pass on the API's count, and `apiProtocol` names the API. With `openai` it includes the cache. With `anthropic`
//! older versions exclude it and newer ones include it, which no field states; the requests of a task together show it.
//!
//! Requests that a user deleted are removed from the messages, and their sum is added to one `deleted_api_reqs`.
//! Requests that were imported before keep their records, so only the rest of the sum is new. For this a reading stores
//! the requests that it saw.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::models::ModelHistory;
use super::{CLINE, Family, is_inside};
use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::import::engine::query::Refusal;
use crate::import::engine::resume;
use crate::model::event::Quality;
use crate::model::time::Timestamp;
use crate::readers::normalise::logged::Logged;

/// Counts in the text of a request: input, output, cache writes, cache reads.
const COUNTS: [&str; 4] = ["tokensIn", "tokensOut", "cacheWrites", "cacheReads"];

/// Requests of a reading by time, with their four counts.
type SeenTasks = BTreeMap<i64, [u64; 4]>;

/// A request with counts.
struct TaskRequest<'m> {
    ts: i64,
    at: Timestamp,
    message: &'m Value,
    text: Value,
    logged: Logged,
    /// What the counts are a sum of, if they are one.
    role: Option<&'static str>,
}

pub(super) fn read(family: &Family, path: &Path, text: &[u8], resume: Option<&Value>) -> Result<Document, Refusal> {
    let messages = fields::parse(text)?;
    let messages = messages.as_array().ok_or("unknown shape: a task that is no list of messages")?;
    let task = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let mut document = Document { conversation: Some(task.clone()), ..Document::default() };
    document.began = messages.iter().filter_map(|message| fields::time(message.get("ts"))).min();

    let mut tally = SkipTally::default();
    let mut requests = gather(family, messages, &mut document.skipped, &mut tally);
    let before: SeenTasks = resume::member(resume, "seen")?.unwrap_or_default();
    let seen: SeenTasks = requests.iter().map(|request| (request.ts, four(&request.logged))).collect();
    settle_deleted(&mut requests, &before, &seen, &mut tally);

    let models = ModelHistory::beside(family, path, messages)?;
    let open = requests.iter().filter(|request| protocol(family, request, &models) == Protocol::Unclear);
    let inside = is_inside(open.map(|request| &request.logged));
    for (at, request) in requests.iter().enumerate() {
        match made(family, &task, request, &models, inside, &mut tally) {
            Ok(call) => document.calls.extend(call),
            Err(why) => document.skipped.push((at as u64 + 1, why)),
        }
    }
    document.skipped.extend(tally.skipped());
    document.resume = Some(json!({ "seen": seen }));
    Ok(document)
}

/// Returns the requests of a task in order of time.
fn gather<'m>(
    family: &Family,
    messages: &'m [Value],
    skipped: &mut Vec<(u64, String)>,
    tally: &mut SkipTally,
) -> Vec<TaskRequest<'m>> {
    let mut requests = Vec::new();
    // A request whose counts are missing so far. They may follow in a separate message.
    let mut open: Option<&Value> = None;
    // Whether a message follows that is written only after the request.
    let mut is_over = false;
    for (at, message) in messages.iter().enumerate() {
        let (from, role) = match message.get("say").and_then(Value::as_str) {
            Some("api_req_started") => {
                if open.replace(message).is_some() {
                    tally.add("requests without token counts");
                }
                is_over = false;
                (message, None)
            }
            Some("api_req_finished") => (open.unwrap_or(message), None),
            Some("deleted_api_reqs" | "api_req_deleted") => (message, Some("deleted")),
            Some("subagent_usage") => (message, Some("subagents")),
            Some("condense_context") => {
                tally.add("condensations of a context, which tell no token counts");
                continue;
            }
            _ => {
                is_over |= ends_request(message);
                continue;
            }
        };
        match request(family, message, from, role) {
            Ok(Some(request)) => {
                if role.is_none() {
                    open = None;
                }
                if request.logged.is_nothing() {
                    tally.add("requests without token counts");
                } else {
                    requests.push(request);
                }
            }
            // The last request is still in progress.
            Ok(None) => {}
            Err(why) => {
                open = open.filter(|_| role.is_some());
                skipped.push((at as u64 + 1, why));
            }
        }
    }
    if open.is_some() && is_over {
        tally.add("requests without token counts");
    }
    requests
}

/// Returns whether the message is of a kind that is written only when no request is in progress.
fn ends_request(message: &Value) -> bool {
    const BEHIND: [&str; 4] = ["completion_result", "resume_task", "resume_completed_task", "user_feedback"];
    let is = |name: &str| message.get(name).and_then(Value::as_str).is_some_and(|kind| BEHIND.contains(&kind));
    is("say") || is("ask")
}

/// Parses a request; `None` while it has no counts.
fn request<'m>(
    family: &Family,
    message: &Value,
    from: &'m Value,
    role: Option<&'static str>,
) -> Result<Option<TaskRequest<'m>>, String> {
    let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() && message.get("partial").is_some() {
        return Ok(None);
    }
    let text: Value = serde_json::from_str(text).map_err(|_| "unknown shape: a request whose text is no JSON")?;
    let mut counts = [None; 4];
    for (count, name) in counts.iter_mut().zip(COUNTS) {
        *count = fields::count(&text, name)?;
    }
    if counts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [input, output, written, read] = counts;
    let mut logged = Logged::new(family.name, family.normaliser, (COUNTS[0], input), (COUNTS[1], output));
    logged.cache_write = (COUNTS[2], written);
    logged.cache_read = (COUNTS[3], read);
    let at = fields::time(from.get("ts")).ok_or("unknown shape: a request without a time")?;
    Ok(Some(TaskRequest { ts: at.millis(), at, message: from, text, logged, role }))
}

fn four(logged: &Logged) -> [u64; 4] {
    let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    [logged.input, logged.output, logged.cache_write, logged.cache_read].map(|(_, stated)| count(stated))
}

/// Reduces new sums of deleted requests by what was imported before. A sum that an earlier reading saw is imported
/// already.
fn settle_deleted(requests: &mut Vec<TaskRequest<'_>>, before: &SeenTasks, seen: &SeenTasks, tally: &mut SkipTally) {
    let is_new = |request: &TaskRequest<'_>| request.role == Some("deleted") && !before.contains_key(&request.ts);
    let Some(last) = requests.iter().rposition(is_new) else {
        requests.retain(|request| request.role != Some("deleted"));
        return;
    };
    // New sums cover the missing requests together.
    let mut sum = [0_u64; 4];
    for request in requests.iter().filter(|request| is_new(request)) {
        sum = added(sum, four(&request.logged));
    }
    let gone = before.iter().filter(|(ts, _)| !seen.contains_key(ts));
    let imported = gone.fold([0; 4], |all, (_, counts)| added(all, *counts));
    let mut left = [0_u64; 4];
    let mut fits = true;
    for (left, (sum, imported)) in left.iter_mut().zip(sum.into_iter().zip(imported)) {
        match sum.checked_sub(imported) {
            Some(rest) => *left = rest,
            None => fits = false,
        }
    }
    if !fits {
        tally.add("sums of deleted requests that are less than what was imported of them");
    }
    let mut at = 0;
    requests.retain_mut(|request| {
        at += 1;
        if request.role != Some("deleted") {
            return true;
        }
        let logged = &mut request.logged;
        let fields = [&mut logged.input, &mut logged.output, &mut logged.cache_write, &mut logged.cache_read];
        for (field, left) in fields.into_iter().zip(left) {
            field.1 = i64::try_from(left).ok();
        }
        fits && at == last + 1 && left != [0; 4]
    });
}

fn added(mut all: [u64; 4], more: [u64; 4]) -> [u64; 4] {
    for (sum, count) in all.iter_mut().zip(more) {
        *sum = sum.saturating_add(count);
    }
    all
}

/// Whether the input includes the cache, as far as the log states it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Inside,
    QuotaDocuments,
    Unclear,
}

fn protocol(family: &Family, request: &TaskRequest<'_>, models: &ModelHistory) -> Protocol {
    if family.name == CLINE.name {
        let whose = models.of(request.ts, request.message).provider;
        return if whose.as_deref() == Some("openai") { Protocol::Unclear } else { Protocol::QuotaDocuments };
    }
    match request.text.get("apiProtocol").and_then(Value::as_str) {
        Some("openai") => Protocol::Inside,
        _ => Protocol::Unclear,
    }
}

fn made(
    family: &Family,
    task: &str,
    request: &TaskRequest<'_>,
    models: &ModelHistory,
    inside: bool,
    tally: &mut SkipTally,
) -> Result<Option<ParsedCall>, String> {
    let named = models.of(request.ts, request.message);
    if named.provider.as_deref() == Some("claude-code") {
        tally.add("requests made through Claude Code, whose own logs tell of them");
        return Ok(None);
    }
    let known = protocol(family, request, models);
    let mut logged = request.logged;
    logged.cache_inside = match known {
        Protocol::Inside => true,
        Protocol::QuotaDocuments => false,
        Protocol::Unclear => inside,
    };
    // These agents call every server with `OpenAI`'s API `openai`.
    let provider = named.provider.as_deref().map(|name| match name {
        "openai" => "openai-compatible",
        "openai-native" | "openai-codex" => "openai",
        other => other,
    });
    let mut record =
        fields::record(&provider_names::provider(provider, named.model.as_deref(), family.name), family.name, logged)?;
    if known == Protocol::Unclear && inside && logged.cached() > 0 && record.residual.is_none() {
        record.quality = Quality::Derived;
        record.residual =
            Some("took the cached input as inside `tokensIn`: no request of the task has more of it".to_owned());
    }
    record = record.conversation(task).key(format!("{}/{task}/{}", family.name, request.ts));
    record.model = named.model;
    record.project = named.project;
    if let Some(role) = request.role {
        record = record.label("role", role);
    }
    if request.role == Some("deleted") {
        record.quality = Quality::Derived;
    } else {
        fields::set_cost(&mut record, "cost", request.text.get("cost"));
        let raw_fields = COUNTS.iter().chain(&["cost", "apiProtocol"]);
        record.raw =
            fields::raw(&raw_fields.filter_map(|name| Some((*name, request.text.get(*name)?.clone()))).collect());
    }
    fields::checked(request.at, record).map(Some)
}
