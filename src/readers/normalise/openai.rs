//! `OpenAI` Chat Completions (SDK `CompletionUsage`) and Responses (SDK `ResponseUsage`): the cache is inside the
//! input, reasoning inside the output. Many servers imitate the format; their few additional fields are also read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::error::Result;
use crate::model::tokens::Usd;
use crate::readers::normalise::count::{Count, StatedCount};
use crate::readers::normalise::modality::{ByModality, counts, split};
use crate::readers::normalise::server_tools::{add, server_tools};
use crate::readers::normalise::statement::{CacheWrites, UsageStatement};
use crate::readers::normalise::{UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct ChatCompletion<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    #[serde(rename = "prompt_tokens_details")]
    prompt: Option<InputDetails>,
    #[serde(rename = "completion_tokens_details")]
    completion: Option<OutputDetails>,
    /// Moonshot.
    cached_tokens: Count,
    /// `DeepSeek`, and gateways that forward its object.
    prompt_cache_hit_tokens: Count,
    #[serde(borrow)]
    server_tool_use: Option<&'a RawValue>,
    /// `LiteLLM`, which includes cache writes in the prompt for every provider.
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    /// Perplexity's searches of one deep research.
    num_search_queries: Count,
    /// Perplexity, and xAI over gRPC.
    reasoning_tokens: Count,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct Responses<'a> {
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    #[serde(rename = "input_tokens_details")]
    input: Option<InputDetails>,
    #[serde(rename = "output_tokens_details")]
    output: Option<OutputDetails>,
    /// The spelling of the Realtime API.
    #[serde(rename = "input_token_details")]
    realtime_input: Option<InputDetails>,
    #[serde(rename = "output_token_details")]
    realtime_output: Option<OutputDetails>,
    /// Gateways that state the cache as in Chat Completions.
    cached_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    #[serde(borrow)]
    server_tool_use: Option<&'a RawValue>,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of input details")]
pub(super) struct InputDetails {
    #[serde(rename = "cached_tokens")]
    pub read: Count,
    #[serde(rename = "cache_write_tokens")]
    written: Count,
    /// `LiteLLM`.
    cache_creation_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    video_tokens: Count,
    #[serde(rename = "cached_tokens_details")]
    cached_modalities: Option<ByModality>,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of output details")]
struct OutputDetails {
    #[serde(rename = "reasoning_tokens")]
    reasoning: Count,
    audio_tokens: Count,
    image_tokens: Count,
    video_tokens: Count,
}

/// The tokens of both details that are not text.
fn modalities(input: Option<&InputDetails>, output: Option<&OutputDetails>) -> Result<BTreeMap<String, u64>> {
    let input_counts =
        input.map(|details| counts([&details.audio_tokens, &details.image_tokens, &details.video_tokens]));
    let cached = input.and_then(|details| details.cached_modalities.as_ref()).map(ByModality::counts);
    let output = output.map(|details| counts([&details.audio_tokens, &details.image_tokens, &details.video_tokens]));
    let all = [input_counts, cached, output].map(Option::transpose);
    let [input, cached, output] = all;
    Ok(split(input?.unwrap_or_default(), cached?.unwrap_or_default(), output?.unwrap_or_default()))
}

pub(super) fn chat(format: UsageFormat, json: &str) -> Result<UsageStatement> {
    let usage: ChatCompletion = parse(format, json)?;
    let mut statement = UsageStatement::new(
        usage.prompt_tokens.named("prompt_tokens")?,
        usage.completion_tokens.named("completion_tokens")?,
    );
    let (mut read, mut written) = (StatedCount::NONE, StatedCount::NONE);
    if let Some(details) = &usage.prompt {
        read = details.read.named("prompt_tokens_details.cached_tokens")?;
        written = details.written.named("prompt_tokens_details.cache_write_tokens")?;
        written = written.or(details.cache_creation_tokens.named("prompt_tokens_details.cache_creation_tokens")?);
    }
    if let Some(details) = &usage.completion {
        statement.reasoning = details.reasoning.named("completion_tokens_details.reasoning_tokens")?;
    }
    statement.cache_read = read
        .or(usage.cached_tokens.named("cached_tokens")?)
        .or(usage.prompt_cache_hit_tokens.named("prompt_cache_hit_tokens")?)
        .or(usage.cache_read_input_tokens.named("cache_read_input_tokens")?);
    statement.cache_write =
        CacheWrites::whole(written.or(usage.cache_creation_input_tokens.named("cache_creation_input_tokens")?));
    statement.reasoning = statement.reasoning.or(usage.reasoning_tokens.named("reasoning_tokens")?);
    statement.modalities = modalities(usage.prompt.as_ref(), usage.completion.as_ref())?;
    statement.server_tools = server_tools(usage.server_tool_use);
    let searches = usage.num_search_queries.named("num_search_queries")?.count.unwrap_or(0);
    add(&mut statement.server_tools, "search_query", searches);
    statement.total = usage.total_tokens.named("total_tokens")?;
    statement.cost = cost(usage.cost)?;
    Ok(statement)
}

pub(super) fn responses(format: UsageFormat, json: &str) -> Result<UsageStatement> {
    let usage: Responses = parse(format, json)?;
    let mut statement =
        UsageStatement::new(usage.input_tokens.named("input_tokens")?, usage.output_tokens.named("output_tokens")?);
    let (mut read, mut written) = (StatedCount::NONE, StatedCount::NONE);
    let input = usage.input.as_ref().or(usage.realtime_input.as_ref());
    let output = usage.output.as_ref().or(usage.realtime_output.as_ref());
    if let Some(details) = input {
        read = details.read.named("input_tokens_details.cached_tokens")?;
        written = details.written.named("input_tokens_details.cache_write_tokens")?;
    }
    statement.cache_read = read
        .or(usage.cached_tokens.named("cached_tokens")?)
        .or(usage.cache_read_input_tokens.named("cache_read_input_tokens")?);
    // The stated lifetimes are 30 minutes and 12 hours, which have no class.
    statement.cache_write =
        CacheWrites::whole(written.or(usage.cache_creation_input_tokens.named("cache_creation_input_tokens")?));
    statement.modalities = modalities(input, output)?;
    statement.server_tools = server_tools(usage.server_tool_use);
    if let Some(details) = output {
        statement.reasoning = details.reasoning.named("output_tokens_details.reasoning_tokens")?;
    }
    statement.total = usage.total_tokens.named("total_tokens")?;
    statement.cost = cost(usage.cost)?;
    Ok(statement)
}

/// The cost in US dollars: a number from `OpenRouter`, an object with a `total_cost` from Perplexity.
fn cost(stated: Option<&RawValue>) -> Result<Option<Usd>> {
    #[derive(Deserialize)]
    struct CostBreakdown<'a> {
        #[serde(borrow)]
        total_cost: Option<&'a RawValue>,
    }
    let Some(stated) = stated else { return Ok(None) };
    let amount = if stated.get().starts_with('{') {
        serde_json::from_str::<CostBreakdown>(stated.get()).ok().and_then(|split| split.total_cost)
    } else {
        Some(stated)
    };
    // Any other value is a gateway's own field of that name.
    let amount = amount.map(RawValue::get).filter(|text| text.starts_with(|c: char| c.is_ascii_digit()));
    amount.map(str::parse).transpose()
}
