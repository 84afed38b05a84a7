//! Reads the usage of one run from an agent's output: its last document, or a record for each turn.

mod models;
mod shape;

use serde_json::{Map, Value};

pub use models::{ModelRun, extract_models};

use self::shape::{CAMEL, has, read_usage};
use super::UsageFormat;
use crate::model::error::{Error, Result};
use crate::model::provider::ProviderId;
use crate::model::tokens::{TokenClass, Tokens, Usd};

/// The usage of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Extracted {
    /// The counts, each token in one class.
    pub tokens: Tokens,
    /// The model; of several the one with the highest cost.
    pub model: Option<String>,
    /// The cost that the agent stated.
    pub cost: Option<Usd>,
    /// The format of the counts: `claude`, `codex`, `openai` or `camel-case`.
    pub format: &'static str,
    /// What did not add up, or had an unusual spelling.
    pub residual: Option<String>,
}

/// Whether the records of a run add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(any(test, feature = "internals")), allow(dead_code))] // the command asks for `Auto` alone
pub enum Turns {
    /// The format of each record decides: totals of the run replace earlier ones, turns add up.
    #[default]
    Auto,
    /// Every record is a turn.
    Add,
    /// Every record is the total so far.
    Last,
}

/// Reads the output of a run: one JSON document, or lines, of which JSON objects count.
///
/// `turns` and `provider` are known properties of the agent: whether its records add up, and which provider serves it.
/// xAI counts the cache inside the input even under Anthropic's field names, and Anthropic beside it. `None` without
/// token counts, or if all counts are 0.
///
/// # Errors
/// [`Error::Invalid`] for an invalid count.
pub fn extract(output: &str, turns: Turns, provider: Option<&ProviderId>) -> Result<Option<Extracted>> {
    let documents = documents(output);
    let mut sum: Option<Extracted> = None;
    for document in documents.iter().filter_map(Value::as_object) {
        let Some((mut extracted, total)) = one(document)? else { continue };
        if extracted.format == "claude" && provider.is_some_and(|provider| provider.as_str() == "xai") {
            take_out_cache(&mut extracted.tokens);
        }
        let replaces = match turns {
            Turns::Auto => total,
            Turns::Add => false,
            Turns::Last => true,
        };
        sum = Some(match sum {
            Some(before) if replaces => Extracted { model: extracted.model.or(before.model), ..extracted },
            Some(before) => added(before, extracted)?,
            None => extracted,
        });
    }
    Ok(sum.filter(|run| run.tokens.total().is_ok_and(|total| total > 0)))
}

/// The JSON documents of an output; prose may surround them.
fn documents(output: &str) -> Vec<Value> {
    match serde_json::from_str(output) {
        Ok(Value::Array(list)) => list,
        Ok(document) => vec![document],
        Err(_) => output.lines().filter_map(|line| serde_json::from_str(line.trim()).ok()).collect(),
    }
}

/// Removes cache reads from the input, unless they exceed it.
fn take_out_cache(tokens: &mut Tokens) {
    if let (Some(input), Some(read)) = (tokens.input, tokens.cache_read)
        && let Some(rest) = input.checked_sub(read)
    {
        tokens.input = Some(rest);
    }
}

fn added(before: Extracted, extracted: Extracted) -> Result<Extracted> {
    let mut tokens = before.tokens;
    for class in TokenClass::ALL {
        let sum = match (tokens.get(class), extracted.tokens.get(class)) {
            (Some(a), Some(b)) => Some(a.checked_add(b).ok_or(Error::Overflow { what: "token sum" })?),
            (a, b) => a.or(b),
        };
        tokens.set(class, sum);
    }
    let cost = match (before.cost, extracted.cost) {
        (Some(a), Some(b)) => Some(a.checked_add(b)?),
        (a, b) => a.or(b),
    };
    Ok(Extracted {
        tokens,
        model: extracted.model.or(before.model),
        cost,
        format: extracted.format,
        residual: extracted.residual.or(before.residual),
    })
}

/// Reads one document, and whether it is the total of the run so far.
fn one(document: &Map<String, Value>) -> Result<Option<(Extracted, bool)>> {
    let object =
        |value: Option<&Value>, name: &str| value.and_then(|value| value.get(name)).and_then(Value::as_object).cloned();
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let payload = if text("type") == Some("event_msg") {
        document.get("payload").and_then(Value::as_object)
    } else {
        Some(document)
    };
    if let Some(payload) = payload.filter(|payload| payload.get("type").and_then(Value::as_str) == Some("token_count"))
    {
        let info = payload.get("info");
        let total = object(info, "total_token_usage");
        let is_total = total.is_some();
        let Some(usage) = total.or_else(|| object(info, "last_token_usage")) else { return Ok(None) };
        return Ok(read_usage(document, None, &usage, Some(UsageFormat::Codex))?.map(|extracted| (extracted, is_total)));
    }
    // The last document of a run may be its total; the type of the document states it.
    let is_total = text("type") == Some("result");
    let own_usage = document.get("usage").and_then(Value::as_object);
    let nested = ["stats", "metadata", "session"].iter().filter_map(|name| document.get(*name)?.as_object());
    let inner = nested.flat_map(|outer| [Some(outer), outer.get("usage").and_then(Value::as_object)]).flatten();
    let camel = own_usage.filter(|usage| has(usage, &CAMEL));
    for usage in camel.into_iter().chain([document]).chain(own_usage).chain(inner) {
        let extracted = read_usage(document, Some(usage), usage, None)?;
        // A part without tokens is skipped, because the next one may have them.
        if let Some(extracted) = extracted.filter(|extracted| extracted.tokens.total().is_ok_and(|total| total > 0)) {
            return Ok(Some((extracted, is_total)));
        }
    }
    Ok(None)
}
