//! One bucket, model, key and workspace: what the ledger has, what the statement has, and whether they agree.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::BillCellKey;
use super::delta::Delta;
use super::{ComparisonOptions, LedgerCall, NamedCause, PROVISIONAL};
use crate::model::error::Result;
use crate::model::serde_skip::is_zero;
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::readers::statement::{Class, Name, StatementRow};

/// The calls and the rows of one key.
#[derive(Debug, Default)]
pub(super) struct BillCell<'a> {
    pub calls: Vec<&'a LedgerCall>,
    pub rows: Vec<&'a StatementRow>,
    /// The calls whose ids no row has, if the statement is compared by ids.
    pub calls_without_row: Vec<&'a LedgerCall>,
    /// The rows whose ids no call has.
    pub rows_without_call: Vec<&'a StatementRow>,
}

/// What a statement says of money.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatementMoney {
    /// Whether any row has an amount.
    pub is_stated: bool,
    /// The unit of rounding.
    pub step: Usd,
}

/// Whether ledger and statement agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BillVerdict {
    Equal,
    WithinRounding,
    StatementHigher,
    LedgerHigher,
    /// They differ, and the bucket ended less than 24 hours ago.
    Provisional,
}

impl BillVerdict {
    /// The words of the verdict.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::WithinRounding => "within rounding",
            Self::StatementHigher => "statement higher",
            Self::LedgerHigher => "ledger higher",
            Self::Provisional => "provisional",
        }
    }
}

/// The tokens of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CountPair {
    pub ledger: i128,
    pub statement: i128,
}

/// A row of the comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BillRow {
    pub start: Timestamp,
    pub end: Timestamp,
    pub provider: String,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub tokens: BTreeMap<&'static str, CountPair>,
    pub ledger_requests: u64,
    pub statement_requests: Option<u64>,
    /// The price by the list; null if a call has no known price.
    pub ledger_usd: Option<Usd>,
    pub statement_usd: Option<Usd>,
    /// How many of the ledger's calls telemetry alone reports.
    #[serde(skip_serializing_if = "is_zero")]
    pub telemetry_requests: usize,
    /// How many of the ledger's calls an agent made for itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub background_requests: usize,
    pub verdict: BillVerdict,
    /// Why they differ. The parts sum to the difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<NamedCause>,
}

impl BillRow {
    /// Whether all classes have equal counts.
    pub(super) fn has_equal_tokens(&self) -> bool {
        self.tokens.values().all(|pair| pair.ledger == pair.statement)
    }

    /// Whether ledger and statement agree.
    pub(crate) const fn agrees(&self) -> bool {
        matches!(self.verdict, BillVerdict::Equal | BillVerdict::WithinRounding)
    }

    /// Whether they differ for good.
    pub(super) const fn differs(&self) -> bool {
        matches!(self.verdict, BillVerdict::StatementHigher | BillVerdict::LedgerHigher)
    }

    /// The difference in money, statement minus ledger, if both are known.
    pub(super) fn usd(&self) -> Option<Usd> {
        self.statement_usd?.checked_add(self.ledger_usd?.negated()).ok()
    }
}

fn within(a: i128, b: i128, rounding: i128, ppm: u32) -> bool {
    // Sums stay below 10^27, so the product is in range.
    let relative = a.abs().max(b.abs()) * i128::from(ppm) / 1_000_000;
    (a - b).abs() <= rounding.max(relative)
}

