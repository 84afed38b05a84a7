//! The computed cost of a period by receiver, after the rules were applied.

use std::collections::BTreeMap;

use super::rules::{self, AllocationRule};
use super::split::split;
use super::{Allocation, AppliedRule};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::{AllocationMeasure, AllocationRest, Share};
use crate::model::invariant::{bug, invariant};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::report::{Report, ReportKey};
use crate::usage::Usage;

/// What separates the lines of a part. The receiver's own spend comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AllocatedLineKey {
    pub rule: Option<String>,
    pub provider: String,
    pub account: Option<String>,
    pub model: Option<String>,
}

/// Costs in 10^-12 dollars, by receiver and line.
type CostLines = BTreeMap<Option<String>, BTreeMap<AllocatedLineKey, i128>>;

pub(super) struct AllocatedSpend {
    pub lines: CostLines,
    pub cost: i128,
    pub unpriced_requests: u64,
    pub rules: Vec<AppliedRule>,
}

/// What the receivers themselves used, by which rules split.
#[derive(Default)]
struct OwnUsage {
    cost: u128,
    tokens: u128,
    requests: u128,
}

impl OwnUsage {
    fn add(&mut self, usage: &Usage, cost: i128) {
        self.cost += cost.unsigned_abs();
        self.tokens += usage.tokens.total();
        self.requests += u128::from(usage.requests);
    }

    const fn measured(&self, measure: AllocationMeasure) -> u128 {
        match measure {
            AllocationMeasure::Cost => self.cost,
            AllocationMeasure::Tokens => self.tokens,
            AllocationMeasure::Requests => self.requests,
        }
    }
}

