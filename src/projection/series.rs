//! The rollups and the names in their keys.

use std::borrow::Cow;

use super::day;
use super::key::{day_of, push_day, push_text, texts};
use super::totals::Totals;
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, TokenView};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::readers::price::Tariff;
use crate::store::{Flow, Order, ReadView, Table, after_prefix};

/// The length of the day in a row's key, in bytes.
pub(super) const DAY_BYTES: usize = 3;

/// The granularity of a rollup. A coarser one is faster to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Provider, account, model, agent, and tariff.
    Model,
    /// Those of a model, and project.
    Project,
    /// Those of a project, and conversation and labels.
    Conversation,
    /// Those of a model, and labels.
    Label,
}

/// Where the parts end in the finest key of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyEnds {
    /// The end of the names that the coarsest rollup separates.
    pub model: usize,
    pub project: usize,
    pub conversation: usize,
}

impl KeyEnds {
    /// Finds the ends in a row's key; `None` if it has too few parts.
    pub fn of(key: &[u8]) -> Option<Self> {
        let texts = key.iter().enumerate().skip(DAY_BYTES);
        let mut ends = texts.filter(|(_, byte)| **byte == 0).map(|(place, _)| place + 1);
        Some(Self { model: ends.nth(4)?, project: ends.next()?, conversation: ends.next()? })
    }
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Model, Self::Project, Self::Conversation, Self::Label];

    pub const fn table(self) -> Table {
        match self {
            Self::Model => Table::ByModel,
            Self::Project => Table::ByProject,
            Self::Conversation => Table::ByConversation,
            Self::Label => Table::ByLabel,
        }
    }

    /// Writes the finest key of a record and returns the ends of its parts.
    pub fn write_key(key: &mut Vec<u8>, at: Timestamp, record: &TokenView<'_>) -> KeyEnds {
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
        let conversation = key.len();
        for (name, value) in &record.labels {
            push_text(key, Some(name));
            push_text(key, Some(value));
        }
        KeyEnds { model, project, conversation }
    }

    /// The key of this level, from the finest key that [`write_key`](Self::write_key) wrote.
    pub fn key_in(self, key: &[u8], ends: KeyEnds) -> Result<Cow<'_, [u8]>> {
        let end = match self {
            Self::Conversation => return Ok(Cow::Borrowed(key)),
            Self::Project => ends.project,
            Self::Model | Self::Label => ends.model,
        };
        let outside = || bug!("the ends {ends:?} in a key of {} bytes", key.len());
        let front = key.get(..end).ok_or_else(outside)?;
        if self != Self::Label {
            return Ok(Cow::Borrowed(front));
        }
        // A key without project and conversation.
        let labels = key.get(ends.conversation..).ok_or_else(outside)?;
        Ok(Cow::Owned([front, b"\0\0", labels].concat()))
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
        let mut texts = texts(key.get(DAY_BYTES..)?)?;
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

    /// Visits the number of each quarter.
    #[cfg(feature = "cli")]
    pub fn quarter_numbers(&self, visit: &mut dyn FnMut(u8)) -> Result<()> {
        day::numbers(self.value, visit).ok_or_else(|| self.damaged())
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
