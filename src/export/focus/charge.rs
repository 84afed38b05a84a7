//! Charges: usage grouped by everything that distinguishes rows.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use chrono::{Datelike, NaiveDate};

use crate::export::{ExportError, ExportOptions};
use crate::ledger::{BlockCalls, CallPart, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{NameKind, Position, TokenRecord};
use crate::model::event::{SERVICE_TIER, modality_of};
use crate::model::invariant::bug;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::model::tokens::{TokenClass, Usd};
use crate::projection::Series;
use crate::projection::blocks::{NumberedNames, series_of};
use crate::readers::price::{Extras, Prices, Tariff, Term};

/// The metered unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meter {
    Tokens(TokenClass),
    /// Calls, if a price per call applies.
    Requests,
    /// Tokens of a class other than text, such as `input_audio`.
    Modality(String),
    /// Uses of one of the provider's tools.
    Tool(String),
}

impl Meter {
    pub fn name(&self) -> &str {
        match self {
            Self::Modality(name) | Self::Tool(name) => name,
            Self::Tokens(class) => class.name(),
            Self::Requests => "requests",
        }
    }

    /// Returns quantity and unit that a price refers to.
    pub const fn unit(&self) -> (u64, &'static str) {
        match self {
            Self::Tool(_) => (1_000, "Uses"),
            Self::Tokens(_) | Self::Modality(_) => (1_000_000, "Tokens"),
            Self::Requests => (1_000, "Requests"),
        }
    }
}

/// The price of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitPrice {
    pub usd: Usd,
    pub above: u64,
    pub term: Term,
    pub own: Option<Position>,
}

/// The properties that distinguish charges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChargeKey {
    pub day: NaiveDate,
    pub provider: String,
    pub account: Option<String>,
    pub model: Option<String>,
    pub tier: Option<String>,
    pub meter: Meter,
    /// `None` if the price of a call is unknown. As in reports, a call is priced completely or not at all.
    pub price: Option<UnitPrice>,
    /// Project, agent and labels, as JSON.
    pub tags: Option<String>,
}

#[derive(Default)]
pub(super) struct ChargeSum {
    /// In the unit of the meter.
    pub quantity: u128,
    pub requests: u64,
}

type Charges = BTreeMap<ChargeKey, ChargeSum>;

/// Sums usage into charges, and passes them on in the order of their keys. The price distinguishes charges too, because it
/// depends on the prompt length of each call. A day is passed on when no later block contains one of its calls, so that memory
/// holds few days.
pub(super) fn gather(
    snapshot: &Snapshot<'_>,
    options: &ExportOptions,
    take: &mut dyn FnMut(&ChargeKey, &ChargeSum) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let prices = snapshot.prices()?;
    let is_wanted = |record: &TokenRecord| options.provider.as_ref().is_none_or(|name| *name == record.provider);
    let mut open = OpenCharges::new(snapshot)?;
    let mut failed = None;
    let done = snapshot.map_parts(
        None,
        &|block| options.provider.as_ref().is_none_or(|name| block.may_name(NameKind::Provider.hash(name))),
        &|part| {
            let mut batch = BatchCharges::new(&prices);
            let number = match part {
                CallPart::Block(block) => {
                    batch.add_block(&block, &is_wanted)?;
                    Some(block.number())
                }
                CallPart::Calls(calls) => {
                    for now in calls.iter().filter(|now| is_wanted(&now.record)) {
                        batch.add(now.at, &now.record)?;
                    }
                    None
                }
            };
            Ok((number, batch.charges()))
        },
        &mut |(number, charges): (Option<u64>, Charges)| {
            open.add(charges);
            while let Some((key, sum)) = number.and_then(|number| open.pop_done(number)) {
                if let Err(error) = take(&key, &sum) {
                    failed = Some(error);
                    return Err(Error::invalid("the charges could not be written"));
                }
            }
            Ok(())
        },
    );
    if let Some(error) = failed {
        return Err(error);
    }
    done?;
    open.sums.iter().try_for_each(|(key, sum)| take(key, sum))
}

/// Charges of which later parts of the log may hold more calls.
struct OpenCharges {
    /// The last block with a call of a day or of an earlier one. A day that is missing ends with the log.
    ends: BTreeMap<NaiveDate, u64>,
    sums: Charges,
}

