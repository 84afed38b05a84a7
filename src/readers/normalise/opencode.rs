//! `OpenCode` messages: the cache is beside the input, whatever the API's convention.
//!
//! Clients that state a total write reasoning beside the output. Earlier clients took both from their SDK, which counts
//! reasoning inside the output, except for Google's.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::{Count, StatedCount};
use crate::readers::normalise::statement::{CacheWrites, DetailPlace, UsageStatement};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct OpencodeUsage {
    input: Count,
    output: Count,
    reasoning: Count,
    cache: Option<Cache>,
    total: Count,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of cached tokens")]
struct Cache {
    read: Count,
    write: Count,
}

/// `beside` is whether reasoning is beside the output, if the client's version is known. Otherwise the object decides.
pub(super) fn usage(format: UsageFormat, json: &str, beside: Option<bool>) -> Result<Normalised> {
    let usage: OpencodeUsage = parse(format, json)?;
    let mut statement = UsageStatement::new(usage.input.named("input")?, usage.output.named("output")?);
    statement.cache = DetailPlace::Apart;
    if let Some(cache) = &usage.cache {
        statement.cache_read = cache.read.named("cache.read")?;
        statement.cache_write = CacheWrites::whole(cache.write.named("cache.write")?);
    }
    statement.reasoning = usage.reasoning.named("reasoning")?;
    statement.total = usage.total.named("total")?;
    let is_more = statement.reasoning.count > statement.output.count;
    let beside = beside.unwrap_or(statement.total.count.is_some() || is_more);
    statement.thought = if beside { DetailPlace::Beside } else { DetailPlace::Inside };
    if !beside && statement.total.count.is_none() && statement.reasoning.count > Some(0) {
        statement.notes.push("took reasoning as inside `output`: no total tells".to_owned());
    }
    if leaves_out_the_cache(&statement) {
        statement.total = StatedCount::NONE;
    }
    statement.settle(format)
}

/// Whether the total excludes the cache, as in an API that counts it beside. Such a total is no evidence.
fn leaves_out_the_cache(statement: &UsageStatement) -> bool {
    let cached = [statement.cache_read.count, statement.cache_write.all.count].into_iter().flatten().sum::<u64>();
    let rest = [statement.input.count, statement.output.count].into_iter().flatten().sum::<u64>();
    let thought = statement.reasoning.count.unwrap_or(0);
    cached > 0 && statement.total.count.is_some_and(|total| total == rest || total == rest + thought)
}
