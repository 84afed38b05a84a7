//! The formats in which agents report their usage.

use serde_json::{Map, Value};

use super::Extracted;
use crate::model::error::{Error, Result};
use crate::model::event::Quality;
use crate::model::tokens::Usd;
use crate::readers::normalise::{self, Normalised, UsageFormat};

/// Counts of the camel-case format.
pub(super) const CAMEL: [&str; 4] = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens"];
/// Counts of the other formats.
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

/// Whether one of these fields has a value.
pub(super) fn has(usage: &Map<String, Value>, names: &[&str]) -> bool {
    names.iter().any(|name| usage.get(*name).is_some_and(|value| !value.is_null()))
}

/// The usage object, the surrounding document, and the object that may name the model.
pub(super) fn read_usage(
    document: &Map<String, Value>,
    near: Option<&Map<String, Value>>,
    usage: &Map<String, Value>,
    format: Option<UsageFormat>,
) -> Result<Option<Extracted>> {
    let mut notes = Vec::new();
    let Some(usage) = counts(usage, &mut notes) else { return Ok(None) };
    for name in SNAKE.iter().chain(&CAMEL) {
        if let Some(number) = usage.get(*name).and_then(Value::as_f64).filter(|number| *number < 0.0) {
            return Err(Error::invalid(format!("`{name}` is {number}: a token count is a whole number from 0")));
        }
    }
    let (normalised, name) = match format {
        Some(format) => (read(format, usage, &mut notes)?, "codex"),
        None if has(&usage, &["cached_input_tokens", "reasoning_output_tokens"]) => {
            (read(UsageFormat::Codex, usage, &mut notes)?, "codex")
        }
        None if has(&usage, &["prompt_tokens"]) => (read(UsageFormat::OpenaiChat, usage, &mut notes)?, "openai"),
        None if has(&usage, &["input_tokens_details"]) => {
            (read(UsageFormat::OpenaiResponses, usage, &mut notes)?, "openai")
        }
        None if has(&usage, &CAMEL) => (read(UsageFormat::Codex, renamed(&usage), &mut notes)?, "camel-case"),
        None => (read(UsageFormat::Anthropic, usage, &mut notes)?, "claude"),
    };
    notes.extend(normalised.residual.clone());
    let mut tokens = normalised.tokens;
    let models = document.get("modelUsage").and_then(Value::as_object);
    if tokens.cache_read.unwrap_or(0) == 0 && tokens.cache_write.unwrap_or(0) == 0 {
        // Some versions state the cache only per model.
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
        model: named(Some(document)).or_else(|| named(near)).or_else(|| most_expensive(models?)),
        cost: document.get("total_cost_usd").and_then(cost).or(normalised.cost),
        format: name,
        residual: (!notes.is_empty() || normalised.quality != Quality::Reported).then(|| notes.join("; ")),
    }))
}

/// The usage object with numbers in place of numeric strings; `None` if it has no count.
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

/// Translates the camel-case format to Codex' field names. It shares Codex' convention: all cached input is inside the
/// input, except cache writes.
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

fn read(format: UsageFormat, mut usage: Map<String, Value>, notes: &mut Vec<String>) -> Result<Normalised> {
    let written = usage.remove("written");
    let count = |usage: &Map<String, Value>, name: &str| usage.get(name).and_then(Value::as_u64);
    if format == UsageFormat::Codex
        && let (Some(cached), Some(input)) = (count(&usage, "cached_input_tokens"), count(&usage, "input_tokens"))
        && cached > input
    {
        notes.push(format!("{cached} cached tokens exceed {input} input tokens: all input counts as cached"));
        usage.insert("input_tokens".to_owned(), cached.into());
    }
    if let (Some(thought), Some(output)) = (count(&usage, "reasoning_output_tokens"), count(&usage, "output_tokens"))
        && thought > output
    {
        notes.push(format!("{thought} reasoning tokens exceed {output} output tokens: both count as output"));
        usage.remove("reasoning_output_tokens");
    }
    let mut normalised = normalise::usage(format, &Value::Object(usage).to_string())?;
    if let Some(written) = written.filter(|value| !value.is_null()) {
        let written = written.as_u64().ok_or_else(|| {
            Error::invalid(format!("`cacheWriteTokens` is {written}: a token count is a whole number from 0"))
        })?;
        normalised.tokens.cache_write = Some(written);
    }
    Ok(normalised)
}

/// The model with the highest cost, the first of equals.
fn most_expensive(models: &Map<String, Value>) -> Option<String> {
    let mut best: Option<(&String, f64)> = None;
    for (name, model) in models {
        let cost = model.get("costUSD").and_then(Value::as_f64).unwrap_or(0.0);
        if best.is_none_or(|(_, most)| cost > most) {
            best = Some((name, cost));
        }
    }
    best.map(|(name, _)| name.clone())
}

/// An amount. An unreadable amount must not discard the tokens.
pub(super) fn cost(value: &Value) -> Option<Usd> {
    let amount: Usd = match value {
        Value::Number(number) => number.to_string().parse().ok()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (amount >= Usd::default()).then_some(amount)
}
