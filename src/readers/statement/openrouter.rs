//! `OpenRouter`: the activity export as CSV and JSON, and single generations.
//!
//! Days are UTC and complete. Prompt tokens include cached input; completion tokens include reasoning.

use super::{Class, Draft, Name, Role, StatementSource};

pub(super) const CSV: StatementSource = StatementSource {
    name: "the OpenRouter activity CSV",
    provider: Some("openrouter"),
    signature: &["Date", "Slug", "Prompt Tokens"],
    columns: &[
        ("Date", Role::Start),
        ("Slug", Role::Name(Name::Model)),
        ("Usage", Role::Cost(1)),
        ("BYOK Usage", Role::Ignored),
        ("Requests", Role::Requests),
        ("Prompt Tokens", Role::Count(Class::Prompt)),
        ("Completion Tokens", Role::Count(Class::Output)),
        ("Reasoning Tokens", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: |_| Ok(true),
};

pub(super) const ACTIVITY: StatementSource = StatementSource {
    name: "the OpenRouter activity",
    provider: Some("openrouter"),
    signature: &["date", "model_permaslug|endpoint_id", "prompt_tokens", "usage"],
    columns: &[
        ("date", Role::Start),
        ("model", Role::Name(Name::Model)),
        ("model_permaslug", Role::Ignored),
        ("endpoint_id", Role::Ignored),
        ("provider_name", Role::Ignored),
        ("usage", Role::Cost(1)),
        ("byok_usage_inference", Role::Ignored),
        ("requests", Role::Requests),
        ("prompt_tokens", Role::Count(Class::Prompt)),
        ("completion_tokens", Role::Count(Class::Output)),
        ("reasoning_tokens", Role::Ignored),
        ("byok_requests", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: |_| Ok(true),
};

pub(super) const GENERATION: StatementSource = StatementSource {
    name: "an OpenRouter generation",
    provider: Some("openrouter"),
    signature: &["id", "created_at", "native_tokens_prompt", "total_cost"],
    columns: &[
        ("id", Role::Name(Name::Id)),
        ("created_at", Role::Start),
        ("model", Role::Name(Name::Model)),
        ("native_tokens_prompt", Role::Raw("prompt")),
        ("native_tokens_cached", Role::Raw("cached")),
        ("native_tokens_completion", Role::Count(Class::Output)),
        ("native_tokens_completion_images", Role::Ignored),
        ("native_tokens_reasoning", Role::Ignored),
        ("total_cost", Role::Cost(1)),
        ("service_tier", Role::Name(Name::Tier)),
        ("data_region", Role::Name(Name::Geography)),
        ("tokens_prompt", Role::Ignored),
        ("tokens_completion", Role::Ignored),
        ("usage", Role::Ignored),
        ("cache_discount", Role::Ignored),
        ("upstream_inference_cost", Role::Ignored),
        ("upstream_id", Role::Ignored),
        ("request_id", Role::Ignored),
        ("session_id", Role::Ignored),
        ("provider_name", Role::Ignored),
        ("provider_responses", Role::Ignored),
        ("app_id", Role::Ignored),
        ("api_type", Role::Ignored),
        ("streamed", Role::Ignored),
        ("cancelled", Role::Ignored),
        ("latency", Role::Ignored),
        ("moderation_latency", Role::Ignored),
        ("generation_time", Role::Ignored),
        ("finish_reason", Role::Ignored),
        ("native_finish_reason", Role::Ignored),
        ("num_*", Role::Ignored),
        ("is_byok", Role::Ignored),
        ("origin", Role::Ignored),
        ("external_user", Role::Ignored),
        ("http_referer", Role::Ignored),
        ("user_agent", Role::Ignored),
        ("router", Role::Ignored),
        ("preset_id", Role::Ignored),
        ("web_search_engine", Role::Ignored),
        ("response_cache_source_id", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: generation,
};

fn generation(draft: &mut Draft) -> Result<bool, String> {
    let part = |name| draft.raw.get(name).copied();
    draft.row.requests = Some(1);
    // Null is an unknown count, not 0.
    let Some(prompt) = part("prompt") else { return Ok(true) };
    if let Some(cached) = part("cached").filter(|cached| *cached > prompt) {
        return Err(format!("`native_tokens_cached` {cached} exceeds `native_tokens_prompt` {prompt}"));
    }
    draft.row.counts.insert(Class::Prompt, prompt);
    Ok(true)
}
