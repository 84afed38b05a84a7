//! A provider's export of usage or costs, as it was received.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, account_names};
#[cfg(feature = "import")]
use super::scrub;
use super::{AccountRef, NameKind, Subject};
use crate::model::error::{Error, Result};
use crate::model::humanize::number::counted;
use crate::model::provider::ProviderId;
use crate::model::secrets;
use crate::model::serde_skip::is_zero;
use crate::model::time::{DAY, Timestamp};
use crate::model::tokens::Usd;

/// Bytes of the longest name.
const MAX_TEXT: usize = 4_096;
/// The kinds of names that identify no person, key, workspace or request. They stay when an event is shredded.
const KEPT_NAMES: [&str; 5] = ["model", "tier", "speed", "geography", "context"];

/// The rows of a statement with equal times and names.
///
/// ```
/// use usage_ledger::event::StatementBucket;
/// let day = ("2026-05-01T00:00:00Z".parse()?, "2026-05-02T00:00:00Z".parse()?);
/// let bucket = StatementBucket::new(day).name("model", "gpt-5").tokens("input", 1_200);
/// assert_eq!((bucket.tokens["input"], bucket.usd), (1_200, None));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StatementBucket {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
    /// What its rows are about: `model`, `key`, `key_id`, `workspace`, `user`, `tier`, `id` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    /// Tokens by class of the statement: `input`, `cache_read`, `output`, or `prompt` for all input classes together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, u64>,
    /// The number of requests, if the statement has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// What is charged, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Usd>,
    /// The price by the provider's list, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_usd: Option<Usd>,
    /// How many rows have an amount. Each of them may be rounded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub amounts: u64,
}

impl StatementBucket {
    /// A bucket without counts, from its first instant to the first instant after it.
    ///
    /// ```
    /// # use usage_ledger::event::StatementBucket;
    /// let day = ("2026-05-01T00:00:00Z".parse()?, "2026-05-02T00:00:00Z".parse()?);
    /// assert!(StatementBucket::new(day).tokens.is_empty());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn new((start, end): (Timestamp, Timestamp)) -> Self {
        Self {
            start,
            end,
            names: BTreeMap::new(),
            tokens: BTreeMap::new(),
            requests: None,
            usd: None,
            list_usd: None,
            amounts: 0,
        }
    }

    /// Adds a name.
    ///
    /// ```
    /// # use usage_ledger::event::StatementBucket;
    /// # let day = ("2026-05-01T00:00:00Z".parse()?, "2026-05-02T00:00:00Z".parse()?);
    /// assert_eq!(StatementBucket::new(day).name("model", "gpt-5").names["model"], "gpt-5");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    #[must_use]
    pub fn name(mut self, kind: &str, name: impl Into<String>) -> Self {
        self.names.insert(kind.to_owned(), name.into());
        self
    }

    /// Sets the count of a class.
    ///
    /// ```
    /// # use usage_ledger::event::StatementBucket;
    /// # let day = ("2026-05-01T00:00:00Z".parse()?, "2026-05-02T00:00:00Z".parse()?);
    /// assert_eq!(StatementBucket::new(day).tokens("output", 40).tokens["output"], 40);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    #[must_use]
    pub fn tokens(mut self, class: &str, count: u64) -> Self {
        self.tokens.insert(class.to_owned(), count);
        self
    }
}

/// The sums of a UTC day and a model of a statement. They show what a statement confirms without its buckets.
///
/// ```
/// use usage_ledger::event::{StatementBucket, StatementDay};
/// let hour = |hour: u32| ["00", "59"].map(|minute| format!("2026-05-01T{hour:02}:{minute}:00Z").parse().unwrap()).into();
/// let bucket = |at: u32| StatementBucket::new(hour(at)).name("model", "gpt-5").tokens("input", 40);
/// let days = StatementDay::of(&[bucket(3), bucket(4)])?;
/// assert_eq!((days.len(), days[0].model.as_deref(), days[0].tokens["input"]), (1, Some("gpt-5"), 80));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StatementDay {
    /// The first instant of the day.
    pub day: Timestamp,
    /// The model; absent for buckets without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens by class of the statement.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, u64>,
    /// What is charged, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Usd>,
    /// How many rows have an amount.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub amounts: u64,
}

