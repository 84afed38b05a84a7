//! Gemini `generateContent` (SDK `GenerateContentResponseUsageMetadata`): the cache is inside the prompt, thoughts are
//! beside the candidates, and input of tools is beside the prompt.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::modality::{ModalityCount, listed, split};
use crate::readers::normalise::statement::{DetailPlace, UsageStatement};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct GeminiUsage {
    #[serde(rename = "promptTokenCount")]
    prompt: Count,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Count,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use: Count,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Count,
    /// The Live API's name for the candidates.
    #[serde(rename = "responseTokenCount")]
    response: Count,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Count,
    #[serde(rename = "totalTokenCount")]
    total: Count,
    #[serde(rename = "promptTokensDetails")]
    prompt_details: Option<Vec<ModalityCount>>,
    #[serde(rename = "cacheTokensDetails")]
    cache_details: Option<Vec<ModalityCount>>,
    #[serde(rename = "toolUsePromptTokensDetails")]
    tool_use_details: Option<Vec<ModalityCount>>,
    #[serde(rename = "candidatesTokensDetails", alias = "responseTokensDetails")]
    candidates_details: Option<Vec<ModalityCount>>,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let usage: GeminiUsage = parse(format, json)?;
    let output = usage.candidates.named("candidatesTokenCount")?.or(usage.response.named("responseTokenCount")?);
    let mut statement = UsageStatement::new(usage.prompt.named("promptTokenCount")?, output);
    statement.more_input = usage.tool_use.named("toolUsePromptTokenCount")?;
    statement.cache_read = usage.cached.named("cachedContentTokenCount")?;
    statement.reasoning = usage.thoughts.named("thoughtsTokenCount")?;
    statement.thought = DetailPlace::Beside;
    statement.total = usage.total.named("totalTokenCount")?;
    let mut input = listed(usage.prompt_details.as_ref())?;
    for (sum, more) in input.iter_mut().zip(listed(usage.tool_use_details.as_ref())?) {
        *sum = sum.saturating_add(more);
    }
    let cached = listed(usage.cache_details.as_ref())?;
    statement.modalities = split(input, cached, listed(usage.candidates_details.as_ref())?);
    statement.settle(format)
}
