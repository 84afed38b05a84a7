//! Anthropic Messages (SDK `BetaUsage`): the cache is beside the input, thinking inside the output.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::event::{is_special, is_special_geo};
use crate::model::tokens::{TokenClass, Tokens};
use crate::readers::normalise::count::{Count, StatedCount, sum};
use crate::readers::normalise::server_tools::server_tools;
use crate::readers::normalise::statement::{CacheWrites, DetailPlace, UsageStatement};
use crate::readers::normalise::{NestedUsage, Normalised, SPLIT_APART, UsageFormat, parse};

/// A usage object, or one of its iterations, which has the same counts.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct AnthropicUsage<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    /// An iteration names its model if that differs from the message's.
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(rename = "input_tokens")]
    input: Count,
    #[serde(rename = "cache_creation_input_tokens")]
    creation: Count,
    #[serde(rename = "cache_read_input_tokens")]
    read: Count,
    #[serde(rename = "output_tokens")]
    output: Count,
    #[serde(rename = "cache_creation")]
    lifetimes: Option<Lifetimes>,
    #[serde(rename = "output_tokens_details")]
    details: Option<Details>,
    #[serde(borrow)]
    iterations: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    /// The fast mode of some models.
    #[serde(borrow)]
    speed: Option<&'a RawValue>,
    #[serde(borrow)]
    inference_geo: Option<&'a RawValue>,
    #[serde(borrow)]
    server_tool_use: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of cache writes by lifetime")]
struct Lifetimes {
    #[serde(rename = "ephemeral_5m_input_tokens")]
    five_minutes: Count,
    #[serde(rename = "ephemeral_1h_input_tokens")]
    one_hour: Count,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of output details")]
struct Details {
    #[serde(rename = "thinking_tokens")]
    thinking: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let usage: AnthropicUsage = parse(format, json)?;
    let mut normalised = usage.settle(format)?;
    let iterations = usage.iterations(format)?;
    let is_within = |iteration: &AnthropicUsage<'_>| iteration.kind.as_deref().is_none_or(|kind| kind == MESSAGE);
    let mut within = Tokens::default();
    for (_, iteration) in iterations.iter().filter(|(_, iteration)| is_within(iteration)) {
        add(&mut within, &iteration.tokens(format)?)?;
    }
    // For iterations of an unknown kind, the totals show whether they include them.
    let leaves_out = sides(&within) == sides(&normalised.tokens);
    for (place, (raw, iteration)) in iterations.iter().enumerate() {
        let Some(kind) = iteration.kind.as_deref().filter(|kind| *kind != MESSAGE) else { continue };
        let is_advice = kind == ADVISOR;
        if kind == COMPACTION && iteration.model.is_none() {
            // The totals exclude the compaction of the conversation, which is billed nevertheless.
            add(&mut normalised.tokens, &iteration.tokens(format)?)?;
        } else if is_advice || kind == COMPACTION || (iteration.model.is_some() && leaves_out) {
            let usage = iteration.settle(format)?;
            if usage.tokens.total()? > 0 {
                let purpose = kind.strip_suffix("_message").unwrap_or(kind).to_owned();
                let model = iteration.model.as_deref().filter(|model| !model.is_empty()).map(str::to_owned);
                normalised.nested.push(NestedUsage { place, purpose, model, usage, raw: (*raw).to_owned() });
            }
        }
    }
    normalised.tokens.validate()?;
    Ok(normalised)
}

/// Kinds of iterations: a request of the message itself, a compaction, another model's advice.
const MESSAGE: &str = "message";
const COMPACTION: &str = "compaction";
const ADVISOR: &str = "advisor_message";

/// All input and all output.
fn sides(tokens: &Tokens) -> (u64, u64) {
    let [input, read, five, hour, written, output, reasoning] = tokens.counts();
    let add = |sum: u64, more: u64| sum.saturating_add(more);
    ([input, read, five, hour, written].into_iter().fold(0, add), output.saturating_add(reasoning))
}

/// A string without escapes.
fn plain(json: &str) -> Option<String> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then(|| text.to_owned())
}

impl<'a> AnthropicUsage<'a> {
    /// The iterations with their JSON, if some may be outside the totals. Most logs only repeat the totals here, and
    /// parsing that is skipped. An escape is parsed, because it may hide a name.
    fn iterations(&self, format: UsageFormat) -> Result<Vec<(&'a str, AnthropicUsage<'a>)>> {
        let json = self.iterations.map_or("", RawValue::get);
        let kinds = json.matches("\"type\"").count();
        if !json.contains('\\') && kinds == json.matches("\"type\":\"message\"").count() {
            return Ok(Vec::new());
        }
        let unreadable = |e| Error::invalid(format!("`iterations` of the {format} usage object cannot be read: {e}"));
        let list: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
        list.into_iter().map(|one| Ok((one.get(), serde_json::from_str(one.get()).map_err(unreadable)?))).collect()
    }

    /// The counts alone; an iteration may have none.
    fn tokens(&self, format: UsageFormat) -> Result<Tokens> {
        let all = [&self.input, &self.creation, &self.read, &self.output];
        let has_any = all.iter().any(|count| **count != Count::Absent);
        if has_any { self.settle(format).map(|normalised| normalised.tokens) } else { Ok(Tokens::default()) }
    }

    fn settle(&self, format: UsageFormat) -> Result<Normalised> {
        let mut statement = UsageStatement::new(self.input.named("input_tokens")?, self.output.named("output_tokens")?);
        statement.cache = DetailPlace::Beside;
        statement.cache_read = self.read.named("cache_read_input_tokens")?;
        let creation = self.creation.named("cache_creation_input_tokens")?;
        statement.cache_write = match &self.lifetimes {
            None => CacheWrites::whole(creation),
            Some(split) => {
                let five_minutes = split.five_minutes.named("cache_creation.ephemeral_5m_input_tokens")?;
                let one_hour = split.one_hour.named("cache_creation.ephemeral_1h_input_tokens")?;
                let known = sum([five_minutes.count, one_hour.count])?;
                match (creation.count, known) {
                    // The split is kept and the contradiction flagged, because refusing the call would count nothing.
                    (Some(whole), Some(parts)) if parts > whole => {
                        statement.notes.push(format!("`{}` {whole} {SPLIT_APART} {parts}", creation.name));
                        CacheWrites::split(StatedCount { count: None, ..creation }, five_minutes, one_hour)?
                    }
                    _ => CacheWrites::split(creation, five_minutes, one_hour)?,
                }
            }
        };
        statement.reasoning = match &self.details {
            None => StatedCount::NONE,
            Some(details) => details.thinking.named("output_tokens_details.thinking_tokens")?,
        };
        statement.server_tools = server_tools(self.server_tool_use);
        let mut normalised = statement.settle(format)?;
        let mut tiers = [self.service_tier, self.speed].into_iter().flatten();
        normalised.service_tier = tiers.find_map(|tier| plain(tier.get()).filter(|tier| is_special(tier)));
        normalised.inference_geo =
            self.inference_geo.and_then(|geo| plain(geo.get()).filter(|geo| is_special_geo(geo)));
        Ok(normalised)
    }
}

fn add(to: &mut Tokens, more: &Tokens) -> Result<()> {
    for class in TokenClass::ALL {
        to.set(class, sum([to.get(class), more.get(class)])?);
    }
    Ok(())
}
