//! Parses calls of GenAI instrumentations: OpenTelemetry's convention, its earlier forms, `OpenInference` and the AI
//! SDK.

use super::call::{ParsedItem, TelemetryItem};
use super::counts::{self, COUNTS};
use crate::import::agents;
use crate::import::engine::provider_names::{self, lower_case, provider_id};
use crate::import::engine::telemetry_match::{GUESSED, NAMED, OWN_SDK};
use crate::import::engine::telemetry_vocabulary::VendorNames;
use crate::model::event::TokenRecord;
use crate::model::event::{SERVICE_TIER, is_special};
use crate::model::provider::CATALOGUE;
use crate::model::secrets;
use crate::readers::normalise::logged::{Field, Logged};

/// Operations and span kinds that are sums of calls, or no calls. Compared in lower case.
const SUMS: [&str; 35] = [
    "agent",
    "agent_run",
    "ai.embed",
    "ai.embedmany",
    "ai.generateobject",
    "ai.generatetext",
    "ai.streamobject",
    "ai.streamtext",
    "ai.toolcall",
    "chain",
    "create_agent",
    "crew",
    "evaluator",
    "execute_task",
    "execute_tool",
    "fetch_response",
    "guardrail",
    "invocation",
    "invoke_agent",
    "invoke_workflow",
    "kickoff",
    "plan",
    "prompt",
    "reranker",
    "rerank",
    "retrieval",
    "retriever",
    "run",
    "session",
    "step",
    "task",
    "tool",
    "turn",
    "workflow",
    "copilot_chat.agent.turn",
];
/// Operations and span kinds that are calls.
const CALLS: [&str; 20] = [
    "chat",
    "chat.completions",
    "chat_completion",
    "call_llm",
    "completion",
    "completions",
    "embedding",
    "embeddings",
    "embed",
    "generate_content",
    "generate",
    "generation",
    "llm",
    "messages",
    "response",
    "responses",
    "text_completion",
    "ai.generatetext.dogenerate",
    "ai.streamtext.dostream",
    "ai.embed.doembed",
];
/// Attributes with the operation or kind.
const OPERATIONS: [&str; 6] = [
    "gen_ai.operation.name",
    "llm.request.type",
    "openinference.span.kind",
    "traceloop.span.kind",
    "langsmith.span.kind",
    "ai.operationId",
];
const PROVIDERS: [&str; 5] =
    ["gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"];
/// Frameworks that call a provider and state their own name as provider.
const FRAMEWORKS: [&str; 8] =
    ["langchain", "langgraph", "llamaindex", "llama_index", "crewai", "haystack", "litellm", "semantic_kernel"];
const MODELS: [&str; 8] = [
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "llm.request.model",
    "embedding.model_name",
    "ai.response.model",
    "ai.model.id",
];
const CONVERSATIONS: [&str; 4] =
    ["gen_ai.conversation.id", "copilot_chat.session_id", "copilot_chat.chat_session_id", "session.id"];
/// Attributes with the tier in the response. The requested tier may differ from the granted one.
const TIERS: [&str; 4] = [
    "openai.response.service_tier",
    "anthropic.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
];

/// Returns whether an instrumentation reported the call.
pub(super) fn is_instrumented(record: &TokenRecord) -> bool {
    record.normaliser.as_deref().is_some_and(|normaliser| [NAMED, GUESSED, OWN_SDK].contains(&normaliser))
}

/// Kinds of items with tokens.
enum ItemKind {
    Call,
    /// Unknown kind. With counts and a model it is treated as a call.
    Like,
    Sum,
}

