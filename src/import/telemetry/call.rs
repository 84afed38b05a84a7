//! The call that a log record or span tells of.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;

use super::attributes::{flat, instant, span_id, text};
use super::gen_ai::is_counted;
use super::nest::NestPlace;
use crate::import::engine::attribution::{self, ANTHROPIC};
use crate::import::engine::fields;
use crate::import::engine::service_tiers;
use crate::import::engine::source::ParsedCall;
use crate::model::event::SERVICE_TIER;
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::model::tokens::Tokens;
use crate::readers::normalise::logged::{Field, Logged};

/// The label that says what a call was made for.
const PURPOSE: &str = "purpose";

const UNTOLD: [Field; 2] = [("", None); 2];

/// A log record or a span.
pub(super) struct TelemetryItem<'r> {
    /// What the event is called, or the span.
    pub name: String,
    at: Option<Timestamp>,
    duration_ms: Option<u64>,
    pub attributes: Value,
    resource: &'r Value,
    /// The library that tells.
    scope: &'r str,
    pub place: NestPlace,
    /// Of what was written to a cache, the counts of what lives five minutes and an hour.
    pub lives: [Field; 2],
}

pub(super) type ParsedItem = Result<Option<ParsedCall>, String>;

impl<'r> TelemetryItem<'r> {
    pub fn of_log(record: &LogRecord, resource: &'r Value, scope: &'r str) -> Self {
        let attributes = flat(&record.attributes);
        let name =
            [Some(record.event_name.as_str()), fields::text(&attributes, "event.name"), text(record.body.as_ref())];
        // Claude Code's body has the whole name, its attribute the end of it.
        let name = name.into_iter().flatten().max_by_key(|name| (is_known(name), name.len().min(64)));
        let at = instant(record.time_unix_nano)
            .or_else(|| fields::time(attributes.get("event.timestamp")))
            .or_else(|| instant(record.observed_time_unix_nano));
        let duration_ms = fields::worded_count(&attributes, "duration_ms").ok().flatten();
        let place = NestPlace { own: None, within: span_id(&record.trace_id, &record.span_id) };
        let name = name.unwrap_or_default().to_owned();
        Self { name, at, duration_ms, attributes, resource, scope, place, lives: UNTOLD }
    }

    /// `within` is the span that this one stands in.
    pub fn of_span(span: &Span, within: Option<String>, resource: &'r Value, scope: &'r str) -> Self {
        let (started, ended) = (instant(span.start_time_unix_nano), instant(span.end_time_unix_nano));
        let lasted = started.zip(ended).map(|(started, ended)| ended.millis() - started.millis());
        Self {
            name: span.name.clone(),
            at: ended.or(started),
            duration_ms: lasted.and_then(|millis| u64::try_from(millis).ok()),
            attributes: flat(&span.attributes),
            resource,
            scope,
            place: NestPlace { own: span_id(&span.trace_id, &span.span_id), within },
            lives: UNTOLD,
        }
    }

    /// The call it tells of; `None` when it is about something else, or tells again what others tell.
    ///
    /// An error says why something that tells of tokens cannot be read.
    pub fn call(self) -> ParsedItem {
        let service = self.text("service.name").unwrap_or_default().to_lowercase();
        if self.is_note(&service) {
            return Ok(None);
        }
        match self.name.as_str() {
            "claude_code.api_request" => self.claude_code(),
            "api_request" if service.starts_with("claude-code") => self.claude_code(),
            // Without the request's id it could not be told from the log record of the same call.
            "claude_code.llm_request" if self.text("request_id").is_some() => self.claude_code(),
            "claude_code.llm_request" => Ok(None),
            name if name.starts_with("codex.") && self.has("input_token_count") => self.codex(),
            "gemini_cli.api_response" => self.gemini("gemini-cli", "google", "gemini-cli-otlp/1", false),
            "qwen-code.api_response" => self.gemini("qwen-code", "alibaba", "qwen-code-otlp/1", true),
            _ if is_counted(&self.attributes) => {
                // These agents tell of each call in words of their own besides.
                let own = ["claude-code", "codex", "gemini-cli", "qwen-code"];
                if own.iter().any(|own| service.starts_with(own)) { Ok(None) } else { self.gen_ai() }
            }
            _ => self.other(),
        }
    }

