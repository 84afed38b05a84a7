//! Differences of money: a discount, or a tier, speed or region with a price of its own.

use rust_decimal::Decimal;

use super::{BillRow, Cause, ComparedCell, Delta, ExplainedPart, Explainer, LedgerCall, sum};
use crate::bill::cell::{BillCell, rounding};
use crate::model::event::{is_special, is_special_geo};
use crate::model::tokens::Usd;
use crate::readers::statement::Name;

/// How many rows must share a factor, if their tokens are known to be equal, and if they are not.
const SUPPORT: (usize, usize) = (2, 3);
/// Decimal places of a factor. A regional price of 1.1 times the list makes a factor such as 0.909090909.
const PLACES: [u32; 5] = [2, 3, 4, 6, 9];

/// The factors of the list price that rows without a special price share, with the number of rows that each fits.
pub(super) struct Factors {
    shared: Vec<(Decimal, usize)>,
}

/// A row whose money can be compared: list price, charge, and the most that rounding changes.
#[derive(Clone, Copy)]
struct RowCharge {
    list: Decimal,
    charged: Decimal,
    rounding: Decimal,
}

impl RowCharge {
    fn of(row: &BillRow, cell: &BillCell<'_>, step: Usd) -> Option<Self> {
        let amounts: u64 = cell.rows.iter().map(|row| row.amounts).sum();
        let rounding = rounding(amounts, step).to_decimal();
        let (list, charged) = (row.ledger_usd?.to_decimal(), row.statement_usd?.to_decimal());
        (list > Decimal::ZERO).then_some(Self { list, charged, rounding })
    }

    fn fits(&self, factor: Decimal) -> bool {
        self.list.checked_mul(factor).is_some_and(|expected| (expected - self.charged).abs() <= self.rounding)
    }

    fn factor(&self, places: u32) -> Option<Decimal> {
        Some(self.charged.checked_div(self.list)?.round_dp(places).normalize())
    }
}

impl Factors {
    pub fn of(explainer: &Explainer<'_>, rows: &[BillRow]) -> Self {
        let step = explainer.money.step;
        let charges: Vec<RowCharge> = rows
            .iter()
            .zip(explainer.set.cells.values())
            .filter(|(row, cell)| row.differs() && row.has_equal_tokens() && special(cell).is_none())
            // A cell without rows is missing in the statement. That is no discount.
            .filter(|(_, cell)| !cell.rows.is_empty())
            .filter_map(|(row, cell)| RowCharge::of(row, cell, step))
            .collect();
        let mut shared: Vec<(Decimal, usize)> = Vec::new();
        // A factor is read from the largest rows, where rounding is least.
        let mut largest: Vec<&RowCharge> = charges.iter().collect();
        largest.sort_by_key(|charge| std::cmp::Reverse(charge.list));
        for charge in largest.into_iter().take(64) {
            for factor in PLACES.into_iter().filter_map(|places| charge.factor(places)) {
                if factor == Decimal::ONE || shared.iter().any(|(known, _)| *known == factor) || !charge.fits(factor) {
                    continue;
                }
                let rows = charges.iter().filter(|charge| charge.fits(factor)).count();
                shared.push((factor, rows));
            }
        }
        // The factor that fits the most rows comes first; among equals the shortest.
        shared.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.scale().cmp(&b.0.scale())));
        Self { shared }
    }

    /// The cause of other money for equal tokens.
    pub fn part(&self, explainer: &Explainer<'_>, subject: &ComparedCell<'_, '_>) -> ExplainedPart {
        let cause = self.cause(explainer, subject).unwrap_or(Cause::Unknown);
        ExplainedPart { cause, tokens: Delta::zero(explainer.classes), usd: subject.row.usd() }
    }

    fn cause(&self, explainer: &Explainer<'_>, subject: &ComparedCell<'_, '_>) -> Option<Cause> {
        if subject.cell.rows.is_empty() {
            return None;
        }
        let charge = RowCharge::of(subject.row, subject.cell, explainer.money.step)?;
        let support = if subject.row.tokens.is_empty() { SUPPORT.1 } else { SUPPORT.0 };
        let shared = self.shared.iter().find(|(factor, rows)| *rows >= support && charge.fits(*factor));
        if let Some((factor, rows)) = shared {
            return Some(Cause::Price { factor: *factor, rows: *rows });
        }
        let factor = charge.factor(4)?;
        // The statement's own list price shows that the rest is a discount.
        let listed = sum(subject.cell.rows.iter().map(|row| row.list_cost)).map(Usd::to_decimal);
        let is_discount = |listed: Decimal| (listed - charge.list).abs() <= charge.rounding && listed != charge.charged;
        if listed.is_some_and(is_discount) {
            return Some(Cause::Price { factor, rows: 1 });
        }
        let name = special(subject.cell)?;
        Some(Cause::Tier { name, factor })
    }
}

