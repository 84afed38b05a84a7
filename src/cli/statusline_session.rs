//! What Claude Code tells its status line about the session besides quota windows.

use serde::{Deserialize, Serialize};

use crate::model::event::Percent;
use crate::model::tokens::Usd;

/// The model, the context and the cost of a session, as far as the document states them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct SessionInput {
    /// The name of the model that people see.
    pub model: Option<String>,
    /// How much of the model's context is used.
    pub context_percent: Option<Percent>,
    /// What the agent says that the session cost.
    pub session_usd: Option<Usd>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SessionModel {
    id: Option<String>,
    display_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SessionCost {
    total_cost_usd: Option<Usd>,
}

/// The tokens of the last call. Without a cache Claude Code states no cache tokens.
#[derive(Deserialize)]
struct CurrentUsage {
    #[serde(rename = "input_tokens")]
    input: u64,
    #[serde(default, rename = "cache_creation_input_tokens")]
    cache_creation: u64,
    #[serde(default, rename = "cache_read_input_tokens")]
    cache_read: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContextWindow {
    used_percentage: Option<Percent>,
    #[serde(rename = "context_window_size")]
    size: Option<u64>,
    current_usage: Option<CurrentUsage>,
}

/// Reads one part of the document. A part of another shape stays unknown and does not affect the others.
fn part<'d, T: Deserialize<'d>>(text: &'d str, name: &str) -> Option<T> {
    let parts: std::collections::HashMap<String, &'d serde_json::value::RawValue> = serde_json::from_str(text).ok()?;
    serde_json::from_str(parts.get(name)?.get()).ok()
}

impl SessionInput {
    /// Reads the document that Claude Code sends to its `statusLine` command. Whatever it lacks stays unknown.
    pub fn read(text: &str) -> Self {
        let model = part::<SessionModel>(text, "model").and_then(|model| model.display_name.or(model.id));
        let context_percent = part::<ContextWindow>(text, "context_window").and_then(ContextWindow::percent);
        let session_usd = part::<SessionCost>(text, "cost").and_then(|cost| cost.total_cost_usd);
        Self { model: model.filter(|model| !model.trim().is_empty()), context_percent, session_usd }
    }
}

impl ContextWindow {
    /// The stated percentage, else the tokens of the last request over the size.
    fn percent(self) -> Option<Percent> {
        if self.used_percentage.is_some() {
            return self.used_percentage;
        }
        let (usage, size) = (self.current_usage?, self.size.filter(|size| *size > 0)?);
        let parts = [usage.input, usage.cache_creation, usage.cache_read];
        let used: u128 = parts.into_iter().map(u128::from).sum();
        u32::try_from(used.saturating_mul(10_000) / u128::from(size)).ok().map(Percent::from_hundredths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_context_and_cost_are_read() {
        let input = SessionInput::read(
            r#"{"model":{"id":"claude-opus-4-5","display_name":"Opus 4.5"},"cost":{"total_cost_usd":0.0123456},
                "context_window":{"used_percentage":37.5,"context_window_size":200000}}"#,
        );
        assert_eq!(input.model.as_deref(), Some("Opus 4.5"));
        assert_eq!(input.context_percent, Some("37.5".parse().unwrap()));
        assert_eq!(input.session_usd, Some("0.0123456".parse().unwrap()));
    }

    #[test]
    fn the_context_is_computed_where_no_percentage_is_stated() {
        let input = SessionInput::read(
            r#"{"context_window":{"used_percentage":null,"context_window_size":200000,"current_usage":
                {"input_tokens":1000,"output_tokens":9,"cache_creation_input_tokens":9000,"cache_read_input_tokens":40000}}}"#,
        );
        assert_eq!(input.context_percent, Some("25".parse().unwrap()));
    }

    #[test]
    fn a_part_of_unknown_shape_does_not_hide_other_parts() {
        let input = SessionInput::read(
            r#"{"model":"opus","cost":{"total_cost_usd":"much"},"context_window":{"used_percentage":5}}"#,
        );
        let context_percent = Some("5".parse().unwrap());
        assert_eq!(input, SessionInput { context_percent, ..SessionInput::default() });
        for text in ["", "null", "[]", "{", r#"{"context_window":{"context_window_size":0,"current_usage":{}}}"#] {
            assert_eq!(SessionInput::read(text), SessionInput::default(), "{text}");
        }
    }
}