impl OpenCharges {
    fn new(snapshot: &Snapshot<'_>) -> Result<Self> {
        let days = snapshot.last_blocks_of_days()?.unwrap_or_default();
        let ends = days.into_iter().scan(0, |end, (day, last)| {
            *end = last.max(*end);
            Some((Zone::UTC.day(Timestamp::from_millis(day * DAY)), *end))
        });
        Ok(Self { ends: ends.collect(), sums: Charges::new() })
    }

    fn add(&mut self, charges: Charges) {
        for (key, more) in charges {
            let sum = self.sums.entry(key).or_default();
            sum.quantity += more.quantity;
            sum.requests += more.requests;
        }
    }

    /// Removes the first charge if its day ends with a block.
    fn pop_done(&mut self, number: u64) -> Option<(ChargeKey, ChargeSum)> {
        let (first, _) = self.sums.first_key_value()?;
        let is_done = self.ends.get(&first.day).is_some_and(|end| *end <= number);
        if is_done { self.sums.pop_first() } else { None }
    }
}

/// The charges of a call, apart from the names that they share.
type CallCharges = BTreeMap<(Meter, Option<UnitPrice>), ChargeSum>;

/// The names that all charges of a call share.
struct ChargeNames {
    day: NaiveDate,
    provider: String,
    account: Option<String>,
    model: Option<String>,
    tier: Option<String>,
    tags: Option<String>,
}

/// Charges of a batch of calls. Calls with equal names share one entry, so their names are copied once.
struct BatchCharges<'p> {
    prices: &'p Prices,
    sums: HashMap<String, (ChargeNames, CallCharges)>,
    key: String,
}

impl<'p> BatchCharges<'p> {
    fn new(prices: &'p Prices) -> Self {
        Self { prices, sums: HashMap::new(), key: String::new() }
    }

    /// Writes everything that the names of a call depend on. A zero byte begins each name, and no name contains one.
    fn write_key(&mut self, day: NaiveDate, record: &TokenRecord) {
        self.key.clear();
        // Writing to a `String` cannot fail.
        let _ = write!(self.key, "{}", day.num_days_from_ce());
        let names = [&record.account, &record.model, &record.project, &record.agent];
        for name in [Some(&*record.provider)].into_iter().chain(names.map(|name| name.as_deref())) {
            // An absent name differs from an empty one.
            self.key.push_str(if name.is_some() { "\0+" } else { "\0-" });
            self.key.push_str(name.unwrap_or_default());
        }
        for (name, value) in &record.labels {
            self.key.extend(["\0", name.as_str(), "\0", value.as_str()]);
        }
    }

    /// Adds the calls of a block. Their names are read once.
    fn add_block(&mut self, block: &BlockCalls, is_wanted: &dyn Fn(&TokenRecord) -> bool) -> Result<()> {
        let mut known = NumberedNames::default();
        let mut records: Vec<Option<TokenRecord>> = Vec::new();
        block.each(&mut |column, entry| {
            let index = if let Some(index) = known.index(entry.names) {
                index
            } else {
                let key = column.key(entry.names).ok_or_else(|| block.damaged())?;
                let record = record_with(&series_of(&key).ok_or_else(|| block.damaged())?);
                records.push(Some(record).filter(is_wanted));
                known.insert(entry.names, records.len() - 1);
                records.len() - 1
            };
            let Some(Some(record)) = records.get_mut(index) else { return Ok(()) };
            for (class, count) in TokenClass::ALL.into_iter().zip(entry.totals.counts()?) {
                record.tokens.set(class, Some(u64::try_from(count).map_err(|_| block.damaged())?));
            }
            self.add(entry.at, record)
        })
    }

