//! Determines the provider of a call from the log of Claude Code. Claude Code can use any server with Anthropic's API,
//! and its log does not name the server.
//!
//! The default is Anthropic. A message id marked by Bedrock, Vertex or `OpenRouter` overrides it, and so does a model
//! name in another provider's spelling or of a family that Anthropic does not serve. An unknown name changes nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::event::{EventId, TokenRecord};
use crate::model::provider::ProviderId;

pub(in crate::import) const ANTHROPIC: &str = "anthropic";
const BEDROCK: &str = "aws-bedrock";
const OLLAMA: &str = "ollama";
const OPENROUTER: &str = "openrouter";
const VERTEX: &str = "google-vertex";

/// Prefixes of message ids, by the gateway that creates them.
const IDS: [(&str, &str); 3] = [("msg_bdrk_", BEDROCK), ("msg_vrtx_", VERTEX), ("gen-", OPENROUTER)];

/// Prefixes of model names that gateways add. These gateways serve models of other makers.
const HOSTS: [&str; 9] =
    ["azure", "bedrock", "cerebras", "fireworks-ai", "groq", "ollama", "openrouter", "together", "vertex-ai"];

/// Suffixes that `OpenRouter` appends to a model name. Ollama writes a size in the same place.
const ROUTES: [&str; 7] = ["beta", "exacto", "extended", "floor", "free", "nitro", "thinking"];

/// Prefixes of model families, with the provider that serves them under these names. Open weights without a service of
/// their maker run on Ollama, the only local server that Claude Code can be set up for.
const FAMILIES: [(&str, &str); 32] = [
    ("chatgpt", "openai"),
    ("codellama", OLLAMA),
    ("codestral", "mistral"),
    ("codex", "openai"),
    ("command-", "cohere"),
    ("deepseek", "deepseek"),
    ("devstral", "mistral"),
    ("gemini", "google"),
    ("gemma", OLLAMA),
    ("glm", "zai"),
    ("gpt-oss", OLLAMA),
    ("gpt-", "openai"),
    ("granite", OLLAMA),
    ("grok", "xai"),
    ("kimi", "moonshot"),
    ("llama", OLLAMA),
    ("magistral", "mistral"),
    ("minimax", "minimax"),
    ("ministral", "mistral"),
    ("mistral", "mistral"),
    ("mixtral", "mistral"),
    ("moonshot", "moonshot"),
    ("nemotron", OLLAMA),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("phi", OLLAMA),
    ("pixtral", "mistral"),
    ("qwen", "alibaba"),
    ("qwq", OLLAMA),
    ("sonar", "perplexity"),
    ("starcoder", OLLAMA),
];

/// Suffixes of Alibaba's own Qwen models. A Qwen name without one of them is the name of the open weights.
const ALIBABA: [&str; 8] = ["flash", "instruct", "long", "max", "plus", "preview", "thinking", "turbo"];

/// Moves a call from Anthropic to the provider that served it.
///
/// The ids derived from its keys under Anthropic remain. Earlier imports and other feeds that assume Anthropic find the
/// call by these ids.
pub(in crate::import) fn settle(record: &mut TokenRecord) {
    if record.provider != ANTHROPIC {
        return;
    }
    let Some(server) = by(&record.keys, record.model.as_deref()) else { return };
    let mut ids: Vec<EventId> = record.ids().collect();
    ids.sort_unstable();
    record.provider = server.into();
    record.key_ids = ids;
}

/// Returns the provider, or `None` for Anthropic.
fn by(keys: &[String], model: Option<&str>) -> Option<&'static str> {
    let marked = |key: &String| IDS.iter().find(|(mark, _)| key.starts_with(mark));
    let marked = keys.iter().find_map(marked).map(|(_, server)| *server);
    marked.or_else(|| of_model(&model?.trim().to_ascii_lowercase()))
}

fn of_model(model: &str) -> Option<&'static str> {
    if model.starts_with("arn:aws:") {
        return Some(BEDROCK);
    }
    let (place, name) = model.rsplit_once('/').unwrap_or(("", model));
    let host = place.split('/').next().unwrap_or_default().replace('_', "-");
    if HOSTS.contains(&&*host) {
        return ProviderId::resolve(&host).ok()?.known().map(|known| known.id);
    }
    let (family, tag) = name.split_once(':').map_or((name, None), |(family, tag)| (family, Some(tag)));
    if family.contains("anthropic.") {
        return Some(BEDROCK);
    }
    match tag {
        // Bedrock appends a version to the model: `-v1:0`.
        Some(version) if version.bytes().all(|byte| byte.is_ascii_digit()) => return Some(BEDROCK),
        Some(route) if !place.is_empty() && ROUTES.contains(&route) => return Some(OPENROUTER),
        Some(_) => {
            let ollama = ProviderId::new(OLLAMA).ok()?;
            return ollama.serving(name).known().map(|known| known.id);
        }
        None => {}
    }
    if family.starts_with("claude") {
        return family.contains('@').then_some(VERTEX);
    }
    let Some((_, server)) = FAMILIES.iter().find(|(begins, _)| family.starts_with(begins)).copied() else {
        // A gateway prefixes the model with its maker. This applies to models of no known family.
        let maker = ProviderId::resolve(place.rsplit('/').next()?).ok()?.known()?;
        return Some(maker.id).filter(|id| *id != ANTHROPIC);
    };
    let weights = server == "alibaba" && !ALIBABA.iter().any(|offer| family.contains(offer));
    Some(if weights { OLLAMA } else { server })
}

