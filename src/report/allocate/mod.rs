//! Allocation: splits the spend of a period between projects, or between the values of another key, exactly.

mod rules;
mod spend;
mod split;

use serde::Serialize;

use super::ReportKey;
use crate::ledger::Snapshot;
use crate::merkle::Hash;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::invariant;
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;

pub use rules::AllocationRule;

use spend::AllocatedSpend;
use split::split;

/// A query: whose parts, of which period, of which bill.
#[derive(Clone, Debug)]
#[must_use]
pub struct Allocation {
    by: ReportKey,
    since: Timestamp,
    until: Timestamp,
    bill: Option<Usd>,
    unit: Usd,
    only: Vec<(ReportKey, String)>,
}

impl Allocation {
    /// Splits the computed cost of a period, from its first instant to the first instant after it.
    pub const fn by(key: ReportKey, (since, until): (Timestamp, Timestamp)) -> Self {
        Self { by: key, since, until, bill: None, unit: Usd::from_picos(1), only: Vec::new() }
    }

    /// Splits only the cost of calls with this value of a key, such as those of the provider that sent the bill.
    pub fn only(mut self, key: ReportKey, value: impl Into<String>) -> Self {
        self.only.push((key, value.into()));
        self
    }

    /// Splits this amount instead, such as that of an invoice, in proportion to the computed costs.
    pub const fn bill(mut self, bill: Usd) -> Self {
        self.bill = Some(bill);
        self
    }

    /// The smallest unit of a part, such as a cent. Default: 10^-12 dollars, the ledger's own.
    pub const fn unit(mut self, unit: Usd) -> Self {
        self.unit = unit;
        self
    }

    /// The bill in units: the given amount, or the computed cost, rounded half up.
    fn units(&self, cost: i128) -> Result<i128> {
        let unit = self.unit.picos();
        if unit <= 0 {
            return Err(Error::invalid("the smallest unit of a part is an amount above zero, such as 0.01"));
        }
        match self.bill {
            None => Ok((cost + unit / 2).div_euclid(unit)),
            Some(bill) if bill.picos() % unit == 0 => Ok(bill.picos() / unit),
            Some(bill) => Err(Error::invalid(format!(
                "{bill} USD is not a whole number of {} USD: give a smaller unit",
                self.unit
            ))),
        }
    }
}

/// The answer: what each receiver pays. The parts sum to the bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AllocationTable {
    /// The key whose values are the receivers.
    pub by: String,
    /// The first instant of the period.
    pub since: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
    /// The last event that the answer includes.
    pub position: Position,
    /// The root of the tree at that event.
    #[serde(serialize_with = "hex")]
    pub root: Hash,
    /// The computed cost of the period.
    pub cost: Usd,
    /// Calls whose price is unknown. They weigh nothing.
    pub unpriced_requests: u64,
    /// The amount that is split.
    pub bill: Usd,
    /// The smallest unit of a part.
    pub unit: Usd,
    /// The rules that were applied, in order.
    pub rules: Vec<AppliedRule>,
    /// The parts, in the order of their receivers.
    pub receivers: Vec<AllocationReceiver>,
}

fn hex<S: serde::Serializer>(hash: &Hash, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// A rule that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppliedRule {
    /// Its name.
    pub name: String,
    /// The position of the event that set it.
    pub position: Position,
    /// The computed cost that it split.
    pub cost: Usd,
    /// Whether its rest found no usage to follow, and stayed where it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rest_stayed: bool,
}

/// The part of one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AllocationReceiver {
    /// Its name; `None` for the spend of calls without one, which no rule splits.
    pub name: Option<String>,
    /// What it pays.
    pub usd: Usd,
    /// What this consists of. The lines sum to it.
    pub lines: Vec<AllocatedLine>,
}

/// A line of a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct AllocatedLine {
    /// The rule that gave it; `None` for the receiver's own spend.
    pub rule: Option<String>,
    /// The provider.
    pub provider: String,
    /// The account, if any.
    pub account: Option<String>,
    /// The model, if any.
    pub model: Option<String>,
    /// The amount.
    pub usd: Usd,
}

impl Snapshot<'_> {
    /// Splits the spend of a period by the rules in force at a time.
    ///
    /// Each call's cost belongs to its own receiver, or to the first rule, in the order of names, whose conditions it
    /// meets. A rule splits every provider, account and model on its own, and what it gives is not split again. The
    /// bill is then split between the receivers in proportion to these costs, and each part between its lines.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the bill is no whole number of units, or if there is a bill but no cost to split it by; and
    /// the store's own errors.
    pub(crate) fn allocate(&self, request: &Allocation, now: impl Into<Timestamp>) -> Result<AllocationTable> {
        let head = self.head()?;
        let spend = AllocatedSpend::read(self, request, now.into())?;
        let units = request.units(spend.cost)?;
        let receivers = divide(&spend, units, request.unit)?;
        let unit = request.unit.picos();
        let over = || Error::Overflow { what: "bill of an allocation" };
        Ok(AllocationTable {
            by: request.by.name(),
            since: request.since,
            until: request.until,
            position: head.position,
            root: self.root()?,
            cost: Usd::from_picos(spend.cost),
            unpriced_requests: spend.unpriced_requests,
            bill: Usd::from_picos(units.checked_mul(unit).ok_or_else(over)?),
            unit: request.unit,
            rules: spend.rules,
            receivers,
        })
    }
}

/// Divides the bill between the receivers, and each part between its lines.
fn divide(spend: &AllocatedSpend, units: i128, unit: Usd) -> Result<Vec<AllocationReceiver>> {
    let weight = |cost: &i128| cost.unsigned_abs();
    let sums: Vec<u128> = spend.lines.values().map(|lines| lines.values().map(weight).sum()).collect();
    if sums.iter().all(|sum| *sum == 0) && units != 0 {
        return Err(Error::invalid(
            "the period has no call with a known price, so there is nothing to split the bill by: choose another \
             period, or set prices with `usage-ledger price set`",
        ));
    }
    let parts = if units == 0 { vec![0; sums.len()] } else { split(units, &sums)? };
    let mut receivers = Vec::new();
    for ((name, lines), part) in spend.lines.iter().zip(parts) {
        let weights: Vec<u128> = lines.values().map(weight).collect();
        let shares = if part == 0 { vec![0; weights.len()] } else { split(part, &weights)? };
        invariant!(shares.iter().sum::<i128>() == part, "the lines of a part do not sum to it");
        let lines = lines.keys().zip(shares).map(|(key, share)| AllocatedLine {
            rule: key.rule.clone(),
            provider: key.provider.clone(),
            account: key.account.clone(),
            model: key.model.clone(),
            usd: Usd::from_picos(share * unit.picos()),
        });
        receivers.push(AllocationReceiver {
            name: name.clone(),
            usd: Usd::from_picos(part * unit.picos()),
            lines: lines.collect(),
        });
    }
    Ok(receivers)
}
