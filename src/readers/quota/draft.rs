//! What is being read of a document.

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::{Observed, QuotaFormat, value};
use crate::model::error::{Error, Result};
use crate::model::event::{Percent, QuotaObserved};
use crate::model::provider::ProviderId;
use crate::model::secrets;
use crate::model::time::Timestamp;

/// Fields of a JSON object.
pub(super) type JsonObject = Map<String, Value>;

/// How a percentage of what is used is spelled.
pub(super) const USED: &[&str] = &[
    "utilization",
    "used_percentage",
    "usedPercentage",
    "used_percent",
    "usedPercent",
    "percent_used",
    "used_pct",
    "percent",
    "usage",
];
/// How an instant at which a window resets is spelled.
pub(super) const RESETS: &[&str] = &["resets_at", "reset_at", "resetsAt", "resetAt", "resets"];

/// Longest scope and status that are kept, in bytes: they are names.
const LONGEST_NAME: usize = 256;
/// Characters of a text from outside that a warning repeats.
const QUOTED: usize = 60;
/// A fraction of a window from here on is a percentage in disguise.
const NO_FRACTION: Decimal = Decimal::TEN;

/// What a document says of one window.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedWindow {
    pub minutes: u32,
    pub scope: Option<String>,
    pub used: Option<Percent>,
    pub resets_at: Option<Timestamp>,
    pub status: Option<String>,
}

/// A document while it is being read.
pub(super) struct ObservationDraft {
    pub format: QuotaFormat,
    pub at: Timestamp,
    pub observed: Observed,
    provider: ProviderId,
    feed: &'static str,
}

/// A status is a short word; anything else may be anything and is not kept.
fn word(text: &str) -> Option<String> {
    const LONGEST: usize = 40;
    let fine = |c: char| c.is_ascii_lowercase() || c == '_' || c == ' ';
    let text = text.trim().to_ascii_lowercase();
    (!text.is_empty() && text.len() <= LONGEST && text.chars().all(fine)).then_some(text)
}

impl ObservationDraft {
    pub fn new(format: QuotaFormat, at: Timestamp) -> Result<Self> {
        let provider = ProviderId::new(format.provider())?;
        Ok(Self { format, at, observed: Observed::default(), provider, feed: format.name() })
    }

    /// The same for what an agent logged.
    #[cfg(feature = "import")]
    pub fn logged(format: QuotaFormat, at: Timestamp, provider: ProviderId, feed: &'static str) -> Self {
        Self { format, at, observed: Observed::default(), provider, feed }
    }

    /// An error that says what to hand in instead.
    pub fn refuse(&self, what: &str) -> Error {
        Error::invalid(format!("the {} document {what}: give {}", self.format, self.format.wants()))
    }

    /// Reads the whole document as JSON.
    pub fn json(&self, text: &str) -> Result<Value> {
        if text.is_empty() {
            return Err(self.refuse("is empty"));
        }
        serde_json::from_str(text).map_err(|error| self.refuse(&format!("is not JSON ({error})")))
    }

    /// Reads the whole document as a JSON object.
    pub fn object(&self, text: &str) -> Result<JsonObject> {
        match self.json(text)? {
            Value::Object(fields) => Ok(fields),
            _ => Err(self.refuse("is not a JSON object")),
        }
    }

    pub fn warn(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.observed.warnings.contains(&what) {
            self.observed.warnings.push(what);
        }
    }

    /// Warns, unless something was said already, that the document says nothing.
    pub fn warn_if_silent(&mut self, what: &str) {
        if self.observed == Observed::default() {
            self.warn(what);
        }
    }

    /// Takes a window of which anything is said. The same said twice is once enough.
    pub fn see(&mut self, window: ObservedWindow) {
        if window.used.is_none() && window.resets_at.is_none() && window.status.is_none() {
            return;
        }
        let seen = QuotaObserved {
            provider: self.provider.clone(),
            account: None,
            window_minutes: window.minutes,
            scope: window.scope,
            used_percent: window.used,
            resets_at: window.resets_at,
            status: window.status.as_deref().and_then(word),
            feed: self.feed.to_owned(),
        };
        if !self.observed.observations.contains(&seen) {
            self.observed.observations.push(seen);
        }
    }

    /// The scope that a text names. Without one a window would be taken for the account's whole use, so it is left out.
    pub fn scope(&mut self, text: &str) -> Option<String> {
        let scope = name(text);
        if scope.is_none() {
            self.warn(format!("{} cannot be the name of a window: left out", quoted(text)));
        }
        scope
    }

    /// The first of the names that has a value, as a number.
    pub fn number(&mut self, of: &str, fields: &JsonObject, names: &[&str]) -> Option<Decimal> {
        let (name, value) = first(fields, names)?;
        let number = value::number(value);
        if number.is_none() {
            self.warn(format!("{}: `{name}` is not a number: left out", quoted(of)));
        }
        number
    }

    /// A number as a percentage.
    pub fn percent(&mut self, of: &str, number: Decimal) -> Option<Percent> {
        let percent = value::percent(number);
        if percent.is_none() {
            self.warn(format!("{}: {number} is too large for a percentage: left out", quoted(of)));
        } else if number.is_sign_negative() && !number.is_zero() {
            self.warn(format!("{}: {} % is below zero: taken as 0", quoted(of), number.normalize()));
        }
        percent
    }

    /// A percentage of what is used, from 0 up.
    pub fn used(&mut self, of: &str, fields: &JsonObject, names: &[&str]) -> Option<Percent> {
        let number = self.number(of, fields, names)?;
        self.percent(of, number)
    }

    /// A number as the fraction of a window that is used.
    pub fn fraction(&mut self, of: &str, number: Decimal) -> Option<Percent> {
        if number >= NO_FRACTION {
            self.warn(format!("{}: {} is not a fraction from 0 to 1: left out", quoted(of), number.normalize()));
            return None;
        }
        self.percent(of, number.checked_mul(Decimal::ONE_HUNDRED)?)
    }

    /// An instant at which a window resets. The epoch itself stands for none.
    pub fn reset(&mut self, of: &str, fields: &JsonObject, names: &[&str]) -> Option<Timestamp> {
        let (name, value) = first(fields, names)?;
        let at = value::instant(value);
        if at.is_none() {
            self.warn(format!("{}: `{name}` is not a time: left out", quoted(of)));
        }
        at.filter(|at| at.millis() != 0)
    }
}

/// The first of the names that has a value.
pub(super) fn first<'f, 'n>(fields: &'f JsonObject, names: &[&'n str]) -> Option<(&'n str, &'f Value)> {
    names.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()).map(|value| (*name, value)))
}

/// The first of the names that has a text.
pub(super) fn text<'f>(fields: &'f JsonObject, names: &[&str]) -> Option<&'f str> {
    names.iter().find_map(|name| fields.get(*name)?.as_str()).filter(|text| !text.trim().is_empty())
}

/// A text that can stand as a name.
fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let fine = !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    fine.then(|| text.to_owned())
}

/// A text from outside as a warning repeats it.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{}`", secrets::text(&shown))
}
