//! xAI: `OpenAI`'s two formats, but in Chat Completions (and gRPC `SamplingUsage`) reasoning is beside the completion,
//! and cached input sometimes beside the prompt.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::error::Result;
use crate::model::tokens::Usd;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::statement::DetailPlace;
use crate::readers::normalise::{Normalised, UsageFormat, openai, parse, server_tools};

/// One tick is 10^-10 dollars; amounts are in 10^-12.
const PICOS_PER_TICK: i128 = 100;

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct XaiExtra<'a> {
    /// Only the Responses shape has it.
    #[serde(rename = "input_tokens")]
    input: Count,
    /// gRPC.
    #[serde(rename = "cached_prompt_text_tokens")]
    cached: Count,
    #[serde(rename = "cost_in_usd_ticks")]
    ticks: Count,
    /// Uses of tools by name.
    #[serde(borrow, rename = "server_side_tool_usage_details")]
    tools: Option<&'a RawValue>,
    #[serde(rename = "num_server_side_tools_used")]
    tools_used: Count,
    /// Sources that a live search read; each is charged.
    #[serde(rename = "num_sources_used")]
    sources: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let extra: XaiExtra<'_> = parse(format, json)?;
    let mut statement = if extra.input == Count::Absent {
        let mut chat = openai::chat(format, json)?;
        chat.thought = DetailPlace::Beside;
        chat.cache_read = chat.cache_read.or(extra.cached.named("cached_prompt_text_tokens")?);
        chat
    } else {
        openai::responses(format, json)?
    };
    statement.server_tools.extend(server_tools::server_tools(extra.tools));
    if statement.server_tools.is_empty() {
        let used = extra.tools_used.named("num_server_side_tools_used")?.count.unwrap_or(0);
        server_tools::add(&mut statement.server_tools, "server_side_tool", used);
    }
    let sources = extra.sources.named("num_sources_used")?.count.unwrap_or(0);
    server_tools::add(&mut statement.server_tools, "live_search_source", sources);
    let ticks = extra.ticks.named("cost_in_usd_ticks")?;
    if let Some((name, number)) = ticks.negative {
        statement.notes.push(format!("`{name}` is {number}: left out"));
    }
    if let Some(ticks) = ticks.count {
        statement.cost = Some(Usd::from_picos(i128::from(ticks) * PICOS_PER_TICK));
    }
    statement.settle(format)
}
