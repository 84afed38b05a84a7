//! Which alerts are due: rules, and whether their conditions are met for the first time in a window.

use serde::Serialize;

use super::{ProviderStatus, RunRequest};
use crate::ledger::{Ledger, Outcome, Snapshot};
use crate::model::error::Result;
use crate::model::event::{
    AccountRef, AlertCondition, AlertFired, AlertSet, BudgetMode, EventId, EventKind, NewEvent, Payload, Position,
    Subject, WindowKind,
};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::projection::{each_event, each_event_between};
use crate::report::{Report, ReportKey};
use crate::store::{GO_ON, Order, ReadView, STOP};
use crate::usage::{MoneyPeriod, WindowUsage, accounts};

/// From where on a condition is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Threshold {
    Percent(u8),
    Usd(Usd),
    Forecast,
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AlertRule {
    pub condition: AlertCondition,
    pub provider: Option<ProviderId>,
    pub account: Option<String>,
    pub threshold: Threshold,
    pub zone: Zone,
    /// The event that set it.
    pub rule: EventId,
    pub position: Position,
}

/// An alert that fired just now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Firing {
    /// The event.
    pub id: EventId,
    /// Its position.
    pub position: Position,
    /// The content of the event.
    pub alert: AlertFired,
}

/// The thresholds that an event sets.
fn thresholds(set: &AlertSet) -> [(AlertCondition, Option<Threshold>); 6] {
    [
        (AlertCondition::Session, set.session.map(Threshold::Percent)),
        (AlertCondition::Weekly, set.weekly.map(Threshold::Percent)),
        (AlertCondition::UsdDay, set.usd_day.map(Threshold::Usd)),
        (AlertCondition::UsdWeek, set.usd_week.map(Threshold::Usd)),
        (AlertCondition::UsdMonth, set.usd_month.map(Threshold::Usd)),
        (AlertCondition::Forecast, set.forecast.then_some(Threshold::Forecast)),
    ]
}

/// The rules in force at a time: for each condition and scope the latest event that names it.
pub(crate) fn alert_rules(view: &dyn ReadView, now: Timestamp) -> Result<Vec<AlertRule>> {
    let mut settled: Vec<(AlertCondition, Option<ProviderId>, Option<String>)> = Vec::new();
    let mut rules = Vec::new();
    each_event(view, EventKind::AlertSet, &Subject::Ledger, now, Order::Descending, &mut |indexed| {
        let Payload::AlertSet(set) = &indexed.event.payload else { return GO_ON };
        for (condition, threshold) in thresholds(set) {
            let scope = (condition, set.provider.clone(), set.account.clone());
            if (threshold.is_none() && !set.unset.contains(&condition)) || settled.contains(&scope) {
                continue;
            }
            settled.push(scope);
            rules.extend(threshold.map(|threshold| AlertRule {
                condition,
                provider: set.provider.clone(),
                account: set.account.clone(),
                threshold,
                zone: set.usd_zone.unwrap_or(Zone::UTC),
                rule: indexed.event.id,
                position: indexed.position,
            }));
        }
        GO_ON
    })?;
    rules.reverse();
    Ok(rules)
}

/// The rule of a condition for an account: its own, else the provider's, else that of all.
fn rule_for<'r>(rules: &'r [AlertRule], condition: AlertCondition, account: &AccountRef<'_>) -> Option<&'r AlertRule> {
    let of = |rule: &&AlertRule| {
        rule.condition == condition
            && rule.provider.as_ref().is_none_or(|provider| provider.as_str() == account.provider)
            && (rule.account.is_none() || rule.account.as_deref() == account.account.as_deref())
    };
    rules.iter().filter(of).max_by_key(|rule| (rule.account.is_some(), rule.provider.is_some()))
}

/// The calendar period of a condition about costs.
const fn period_of(condition: AlertCondition) -> Option<MoneyPeriod> {
    match condition {
        AlertCondition::UsdDay => Some(MoneyPeriod::Day),
        AlertCondition::UsdWeek => Some(MoneyPeriod::Week),
        AlertCondition::UsdMonth => Some(MoneyPeriod::Month),
        AlertCondition::Session | AlertCondition::Weekly | AlertCondition::Forecast => None,
    }
}

/// The firing of a window, if its rule says so.
fn of_window(rule: &AlertRule, kind: WindowKind, window: &WindowUsage) -> Option<AlertFired> {
    let span = (window.started_at?, window.resets_at?);
    let mut fired = AlertFired::new(rule.rule, rule.condition, span);
    match rule.threshold {
        Threshold::Percent(percent) => {
            let used = window.used().filter(|used| used.hundredths() >= 100 * u32::from(percent))?;
            (fired.percent, fired.limit_percent) = (Some(used), Some(percent));
        }
        Threshold::Forecast => {
            let forecast = window.forecast.filter(|one| one.before_reset == Some(true) && !one.idle)?;
            (fired.window, fired.percent, fired.used_up_at) = (Some(kind), Some(forecast.percent), forecast.used_up_at);
        }
        Threshold::Usd(_) => return None,
    }
    Some(fired)
}

