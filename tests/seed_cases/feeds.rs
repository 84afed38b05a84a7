//! Providers' documents about their windows, and percentages based on them.

use serde_json::{Map, Value};
use usage_ledger::event::{LimitSet, NewEvent, Percent, QuotaObserved};
use usage_ledger::internals::BudgetSettings;
use usage_ledger::internals::humanize::duration::countdown;
use usage_ledger::quota::{self, Observed, QuotaFormat};
use usage_ledger::usage::{Basis, WindowUsage};
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord};

use super::{Case, Checked, holds, unknown};

pub fn check(case: &Case) -> Checked {
    let given = &case.given;
    match (case.area.as_str(), case.when.as_str()) {
        ("oauth", _) if given.get("response").is_some() => response(case),
        ("authoritative", "configured source") => configured_source(case),
        ("authoritative", _) if given.get("now").is_some() => percentages(case),
        _ => unknown(case),
    }
}

/// Names of a setting; they are read with the other settings.
fn configured_source(case: &Case) -> Checked {
    let source = case.given.as_object().and_then(|given| given.values().next()).cloned().unwrap_or_default();
    let settings = BudgetSettings::from_json(&serde_json::json!({"usage": {"authoritative_source": source}}));
    super::same(Value::from(settings.authoritative_source), case.expect.clone())
}

fn at(seconds: &Value) -> Option<Timestamp> {
    match seconds {
        Value::String(text) => text.parse().ok(),
        #[allow(clippy::cast_possible_truncation)]
        seconds => seconds.as_f64().map(|seconds| Timestamp::from_millis((seconds * 1_000.0).round() as i64)),
    }
}

fn percent(value: &Value) -> Option<Percent> {
    if value.is_number() { value.to_string().parse().ok() } else { None }
}

/// Fails with all differences.
fn all(differences: Vec<String>) -> Checked {
    holds(differences.is_empty(), differences.join("; "))
}

/// Comments of the cases' author.
fn is_remark(key: &str) -> bool {
    matches!(key, "why" | "note" | "comment")
}

/// Splits `session_resets_at` into `session` and `resets_at`.
fn split(key: &str) -> Option<(&str, &str)> {
    ["session", "weekly"].into_iter().find_map(|window| {
        let rest = key.strip_prefix(window)?;
        if rest.is_empty() { Some((window, "")) } else { Some((window, rest.strip_prefix('_')?)) }
    })
}

/// A usage response is passed as received.
fn response(case: &Case) -> Checked {
    let response = match &case.given["response"] {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let seen = quota::observe(QuotaFormat::AnthropicOauth, &response, Timestamp::from_millis(0)).unwrap_or_default();
    let wanted = match &case.expect {
        Value::Null | Value::Bool(false) => return holds(seen.observations.is_empty(), format!("{seen:?}")),
        Value::Object(wanted) => wanted,
        _ => return unknown(case),
    };
    let mut wrong = Vec::new();
    for (key, value) in wanted.iter().filter(|(key, _)| !is_remark(key)) {
        let fits = match (key.as_str(), split(key)) {
            ("result", _) if value.is_null() => seen.observations.is_empty(),
            ("extra", _) => extra(&seen, value),
            (_, Some((window, field))) => window_matches(&seen, window, field, value),
            _ => return unknown(case),
        };
        if !fits {
            wrong.push(format!("{key} is not {value} in {seen:?}"));
        }
    }
    all(wrong)
}

/// The windows besides the two account-wide ones: their names, or their usage.
fn extra(seen: &Observed, wanted: &Value) -> bool {
    let actual: Map<String, Value> = seen
        .observations
        .iter()
        .filter_map(|one| Some((one.scope.clone()?, serde_json::to_value(one.used_percent).ok()?)))
        .collect();
    match wanted {
        Value::Array(names) => {
            let mut names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names.sort_unstable();
            actual.keys().collect::<Vec<_>>() == names
        }
        Value::Object(wanted) => {
            wanted.len() == actual.len()
                && wanted.iter().all(|(name, value)| actual.get(name).and_then(percent) == percent(value))
        }
        wanted => wanted.is_null() && actual.is_empty(),
    }
}

fn window_matches(seen: &Observed, window: &str, field: &str, wanted: &Value) -> bool {
    let minutes = if window == "session" { 300 } else { 10_080 };
    let one = seen.observations.iter().find(|one| one.window_minutes == minutes && one.scope.is_none());
    match (field, wanted) {
        // A reading that must be flagged.
        ("" | "pct" | "percent", Value::String(word)) => {
            word.contains("ambiguous") && seen.warnings.iter().any(|warning| warning.contains("ambiguous"))
        }
        // Displays clamp a window to 100 %.
        ("" | "pct" | "percent", wanted) => {
            let full = Percent::from_hundredths(10_000);
            one.and_then(|one| one.used_percent).map(|used| used.min(full)) == percent(wanted)
        }
        (field, wanted) if field.contains("reset") => one.and_then(|one| one.resets_at) == at(wanted),
        _ => false,
    }
}

/// One window of a case.
struct Window<'c> {
    name: &'static str,
    minutes: u32,
    given: &'c Value,
    /// The percentage according to the local count alone.
    heuristic: Option<u64>,
}

