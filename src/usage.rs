//! The usage of a provider account: its current windows, and all time.

mod account_at;
mod account_meant;
mod account_sums;
mod calibration;
#[cfg(feature = "cli")]
mod drift;
mod exhausted;
mod forecast;
mod growth;
mod limits;
mod money;
mod observations;
pub(crate) mod pause;
mod pools;
mod reserved;
mod scope;
mod signals;
mod sums;
mod windows;

use serde::{Serialize, Serializer};

use crate::model::error::Result;
use crate::model::event::{AccountRef, EventKind, Payload, Percent, ProviderSwitched, Subject};
use crate::model::event::{Position, WindowKind};
use crate::model::time::Timestamp;
use crate::projection::{IndexedEvent, Level, Totals, collect_events, last_before, latest_event, scan_days};
use crate::store::{GO_ON, KeyRange, ReadView, Table};

pub use calibration::{Calibration, ClassWeight};
pub use exhausted::Exhausted;
pub use forecast::{Forecast, ForecastBasis};
pub use money::MoneyPeriod;
#[cfg(feature = "import")]
pub(crate) use observations::COUNTED_BY_AGENT;
pub use pause::Pause;
pub use pools::Pool;
#[cfg(feature = "cli")]
pub(crate) use pools::{Misdated, misdated};
pub use reserved::Reservation;
pub use sums::{Cost, TokenSums, Usage};

pub(crate) use account_at::AccountAt;
#[cfg(feature = "cli")]
pub(crate) use account_meant::named_accounts_meant;
pub(crate) use account_meant::{UnnamedRefusal, account_meant, accounts_meant, one_account_meant, unnamed_refusal};
pub(crate) use account_sums::sum_between;
pub(crate) use calibration::calibration;
#[cfg(feature = "cli")]
pub(crate) use drift::{Drift, drift};
use exhausted::refusals;
pub(crate) use exhausted::{PROBE, cloud_refusal, holding};
pub(crate) use limits::{Limits, is_metered};
pub(crate) use money::{MoneyLimit, money_limits};
pub(crate) use pause::{last_resume, paused, resume_at, unresumed};
pub(crate) use reserved::{LONGEST, ReservationEnd, closing, reservations};
pub(crate) use scope::{covers, is_exactly, names_a_model};
#[cfg(feature = "import")]
pub(crate) use signals::{WITHOUT_RECORDS, counted_span, is_recorded};
pub(crate) use windows::{AccountWindows, exact_share};

/// The basis of a window's numbers.
///
/// ```
/// use usage_ledger::{Ledger, usage::Basis};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// assert_eq!(ledger.provider("ollama", now)?.session.basis, Basis::Unmetered);
/// assert_eq!(ledger.provider("openai", now)?.session.basis, Basis::Unknown); // no limit, no observation
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Basis {
    /// A reading of the provider, without usage since.
    #[serde(rename = "observed")]
    Observed,
    /// A reading of the provider, plus the tokens recorded since.
    #[serde(rename = "observed + local delta")]
    ObservedAndDelta,
    /// Computed from recorded tokens, a policy and a limit.
    #[serde(rename = "estimated")]
    Estimated,
    /// The provider has no quota.
    #[serde(rename = "unmetered")]
    Unmetered,
    /// An override by a person, plus the tokens recorded since.
    #[serde(rename = "overridden")]
    Overridden,
    /// Neither a limit nor an observation is known.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Basis {
    /// The name in JSON.
    ///
    /// ```
    /// # use usage_ledger::usage::Basis;
    /// assert_eq!(Basis::ObservedAndDelta.name(), "observed + local delta");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::ObservedAndDelta => "observed + local delta",
            Self::Estimated => "estimated",
            Self::Unmetered => "unmetered",
            Self::Overridden => "overridden",
            Self::Unknown => "unknown",
        }
    }
}

/// Who stated how much of a window is used.
///
/// ```
/// use usage_ledger::usage::Speaker;
/// assert_eq!(serde_json::to_string(&Speaker::Person).unwrap(), r#""person""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Speaker {
    /// The provider itself.
    Provider,
    /// A person: an override.
    Person,
}

/// The last statement about a window.
///
/// ```
/// use usage_ledger::{Ledger, event::WindowKind};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.override_usage("anthropic", WindowKind::Session, "32".parse()?, "me", "read it on the web page", now)?;
/// let overridden = ledger.provider("anthropic", now)?.session.overridden.unwrap();
/// assert_eq!((overridden.percent, overridden.source.as_str(), overridden.stale), (Some("32".parse()?), "me", false));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderSignal {
    /// How much of the window was used then.
    pub percent: Option<Percent>,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub by: Speaker,
    /// The feed, or the author.
    pub source: String,
    /// Whether it is stale. An override stays valid until the window ends or is stated again.
    pub stale: bool,
    /// The position of its event.
    pub position: Position,
    /// The reset that it stated, if that cannot be true.
    #[serde(skip)]
    pub(crate) stated_reset: Option<Timestamp>,
}

