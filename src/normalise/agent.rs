//! What the output of one run of an agent says it used: its last document, or a record for each turn.

use serde_json::{Map, Value};

use super::{Format, Normalised};
use crate::error::{Error, Result};
use crate::event::Quality;
use crate::tokens::{TokenClass, Tokens, Usd};

/// What a run used.
///
/// ```
/// use usage_ledger::normalise::agent;
/// let result = r#"{"type":"result","total_cost_usd":0.25,"usage":{"input_tokens":30,"output_tokens":12},
///     "modelUsage":{"claude-haiku-4-5":{"costUSD":0.01},"claude-opus-4-5":{"costUSD":0.24}}}"#;
/// let run = agent::extract(result)?.unwrap();
/// assert_eq!((run.tokens.total()?, run.model.as_deref()), (42, Some("claude-opus-4-5"))); // the dearest one
/// assert_eq!(run.cost, Some("0.25".parse()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// The counts, each token in one class.
    pub tokens: Tokens,
    /// The model; of several the one that cost most.
    pub model: Option<String>,
    /// What the agent said it cost.
    pub cost: Option<Usd>,
    /// The shape that the counts had: `claude`, `codex`, `openai` or `camel-case`.
    pub format: &'static str,
    /// What did not fit, or was read though it was written oddly.
    pub residual: Option<String>,
}

/// Whether records of a run add up.
///
/// ```
/// use usage_ledger::normalise::agent::{Turns, extract_as};
/// let lines = "{\"usage\":{\"input_tokens\":3}}\n{\"usage\":{\"input_tokens\":4}}";
/// assert_eq!(extract_as(lines, Turns::Add)?.unwrap().tokens.input, Some(7));
/// assert_eq!(extract_as(lines, Turns::Last)?.unwrap().tokens.input, Some(4));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turns {
    /// As each record's shape tells: totals of the run replace what came before, turns add up.
    #[default]
    Told,
    /// Every record is a turn.
    Add,
    /// Every record is the total so far.
    Last,
}

/// Reads the output of a run: one JSON document, or lines of which those that are JSON objects count.
///
/// `None` when no tokens are told of, or all counts are 0.
///
/// # Errors
/// [`Error::Invalid`] when a count is none.
///
/// ```
/// use usage_ledger::normalise::agent;
/// let turn = r#"{"type":"turn.completed","usage":{"input_tokens":100,"cached_input_tokens":80,"output_tokens":10}}"#;
/// let run = agent::extract(&format!("{turn}\n{turn}\n"))?.unwrap();
/// assert_eq!((run.tokens.input, run.tokens.cache_read, run.format), (Some(40), Some(160), "codex"));
/// assert_eq!(agent::extract(r#"{"result":"done"}"#)?, None);
/// assert!(agent::extract(r#"{"input_tokens":-1,"output_tokens":3}"#).is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn extract(output: &str) -> Result<Option<Extracted>> {
    extract_as(output, Turns::Told)
}

/// [`extract`] for an agent of which it is known whether its records add up.
///
/// # Errors
/// As of [`extract`].
///
/// ```
/// use usage_ledger::normalise::agent::{Turns, extract_as};
/// assert_eq!(extract_as("no JSON here", Turns::Add)?, None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn extract_as(output: &str, turns: Turns) -> Result<Option<Extracted>> {
    let documents: Vec<Value> = match serde_json::from_str(output) {
        Ok(Value::Array(list)) => list,
        Ok(document) => vec![document],
        // Prose may stand around the documents.
        Err(_) => output.lines().filter_map(|line| serde_json::from_str(line.trim()).ok()).collect(),
    };
    let mut sum: Option<Extracted> = None;
    for document in documents.iter().filter_map(Value::as_object) {
        let Some((found, total)) = one(document)? else { continue };
        let replaces = match turns {
            Turns::Told => total,
            Turns::Add => false,
            Turns::Last => true,
        };
        sum = Some(match sum {
            Some(before) if replaces => Extracted { model: found.model.or(before.model), ..found },
            Some(before) => added(before, found)?,
            None => found,
        });
    }
    Ok(sum.filter(|run| run.tokens.total().is_ok_and(|total| total > 0)))
}

fn added(before: Extracted, found: Extracted) -> Result<Extracted> {
    let mut tokens = before.tokens;
    for class in TokenClass::ALL {
        let sum = match (tokens.get(class), found.tokens.get(class)) {
            (Some(a), Some(b)) => Some(a.checked_add(b).ok_or(Error::Overflow { what: "token sum" })?),
            (a, b) => a.or(b),
        };
        tokens.set(class, sum);
    }
    let cost = match (before.cost, found.cost) {
        (Some(a), Some(b)) => Some(a.checked_add(b)?),
        (a, b) => a.or(b),
    };
    Ok(Extracted {
        tokens,
        model: found.model.or(before.model),
        cost,
        format: found.format,
        residual: found.residual.or(before.residual),
    })
}

/// What one document says, and whether that is the total of the run so far.
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
        return Ok(found(document, None, &usage, Some(Format::Codex))?.map(|found| (found, is_total)));
    }
    // The last document of a run that ends with one sums the run; a turn's own says so.
    let is_total = text("type") == Some("result");
    let own = document.get("usage").and_then(Value::as_object);
    let nested = ["stats", "metadata", "session"].iter().filter_map(|name| document.get(*name)?.as_object());
    let inner = nested.flat_map(|outer| [Some(outer), outer.get("usage").and_then(Value::as_object)]).flatten();
    let camel = own.filter(|usage| has(usage, &CAMEL));
    for usage in camel.into_iter().chain([document]).chain(own).chain(inner) {
        let found = found(document, Some(usage), usage, None)?;
        // A part without a token leaves it to the next to say more.
        if let Some(found) = found.filter(|found| found.tokens.total().is_ok_and(|total| total > 0)) {
            return Ok(Some((found, is_total)));
        }
    }
    Ok(None)
}

