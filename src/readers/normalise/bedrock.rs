//! Amazon Bedrock `Converse` (`TokenUsage`): the cache is beside the input; reasoning is not reported separately.
//!
//! Models of the `OpenAI` family count the cache inside the input on `ConverseStream` (maximhq/bifrost#6942). The total
//! shows this: it is then input plus output.

use std::borrow::Cow;

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::{Count, StatedCount, sum};
use crate::readers::normalise::statement::{CacheWrites, DetailPlace, UsageStatement};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct BedrockUsage<'a> {
    #[serde(rename = "inputTokens")]
    input: Count,
    #[serde(rename = "outputTokens")]
    output: Count,
    #[serde(rename = "totalTokens")]
    total: Count,
    #[serde(rename = "cacheReadInputTokens")]
    read: Count,
    #[serde(rename = "cacheWriteInputTokens")]
    written: Count,
    #[serde(rename = "cacheDetails", borrow)]
    details: Option<Vec<CacheDetail<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of cache writes of one lifetime")]
struct CacheDetail<'a> {
    #[serde(borrow)]
    ttl: Cow<'a, str>,
    #[serde(rename = "inputTokens")]
    input: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let usage: BedrockUsage = parse(format, json)?;
    let mut statement = UsageStatement::new(usage.input.named("inputTokens")?, usage.output.named("outputTokens")?);
    statement.cache = DetailPlace::Beside;
    statement.cache_read = usage.read.named("cacheReadInputTokens")?;
    statement.total = usage.total.named("totalTokens")?;

    let mut five_minutes = StatedCount { name: "cacheDetails[ttl=5m].inputTokens", ..StatedCount::NONE };
    let mut one_hour = StatedCount { name: "cacheDetails[ttl=1h].inputTokens", ..StatedCount::NONE };
    for detail in usage.details.iter().flatten() {
        let lifetime = match detail.ttl.as_ref() {
            "5m" => &mut five_minutes,
            "1h" => &mut one_hour,
            _ => continue,
        };
        let stated = detail.input.named("cacheDetails[].inputTokens")?;
        lifetime.count = sum([lifetime.count, stated.count])?;
        lifetime.negative = lifetime.negative.or(stated.negative);
    }
    statement.cache_write = CacheWrites::split(usage.written.named("cacheWriteInputTokens")?, five_minutes, one_hour)?;
    statement.settle(format)
}
