//! Pauses of all work, and their ends.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, because};
#[cfg(feature = "import")]
use super::scrub;
use super::shredded::SHREDDED;
use super::{NameKind, Subject};
#[cfg(feature = "import")]
use crate::model::secrets;
use crate::model::time::Timestamp;

/// Work stopped.
///
/// ```
/// use usage_ledger::event::{Paused, Payload};
/// let until: usage_ledger::Timestamp = "2026-11-23T22:00:00Z".parse()?;
/// let paused = Paused::new("quota").until(until);
/// assert_eq!(Payload::from(paused).kind(), "paused");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Paused {
    /// The reason: `quota`, `timed`, `manual` … Only a quota pause, or one whose end was set with it, ends by itself.
    pub reason: String,
    /// The end, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// A further remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Paused {
    /// A pause without an end, for a reason such as `manual` or `quota`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), until: None, note: None }
    }

    /// With an end.
    #[must_use]
    pub fn until(mut self, until: impl Into<Timestamp>) -> Self {
        self.until = Some(until.into());
        self
    }

    /// With a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

impl EventData for Paused {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        // These words decide how the pause ends; any other is the user's own.
        let is_rule = ["quota", "timed", "manual"].contains(&self.reason.as_str());
        let reason = if is_rule { self.reason.clone() } else { SHREDDED.to_owned() };
        Ok(Self { reason, until: self.until, note: None })
    }

    fn summary(&self) -> String {
        let until = self.until.map(|at| format!(" until {at}")).unwrap_or_default();
        format!("{}{until}{}", self.reason, because(self.note.as_deref()))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::apply(&mut self.reason, secrets::text);
        scrub::optional(&mut self.note, secrets::text);
    }
}

/// Work continues.
///
/// ```
/// use usage_ledger::event::{Payload, Resumed};
/// let resumed = Resumed::new("the window reset");
/// assert_eq!(Payload::from(resumed).kind(), "resumed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resumed {
    /// The reason.
    pub reason: String,
    /// The reason of the pauses that it ends; without it, it ends all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

impl Resumed {
    /// Ends every pause, for a reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), only: None }
    }
}

impl EventData for Resumed {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { reason: String::new(), ..self.clone() })
    }

    fn summary(&self) -> String {
        self.reason.clone()
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::apply(&mut self.reason, secrets::text);
        scrub::optional(&mut self.only, secrets::text);
    }
}
