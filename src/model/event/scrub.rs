//! Removes credentials and long texts from foreign input before it becomes an event.

use std::borrow::Cow;

#[cfg(feature = "import")]
use serde_json::Value;

use super::Raw;
use crate::model::secrets;

/// Replaces a text where a rule changes it.
#[cfg(feature = "import")]
pub(crate) fn apply(text: &mut String, rule: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(replaced) = rule(text) {
        *text = replaced;
    }
}

/// Replaces a text where a rule changes it, if there is a text.
#[cfg(feature = "import")]
pub(super) fn optional(text: &mut Option<String>, rule: impl Fn(&str) -> Cow<'_, str>) {
    if let Some(text) = text {
        apply(text, rule);
    }
}

impl Raw {
    /// Removes credentials and long texts from a usage object.
    pub(super) fn scrub(&mut self) {
        if let Cow::Owned(replaced) = secrets::json(self.get()) {
            *self = Self::stored(replaced);
        }
    }
}

/// Removes credentials from every text and name of a JSON value.
#[cfg(feature = "import")]
pub(super) fn value(json: &mut Value) {
    match json {
        Value::String(text) => apply(text, secrets::name),
        Value::Array(all) => all.iter_mut().for_each(value),
        Value::Object(fields) => {
            if fields.keys().any(|name| matches!(secrets::name(name), Cow::Owned(_))) {
                let named = std::mem::take(fields).into_iter();
                *fields = named.map(|(name, field)| (secrets::id(&name).into_owned(), field)).collect();
            }
            fields.values_mut().for_each(value);
        }
        _ => {}
    }
}