/// A current quota window of a provider account.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::LimitSet};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(250), now)?;
/// let window = ledger.provider("openai", now)?.session;
/// assert_eq!(window.percent, Some("25".parse()?));
/// assert_eq!(window.resets_at, Some("2026-11-24T01:00:00Z".parse()?)); // five hours after the first use
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowUsage {
    /// The usage within it.
    pub usage: Usage,
    /// The same in limit tokens: each class times its weight.
    pub weighted: u128,
    /// Its limit in limit tokens, if one is set.
    pub limit: Option<u64>,
    /// How much of it is used, from 0 to 100, or more if the provider states more; `None` if unknown. Beside a stale
    /// reading it is the estimate alone; [`used`](Self::used) and the `percent` of JSON are not less than that reading.
    pub percent: Option<Percent>,
    /// When it opened; `None` without an open window.
    pub started_at: Option<Timestamp>,
    /// When it resets; `None` without an open window.
    pub resets_at: Option<Timestamp>,
    /// The provider's reading, if it is stale: at least this much is used.
    pub at_least: Option<Percent>,
    /// How much of it is used according to recorded tokens alone.
    pub estimate: Option<Percent>,
    /// The provider's last reading of a window that has not ended.
    pub observed: Option<ProviderSignal>,
    /// The last override of this window.
    pub overridden: Option<ProviderSignal>,
    /// Limit tokens used since the reading; all of them without a reading.
    pub since: u128,
    /// The basis of the numbers.
    pub basis: Basis,
    /// Positions of the events that determine the borders, the limit and the percentage.
    pub evidence: Vec<Position>,
    /// When it is used up if work goes on as it did, where enough is known to tell.
    pub forecast: Option<Forecast>,
}

impl WindowUsage {
    /// The percentage to display and to decide by: the current value, but not less than the provider's reading.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::LimitSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
    /// assert_eq!(ledger.provider("openai", now)?.session.used(), Some("0".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn used(&self) -> Option<Percent> {
        self.percent.max(self.at_least)
    }
}

/// A window as JSON shows it.
#[derive(Serialize)]
struct WindowJson<'a> {
    #[serde(flatten)]
    usage: &'a Usage,
    weighted: u128,
    limit: Option<u64>,
    percent: Option<Percent>,
    started_at: Option<Timestamp>,
    resets_at: Option<Timestamp>,
    at_least: Option<Percent>,
    estimate: Option<Percent>,
    observed: &'a Option<ProviderSignal>,
    overridden: &'a Option<ProviderSignal>,
    since: u128,
    basis: Basis,
    evidence: &'a [Position],
    forecast: &'a Option<Forecast>,
}

impl Serialize for WindowUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { usage, weighted, limit, percent: _, started_at, resets_at, at_least, estimate, .. } = self;
        let Self { observed, overridden, since, basis, evidence, forecast, .. } = self;
        let json = WindowJson {
            usage,
            weighted: *weighted,
            limit: *limit,
            // A program that reads one number must not see less than the provider stated.
            percent: self.used(),
            started_at: *started_at,
            resets_at: *resets_at,
            at_least: *at_least,
            estimate: *estimate,
            observed,
            overridden,
            since: *since,
            basis: *basis,
            evidence,
            forecast,
        };
        json.serialize(serializer)
    }
}

/// The current windows of a provider account, and its usage of all time.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(100), now)?;
/// ledger.switch_provider("openai", "", now.plus(1))?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(7), now.plus(2))?;
/// let usage = ledger.provider("openai", now.plus(2))?;
/// assert_eq!(usage.all_time.tokens.total(), 107);
/// assert_eq!(usage.since_switch.unwrap().tokens.total(), 7);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderUsage {
    /// The provider.
    pub provider: String,
    /// The account, when there are several.
    pub account: Option<String>,
    /// Whether it has a quota.
    pub metered: bool,
    /// Whether the catalogue or a declaration contains it.
    pub declared: bool,
    /// The short window.
    pub session: WindowUsage,
    /// The week.
    pub weekly: WindowUsage,
    /// Windows of other lengths, and of single models, that the provider reported.
    pub pools: Vec<Pool>,
    /// The provider's refusal of every model, while it applies.
    pub exhausted: Option<Exhausted>,
    /// The provider's refusals of single models, while they apply.
    pub exhausted_models: Vec<Exhausted>,
    /// Limit tokens reserved for calls in progress.
    pub reserved: u64,
    /// Everything up to now.
    pub all_time: Usage,
    /// The usage since the last switch to this provider, if there was one.
    pub since_switch: Option<Usage>,
    /// The time of the last switch to or from this provider.
    pub last_switch: Option<Timestamp>,
}

/// A provider switch.
///
/// ```
/// use usage_ledger::Ledger;
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.switch_provider("ollama", "rate limited", now)?;
/// let switch = &ledger.status(now)?.timeline[0];
/// assert_eq!((switch.position.get(), switch.switch.to.as_str()), (1, "ollama"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Switch {
    /// Its position.
    pub position: Position,
    /// When it happened.
    pub at: Timestamp,
    /// The marker.
    #[serde(flatten)]
    pub switch: ProviderSwitched,
}

