use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{EventId, Percent, Position, TokenRecord, Weights};
use crate::error::{Error, Result};
use crate::provider::ProviderId;
use crate::time::{DAY, HOUR, Timestamp, Zone};

/// Work moved to another provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSwitched {
    /// The provider worked with before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ProviderId>,
    /// The provider worked with from now on.
    pub to: ProviderId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ProviderSwitched {
    /// A switch to a provider, from whichever is active.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] when the id is malformed.
    pub fn to(provider: &str) -> Result<Self> {
        Ok(Self { from: None, to: ProviderId::resolve(provider)?, reason: None })
    }

    /// Adds the reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        self.reason = (!reason.is_empty()).then_some(reason);
        self
    }
}

/// Replaces an earlier token record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokensAmended {
    /// The event it replaces.
    pub target: EventId,
    /// Why.
    pub reason: String,
    /// When the call really happened, if that changes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The whole record as it ought to be.
    pub replacement: TokenRecord,
}

/// Withdraws an earlier event of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventVoided {
    /// The event it withdraws.
    pub target: EventId,
    /// Why.
    pub reason: String,
}

/// What the provider itself said about a quota window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaObserved {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Length of the window in minutes: 300 is the session window, 10080 the weekly one, wherever it was found.
    pub window_minutes: u32,
    /// How much of it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<Percent>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The provider's own word: allowed, rejected …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Where it was seen: statusline, headers, rollout …
    pub feed: String,
}

/// The provider refused for lack of quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaExhausted {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When it can be used again, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// Id of the rule that recognised it.
    pub rule: String,
    /// The words it was recognised by.
    pub excerpt: String,
}

/// Work stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Why; only `quota` may end by itself.
    pub reason: String,
    /// Until when, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Work goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Why.
    pub reason: String,
}

/// One of the two quota windows of a provider account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// The short window, five hours unless the policy says otherwise.
    Session,
    /// The week.
    Weekly,
}

impl WindowKind {
    /// `session` or `weekly`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Weekly => "weekly",
        }
    }
}

/// How session windows open when the provider does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "opens", rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionPolicy {
    /// At the first use, and holds through start + length.
    FirstUse {
        /// Length in minutes.
        minutes: u32,
    },
    /// At the full UTC hour of the first use.
    HourFloor {
        /// Length in minutes.
        minutes: u32,
    },
    /// At each multiple of its length since the Unix epoch.
    Epoch {
        /// Length in minutes.
        minutes: u32,
    },
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self::FirstUse { minutes: 300 }
    }
}

impl SessionPolicy {
    /// Length of the window in milliseconds.
    pub(crate) fn length(self) -> i64 {
        let (Self::FirstUse { minutes } | Self::HourFloor { minutes } | Self::Epoch { minutes }) = self;
        i64::from(minutes) * crate::time::MINUTE
    }
}

/// How weekly windows open when the provider does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "opens", rename_all = "snake_case", deny_unknown_fields)]
pub enum WeeklyPolicy {
    /// At a weekday and time of a zone.
    Calendar {
        /// 0 is Monday, 6 Sunday.
        weekday: u8,
        /// Minutes after local midnight.
        minute: u16,
        /// The zone.
        zone: Zone,
    },
    /// At the first use, and holds through start + 7 days.
    FirstUse,
}

impl Default for WeeklyPolicy {
    fn default() -> Self {
        Self::Calendar { weekday: 0, minute: 0, zone: Zone::UTC }
    }
}

/// A setting of a limit event that can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSetting {
    /// The session limit.
    Session,
    /// The weekly limit.
    Weekly,
    /// The class weights.
    Weights,
    /// The session window policy.
    SessionPolicy,
    /// The weekly window policy.
    WeeklyPolicy,
}

/// Limits, weights and window policies of a provider account. What an event leaves out stays as it was.
///
/// ```
/// use usage_ledger::event::LimitSet;
/// let limits = LimitSet::new("anthropic")?.session(500_000).weekly(5_000_000);
/// assert_eq!(limits.session, Some(500_000));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSet {
    /// The provider.
    pub provider: ProviderId,
    /// The account; without one it holds for all accounts that have no limit of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Weighted tokens in a session window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// Weighted tokens in a weekly window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u64>,
    /// What each class counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// How session windows open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_policy: Option<SessionPolicy>,
    /// How weekly windows open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_policy: Option<WeeklyPolicy>,
    /// Settings that go back to their default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<LimitSetting>,
}

impl LimitSet {
    /// No setting yet, for a provider.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] when the id is malformed.
    pub fn new(provider: &str) -> Result<Self> {
        Ok(Self {
            provider: ProviderId::resolve(provider)?,
            account: None,
            session: None,
            weekly: None,
            weights: None,
            session_policy: None,
            weekly_policy: None,
            unset: Vec::new(),
        })
    }

    /// Sets the session limit, in weighted tokens.
    pub const fn session(mut self, tokens: u64) -> Self {
        self.session = Some(tokens);
        self
    }

    /// Sets the weekly limit, in weighted tokens.
    pub const fn weekly(mut self, tokens: u64) -> Self {
        self.weekly = Some(tokens);
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.session == Some(0) || self.weekly == Some(0) {
            return Err(Error::invalid(
                "a limit must be at least 1 token: declare a provider without a quota unmetered instead \
                 (`provider declare NAME --unmetered`)",
            ));
        }
        if let Some(policy) = self.session_policy
            && !(15 * crate::time::MINUTE..=7 * DAY).contains(&policy.length())
        {
            return Err(Error::invalid("a session window lasts from 15 minutes to 7 days"));
        }
        if let Some(WeeklyPolicy::Calendar { weekday, minute, .. }) = self.weekly_policy
            && (weekday > 6 || i64::from(minute) >= 24 * HOUR / crate::time::MINUTE)
        {
            return Err(Error::invalid("a weekly window opens on weekday 0 (Monday) to 6 at minute 0 to 1439"));
        }
        if self.weights.is_some_and(|w| crate::tokens::TokenClass::ALL.iter().any(|c| w.get(*c) < Decimal::ZERO)) {
            return Err(Error::invalid("a class weight cannot be negative"));
        }
        let empty = self.session.is_none()
            && self.weekly.is_none()
            && self.weights.is_none()
            && self.session_policy.is_none()
            && self.weekly_policy.is_none()
            && self.unset.is_empty();
        if empty {
            return Err(Error::invalid("nothing to set: give a session or weekly limit, weights or a window policy"));
        }
        Ok(())
    }
}

/// Whether a provider has an API quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderDeclared {
    /// The provider.
    pub provider: ProviderId,
    /// The account; without one it holds for all accounts not declared themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether it has a quota. Unmetered providers are never gated.
    pub metered: bool,
}

/// A person's word on how much of a window is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageOverridden {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Which window.
    pub window: WindowKind,
    /// How much of it is used; 0 is a reset.
    pub used_percent: Percent,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Tokens set aside for a call in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReserved {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Weighted tokens set aside.
    pub tokens: u64,
    /// When it lapses by itself.
    pub expires_at: Timestamp,
}

/// A reserved call ended and was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSettled {
    /// The reservation.
    pub reservation: EventId,
    /// The record of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<EventId>,
}

/// A reserved call did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReleased {
    /// The reservation.
    pub reservation: EventId,
    /// Why.
    pub reason: String,
}

/// An event's body was withdrawn for privacy: its position, leaf hash and numbers stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventShredded {
    /// The event.
    pub target: EventId,
    /// Where it is.
    pub position: Position,
    /// Its RFC 6962 leaf hash in hex.
    pub leaf: String,
    /// Why.
    pub reason: String,
}
