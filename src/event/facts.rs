use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{EventId, Percent, Position, TokenRecord, Weights};
use crate::error::{Error, Result};
use crate::provider::ProviderId;
use crate::time::{DAY, HOUR, Timestamp, Zone};

/// Work moved to another provider.
///
/// ```
/// use usage_ledger::event::ProviderSwitched;
/// let marker = ProviderSwitched::to("ollama")?.because("rate limited");
/// assert_eq!((marker.from, marker.to.as_str()), (None, "ollama"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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

/// Replaces an earlier token record.
///
/// ```
/// use usage_ledger::{EventId, Ledger, TokenRecord, event::{NewEvent, TokensAmended}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(100).key("resp_1"), now)?;
/// let amend = TokensAmended {
///     target: EventId::from_key("openai", "resp_1"),
///     reason: "a typing error".to_owned(),
///     at: None,
///     replacement: TokenRecord::new("openai", "gpt-5").input(10).key("resp_1"),
/// };
/// ledger.append([NewEvent::new(amend, now.plus(1))], now.plus(1))?;
/// assert_eq!(ledger.provider("openai", now.plus(1))?.all_time.tokens.total(), 10);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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
///
/// ```
/// use usage_ledger::{EventId, Ledger, TokenRecord, event::{EventVoided, NewEvent}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(100).key("resp_1"), now)?;
/// let target = EventId::from_key("openai", "resp_1");
/// ledger.append([NewEvent::new(EventVoided { target, reason: "a test call".to_owned() }, now)], now)?;
/// assert_eq!(ledger.provider("openai", now)?.all_time.requests, 0);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventVoided {
    /// The event it withdraws.
    pub target: EventId,
    /// Why.
    pub reason: String,
}

/// What the provider itself said about a quota window.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaObserved}, usage::Basis};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
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
    /// Length of the window in minutes: 300 is the session window, 10080 the weekly one, wherever it was found.
    pub window_minutes: u32,
    /// What the window is about when it is not the account's whole use: a model, a kind of request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
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
///
/// ```
/// use usage_ledger::{ProviderId, event::{Payload, QuotaExhausted}};
/// let refused = QuotaExhausted {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
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
    /// When it can be used again, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// Id of the rule that recognised it.
    pub rule: String,
    /// The words it was recognised by.
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
    /// Why: `quota`, `timed`, `manual` … Only a quota pause, or one whose end was set with it, ends by itself.
    pub reason: String,
    /// Until when, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// More words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Work goes on.
///
/// ```
/// use usage_ledger::event::{Payload, Resumed};
/// assert_eq!(Payload::from(Resumed { reason: "the window reset".to_owned() }).kind(), "resumed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Why.
    pub reason: String,
}

/// One of the two quota windows of a provider account.
///
/// ```
/// use usage_ledger::event::WindowKind;
/// assert_eq!(serde_json::to_string(&WindowKind::Weekly).unwrap(), r#""weekly""#);
/// ```
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
    ///
    /// ```
    /// # use usage_ledger::event::WindowKind;
    /// assert_eq!(WindowKind::Session.name(), "session");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Weekly => "weekly",
        }
    }
}

/// How session windows open when the provider does not say.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::{LimitSet, SessionPolicy}};
/// let mut ledger = Ledger::in_memory()?;
/// let mut limits = LimitSet::new("openai")?;
/// limits.session_policy = Some(SessionPolicy::HourFloor { minutes: 300 });
/// ledger.set_limit(limits, "2026-11-23T19:00:00Z".parse::<usage_ledger::Timestamp>()?)?;
/// let at: usage_ledger::Timestamp = "2026-11-23T20:17:00Z".parse()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), at)?;
/// let opened = ledger.provider("openai", at)?.session.started_at.unwrap();
/// assert_eq!(opened.to_string(), "2026-11-23T20:00:00.000Z");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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
///
/// ```
/// use usage_ledger::{Zone, event::WeeklyPolicy};
/// let default = WeeklyPolicy::Calendar { weekday: 0, minute: 0, zone: Zone::UTC };
/// assert_eq!(WeeklyPolicy::default(), default); // Monday 00:00 UTC
/// ```
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
///
/// ```
/// use usage_ledger::{Ledger, event::{LimitSet, LimitSetting}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
/// let mut back = LimitSet::new("openai")?;
/// back.unset.push(LimitSetting::Session);
/// ledger.set_limit(back, now.plus(1))?;
/// assert_eq!(ledger.provider("openai", now.plus(1))?.session.limit, None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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
    ///
    /// ```
    /// # use usage_ledger::event::LimitSet;
    /// let limits = LimitSet::new("claude")?;
    /// assert_eq!((limits.provider.as_str(), limits.session), ("anthropic", None));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use usage_ledger::event::LimitSet;
    /// assert_eq!(LimitSet::new("anthropic")?.session(500_000).session, Some(500_000));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn session(mut self, tokens: u64) -> Self {
        self.session = Some(tokens);
        self
    }

    /// Sets the weekly limit, in weighted tokens.
    ///
    /// ```
    /// # use usage_ledger::event::LimitSet;
    /// assert_eq!(LimitSet::new("anthropic")?.weekly(5_000_000).weekly, Some(5_000_000));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
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
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::ProviderDeclared};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// let provider = ProviderId::new("my-gateway")?;
/// ledger.declare(ProviderDeclared { provider, account: None, metered: false }, now)?;
/// assert!(!ledger.provider("my-gateway", now)?.metered);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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
    /// Which window.
    pub window: WindowKind,
    /// How much of it is used; 0 is a reset.
    pub used_percent: Percent,
    /// When the window ends, if that is known; without it a session window opens at the override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Tokens set aside for a call in progress.
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
    /// Weighted tokens set aside.
    pub tokens: u64,
    /// When it lapses by itself.
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
    /// Why.
    pub reason: String,
}

/// An event's body was withdrawn for privacy: its position, leaf hash and numbers stay.
///
/// ```
/// use usage_ledger::{EventId, audit::Hash, event::{EventShredded, Payload}};
/// let shredded = EventShredded {
///     target: EventId::from_key("anthropic", "msg_1"),
///     position: 7.into(),
///     leaf: Hash::from_bytes([0xab; 32]).to_string(),
///     reason: "a name in a label".to_owned(),
/// };
/// assert_eq!(Payload::from(shredded).kind(), "event_shredded");
/// ```
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
