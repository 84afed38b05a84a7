//! The state while a document is parsed.

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

/// Field names of a used percentage.
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
/// Field names of the reset time of a window.
pub(super) const RESETS: &[&str] = &["resets_at", "reset_at", "resetsAt", "resetAt", "resets"];

/// Maximal length of a stored scope and status, in bytes: they are names.
const LONGEST_NAME: usize = 256;
/// Characters of a foreign text that a warning repeats.
const QUOTED: usize = 60;
/// From this value on a fraction of a window must be a percentage.
const NO_FRACTION: Decimal = Decimal::TEN;

/// The statement of a document about one window.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedWindow {
    pub minutes: u32,
    pub scope: Option<String>,
    pub used: Option<Percent>,
    pub resets_at: Option<Timestamp>,
    pub status: Option<String>,
}

/// A document while it is parsed.
pub(super) struct ObservationDraft {
    pub format: QuotaFormat,
    pub at: Timestamp,
    pub observed: Observed,
    provider: ProviderId,
    feed: &'static str,
}

/// A status is a short word. Any other text could be private and is dropped.
fn status_word(text: &str) -> Option<String> {
    const LONGEST: usize = 40;
    // In lower case it could no longer be recognised as a credential.
    if secrets::text(text) != text {
        return None;
    }
    let fine = |c: char| c.is_ascii_lowercase() || c == '_' || c == ' ';
    let text = text.trim().to_ascii_lowercase();
    (!text.is_empty() && text.len() <= LONGEST && text.chars().all(fine)).then_some(text)
}

impl ObservationDraft {
    pub fn new(format: QuotaFormat, at: Timestamp) -> Result<Self> {
        let provider = ProviderId::new(format.provider())?;
        Ok(Self { format, at, observed: Observed::default(), provider, feed: format.name() })
    }

    /// The same for an agent's log.
    #[cfg(feature = "import")]
    pub fn logged(format: QuotaFormat, at: Timestamp, provider: ProviderId, feed: &'static str) -> Self {
        Self { format, at, observed: Observed::default(), provider, feed }
    }

    /// An error that states which document is expected.
    pub fn refuse(&self, what: &str) -> Error {
        Error::invalid(format!("the {} document {what}: give {}", self.format, self.format.wants()))
    }

    /// Parses the whole document as JSON.
    pub fn json(&self, text: &str) -> Result<Value> {
        if text.is_empty() {
            return Err(self.refuse("is empty"));
        }
        serde_json::from_str(text).map_err(|error| self.refuse(&format!("is not JSON ({error})")))
    }

    /// Parses the whole document as a JSON object.
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

    /// Warns that the document contains nothing, unless there is another warning.
    pub fn warn_if_silent(&mut self, what: &str) {
        if self.observed == Observed::default() {
            self.warn(what);
        }
    }

    /// Adds a window with any statement. A repeated statement counts once.
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
            status: window.status.as_deref().and_then(status_word),
            feed: self.feed.to_owned(),
        };
        if !self.observed.observations.contains(&seen) {
            self.observed.observations.push(seen);
        }
    }

    /// The scope that a text names. A window with an unusable scope is dropped, because without a scope it would count
    /// for the whole account.
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

    /// A number as the used fraction of a window.
    pub fn fraction(&mut self, of: &str, number: Decimal) -> Option<Percent> {
        if number >= NO_FRACTION {
            self.warn(format!("{}: {} is not a fraction from 0 to 1: left out", quoted(of), number.normalize()));
            return None;
        }
        self.percent(of, number.checked_mul(Decimal::ONE_HUNDRED)?)
    }

    /// The reset time of a window. The epoch itself means that there is none.
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

/// A text that can be a name, without credentials.
fn name(text: &str) -> Option<String> {
    let text = secrets::text(text.trim());
    let fine = !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    fine.then(|| text.into_owned())
}

/// A foreign text in the form that a warning repeats.
pub(super) fn quoted(text: &str) -> String {
    // A cut could take away what a credential is known by.
    let text = secrets::text(text);
    let mut shown: String = text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
