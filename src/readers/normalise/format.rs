use std::fmt;
use std::str::FromStr;

use crate::model::error::{Error, Result};

/// The usage format of an API.
///
/// ```
/// use usage_ledger::normalise::UsageFormat;
/// let format: UsageFormat = "openai-chat".parse()?;
/// assert_eq!(format, UsageFormat::OpenaiChat);
/// assert_eq!((format.to_string().as_str(), format.provider()), ("openai-chat", "openai"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UsageFormat {
    /// Anthropic Messages, also through Vertex AI, Bedrock `InvokeModel` or Azure.
    Anthropic,
    /// `OpenAI` Chat Completions, and the many APIs that imitate it (Groq, `OpenRouter`, Ollama's `/v1` …).
    OpenaiChat,
    /// `OpenAI` Responses.
    OpenaiResponses,
    /// Gemini `generateContent` and `streamGenerateContent`.
    Gemini,
    /// Ollama `/api/chat` and `/api/generate`.
    Ollama,
    /// Amazon Bedrock `Converse` and `ConverseStream`.
    Bedrock,
    /// Mistral chat completions and conversations.
    Mistral,
    /// `DeepSeek` chat completions.
    Deepseek,
    /// xAI Chat Completions and Responses; the object itself shows which.
    Xai,
    /// The usage of a Claude Code session log, which has Anthropic's format.
    ClaudeCode,
    /// The `TokenUsage` of a Codex session log.
    Codex,
    /// The `tokens` of a Gemini CLI chat.
    GeminiCli,
    /// The `usageMetadata` of a Qwen Code chat, or the `tokens` of an older one.
    QwenCode,
    /// The `tokens` of an `OpenCode` message.
    Opencode,
}

impl UsageFormat {
    /// Every format, the providers' APIs first.
    ///
    /// ```
    /// use usage_ledger::normalise::UsageFormat;
    /// assert!(UsageFormat::ALL.iter().all(|format| format.name().parse::<UsageFormat>().unwrap() == *format));
    /// ```
    pub const ALL: [Self; 14] = [
        Self::Anthropic,
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::Gemini,
        Self::Ollama,
        Self::Bedrock,
        Self::Mistral,
        Self::Deepseek,
        Self::Xai,
        Self::ClaudeCode,
        Self::Codex,
        Self::GeminiCli,
        Self::QwenCode,
        Self::Opencode,
    ];

    /// The name used on the command line.
    ///
    /// ```
    /// # use usage_ledger::normalise::UsageFormat;
    /// assert_eq!(UsageFormat::OpenaiResponses.name(), "openai-responses");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
            Self::Mistral => "mistral",
            Self::Deepseek => "deepseek",
            Self::Xai => "xai",
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::GeminiCli => "gemini-cli",
            Self::QwenCode => "qwen-code",
            Self::Opencode => "opencode",
        }
    }

    /// The provider of this API. The caller names other providers that use the format.
    ///
    /// ```
    /// # use usage_ledger::normalise::UsageFormat;
    /// assert_eq!(UsageFormat::Bedrock.provider(), "aws-bedrock");
    /// ```
    pub const fn provider(self) -> &'static str {
        match self {
            Self::Anthropic | Self::ClaudeCode => "anthropic",
            Self::OpenaiChat | Self::OpenaiResponses | Self::Codex => "openai",
            Self::Gemini | Self::GeminiCli => "google",
            Self::Ollama => "ollama",
            Self::Bedrock => "aws-bedrock",
            Self::Mistral => "mistral",
            Self::Deepseek => "deepseek",
            Self::Xai => "xai",
            Self::QwenCode => "alibaba",
            Self::Opencode => "opencode-zen",
        }
    }

    /// Name and version of the rules for this format. The version increases whenever the same object would give other
    /// counts, so a record always states which rules computed it.
    ///
    /// ```
    /// # use usage_ledger::normalise::UsageFormat;
    /// assert_eq!(UsageFormat::Anthropic.normaliser(), "anthropic/1");
    /// assert_eq!(UsageFormat::ClaudeCode.normaliser(), "anthropic/1"); // the same object, the same rules
    /// ```
    pub const fn normaliser(self) -> &'static str {
        match self {
            Self::Anthropic | Self::ClaudeCode => "anthropic/1",
            Self::OpenaiChat => "openai-chat/1",
            Self::OpenaiResponses => "openai-responses/1",
            Self::Gemini => "gemini/1",
            Self::Ollama => "ollama/1",
            Self::Bedrock => "bedrock/1",
            Self::Mistral => "mistral/1",
            Self::Deepseek => "deepseek/1",
            Self::Xai => "xai/1",
            Self::Codex => "codex/1",
            Self::GeminiCli => "gemini-cli/1",
            Self::QwenCode => "qwen-code/1",
            Self::Opencode => "opencode/1",
        }
    }
}

impl fmt::Display for UsageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for UsageFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("`{name}` is not a usage format: use one of {known}"))
        })
    }
}
