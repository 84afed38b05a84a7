//! Reads the usage of each model in a run with several models.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shape::cost;
use crate::model::error::{Error, Result};
use crate::model::secrets;
use crate::model::tokens::{MAX_COUNT, TokenClass, Tokens, Usd};
use crate::readers::normalise::server_tools;

/// The usage of one model in a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelRun {
    /// The model.
    pub model: String,
    /// Its counts, each token in one class.
    pub tokens: Tokens,
    /// How often the provider used each of its own tools for it.
    pub server_tools: BTreeMap<String, u64>,
    /// The cost that the agent stated.
    pub cost: Option<Usd>,
    /// What did not add up.
    pub residual: Option<String>,
}

/// Reads the usage per model from the last result in an agent's output, in descending order of cost. Empty unless the
/// result states several models; [`extract`](super::extract) then reads the run as a whole.
///
/// # Errors
/// [`Error::Invalid`] for an invalid count.
pub fn extract_models(output: &str) -> Result<Vec<ModelRun>> {
    let documents = super::documents(output);
    let stated = |document: &&Map<String, Value>| document.get("modelUsage").is_some_and(Value::is_object);
    let Some(document) = documents.iter().filter_map(Value::as_object).rfind(stated) else { return Ok(Vec::new()) };
    let models = document.get("modelUsage").and_then(Value::as_object);
    let mut runs = Vec::new();
    for (model, usage) in models.into_iter().flatten() {
        let run = read(model, usage)?;
        if run.tokens.total()? > 0 {
            runs.push(run);
        }
    }
    let counted = |run: &ModelRun| run.tokens.input.is_some() && run.tokens.output.is_some();
    if runs.len() < 2 || !runs.iter().all(counted) {
        return Ok(Vec::new());
    }
    // A stable sort keeps the order of equal costs.
    runs.sort_by_key(|run| std::cmp::Reverse(run.cost.unwrap_or_default()));
    let sum = runs.iter().filter_map(|run| run.cost).try_fold(Usd::default(), Usd::checked_add)?;
    let total = document.get("total_cost_usd").and_then(cost);
    if let Some(total) = total.filter(|total| apart(*total, sum))
        && let Some(first) = runs.first_mut()
    {
        first.residual = Some(format!("the run cost {total} but its models' costs sum to {sum}"));
    }
    Ok(runs)
}

/// Whether two amounts differ by more than the agent's rounding.
fn apart(a: Usd, b: Usd) -> bool {
    const LEAST: i128 = 1_000_000; // a millionth of a dollar
    a.picos().abs_diff(b.picos()) > LEAST.unsigned_abs()
}

fn read(model: &str, usage: &Value) -> Result<ModelRun> {
    let mut run = ModelRun {
        model: model.to_owned(),
        tokens: Tokens::default(),
        server_tools: BTreeMap::new(),
        cost: usage.get("costUSD").and_then(cost),
        residual: None,
    };
    for (name, class) in [
        ("inputTokens", TokenClass::Input),
        ("cacheReadInputTokens", TokenClass::CacheRead),
        ("cacheCreationInputTokens", TokenClass::CacheWrite),
        ("outputTokens", TokenClass::Output),
    ] {
        run.tokens.set(class, count(usage, name)?);
    }
    if let Some(searches) = count(usage, "webSearchRequests")? {
        server_tools::add(&mut run.server_tools, "web_search", searches);
    }
    Ok(run)
}

fn count(usage: &Value, name: &str) -> Result<Option<u64>> {
    let Some(value) = usage.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let float = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0 && *number <= MAX_COUNT as f64);
    let whole = value.as_u64().or_else(|| float.map(|number| number as u64));
    let shown = || secrets::json(&value.to_string()).chars().take(40).collect::<String>();
    whole.map(Some).ok_or_else(|| {
        Error::invalid(format!("`{name}` is {}: a token count is a whole number from 0 to {MAX_COUNT}", shown()))
    })
}
