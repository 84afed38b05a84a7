//! xAI: `OpenAI`'s two formats, but in Chat Completions (and gRPC `SamplingUsage`) reasoning is beside the completion,
//! and cached input sometimes beside the prompt.

use serde::Deserialize;

use crate::model::error::Result;
use crate::model::tokens::Usd;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::statement::DetailPlace;
use crate::readers::normalise::{Normalised, UsageFormat, openai, parse};

/// One tick is 10^-10 dollars; amounts are in 10^-12.
const PICOS_PER_TICK: i128 = 100;

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct XaiExtra {
    /// Only the Responses shape has it.
    #[serde(rename = "input_tokens")]
    input: Count,
    /// gRPC.
    #[serde(rename = "cached_prompt_text_tokens")]
    cached: Count,
    #[serde(rename = "cost_in_usd_ticks")]
    ticks: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let extra: XaiExtra = parse(format, json)?;
    let mut statement = if extra.input == Count::Absent {
        let mut chat = openai::chat(format, json)?;
        chat.thought = DetailPlace::Beside;
        chat.cache_read = chat.cache_read.or(extra.cached.named("cached_prompt_text_tokens")?);
        chat
    } else {
        openai::responses(format, json)?
    };
    let ticks = extra.ticks.named("cost_in_usd_ticks")?;
    if let Some((name, number)) = ticks.negative {
        statement.notes.push(format!("`{name}` is {number}: left out"));
    }
    if let Some(ticks) = ticks.count {
        statement.cost = Some(Usd::from_picos(i128::from(ticks) * PICOS_PER_TICK));
    }
    statement.settle(format)
}
