use std::fmt;
use std::str::FromStr;

use crate::model::error::{Error, Result};

/// A document in which a provider or agent reports quota windows.
///
/// ```
/// use usage_ledger::quota::QuotaFormat;
/// let format: QuotaFormat = "claude-statusline".parse()?;
/// assert_eq!((format, format.provider()), (QuotaFormat::ClaudeStatusline, "anthropic"));
/// let near = "anthropic-header".parse::<QuotaFormat>().unwrap_err().to_string();
/// assert!(near.contains("did you mean `anthropic-headers`?"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuotaFormat {
    /// The JSON that Claude Code passes to its status line command.
    ClaudeStatusline,
    /// The headers of a response of Anthropic's API, as lines or as a JSON object.
    AnthropicHeaders,
    /// The usage document of an Anthropic subscription.
    AnthropicOauth,
    /// Codex' rate limits: a line of a rollout, the app server's, the usage document, or response headers.
    CodexRateLimits,
    /// The quota buckets of Gemini Code Assist.
    GeminiBuckets,
    /// The user document of GitHub Copilot.
    Copilot,
    /// The usage document of Ollama Cloud.
    OllamaCloud,
}

impl QuotaFormat {
    /// Every format.
    ///
    /// ```
    /// use usage_ledger::quota::QuotaFormat;
    /// assert!(QuotaFormat::ALL.iter().all(|format| format.name().parse::<QuotaFormat>().unwrap() == *format));
    /// ```
    pub const ALL: [Self; 7] = [
        Self::ClaudeStatusline,
        Self::AnthropicHeaders,
        Self::AnthropicOauth,
        Self::CodexRateLimits,
        Self::GeminiBuckets,
        Self::Copilot,
        Self::OllamaCloud,
    ];

    /// The name used on the command line, and as the feed of its observations.
    ///
    /// ```
    /// # use usage_ledger::quota::QuotaFormat;
    /// assert_eq!(QuotaFormat::CodexRateLimits.name(), "codex-rate-limits");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaudeStatusline => "claude-statusline",
            Self::AnthropicHeaders => "anthropic-headers",
            Self::AnthropicOauth => "anthropic-oauth",
            Self::CodexRateLimits => "codex-rate-limits",
            Self::GeminiBuckets => "gemini-buckets",
            Self::Copilot => "copilot",
            Self::OllamaCloud => "ollama-cloud",
        }
    }

    /// The provider of the windows, unless the caller names another.
    ///
    /// ```
    /// # use usage_ledger::quota::QuotaFormat;
    /// assert_eq!(QuotaFormat::Copilot.provider(), "github-copilot");
    /// ```
    pub const fn provider(self) -> &'static str {
        match self {
            Self::ClaudeStatusline | Self::AnthropicHeaders | Self::AnthropicOauth => "anthropic",
            Self::CodexRateLimits => "openai",
            Self::GeminiBuckets => "google",
            Self::Copilot => "github-copilot",
            Self::OllamaCloud => "ollama-cloud",
        }
    }

    /// A description of the expected document.
    ///
    /// ```
    /// # use usage_ledger::quota::QuotaFormat;
    /// assert!(QuotaFormat::ClaudeStatusline.wants().contains("statusLine"));
    /// ```
    pub const fn wants(self) -> &'static str {
        match self {
            Self::ClaudeStatusline => "the JSON that Claude Code writes to its statusLine command's stdin",
            Self::AnthropicHeaders => "the response headers as `name: value` lines or as a JSON object",
            Self::AnthropicOauth => "the JSON body of the subscription's usage response",
            Self::CodexRateLimits => {
                "one token_count line of a rollout, the app server's rate limits, the usage document or the \
                 x-codex-* response headers"
            }
            Self::GeminiBuckets => "the JSON body of retrieveUserQuota, with its `buckets`",
            Self::Copilot => "the JSON body of copilot_internal/user, with its `quota_snapshots`",
            Self::OllamaCloud => "the JSON body of the usage response, with its `limits`",
        }
    }
}

impl fmt::Display for QuotaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for QuotaFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let near =
                Self::ALL.map(Self::name).into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
            let hint = near.filter(|(distance, _)| *distance <= 3).min();
            let hint = hint.map(|(_, known)| format!("; did you mean `{known}`?")).unwrap_or_default();
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("`{name}` is not a format of observations: use one of {known}{hint}"))
        })
    }
}
