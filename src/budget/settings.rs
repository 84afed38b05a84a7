//! Parses the budget settings of agents leniently, with a warning for each invalid value.

use serde_json::Value;

use super::effective_mode::effective_mode;
use crate::model::error::Result;
use crate::model::event::{BudgetMode, LimitSet, Thresholds};

/// An agent's settings for quota and budget. Invalid values keep their default and cause a warning.
///
/// It supports the sections of the seed system: `usage` with `budget_mode`, `unlimited_quota` (formerly at the top
/// level), `session_token_limit`, `weekly_token_limit`, `authoritative_source`, `authoritative_max_staleness_seconds`,
/// and `budget` with `warn_at_percent`, `stop_at_percent`; `preflight_cache_minutes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetSettings {
    /// The budget mode as written, even if it is invalid.
    pub budget_mode: Option<String>,
    /// Whether the quota is declared unlimited.
    pub unlimited: bool,
    /// The limit of a session window, in tokens.
    pub session_limit: Option<u64>,
    /// The limit of a week, in tokens.
    pub weekly_limit: Option<u64>,
    /// The thresholds; percentages outside 0 to 100 are clamped.
    pub thresholds: Thresholds,
    /// The trusted source of readings: `auto`, `oauth_usage` or `off`.
    pub authoritative_source: String,
    /// How long its readings are fresh, in seconds.
    pub stale_after_seconds: Option<u32>,
    /// How long a successful probe is valid, in minutes; 0 disables this.
    pub preflight_minutes: u32,
    /// Warnings about invalid values.
    pub warnings: Vec<String>,
}

/// The default validity of a successful probe, in minutes.
const PREFLIGHT_MINUTES: u32 = 10;

/// The value of a field; `null` if it is missing.
fn at<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// A number, possibly written as a string.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_end_matches('%').trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

impl BudgetSettings {
    /// Parses settings. It never fails.
    pub fn from_json(settings: &Value) -> Self {
        let mut parsed = Self { preflight_minutes: PREFLIGHT_MINUTES, ..Self::default() };
        let usage = &parsed.section(settings, "usage");
        let budget = &parsed.section(settings, "budget");
        parsed.mode(at(usage, "budget_mode"));
        parsed.unlimited =
            parsed.flag("unlimited_quota", at(usage, "unlimited_quota"), at(settings, "unlimited_quota"));
        parsed.session_limit = parsed.count("usage.session_token_limit", at(usage, "session_token_limit"));
        parsed.weekly_limit = parsed.count("usage.weekly_token_limit", at(usage, "weekly_token_limit"));
        parsed.rungs(at(budget, "warn_at_percent"), at(budget, "stop_at_percent"));
        parsed.source(at(usage, "authoritative_source"));
        let stale = at(usage, "authoritative_max_staleness_seconds");
        if !stale.is_null() {
            let seconds = number(stale).map_or(900.0, |seconds| seconds.clamp(1.0, f64::from(u32::MAX)));
            parsed.stale_after_seconds = Some(seconds as u32);
        }
        let minutes = at(settings, "preflight_cache_minutes");
        if !minutes.is_null() {
            match number(minutes) {
                Some(minutes) => parsed.preflight_minutes = minutes.clamp(0.0, f64::from(u32::MAX)) as u32,
                None => parsed.warn(format!("`preflight_cache_minutes` is {minutes}: {PREFLIGHT_MINUTES} is used")),
            }
        }
        parsed
    }

    fn warn(&mut self, what: String) {
        tracing::warn!("{what}");
        self.warnings.push(what);
    }

    fn section(&mut self, settings: &Value, name: &str) -> Value {
        match at(settings, name) {
            section @ Value::Object(_) => section.clone(),
            Value::Null => Value::Null,
            other => {
                self.warn(format!("`{name}` is no mapping but {other}: its defaults are used"));
                Value::Null
            }
        }
    }

    fn mode(&mut self, value: &Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.trim().parse::<BudgetMode>().is_err() {
            self.warn(format!("`{text}` is no budget mode: write full, session_only or disabled"));
        }
        self.budget_mode = Some(text.trim().to_owned());
    }

    /// A boolean. Of strings only `true` and `false` count, so that "false" is not true.
    fn flag(&mut self, name: &str, nested: &Value, legacy: &Value) -> bool {
        let value = if nested.is_null() { legacy } else { nested };
        match value {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::String(text) if text.eq_ignore_ascii_case("true") => true,
            Value::String(text) if text.eq_ignore_ascii_case("false") => false,
            other => {
                self.warn(format!("`{name}` is {other}: write true or false; it counts as false"));
                false
            }
        }
    }

    fn count(&mut self, name: &str, value: &Value) -> Option<u64> {
        if value.is_null() {
            return None;
        }
        match number(value) {
            Some(tokens) if (1.0..=9e15).contains(&tokens) => Some(tokens as u64),
            _ => {
                self.warn(format!("`{name}` is {value}: a limit is at least 1 token, so none is set"));
                None
            }
        }
    }

    fn rungs(&mut self, warn: &Value, stop: &Value) {
        let Thresholds { warn: default_warn, stop: default_stop, margin, implement } = Thresholds::default();
        let read = |value: &Value, default: u8| match value {
            Value::Null => Some(default),
            value => number(value).map(|percent| percent.clamp(0.0, 100.0) as u8),
        };
        match (read(warn, default_warn), read(stop, default_stop)) {
            (Some(warn), Some(stop)) => self.thresholds = Thresholds { warn, stop, margin, implement },
            _ => self.warn(format!("warn at {warn}, stop at {stop} are no percentages: both defaults are used")),
        }
        if let Err(error) = Thresholds::new(self.thresholds.warn, self.thresholds.stop, margin) {
            self.warn(error.to_string());
        }
    }

    fn source(&mut self, value: &Value) {
        let text = value.as_str().map(|text| text.trim().to_ascii_lowercase());
        let known = text.filter(|text| ["auto", "oauth_usage", "off"].contains(&text.as_str()));
        if known.is_none() && !value.is_null() {
            self.warn(format!("`usage.authoritative_source` is {value}: auto is used"));
        }
        self.authoritative_source = known.unwrap_or_else(|| "auto".to_owned());
    }

    /// The effective budget mode of a provider, and warnings.
    pub fn effective_mode(&self, metered: bool) -> (BudgetMode, Vec<String>) {
        effective_mode(self.budget_mode.as_deref(), self.unlimited, metered)
    }

    /// The settings as an event for a provider.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id.
    pub fn limit_set(&self, provider: &str) -> Result<LimitSet> {
        let mut limit = LimitSet::new(provider)?;
        limit.session = self.session_limit;
        limit.weekly = self.weekly_limit;
        limit.budget_mode = Some(self.effective_mode(true).0);
        limit.thresholds = Some(self.thresholds);
        limit.stale_after_seconds = self.stale_after_seconds;
        limit.feeds = match self.authoritative_source.as_str() {
            "off" => Some("none".to_owned()),
            "oauth_usage" => Some("anthropic-oauth".to_owned()),
            _ => None,
        };
        Ok(limit)
    }
}