impl StatementDay {
    /// The sums of buckets, in the order of days and models. A bucket counts on the day on which it starts.
    ///
    /// # Errors
    /// [`Error::Overflow`] for a sum beyond its range.
    ///
    /// ```
    /// # use usage_ledger::event::StatementDay;
    /// assert!(StatementDay::of(&[])?.is_empty());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn of(buckets: &[StatementBucket]) -> Result<Vec<Self>> {
        let over = || Error::Overflow { what: "counts of a statement" };
        let mut days: BTreeMap<(Timestamp, Option<&String>), Self> = BTreeMap::new();
        for bucket in buckets {
            let day = Timestamp::from_millis(bucket.start.millis() - bucket.start.millis().rem_euclid(DAY));
            let model = bucket.names.get("model");
            let sums = days.entry((day, model)).or_insert_with(|| Self {
                day,
                model: model.cloned(),
                tokens: BTreeMap::new(),
                usd: None,
                amounts: 0,
            });
            for (class, count) in &bucket.tokens {
                let sum = sums.tokens.entry(class.clone()).or_default();
                *sum = sum.checked_add(*count).ok_or_else(over)?;
            }
            if let Some(usd) = bucket.usd {
                sums.usd = Some(sums.usd.unwrap_or_default().checked_add(usd)?);
                sums.amounts = sums.amounts.checked_add(bucket.amounts).ok_or_else(over)?;
            }
        }
        Ok(days.into_values().collect())
    }
}

/// A provider's export of usage or costs for a period. It changes no usage record.
///
/// A statement with many buckets is several events, its parts. A later statement replaces an earlier one of the same
/// provider, account and measure where their periods overlap; both stay.
///
/// ```
/// use usage_ledger::{Ledger, event::{NewEvent, StatementBucket, StatementReceived}};
/// # let now = "2026-06-02T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let day = ("2026-05-01T00:00:00Z".parse()?, "2026-05-02T00:00:00Z".parse()?);
/// let mut statement = StatementReceived::new("openai", "ab".repeat(32), "an OpenAI usage export", day);
/// statement.buckets.push(StatementBucket::new(day).name("model", "gpt-5").tokens("input", 1_200));
/// let ledger = Ledger::in_memory()?;
/// ledger.append([NewEvent::new(statement, now)], now)?;
/// assert_eq!(ledger.event(1)?.payload.kind(), "statement_received");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StatementReceived {
    /// The SHA-256 of the file, in hex.
    pub file: String,
    /// The kind of export.
    pub export: String,
    /// The provider.
    pub provider: String,
    /// The account, if the statement is about one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The first instant of the period.
    pub since: Timestamp,
    /// The first instant after the period.
    pub until: Timestamp,
    /// The zone of the statement's days.
    pub zone: String,
    /// The part, from 1 on.
    pub part: u32,
    /// The number of parts.
    pub parts: u32,
    /// The unit to which each amount is rounded, in US dollars; absent for exact amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounded_to: Option<Usd>,
    /// Lines of the file that repeat another line. No bucket contains them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeated_lines: Vec<u64>,
    /// How many rows bill something other than tokens. No bucket contains them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_rows: u64,
    /// The sums of the buckets of all parts by day and model, in the first part. Builds that wrote none are older.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<StatementDay>,
    /// The buckets of this part.
    pub buckets: Vec<StatementBucket>,
}

impl StatementReceived {
    /// The most buckets of one event. A line then has about 64 KiB.
    #[cfg(feature = "cli")]
    pub(crate) const MOST_BUCKETS: usize = 256;

