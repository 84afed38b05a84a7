//! Provider switches, amendments and voids.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, because};
#[cfg(feature = "import")]
use super::scrub;
use super::{EventId, NameKind, Raw, Subject, TokenRecord};
use crate::model::error::Result;
use crate::model::provider::ProviderId;
#[cfg(feature = "import")]
use crate::model::secrets;
use crate::model::time::Timestamp;

/// Work moved to another provider.
///
/// ```
/// use usage_ledger::event::ProviderSwitched;
/// let marker = ProviderSwitched::to("ollama")?.because("rate limited");
/// assert_eq!((marker.from, marker.to.as_str()), (None, "ollama"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderSwitched {
    /// The provider used before, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ProviderId>,
    /// The provider used from now on.
    pub to: ProviderId,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ProviderSwitched {
    /// A switch to a provider from the active one.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) when the id is malformed.
    ///
    /// ```
    /// # use usage_ledger::event::ProviderSwitched;
    /// assert_eq!(ProviderSwitched::to("claude")?.to.as_str(), "anthropic"); // an alias
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn to(provider: &str) -> Result<Self> {
        Ok(Self { from: None, to: ProviderId::resolve(provider)?, reason: None })
    }

    /// Adds the reason.
    ///
    /// ```
    /// # use usage_ledger::event::ProviderSwitched;
    /// let marker = ProviderSwitched::to("ollama")?.because("rate limited");
    /// assert_eq!(marker.reason.as_deref(), Some("rate limited"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        self.reason = (!reason.is_empty()).then_some(reason);
        self
    }
}

impl EventData for ProviderSwitched {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        visit(NameKind::Provider, self.to.as_str());
        if let Some(from) = &self.from {
            visit(NameKind::Provider, from.as_str());
        }
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { reason: None, ..self.clone() })
    }

    fn summary(&self) -> String {
        let from = self.from.as_ref().map(|from| format!("{from} -> ")).unwrap_or_default();
        format!("{from}{}{}", self.to, because(self.reason.as_deref()))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::optional(&mut self.reason, secrets::text);
    }
}

/// Replaces an earlier token record.
///
/// ```
/// use usage_ledger::{EventId, Ledger, TokenRecord, event::{NewEvent, TokensAmended}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(100).key("resp_1"), now)?;
/// let replacement = TokenRecord::new("openai", "gpt-5").input(10).key("resp_1");
/// let amend = TokensAmended::new(EventId::from_key("openai", "resp_1"), "a typing error", replacement);
/// ledger.append([NewEvent::new(amend, now.plus(1))], now.plus(1))?;
/// assert_eq!(ledger.provider("openai", now.plus(1))?.all_time.tokens.total(), 10);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokensAmended {
    /// The event that it replaces.
    pub target: EventId,
    /// The reason.
    pub reason: String,
    /// The corrected time of the call, if it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The whole corrected record.
    pub replacement: TokenRecord,
}

impl TokensAmended {
    /// Replaces a record by another one, for a reason.
    pub fn new(target: EventId, reason: impl Into<String>, replacement: TokenRecord) -> Self {
        Self { target, reason: reason.into(), at: None, replacement }
    }

    /// With another time of the call.
    #[must_use]
    pub fn at(mut self, at: impl Into<Timestamp>) -> Self {
        self.at = Some(at.into());
        self
    }
}

impl EventData for TokensAmended {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        // If the amendment does not state when the call was, its record does, and that may come later.
        match self.at {
            Some(at) => self.replacement.subject(at),
            None => self.replacement.counted_at.map(|_| Subject::Ledger),
        }
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        self.replacement.names(visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { reason: String::new(), replacement: self.replacement.redacted()?, ..self.clone() })
    }

    fn summary(&self) -> String {
        format!("{} is {}{}", self.target, self.replacement.summary(), because(Some(&self.reason)))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        self.replacement.scrub();
        scrub::apply(&mut self.reason, secrets::text);
    }

    fn validate(&self) -> Result<()> {
        self.replacement.validate()
    }

    fn raw_mut(&mut self) -> Option<&mut Raw> {
        self.replacement.raw_mut()
    }

    fn corrects(&self) -> Option<EventId> {
        Some(self.target)
    }
}

/// Withdraws an earlier event of any kind.
///
/// ```
/// use usage_ledger::{EventId, Ledger, TokenRecord, event::{EventVoided, NewEvent}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(100).key("resp_1"), now)?;
/// let target = EventId::from_key("openai", "resp_1");
/// ledger.append([NewEvent::new(EventVoided::new(target, "a test call"), now)], now)?;
/// assert_eq!(ledger.provider("openai", now)?.all_time.requests, 0);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventVoided {
    /// The event that it withdraws.
    pub target: EventId,
    /// The reason.
    pub reason: String,
}

impl EventVoided {
    /// Withdraws an event, for a reason.
    pub fn new(target: EventId, reason: impl Into<String>) -> Self {
        Self { target, reason: reason.into() }
    }
}

impl EventData for EventVoided {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        None
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { reason: String::new(), ..self.clone() })
    }

    fn summary(&self) -> String {
        format!("{}{}", self.target, because(Some(&self.reason)))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::apply(&mut self.reason, secrets::text);
    }

    fn corrects(&self) -> Option<EventId> {
        Some(self.target)
    }
}
