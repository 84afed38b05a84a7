//! Anthropic Messages (SDK `BetaUsage`): the cache stands beside the input, thinking inside the output.

use serde::Deserialize;

use crate::error::Result;
use crate::event::Quality;
use crate::normalise::count::{Count, Stated, sum};
use crate::normalise::statement::{Habit, Statement, Writes};
use crate::normalise::{Format, Normalised, parse};
use crate::tokens::{TokenClass, Tokens};

/// A usage object, or one of its iterations, which has the same counts.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct Usage {
    #[serde(rename = "type")]
    kind: Option<Kind>,
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
    iterations: Option<Vec<Usage>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
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

pub(super) fn usage(format: Format, json: &str) -> Result<Normalised> {
    let usage: Usage = parse(format, json)?;
    let mut normalised = usage.settle(format)?;
    let mut advice = None;
    for iteration in usage.iterations.iter().flatten() {
        match iteration.kind {
            // The totals leave out what it took to shorten the conversation; it was billed all the same.
            Some(Kind::Compaction) => add(&mut normalised.tokens, &iteration.settle(format)?.tokens)?,
            // The totals leave this out too, but another model spent it, and a record has one model.
            Some(Kind::AdvisorMessage) => advice = sum([advice, Some(iteration.settle(format)?.tokens.total()?)])?,
            Some(Kind::Other) | None => {}
        }
    }
    normalised.tokens.validate()?;
    if let Some(tokens) = advice.filter(|tokens| *tokens > 0) {
        normalised.quality = Quality::Derived;
        normalised.residual =
            Some(format!("not counted: {tokens} tokens of `advisor_message` iterations, which are another model's"));
    }
    Ok(normalised)
}

impl Usage {
    fn settle(&self, format: Format) -> Result<Normalised> {
        let mut statement = Statement::new(self.input.named("input_tokens")?, self.output.named("output_tokens")?);
        statement.cache = Habit::Beside;
        statement.cache_read = self.read.named("cache_read_input_tokens")?;
        let creation = self.creation.named("cache_creation_input_tokens")?;
        statement.cache_write = match &self.lifetimes {
            None => Writes::whole(creation),
            Some(split) => Writes::split(
                creation,
                split.five_minutes.named("cache_creation.ephemeral_5m_input_tokens")?,
                split.one_hour.named("cache_creation.ephemeral_1h_input_tokens")?,
            )?,
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