    fn add(&mut self, at: Timestamp, record: &TokenRecord) -> Result<()> {
        let extras = Extras::of(&record.modalities, &record.server_tools);
        let mut quoted = self.prices.origin_of_call(record, at);
        if let Some((rates, _)) = &quoted
            && rates.charge(record.tokens.counts().map(u128::from), 1, &extras).is_none()
        {
            quoted = None;
        }
        let day = Zone::UTC.day(at);
        self.write_key(day, record);
        if !self.sums.contains_key(&self.key) {
            let names = ChargeNames {
                day,
                provider: record.provider.to_string(),
                account: record.account.clone(),
                model: record.model.clone(),
                tier: record.labels.get(SERVICE_TIER).cloned(),
                tags: tags(record),
            };
            self.sums.insert(self.key.clone(), (names, CallCharges::new()));
        }
        let (_, sums) = self.sums.get_mut(&self.key).ok_or_else(|| bug!("the names of a call have no charges"))?;
        let mut add = |meter: Meter, usd: Option<Usd>, quantity: u64| {
            let price = quoted.as_ref().zip(usd).map(|((_, origin), usd)| UnitPrice {
                usd,
                above: origin.above,
                term: origin.term,
                own: origin.custom,
            });
            let sum = sums.entry((meter, price)).or_default();
            sum.quantity += u128::from(quantity);
            sum.requests += 1;
        };
        for class in TokenClass::ALL {
            let apart =
                record.modalities.iter().filter(|(name, _)| modality_of(name).is_some_and(|(of, _)| of == class));
            let apart = apart.fold(0_u128, |sum, (_, tokens)| sum + u128::from(*tokens));
            let Some(all) = record.tokens.get(class) else { continue };
            // Modalities that exceed their class do not add up: the call has no price, and its class is exported whole.
            let text = u64::try_from(apart).ok().and_then(|apart| all.checked_sub(apart)).unwrap_or(all);
            if text > 0 {
                add(Meter::Tokens(class), quoted.as_ref().and_then(|(rates, _)| rates.of(class)), text);
            }
        }
        let tools = record.server_tools.iter().map(|(name, uses)| (Meter::Tool(name.clone()), *uses));
        let modalities = record.modalities.iter().map(|(name, tokens)| (Meter::Modality(name.clone()), *tokens));
        for (meter, count) in modalities.chain(tools).filter(|(_, count)| *count > 0) {
            let usd = quoted.as_ref().and_then(|(rates, _)| rates.of_extra(meter.name()));
            add(meter, usd, count);
        }
        let requests = quoted.as_ref().map(|(rates, _)| rates.requests()).filter(|usd| *usd > Usd::default());
        if requests.is_some() {
            add(Meter::Requests, requests, 1);
        }
        Ok(())
    }

    fn charges(self) -> Charges {
        let mut charges = Charges::new();
        for (names, sums) in self.sums.into_values() {
            for ((meter, price), sum) in sums {
                let key = ChargeKey {
                    day: names.day,
                    provider: names.provider.clone(),
                    account: names.account.clone(),
                    model: names.model.clone(),
                    tier: names.tier.clone(),
                    meter,
                    price,
                    tags: names.tags.clone(),
                };
                // Different names may have equal tags.
                let total = charges.entry(key).or_default();
                total.quantity += sum.quantity;
                total.requests += sum.requests;
            }
        }
        charges
    }
}

/// A record with everything of the calls of a series that charges depend on, except counts.
fn record_with(series: &Series<'_>) -> TokenRecord {
    let name = |name: Option<&str>| name.map(str::to_owned);
    let mut record = TokenRecord::new(series.provider, "");
    record.account = name(series.account);
    record.model = name(series.model);
    record.agent = name(series.agent);
    record.project = name(series.project);
    record.labels = series.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Tariff::from_key(series.tariff.unwrap_or_default()).extras.each(|name, count| {
        let counts = if modality_of(name).is_some() { &mut record.modalities } else { &mut record.server_tools };
        counts.insert(name.to_owned(), count);
    });
    record
}