/// The provider-dependent names of two sightings of one call, if they differ.
pub(in crate::import) struct SightingNames([KnownModel; 2]);

struct KnownModel {
    provider: Cow<'static, str>,
    keys: Vec<String>,
    ids: Vec<EventId>,
}

impl SightingNames {
    pub fn of(a: &TokenRecord, b: &TokenRecord) -> Option<Self> {
        let same = a.provider == b.provider && a.key_ids.is_empty() && b.key_ids.is_empty();
        let known = |record: &TokenRecord| KnownModel {
            provider: record.provider.clone(),
            keys: record.keys.clone(),
            ids: record.ids().collect(),
        };
        (!same).then(|| Self([known(a), known(b)]))
    }

    /// Moves the joined call to the provider that served it, and keeps the names of both sightings. If only one
    /// sighting was moved away from Anthropic, that one is right.
    pub fn agree(self, joined: &mut TokenRecord) {
        let [a, b] = &self.0;
        if let Some(better) = [(a, b), (b, a)].into_iter().find(|(one, other)| one.corrects(other)) {
            joined.provider.clone_from(&better.0.provider);
        }
        joined.key_ids.clear();
        let own: BTreeSet<EventId> = joined.ids().collect();
        let all: BTreeSet<EventId> = self.0.into_iter().flat_map(|known| known.ids).collect();
        joined.key_ids = all.difference(&own).copied().collect();
    }
}

impl KnownModel {
    fn corrects(&self, other: &Self) -> bool {
        self.provider != other.provider
            && self.keys.iter().any(|key| self.ids.contains(&EventId::from_key(&other.provider, key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_names_the_provider_of_relayed_calls() {
        for (model, server) in [
            ("claude-opus-4-6", None),
            ("claude-opus-4-6[1m]", None),
            ("anthropic/claude-sonnet-4.5", None),
            ("my-own-name", None),
            ("", None),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("aws-bedrock")),
            ("anthropic.claude-3-5-haiku-20241022-v1:0", Some("aws-bedrock")),
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x", Some("aws-bedrock")),
            ("qwen.qwen3-coder-480b-a35b-v1:0", Some("aws-bedrock")),
            ("bedrock/converse/x", Some("aws-bedrock")),
            ("claude-opus-4-5@20251101", Some("google-vertex")),
            ("vertex_ai/claude-opus-4-5", Some("google-vertex")),
            ("glm-4.7:cloud", Some("ollama-cloud")),
            ("gpt-oss:120b-cloud", Some("ollama-cloud")),
            ("gpt-oss:20b", Some("ollama")),
            ("gpt-oss", Some("ollama")),
            ("qwen3.5-claude-4.6-opus:27b-q4_K_M", Some("ollama")),
            ("somebody/glm-4.7-flash:q4_m", Some("ollama")),
            ("qwen3-coder", Some("ollama")),
            ("qwen3-coder-plus", Some("alibaba")),
            ("GLM-4.6", Some("zai")),
            ("kimi-k2-turbo-preview", Some("moonshot")),
            ("MiniMax-M2", Some("minimax")),
            ("deepseek-chat", Some("deepseek")),
            ("devstral-2512", Some("mistral")),
            ("grok-code-fast-1", Some("xai")),
            ("gemini-3-pro", Some("google")),
            ("gpt-5.2", Some("openai")),
            ("openai/gpt-5", Some("openai")),
            ("anthropic/claude-4.6-opus-20260205", None),
            ("anthropic/a-new-name", None),
            ("x-ai/a-new-name", Some("xai")),
            ("somebody/a-new-name", None),
            ("openrouter/qwen/qwen3-coder", Some("openrouter")),
            ("z-ai/glm-4.5-air:free", Some("openrouter")),
        ] {
            assert_eq!(by(&[], Some(model)), server, "{model}");
        }
    }

    #[test]
    fn the_id_of_a_call_names_the_relay() {
        for (id, server) in [
            ("msg_01XYZ", None),
            ("msg_bdrk_01XYZ", Some("aws-bedrock")),
            ("msg_vrtx_01XYZ", Some("google-vertex")),
            ("gen-1700-x", Some("openrouter")),
        ] {
            assert_eq!(by(&[id.to_owned()], Some("claude-opus-4-6")), server, "{id}");
        }
    }

    #[test]
    fn every_server_is_in_the_catalogue() {
        for server in FAMILIES.iter().chain(&IDS).map(|(_, server)| *server) {
            assert_eq!(ProviderId::new(server).unwrap().known().map(|known| known.id), Some(server));
        }
    }

    #[test]
    fn of_two_sightings_the_attributed_one_names_the_provider() {
        let call = |keys: &[&str], model: &str| {
            let mut record = TokenRecord::new(ANTHROPIC, model).input(1);
            record.keys = keys.iter().map(|key| (*key).to_owned()).collect();
            record
        };
        let before = call(&["m1", "r1"], "glm-4.6");
        let mut moved = call(&["m1"], "glm-4.6");
        settle(&mut moved);
        assert_eq!(moved.provider, "zai");
        assert_eq!(moved.key_ids, [EventId::from_key(ANTHROPIC, "m1")]);
        for [a, b] in [[&before, &moved], [&moved, &before]] {
            let mut joined = before.clone();
            SightingNames::of(a, b).unwrap().agree(&mut joined);
            assert_eq!(joined.provider, "zai");
            let mut ids = ["m1", "r1"].map(|key| EventId::from_key(ANTHROPIC, key));
            ids.sort_unstable();
            assert_eq!(joined.key_ids, ids);
        }
        assert!(SightingNames::of(&before, &before).is_none());
    }
}