const CAMEL: [&str; 4] = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens"];
const SNAKE: [&str; 8] = [
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "reasoning_output_tokens",
    "prompt_tokens",
    "completion_tokens",
];

fn has(usage: &Map<String, Value>, names: &[&str]) -> bool {
    names.iter().any(|name| usage.get(*name).is_some_and(|value| !value.is_null()))
}

fn found(
    document: &Map<String, Value>,
    near: Option<&Map<String, Value>>,
    usage: &Map<String, Value>,
    format: Option<Format>,
) -> Result<Option<Extracted>> {
    let mut notes = Vec::new();
    let Some(usage) = counts(usage, &mut notes) else { return Ok(None) };
    let (normalised, name) = match format {
        Some(format) => (read(format, usage, &mut notes)?, "codex"),
        None if has(&usage, &["cached_input_tokens", "reasoning_output_tokens"]) => {
            (read(Format::Codex, usage, &mut notes)?, "codex")
        }
        None if has(&usage, &["prompt_tokens"]) => (read(Format::OpenaiChat, usage, &mut notes)?, "openai"),
        None if has(&usage, &["input_tokens_details"]) => (read(Format::OpenaiResponses, usage, &mut notes)?, "openai"),
        None if has(&usage, &CAMEL) => (read(Format::Codex, renamed(&usage), &mut notes)?, "camel-case"),
        None => (read(Format::Anthropic, usage, &mut notes)?, "claude"),
    };
    notes.extend(normalised.residual.clone());
    let mut tokens = normalised.tokens;
    let models = document.get("modelUsage").and_then(Value::as_object);
    if tokens.cache_read.unwrap_or(0) == 0 && tokens.cache_write.unwrap_or(0) == 0 {
        // Some versions tell of the cache by model only.
        let sum = |name: &str| {
            let counts = models?.values().filter_map(|model| model.get(name)?.as_u64());
            counts.fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0).saturating_add(count)))
        };
        tokens.cache_read = sum("cacheReadInputTokens").or(tokens.cache_read);
        tokens.cache_write = sum("cacheCreationInputTokens").or(tokens.cache_write);
    }
    tokens.validate()?;
    let named = |object: Option<&Map<String, Value>>| {
        object?.get("model")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    Ok(Some(Extracted {
        tokens,
        model: named(Some(document)).or_else(|| named(near)).or_else(|| dearest(models?)),
        cost: document.get("total_cost_usd").and_then(cost).or(normalised.cost),
        format: name,
        residual: (!notes.is_empty() || normalised.quality != Quality::Reported).then(|| notes.join("; ")),
    }))
}

/// The usage object with counts that are written as texts as numbers; `None` when it has no count.
fn counts(usage: &Map<String, Value>, notes: &mut Vec<String>) -> Option<Map<String, Value>> {
    if !has(usage, &SNAKE) && !has(usage, &CAMEL) {
        return None;
    }
    let mut usage = usage.clone();
    for name in SNAKE.iter().chain(&CAMEL) {
        if let Some(value) = usage.get_mut(*name)
            && let Some(count) = value.as_str().and_then(|text| text.trim().parse::<u64>().ok())
        {
            notes.push(format!("`{name}` was a text"));
            *value = count.into();
        }
    }
    Some(usage)
}

/// The fields of the shape with humps under Codex' names, whose habits it shares: all of the cache inside the input,
/// save that what is written to it stands beside.
fn renamed(usage: &Map<String, Value>) -> Map<String, Value> {
    let names = [
        ("inputTokens", "input_tokens"),
        ("outputTokens", "output_tokens"),
        ("cacheReadTokens", "cached_input_tokens"),
        ("cacheWriteTokens", "written"),
        ("reasoningTokens", "reasoning_output_tokens"),
    ];
    names.iter().filter_map(|(from, to)| Some(((*to).to_owned(), usage.get(*from)?.clone()))).collect()
}

fn read(format: Format, mut usage: Map<String, Value>, notes: &mut Vec<String>) -> Result<Normalised> {
    let written = usage.remove("written");
    let count = |usage: &Map<String, Value>, name: &str| usage.get(name).and_then(Value::as_u64);
    if format == Format::Codex
        && let (Some(cached), Some(input)) = (count(&usage, "cached_input_tokens"), count(&usage, "input_tokens"))
        && cached > input
    {
        notes.push(format!("{cached} cached of {input} input tokens: taken as no other input"));
        usage.insert("input_tokens".to_owned(), cached.into());
    }
    let mut normalised = super::usage(format, &Value::Object(usage).to_string())?;
    if let Some(written) = written.filter(|value| !value.is_null()) {
        let written = written.as_u64().ok_or_else(|| {
            Error::invalid(format!("`cacheWriteTokens` is {written}: a token count is a whole number from 0"))
        })?;
        normalised.tokens.cache_write = Some(written);
    }
    Ok(normalised)
}

/// The model that cost most, the first of equals.
fn dearest(models: &Map<String, Value>) -> Option<String> {
    let mut best: Option<(&String, f64)> = None;
    for (name, model) in models {
        let cost = model.get("costUSD").and_then(Value::as_f64).unwrap_or(0.0);
        if best.is_none_or(|(_, most)| cost > most) {
            best = Some((name, cost));
        }
    }
    best.map(|(name, _)| name.clone())
}

/// An amount; anything that is none is no reason to lose the tokens.
fn cost(told: &Value) -> Option<Usd> {
    match told {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