impl TelemetryItem<'_> {
    /// Parses an item of the convention: input includes cached input, output includes reasoning. Sums of calls are
    /// ignored.
    pub(super) fn gen_ai(mut self) -> ParsedItem {
        let models = self.first(&MODELS);
        let normaliser = match self.sort() {
            ItemKind::Sum => return Ok(None),
            ItemKind::Call if self.is_of_own_sdk() => OWN_SDK,
            ItemKind::Call => NAMED,
            ItemKind::Like if models.is_some() => GUESSED,
            ItemKind::Like => {
                let operation = self.first(&OPERATIONS).unwrap_or(&self.name);
                return Err(format!(
                    "telemetry of tokens of {}, which is no known operation and names no model",
                    secrets::quoted(operation)
                ));
            }
        };
        let mut fields: [Field; 7] = [("", None); 7];
        for (field, names) in fields.iter_mut().zip(COUNTS) {
            for name in names {
                let (name, count) = self.field(name)?;
                if count.is_some() && field.1.is_none() {
                    *field = (name, count);
                }
            }
        }
        let [input, output, read, mut written, reasoning, five_minutes, hour] = fields;
        if written.1.is_none() {
            let lives = five_minutes.1.into_iter().chain(hour.1).reduce(i64::saturating_add);
            written = ("the sum by lifetime", lives);
        }
        self.lives = [five_minutes, hour];
        let mut logged = Logged::new("the instrumentation", normaliser, input, output);
        (logged.cache_read, logged.cache_write, logged.reasoning) = (read, written, reasoning);
        let (agent, provider) = self.agent_and_provider();
        logged.cache_inside = !counts::is_beside_input(read.0, &provider, &self.attributes);
        let modalities = counts::modalities(&self.attributes)?;
        let keys = ["gen_ai.response.id", "ai.response.id", "anthropic.request.id"].map(|name| self.text(name));
        let keys = keys.into_iter().flatten().map(str::to_owned).chain(self.place.own.clone());
        let call = self.parsed_call(&provider, &agent, &logged, &CONVERSATIONS, &MODELS, keys.collect())?;
        let tier = self.first(&TIERS).filter(|tier| is_special(tier)).map(str::to_owned);
        Ok(call.map(|mut call| {
            call.record.labels.extend(tier.map(|tier| (SERVICE_TIER.to_owned(), tier)));
            call.record.modalities = modalities;
            call
        }))
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    fn sort(&self) -> ItemKind {
        let stated: Vec<String> = OPERATIONS.iter().filter_map(|name| self.text(name)).map(str::to_lowercase).collect();
        let name = self.name.to_lowercase();
        let operations = if stated.is_empty() {
            let ends = [name.split(' ').next(), name.split([' ', '.']).next_back(), Some(&*name)];
            ends.into_iter().flatten().map(str::to_owned).collect()
        } else {
            stated
        };
        let is = |names: &[&str]| operations.iter().any(|word| names.contains(&word.as_str()));
        if is(&SUMS) || SUMS.contains(&name.as_str()) {
            ItemKind::Sum
        } else if is(&CALLS) || name == "gen_ai.client.inference.operation.details" {
            ItemKind::Call
        } else {
            ItemKind::Like
        }
    }

    /// Returns the agent whose attributes accompany those of the convention, and the provider of its calls.
    fn marked_agent(&self) -> Option<(&'static str, &'static VendorNames)> {
        let attributes = self.attributes.as_object()?;
        agents::ALL.iter().find_map(|agent| {
            let names = agent.telemetry?;
            let vendor = names.vendor.as_ref()?;
            let marks = |name: &String| names.prefixes.iter().any(|prefix| name.starts_with(prefix));
            attributes.keys().any(marks).then_some((agent.name, vendor))
        })
    }

    fn agent_and_provider(&self) -> (String, String) {
        if let Some((agent, vendor)) = self.marked_agent() {
            let named = self.first(&PROVIDERS).and_then(|name| provider_id(name, self.first(&MODELS)));
            let own = named.filter(|name| self.is_of_scope(vendor.scope) && !name.starts_with(vendor.vendor));
            return (agent.to_owned(), own.unwrap_or_else(|| vendor.provider.to_owned()));
        }
        let agent = self.first(&["gen_ai.agent.name", "service.name"]);
        let agent = agent.filter(|name| !name.starts_with("unknown_service"));
        let agent = agent.map(|name| secrets::text(name).to_lowercase());
        let names = PROVIDERS.iter().filter_map(|name| self.text(name)).map(lower_case);
        let named_provider = names.map(without_interface).find(|name| !FRAMEWORKS.contains(&name.as_str()));
        (
            agent.unwrap_or_default(),
            provider_names::provider(named_provider.as_deref(), self.first(&MODELS), provider_names::UNKNOWN),
        )
    }
}

/// The AI SDK appends the interface of the provider: `openai.chat`.
fn without_interface(name: String) -> String {
    let is_known = |name: &str| CATALOGUE.iter().any(|known| known.id == name || known.aliases.contains(&name));
    match name.split_once('.') {
        Some((provider, _)) if !is_known(&name) && is_known(provider) => provider.to_owned(),
        _ => name,
    }
}
