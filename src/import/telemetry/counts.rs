//! Attributes with token counts in GenAI instrumentations.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::import::engine::fields;
use crate::model::event::{Modality, modality_name};
use crate::model::tokens::TokenClass;

/// Names of each count, the newest first: input, output, cache reads, cache writes, reasoning, and cache writes that
/// live five minutes and one hour.
pub(super) const COUNTS: [&[&str]; 7] = [
    &[
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ],
    &[
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ],
    &[
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        CACHED_OF_AI_SDK,
    ],
    &[
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ],
    &[
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
    ],
    &["anthropic.usage.cache_creation.ephemeral_5m_input_tokens"],
    &["anthropic.usage.cache_creation.ephemeral_1h_input_tokens"],
];

/// Cache reads in version 5 of the AI SDK, whose input of Anthropic's models excludes them.
const CACHED_OF_AI_SDK: &str = "ai.usage.cachedInputTokens";

/// Returns whether the input excludes the cache reads of this name.
pub(super) fn is_beside_input(cache_read: &str, provider: &str, attributes: &Value) -> bool {
    let is_later = || attributes.as_object().is_some_and(|all| all.keys().any(|name| name.starts_with(DETAILS)));
    cache_read == CACHED_OF_AI_SDK && provider == "anthropic" && !is_later()
}

/// Prefix of attributes of version 6 of the AI SDK.
const DETAILS: &str = "ai.usage.inputTokenDetails.";

/// Names of the tokens of audio, images and video within input, cache reads and output. Input includes cache reads.
const MODALITIES: [(TokenClass, [&[&str]; 3]); 3] = [
    (
        TokenClass::Input,
        [
            &["llm.token_count.prompt_details.audio", "gen_ai.usage.details.input_audio_tokens"],
            &["llm.token_count.prompt_details.image", "gen_ai.usage.details.input_image_tokens"],
            &["llm.token_count.prompt_details.video", "gen_ai.usage.details.input_video_tokens"],
        ],
    ),
    (
        TokenClass::CacheRead,
        [
            &["gen_ai.usage.details.cache_audio_read_tokens"],
            &["gen_ai.usage.details.cache_image_read_tokens"],
            &["gen_ai.usage.details.cache_video_read_tokens"],
        ],
    ),
    (
        TokenClass::Output,
        [
            &["llm.token_count.completion_details.audio", "gen_ai.usage.details.output_audio_tokens"],
            &["llm.token_count.completion_details.image", "gen_ai.usage.details.output_image_tokens"],
            &["llm.token_count.completion_details.video", "gen_ai.usage.details.output_video_tokens"],
        ],
    ),
];

/// Returns the tokens that are no text, by class and modality, because they often have another price.
pub(super) fn modalities(attributes: &Value) -> Result<BTreeMap<String, u64>, String> {
    let mut counts = BTreeMap::new();
    for (place, modality) in Modality::ALL.into_iter().enumerate() {
        let mut of_class = [0_u64; 3];
        for (count, (_, names)) in of_class.iter_mut().zip(&MODALITIES) {
            for name in names.get(place).copied().into_iter().flatten() {
                let stated = fields::worded_count(attributes, name)?.and_then(|count| u64::try_from(count).ok());
                *count = stated.filter(|_| *count == 0).unwrap_or(*count);
            }
        }
        let [input, cached, output] = of_class;
        for (count, (class, _)) in [input.saturating_sub(cached), cached, output].into_iter().zip(&MODALITIES) {
            if count > 0 {
                counts.insert(modality_name(*class, modality), count);
            }
        }
    }
    Ok(counts)
}

/// Returns whether any of these attributes is present.
pub(super) fn is_counted(attributes: &Value) -> bool {
    COUNTS.iter().flat_map(|names| names.iter()).any(|name| attributes.get(name).is_some())
}