    /// Whether it repeats in sum what calls used, of which its agent tells one by one.
    fn is_note(&self, service: &str) -> bool {
        const CLAUDE_CODE: [&str; 2] = ["subagent_completed", "compaction"];
        const CODEX: [&str; 2] = ["codex.turn.", "codex.usage."];
        let name = match self.name.strip_prefix("claude_code.") {
            None if service.starts_with("claude-code") => Some(self.name.as_str()),
            name => name,
        };
        let of_turn = |attribute: &String| CODEX.iter().any(|of| attribute.starts_with(of));
        let is_codex_span = self.place.own.is_some() && service.starts_with("codex");
        name.is_some_and(|name| CLAUDE_CODE.contains(&name))
            || is_codex_span
            || self.attributes.as_object().is_some_and(|all| all.keys().any(of_turn))
    }

    /// Whether the SDK of a provider tells, which knows the provider's own count.
    pub fn is_of_own_sdk(&self) -> bool {
        self.scope.starts_with("com.") && self.scope.contains(".sdk")
    }

    /// Whether Copilot CLI tells. Editors name the maker of a model whoever served it.
    pub fn is_of_copilot_cli(&self) -> bool {
        self.scope == "github.copilot"
    }

    /// What a call was made for, as its agent states it.
    fn purpose(&self, names: &[&str]) -> Option<(String, String)> {
        let purpose = names.iter().find_map(|name| fields::text(&self.attributes, name))?;
        Some((PURPOSE.to_owned(), purpose.to_owned()))
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.get(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        fields::text(&self.attributes, name).or_else(|| fields::text(self.resource, name))
    }

    pub fn field(&self, name: &'static str) -> Result<Field, String> {
        Ok((name, fields::worded_count(&self.attributes, name)?))
    }

    /// Anthropic's classes, apart from each other; how long a cache write lives is not told.
    fn claude_code(self) -> ParsedItem {
        let mut logged =
            Logged::new("claude-code", "claude-code-otlp/1", self.field("input_tokens")?, self.field("output_tokens")?);
        logged.cache_read = self.field("cache_read_tokens")?;
        logged.cache_write = self.field("cache_creation_tokens")?;
        logged.cache_inside = false;
        let tier = self.text("speed").filter(|speed| !matches!(*speed, "normal" | "standard")).map(str::to_owned);
        let purpose = self.purpose(&["query_source", "purpose"]);
        let keys = self.text("request_id").map(str::to_owned).into_iter().collect();
        let found = self.found(ANTHROPIC, "claude-code", &logged, &["session.id"], &["model"], keys)?;
        Ok(found.map(|mut found| {
            found.record.labels.extend(tier.map(|tier| (SERVICE_TIER.to_owned(), tier)));
            found.record.labels.extend(purpose);
            attribution::settle(&mut found.record);
            found
        }))
    }

    /// Cached input inside the input, reasoning inside the output. `tool_token_count` is the total of them.
    fn codex(self) -> ParsedItem {
        let mut logged =
            Logged::new("codex", "codex-otlp/1", self.field("input_token_count")?, self.field("output_token_count")?);
        logged.cache_read = self.field("cached_token_count")?;
        logged.cache_write = self.field("cache_write_token_count")?;
        logged.reasoning = self.field("reasoning_token_count")?;
        let found = self.found("openai", "codex", &logged, &["conversation.id"], &["model", "slug"], Vec::new())?;
        Ok(found.map(|mut found| {
            if let Some(tier) = fields::text(&self.attributes, "service_tier") {
                service_tiers::answered(&mut found.record, tier);
            }
            found.record.labels.extend(self.purpose(&["query_source", "purpose"]));
            found
        }))
    }

    /// Cached input inside the input, thoughts beside the output in Gemini CLI, the tools' input beside the input.
    fn gemini(
        self,
        agent: &'static str,
        provider: &str,
        normaliser: &'static str,
        thoughts_inside: bool,
    ) -> ParsedItem {
        let mut logged =
            Logged::new(agent, normaliser, self.field("input_token_count")?, self.field("output_token_count")?);
        logged.more_input = self.field("tool_token_count")?;
        logged.cache_read = self.field("cached_content_token_count")?;
        logged.reasoning = self.field("thoughts_token_count")?;
        logged.reasoning_inside = thoughts_inside;
        let keys = self.text("response_id").map(str::to_owned).into_iter().collect();
        let found = self.found(provider, agent, &logged, &["session.id"], &["model"], keys)?;
        Ok(found.map(|mut found| {
            found.record.labels.extend(self.purpose(&["role", "purpose"]));
            found
        }))
    }

    /// What is of no known form: about tokens or not.
    fn other(self) -> ParsedItem {
        let named = self.attributes.as_object().and_then(|all| all.iter().find(|(name, told)| is_count(name, told)));
        match named {
            Some((name, _)) => {
                let (what, name) = (secrets::quoted(&self.name), secrets::quoted(name));
                Err(format!("{what} tells of tokens ({name}) and is of no known form"))
            }
            None => Ok(None),
        }
    }

    pub fn found(
        &self,
        provider: &str,
        agent: &str,
        logged: &Logged,
        conversations: &[&str],
        models: &[&str],
        keys: Vec<String>,
    ) -> ParsedItem {
        if logged.is_nothing() {
            // A call that failed used nothing; one that states no count at all has a form that is not known.
            let stated = [logged.input, logged.output].iter().any(|(_, count)| count.is_some());
            return if stated {
                Ok(None)
            } else {
                Err(format!("{} without token counts", secrets::quoted(&self.name)))
            };
        }
        let at = self.at.ok_or_else(|| format!("{} without a time", secrets::quoted(&self.name)))?;
        let mut record = fields::record(provider, agent, *logged)?;
        self.tell_lives(&mut record.tokens)?;
        record.agent = record.agent.filter(|agent| !agent.is_empty());
        record.keys = keys;
        let first = |names: &[&str]| names.iter().find_map(|name| self.text(name)).map(str::to_owned);
        (record.conversation, record.model) = (first(conversations), first(models));
        record.cost = fields::cost(self.attributes.get("cost_usd")).or_else(|| self.worded_cost());
        record.duration_ms = self.duration_ms;
        let fields =
            [logged.input, logged.more_input, logged.cache_read, logged.cache_write, logged.output, logged.reasoning];
        let fields = fields.into_iter().chain(self.lives);
        let stated = fields.filter(|(name, _)| self.has(name));
        let stated = stated.filter_map(|(name, count)| Some((name, Value::from(count?))));
        record.raw = fields::raw(&stated.collect::<BTreeMap<_, _>>());
        fields::checked(at, record).map(Some)
    }

    /// Tells what was written to a cache by how long it lives; what is left of it has an unknown lifetime.
    fn tell_lives(&self, tokens: &mut Tokens) -> Result<(), String> {
        let [five_minutes, hour] = self.lives.map(|(_, count)| count);
        if five_minutes.is_none() && hour.is_none() {
            return Ok(());
        }
        let known = five_minutes.unwrap_or(0).checked_add(hour.unwrap_or(0));
        let rest = known.and_then(|known| tokens.cache_write.unwrap_or(0).checked_sub(known));
        let rest = rest.ok_or_else(|| {
            format!("{} tells of more cache writes by lifetime than in all", secrets::quoted(&self.name))
        })?;
        (tokens.cache_write_5m, tokens.cache_write_1h) = (five_minutes, hour);
        tokens.cache_write = Some(rest).filter(|rest| *rest > 0);
        Ok(())
    }

    /// Some exporters write every value as a text.
    fn worded_cost(&self) -> Option<crate::model::tokens::Usd> {
        let number: serde_json::Number = self.text("cost_usd")?.parse().ok()?;
        fields::cost(Some(&Value::Number(number)))
    }
}

fn is_known(name: &str) -> bool {
    ["claude_code.", "codex.", "gemini_cli.", "qwen-code.", "gen_ai.", "copilot_chat."]
        .iter()
        .any(|known| name.starts_with(known))
}

/// Whether an attribute is of no known name and looks like a count of tokens that were used, not of those that were allowed.
fn is_count(name: &str, told: &Value) -> bool {
    let name = name.to_lowercase();
    let allowed = ["max", "limit", "budget", "request.", "threshold"].iter().any(|word| name.contains(word));
    let counted = told.is_number() || told.as_str().is_some_and(|text| text.parse::<u64>().is_ok());
    let names_tokens = name.contains("tokens") || name.contains("token_count") || name.contains("tokencount");
    counted && names_tokens && !allowed
}
