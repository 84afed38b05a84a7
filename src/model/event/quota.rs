//! Quota events: observations, refusals, overrides, pauses and reservations.

use serde::{Deserialize, Serialize};

use super::{EventId, Percent, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;

/// The provider's own statement about a quota window.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaObserved}, usage::Basis};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let seen = QuotaObserved {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
///     window_minutes: 300,
///     scope: None,
///     used_percent: Some("42".parse()?),
///     resets_at: Some("2026-11-23T22:00:00Z".parse()?),
///     status: None,
///     feed: "statusline".to_owned(),
/// };
/// ledger.append([NewEvent::new(seen, now)], now)?;
/// let session = ledger.provider("anthropic", now)?.session;
/// assert_eq!((session.percent, session.basis), (Some("42".parse()?), Basis::Observed));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The provider refused for lack of quota.
///
/// ```
/// use usage_ledger::{ProviderId, event::{Payload, QuotaExhausted}};
/// let refused = QuotaExhausted {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
///     model: None,
///     resets_at: Some("2026-11-23T22:00:00Z".parse()?),
///     rule: "http-429".to_owned(),
///     excerpt: "usage limit reached".to_owned(),
/// };
/// assert_eq!(Payload::from(refused).kind(), "quota_exhausted");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Work stopped.
///
/// ```
/// use usage_ledger::event::{Paused, Payload};
/// let until = Some("2026-11-23T22:00:00Z".parse()?);
/// let paused = Paused { reason: "quota".to_owned(), until, note: None };
/// assert_eq!(Payload::from(paused).kind(), "paused");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Work continues.
///
/// ```
/// use usage_ledger::event::{Payload, Resumed};
/// let resumed = Resumed { reason: "the window reset".to_owned(), only: Some("quota".to_owned()) };
/// assert_eq!(Payload::from(resumed).kind(), "resumed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The reason.
    pub reason: String,
    /// The reason of the pauses that it ends; without it, it ends all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// A person's statement of how much of a window is used.
///
/// ```
/// use usage_ledger::{ProviderId, event::{Payload, UsageOverridden, WindowKind}};
/// let word = UsageOverridden {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
///     window: WindowKind::Session,
///     used_percent: "12.5".parse()?,
///     resets_at: None,
///     author: "me".to_owned(),
///     reason: "read from the dashboard".to_owned(),
/// };
/// assert_eq!(Payload::from(word).kind(), "usage_overridden");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Tokens reserved for a call in progress.
///
/// ```
/// use usage_ledger::{ProviderId, event::{BudgetReserved, Payload}, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let provider = ProviderId::new("anthropic")?;
/// let reserved = BudgetReserved { provider, account: None, tokens: 20_000, expires_at: now.plus(10 * MINUTE) };
/// assert_eq!(Payload::from(reserved).kind(), "budget_reserved");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReserved {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Reserved weighted tokens.
    pub tokens: u64,
    /// When the reservation expires.
    pub expires_at: Timestamp,
}

/// A reserved call ended and was recorded.
///
/// ```
/// use usage_ledger::{EventId, event::{BudgetSettled, Payload}};
/// let reservation: EventId = "018c3f6e-0000-7000-8000-000000000000".parse()?;
/// let settled = BudgetSettled { reservation, record: Some(EventId::from_key("anthropic", "msg_1")) };
/// assert_eq!(Payload::from(settled).kind(), "budget_settled");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSettled {
    /// The reservation.
    pub reservation: EventId,
    /// The record of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<EventId>,
}

/// A reserved call did not happen.
///
/// ```
/// use usage_ledger::event::{BudgetReleased, Payload};
/// let reservation = "018c3f6e-0000-7000-8000-000000000000".parse()?;
/// let released = BudgetReleased { reservation, reason: "the call timed out".to_owned() };
/// assert_eq!(Payload::from(released).kind(), "budget_released");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReleased {
    /// The reservation.
    pub reservation: EventId,
    /// The reason.
    pub reason: String,
}