impl Window<'_> {
    fn field(&self, name: &str) -> &Value {
        &self.given[format!("{}_{name}", self.name)]
    }

    fn tokens(&self, name: &str) -> u64 {
        self.field(name).as_u64().unwrap_or(0)
    }

    fn limit(&self) -> u64 {
        let usual = if self.minutes == 300 { 500_000 } else { 5_000_000 };
        if self.field("token_limit").is_null() { usual } else { self.tokens("token_limit") }
    }

    /// A ledger with this window's tokens, and both windows' observations.
    fn ledger(&self, observations: &[QuotaObserved], now: Timestamp) -> usage_ledger::Result<WindowUsage> {
        let polled = at(&self.given["polled_at"]);
        let ledger = Ledger::in_memory()?;
        let mut limits = LimitSet::new("anthropic")?;
        limits = if self.minutes == 300 { limits.session(self.limit()) } else { limits.weekly(self.limit()) };
        // A limit of 0 means none.
        if self.limit() > 0 {
            ledger.set_limit(limits, Timestamp::from_millis(0))?;
        }
        let (counted, at_poll) = (self.tokens("tokens"), self.tokens("tokens_at_poll"));
        // A counter that is lower than before was reset: all of it came since.
        let since = if counted < at_poll { counted } else { counted - at_poll };
        let before = self.heuristic.map_or(at_poll, |percent| (self.limit() * percent / 100).saturating_sub(since));
        // Counted usage was in the current window: before the poll, unless it has reset since.
        let has_reset = at(self.field("resets_at")).is_some_and(|reset| reset <= now);
        let earlier = polled.filter(|_| !(has_reset && self.heuristic.is_some())).map_or(now, |polled| polled.plus(-1));
        for (when, tokens) in [(earlier, before), (now, since)] {
            if tokens > 0 {
                let record = TokenRecord::new("anthropic", "m").input(tokens);
                ledger.append([NewEvent::new(record, when)], now)?;
            }
        }
        if let Some(polled) = polled {
            ledger.append(observations.iter().map(|seen| quota::event(seen.clone(), polled)), now)?;
        }
        let usage = ledger.provider("anthropic", now)?;
        Ok(if self.minutes == 300 { usage.session } else { usage.weekly })
    }

    fn observation(&self) -> QuotaObserved {
        {
            let mut made = QuotaObserved::new(
                ProviderId::new("anthropic").expect("a known provider"),
                self.minutes,
                QuotaFormat::AnthropicOauth.name().to_owned(),
            );
            made.used_percent = percent(self.field("pct"));
            made.resets_at = at(self.field("resets_at"));
            made
        }
    }
}

/// Whether a case is about a counter that is not a number.
pub fn is_damaged(given: &Value) -> bool {
    let names = ["session", "weekly"].map(|window| [format!("{window}_tokens"), format!("{window}_tokens_at_poll")]);
    names.iter().flatten().any(|name| given.get(name).is_some_and(|count| !count.is_u64()))
}

/// Percentages with or without an observation.
///
/// A case gives the tokens of the two windows separately, so each gets a separate ledger: in one, tokens of the session
/// would also count in the week.
fn percentages(case: &Case) -> Checked {
    let given = &case.given;
    let Some(now) = at(&given["now"]) else { return unknown(case) };
    let heuristic = |index: usize| given["heuristic"].get(index).and_then(Value::as_u64);
    let windows = [
        Window { name: "session", minutes: 300, given, heuristic: heuristic(0) },
        Window { name: "weekly", minutes: 10_080, given, heuristic: heuristic(1) },
    ];
    let readings: Vec<QuotaObserved> = windows.iter().map(Window::observation).collect();
    let readings: Vec<QuotaObserved> =
        readings.into_iter().filter(|one| one.used_percent.is_some() || one.resets_at.is_some()).collect();
    let mut actual = Vec::new();
    for window in &windows {
        match window.ledger(&readings, now) {
            Ok(usage) => actual.push((window.name, usage)),
            Err(error) => return Checked::Failed(error.to_string()),
        }
    }
    let is_observed = actual.iter().any(|(_, one)| matches!(one.basis, Basis::Observed | Basis::ObservedAndDelta));
    let Value::Object(wanted) = &case.expect else {
        return if case.expect.is_null() { holds(!is_observed, format!("{actual:?}")) } else { unknown(case) };
    };
    let mut wrong = Vec::new();
    for (key, value) in wanted.iter().filter(|(key, _)| !is_remark(key)) {
        let window = split(key).and_then(|(name, field)| Some((actual.iter().find(|one| one.0 == name)?, field)));
        let fits = match (key.as_str(), window) {
            ("source", _) => is_observed == (value == "oauth_usage"),
            (_, Some(((_, usage), "" | "pct"))) => is_near(usage.percent, percent(value)),
            (_, Some(((_, usage), "reset"))) => {
                let left = usage.resets_at.map(|reset| reset.millis() - now.millis());
                countdown(left) == value.as_str().unwrap_or("unknown")
            }
            (_, Some(((_, usage), "resets_at"))) => usage.resets_at == at(value),
            _ => return unknown(case),
        };
        if !fits {
            wrong.push(format!("{key} is not {value} in {actual:?}"));
        }
    }
    all(wrong)
}

/// Equal up to rounding of the last hundredth.
fn is_near(actual: Option<Percent>, wanted: Option<Percent>) -> bool {
    match (actual, wanted) {
        (Some(actual), Some(wanted)) => actual.hundredths().abs_diff(wanted.hundredths()) <= 1,
        (actual, wanted) => actual == wanted,
    }
}
