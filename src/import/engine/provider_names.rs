//! Maps an agent's name of a provider to the id of the provider.

use crate::model::provider::ProviderId;
use crate::model::secrets;

/// The provider of a call whose log does not name it.
pub(in crate::import) const UNKNOWN: &str = "unknown";

/// Returns the provider id for an agent's name. `None` if the name has no letter and no digit.
///
/// People choose names for their own providers, so characters that an id cannot contain become `-`. The model decides
/// for programs that serve both local models and those of a paid service. A name with a credential becomes `redacted`.
pub(in crate::import) fn provider_id(name: &str, model: Option<&str>) -> Option<String> {
    let name = name.trim();
    if !name.contains(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let id: String = lower_case(name).chars().map(allowed).take(ProviderId::MAX_LEN).collect();
    ProviderId::resolve(&id).ok().map(|id| id.serving(model.unwrap_or_default()).to_string())
}

/// A provider's name in lower case. In lower case, and without its marks, a credential could no longer be recognised.
pub(in crate::import) fn lower_case(name: &str) -> String {
    if secrets::name(name) == name { name.to_lowercase() } else { "redacted".to_owned() }
}

/// As [`provider_id`], with a fallback if the name is absent or cannot be an id.
pub(in crate::import) fn provider(name: Option<&str>, model: Option<&str>, fallback: &str) -> String {
    name.and_then(|name| provider_id(name, model)).unwrap_or_else(|| fallback.to_owned())
}

/// Returns the provider whose name precedes that of a model, as in `openai/gpt-5`, if it is a known one.
///
/// `named` is the name with the provider, `model` the model that served the call.
pub(in crate::import) fn before_model(named: Option<&str>, model: Option<&str>) -> Option<String> {
    let (provider, _) = named?.split_once('/')?;
    provider_id(provider, model).filter(|id| ProviderId::new(id).is_ok_and(|id| id.known().is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_provider_becomes_an_id() {
        for (name, id) in [
            ("openai", Some("openai")),
            ("azure", Some("azure-openai")),
            ("Gemini", Some("google")),
            ("My Provider (é)", Some("my-provider----")),
            ("my gateway", Some("my-gateway")),
            ("team/gateway", Some("team-gateway")),
            ("mock", Some("mock")),
            ("https://me:Hunter2xY9@gw.example/v1", Some("redacted")),
            ("AKIAIOSFODNN7EXAMPLE", Some("redacted")),
            ("gateway password=hunter2", Some("redacted")),
            (" ", None),
            ("使用", None),
        ] {
            assert_eq!(provider_id(name, None).as_deref(), id, "{name}");
        }
        assert_eq!(provider_id(&"x".repeat(100), None).map(|id| id.len()), Some(ProviderId::MAX_LEN));
    }

    #[test]
    fn the_model_distinguishes_a_local_server_from_its_paid_service() {
        assert_eq!(provider_id("ollama", Some("qwen3:cloud")).as_deref(), Some("ollama-cloud"));
        assert_eq!(provider_id("ollama", Some("qwen3:8b")).as_deref(), Some("ollama"));
    }

    #[test]
    fn an_invalid_provider_name_gives_the_fallback() {
        assert_eq!(provider(Some("使用"), None, "cline"), "cline");
        assert_eq!(provider(None, Some("m"), "cline"), "cline");
        assert_eq!(provider(Some("Gemini"), None, "cline"), "google");
    }

    #[test]
    fn only_a_known_provider_precedes_a_model() {
        assert_eq!(before_model(Some("gemini/gemini-3-pro"), None).as_deref(), Some("google"));
        assert_eq!(before_model(Some("my-team/model"), None), None);
        assert_eq!(before_model(Some("gpt-5"), None), None);
        assert_eq!(before_model(None, Some("gpt-5")), None);
    }
}
