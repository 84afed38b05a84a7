//! Determines the model that a refusal concerns.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use crate::model::secrets;

/// Expressions whose group captures the model, each with its provider if only one uses it.
const MODELS: &[(&str, Option<&str>)] = &[
    (
        r"\b(?:your|the)(?: (?:weekly|daily|monthly))? (?<model>opus|sonnet|haiku|fable)(?: \d+(?:\.\d+)?)?(?: (?:weekly|daily|monthly|usage)){0,2} limit\b",
        None,
    ),
    (r"\b(?<model>opus|sonnet|haiku|fable)(?: \d+(?:\.\d+)?)?(?: (?:weekly|daily|usage)){0,2} limit reached\b", None),
    (
        r#"\b(?:rateLimitType["']?\s*[:=]\s*["']?|rate_limit_rejected \()(?:seven_day|five_hour|weekly)_(?<model>opus|sonnet|haiku|fable)\b"#,
        None,
    ),
    (
        r"\busage limit for (?<model>[a-z][\w-]*(?:\.\w[\w-]*)*)\b(?:[.,]? switch to (?:another|a different) model)",
        None,
    ),
    (r"\blimit (?:reached )?for (?:claude )?(?<model>opus|sonnet|haiku|fable)\b", None),
    // The limits of versions of a family are shared.
    (r"\(org: [\w-]+, model: claude-(?:[\d.]+-)*(?<model>opus|sonnet|haiku|fable)\b", None),
    (r"\brate limit exceeded: (?<model>free)-models-per-(?:day|min)", Some("openrouter")),
    // These lines precede what the text around them may name.
    (
        r"\busage limit reached for (?:(?<model>gemini-[\w.-]*\w)|all (?<family>pro|flash|flash-lite) models\b)",
        Some("google"),
    ),
    (r#"\brate limit reached for (?:model )?[`'"]?(?<model>[a-z][\w./:]*-[\w./:-]*\w)"#, None),
    (
        r#"["'](?:base_)?model["']\s*:\s*["'](?<model>gemini-[\w.-]*\w)|\bmodel: (?<named>gemini-[\w.-]*\w)|\bdaily (?<daily>gemini-[\w.-]*\w) quota\b"#,
        Some("google"),
    ),
    (r"\bquota metric '(?<model>gemini [\d.]+ [a-z][a-z -]*?) requests\b", Some("google")),
];

static COMPILED: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
    MODELS.iter().map(|(pattern, _)| RegexBuilder::new(pattern).case_insensitive(true).build().ok()).collect()
});

static MODEL_OF_RUN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:(?:quota|capacity|limit) (?:on|for|of) this model|this model's (?:rate |usage )?limit)\b")
        .ok()
});

/// The model that a message names. `line` is the message's line, `around` the text around it.
pub(super) fn model(provider: &str, line: &str, around: &str) -> Option<String> {
    MODELS.iter().zip(COMPILED.iter()).find_map(|((_, only), pattern)| {
        if only.is_some_and(|only| only != provider) {
            return None;
        }
        // Google's messages span several lines.
        let captures = pattern.as_ref()?.captures(if only.is_some() { around } else { line })?;
        let group = captures.iter().skip(1).flatten().next()?;
        // The expressions ignore case, and a model is no credential.
        let named = Some(group.as_str()).filter(|named| secrets::text(named) == *named)?;
        Some(named.to_lowercase().replace(' ', "-"))
    })
}

/// Whether a message concerns the model of the run without naming it.
pub(super) fn is_of_its_model(line: &str) -> bool {
    MODEL_OF_RUN.as_ref().is_some_and(|own| own.is_match(line))
}

#[cfg(test)]
mod tests {
    use super::{COMPILED, is_of_its_model, model};

    #[test]
    fn a_message_names_its_model() {
        assert!(COMPILED.iter().all(Option::is_some));
        for (provider, text, wanted) in [
            ("anthropic", "You've hit your Opus limit · resets Oct 9, 5pm (UTC)", Some("opus")),
            ("anthropic", "Sonnet weekly limit reached ∙ resets 5pm", Some("sonnet")),
            ("anthropic", "You've hit your weekly limit · resets 5pm", None),
            (
                "anthropic",
                r#"{"type":"rate_limit_event","rate_limit_info":{"rateLimitType":"seven_day_opus"}}"#,
                Some("opus"),
            ),
            ("anthropic", r#"{"type":"rate_limit_event","rate_limit_info":{"rateLimitType":"seven_day"}}"#, None),
            (
                "openai",
                "You've hit your usage limit for GPT-5.3-Codex-Spark. Switch to another model now",
                Some("gpt-5.3-codex-spark"),
            ),
            (
                "groq",
                "Rate limit reached for model `llama-3.3-70b-versatile` on tokens per day",
                Some("llama-3.3-70b-versatile"),
            ),
            ("google", "Usage limit reached for gemini-2.5-flash-lite.", Some("gemini-2.5-flash-lite")),
            (
                "google",
                "Usage limit reached for gemini-3-pro-preview. Access resets at 11:04 PM GMT+1.",
                Some("gemini-3-pro-preview"),
            ),
            ("google", "Usage limit reached for all Pro models.\n\"model\": \"gemini-2.5-flash\"", Some("pro")),
            ("google", "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit", Some("gemini-2.5-pro")),
            ("google", "Quota exceeded for quota metric 'Gemini Code Assist API requests'", None),
            ("zai", "Usage limit reached for 5 hour. Your limit will reset at 2026-09-09 05:38:28", None),
            ("anthropic", "You've hit your limit for Opus · resets 11pm (UTC)", Some("opus")),
            (
                "anthropic",
                "would exceed your organization's rate limit of 30,000 input tokens per minute \
                 (org: 8d477a71-9399-4be9-b1bb-0237cd42f319, model: claude-sonnet-4-20250514)",
                Some("sonnet"),
            ),
            (
                "anthropic",
                "(org: 8d477a71-9399-4be9-b1bb-0237cd42f319, model: claude-3-5-haiku-20241022)",
                Some("haiku"),
            ),
            ("openrouter", "Rate limit exceeded: free-models-per-day. Add 10 credits", Some("free")),
            ("google", "quota exceeded\n\"metadata\": {\"model\": \"gemini-2.5-pro\"}", Some("gemini-2.5-pro")),
            ("google", "You have reached your daily gemini-2.5-pro quota limit.", Some("gemini-2.5-pro")),
            (
                "google",
                "* Quota exceeded for metric: x, limit: 20, model: gemini-2.5-flash\n",
                Some("gemini-2.5-flash"),
            ),
        ] {
            assert_eq!(model(provider, text, text).as_deref(), wanted, "{text}");
        }
        assert!(is_of_its_model("You have exhausted your capacity on this model."));
        assert!(is_of_its_model("Sorry, you have exhausted this model's rate limit."));
    }
}
