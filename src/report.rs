//! Reports: who used how much, by any keys.

mod bucket;
mod records;
mod rollups;
mod table;

use crate::error::{Error, Result};
use crate::ledger::{Ledger, Sight};
use crate::projection::Series;
use crate::time::{QUARTER, Timestamp, Zone};

pub use table::{Table, TableRow};

/// What rows of a report are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportKey {
    /// Who served and metered the tokens.
    Provider,
    /// Which subscription.
    Account,
    /// Which model.
    Model,
    /// Which calling program.
    Agent,
    /// Which project.
    Project,
    /// Which agent session.
    Conversation,
    /// The value of a label.
    Label(String),
    /// The local hour.
    Hour,
    /// The local day.
    Day,
    /// The local ISO week, `2026-W24`.
    Week,
    /// The local month.
    Month,
    /// The session quota window of the provider account.
    Window,
}

impl ReportKey {
    /// Its name in flags, JSON and column heads.
    pub fn name(&self) -> String {
        match self {
            Self::Provider => "provider".into(),
            Self::Account => "account".into(),
            Self::Model => "model".into(),
            Self::Agent => "agent".into(),
            Self::Project => "project".into(),
            Self::Conversation => "conversation".into(),
            Self::Label(name) => format!("label:{name}"),
            Self::Hour => "hour".into(),
            Self::Day => "day".into(),
            Self::Week => "week".into(),
            Self::Month => "month".into(),
            Self::Window => "window".into(),
        }
    }

    /// The value of a key that does not depend on time.
    fn of<'s>(&self, series: &Series<'s>) -> Option<&'s str> {
        match self {
            Self::Provider => Some(series.provider),
            Self::Account => series.account,
            Self::Model => series.model,
            Self::Agent => series.agent,
            Self::Project => series.project,
            Self::Conversation => series.conversation,
            Self::Label(name) => series.label(name),
            Self::Hour | Self::Day | Self::Week | Self::Month | Self::Window => None,
        }
    }

    const fn is_time(&self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month)
    }
}

impl std::str::FromStr for ReportKey {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "provider" => Self::Provider,
            "account" => Self::Account,
            "model" => Self::Model,
            "agent" => Self::Agent,
            "project" => Self::Project,
            "conversation" => Self::Conversation,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "window" => Self::Window,
            _ => match name.strip_prefix("label:") {
                Some(label) if !label.is_empty() => Self::Label(label.to_owned()),
                _ => {
                    return Err(Error::invalid(format!(
                        "`{name}` is not a report key: use provider, account, model, agent, project, conversation, \
                         label:NAME, hour, day, week, month or window"
                    )));
                }
            },
        })
    }
}

/// A question: rows by these keys, within these limits.
///
/// ```
/// use usage_ledger::{Report, ReportKey::{Day, Provider}, Timestamp};
/// let monday: Timestamp = "2026-06-01T00:00:00Z".parse()?;
/// let report = Report::by(Day).and(Provider).since(monday).tz("Europe/Paris".parse()?);
/// # let _ = report;
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Report {
    by: Vec<ReportKey>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    zone: Zone,
    filters: Vec<(ReportKey, String)>,
}

impl Report {
    /// Rows by one key.
    pub fn by(key: ReportKey) -> Self {
        Self::by_all([key])
    }

    /// Rows by several keys; by none there is only the total.
    pub fn by_all(keys: impl IntoIterator<Item = ReportKey>) -> Self {
        Self { by: keys.into_iter().collect(), since: None, until: None, zone: Zone::UTC, filters: Vec::new() }
    }

    /// And by another key.
    pub fn and(mut self, key: ReportKey) -> Self {
        self.by.push(key);
        self
    }

    /// Only what happened at or after this instant.
    pub fn since(mut self, since: impl Into<Timestamp>) -> Self {
        self.since = Some(since.into());
        self
    }

    /// Only what happened before this instant.
    pub fn until(mut self, until: impl Into<Timestamp>) -> Self {
        self.until = Some(until.into());
        self
    }

    /// Days, weeks and months of this zone. Default UTC.
    pub const fn tz(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Only records whose key has this value; several values of one key are alternatives.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key of time: use [`since`](Self::since) and [`until`](Self::until).
    pub fn only(mut self, key: ReportKey, value: impl Into<String>) -> Result<Self> {
        if key.is_time() || key == ReportKey::Window {
            return Err(Error::invalid(format!("a report cannot be filtered by {}: use since and until", key.name())));
        }
        self.filters.push((key, value.into()));
        Ok(self)
    }

    fn admits(&self, series: &Series<'_>) -> bool {
        self.filters.iter().all(|(key, _)| {
            let value = key.of(series).unwrap_or_default();
            self.filters.iter().any(|(other, wanted)| other == key && wanted == value)
        })
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    fn keys_and_filters(&self) -> impl Iterator<Item = &ReportKey> {
        self.by.iter().chain(self.filters.iter().map(|(key, _)| key))
    }

    /// Whether the rollups, which know quarters of an hour, can cut where this report cuts.
    fn fits_rollups(&self) -> bool {
        let aligned = |at: Option<Timestamp>| at.is_none_or(|at| at.millis().rem_euclid(QUARTER) == 0);
        aligned(self.since) && aligned(self.until)
    }
}

/// Answers a report from the coarsest projection that can tell its keys apart, else from the records.
fn run(sight: &Sight<'_>, report: &Report) -> Result<Table> {
    let mut rows = table::Builder::new(report);
    let by_window = report.by.contains(&ReportKey::Window);
    let done = if by_window {
        rollups::windows(sight.view(), report, &mut rows)?
    } else {
        rollups::days(sight.view(), report, &mut rows)?
    };
    if !done {
        rows = table::Builder::new(report);
        records::all(sight, report, &mut rows)?;
    }
    rows.finish(sight.head()?.position, sight.root()?)
}

impl Sight<'_> {
    /// Answers a report.
    ///
    /// # Errors
    /// The store's own.
    pub fn report(&self, report: &Report) -> Result<Table> {
        run(self, report)
    }
}

impl Ledger {
    /// Answers a report.
    ///
    /// # Errors
    /// The store's own.
    pub fn report(&mut self, report: &Report) -> Result<Table> {
        self.sight()?.report(report)
    }
}
