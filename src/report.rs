//! Reports: usage by any keys.

#[cfg(feature = "cli")]
pub(crate) mod allocate;
mod bucket;
#[cfg(feature = "cli")]
mod call_sums;
mod dates;
#[cfg(feature = "cli")]
pub(crate) mod efficiency;
#[cfg(test)]
mod equal_tests;
mod hit_rate;
mod key;
pub(crate) mod names;
#[cfg(feature = "cli")]
mod outcomes;
mod pieces;
#[cfg(feature = "cli")]
mod priced_calls;
mod pricing;
mod records;
mod redate;
mod restatement;
mod rollups;
mod row_keys;
mod seal;
mod seal_check;
mod sealed_rows;
mod table;
#[cfg(feature = "cli")]
mod times;
mod total_proof;
mod windows;

use std::borrow::Cow;

use crate::ledger::{Ledger, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::TokenRecord;
use crate::model::time::{QUARTER, Timestamp, Zone};
use crate::projection::blocks::quarter_of;
use crate::projection::{Level, Series};
use crate::readers::price::Prices;

use pieces::Pieces;
use pricing::PriceCache;
use windows::ReportWindows;

#[cfg(feature = "cli")]
pub(crate) use allocate::AllocationRule;
#[cfg(feature = "cli")]
pub(crate) use allocate::{AllocatedLine, Allocation, AllocationReceiver, AllocationTable};
#[cfg(feature = "cli")]
pub(crate) use call_sums::CallSum;
pub use dates::{DateWindow, Granularity};
#[cfg(feature = "cli")]
pub(crate) use efficiency::Efficiency;
pub use key::ReportKey;
#[cfg(feature = "cli")]
pub(crate) use priced_calls::PricedCall;
pub use restatement::Restatement;
pub use seal::Seal;
pub use table::{ReportRow, ReportTable};
#[cfg(feature = "cli")]
pub(crate) use times::ConversationTimes;
pub use total_proof::TotalRequest;

/// A query: the keys of its rows, and its filters.
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
    prices: Option<Prices>,
    fill: bool,
    by_counted_at: bool,
}