    /// A statement without buckets: its provider, the SHA-256 of its file in hex, the kind of export, and its period.
    ///
    /// ```
    /// # use usage_ledger::event::StatementReceived;
    /// let may = ("2026-05-01T00:00:00Z".parse()?, "2026-06-01T00:00:00Z".parse()?);
    /// let statement = StatementReceived::new("openai", "ab".repeat(32), "an OpenAI usage export", may);
    /// assert_eq!((statement.zone.as_str(), statement.parts), ("UTC", 1));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(
        provider: &str,
        file: impl Into<String>,
        export: impl Into<String>,
        (since, until): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            file: file.into(),
            export: export.into(),
            provider: ProviderId::resolve(provider).map_or_else(|_| provider.to_owned(), |id| id.as_str().to_owned()),
            account: None,
            since,
            until,
            zone: "UTC".to_owned(),
            part: 1,
            parts: 1,
            rounded_to: None,
            repeated_lines: Vec::new(),
            other_rows: 0,
            days: Vec::new(),
            buckets: Vec::new(),
        }
    }

    /// Whether any bucket has an amount of money.
    pub(crate) fn has_money(&self) -> bool {
        self.days.iter().any(|day| day.usd.is_some()) || self.buckets.iter().any(|bucket| bucket.usd.is_some())
    }
}

impl EventData for StatementReceived {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        account_names(&AccountRef::new(&self.provider, self.account.as_deref()), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        let mut kept = self.clone();
        for bucket in &mut kept.buckets {
            bucket.names.retain(|kind, _| KEPT_NAMES.contains(&kind.as_str()));
        }
        Ok(kept)
    }

    fn summary(&self) -> String {
        let account = AccountRef::new(&self.provider, self.account.as_deref());
        let part = if self.parts > 1 { format!(", part {} of {}", self.part, self.parts) } else { String::new() };
        let buckets = counted(self.buckets.len() as u64, "bucket");
        format!("{account} from {} until {}, {}: {buckets}{part}", self.since, self.until, self.export)
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        for bucket in &mut self.buckets {
            for name in bucket.names.values_mut() {
                scrub::apply(name, secrets::name);
            }
        }
        for model in self.days.iter_mut().filter_map(|day| day.model.as_mut()) {
            scrub::apply(model, secrets::name);
        }
    }

    fn validate(&self) -> Result<()> {
        ProviderId::new(&self.provider)?;
        if self.file.len() != 64 || !self.file.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::invalid("the file of a statement is named by its SHA-256 in hex: 64 characters"));
        }
        if self.since >= self.until {
            return Err(Error::invalid(format!("a statement from {} until {} has no period", self.since, self.until)));
        }
        if self.part == 0 || self.part > self.parts {
            return Err(Error::invalid(format!("part {} of {} does not exist", self.part, self.parts)));
        }
        let mut texts = vec![self.export.as_str(), self.zone.as_str()];
        texts.extend(self.account.as_deref());
        for bucket in &self.buckets {
            if bucket.start >= bucket.end {
                return Err(Error::invalid(format!("the bucket at {} ends before it begins", bucket.start)));
            }
            texts.extend(bucket.names.iter().flat_map(|(kind, name)| [kind.as_str(), name.as_str()]));
            texts.extend(bucket.tokens.keys().map(String::as_str));
            let amounts = [bucket.usd, bucket.list_usd].into_iter().flatten();
            if amounts.into_iter().any(|usd| usd > Usd::MOST || usd < Usd::MOST.negated()) {
                return Err(Error::Overflow { what: "amount of a statement" });
            }
        }
        for day in &self.days {
            texts.extend(day.model.as_deref());
            texts.extend(day.tokens.keys().map(String::as_str));
            if day.day.millis().rem_euclid(DAY) != 0 {
                return Err(Error::invalid(format!("the sums of {} begin within a UTC day", day.day)));
            }
        }
        if self.parts == 1 && !self.days.is_empty() && self.days != StatementDay::of(&self.buckets)? {
            return Err(Error::invalid("the sums by day of a statement are not those of its buckets"));
        }
        match texts.iter().find(|text| text.is_empty() || text.len() > MAX_TEXT || text.contains('\0')) {
            None => Ok(()),
            Some(text) => Err(Error::invalid(format!(
                "a name of the statement is empty, has a zero byte, or is longer than {MAX_TEXT} bytes: `{}`",
                secrets::text(text).chars().take(60).collect::<String>()
            ))),
        }
    }
}
