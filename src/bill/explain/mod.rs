//! Names the causes of a difference, so that their parts sum to it to the token.
//!
//! A cause needs evidence: calls or rows whose sum is the difference, a name that the ledger does not record, a machine
//! that it knows, or a factor that several rows share. Several causes may share one row.

mod by_id;
mod candidates;
mod money;
mod names;
mod search;

use std::collections::BTreeMap;

use super::cell::{BillCell, StatementMoney};
use super::cells::{BillCellKey, CellSet};
use super::delta::Delta;
use super::{BillRow, Cause, ComparisonOptions, LedgerCall, NamedCause};
use crate::model::error::Result;
use crate::model::event::TokenRecord;
use crate::model::time::Timestamp;
use crate::model::tokens::{Tokens, Usd};
use crate::readers::statement::{Class, StatementRow};
use names::KnownNames;

/// What explanations are made from.
pub(super) struct Explainer<'a> {
    set: &'a CellSet<'a>,
    classes: &'a [Class],
    /// The calls before, in and behind the period, in the order of their times.
    around: &'a [LedgerCall],
    money: StatementMoney,
    options: &'a ComparisonOptions<'a>,
    names: KnownNames,
}

/// A part of a difference that a cause explains.
#[derive(Clone, Debug)]
struct ExplainedPart {
    cause: Cause,
    tokens: Delta,
    usd: Option<Usd>,
}

/// A cell while it is explained.
struct ComparedCell<'s, 'a> {
    key: &'s BillCellKey,
    cell: &'s BillCell<'a>,
    row: &'s BillRow,
}

/// The sum of amounts; `None` if one of them is unknown.
fn sum(amounts: impl IntoIterator<Item = Option<Usd>>) -> Option<Usd> {
    amounts.into_iter().try_fold(Usd::default(), |sum, usd| sum.checked_add(usd?).ok())
}

impl<'a> Explainer<'a> {
    /// Collects the names that the ledger records.
    pub fn new(
        set: &'a CellSet<'a>,
        rows: &[BillRow],
        classes: &'a [Class],
        around: &'a [LedgerCall],
        (money, options): (StatementMoney, &'a ComparisonOptions<'a>),
    ) -> Self {
        // Other money is a matter of prices. Who called, and when, is known by tokens.
        let has_tokens = |row: &BillRow| !row.tokens.is_empty() && row.has_equal_tokens();
        let agreeing = set.cells.iter().zip(rows).filter(|(_, row)| row.agrees() || has_tokens(row));
        let names = KnownNames::of(agreeing.map(|((_, cell), _)| cell), set.cells.values(), around);
        Self { set, classes, around, money, options, names }
    }

    /// Names the causes of every row that differs.
    pub fn name_causes(&self, rows: &mut [BillRow]) -> Result<()> {
        let factors = money::Factors::of(self, rows);
        for (row, (key, cell)) in rows.iter_mut().zip(&self.set.cells) {
            if !row.differs() {
                continue;
            }
            let subject = ComparedCell { key, cell, row };
            let parts = if row.tokens.is_empty() {
                self.of_amounts(&subject, &factors)
            } else if row.has_equal_tokens() {
                vec![factors.part(self, &subject)]
            } else {
                let mut parts = if self.set.by_id { self.by_id(&subject) } else { self.of_tokens(&subject) };
                parts.extend(factors.beside(self, &subject, &parts));
                parts
            };
            row.causes = self.named(row, parts)?;
        }
        Ok(())
    }

