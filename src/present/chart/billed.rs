//! The figure of what statements confirm, by day.

use super::figure::{Figure, FigureShape, Unit};
use crate::bill::{BilledDay, Spend};
use crate::model::error::{Error, Result};
use crate::model::tokens::Usd;

type SpendPart = (&'static str, fn(&Spend) -> Usd);

/// The parts of a column, from below. All of them are drawn, so that each keeps its colour.
const PARTS: [SpendPart; 4] = [
    ("confirmed", |spend| spend.confirmed),
    ("explained", |spend| spend.explained),
    ("provisional", |spend| spend.provisional),
    ("unexplained", |spend| spend.unexplained),
];

/// Draws confirmed, explained, provisional and unexplained spend by day.
///
/// # Errors
/// [`Error::Invalid`] without a day.
pub(crate) fn billed(days: &[BilledDay]) -> Result<Figure> {
    if days.is_empty() {
        return Err(Error::invalid(
            "there is nothing to draw: no statement covers these days; `usage-ledger reconcile FILE` records one",
        ));
    }
    let values = |of: fn(&Spend) -> Usd| -> Vec<u128> {
        days.iter().map(|day| of(&day.spend).picos().max(0).unsigned_abs()).collect()
    };
    Ok(Figure {
        title: "spend that statements confirm, by day".to_owned(),
        unit: Unit::Cost,
        shape: FigureShape::Stacked {
            columns: days.iter().map(|day| day.day.clone()).collect(),
            series: PARTS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            values: PARTS.iter().map(|(_, of)| values(*of)).collect(),
        },
    })
}
