//! What was spent, by how well a statement confirms it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BillRow, BillVerdict, Cause};
use crate::model::error::Result;
use crate::model::event::Percent;
use crate::model::time::Zone;
use crate::model::tokens::Usd;

/// What was spent, in US dollars. Rows without a known amount are only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Spend {
    /// The ledger and the statement agree.
    pub confirmed: Usd,
    /// One side has it, and the cause is known.
    pub explained: Usd,
    /// One side has it, and the cause is unknown.
    pub unexplained: Usd,
    /// They differ, and the statement may still change.
    pub provisional: Usd,
    /// Rows whose money neither the statement nor a known price states.
    pub rows_without_amount: u64,
}

/// The parts of spend as percentages, to one decimal place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SpendShares {
    pub confirmed: Percent,
    pub explained: Percent,
    pub unexplained: Percent,
    pub provisional: Percent,
}

fn size(usd: Usd) -> Usd {
    Usd::from_picos(usd.picos().saturating_abs())
}

impl Spend {
    /// The sum of two.
    pub(crate) fn plus(&self, other: &Self) -> Result<Self> {
        Ok(Self {
            confirmed: self.confirmed.checked_add(other.confirmed)?,
            explained: self.explained.checked_add(other.explained)?,
            unexplained: self.unexplained.checked_add(other.unexplained)?,
            provisional: self.provisional.checked_add(other.provisional)?,
            rows_without_amount: self.rows_without_amount + other.rows_without_amount,
        })
    }

    /// The parts as percentages of their sum; `None` if the sum is 0.
    pub(crate) fn shares(&self) -> Result<Option<SpendShares>> {
        let parts = [self.confirmed, self.explained, self.unexplained, self.provisional];
        let sum = parts.iter().try_fold(Usd::default(), |sum, part| sum.checked_add(*part))?.picos();
        if sum <= 0 {
            return Ok(None);
        }
        let share = |part: Usd| percent_of_tenths((part.picos().saturating_mul(2_000) / sum + 1).div_euclid(2));
        let [confirmed, explained, unexplained, provisional] = parts.map(share);
        Ok(Some(SpendShares { confirmed, explained, unexplained, provisional }))
    }

    /// The amounts in words: `6 USD confirmed, 0 explained, 0.5 unexplained, 0 provisional`.
    pub(crate) fn text(&self) -> String {
        format!(
            "{} USD confirmed, {} explained, {} unexplained, {} provisional",
            self.confirmed, self.explained, self.unexplained, self.provisional
        )
    }

    /// The spend of a row.
    fn of(row: &BillRow) -> Result<Self> {
        let mut spend = Self::default();
        let without_amount = Self { rows_without_amount: 1, ..Self::default() };
        let Some(usd) = row.statement_usd.or(row.ledger_usd) else { return Ok(without_amount) };
        match row.verdict {
            BillVerdict::Equal | BillVerdict::WithinRounding => spend.confirmed = usd,
            BillVerdict::Provisional => {
                spend.provisional = row.ledger_usd.map_or(usd, |ledger| ledger.max(usd));
            }
            BillVerdict::StatementHigher | BillVerdict::LedgerHigher => {
                let (mut only_statement, mut only_ledger) = (Usd::default(), Usd::default());
                for named in &row.causes {
                    let Some(usd) = named.usd else { return Ok(without_amount) };
                    let side = if usd > Usd::default() { &mut only_statement } else { &mut only_ledger };
                    *side = side.checked_add(size(usd))?;
                    let sum = if named.cause == Cause::Unknown { &mut spend.unexplained } else { &mut spend.explained };
                    *sum = sum.checked_add(size(usd))?;
                }
                spend.confirmed = match row.ledger_usd {
                    Some(ledger) => ledger.checked_add(only_ledger.negated())?,
                    None => usd.checked_add(only_statement.negated())?,
                };
            }
        }
        Ok(spend)
    }
}

/// The spend of each UTC day.
pub(super) fn days(rows: &[BillRow]) -> Result<BTreeMap<String, Spend>> {
    let mut days: BTreeMap<String, Spend> = BTreeMap::new();
    for row in rows {
        let spend = days.entry(Zone::UTC.day(row.start).to_string()).or_default();
        *spend = spend.plus(&Spend::of(row)?)?;
    }
    Ok(days)
}

/// Tenths of a percent as a percentage. Credits can make a part negative, or larger than the whole: its share then ends at 0,
/// or at the largest percentage.
pub(crate) fn percent_of_tenths(tenths: i128) -> Percent {
    Percent::from_hundredths(u32::try_from(tenths.saturating_mul(10).max(0)).unwrap_or(u32::MAX))
}
