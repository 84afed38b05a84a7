//! The call that a log record or span tells of.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;

use super::attributes::{flat, id, instant, text};
use crate::import::served::{self, ANTHROPIC};
use crate::import::source::Found;
use crate::import::told;
use crate::normalise::logged::{Field, Logged};
use crate::price::SERVICE_TIER;
use crate::time::Timestamp;

/// Spans of these are sums of inferences, or of none.
const SUMS: [&str; 8] =
    ["invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "plan", "fetch_response", "retrieval", "agent"];
/// What an inference is called.
const INFERENCES: [&str; 6] = ["chat", "generate_content", "text_completion", "embeddings", "completion", "responses"];
/// Names of each count of GenAI instrumentations, the newest first.
const GEN_AI: [&[&str]; 5] = [
    &["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
    &["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
    &[
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
    ],
    &[
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
    ],
    &["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"],
];

/// A log record or a span.
pub(super) struct Item<'r> {
    /// What the event is called, or the span.
    name: String,
    at: Option<Timestamp>,
    duration_ms: Option<u64>,
    attributes: Value,
    resource: &'r Value,
    /// Trace and span, of a span.
    span: Option<String>,
}

type Told = Result<Option<Found>, String>;

impl<'r> Item<'r> {
    pub fn of_log(record: &LogRecord, resource: &'r Value) -> Self {
        let attributes = flat(&record.attributes);
        let name =
            [Some(record.event_name.as_str()), told::text(&attributes, "event.name"), text(record.body.as_ref())];
        // Claude Code's body has the whole name, its attribute the end of it.
        let name = name.into_iter().flatten().max_by_key(|name| (is_known(name), name.len().min(64)));
        let at = instant(record.time_unix_nano)
            .or_else(|| told::time(attributes.get("event.timestamp")))
            .or_else(|| instant(record.observed_time_unix_nano));
        let duration_ms = told::worded_count(&attributes, "duration_ms").ok().flatten();
        Self { name: name.unwrap_or_default().to_owned(), at, duration_ms, attributes, resource, span: None }
    }

    pub fn of_span(span: &Span, resource: &'r Value) -> Self {
        let (started, ended) = (instant(span.start_time_unix_nano), instant(span.end_time_unix_nano));
        let lasted = started.zip(ended).map(|(started, ended)| ended.millis() - started.millis());
        Self {
            name: span.name.clone(),
            at: ended.or(started),
            duration_ms: lasted.and_then(|millis| u64::try_from(millis).ok()),
            attributes: flat(&span.attributes),
            resource,
            span: id(&span.trace_id).zip(id(&span.span_id)).map(|(trace, span)| format!("{trace}/{span}")),
        }
    }

    /// The call it tells of; `None` when it is about something else, or tells again what others tell.
    ///
    /// An error says why something that tells of tokens cannot be read.
    pub fn call(self) -> Told {
        let service = self.text("service.name").unwrap_or_default();
        match self.name.as_str() {
            "claude_code.api_request" => self.claude_code(),
            "api_request" if service.starts_with("claude-code") => self.claude_code(),
            // Without the request's id it could not be told from the log record of the same call.
            "claude_code.llm_request" if self.text("request_id").is_some() => self.claude_code(),
            "claude_code.llm_request" => Ok(None),
            name if name.starts_with("codex.") && self.has("input_token_count") => self.codex(),
            "gemini_cli.api_response" => self.gemini("gemini-cli", "google", "gemini-cli-otlp/1", false),
            "qwen-code.api_response" => self.gemini("qwen-code", "alibaba", "qwen-code-otlp/1", true),
            _ if GEN_AI.iter().flat_map(|names| names.iter()).any(|name| self.has(name)) => {
                // These agents tell of each call in words of their own besides.
                let own = ["claude-code", "codex", "gemini-cli", "qwen-code"];
                if own.iter().any(|own| service.starts_with(own)) { Ok(None) } else { self.gen_ai() }
            }
            _ => self.other(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.get(name).is_some()
    }

    fn text(&self, name: &str) -> Option<&str> {
        told::text(&self.attributes, name).or_else(|| told::text(self.resource, name))
    }

    fn field(&self, name: &'static str) -> Result<Field, String> {
        Ok((name, told::worded_count(&self.attributes, name)?))
    }

    /// Anthropic's classes, apart from each other; how long a cache write lives is not told.
    fn claude_code(self) -> Told {
        let mut logged =
            Logged::new("claude-code", "claude-code-otlp/1", self.field("input_tokens")?, self.field("output_tokens")?);
        logged.cache_read = self.field("cache_read_tokens")?;
        logged.cache_write = self.field("cache_creation_tokens")?;
        logged.cache_inside = false;
        let tier = self.text("speed").filter(|speed| !matches!(*speed, "normal" | "standard")).map(str::to_owned);
        let keys = self.text("request_id").map(str::to_owned).into_iter().collect();
        let found = self.found(ANTHROPIC, "claude-code", &logged, &["session.id"], &["model"], keys)?;
        Ok(found.map(|mut found| {
            found.record.labels.extend(tier.map(|tier| (SERVICE_TIER.to_owned(), tier)));
            served::settle(&mut found.record);
            found
        }))
    }

    /// Cached input inside the input, reasoning inside the output. `tool_token_count` is the total of them.
    fn codex(self) -> Told {
        let mut logged =
            Logged::new("codex", "codex-otlp/1", self.field("input_token_count")?, self.field("output_token_count")?);
        logged.cache_read = self.field("cached_token_count")?;
        logged.cache_write = self.field("cache_write_token_count")?;
        logged.reasoning = self.field("reasoning_token_count")?;
        self.found("openai", "codex", &logged, &["conversation.id"], &["model", "slug"], Vec::new())
    }

    /// Cached input inside the input, thoughts beside the output in Gemini CLI, the tools' input beside the input.
    fn gemini(self, agent: &'static str, provider: &str, normaliser: &'static str, thoughts_inside: bool) -> Told {
        let mut logged =
            Logged::new(agent, normaliser, self.field("input_token_count")?, self.field("output_token_count")?);
        logged.more_input = self.field("tool_token_count")?;
        logged.cache_read = self.field("cached_content_token_count")?;
        logged.reasoning = self.field("thoughts_token_count")?;
        logged.reasoning_inside = thoughts_inside;
        let keys = self.text("response_id").map(str::to_owned).into_iter().collect();
        self.found(provider, agent, &logged, &["session.id"], &["model"], keys)
    }

    /// The convention: cached input inside the input, reasoning inside the output. Inferences count; sums of them do not.
    fn gen_ai(self) -> Told {
        let first = self.name.split([' ', '.']).next_back().unwrap_or_default();
        let operation = self.text("gen_ai.operation.name").or_else(|| self.text("llm.request.type"));
        let is = |names: &[&str]| {
            operation.map_or_else(
                || names.contains(&self.name.split(' ').next().unwrap_or_default()) || names.contains(&first),
                |operation| names.contains(&operation),
            )
        };
        if is(&SUMS) || self.name == "copilot_chat.agent.turn" {
            return Ok(None);
        }
        let is_details = self.name == "gen_ai.client.inference.operation.details";
        if !is(&INFERENCES) && !is_details {
            let operation = operation.unwrap_or(&self.name);
            return Err(format!("telemetry of tokens of `{operation}`, which is no known operation"));
        }
        let mut fields: [Field; 5] = [("", None); 5];
        for (field, names) in fields.iter_mut().zip(GEN_AI) {
            for name in names {
                let (name, count) = self.field(name)?;
                if count.is_some() && field.1.is_none() {
                    *field = (name, count);
                }
            }
        }
        let copilot = ["github.copilot.", "copilot_chat."];
        let is_copilot = self
            .attributes
            .as_object()
            .is_some_and(|all| all.keys().any(|name| copilot.iter().any(|prefix| name.starts_with(prefix))));
        let (agent, provider) = if is_copilot {
            ("copilot-cli".to_owned(), "github-copilot".to_owned())
        } else {
            let agent = self.text("gen_ai.agent.name").or_else(|| self.text("service.name"));
            let agent = agent.filter(|name| !name.starts_with("unknown_service")).map(str::to_lowercase);
            let told_by = self.text("gen_ai.provider.name").or_else(|| self.text("gen_ai.system"));
            let model = self.text("gen_ai.response.model").or_else(|| self.text("gen_ai.request.model"));
            (agent.unwrap_or_default(), told::provider(told_by, model, "unknown"))
        };
        let [input, output, read, written, reasoning] = fields;
        let mut logged = Logged::new("the instrumentation", "gen-ai-otlp/1", input, output);
        (logged.cache_read, logged.cache_write, logged.reasoning) = (read, written, reasoning);
        let id = self.text("gen_ai.response.id").map(str::to_owned);
        let keys = id.into_iter().chain(self.span.clone()).collect();
        let conversations =
            ["gen_ai.conversation.id", "copilot_chat.session_id", "copilot_chat.chat_session_id", "session.id"];
        let models = ["gen_ai.response.model", "gen_ai.request.model"];
        self.found(&provider, &agent, &logged, &conversations, &models, keys)
    }

    /// What is of no known form: about tokens or not.
    fn other(self) -> Told {
        let about_tokens = |name: &String| {
            let name = name.to_lowercase();
            name.ends_with("_token_count") || name.ends_with("input_tokens") || name.ends_with("output_tokens")
        };
        let named = self.attributes.as_object().and_then(|all| all.keys().find(|name| about_tokens(name)));
        match named {
            Some(name) => Err(format!("`{}` tells of tokens (`{name}`) and is of no known form", self.name)),
            None => Ok(None),
        }
    }

    fn found(
        &self,
        provider: &str,
        agent: &str,
        logged: &Logged,
        conversations: &[&str],
        models: &[&str],
        keys: Vec<String>,
    ) -> Told {
        if logged.is_nothing() {
            // A call that failed used nothing; one that states no count at all has a form that is not known.
            let stated = [logged.input, logged.output].iter().any(|(_, count)| count.is_some());
            return if stated { Ok(None) } else { Err(format!("`{}` without token counts", self.name)) };
        }
        let at = self.at.ok_or_else(|| format!("`{}` without a time", self.name))?;
        let mut record = told::record(provider, agent, *logged)?;
        record.agent = record.agent.filter(|agent| !agent.is_empty());
        record.keys = keys;
        let first = |names: &[&str]| names.iter().find_map(|name| self.text(name)).map(str::to_owned);
        (record.conversation, record.model) = (first(conversations), first(models));
        record.cost = told::cost(self.attributes.get("cost_usd")).or_else(|| self.worded_cost());
        record.duration_ms = self.duration_ms;
        let fields =
            [logged.input, logged.more_input, logged.cache_read, logged.cache_write, logged.output, logged.reasoning];
        let stated = fields.into_iter().filter_map(|(name, count)| Some((name, Value::from(count?))));
        record.raw = told::raw(&stated.collect::<BTreeMap<_, _>>());
        told::checked(at, record).map(Some)
    }

    /// Some exporters write every value as a text.
    fn worded_cost(&self) -> Option<crate::tokens::Usd> {
        let number: serde_json::Number = self.text("cost_usd")?.parse().ok()?;
        told::cost(Some(&Value::Number(number)))
    }
}

fn is_known(name: &str) -> bool {
    ["claude_code.", "codex.", "gemini_cli.", "qwen-code.", "gen_ai.", "copilot_chat."]
        .iter()
        .any(|known| name.starts_with(known))
}