/// The tier, speed, region or context window of a cell that has a price of its own.
fn special(cell: &BillCell<'_>) -> Option<String> {
    cell.rows.iter().find_map(|row| {
        let named = |name: Name| row.names.get(&name);
        named(Name::Tier)
            .filter(|tier| is_special(tier))
            .or_else(|| named(Name::Speed).filter(|speed| !speed.is_empty() && *speed != "standard"))
            .or_else(|| named(Name::Geography).filter(|geo| is_special_geo(geo)))
            .or_else(|| named(Name::Context).filter(|window| window.contains('>') || window.contains("1M")))
            .cloned()
    })
}

impl Factors {
    /// The shared factors that enough rows support.
    fn supported(&self, support: usize) -> impl Iterator<Item = (Decimal, usize)> + '_ {
        self.shared.iter().copied().filter(move |(_, rows)| *rows >= support)
    }

    /// The discount on the calls that both sides have, beside parts that explain the tokens. Calls are priced by the list,
    /// rows by the statement.
    pub fn beside(
        &self,
        explainer: &Explainer<'_>,
        subject: &ComparedCell<'_, '_>,
        parts: &[ExplainedPart],
    ) -> Option<ExplainedPart> {
        let charge = RowCharge::of(subject.row, subject.cell, explainer.money.step)?;
        let (mut list, mut rest) = (charge.list, charge.charged);
        for part in parts {
            let usd = part.usd?.to_decimal();
            match part.cause {
                Cause::OnlyInTelemetry { .. } | Cause::BackgroundCall { .. } | Cause::DayBorder { .. } => list += usd,
                Cause::AnotherKey { .. } | Cause::AnotherMachine { .. } => rest -= usd,
                _ => return None,
            }
        }
        let charge = RowCharge { list, charged: rest, ..charge };
        if charge.fits(Decimal::ONE) {
            return None;
        }
        let (factor, rows) = self.supported(SUPPORT.0).find(|(factor, _)| charge.fits(*factor))?;
        Some(ExplainedPart { cause: Cause::Price { factor, rows }, tokens: Delta::zero(explainer.classes), usd: None })
    }
}

impl Explainer<'_> {
    /// The causes of a difference in a statement of amounts alone.
    pub(super) fn of_amounts(&self, subject: &ComparedCell<'_, '_>, factors: &Factors) -> Vec<ExplainedPart> {
        let Some(charge) = RowCharge::of(subject.row, subject.cell, self.money.step) else {
            return vec![factors.part(self, subject)];
        };
        let without = |usd: Decimal| RowCharge { list: charge.list + usd, ..charge };
        let mut options = self.of_calls(subject.cell);
        options.extend(self.of_tiers(subject));
        let one = std::iter::once((Decimal::ONE, 0));
        for (factor, rows) in one.chain(factors.supported(SUPPORT.1)) {
            for parts in &options {
                let usd = sum(parts.iter().map(|part| part.usd)).map(Usd::to_decimal);
                let is_trivial = parts.is_empty() && factor == Decimal::ONE;
                if is_trivial || !usd.is_some_and(|usd| without(usd).fits(factor)) {
                    continue;
                }
                let mut parts: Vec<ExplainedPart> = parts
                    .iter()
                    .map(|part| ExplainedPart { tokens: Delta::zero(self.classes), ..part.clone() })
                    .collect();
                if factor != Decimal::ONE {
                    let cause = Cause::Price { factor, rows };
                    parts.push(ExplainedPart { cause, tokens: Delta::zero(self.classes), usd: None });
                }
                return parts;
            }
        }
        vec![factors.part(self, subject)]
    }

    /// Calls of a tier that the statement does not bill by tokens, such as priority.
    fn of_tiers(&self, subject: &ComparedCell<'_, '_>) -> Option<Vec<ExplainedPart>> {
        let is_tiered = |call: &&LedgerCall| call.tier.as_deref().is_some_and(is_special);
        let calls: Vec<&LedgerCall> = subject.cell.calls.iter().copied().filter(is_tiered).collect();
        let name = calls.first()?.tier.clone()?;
        let usd = Self::cost(calls.iter().copied(), -1);
        let cause = Cause::Tier { name, factor: Decimal::ZERO };
        Some(vec![ExplainedPart { cause, tokens: Delta::zero(self.classes), usd }])
    }
}
