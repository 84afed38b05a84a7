//! Codex session logs (`TokenUsage` of codex-protocol): cache reads and writes inside the input, reasoning inside
//! the output.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::statement::{CacheWrites, UsageStatement};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct CodexUsage {
    #[serde(rename = "input_tokens")]
    input: Count,
    #[serde(rename = "cached_input_tokens")]
    read: Count,
    #[serde(rename = "cache_write_input_tokens")]
    written: Count,
    #[serde(rename = "output_tokens")]
    output: Count,
    #[serde(rename = "reasoning_output_tokens")]
    reasoning: Count,
    #[serde(rename = "total_tokens")]
    total: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let usage: CodexUsage = parse(format, json)?;
    let mut statement = UsageStatement::new(usage.input.named("input_tokens")?, usage.output.named("output_tokens")?);
    statement.cache_read = usage.read.named("cached_input_tokens")?;
    statement.cache_write = CacheWrites::whole(usage.written.named("cache_write_input_tokens")?);
    statement.reasoning = usage.reasoning.named("reasoning_output_tokens")?;
    statement.total = usage.total.named("total_tokens")?;
    statement.settle(format)
}
