//! The data of the dashboard at one time.

use chrono::{Days, NaiveDate};

use crate::budget::{ProviderStatus, Status};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::{Event, Payload, Position};
use crate::model::invariant::bug;
use crate::model::time::{HOUR, Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::present::costs;
use crate::present::summary::summary;
use crate::readers::price::Prices;
use crate::report::{Report, ReportKey};
use crate::usage::Usage;

/// Number of the last events that are examined.
const TAIL: u64 = 256;

/// An event in the log panel.
pub(crate) struct LogLine {
    pub position: Position,
    pub at: Timestamp,
    pub kind: &'static str,
    pub text: String,
}

/// The last action of an agent with a provider account.
#[derive(Clone, Default)]
pub(crate) struct LastAction {
    /// The label `last_action`.
    pub action: Option<String>,
    pub duration_ms: Option<u64>,
}

/// The tokens of a day by provider, in the order of [`ViewModel::names`].
pub(crate) struct DayUse {
    pub date: NaiveDate,
    pub tokens: Vec<u128>,
    /// What its calls cost; `None` where no call has a price.
    pub usd: Option<Usd>,
}

/// The tokens of an hour, by provider in the order of [`ViewModel::names`].
pub(crate) struct HourUse {
    pub from: Timestamp,
    pub tokens: Vec<u128>,
}

impl DayUse {
    pub fn total(&self) -> u128 {
        self.tokens.iter().sum()
    }
}

/// All data of the dashboard, from one snapshot.
pub(crate) struct ViewModel {
    pub now: Timestamp,
    pub zone: Zone,
    pub position: Position,
    /// Whether it shows the past, where actions are disabled.
    pub past: bool,
    /// Why the ledger is read-only, if it is.
    pub obstacle: Option<String>,
    /// Why the last import of new calls failed, if it did.
    pub import_failure: Option<String>,
    pub status: Status,
    /// One entry per provider account of the status.
    pub last: Vec<LastAction>,
    /// Providers with a colour.
    pub names: Vec<String>,
    /// Earliest first; the last one is today.
    pub days: Vec<DayUse>,
    /// The hours of these days in which something was used, earliest first.
    pub hours: Vec<HourUse>,
    /// What each provider account of the status used today.
    pub today: Vec<Usage>,
    /// Earliest first.
    pub tail: Vec<LogLine>,
}

impl ViewModel {
    /// Reads a ledger. `days` is the range of the time line and of the days.
    pub fn read(snapshot: &Snapshot<'_>, now: Timestamp, zone: Zone, days: u16) -> Result<Self> {
        let (status, position) = (costs::status(snapshot, now)?, snapshot.head()?.position);
        let events = events(snapshot, position)?;
        let mut last = Vec::new();
        for one in &status.providers {
            last.push(last_of(snapshot, &events, &one.usage.provider, one.usage.account.as_deref())?);
        }
        let mut names = Vec::new();
        let mut name = |name: &str| {
            if !names.iter().any(|other| other == name) {
                names.push(name.to_owned());
            }
        };
        status.providers.iter().for_each(|one| name(&one.usage.provider));
        for switch in &status.timeline {
            switch.switch.from.iter().for_each(|from| name(from.as_str()));
            name(switch.switch.to.as_str());
        }
        let days = by_day(snapshot, now, zone, days, &names)?;
        let hours = by_hour(snapshot, days.first().map_or(now, |day| zone.start_of_day(day.date)), now, &names)?;
        let account = |one: &ProviderStatus| (one.usage.provider.clone(), one.usage.account.clone());
        let mut today = Vec::new();
        for (provider, account) in status.providers.iter().map(account) {
            today.push(costs::used_today(snapshot, (&provider, account.as_deref()), zone, now)?);
        }
        let to_line = |(position, event): &(Position, Event)| LogLine {
            position: *position,
            at: event.occurred_at,
            kind: event.payload.kind(),
            text: summary(&event.payload),
        };
        let tail = events.iter().map(to_line).collect();
        let past = snapshot.moment().is_some();
        Ok(Self {
            now,
            zone,
            position,
            past,
            obstacle: None,
            import_failure: None,
            status,
            last,
            names,
            days,
            hours,
            today,
            tail,
        })
    }

    /// Returns the index of a provider, which determines its colour.
    pub fn number(&self, provider: &str) -> usize {
        self.names.iter().position(|other| other == provider).unwrap_or(self.names.len())
    }
}

/// Returns the last events. Events of unknown kinds are left out.
fn events(snapshot: &Snapshot<'_>, head: Position) -> Result<Vec<(Position, Event)>> {
    let mut events = Vec::new();
    let from = Position::new(head.get().saturating_sub(TAIL).saturating_add(1));
    snapshot.lines(from, &mut |position, line| {
        match Event::from_line(position, line) {
            Ok(event) => events.push((position, event)),
            Err(Error::UnknownEvent { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    })?;
    Ok(events)
}

/// Reads the labels of the latest record of an account.
fn last_of(
    snapshot: &Snapshot<'_>,
    events: &[(Position, Event)],
    provider: &str,
    account: Option<&str>,
) -> Result<LastAction> {
    let mut records: Vec<_> = events
        .iter()
        .filter_map(|(position, event)| match &event.payload {
            Payload::TokensRecorded(record) if record.provider == provider && record.account.as_deref() == account => {
                Some((event.occurred_at, *position, event.id, record))
            }
            _ => None,
        })
        .collect();
    records.sort_by_key(|(at, position, ..)| (*at, *position));
    for (_, _, id, record) in records.into_iter().rev() {
        if !snapshot.is_void(id)? {
            let action = record.labels.get("last_action").filter(|action| !action.is_empty()).cloned();
            return Ok(LastAction { action, duration_ms: record.duration_ms });
        }
    }
    Ok(LastAction::default())
}

fn by_day(snapshot: &Snapshot<'_>, now: Timestamp, zone: Zone, days: u16, names: &[String]) -> Result<Vec<DayUse>> {
    let today = zone.day(now);
    let first = today.checked_sub_days(Days::new(u64::from(days.max(1)) - 1));
    let first = first.ok_or_else(|| bug!("{today} has no {days} days before it"))?;
    let dates = first.iter_days().take_while(|date| *date <= today);
    let mut days: Vec<DayUse> = dates.map(|date| DayUse { date, tokens: vec![0; names.len()], usd: None }).collect();
    let since = zone.start_of_day(first);
    let report = Report::by(ReportKey::Day).and(ReportKey::Provider).tz(zone).since(since);
    for row in snapshot.report(&report)?.rows {
        let [Some(date), Some(provider)] = row.keys.as_slice() else { continue };
        let day = days.iter_mut().find(|day| day.date.to_string() == *date);
        let number = names.iter().position(|other| other == provider);
        let Some(day) = day else { continue };
        if let Some(usd) = row.usage.cost.usd {
            day.usd = Some(day.usd.unwrap_or_default().checked_add(usd)?);
        }
        if let Some(number) = number
            && let Some(tokens) = day.tokens.get_mut(number)
        {
            *tokens = row.usage.tokens.total();
        }
    }
    Ok(days)
}

/// The tokens of each hour of UTC in which something was used.
fn by_hour(snapshot: &Snapshot<'_>, since: Timestamp, now: Timestamp, names: &[String]) -> Result<Vec<HourUse>> {
    let report = Report::by(ReportKey::Hour).and(ReportKey::Provider).since(since).until(now.plus(1));
    let mut days: Vec<HourUse> = Vec::new();
    for row in snapshot.report(&report.prices(Prices::none()))?.rows {
        let [Some(hour), Some(provider)] = row.keys.as_slice() else { continue };
        // The key of an hour is `2026-06-10T11`, in UTC here.
        let from: Timestamp = format!("{hour}:00:00Z").parse()?;
        let Some(number) = names.iter().position(|other| other == provider) else { continue };
        if days.last().is_none_or(|last| last.from != from) {
            days.push(HourUse { from, tokens: vec![0; names.len()] });
        }
        if let Some(tokens) = days.last_mut().and_then(|hour| hour.tokens.get_mut(number)) {
            *tokens = row.usage.tokens.total();
        }
    }
    Ok(days)
}

/// The length of the entries of [`ViewModel::hours`], in milliseconds.
pub(crate) const HOUR_USE: i64 = HOUR;
