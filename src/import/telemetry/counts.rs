//! Attributes with token counts in GenAI instrumentations.

use serde_json::Value;

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
        "llm.token_count.prompt_details.cache_read",
    ],
    &[
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "llm.token_count.prompt_details.cache_write",
    ],
    &[
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens",
    ],
    &["anthropic.usage.cache_creation.ephemeral_5m_input_tokens"],
    &["anthropic.usage.cache_creation.ephemeral_1h_input_tokens"],
];

/// Returns whether any of these attributes is present.
pub(super) fn is_counted(attributes: &Value) -> bool {
    COUNTS.iter().flat_map(|names| names.iter()).any(|name| attributes.get(name).is_some())
}
