//! Anthropic Messages (SDK `BetaUsage`): the cache stands beside the input, thinking inside the output.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::event::Quality;
use crate::model::event::is_special;
use crate::model::tokens::{TokenClass, Tokens};
use crate::readers::normalise::count::{Count, Stated, sum};
use crate::readers::normalise::statement::{Habit, Statement, Writes};
use crate::readers::normalise::{Normalised, SPLIT_APART, UsageFormat, parse};

/// A usage object, or one of its iterations, which has the same counts.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct AnthropicUsage<'a> {
    #[serde(rename = "type")]
    kind: Option<ServerTool>,
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
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ServerTool {
    Compaction,
    AdvisorMessage,
    #[serde(other)]
    Other,
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
    let mut advice = None;
    for iteration in usage.uncounted(format)? {
        match iteration.kind {
            // The totals leave out what it took to shorten the conversation; it was billed all the same.
            Some(ServerTool::Compaction) => add(&mut normalised.tokens, &iteration.settle(format)?.tokens)?,
            // The totals leave this out too, but another model spent it, and a record has one model.
            Some(ServerTool::AdvisorMessage) => {
                advice = sum([advice, Some(iteration.settle(format)?.tokens.total()?)])?;
            }
            Some(ServerTool::Other) | None => {}
        }
    }
    normalised.tokens.validate()?;
    let mut tiers = [usage.service_tier, usage.speed].into_iter().flatten();
    normalised.service_tier = tiers.find_map(|tier| special(tier.get()));
    if let Some(tokens) = advice.filter(|tokens| *tokens > 0) {
        normalised.quality = Quality::Derived;
        normalised.residual =
            Some(format!("not counted: {tokens} tokens of `advisor_message` iterations, which are another model's"));
    }
    Ok(normalised)
}

/// A service tier that is not the ordinary one.
fn special(json: &str) -> Option<String> {
    let tier = json.strip_prefix('"')?.strip_suffix('"')?;
    (is_special(tier) && !tier.contains('\\')).then(|| tier.to_owned())
}

impl<'a> AnthropicUsage<'a> {
    /// The iterations, when some may stand outside the totals. Most logs repeat the totals here in every object,
    /// and are not worth reading twice; an escape is, for it may hide a name.
    fn uncounted(&self, format: UsageFormat) -> Result<Vec<AnthropicUsage<'a>>> {
        let json = self.iterations.map_or("", RawValue::get);
        if !["compaction", "advisor_message", "\\"].iter().any(|name| json.contains(name)) {
            return Ok(Vec::new());
        }
        serde_json::from_str(json)
            .map_err(|e| Error::invalid(format!("`iterations` of the {format} usage object cannot be read: {e}")))
    }

    fn settle(&self, format: UsageFormat) -> Result<Normalised> {
        let mut statement = Statement::new(self.input.named("input_tokens")?, self.output.named("output_tokens")?);
        statement.cache = Habit::Beside;
        statement.cache_read = self.read.named("cache_read_input_tokens")?;
        let creation = self.creation.named("cache_creation_input_tokens")?;
        statement.cache_write = match &self.lifetimes {
            None => Writes::whole(creation),
            Some(split) => {
                let five_minutes = split.five_minutes.named("cache_creation.ephemeral_5m_input_tokens")?;
                let one_hour = split.one_hour.named("cache_creation.ephemeral_1h_input_tokens")?;
                let known = sum([five_minutes.count, one_hour.count])?;
                match (creation.count, known) {
                    // The finer statement is kept and the contradiction shown: a refused call would count nothing.
                    (Some(whole), Some(parts)) if parts > whole => {
                        statement.notes.push(format!("`{}` {whole} {SPLIT_APART} {parts}", creation.name));
                        Writes::split(Stated { count: None, ..creation }, five_minutes, one_hour)?
                    }
                    _ => Writes::split(creation, five_minutes, one_hour)?,
                }
            }
        };
        statement.reasoning = match &self.details {
            None => Stated::NONE,
            Some(details) => details.thinking.named("output_tokens_details.thinking_tokens")?,
        };
        statement.settle(format)
    }
}

fn add(to: &mut Tokens, more: &Tokens) -> Result<()> {
    for class in TokenClass::ALL {
        to.set(class, sum([to.get(class), more.get(class)])?);
    }
    Ok(())
}