impl AllocatedSpend {
    /// Reads the costs of a period and applies the rules.
    pub fn read(snapshot: &Snapshot<'_>, request: &Allocation, now: Timestamp) -> Result<Self> {
        let by = &request.by;
        let rules: Vec<AllocationRule> =
            rules::in_force(snapshot.view(), now)?.into_iter().filter(|rule| rule.set.by == by.name()).collect();
        let mut keys = vec![by.clone()];
        let conditions = rules.iter().map(AllocationRule::condition_keys).collect::<Result<Vec<_>>>()?;
        let of_lines = [ReportKey::Provider, ReportKey::Account, ReportKey::Model];
        for key in of_lines.into_iter().chain(conditions.into_iter().flatten()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut report = Report::by_all(keys.clone()).since(request.since).until(request.until);
        for (key, value) in &request.only {
            report = report.only(key.clone(), value.clone())?;
        }
        let table = snapshot.report(&report)?;
        let mut own: BTreeMap<String, OwnUsage> = BTreeMap::new();
        let mut lines = CostLines::new();
        // For each rule: whose spend it takes, and how much of each line.
        let mut pools: Vec<CostLines> = rules.iter().map(|_| CostLines::new()).collect();
        for row in &table.rows {
            let cost = row.usage.cost.usd.unwrap_or_default().picos();
            invariant!(cost >= 0, "a computed cost below zero");
            let value = |name: &str| -> Result<Option<String>> {
                let place = keys.iter().position(|key| key.name() == name);
                let value = place.and_then(|place| row.keys.get(place));
                value.cloned().ok_or_else(|| bug!("a report without its key {name}"))
            };
            let receiver = value(&by.name())?;
            let line = AllocatedLineKey {
                rule: None,
                provider: value("provider")?.ok_or_else(|| bug!("a row of a report without a provider"))?,
                account: value("account")?,
                model: value("model")?,
            };
            let mut taken = None;
            for (rule, pool) in rules.iter().zip(&mut pools) {
                if rule.splits(&value)? {
                    taken = Some(pool);
                    break;
                }
            }
            if let (None, Some(name)) = (&taken, &receiver) {
                own.entry(name.clone()).or_default().add(&row.usage, cost);
            }
            // A call without a known price weighs nothing, and needs no line.
            if cost > 0 {
                *taken.unwrap_or(&mut lines).entry(receiver).or_default().entry(line).or_default() += cost;
            }
        }
        let mut applied = Vec::new();
        for (rule, pool) in rules.iter().zip(pools) {
            applied.push(apply(rule, pool, &own, &mut lines)?);
        }
        let cost = table.total.cost.usd.unwrap_or_default().picos();
        let sum: i128 = lines.values().flat_map(BTreeMap::values).sum();
        // Rows and total are rounded to 10^-12 dollars separately. The bill is split in proportion, so its parts sum to it.
        let rounding = table.rows.len() as u128;
        invariant!(sum.abs_diff(cost) <= rounding, "the parts of {sum} do not sum to the cost of {cost}");
        Ok(Self { lines, cost, unpriced_requests: table.total.cost.unpriced_requests, rules: applied })
    }
}

/// Splits a pool by its rule.
fn apply(
    rule: &AllocationRule,
    pool: CostLines,
    own: &BTreeMap<String, OwnUsage>,
    lines: &mut CostLines,
) -> Result<AppliedRule> {
    let weights = weights(rule, own)?;
    let mut cost = 0;
    for (owner, taken) in pool {
        for (line, amount) in taken {
            cost += amount;
            let line = AllocatedLineKey { rule: Some(rule.set.name.clone()), ..line };
            let numbers: Vec<u128> = weights.parts.iter().map(|(_, weight)| *weight).collect();
            for ((receiver, _), part) in weights.parts.iter().zip(split(amount, &numbers)?) {
                if part != 0 {
                    let receiver = receiver.clone().or_else(|| owner.clone());
                    *lines.entry(receiver).or_default().entry(line.clone()).or_default() += part;
                }
            }
        }
    }
    Ok(AppliedRule {
        name: rule.set.name.clone(),
        position: rule.position,
        cost: Usd::from_picos(cost),
        rest_stayed: weights.rest_stays && cost > 0,
    })
}

/// The weights of the receivers of a rule. Without a receiver, a part stays where it was.
struct RuleWeights {
    parts: Vec<(Option<String>, u128)>,
    rest_stays: bool,
}

fn weights(rule: &AllocationRule, own: &BTreeMap<String, OwnUsage>) -> Result<RuleWeights> {
    let over = || Error::Overflow { what: "weights of an allocation rule" };
    let set = &rule.set;
    let fixed: u128 = set.shares.iter().map(|share| u128::from(share.percent.millionths())).sum();
    let rest = u128::from(Share::WHOLE.millionths())
        .checked_sub(fixed)
        .ok_or_else(|| Error::damaged(rule.position, "the shares of this rule are more than 100 %"))?;
    let mut of_rest: Vec<(Option<String>, u128)> = match &set.rest {
        None => Vec::new(),
        Some(AllocationRest::To { name }) => vec![(Some(name.clone()), 1)],
        Some(AllocationRest::Equal { names }) => names.iter().map(|name| (Some(name.clone()), 1)).collect(),
        Some(AllocationRest::Usage { measure, names }) => own
            .iter()
            .filter(|(name, _)| names.is_empty() || names.contains(name))
            .map(|(name, usage)| (Some(name.clone()), usage.measured(*measure)))
            .collect(),
    };
    let rest_stays = rest > 0 && of_rest.iter().all(|(_, weight)| *weight == 0);
    if rest_stays {
        of_rest = vec![(None, 1)];
    }
    of_rest.sort();
    // Fixed shares and the rest in one split: all weights in units of a millionth of a percent of the whole usage.
    let whole = of_rest.iter().map(|(_, weight)| *weight).sum::<u128>().max(1);
    let mut parts: BTreeMap<Option<String>, u128> = BTreeMap::new();
    let scaled =
        set.shares.iter().map(|share| (Some(share.name.clone()), u128::from(share.percent.millionths()), whole));
    for (name, weight, factor) in scaled.chain(of_rest.into_iter().map(|(name, weight)| (name, weight, rest))) {
        let part = parts.entry(name).or_default();
        *part = weight.checked_mul(factor).and_then(|more| part.checked_add(more)).ok_or_else(over)?;
    }
    Ok(RuleWeights { parts: parts.into_iter().collect(), rest_stays })
}
