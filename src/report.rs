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
///
/// ```
/// use usage_ledger::ReportKey;
/// assert_eq!("day".parse::<ReportKey>()?, ReportKey::Day);
/// assert_eq!("label:team".parse::<ReportKey>()?, ReportKey::Label("team".to_owned()));
/// assert!("colour".parse::<ReportKey>().is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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
    ///
    /// ```
    /// # use usage_ledger::ReportKey;
    /// assert_eq!(ReportKey::Label("team".to_owned()).name(), "label:team");
    /// ```
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

    /// Reads a [`name`](ReportKey::name).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is no key; the message lists those there are.
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
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("ollama", "qwen3").input(2), now)?;
    /// assert_eq!(ledger.report(&Report::by(ReportKey::Provider))?.rows.len(), 2);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn by(key: ReportKey) -> Self {
        Self::by_all([key])
    }

    /// Rows by several keys; by none there is only the total.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let table = ledger.report(&Report::by_all([]))?;
    /// assert!(table.rows.is_empty());
    /// assert_eq!(table.total.tokens.total(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn by_all(keys: impl IntoIterator<Item = ReportKey>) -> Self {
        Self { by: keys.into_iter().collect(), since: None, until: None, zone: Zone::UTC, filters: Vec::new() }
    }

    /// And by another key.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey::{Model, Provider}};
    /// let table = Ledger::in_memory()?.report(&Report::by(Provider).and(Model))?;
    /// assert_eq!(table.keys, [Provider, Model]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn and(mut self, key: ReportKey) -> Self {
        self.by.push(key);
        self
    }

    /// Only what happened at or after this instant.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let by_day = || Report::by(ReportKey::Day);
    /// assert_eq!(ledger.report(&by_day().since(now))?.total.requests, 1); // the instant itself is in
    /// assert_eq!(ledger.report(&by_day().since(now.plus(1)))?.total.requests, 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn since(mut self, since: impl Into<Timestamp>) -> Self {
        self.since = Some(since.into());
        self
    }

    /// Only what happened before this instant.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let by_day = || Report::by(ReportKey::Day);
    /// assert_eq!(ledger.report(&by_day().until(now))?.total.requests, 0); // the instant itself is out
    /// assert_eq!(ledger.report(&by_day().until(now.plus(1)))?.total.requests, 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn until(mut self, until: impl Into<Timestamp>) -> Self {
        self.until = Some(until.into());
        self
    }

    /// Days, weeks and months of this zone. Default UTC.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// let mut ledger = Ledger::in_memory()?;
    /// let evening: usage_ledger::Timestamp = "2026-11-23T20:00:00Z".parse()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), evening)?;
    /// let table = ledger.report(&Report::by(ReportKey::Day).tz("Asia/Tokyo".parse()?))?;
    /// assert_eq!(table.rows[0].keys, [Some("2026-11-24".to_owned())]); // it is tomorrow there
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn tz(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Only records whose key has this value; several values of one key are alternatives.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key of time: use [`since`](Self::since) and [`until`](Self::until).
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey::{Day, Model, Provider}, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("ollama", "qwen3").input(2), now)?;
    /// let table = ledger.report(&Report::by(Model).only(Provider, "ollama")?)?;
    /// assert_eq!(table.total.tokens.total(), 2);
    /// assert!(Report::by(Model).only(Day, "2026-11-23").is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
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
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let before = ledger.as_of(AsOf::Position(0.into()))?;
    /// assert!(before.report(&Report::by(ReportKey::Model))?.rows.is_empty());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn report(&self, report: &Report) -> Result<Table> {
        run(self, report)
    }
}

impl Ledger {
    /// Answers a report.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(30).output(12), now)?;
    /// let table = ledger.report(&Report::by(ReportKey::Model))?;
    /// assert_eq!(table.rows[0].usage.tokens.total(), 42);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn report(&mut self, report: &Report) -> Result<Table> {
        self.sight()?.report(report)
    }
}
