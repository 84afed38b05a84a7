//! What the provider and people say about quota windows.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, NUMBERS_ALONE, account_names, because};
#[cfg(feature = "import")]
use super::scrub;
use super::shredded::SHREDDED;
use super::{AccountRef, NameKind, Percent, Subject, WindowKind};
use crate::model::provider::ProviderId;
#[cfg(feature = "import")]
use crate::model::secrets;
use crate::model::time::Timestamp;

/// The provider's own statement about a quota window.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaObserved}, usage::Basis};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let seen = QuotaObserved::new(ProviderId::new("anthropic")?, 300, "statusline").used("42".parse()?);
/// let seen = seen.resets_at(now.plus(2 * usage_ledger::time::HOUR));
/// ledger.append([NewEvent::new(seen, now)], now)?;
/// let session = ledger.provider("anthropic", now)?.session;
/// assert_eq!((session.percent, session.basis), (Some("42".parse()?), Basis::Observed));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuotaObserved {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Length of the window in minutes: 300 is the session window, 10080 the weekly one. The slot in which a feed
    /// reports a window does not matter.
    pub window_minutes: u32,
    /// The subject of the window if it does not cover the whole account: a model, a kind of request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How much of it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<Percent>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The provider's own status: allowed, rejected …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The feed that reported it: statusline, headers, rollout …
    pub feed: String,
}

impl QuotaObserved {
    /// An observation of a window of the whole account, by a feed. It states no usage yet.
    pub fn new(provider: ProviderId, window_minutes: u32, feed: impl Into<String>) -> Self {
        Self {
            provider,
            account: None,
            window_minutes,
            scope: None,
            used_percent: None,
            resets_at: None,
            status: None,
            feed: feed.into(),
        }
    }

    /// For this account of the provider.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// For a window that counts a part of the usage only, such as one model.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// With the used part of the window.
    #[must_use]
    pub fn used(mut self, percent: Percent) -> Self {
        self.used_percent = Some(percent);
        self
    }

    /// With the time of the reset.
    #[must_use]
    pub fn resets_at(mut self, resets_at: impl Into<Timestamp>) -> Self {
        self.resets_at = Some(resets_at.into());
        self
    }

    /// With the provider's status of the window.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = Some(status.into());
        self
    }

    fn account_ref(&self) -> AccountRef<'_> {
        AccountRef::new(self.provider.as_str(), self.account.as_deref())
    }
}

impl EventData for QuotaObserved {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Account(self.account_ref()))
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        account_names(&self.account_ref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Err(NUMBERS_ALONE)
    }

    fn summary(&self) -> String {
        format!(
            "{} {} min window{}{}{} ({})",
            self.account_ref(),
            self.window_minutes,
            self.scope.as_ref().map(|scope| format!(" of {scope}")).unwrap_or_default(),
            self.used_percent.map(|used| format!(" {used} % used")).unwrap_or_default(),
            self.resets_at.map(|at| format!(", resets at {at}")).unwrap_or_default(),
            self.feed
        )
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::optional(&mut self.account, secrets::name);
        scrub::optional(&mut self.scope, secrets::text);
        scrub::optional(&mut self.status, secrets::short);
        scrub::apply(&mut self.feed, secrets::text);
    }
}

/// The provider refused for lack of quota.
///
/// ```
/// use usage_ledger::{ProviderId, event::{Payload, QuotaExhausted}};
/// let refused = QuotaExhausted::new(ProviderId::new("anthropic")?, "http-429", "usage limit reached");
/// assert_eq!(Payload::from(refused).kind(), "quota_exhausted");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuotaExhausted {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The model or model family that the provider refused, such as `opus`. Without it the provider refused every
    /// model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When the quota is available again, if the provider stated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// Id of the rule that recognised it.
    pub rule: String,
    /// The text that the rule recognised.
    pub excerpt: String,
}

impl QuotaExhausted {
    /// A refusal of a provider, recognised by a rule in an excerpt.
    pub fn new(provider: ProviderId, rule: impl Into<String>, excerpt: impl Into<String>) -> Self {
        let (rule, excerpt) = (rule.into(), excerpt.into());
        Self { provider, account: None, model: None, resets_at: None, rule, excerpt }
    }

    /// For this account of the provider.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// For one model alone.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// With the time of the reset.
    #[must_use]
    pub fn resets_at(mut self, resets_at: impl Into<Timestamp>) -> Self {
        self.resets_at = Some(resets_at.into());
        self
    }

    fn account_ref(&self) -> AccountRef<'_> {
        AccountRef::new(self.provider.as_str(), self.account.as_deref())
    }
}

impl EventData for QuotaExhausted {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Account(self.account_ref()))
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        account_names(&self.account_ref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { excerpt: String::new(), ..self.clone() })
    }

    fn summary(&self) -> String {
        format!(
            "{}{}{} ({})",
            self.account_ref(),
            self.model.as_ref().map(|model| format!(" {model}")).unwrap_or_default(),
            self.resets_at.map(|at| format!(" until {at}")).unwrap_or_default(),
            self.rule
        )
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::optional(&mut self.account, secrets::name);
        scrub::optional(&mut self.model, secrets::model);
        scrub::apply(&mut self.excerpt, secrets::text);
    }
}

/// A person's statement of how much of a window is used.
///
/// ```
/// use usage_ledger::{ProviderId, event::{Payload, UsageOverridden, WindowKind}};
/// let provider = ProviderId::new("anthropic")?;
/// let word = UsageOverridden::new(provider, WindowKind::Session, "12.5".parse()?, "me", "read from the dashboard");
/// assert_eq!(Payload::from(word).kind(), "usage_overridden");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageOverridden {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The window.
    pub window: WindowKind,
    /// How much of it is used; 0 is a reset.
    pub used_percent: Percent,
    /// When the window ends, if known. Without it a session window opens at the override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The person.
    pub author: String,
    /// The reason.
    pub reason: String,
}

impl UsageOverridden {
    /// A statement by an author that a part of the current window is used.
    pub fn new(
        provider: ProviderId,
        window: WindowKind,
        used_percent: Percent,
        author: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (author, reason) = (author.into(), reason.into());
        Self { provider, account: None, window, used_percent, resets_at: None, author, reason }
    }

    /// For this account of the provider.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// With the time of the reset.
    #[must_use]
    pub fn resets_at(mut self, resets_at: impl Into<Timestamp>) -> Self {
        self.resets_at = Some(resets_at.into());
        self
    }

    fn account_ref(&self) -> AccountRef<'_> {
        AccountRef::new(self.provider.as_str(), self.account.as_deref())
    }
}

impl EventData for UsageOverridden {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Account(self.account_ref()))
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        account_names(&self.account_ref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { author: SHREDDED.to_owned(), reason: String::new(), ..self.clone() })
    }

    fn summary(&self) -> String {
        format!(
            "{} {} window is at {} %, stated by {}{}",
            self.account_ref(),
            self.window.name(),
            self.used_percent,
            self.author,
            because(Some(&self.reason))
        )
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        scrub::apply(&mut self.author, secrets::text);
        scrub::apply(&mut self.reason, secrets::text);
    }
}