impl BillCell<'_> {
    /// Sums both sides and compares them. Causes are named later, because they depend on other cells.
    pub(super) fn row(
        &self,
        key: &BillCellKey,
        classes: &[Class],
        money: StatementMoney,
        options: &ComparisonOptions<'_>,
    ) -> Result<BillRow> {
        let ledger = Delta::of_calls(classes, self.calls.iter().copied());
        let statement = Delta::of_rows(classes, self.rows.iter().copied());
        let pairs = ledger.each(classes).zip(statement.each(classes));
        let tokens = pairs.map(|((class, ledger), (_, statement))| (class.name(), CountPair { ledger, statement }));
        let tokens = tokens.collect();
        let mut ledger_usd = Some(Usd::default());
        for call in &self.calls {
            ledger_usd = match (ledger_usd, call.cost) {
                (Some(sum), Some(cost)) => Some(sum.checked_add(cost)?),
                _ => None,
            };
        }
        let mut statement_usd: Option<Usd> = None;
        let mut amounts: u64 = 0;
        for (row, cost) in self.rows.iter().filter_map(|row| Some((row, row.cost?))) {
            statement_usd = Some(statement_usd.unwrap_or_default().checked_add(cost)?);
            amounts += row.amounts;
        }
        if self.rows.is_empty() && money.is_stated {
            statement_usd = Some(Usd::default());
        }
        let requests: Vec<u64> = self.rows.iter().filter_map(|row| row.requests).collect();
        let name = self.rows.iter().find_map(|row| row.names.get(&Name::Model));
        let of_call = self.calls.first().filter(|_| !key.model.is_empty()).map(|call| &call.model);
        let model = of_call.or(name).cloned().unwrap_or_else(|| key.model.clone());
        let mut row = BillRow {
            start: key.start,
            end: key.end,
            provider: key.provider.clone(),
            model,
            key: key.key.clone(),
            workspace: key.workspace.clone(),
            tokens,
            ledger_requests: self.calls.len() as u64,
            statement_requests: (!requests.is_empty()).then(|| requests.iter().sum()),
            ledger_usd,
            statement_usd,
            telemetry_requests: self.calls.iter().filter(|call| call.only_telemetry).count(),
            background_requests: self.calls.iter().filter(|call| call.purpose.is_some()).count(),
            verdict: BillVerdict::Equal,
            causes: Vec::new(),
        };
        row.verdict = verdict(&row, rounding(amounts, money.step).picos(), options);
        Ok(row)
    }
}

/// The most by which rounding changes a sum of amounts: half a unit for each of them.
///
/// Sums of rounded prices also differ by less than a millionth of a dollar from the price of the sums.
pub(crate) fn rounding(amounts: u64, step: Usd) -> Usd {
    Usd::from_picos(i128::from(amounts) * (step.picos() / 2) + 1_000_000)
}

fn verdict(row: &BillRow, rounding: i128, options: &ComparisonOptions<'_>) -> BillVerdict {
    let near = row.tokens.values().all(|pair| within(pair.ledger, pair.statement, 0, options.tolerance_ppm));
    let money = row.ledger_usd.zip(row.statement_usd).map(|(ledger, statement)| (ledger.picos(), statement.picos()));
    let same = row.has_equal_tokens() && money.is_none_or(|(ledger, statement)| ledger == statement);
    let rounded = money.is_none_or(|(ledger, statement)| within(ledger, statement, rounding, options.tolerance_ppm));
    let tokens: i128 = row.tokens.values().map(|pair| pair.statement - pair.ledger).sum();
    match money {
        _ if same && !(row.tokens.is_empty() && money.is_none()) => BillVerdict::Equal,
        _ if near && rounded && !(row.tokens.is_empty() && money.is_none()) => BillVerdict::WithinRounding,
        _ if options.now.millis() - row.end.millis() < PROVISIONAL => BillVerdict::Provisional,
        _ if tokens > 0 => BillVerdict::StatementHigher,
        _ if tokens < 0 => BillVerdict::LedgerHigher,
        Some((ledger, statement)) if ledger > statement => BillVerdict::LedgerHigher,
        None if row.statement_usd.is_none() => BillVerdict::LedgerHigher,
        _ => BillVerdict::StatementHigher,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_holds_for_small_sums_too() {
        assert!(within(500_000, 504_000, 0, 10_000));
        assert!(!within(500_000, 506_000, 0, 10_000));
        assert!(!within(99, 100, 0, 9_999) && within(99, 100, 0, 10_000));
    }
}
