//! Headers about the rate limits of an API: `x-ratelimit-reset-tokens: 6m0s`, `anthropic-ratelimit-unified-5h-reset: …`.
//!
//! A response states every window of an account, and one of them is the reason of the refusal. A window counts if the
//! headers state that nothing of it remains, that it refused the request, or that it represents the refusal. Of several
//! the one that resets last decides. `Retry-After` is the shortest wait.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::hint::{LONGEST_IN_DAYS, asked, at_text, of_digits, unix_time, wait};
use super::length::{self, SpanLength};
use super::{Reset, ResetReading};
use crate::model::time::{SECOND, Timestamp};
use crate::readers::quota::is_refusal;

/// Windows of usage beyond a subscription. They do not refuse what the subscription contains.
const BEYOND: [&str; 2] = ["unified-overage", "unified-fallback"];

struct Patterns {
    header: Regex,
    instant: Regex,
    unix: Regex,
    length: Regex,
    seconds: Regex,
    of_header: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| Patterns::new().ok());

impl Patterns {
    fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            header: Regex::new(
                r#"(?i)\b(?:[a-z0-9]+-)*rate-?limit-(?<name>[a-z0-9_-]{1,80})["']?\s*(?:=>|[:=])\s*\[?\s*["']?(?<value>[^"'\s,;{}\]]{1,60})"#,
            )?,
            instant: Regex::new(r"(?i)^\d{4}-\d{2}-\d{2}T[\d:.]{5,18}(?:Z|[+-]\d{2}:\d{2})$")?,
            unix: Regex::new(r"^\d{9,13}$")?,
            length: Regex::new(&format!("(?i)^{}$", length::pattern()))?,
            seconds: Regex::new(r"^\d{1,8}(?:\.\d{1,20})?$")?,
            of_header: Regex::new(r#"(?i)^\s*(?:<\s+)?["']?(?:(?:[a-z0-9]+-)*rate-?limit-|retry-after)"#)?,
        })
    }
}

/// Whether a line is a header of a response.
pub(super) fn is_header(line: &str) -> bool {
    PATTERNS.as_ref().is_some_and(|patterns| patterns.of_header.is_match(line))
}

/// What headers state about one window.
#[derive(Default)]
struct HeaderWindow<'t> {
    reset: Option<&'t str>,
    /// Whether its status refuses.
    refuses: Option<bool>,
    /// Whether it is used up.
    used_up: Option<bool>,
}

/// The headers in a text. Of equal names the last counts, which is that of the latest response.
#[derive(Default)]
pub(super) struct LimitHeaders<'t> {
    windows: BTreeMap<String, HeaderWindow<'t>>,
    /// The window that represents the refusal, as the headers of windows name it.
    claim: Option<String>,
    /// Where the headers with resets are.
    pub places: Vec<Range<usize>>,
}

impl<'t> LimitHeaders<'t> {
    pub fn read(text: &'t str) -> Self {
        let mut headers = Self::default();
        let Some(patterns) = PATTERNS.as_ref() else { return headers };
        for found in patterns.header.captures_iter(text) {
            let (Some(whole), Some(name), Some(value)) = (found.get(0), found.name("name"), found.name("value")) else {
                continue;
            };
            headers.take(&name.as_str().to_ascii_lowercase(), value.as_str(), whole.range());
        }
        headers
    }

    fn take(&mut self, name: &str, value: &'t str, place: Range<usize>) {
        if name == "unified-representative-claim" {
            self.claim = Some(value.to_ascii_lowercase().replace("five_hour", "5h").replace("seven_day", "7d"));
            return;
        }
        // The field stands behind the name of the window, or before it.
        let is_field = |field: &str| matches!(field, "reset" | "remaining" | "status" | "utilization");
        let behind = name.rsplit_once('-').filter(|(_, field)| is_field(field));
        let before = name.split_once('-').filter(|(field, _)| is_field(field)).map(|(field, window)| (window, field));
        let (window, field) = behind.or(before).unwrap_or(("", name));
        if !is_field(field) {
            return;
        }
        let window = self.windows.entry(window.to_owned()).or_default();
        match field {
            "reset" => {
                window.reset = Some(value);
                self.places.push(place);
            }
            "status" => window.refuses = Some(is_refusal(value)),
            "remaining" => window.used_up = value.parse().ok().map(|left: f64| left <= 0.0),
            _ => window.used_up = value.parse().ok().map(|used: f64| used >= 1.0),
        }
    }

    /// Whether a window is the reason of the refusal; `None` if the headers do not tell.
    fn refuses(&self, name: &str, window: &HeaderWindow<'_>) -> Option<bool> {
        let verdict = self.windows.get("unified").and_then(|unified| unified.refuses);
        let claimed = self.claim.as_deref().filter(|_| verdict != Some(false));
        if claimed.is_some_and(|claim| name == "unified" || name.strip_prefix("unified-") == Some(claim)) {
            return Some(true);
        }
        if BEYOND.iter().any(|beyond| name.starts_with(beyond)) {
            return Some(false);
        }
        window.refuses.or(window.used_up)
    }

    /// The reset of the windows that refuse, but not before the time that `Retry-After` asks for; `None` if no header has
    /// a reset.
    pub fn reset(&self, text: &str, reading: ResetReading) -> Option<Reset> {
        let now = reading.now;
        let patterns = PATTERNS.as_ref()?;
        let ahead = |reset: &Reset| reset.at.is_some_and(|at| at > now && at <= now.plus(LONGEST_IN_DAYS));
        let resets: Vec<(Option<bool>, Reset)> = self
            .windows
            .iter()
            .filter_map(|(name, window)| Some((self.refuses(name, window), stated(window.reset?, patterns, now)?)))
            .filter(|(_, reset)| ahead(reset))
            .collect();
        let last = |refuses: Option<bool>| {
            resets.iter().filter(|(known, _)| *known == refuses).map(|(_, reset)| reset).max_by_key(|reset| reset.at)
        };
        let wait = asked(text, reading).filter(|wait| wait.is_some() && !self.places.is_empty());
        let wait = wait.map(|wait| wait.reset(now));
        let refusing = last(Some(true)).or_else(|| last(None)).cloned();
        match (refusing, wait) {
            (Some(refusing), Some(wait)) => Some(if wait.at > refusing.at { wait } else { refusing }),
            (refusing, wait) => refusing.or(wait).or_else(|| last(Some(false)).cloned()),
        }
    }
}

/// The reset in the value of a header.
fn stated(value: &str, patterns: &Patterns, now: Timestamp) -> Option<Reset> {
    if patterns.unix.is_match(value) {
        return unix_time(value, now).map(|at| of_digits(value, at));
    }
    if patterns.instant.is_match(value) {
        let at: Timestamp = value.parse().ok()?;
        let text = at_text(at);
        return Some(Reset { phrase: text.clone(), display: text, at: Some(at), relative: false, unknown_zone: None });
    }
    let length = if patterns.length.is_match(value) {
        SpanLength::read(value)?
    } else if patterns.seconds.is_match(value) {
        // No header states more than a year in seconds.
        let (seconds, fraction) = value.split_once('.').unwrap_or((value, "0"));
        let more = i64::from(fraction.bytes().any(|digit| digit != b'0'));
        SpanLength { millis: seconds.parse::<i64>().ok()?.saturating_add(more).saturating_mul(SECOND), days: true }
    } else {
        return None;
    };
    (length.millis > 0).then(|| wait(length, now))
}
