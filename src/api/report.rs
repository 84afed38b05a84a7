//! `report`: usage by any keys.

use chrono::{Days, NaiveDate};
use serde::Serialize;

use super::input::{ReportInput, is_relative, moment};
use super::report_rows;
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::range;
use crate::readers::price::Prices;
use crate::report::{DateWindow, Efficiency, Granularity, Report, ReportKey, ReportTable};

/// Maximum number of steps back: 100 years of days.
const MOST_BACK: u32 = 36_500;

/// A report, with the outcomes of its sessions if requested.
#[derive(Serialize)]
pub(crate) struct FullReport {
    #[serde(flatten)]
    pub table: ReportTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Efficiency>,
}

impl ReportInput {
    /// Builds the query. `zone` applies unless the input names another one.
    pub fn query(&self, zone: Zone, now: Timestamp) -> Result<Report> {
        let zone = self.tz.as_deref().map_or(Ok(zone), str::parse)?;
        let by = self.keys()?;
        let (since, until) = (moment(self.since.as_deref())?, moment(self.until.as_deref())?);
        if let Some(back) = self.back.filter(|back| *back > MOST_BACK) {
            return Err(Error::invalid(format!("`back` is {back}: it must be 0 to {MOST_BACK}")));
        }
        let in_days = self.days.is_some() || self.back.is_some();
        if in_days && (since.is_some() || until.is_some()) {
            return Err(Error::invalid(
                "`days` and `back` conflict with `since` and `until`: send one of the two pairs",
            ));
        }
        let (since, until) = range(since, until, zone, now)?;
        let mut report = Report::by_all(by.clone()).tz(zone);
        if let Some(since) = since {
            report = report.since(since);
        }
        if let Some(until) = until {
            report = report.until(until);
        }
        if in_days {
            report = report.days(days(&by, self.days, self.back, zone.day(now))?);
        }
        if self.fill {
            report = report.fill()?;
        }
        if self.no_cost {
            report = report.prices(Prices::none());
        }
        for (key, value) in self.filters()? {
            report = report.only(key, value)?;
        }
        Ok(report)
    }

    /// Returns whether the answer depends on events alone.
    pub fn is_timeless(&self) -> bool {
        let is_range_relative = is_relative(self.since.as_deref(), self.until.as_deref());
        self.days.is_none() && self.back.is_none() && !is_range_relative
    }

    /// Returns the keys to group by.
    pub fn keys(&self) -> Result<Vec<ReportKey>> {
        if self.by.is_empty() {
            return Ok(vec![ReportKey::Provider, ReportKey::Day]);
        }
        let by = self.by.iter().flat_map(|names| names.split(',')).map(str::trim);
        let by = by.map(str::parse).collect::<Result<Vec<ReportKey>>>()?;
        expect_distinct(&by)?;
        Ok(by)
    }

    fn filters(&self) -> Result<Vec<(ReportKey, String)>> {
        let mut filters = Vec::new();
        for provider in &self.provider {
            filters.push((ReportKey::Provider, ProviderId::resolve(provider)?.as_str().to_owned()));
        }
        for (key, values) in [
            (ReportKey::Account, &self.account),
            (ReportKey::Model, &self.model),
            (ReportKey::Agent, &self.agent),
            (ReportKey::Project, &self.project),
            (ReportKey::Conversation, &self.conversation),
        ] {
            filters.extend(values.iter().map(|value| (key.clone(), value.clone())));
        }
        for label in &self.label {
            match label.split_once('=') {
                Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                    filters.push((ReportKey::Label(name.to_owned()), value.to_owned()));
                }
                _ => {
                    return Err(Error::invalid(format!("`{label}` is no label: write NAME=VALUE, such as mission=42")));
                }
            }
        }
        Ok(filters)
    }
}

/// Refuses a key that occurs twice.
pub(crate) fn expect_distinct(by: &[ReportKey]) -> Result<()> {
    let twice = by.iter().enumerate().find(|(index, key)| by.iter().take(*index).any(|earlier| earlier == *key));
    match twice {
        None => Ok(()),
        Some((_, key)) => Err(Error::invalid(format!("the key {} is named twice: name it once", key.name()))),
    }
}

/// Returns the range of days of a report that counts back from today.
pub(crate) fn days(by: &[ReportKey], days: Option<u32>, back: Option<u32>, today: NaiveDate) -> Result<DateWindow> {
    let days = days.unwrap_or(DateWindow::DEFAULT_DAYS);
    if days == 0 {
        return Err(Error::invalid("`days` is 0: it must be at least 1"));
    }
    if days <= DateWindow::MOST_DAYS {
        return Ok(DateWindow::ending(today, days.into(), back.unwrap_or(0).into(), step(by)));
    }
    if back.is_some() {
        return Err(Error::invalid(format!("--back needs --days of at most {}", DateWindow::MOST_DAYS)));
    }
    let first = today.checked_sub_days(Days::new(u64::from(days) - 1));
    let first = first.ok_or_else(|| Error::invalid(format!("--days {days} begins before the calendar")))?;
    Ok(DateWindow { first, last: today })
}

/// Returns the unit of `back`: the coarsest time among the keys.
fn step(by: &[ReportKey]) -> Granularity {
    if by.contains(&ReportKey::Month) {
        Granularity::Month
    } else if by.contains(&ReportKey::Week) {
        Granularity::Week
    } else {
        Granularity::Day
    }
}

/// Runs the query on a snapshot.
pub(crate) fn answer(snapshot: &Snapshot<'_>, report: Report, input: &ReportInput) -> Result<FullReport> {
    if input.top == Some(0) {
        return Err(Error::invalid("`top` is 0: it must be at least 1"));
    }
    if input.top.is_some_and(|top| i32::try_from(top).is_err()) {
        return Err(Error::invalid(format!("`top` is above {}: leave it out for every row", i32::MAX)));
    }
    // The answer has no place for notes; its rows name what was found.
    let (mut table, report, _) = snapshot.report_completed(report)?;
    report_rows::arrange(&mut table, input.sort, input.top);
    let outcomes = if input.outcomes { Some(snapshot.efficiency(&report)?) } else { None };
    Ok(FullReport { table, outcomes })
}
