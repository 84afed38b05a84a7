//! How often a provider used its own tools for a call.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::event::is_tool_name;

/// The name for tools whose names a record cannot contain.
const OTHER: &str = "other";

/// The uses in an object of counts such as `{"web_search_requests":3}`. Any other value has none.
pub(super) fn server_tools(stated: Option<&RawValue>) -> BTreeMap<String, u64> {
    let Some(Ok(Value::Object(stated))) = stated.map(|stated| serde_json::from_str(stated.get())) else {
        return BTreeMap::new();
    };
    let whole = |value: &Value| {
        let float = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number));
        value.as_u64().or_else(|| float.map(|number| number as u64))
    };
    let mut uses = BTreeMap::new();
    for (name, value) in &stated {
        if let Some(count) = whole(value) {
            add(&mut uses, name, count);
        }
    }
    uses
}

/// The tools that `OpenAI` runs for a model, from the items of a Responses reply. For a web search only the search
/// itself is metered, not the pages that the model opens.
pub(super) fn of_items(output: Option<&RawValue>) -> BTreeMap<String, u64> {
    const CALLS: [&str; 4] = ["web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"];
    #[derive(Deserialize)]
    struct Item {
        #[serde(rename = "type")]
        kind: Option<String>,
        action: Option<Value>,
    }
    let items: Vec<Item> = output.and_then(|output| serde_json::from_str(output.get()).ok()).unwrap_or_default();
    let mut uses = BTreeMap::new();
    for item in items {
        let kind = item.kind.unwrap_or_default();
        let action = item.action.as_ref().and_then(|action| action.get("type")?.as_str());
        if CALLS.contains(&kind.as_str()) && action.is_none_or(|action| action == "search" || kind != "web_search_call")
        {
            add(&mut uses, &kind, 1);
        }
    }
    uses
}

/// Gemini's searches. Google meters each query, and up to Gemini 2.5 each grounded reply.
pub(super) fn of_grounding(candidates: Option<&RawValue>, model: Option<&str>) -> BTreeMap<String, u64> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Candidate {
        grounding_metadata: Option<Grounding>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Grounding {
        web_search_queries: Vec<Value>,
    }
    let candidates = candidates.and_then(|list| serde_json::from_str::<Vec<Candidate>>(list.get()).ok());
    let grounded = candidates.into_iter().flatten().filter_map(|candidate| candidate.grounding_metadata);
    let queries = grounded.map(|grounding| grounding.web_search_queries.len() as u64).sum::<u64>();
    let by_answer = model.is_some_and(|model| model.contains("gemini-2") || model.contains("gemini-1"));
    let mut uses = BTreeMap::new();
    add(&mut uses, "web_search", if by_answer { queries.min(1) } else { queries });
    uses
}

/// A search in Chat Completions: the search models make one for each reply, and others show it by the citations.
pub(super) fn of_citations(choices: Option<&RawValue>, model: Option<&str>) -> BTreeMap<String, u64> {
    let is_search_model = model.is_some_and(|model| model.contains("-search-preview") || model.contains("-search-api"));
    let names_citation = choices.is_some_and(|choices| choices.get().contains("\"url_citation\""));
    let cited = || {
        let choices: Vec<Value> = choices.and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default();
        let of = |choice: &Value| {
            let message = choice.get("message").or_else(|| choice.get("delta"))?;
            Some(
                message
                    .get("annotations")?
                    .as_array()?
                    .iter()
                    .any(|note| note.get("type").and_then(Value::as_str) == Some("url_citation")),
            )
        };
        choices.iter().any(|choice| of(choice) == Some(true))
    };
    let mut uses = BTreeMap::new();
    add(&mut uses, "web_search", u64::from(is_search_model || (names_citation && cited())));
    uses
}

/// Adds uses of a tool under its common name: `web_search_requests` and `web_search_call` become `web_search`.
pub(super) fn add(uses: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    let name = ["_requests", "_calls", "_call"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let name = if is_tool_name(name) { name } else { OTHER };
    if count > 0 {
        let sum = uses.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_uses_are_read_per_tool_and_other_values_ignored() {
        let of = |json: &str| server_tools(Some(serde_json::from_str(json).unwrap()));
        let expected = [("other", 4), ("web_fetch", 1), ("web_search", 3)];
        let expected: BTreeMap<_, _> = expected.into_iter().map(|(name, uses)| (name.to_owned(), uses)).collect();
        let json = r#"{"web_search_requests":3.0,"web_fetch_requests":1,"code_execution_requests":0,"Ä=1,":4,
            "x_requests":-1,"tokens":{"y":2},"z":null}"#;
        assert_eq!(of(json), expected);
        assert!(of("null").is_empty() && of("7").is_empty() && server_tools(None).is_empty());
    }
}