impl Report {
    /// A report with rows by one key.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("ollama", "qwen3").input(2), now)?;
    /// assert_eq!(ledger.report(&Report::by(ReportKey::Provider))?.rows.len(), 2);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn by(key: ReportKey) -> Self {
        Self::by_all([key])
    }

    /// A report with rows by several keys; without keys there is only the total.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let table = ledger.report(&Report::by_all([]))?;
    /// assert!(table.rows.is_empty());
    /// assert_eq!(table.total.tokens.total(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn by_all(keys: impl IntoIterator<Item = ReportKey>) -> Self {
        Self {
            by: keys.into_iter().collect(),
            since: None,
            until: None,
            zone: Zone::UTC,
            filters: Vec::new(),
            prices: None,
            fill: false,
            by_counted_at: false,
        }
    }

    /// Adds another key.
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

    /// Only calls at or after this instant.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
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

    /// Only calls before this instant.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
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

    /// The zone of days, weeks and months. Default UTC.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// let ledger = Ledger::in_memory()?;
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
    /// [`Error::Invalid`] for a time key: use [`since`](Self::since) and [`until`](Self::until).
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey::{Day, Model, Provider}, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
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

    /// Computes costs with other prices than [those of the ledger](Snapshot::prices).
    /// [`Cost::usd`](crate::usage::Cost::usd) of rows and total is the sum of the priced requests, and
    /// `unpriced_requests` counts the others.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey::Provider, TokenRecord, price::Prices};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1_000_000), now)?;
    /// ledger.record(TokenRecord::new("openai", "o9").input(1), now)?;
    /// let prices = Prices::from_json(r#"{"gpt-5": {"input": 1.25, "output": 10}}"#)?;
    /// let cost = ledger.report(&Report::by(Provider).prices(prices))?.total.cost;
    /// assert_eq!((cost.usd, cost.unpriced_requests), (Some("1.25".parse()?), 1));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = Some(prices);
        self
    }

    /// Includes days without a record in a report by day alone: from `since` to `until`, or else from its first row to
    /// its last.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a report by other keys.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey::{Day, Model}, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now.plus(3 * usage_ledger::time::DAY))?;
    /// assert_eq!(ledger.report(&Report::by(Day).fill()?)?.rows.len(), 4);
    /// assert!(Report::by(Model).fill().is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn fill(mut self) -> Result<Self> {
        if self.by != [ReportKey::Day] {
            return Err(Error::invalid("only a report by day alone can have its empty days filled: group by day"));
        }
        self.fill = true;
        Ok(self)
    }

    /// Only these days, in the zone that the report has now.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey::Day, report::{DateWindow, Granularity}};
    /// let week = DateWindow::ending("2026-06-15".parse()?, 7, 0, Granularity::Day);
    /// let table = Ledger::in_memory()?.report(&Report::by(Day).days(week).fill()?)?;
    /// assert_eq!(table.rows.len(), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn days(self, window: DateWindow) -> Self {
        let (since, until) = window.range(self.zone);
        self.since(since).until(until)
    }

    /// The time of a call for this report.
    fn date(&self, at: Timestamp, record: &TokenRecord) -> Timestamp {
        if self.by_counted_at { record.counted_time(at) } else { at }
    }

    fn prices_in<'p>(&'p self, snapshot: &Snapshot<'_>) -> Result<Cow<'p, Prices>> {
        match &self.prices {
            Some(prices) => Ok(Cow::Borrowed(prices)),
            None => snapshot.prices().map(Cow::Owned),
        }
    }

    fn admits(&self, series: &Series<'_>) -> bool {
        self.filters.iter().all(|(key, _)| {
            let value = key.of(series).unwrap_or_default();
            self.filters.iter().any(|(other, wanted)| other == key && wanted == value)
        })
    }

    /// Whether an instant is within its range.
    pub(crate) fn covers(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    fn keys_and_filters(&self) -> impl Iterator<Item = &ReportKey> {
        self.by.iter().chain(self.filters.iter().map(|(key, _)| key))
    }

    /// The coarsest rollup that separates its keys and filters.
    fn level(&self) -> Level {
        let has = |wanted: fn(&ReportKey) -> bool| self.keys_and_filters().any(wanted);
        let label = has(|key| key.label().is_some());
        let project = has(|key| *key == ReportKey::Project);
        if has(|key| *key == ReportKey::Conversation) || (label && project) {
            Level::Conversation
        } else if label {
            Level::Label
        } else if project {
            Level::Project
        } else {
            Level::Model
        }
    }

    /// Whether the range begins or ends within a quarter of an hour.
    fn cuts(&self, quarter: i64) -> bool {
        let within = |at: Option<Timestamp>| {
            at.is_some_and(|at| at.millis().rem_euclid(QUARTER) != 0 && quarter_of(at) == quarter)
        };
        within(self.since) || within(self.until)
    }

    /// Whether the range begins and ends at quarters of an hour.
    fn is_aligned(&self) -> bool {
        let aligned = |at: Option<Timestamp>| at.is_none_or(|at| at.millis().rem_euclid(QUARTER) == 0);
        aligned(self.since) && aligned(self.until)
    }

    /// Whether an account passes the filters on accounts.
    fn admits_account(&self, series: &Series<'_>) -> bool {
        let of_account = |key: &ReportKey| matches!(key, ReportKey::Provider | ReportKey::Account);
        self.filters.iter().filter(|(key, _)| of_account(key)).all(|(key, _)| {
            let value = key.of(series).unwrap_or_default();
            self.filters.iter().any(|(other, wanted)| other == key && wanted == value)
        })
    }
}

/// Answers a report from the coarsest rollup that separates its keys and prices, and from single records in quarters of
/// an hour that a border cuts.
fn run(snapshot: &Snapshot<'_>, report: &Report) -> Result<ReportTable> {
    let prices = report.prices_in(snapshot)?;
    let mut costs = PriceCache::new(&prices);
    let by_window = report.by.contains(&ReportKey::Window);
    let mut rows = table::TableBuilder::default();
    // Dating calls by `counted_at` may move them within a quarter, and from one window to another.
    let done = (!report.by_counted_at || (report.is_aligned() && !by_window)) && {
        let view = snapshot.view();
        let windows = by_window.then(|| ReportWindows::read(view, report)).transpose()?;
        let mut pieces = Pieces::default();
        rollups::days(view, report, windows.as_ref(), &mut pieces, &mut costs, &mut rows)?;
        pieces::add(snapshot, report, windows.as_ref(), &pieces, &mut costs, &mut rows)?;
        !report.by_counted_at || redate::redate(view, report, &costs, &mut rows)?
    };
    if !done {
        rows = table::TableBuilder::default();
        records::all(snapshot, report, &costs, &mut rows)?;
    }
    rows.finish(report, snapshot.head()?.position, snapshot.root()?, prices.source())
}

impl Snapshot<'_> {
    /// Answers a report.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let before = ledger.as_of(AsOf::Position(0.into()))?;
    /// assert!(before.report(&Report::by(ReportKey::Model))?.rows.is_empty());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn report(&self, report: &Report) -> Result<ReportTable> {
        run(self, report)
    }
}

impl Ledger {
    /// Answers a report.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(30).output(12), now)?;
    /// let table = ledger.report(&Report::by(ReportKey::Model))?;
    /// assert_eq!(table.rows[0].usage.tokens.total(), 42);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn report(&self, report: &Report) -> Result<ReportTable> {
        self.snapshot()?.report(report)
    }
}