/// Returns the user's names for a call. A label takes precedence over project and agent with the same name.
fn tags(record: &TokenRecord) -> Option<String> {
    let mut tags: BTreeMap<&str, &str> =
        record.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in [("project", &record.project), ("agent", &record.agent)] {
        if let Some(value) = value {
            tags.entry(name).or_insert(value);
        }
    }
    (!tags.is_empty()).then(|| serde_json::json!(tags).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventVoided, NewEvent};
    use crate::store::{EventStore, MemoryStore, Table, clear};
    use crate::{EventId, Ledger};

    #[test]
    fn charges_from_blocks_are_those_from_lines() {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let start: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let call = |n: u64| {
            let (provider, model) =
                [("anthropic", "claude-opus-4-5"), ("openai", "gpt-5"), ("google", "gemini-2.5-pro"), ("x", "none")]
                    [n as usize % 4];
            let mut record = TokenRecord::new(provider, model).input(n * 300).output(n % 7).key(n.to_string());
            record = record.project(format!("p{}", n % 3)).conversation(format!("c{}", n / 50));
            record.account = n.is_multiple_of(5).then(|| "team".to_owned());
            record.tokens.cache_read = n.is_multiple_of(3).then_some(n);
            if n.is_multiple_of(11) {
                record.server_tools.insert("web_search".to_owned(), n % 3);
            }
            if n.is_multiple_of(13) {
                record.modalities.insert("input_audio".to_owned(), n % 200);
            }
            if n.is_multiple_of(17) {
                record.model = None;
            }
            if n.is_multiple_of(7) {
                record = record.label(SERVICE_TIER, "batch");
            }
            NewEvent::new(record.label("team", ["a", "b"][n as usize % 2]), start.plus(n as i64 * 60_000))
        };
        ledger.append((0..2_500).map(call), start).unwrap();
        let target = EventId::from_key("openai", "801");
        ledger.append([NewEvent::new(EventVoided { target, reason: "twice".to_owned() }, start)], start).unwrap();
        let export = |provider: Option<&str>| {
            let options = ExportOptions { provider: provider.map(str::to_owned), ..ExportOptions::default() };
            let mut charges = Vec::new();
            let mut take = |key: &ChargeKey, sum: &ChargeSum| {
                charges.push((key.clone(), sum.quantity, sum.requests));
                Ok(())
            };
            gather(&ledger.snapshot().unwrap(), &options, &mut take).unwrap();
            assert!(charges.is_sorted_by(|a, b| a.0 < b.0), "each charge once, in order");
            charges
        };
        let from_blocks = [export(None), export(Some("openai"))];
        assert!(from_blocks[0].len() > 100);
        let mut tx = store.write().unwrap();
        clear(&mut *tx, Table::Blocks).unwrap();
        clear(&mut *tx, Table::Columns).unwrap();
        tx.commit().unwrap();
        assert_eq!([export(None), export(Some("openai"))], from_blocks);
    }

    /// A call every ten minutes: a block holds seven days.
    #[test]
    fn a_day_is_passed_on_when_no_later_block_holds_it() {
        let ledger = Ledger::in_memory().unwrap();
        let start: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let call = |n: u64| {
            NewEvent::new(
                TokenRecord::new("openai", "gpt-5").input(1).key(n.to_string()),
                start.plus(n as i64 * 600_000),
            )
        };
        ledger.append((0..3_500).map(call), start).unwrap();
        let day = |n: i64| Zone::UTC.day(start.plus(n * DAY));
        let ends = || {
            let open = OpenCharges::new(&ledger.snapshot().unwrap()).unwrap();
            (0..25).map(|n| open.ends.get(&day(n)).copied()).collect::<Vec<_>>()
        };
        let before = ends();
        assert_eq!([before[0], before[6], before[7], before[14]], [Some(0), Some(0), Some(1), Some(2)]);
        assert_eq!(
            [before[21], before[24]],
            [Some(u64::MAX), Some(u64::MAX)],
            "its calls are behind the last full block"
        );
        // A call of the third day is recorded last.
        let late = NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1).key("late"), start.plus(2 * DAY));
        ledger.append([late], start).unwrap();
        let after = ends();
        assert_eq!([after[0], after[1], after[2], after[6]], [Some(0), Some(0), Some(u64::MAX), Some(u64::MAX)]);

        let mut open = OpenCharges::new(&ledger.snapshot().unwrap()).unwrap();
        let mut charges = Vec::new();
        gather(&ledger.snapshot().unwrap(), &ExportOptions::default(), &mut |key, sum| {
            charges.push((key.clone(), sum.quantity));
            Ok(())
        })
        .unwrap();
        assert_eq!(charges.iter().map(|(_, quantity)| *quantity).collect::<Vec<_>>()[..4], [144, 144, 145, 144]);
        for (key, quantity) in charges.into_iter().take(3) {
            open.add(Charges::from([(key, ChargeSum { quantity, requests: 1 })]));
        }
        let done: Vec<NaiveDate> = std::iter::from_fn(|| open.pop_done(1)).map(|(key, _)| key.day).collect();
        assert_eq!(done, [day(0), day(1)]);
    }
}
