//! Usage in outputs of agents.

use serde_json::{Value, json};
use usage_ledger::internals::agent::{self, Turns};
use usage_ledger::{ProviderId, TokenClass, Tokens};

use super::{alike, fields, number, text};
use crate::seed_cases_by_area::{Case, Checked, holds};

pub fn token_extraction(case: &Case) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.contains("hit rate") {
        let tokens = Tokens {
            input: number(given, "input"),
            cache_read: number(given, "cache_read"),
            cache_write: number(given, "cache_creation"),
            ..Tokens::default()
        };
        let rate = (tokens.cache_hit_rate() * 1e10).round() / 1e10;
        return Some(holds(alike(&json!(rate), expect), format!("found {rate}, wanted {expect}")));
    }
    let names = ["document", "documents", "lines", "events", "text", "output", "stdout", "event"];
    let named = names.iter().find_map(|name| given.get(*name));
    // The output may have any name other than that of the provider or a comment.
    let other = || given.as_object()?.values().find(|value| value.is_array() || value.is_object());
    let output = match named.or_else(other)? {
        Value::String(text) => text.clone(),
        Value::Array(lines) => {
            let line = |line: &Value| line.as_str().map_or_else(|| line.to_string(), str::to_owned);
            lines.iter().map(|one| line(one) + "\n").collect()
        }
        document => document.to_string(),
    };
    let turns = match text(given, "semantics") {
        Some("per_turn" | "per_call" | "sum") => Turns::Add,
        Some("cumulative" | "last") => Turns::Last,
        None if case.when.contains("sum") => Turns::Add,
        _ => Turns::Auto,
    };
    let provider = text(given, "provider").and_then(|name| ProviderId::resolve(name).ok());
    let run = match agent::extract(&output, turns, provider.as_ref()) {
        Ok(run) => run,
        Err(error) => {
            let rejected = expect.get("or").is_some() || expect.get("rejected").is_some() || expect == "error";
            return Some(holds(rejected, format!("refused: {error}")));
        }
    };
    let Some(run) = run else { return Some(holds(expect.is_null(), "nothing was found")) };
    let count = |classes: &[TokenClass]| classes.iter().map(|class| run.tokens.get(*class).unwrap_or(0)).sum::<u64>();
    let cost = run.cost.map_or(0.0, |cost| cost.to_string().parse::<f64>().unwrap());
    let actual = json!({
        "input": count(&[TokenClass::Input]),
        // The seed includes reasoning in the output.
        "output": count(&[TokenClass::Output, TokenClass::Reasoning]),
        "cache_read": count(&[TokenClass::CacheRead]),
        "cache_creation": count(&[TokenClass::CacheWrite, TokenClass::CacheWrite5m, TokenClass::CacheWrite1h]),
        "model": run.model.as_deref().unwrap_or("unknown"),
        "cost_usd": (cost * 1e6).round() / 1e6,
        "cost": (cost * 1e6).round() / 1e6,
        "or": expect.get("or"),
    });
    Some(fields(&actual, expect))
}
