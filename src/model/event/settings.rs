//! Settings of a provider account. They are events, so an old percentage stays explainable.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::event_data::{EventData, NUMBERS_ALONE, account_names};
use super::shredded::SHREDDED;
use super::{AccountRef, BudgetMode, NameKind, SessionPolicy, Subject, Thresholds, WeeklyPolicy, Weights};
use crate::model::error::{Error, Result};
use crate::model::humanize::number::grouped;
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, HOUR, Timestamp, Zone};
use crate::model::tokens::Usd;

/// A setting of a limit event that can be unset.
///
/// ```
/// use usage_ledger::{Ledger, event::{LimitSet, LimitSetting}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
/// let mut back = LimitSet::new("openai")?;
/// back.unset.push(LimitSetting::Session);
/// ledger.set_limit(back, now.plus(1))?;
/// assert_eq!(ledger.provider("openai", now.plus(1))?.session.limit, None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
    /// Which windows gate.
    BudgetMode,
    /// The thresholds and the margin.
    Thresholds,
    /// How long an observation is fresh.
    StaleAfter,
    /// Which feeds count.
    Feeds,
    /// The money limit of a day.
    UsdDay,
    /// The money limit of a week.
    UsdWeek,
    /// The money limit of a month.
    UsdMonth,
}

impl LimitSetting {
    /// Whether it is a money limit, which a project can have too.
    pub(crate) const fn is_money(self) -> bool {
        matches!(self, Self::UsdDay | Self::UsdWeek | Self::UsdMonth)
    }
}

impl LimitSetting {
    /// The name of the setting as people write it, such as `session-policy`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Weekly => "weekly",
            Self::Weights => "weights",
            Self::SessionPolicy => "session-policy",
            Self::WeeklyPolicy => "weekly-policy",
            Self::BudgetMode => "budget-mode",
            Self::Thresholds => "thresholds",
            Self::StaleAfter => "stale-after",
            Self::Feeds => "feeds",
            Self::UsdDay => "usd-day",
            Self::UsdWeek => "usd-week",
            Self::UsdMonth => "usd-month",
        }
    }
}

/// Limits, weights and window policies of a provider account. An omitted setting does not change.
///
/// ```
/// use usage_ledger::event::LimitSet;
/// let limits = LimitSet::new("anthropic")?.session(500_000).weekly(5_000_000);
/// assert_eq!(limits.session, Some(500_000));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitSet {
    /// The provider.
    pub provider: ProviderId,
    /// The account. Without it the event applies to all accounts without a limit event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Weighted tokens in a session window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// Weighted tokens in a weekly window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u64>,
    /// The weight of each class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// How session windows open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_policy: Option<SessionPolicy>,
    /// How weekly windows open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_policy: Option<WeeklyPolicy>,
    /// Which windows gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_mode: Option<BudgetMode>,
    /// The thresholds of the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// How long an observation is fresh, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after_seconds: Option<u32>,
    /// Which feeds count: `any`, `none`, or the name of one feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feeds: Option<String>,
    /// The project that the money limits are of. An event with a project sets nothing but money limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Maximal cost of the calls of a day, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_day: Option<Usd>,
    /// Maximal cost of the calls of a week, which begins on Monday, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_week: Option<Usd>,
    /// Maximal cost of the calls of a calendar month, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_month: Option<Usd>,
    /// The zone of the days of money limits; UTC without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_zone: Option<Zone>,
    /// Settings that return to their default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<LimitSetting>,
}

impl LimitSet {
    /// An event without settings for a provider.
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
            budget_mode: None,
            thresholds: None,
            stale_after_seconds: None,
            feeds: None,
            project: None,
            usd_day: None,
            usd_week: None,
            usd_month: None,
            usd_zone: None,
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

    /// Sets the most that the calls of a day may cost.
    ///
    /// ```
    /// # use usage_ledger::event::LimitSet;
    /// assert_eq!(LimitSet::new("anthropic")?.usd_day("20".parse()?).usd_day, Some("20".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn usd_day(mut self, usd: Usd) -> Self {
        self.usd_day = Some(usd);
        self
    }

    /// Sets the most that the calls of a calendar month may cost.
    ///
    /// ```
    /// # use usage_ledger::event::LimitSet;
    /// assert_eq!(LimitSet::new("anthropic")?.usd_month("400".parse()?).usd_month, Some("400".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn usd_month(mut self, usd: Usd) -> Self {
        self.usd_month = Some(usd);
        self
    }

    /// Names the project that the money limits are of.
    ///
    /// ```
    /// # use usage_ledger::event::LimitSet;
    /// assert_eq!(LimitSet::new("anthropic")?.project("acme").project.as_deref(), Some("acme"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Checks the money limits, and what may stand beside them.
    fn validate_money(&self) -> Result<()> {
        let limits = [self.usd_day, self.usd_week, self.usd_month];
        if limits.iter().flatten().any(|usd| *usd <= Usd::default()) {
            return Err(Error::invalid("a money limit must be above 0 US dollars; --unset removes one"));
        }
        if self.usd_zone.is_some() && limits.iter().all(Option::is_none) {
            return Err(Error::invalid(
                "a zone of money limits needs a money limit: give usd_day, usd_week or usd_month",
            ));
        }
        let Some(project) = &self.project else { return Ok(()) };
        if project.is_empty() {
            return Err(Error::invalid("the project of a money limit has no name"));
        }
        let money = Self {
            account: self.account.clone(),
            project: self.project.clone(),
            usd_day: self.usd_day,
            usd_week: self.usd_week,
            usd_month: self.usd_month,
            usd_zone: self.usd_zone,
            unset: self.unset.clone(),
            ..Self::new(self.provider.as_str())?
        };
        if *self != money || self.unset.iter().any(|setting| !setting.is_money()) {
            return Err(Error::invalid(
                "a project has money limits alone: set limits of tokens, weights and policies without a project",
            ));
        }
        Ok(())
    }

    fn account_ref(&self) -> AccountRef<'_> {
        AccountRef::new(self.provider.as_str(), self.account.as_deref())
    }
}

