//! The three rollups and the names in their keys.

use super::day;
use super::key::{day_of, push_day, push_text, texts};
use super::totals::Totals;
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, TokenView};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::readers::price::Tariff;
use crate::store::{Flow, Order, ReadView, Table, after_prefix};

/// The granularity of a rollup. A coarser one is faster to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Provider, account, model, agent, and tariff.
    Model,
    /// And project.
    Project,
    /// And conversation and labels.
    Conversation,
}

impl Level {
    pub const ALL: [Self; 3] = [Self::Model, Self::Project, Self::Conversation];

    pub const fn table(self) -> Table {
        match self {
            Self::Model => Table::ByModel,
            Self::Project => Table::ByProject,
            Self::Conversation => Table::ByConversation,
        }
    }

    /// Writes the finest key of a record and returns the end of each level's key in it.
    pub fn write_key(key: &mut Vec<u8>, at: Timestamp, record: &TokenView<'_>) -> [usize; 3] {
        key.clear();
        push_day(key, at.utc_day());
        push_text(key, Some(&record.provider));
        push_text(key, record.account.as_deref());
        push_text(key, record.model.as_deref());
        push_text(key, record.agent.as_deref());
        push_text(key, Some(&Tariff::of(record).key()));
        let model = key.len();
        push_text(key, record.project.as_deref());
        let project = key.len();
        push_text(key, record.conversation.as_deref());
        for (name, value) in &record.labels {
            push_text(key, Some(name));
            push_text(key, Some(value));
        }
        [model, project, key.len()]
    }

    /// The key of a level, a prefix of the finest key that [`write_key`](Self::write_key) returned.
    pub fn key_until(key: &[u8], end: usize) -> Result<&[u8]> {
        key.get(..end).ok_or_else(|| bug!("a level's key of {end} bytes in a key of {} bytes", key.len()))
    }
}

/// The names of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Series<'a> {
    pub provider: &'a str,
    pub account: Option<&'a str>,
    pub model: Option<&'a str>,
    pub agent: Option<&'a str>,
    /// The tariff in a row's key. For a record it is computed from the record.
    pub tariff: Option<&'a str>,
    pub project: Option<&'a str>,
    pub conversation: Option<&'a str>,
    pub labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Series<'a> {
    /// Parses a row's key.
    pub fn from_key(key: &'a [u8]) -> Option<(i64, Self)> {
        let day = day_of(key)?;
        let mut texts = texts(key.get(3..)?)?;
        let provider = texts.next()?;
        let mut name = || texts.next().filter(|text| !text.is_empty());
        let (account, model, agent, tariff, project, conversation) = (name(), name(), name(), name(), name(), name());
        let mut labels = Vec::new();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            labels.push((name, value));
        }
        Some((day, Self { provider, account, model, agent, tariff, project, conversation, labels }))
    }

    /// The names of a record.
    pub fn of(record: &'a TokenView<'_>) -> Self {
        Self {
            provider: &record.provider,
            account: record.account.as_deref(),
            model: record.model.as_deref(),
            agent: record.agent.as_deref(),
            tariff: None,
            project: record.project.as_deref(),
            conversation: record.conversation.as_deref(),
            labels: record.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

/// The row of a day. Its quarters are decoded only on demand.
pub(crate) struct DayRow<'a> {
    pub day: i64,
    pub series: Series<'a>,
    value: &'a [u8],
    table: Table,
}

impl DayRow<'_> {
    fn damaged(&self) -> Error {
        Error::damaged(None, format!("a row of {} is unreadable: run `usage-ledger replay --write`", self.table.name()))
    }

    /// The sum of the whole day.
    pub fn sum(&self) -> Result<Totals> {
        day::sum(self.value).ok_or_else(|| self.damaged())
    }

    /// The sum of each quarter.
    pub fn quarters(&self) -> Result<day::Quarters> {
        day::decode(self.value).ok_or_else(|| self.damaged())
    }
}

/// Visits the rows of the UTC days `from..=to`.
pub(crate) fn scan_days(
    view: &dyn ReadView,
    level: Level,
    from: Option<i64>,
    to: Option<i64>,
    visit: &mut dyn FnMut(&DayRow<'_>) -> Flow,
) -> Result<()> {
    let table = level.table();
    let mut start = Vec::new();
    if let Some(day) = from {
        push_day(&mut start, day);
    }
    let mut end = Vec::new();
    if let Some(day) = to {
        push_day(&mut end, day);
        end = after_prefix(&end);
    }
    scan_keys(view, table, &start, &end, visit)
}

/// Visits the rows of one account on one UTC day.
pub(crate) fn scan_account_day(
    view: &dyn ReadView,
    level: Level,
    account: &AccountRef<'_>,
    day: i64,
    visit: &mut dyn FnMut(&DayRow<'_>) -> Flow,
) -> Result<()> {
    let mut start = Vec::new();
    push_day(&mut start, day);
    start.extend(account.key());
    scan_keys(view, level.table(), &start, &after_prefix(&start), visit)
}

fn scan_keys(
    view: &dyn ReadView,
    table: Table,
    start: &[u8],
    end: &[u8],
    visit: &mut dyn FnMut(&DayRow<'_>) -> Flow,
) -> Result<()> {
    view.scan(table, start, end, Order::Ascending, &mut |key, value| {
        let (day, series) = Series::from_key(key)
            .ok_or_else(|| Error::damaged(None, format!("a key of {} is unreadable", table.name())))?;
        visit(&DayRow { day, series, value, table })
    })
}