    /// Finishes the parts of a row. One of them has the rest of the money: that of unknown cause, the price, or the last.
    fn named(&self, row: &BillRow, parts: Vec<ExplainedPart>) -> Result<Vec<NamedCause>> {
        let mut causes: Vec<NamedCause> = parts
            .into_iter()
            .map(|part| NamedCause { tokens: part.tokens.named(self.classes), cause: part.cause, usd: part.usd })
            .collect();
        causes.sort_by_key(|named| named.cause.order());
        let Some(mut rest) = row.usd() else { return Ok(causes) };
        let is_price = |named: &NamedCause| matches!(named.cause, Cause::Price { .. });
        let place = causes.iter().position(|named| named.cause == Cause::Unknown);
        let place = place.or_else(|| causes.iter().position(is_price)).unwrap_or(causes.len().saturating_sub(1));
        for (index, other) in causes.iter().enumerate() {
            match other.usd {
                _ if index == place => {}
                Some(usd) => rest = rest.checked_add(usd.negated())?,
                None => return Ok(causes),
            }
        }
        if let Some(named) = causes.get_mut(place) {
            named.usd = Some(rest);
        }
        Ok(causes)
    }

    /// The difference of a row in tokens, statement minus ledger.
    fn difference(&self, subject: &ComparedCell<'_, '_>) -> Delta {
        self.difference_of(subject.cell)
    }

    fn difference_of(&self, cell: &BillCell<'_>) -> Delta {
        let statement = Delta::of_rows(self.classes, cell.rows.iter().copied());
        statement.minus(&Delta::of_calls(self.classes, cell.calls.iter().copied()))
    }

    /// The cost of calls; `None` if one has no known price.
    fn cost<'c>(calls: impl IntoIterator<Item = &'c LedgerCall>, sign: i128) -> Option<Usd> {
        sum(calls.into_iter().map(|call| call.cost)).map(|usd| Usd::from_picos(sign * usd.picos()))
    }

    /// What rows charge, or what their tokens cost by the list.
    fn charge<'r>(
        &self,
        subject: &ComparedCell<'_, '_>,
        rows: impl IntoIterator<Item = &'r StatementRow>,
    ) -> Option<Usd> {
        sum(rows.into_iter().map(|row| {
            // In a statement with amounts, a row without one charges nothing.
            let charged = self.money.is_stated.then(|| row.cost.unwrap_or_default());
            charged.or_else(|| self.price(subject, &Delta::of_rows(self.classes, [row])))
        }))
    }

    /// The price of tokens by the list. Signs must not differ; tokens of unknown input classes have no price.
    fn price(&self, subject: &ComparedCell<'_, '_>, tokens: &Delta) -> Option<Usd> {
        let (sign, tokens) = if tokens.is_surplus() { (1, tokens.clone()) } else { (-1, tokens.negated()) };
        if !tokens.is_surplus() {
            return None;
        }
        let mut counts = Tokens::default();
        for (class, count) in tokens.each(self.classes) {
            let count = u64::try_from(count).ok()?;
            let place = match class {
                Class::Input => &mut counts.input,
                Class::CacheRead => &mut counts.cache_read,
                Class::CacheWrite5m => &mut counts.cache_write_5m,
                Class::CacheWrite1h => &mut counts.cache_write_1h,
                Class::CacheWrites => &mut counts.cache_write,
                Class::Output => &mut counts.output,
                Class::Prompt if count == 0 => continue,
                Class::Prompt => return None,
            };
            *place = Some(count);
        }
        let mut record = TokenRecord::new(&subject.key.provider, subject.row.model.clone());
        record.tokens = counts;
        let usd = self.options.prices?.cost(&record, subject.key.start).ok()??;
        Some(Usd::from_picos(sign * usd.picos()))
    }

    /// The part whose cause is unknown.
    fn unknown(&self, subject: &ComparedCell<'_, '_>, tokens: Delta) -> ExplainedPart {
        ExplainedPart { cause: Cause::Unknown, usd: self.price(subject, &tokens), tokens }
    }

    /// The last call of each machine before a bucket, of those without a later call.
    fn silent_machines(&self, before: Timestamp) -> BTreeMap<&'a str, Timestamp> {
        let mut last = self.machines();
        last.retain(|_, at| *at < before);
        last
    }
}