impl EventData for LimitSet {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Account(self.account_ref()))
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        account_names(&self.account_ref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        // Without its project the limit holds for none.
        let Some(_) = &self.project else { return Err(NUMBERS_ALONE) };
        Ok(Self { project: Some(SHREDDED.to_owned()), ..self.clone() })
    }

    fn summary(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.session.map(|tokens| format!("session {}", grouped(tokens))));
        parts.extend(self.weekly.map(|tokens| format!("weekly {}", grouped(tokens))));
        parts.extend(self.weights.map(|_| "weights".to_owned()));
        parts.extend(self.session_policy.map(|policy| policy.to_string()));
        parts.extend(self.weekly_policy.map(|policy| policy.to_string()));
        parts.extend(self.budget_mode.map(|mode| format!("budget mode {}", mode.name())));
        parts.extend(
            self.thresholds.map(|at| format!("warn {} %, stop {} %, margin {} %", at.warn, at.stop, at.margin)),
        );
        parts.extend(self.stale_after_seconds.map(|seconds| format!("observations fresh for {seconds} s")));
        parts.extend(self.feeds.as_ref().map(|feeds| format!("feeds {feeds}")));
        for (period, usd) in [("day", self.usd_day), ("week", self.usd_week), ("month", self.usd_month)] {
            parts.extend(usd.map(|usd| format!("${usd} a {period}")));
        }
        parts.extend(self.usd_zone.map(|zone| format!("days of {zone}")));
        parts.extend(self.unset.iter().map(|setting| format!("unset {}", setting.name())));
        let project = self.project.as_ref().map(|project| format!(", project {project}")).unwrap_or_default();
        format!("{}{project}: {}", self.account_ref(), parts.join(", "))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}

    fn validate(&self) -> Result<()> {
        self.validate_money()?;
        if self.session == Some(0) || self.weekly == Some(0) {
            return Err(Error::invalid(
                "a limit must be at least 1 token: declare a provider without a quota unmetered instead \
                 (`provider declare NAME --unmetered`)",
            ));
        }
        if let Some(policy) = self.session_policy
            && !(15 * crate::model::time::MINUTE..=7 * DAY).contains(&policy.length())
        {
            return Err(Error::invalid("a session window lasts from 15 minutes to 7 days"));
        }
        if let Some(WeeklyPolicy::Calendar { weekday, minute, .. }) = self.weekly_policy
            && (weekday > 6 || i64::from(minute) >= 24 * HOUR / crate::model::time::MINUTE)
        {
            return Err(Error::invalid("a weekly window opens on weekday 0 (Monday) to 6 at minute 0 to 1439"));
        }
        if self.weights.is_some_and(|w| crate::model::tokens::TokenClass::ALL.iter().any(|c| w.get(*c) < Decimal::ZERO))
        {
            return Err(Error::invalid("a class weight cannot be negative"));
        }
        if let Some(at) = self.thresholds {
            let mut checked = Thresholds::new(at.warn, at.stop, at.margin)?;
            if let Some(percent) = at.implement {
                checked = checked.implement_from(percent)?;
            }
            if checked.margin > checked.stop || checked.stop == 0 {
                return Err(Error::invalid(format!(
                    "stop at {} % with a margin of {} % would let nothing run: wait would begin at 0 % used",
                    at.stop, at.margin,
                )));
            }
        }
        if self.stale_after_seconds == Some(0) {
            return Err(Error::invalid("an observation is fresh for at least 1 second"));
        }
        let nothing =
            Self { account: self.account.clone(), project: self.project.clone(), ..Self::new(self.provider.as_str())? };
        if *self == nothing {
            return Err(Error::invalid(
                "nothing to set: give a limit, weights, a window policy, a budget mode, thresholds or feeds",
            ));
        }
        Ok(())
    }
}

/// Whether a provider has an API quota.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::ProviderDeclared};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let provider = ProviderId::new("my-gateway")?;
/// ledger.declare(ProviderDeclared::new(provider, false), now)?;
/// assert!(!ledger.provider("my-gateway", now)?.metered);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderDeclared {
    /// The provider.
    pub provider: ProviderId,
    /// The account. Without it the event applies to all accounts without a declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether it has a quota. Unmetered providers are never gated.
    pub metered: bool,
}

impl ProviderDeclared {
    /// Declares all accounts of a provider as metered or not.
    pub const fn new(provider: ProviderId, metered: bool) -> Self {
        Self { provider, account: None, metered }
    }

    /// For this account of the provider.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    fn account_ref(&self) -> AccountRef<'_> {
        AccountRef::new(self.provider.as_str(), self.account.as_deref())
    }
}

impl EventData for ProviderDeclared {
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
        format!("{} is {}", self.account_ref(), if self.metered { "metered" } else { "unmetered" })
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}
