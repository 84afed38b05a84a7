//! Alerts: what to watch for, that it happened, and who was notified.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, NUMBERS_ALONE};
use super::{EventId, NameKind, Percent, Subject};
use crate::model::error::{Error, Result};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;

/// What an alert watches.
///
/// ```
/// use usage_ledger::event::AlertCondition;
/// assert_eq!(AlertCondition::ALL.map(AlertCondition::name)[1], "weekly");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertCondition {
    /// The use of a session window, in percent.
    Session,
    /// The use of a weekly window, in percent.
    Weekly,
    /// What the calls of a day cost.
    UsdDay,
    /// What the calls of a week cost.
    UsdWeek,
    /// What the calls of a calendar month cost.
    UsdMonth,
    /// A window that is forecast to be used up before it resets.
    Forecast,
}

impl AlertCondition {
    /// Every condition.
    pub const ALL: [Self; 6] =
        [Self::Session, Self::Weekly, Self::UsdDay, Self::UsdWeek, Self::UsdMonth, Self::Forecast];

    /// The name in the event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Weekly => "weekly",
            Self::UsdDay => "usd_day",
            Self::UsdWeek => "usd_week",
            Self::UsdMonth => "usd_month",
            Self::Forecast => "forecast",
        }
    }
}

/// What to watch for. What an event leaves out stays as it was.
///
/// ```
/// use usage_ledger::{Ledger, event::{AlertSet, NewEvent}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.append([NewEvent::new(AlertSet::new().weekly(80), now)], now)?;
/// assert_eq!(ledger.event(1)?.payload.kind(), "alert_set");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AlertSet {
    /// Only this provider; without one, every provider, and for money all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// Only this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// From this use of a session window on, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u8>,
    /// From this use of a weekly window on, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u8>,
    /// From this cost of a day on, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_day: Option<Usd>,
    /// From this cost of a week on, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_week: Option<Usd>,
    /// From this cost of a calendar month on, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_month: Option<Usd>,
    /// The zone of days; UTC without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_zone: Option<Zone>,
    /// Whether to alert when a window is forecast to be used up before it resets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forecast: bool,
    /// Conditions that are watched no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<AlertCondition>,
}

impl AlertSet {
    /// Watches nothing yet.
    ///
    /// ```
    /// # use usage_ledger::event::AlertSet;
    /// assert_eq!(AlertSet::new().weekly, None);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Alerts from this use of a weekly window on, in percent.
    ///
    /// ```
    /// # use usage_ledger::event::AlertSet;
    /// assert_eq!(AlertSet::new().weekly(80).weekly, Some(80));
    /// ```
    pub const fn weekly(mut self, percent: u8) -> Self {
        self.weekly = Some(percent);
        self
    }
}

impl EventData for AlertSet {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        optional_names(self.provider.as_ref(), self.account.as_deref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Err(NUMBERS_ALONE)
    }

    fn summary(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.session.map(|percent| format!("session from {percent} %")));
        parts.extend(self.weekly.map(|percent| format!("weekly from {percent} %")));
        for (period, usd) in [("day", self.usd_day), ("week", self.usd_week), ("month", self.usd_month)] {
            parts.extend(usd.map(|usd| format!("${usd} a {period}")));
        }
        if self.forecast {
            parts.push("forecast".to_owned());
        }
        parts.extend(self.unset.iter().map(|condition| format!("unset {}", condition.name())));
        format!("{}; {}", parts.join(", "), account_or_all(self.provider.as_ref(), self.account.as_deref()))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}

    fn validate(&self) -> Result<()> {
        if [self.session, self.weekly].into_iter().flatten().any(|percent| !(1..=100).contains(&percent)) {
            return Err(Error::invalid("an alert begins at a percentage used from 1 to 100"));
        }
        let money = [self.usd_day, self.usd_week, self.usd_month];
        if money.into_iter().flatten().any(|usd| usd <= Usd::default()) {
            return Err(Error::invalid("an alert of costs begins above 0 US dollars"));
        }
        if self.account.is_some() && self.provider.is_none() {
            return Err(Error::invalid("an account is of a provider: name it too"));
        }
        let nothing = Self { provider: self.provider.clone(), account: self.account.clone(), ..Self::default() };
        if (Self { usd_zone: None, ..self.clone() }) == nothing {
            return Err(Error::invalid("nothing to watch: give a percentage, an amount of US dollars, or forecast"));
        }
        Ok(())
    }
}

/// A condition was met for the first time in its window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AlertFired {
    /// The event that set the rule.
    pub rule: EventId,
    /// The watched condition.
    pub condition: AlertCondition,
    /// The window of a forecast: `session` or `weekly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<super::WindowKind>,
    /// The provider; `None` for all providers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// Of which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How much of the window was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// From which use on the rule alerts, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_percent: Option<u8>,
    /// What the calls cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Usd>,
    /// From which cost on the rule alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_usd: Option<Usd>,
    /// When the window is used up at its rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_up_at: Option<Timestamp>,
    /// When the window or the calendar period began.
    pub started_at: Timestamp,
    /// When it ends.
    pub resets_at: Timestamp,
}

