use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::super::CcusageOptions;
use super::super::number::{Number, decimal};
use super::cut::SessionBlock;
use crate::model::error::{Error, Result};
use crate::model::time::{HOUR, MINUTE};

/// Decimal places of inexact quotients.
const DECIMALS: u32 = 12;

/// The rate of use between the first and the last call of a block.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BurnRate {
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_per_hour: Option<Number>,
    tokens_per_minute: Number,
    /// Input and output only.
    tokens_per_minute_for_indicator: Number,
}

/// The totals of a block if this rate continues to its end.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Projection {
    remaining_minutes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_cost: Option<Number>,
    total_tokens: Number,
}

/// Returns the milliseconds between the first and the last call. A single instant has no rate.
fn span(block: &SessionBlock) -> Option<i64> {
    Some(block.last?.millis() - block.first?.millis()).filter(|span| *span > 0)
}

/// Scales an amount from `span` to `millis` milliseconds.
fn scaled_to(amount: Decimal, millis: i64, span: i64) -> Result<Decimal> {
    let over = Error::Overflow { what: "burn rate" };
    amount.checked_mul(millis.into()).and_then(|product| product.checked_div(span.into())).ok_or(over)
}

impl BurnRate {
    pub fn of(block: &SessionBlock, costs: bool) -> Result<Option<Self>> {
        let Some(span) = span(block) else { return Ok(None) };
        let rate = |amount, millis| Ok::<_, Error>(Number(scaled_to(amount, millis, span)?.round_dp(DECIMALS)));
        let totals = &block.totals;
        Ok(Some(Self {
            cost_per_hour: if costs { Some(rate(decimal(totals.cost)?, HOUR)?) } else { None },
            tokens_per_minute: rate(totals.total().into(), MINUTE)?,
            tokens_per_minute_for_indicator: rate(totals.input.saturating_add(totals.output).into(), MINUTE)?,
        }))
    }
}

impl Projection {
    /// Projects a block that has a burn rate.
    pub fn of(block: &SessionBlock, options: CcusageOptions) -> Result<Self> {
        // ccusage rounds to whole minutes first.
        let remaining = (block.end.millis() - options.now.millis() + MINUTE / 2) / MINUTE;
        let whole = |amount: Decimal, decimals| {
            let rest = span(block).map_or(Ok(Decimal::ZERO), |span| scaled_to(amount, remaining * MINUTE, span))?;
            let whole = amount.checked_add(rest).ok_or(Error::Overflow { what: "projection" })?;
            Ok::<_, Error>(Number(whole.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero)))
        };
        Ok(Self {
            remaining_minutes: remaining,
            total_cost: options.costs.then(|| whole(decimal(block.totals.cost)?, 2)).transpose()?,
            total_tokens: whole(block.totals.total().into(), 0)?,
        })
    }
}
