//! Qwen Code chats. The client uses Gemini's field names for every API, but copies the counts unchanged. Most of its
//! APIs count reasoning inside the candidates. The total shows if one does not.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::readers::normalise::count::Count;
use crate::readers::normalise::gemini_cli::GeminiCliTokens;
use crate::readers::normalise::statement::{DetailPlace, UsageStatement};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct QwenCodeUsage<'a> {
    #[serde(rename = "promptTokenCount")]
    prompt: Count,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Count,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use: Count,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Count,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Count,
    #[serde(rename = "totalTokenCount")]
    total: Count,
    /// Only older chats have counts of this name, together with others of that naming scheme.
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let usage: QwenCodeUsage = parse(format, json)?;
    if usage.input.is_some() {
        let tokens: GeminiCliTokens = parse(format, json)?;
        return tokens.statement(DetailPlace::Inside)?.settle(format);
    }
    let prompt = usage.prompt.named("promptTokenCount")?;
    let mut statement = UsageStatement::new(prompt, usage.candidates.named("candidatesTokenCount")?);
    statement.more_input = usage.tool_use.named("toolUsePromptTokenCount")?;
    statement.cache_read = usage.cached.named("cachedContentTokenCount")?;
    statement.reasoning = usage.thoughts.named("thoughtsTokenCount")?;
    statement.total = usage.total.named("totalTokenCount")?;
    if let (None, None, Some(total @ 1..)) = (statement.input.count, statement.output.count, statement.total.count) {
        return Err(Error::invalid(format!(
            "the {format} usage object has a total of {total} and neither `promptTokenCount` nor `candidatesTokenCount`"
        )));
    }
    statement.settle(format)
}