/// Whether a condition fired in its window before.
fn fired_before(view: &dyn ReadView, alert: &AlertFired) -> Result<bool> {
    let (mut found, span) = (false, (alert.started_at, Timestamp::MAX));
    each_event_between(view, EventKind::AlertFired, &Subject::Ledger, span, Order::Ascending, &mut |indexed| {
        if let Payload::AlertFired(fired) = &indexed.event.payload {
            found |= fired.is_of_same_condition(alert);
        }
        if found { STOP } else { GO_ON }
    })?;
    Ok(found)
}

impl Snapshot<'_> {
    /// The alerts whose conditions are met and that did not fire in this window before.
    fn due_alerts(&self, now: Timestamp) -> Result<Vec<AlertFired>> {
        let rules = alert_rules(self.view(), now)?;
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let mut met = Vec::new();
        let of_windows = [AlertCondition::Session, AlertCondition::Weekly, AlertCondition::Forecast];
        if rules.iter().any(|rule| of_windows.contains(&rule.condition)) {
            for account in accounts(self.view())? {
                met.extend(self.met_by_account(&rules, &account, now)?);
            }
        }
        for rule in &rules {
            met.extend(self.met_by_money(rule, now)?);
        }
        let mut due = Vec::new();
        for alert in met {
            if !fired_before(self.view(), &alert)? {
                due.push(alert);
            }
        }
        Ok(due)
    }

    fn met_by_account(&self, rules: &[AlertRule], account: &AccountRef<'_>, now: Timestamp) -> Result<Vec<AlertFired>> {
        let mut request = RunRequest::new(&account.provider)?;
        if let Some(name) = &account.account {
            request = request.account(name.as_ref());
        }
        let ProviderStatus { usage, budget, .. } = self.provider_status(&request, false, now)?;
        if !usage.metered {
            return Ok(Vec::new());
        }
        // In the mode `disabled` a full window closes no gate, so a forecast of it fires no alert.
        let forecasts = budget.budget_mode != BudgetMode::Disabled;
        let (session, weekly) = (&usage.session, &usage.weekly);
        let found = [
            (AlertCondition::Session, WindowKind::Session, session),
            (AlertCondition::Weekly, WindowKind::Weekly, weekly),
            (AlertCondition::Forecast, WindowKind::Session, session),
            (AlertCondition::Forecast, WindowKind::Weekly, weekly),
        ];
        let provider = ProviderId::new(&account.provider)?;
        let counts = |condition| forecasts || condition != AlertCondition::Forecast;
        let met =
            found.into_iter().filter(|(condition, ..)| counts(*condition)).filter_map(|(condition, kind, window)| {
                let mut fired = of_window(rule_for(rules, condition, account)?, kind, window)?;
                fired.provider = Some(provider.clone());
                fired.account = account.account.as_deref().map(str::to_owned);
                Some(fired)
            });
        Ok(met.collect())
    }

    fn met_by_money(&self, rule: &AlertRule, now: Timestamp) -> Result<Option<AlertFired>> {
        let (Threshold::Usd(limit), Some(period)) = (rule.threshold, period_of(rule.condition)) else {
            return Ok(None);
        };
        let span = period.bounds(rule.zone, now)?;
        let mut report = Report::by_all([]).since(span.0).until(span.1.min(now.plus(1)));
        if let Some(provider) = &rule.provider {
            report = report.only(ReportKey::Provider, provider.as_str())?;
        }
        if let Some(account) = &rule.account {
            report = report.only(ReportKey::Account, account)?;
        }
        // Calls without a known price do not reach a threshold.
        let Some(spent) = self.report(&report)?.total.cost.usd.filter(|spent| *spent >= limit) else { return Ok(None) };
        let mut fired = AlertFired::new(rule.rule, rule.condition, span);
        (fired.provider, fired.account) = (rule.provider.clone(), rule.account.clone());
        (fired.usd, fired.limit_usd) = (Some(spent), Some(limit));
        Ok(Some(fired))
    }
}

impl Ledger {
    /// Appends an alert for each condition that is met for the first time in its window, and returns these alerts.
    ///
    /// Concurrent callers append each alert once.
    ///
    /// # Errors
    /// The store's own.
    pub(crate) fn fire_alerts(&self, now: impl Into<Timestamp>) -> Result<Vec<Firing>> {
        let now = now.into();
        let due = self.snapshot()?.due_alerts(now)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let source = self.source.clone();
        self.transact(now, |appender| {
            let mut fired = Vec::new();
            for alert in due {
                // Another process may have been faster.
                if fired_before(appender.view()?, &alert)? {
                    continue;
                }
                let outcome = appender.push(NewEvent::new(alert.clone(), now).source(source.clone()))?;
                fired.push(Firing { id: outcome.id(), position: outcome.position(), alert });
            }
            Ok(fired)
        })
    }

    /// Sets what to watch for.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a threshold that makes no sense, or for none.
    pub(crate) fn set_alert(&self, alert: AlertSet, now: impl Into<Timestamp>) -> Result<Outcome> {
        let (now, source) = (now.into(), self.source.clone());
        self.transact(now, |appender| appender.push(NewEvent::new(alert, now).source(source)))
    }
}
