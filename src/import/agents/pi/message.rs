//! Parses an entry of a session, for pi and the agents derived from it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::readers::normalise::logged::Logged;

/// The differences between agents that write such entries.
pub(in crate::import) struct MessageDialect {
    pub agent: &'static str,
    pub normaliser: &'static str,
    /// Names of the count of reasoning tokens.
    pub reasoning: &'static [&'static str],
}

/// The location of an entry.
#[derive(Clone, Copy)]
pub(in crate::import) struct MessagePlace<'p> {
    pub session: Option<&'p str>,
    pub directory: Option<&'p str>,
}

/// The counts other than reasoning.
const COUNTS: [&str; 4] = ["input", "output", "cacheRead", "cacheWrite"];

/// Returns the call of an entry. `None` if it is no answer, or failed before it used tokens.
pub(in crate::import) fn call(
    dialect: &MessageDialect,
    entry: &Value,
    place: MessagePlace<'_>,
) -> Result<Option<ParsedCall>, String> {
    // An entry of another type may state the usage of a separate call, such as a summary.
    let message = entry.get("message").unwrap_or(entry);
    let Some(usage) = message.get("usage").filter(|usage| !usage.is_null()) else {
        let is_answer = fields::text(message, "role") == Some("assistant");
        return if is_answer { Err("unknown shape: an answer without usage".to_owned()) } else { Ok(None) };
    };
    if !usage.is_object() {
        return Err("unknown shape: usage that is no object".to_owned());
    }
    let logged = counts(dialect, usage)?;
    let stop = fields::text(message, "stopReason");
    if logged.is_nothing() {
        let failed = matches!(stop, Some("error" | "aborted"));
        return if failed { Ok(None) } else { Err("unknown usage: all counts of an answer are 0".to_owned()) };
    }
    // Copies keep the time of the answer. The time of the entry is when it was written.
    let own = message.get("timestamp").filter(|_| entry.get("message").is_some());
    let at = fields::time(own).or_else(|| fields::time(entry.get("timestamp")));
    let at = at.ok_or("unknown shape: an answer without a time")?;
    let id = fields::text(message, "responseId").or_else(|| fields::text(entry, "id"));
    let id = id.ok_or("unknown shape: an answer without an id")?;
    let model = fields::text(message, "model");
    let provider = provider_names::provider(fields::text(message, "provider"), model, provider_names::UNKNOWN);
    let mut record = fields::record(&provider, dialect.agent, logged)?;
    record = record.key(format!("{}/{}/{id}", dialect.agent, at.millis()));
    record.model = model.map(str::to_owned);
    record.conversation = place.session.map(str::to_owned);
    record.project = place.directory.map(str::to_owned);
    record.duration_ms = fields::unsigned(message, "durationMs").ok().flatten();
    let cost = usage.get("cost").filter(|cost| cost.get("totalFromProvider") == Some(&Value::Bool(true)));
    fields::set_cost(&mut record, "cost.total", cost.and_then(|cost| cost.get("total")));
    if let Some(kind) = fields::text(entry, "type").filter(|kind| *kind != "message") {
        record = record.label("purpose", kind);
    }
    let names = COUNTS.iter().chain(dialect.reasoning).chain(&["totalTokens"]);
    let raw: BTreeMap<_, _> = names.filter_map(|name| Some((*name, usage.get(*name)?.clone()))).collect();
    record.raw = fields::raw(&raw);
    fields::checked(at, record).map(Some)
}

/// The counts of a usage object.
pub(in crate::import) fn counts(dialect: &MessageDialect, usage: &Value) -> Result<Logged, String> {
    let field = |name| fields::field(usage, name);
    let mut logged = Logged::new(dialect.agent, dialect.normaliser, field("input")?, field("output")?);
    logged.cache_read = field("cacheRead")?;
    logged.cache_write = field("cacheWrite")?;
    for name in dialect.reasoning {
        let reasoning = field(name)?;
        if reasoning.1.is_some() {
            logged.reasoning = reasoning;
        }
    }
    logged.cache_inside = false;
    if usage.get("input").is_none() && usage.get("output").is_none() {
        return Err("unknown shape: usage without `input` and `output`".to_owned());
    }
    Ok(logged)
}
