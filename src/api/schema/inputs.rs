//! Inputs that have a hand-written parser.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

/// An amount of US dollars.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CostInput {
    Text(String),
    Number(f64),
}

/// The API of a response.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormatName {
    Anthropic,
    OpenaiChat,
    OpenaiResponses,
    Gemini,
    Ollama,
    Bedrock,
    Mistral,
    Deepseek,
    Xai,
    ClaudeCode,
    Codex,
    GeminiCli,
    QwenCode,
    Opencode,
    AgentOutput,
    AgentOutputTotal,
}

/// Defines an input with the fields of a call.
macro_rules! call_input {
    ($(#[$attribute:meta])* $name:ident { $($before:tt)* } { $($after:tt)* }) => {
        $(#[$attribute])*
        #[derive(ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($before)*
            #[schema(example = "anthropic", min_length = 1, pattern = "^[A-Za-z0-9._-]+$")]
            provider: Option<String>,
            #[schema(min_length = 1)]
            account: Option<String>,
            #[schema(example = "claude-opus-4-5", min_length = 1)]
            model: Option<String>,
            #[schema(min_length = 1)]
            agent: Option<String>,
            #[schema(min_length = 1)]
            project: Option<String>,
            #[schema(min_length = 1)]
            conversation: Option<String>,
            /// Further dimensions for reports
            #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
            labels: Option<serde_json::Value>,
            /// Uncached input
            #[schema(example = 120, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            input: Option<u64>,
            /// Visible output
            #[schema(example = 40, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            output: Option<u64>,
            #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            cache_read: Option<u64>,
            #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            cache_write: Option<u64>,
            #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            cache_write_5m: Option<u64>,
            #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            cache_write_1h: Option<u64>,
            #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            reasoning: Option<u64>,
            /// Cost reported by the agent or provider, in US dollars, as a decimal string or a number
            #[schema(example = "0.33")]
            cost_usd: Option<CostInput>,
            #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
            duration_ms: Option<u64>,
            /// End of the call; default: now
            #[schema(format = DateTime)]
            occurred_at: Option<String>,
            /// When the counts were final, if later
            #[schema(format = DateTime)]
            counted_at: Option<String>,
            /// A key that identifies the call within the provider: a repeated request returns the first record
            #[schema(example = "msg_01ABC", min_length = 1)]
            key: Option<String>,
            /// Further keys
            keys: Option<Vec<String>>,
            /// The reporting program; default: the interface, such as `http`
            #[schema(min_length = 1)]
            source: Option<String>,
            /// The API of the response
            format: Option<FormatName>,
            /// A response of that API: JSON, or a string with its body or stream
            response: Option<serde_json::Value>,
            $($after)*
        }
    };
}

call_input! {
    /// A call: its provider and at least one count, or a provider's response.
    RecordInput {
        /// The provider that served and metered the call; required unless `format` implies it
    } {
        /// The caller's own id, instead of a key
        #[schema(format = "uuid")]
        id: Option<String>,
    }
}

call_input! {
    /// A call that settles a reservation: the fields of a record except `id`.
    SettleInput {
        /// The id of the reservation
        #[schema(format = "uuid")]
        reservation: String,
        /// The provider that served and metered the call; default: that of the reservation
    } {}
}

/// A batch of calls: all are recorded, or none.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordsInput {
    /// At most 50,000
    records: Vec<RecordInput>,
}
