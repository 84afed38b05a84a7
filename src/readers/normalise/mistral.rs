//! Mistral (SDK `UsageInfo`, `ConversationUsageInfo`): `OpenAI`'s format, with several names for the cached count, and
//! in conversations with input of connectors beside the prompt.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::openai::{self, InputDetails};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct MistralExtra {
    #[serde(rename = "num_cached_tokens")]
    cached: Count,
    #[serde(rename = "prompt_token_details")]
    singular: Option<InputDetails>,
    #[serde(rename = "connector_tokens")]
    connectors: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let extra: MistralExtra = parse(format, json)?;
    let mut statement = openai::chat(format, json)?;
    let mut cached = extra.cached.named("num_cached_tokens")?.or(statement.cache_read);
    if let Some(singular) = &extra.singular {
        cached = cached.or(singular.read.named("prompt_token_details.cached_tokens")?);
    }
    statement.cache_read = cached;
    // docs.mistral.ai, web search: 188 prompt + 55 completion + 7112 connector = 7355 total.
    statement.more_input = extra.connectors.named("connector_tokens")?;
    statement.settle(format)
}
