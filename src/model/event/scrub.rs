//! Removes credentials and long texts from foreign input before it becomes an event.

use std::borrow::Cow;

#[cfg(feature = "import")]
use serde_json::Value;

#[cfg(feature = "import")]
use super::{ImportedFile, SkippedLine, TokenRecord};
use super::{Payload, Raw};
use crate::model::secrets;

/// Replaces a text where a rule changes it.
#[cfg(feature = "import")]
pub(crate) fn apply(text: &mut String, rule: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(replaced) = rule(text) {
        *text = replaced;
    }
}

#[cfg(feature = "import")]
fn apply_to(text: &mut Option<String>, rule: impl Fn(&str) -> Cow<'_, str>) {
    if let Some(text) = text {
        apply(text, rule);
    }
}

impl Raw {
    /// Removes credentials and long texts from a usage object.
    fn scrub(&mut self) {
        if let Cow::Owned(replaced) = secrets::json(self.get()) {
            *self = Self::stored(replaced);
        }
    }
}

impl Payload {
    /// Removes credentials and long texts from usage objects of any source.
    pub(crate) fn scrub_usage(&mut self) {
        let raw = match self {
            Self::TokensRecorded(record) => &mut record.raw,
            Self::TokensAmended(amend) => &mut amend.replacement.raw,
            _ => return,
        };
        if let Some(raw) = raw {
            raw.scrub();
        }
    }

    /// Removes credentials from every text of logs and telemetry.
    #[cfg(feature = "import")]
    pub(crate) fn scrub(&mut self) {
        match self {
            Self::TokensRecorded(record) => record.scrub(),
            Self::TokensAmended(amend) => {
                amend.replacement.scrub();
                apply(&mut amend.reason, secrets::text);
            }
            Self::EventVoided(void) => apply(&mut void.reason, secrets::text),
            Self::ProviderSwitched(switch) => apply_to(&mut switch.reason, secrets::text),
            Self::QuotaObserved(observed) => {
                apply_to(&mut observed.account, secrets::name);
                apply_to(&mut observed.scope, secrets::text);
                apply_to(&mut observed.status, secrets::short);
                apply(&mut observed.feed, secrets::text);
            }
            Self::QuotaExhausted(exhausted) => {
                apply_to(&mut exhausted.account, secrets::name);
                apply_to(&mut exhausted.model, secrets::text);
                apply(&mut exhausted.excerpt, secrets::text);
            }
            Self::Paused(paused) => {
                apply(&mut paused.reason, secrets::text);
                apply_to(&mut paused.note, secrets::text);
            }
            Self::Resumed(resumed) => {
                apply(&mut resumed.reason, secrets::text);
                apply_to(&mut resumed.only, secrets::text);
            }
            Self::UsageOverridden(overridden) => {
                apply(&mut overridden.author, secrets::text);
                apply(&mut overridden.reason, secrets::text);
            }
            _ => {}
        }
    }
}

#[cfg(feature = "import")]
impl TokenRecord {
    /// Removes credentials from the names and texts of a record from a log or telemetry. The append treats the usage
    /// object.
    pub(crate) fn scrub(&mut self) {
        if let Cow::Owned(replaced) = secrets::name(&self.provider) {
            // A provider id cannot contain the brackets of the usual replacement.
            self.provider = if replaced == *self.provider { replaced.into() } else { "redacted".into() };
        }
        apply_to(&mut self.account, secrets::name);
        apply_to(&mut self.model, secrets::text);
        apply_to(&mut self.agent, secrets::text);
        apply_to(&mut self.conversation, secrets::id);
        apply_to(&mut self.project, secrets::name);
        apply_to(&mut self.residual, secrets::short);
        for key in &mut self.keys {
            apply(key, secrets::id);
        }
        let is_kept = |name: &str, value: &str| {
            matches!((secrets::text(name), secrets::text(value)), (Cow::Borrowed(_), Cow::Borrowed(_)))
        };
        if !self.labels.iter().all(|(name, value)| is_kept(name, value)) {
            let labels = std::mem::take(&mut self.labels).into_iter();
            self.labels = labels
                .map(|(name, value)| (secrets::text(&name).into_owned(), secrets::text(&value).into_owned()))
                .collect();
        }
    }
}

#[cfg(feature = "import")]
impl ImportedFile {
    /// Removes credentials from the names in a log, and from the state of its importer.
    pub(crate) fn scrub(&mut self) {
        apply(&mut self.path, secrets::path);
        apply_to(&mut self.conversation, secrets::id);
        if let Some(resume) = &mut self.resume {
            scrub_value(resume);
        }
    }
}

#[cfg(feature = "import")]
fn scrub_value(value: &mut Value) {
    match value {
        Value::String(text) => apply(text, secrets::name),
        Value::Array(all) => all.iter_mut().for_each(scrub_value),
        Value::Object(fields) => {
            if fields.keys().any(|name| matches!(secrets::name(name), Cow::Owned(_))) {
                let named = std::mem::take(fields).into_iter();
                *fields = named.map(|(name, value)| (secrets::id(&name).into_owned(), value)).collect();
            }
            fields.values_mut().for_each(scrub_value);
        }
        _ => {}
    }
}

#[cfg(feature = "import")]
impl SkippedLine {
    /// Removes credentials and long texts from the reason.
    pub(crate) fn scrub(&mut self) {
        apply(&mut self.file, secrets::path);
        apply(&mut self.why, secrets::short);
    }
}