impl AlertFired {
    #[cfg(feature = "cli")]
    pub(crate) const fn new(
        rule: EventId,
        condition: AlertCondition,
        (started_at, resets_at): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            rule,
            condition,
            window: None,
            provider: None,
            account: None,
            percent: None,
            limit_percent: None,
            usd: None,
            limit_usd: None,
            used_up_at: None,
            started_at,
            resets_at,
        }
    }

    /// Whether another firing is of the same condition.
    #[cfg(feature = "cli")]
    pub(crate) fn is_of_same_condition(&self, other: &Self) -> bool {
        let of = |one: &Self| {
            (one.condition, one.window, one.provider.clone(), one.account.clone(), one.limit_percent, one.limit_usd)
        };
        of(self) == of(other)
    }
}

impl EventData for AlertFired {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        optional_names(self.provider.as_ref(), self.account.as_deref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Err(NUMBERS_ALONE)
    }

    fn summary(&self) -> String {
        let mut parts = vec![self.condition.name().to_owned()];
        parts.extend(self.window.map(|window| format!("of the {} window", window.name())));
        parts.extend(self.percent.map(|percent| format!("at {percent} %")));
        parts.extend(self.limit_percent.map(|percent| format!("(alert at {percent} %)")));
        parts.extend(self.usd.map(|usd| format!("at ${usd}")));
        parts.extend(self.limit_usd.map(|usd| format!("(alert at ${usd})")));
        parts.extend(self.used_up_at.map(|at| format!("used up at {at}")));
        let account = account_or_all(self.provider.as_ref(), self.account.as_deref());
        format!("{account}: {}, resets at {}", parts.join(" "), self.resets_at)
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}

/// How an alert reaches people.
///
/// ```
/// use usage_ledger::event::AlertTarget;
/// assert_eq!(AlertTarget::Webhook.name(), "webhook");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertTarget {
    /// A command that gets JSON on its standard input.
    Command,
    /// A notification of the desktop.
    Desktop,
    /// An HTTP address that JSON is sent to.
    Webhook,
}

impl AlertTarget {
    /// The name in the event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Desktop => "desktop",
            Self::Webhook => "webhook",
        }
    }
}

/// How far an attempt to deliver an alert came.
///
/// ```
/// use usage_ledger::event::DeliveryState;
/// assert_eq!(serde_json::to_string(&DeliveryState::Sending).unwrap(), r#""sending""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// The attempt began. Without a later event about it the alert may have arrived, so it is not sent again.
    Sending,
    /// The alert arrived.
    Delivered,
    /// The alert did not arrive.
    Failed,
}

/// An attempt to deliver an alert.
///
/// ```
/// use usage_ledger::{EventId, event::{AlertDelivery, AlertTarget, DeliveryState}};
/// let alert = EventId::from_key("alert", "1");
/// let first = AlertDelivery::new(alert, AlertTarget::Command, 1, DeliveryState::Sending);
/// assert_eq!((first.attempt, first.why), (1, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AlertDelivery {
    /// The event `alert_fired`.
    pub alert: EventId,
    /// How it is delivered.
    pub target: AlertTarget,
    /// The number of the attempt, from 1 on.
    pub attempt: u32,
    /// How far it came.
    pub state: DeliveryState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl AlertDelivery {
    /// An attempt.
    ///
    /// ```
    /// # use usage_ledger::{EventId, event::{AlertDelivery, AlertTarget, DeliveryState}};
    /// let alert = EventId::from_key("alert", "1");
    /// assert_eq!(AlertDelivery::new(alert, AlertTarget::Desktop, 2, DeliveryState::Failed).attempt, 2);
    /// ```
    pub const fn new(alert: EventId, target: AlertTarget, attempt: u32, state: DeliveryState) -> Self {
        Self { alert, target, attempt, state, why: None }
    }

    /// The id of the word on an attempt, which one process alone can append.
    #[cfg(feature = "cli")]
    pub(crate) fn id(&self) -> EventId {
        let begins = if self.state == DeliveryState::Sending { "begins" } else { "ends" };
        EventId::from_key(
            "usage-ledger alert",
            &format!("{} {} {} {begins}", self.alert, self.target.name(), self.attempt),
        )
    }
}

impl EventData for AlertDelivery {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Err(NUMBERS_ALONE)
    }

    fn summary(&self) -> String {
        let state = match self.state {
            DeliveryState::Sending => "sending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
        };
        let why = self.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{} of {}, attempt {}: {state}{why}", self.target.name(), self.alert, self.attempt)
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}

/// Visits the names of an alert, which may be about all providers.
fn optional_names(provider: Option<&ProviderId>, account: Option<&str>, visit: &mut dyn FnMut(NameKind, &str)) {
    if let Some(provider) = provider {
        visit(NameKind::Provider, provider.as_str());
    }
    if let Some(account) = account {
        visit(NameKind::Account, account);
    }
}

/// `anthropic (work)`, or `all providers`.
fn account_or_all(provider: Option<&ProviderId>, account: Option<&str>) -> String {
    let provider = provider.map_or("all providers", ProviderId::as_str);
    let account = account.map(|account| format!(" ({account})")).unwrap_or_default();
    format!("{provider}{account}")
}
