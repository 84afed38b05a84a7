//! `DeepSeek` chat completions: `OpenAI`'s format, with the prompt also split into cache hits and misses.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::{Count, sum};
use crate::readers::normalise::statement::DetailPlace;
use crate::readers::normalise::{Normalised, UsageFormat, openai, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct DeepSeekExtra {
    #[serde(rename = "prompt_cache_hit_tokens")]
    hit: Count,
    #[serde(rename = "prompt_cache_miss_tokens")]
    miss: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let extra: DeepSeekExtra = parse(format, json)?;
    let mut statement = openai::chat(format, json)?;
    let prompt = statement.input;
    statement.cache_read = extra.hit.named("prompt_cache_hit_tokens")?.or(statement.cache_read);
    let miss = extra.miss.named("prompt_cache_miss_tokens")?;
    if miss.count.is_some() {
        statement.input = miss;
        statement.cache = DetailPlace::Apart;
        let parts = sum([statement.cache_read.count, miss.count])?;
        if let (Some(prompt), Some(parts)) = (prompt.count, parts)
            && prompt != parts
        {
            statement.notes.push(format!("`prompt_tokens` {prompt} but hit and miss sum to {parts}"));
        }
    }
    statement.settle(format)
}