/// Every switch up to `now`, earliest first.
pub(crate) fn switches(view: &dyn ReadView, now: Timestamp) -> Result<Vec<Switch>> {
    collect_events(view, EventKind::ProviderSwitched, &Subject::Ledger, (Timestamp::MIN, now), switch)
}

/// The last switch up to `now`.
pub(crate) fn last_switch(view: &dyn ReadView, now: Timestamp) -> Result<Option<Switch>> {
    latest_event(view, EventKind::ProviderSwitched, &Subject::Ledger, now, switch)
}

fn switch(indexed: IndexedEvent) -> Option<Switch> {
    let Payload::ProviderSwitched(switch) = indexed.event.payload else { return None };
    Some(Switch { position: indexed.position, at: indexed.event.occurred_at, switch })
}

/// The active provider at `now`: that of the last switch, otherwise that of the last use.
pub(crate) fn active_provider(view: &dyn ReadView, now: Timestamp) -> Result<Option<String>> {
    if let Some(last) = last_switch(view, now)? {
        return Ok(Some(last.switch.to.as_str().to_owned()));
    }
    let mut latest: Option<(Timestamp, String)> = None;
    for account in accounts(view)? {
        if let Some(at) = last_before(view, &account.key(), now.plus(1))?
            && latest.as_ref().is_none_or(|(known, _)| at > *known)
        {
            latest = Some((at, account.provider.into_owned()));
        }
    }
    Ok(latest.map(|(_, provider)| provider))
}

/// Every provider account with records or settings.
pub(crate) fn accounts(view: &dyn ReadView) -> Result<Vec<AccountRef<'static>>> {
    view.collect(&KeyRange::whole(Table::Accounts), |key, _| Ok(AccountRef::from_key(key)))
}

/// The usage of one account at `now`.
pub(crate) fn provider_usage(at: AccountAt<'_>, timeline: &[Switch]) -> Result<ProviderUsage> {
    let mut usage = usage_now(at, timeline)?;
    sum_up(at, timeline, &mut usage)?;
    Ok(usage)
}

/// Adds an account's usage of all time and since the last switch to it, which reads all of its days.
pub(crate) fn sum_up(at: AccountAt<'_>, timeline: &[Switch], usage: &mut ProviderUsage) -> Result<()> {
    let arrived = timeline.iter().rev().find(|switch| switch.switch.to.as_str() == at.account.provider);
    let since = arrived.map(|switch| sum_between(at.view, at.account, switch.at, at.now.plus(1))).transpose()?;
    usage.since_switch = since.map(|totals| Usage::from_totals(&totals)).transpose()?;
    usage.all_time = all_time(at)?;
    Ok(())
}

/// Everything that decisions need: all but the sums of [`sum_up`].
pub(crate) fn usage_now(at: AccountAt<'_>, timeline: &[Switch]) -> Result<ProviderUsage> {
    let account = at.account;
    let (metered, declared, declaration) = is_metered(at)?;
    let windows = AccountWindows::new(at)?;
    let window = |kind| -> Result<WindowUsage> {
        let mut window = windows.now(kind)?;
        if metered {
            window.forecast = windows.forecast(kind, &window)?;
        } else {
            window.basis = Basis::Unmetered;
            (window.percent, window.at_least) = (None, None);
        }
        window.evidence.extend(declaration);
        Ok(window)
    };
    let names = |switch: &&Switch| {
        switch.switch.to.as_str() == account.provider
            || switch.switch.from.as_ref().is_some_and(|from| from.as_str() == account.provider)
    };
    let reserved = reservations(at, at.now)?;
    let last = timeline.iter().rev().find(names);
    let refused =
        if metered { refusals(at, windows.observations(), windows.limits())? } else { exhausted::Refusals::default() };
    Ok(ProviderUsage {
        provider: account.provider.clone().into_owned(),
        account: account.account.clone().map(std::borrow::Cow::into_owned),
        metered,
        declared,
        session: window(WindowKind::Session)?,
        weekly: window(WindowKind::Weekly)?,
        pools: pools::pools(windows.observations(), windows.limits(), at.now),
        exhausted: refused.account,
        exhausted_models: refused.models,
        reserved: reserved.iter().fold(0, |sum, one| sum.saturating_add(one.tokens)),
        all_time: Usage::default(),
        since_switch: None,
        last_switch: last.map(|switch| switch.at),
    })
}

fn all_time(AccountAt { view, account, now }: AccountAt<'_>) -> Result<Usage> {
    let mut totals = Totals::default();
    let today = now.utc_day();
    scan_days(view, Level::Model, None, Some(today - 1), &mut |row| {
        if row.series.provider == account.provider && row.series.account == account.account.as_deref() {
            totals.add(&row.sum()?)?;
        }
        GO_ON
    })?;
    let midnight = Timestamp::from_millis(today * crate::model::time::DAY);
    totals.add(&sum_between(view, account, midnight, now.plus(1))?)?;
    Usage::from_totals(&totals)
}
