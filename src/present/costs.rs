//! Adds the cost of each account's windows to the status.

use crate::budget::{RunRequest, Status};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::invariant::bug;
use crate::model::time::{Timestamp, Zone};
use crate::report::{Report, ReportKey};
use crate::usage::{Cost, Usage, WindowUsage};

/// What an account used, with the computed cost of its windows.
pub(crate) fn usage(
    snapshot: &Snapshot<'_>,
    account: (&str, Option<&str>),
    now: Timestamp,
) -> Result<crate::usage::ProviderUsage> {
    let mut request = RunRequest::new(account.0)?;
    if let Some(name) = account.1 {
        request = request.account(name);
    }
    let mut usage = snapshot.provider_status(&request, false, now)?.usage;
    for window in [&mut usage.session, &mut usage.weekly] {
        if window.usage.requests > 0 {
            window.usage.cost = in_window(snapshot, account, window)?;
        }
    }
    Ok(usage)
}

/// What an account's calls since midnight cost.
pub(crate) fn today(
    snapshot: &Snapshot<'_>,
    (provider, account): (&str, Option<&str>),
    zone: Zone,
    now: Timestamp,
) -> Result<Cost> {
    Ok(used_today(snapshot, (provider, account), zone, now)?.cost)
}

/// What an account used since midnight.
pub(crate) fn used_today(
    snapshot: &Snapshot<'_>,
    (provider, account): (&str, Option<&str>),
    zone: Zone,
    now: Timestamp,
) -> Result<Usage> {
    let midnight = zone.start_of_day(zone.day(now));
    let report = Report::by(ReportKey::Account).since(midnight).until(now.plus(1));
    let table = snapshot.report(&report.only(ReportKey::Provider, provider)?)?;
    let row = table.rows.into_iter().find(|row| row.keys.first().is_some_and(|key| key.as_deref() == account));
    // An account without a call today has no row.
    Ok(row.map(|row| row.usage).unwrap_or_default())
}

/// Returns the status at a time. Unlike [`Snapshot::status`], which reads no prices, it includes the computed cost of
/// the windows and of all calls.
pub(crate) fn status(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Status> {
    let mut status = snapshot.status(now)?;
    for provider in &mut status.providers {
        let usage = &mut provider.usage;
        let account = (usage.provider.as_str(), usage.account.as_deref());
        for window in [&mut usage.session, &mut usage.weekly] {
            if window.usage.requests > 0 {
                window.usage.cost = in_window(snapshot, account, window)?;
            }
        }
        if usage.all_time.requests > 0 {
            usage.all_time.cost = cost(snapshot, account, Report::by(ReportKey::Account))?;
        }
    }
    Ok(status)
}

fn in_window(snapshot: &Snapshot<'_>, account: (&str, Option<&str>), window: &WindowUsage) -> Result<Cost> {
    let mut report = Report::by(ReportKey::Account);
    if let Some(started_at) = window.started_at {
        report = report.since(started_at);
    }
    if let Some(resets_at) = window.resets_at {
        report = report.until(resets_at);
    }
    cost(snapshot, account, report)
}

fn cost(snapshot: &Snapshot<'_>, (provider, account): (&str, Option<&str>), report: Report) -> Result<Cost> {
    let table = snapshot.report(&report.only(ReportKey::Provider, provider)?)?;
    let row = table.rows.into_iter().find(|row| row.keys.first().is_some_and(|key| key.as_deref() == account));
    let row = row.ok_or_else(|| bug!("no reported calls of {provider}, although its window has some"))?;
    Ok(row.usage.cost)
}
