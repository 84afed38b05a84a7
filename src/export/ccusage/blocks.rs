//! `blocks`: five-hour blocks by ccusage's own rule, independent of the provider's windows.

mod cut;
mod rate;

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Serialize;

use super::CcusageOptions;
use super::class_totals::ClassTotals;
use super::number::Number;
use crate::export::ccusage_agents::UNKNOWN;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::report::{Report, ReportKey};
use cut::{BlockCall, SessionBlock, cut};
use rate::{BurnRate, Projection};

/// Divides all calls into blocks and returns those that begin in the report's range.
pub(super) fn answer(snapshot: &Snapshot<'_>, report: &Report, options: CcusageOptions) -> Result<BlocksAnswer> {
    let mut of_all_times = report.of_all_times();
    if let Some(agent) = options.known_agents().of_blocks().filter(|_| report.wanted(&ReportKey::Agent).is_empty()) {
        of_all_times = of_all_times.only(ReportKey::Agent, agent)?;
    }
    let mut models: BTreeSet<Rc<str>> = BTreeSet::new();
    let mut calls = Vec::new();
    of_all_times.each_call(snapshot, &mut |call| {
        let name = call.record.model.as_deref().unwrap_or(UNKNOWN);
        let model = models.get(name).cloned().unwrap_or_else(|| {
            let model: Rc<str> = name.into();
            models.insert(Rc::clone(&model));
            model
        });
        calls.push(BlockCall { at: call.at, model, totals: ClassTotals::of_call(options.known_agents(), call) });
        Ok(())
    })?;
    let mut blocks = Vec::new();
    for block in cut(calls)? {
        if report.covers(block.start) {
            blocks.push(BlockRow::new(&block, options)?);
        }
    }
    Ok(BlocksAnswer { blocks })
}

/// The report.
#[derive(Debug, Serialize)]
pub(super) struct BlocksAnswer {
    blocks: Vec<BlockRow>,
}

/// A block or a gap. Fields are sorted by name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockRow {
    actual_end_time: Option<Timestamp>,
    burn_rate: Option<BurnRate>,
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Number>,
    end_time: Timestamp,
    entries: usize,
    id: String,
    is_active: bool,
    is_gap: bool,
    models: Vec<String>,
    projection: Option<Projection>,
    start_time: Timestamp,
    token_counts: BlockTokenCounts,
    total_tokens: u128,
}

#[derive(Debug, Serialize)]
struct BlockTokenCounts {
    #[serde(rename = "cacheCreationInputTokens")]
    cache_creation: u128,
    #[serde(rename = "cacheReadInputTokens")]
    cache_read: u128,
    #[serde(rename = "inputTokens")]
    input: u128,
    #[serde(rename = "outputTokens")]
    output: u128,
}

impl BlockRow {
    fn new(block: &SessionBlock, options: CcusageOptions) -> Result<Self> {
        let is_active = block.is_active(options.now);
        let rate = if is_active { BurnRate::of(block, options.costs)? } else { None };
        let projection = rate.as_ref().map(|_| Projection::of(block, options)).transpose()?;
        let totals = &block.totals;
        Ok(Self {
            actual_end_time: block.last,
            burn_rate: rate,
            cost_usd: options.costs.then(|| Number::usd(totals.cost)).transpose()?,
            end_time: block.end,
            entries: block.calls,
            id: if block.is_gap() { format!("gap-{}", block.start) } else { block.start.to_string() },
            is_active,
            is_gap: block.is_gap(),
            models: block.models.iter().map(ToString::to_string).collect(),
            projection,
            start_time: block.start,
            token_counts: BlockTokenCounts {
                cache_creation: totals.cache_creation,
                cache_read: totals.cache_read,
                input: totals.input,
                output: totals.output,
            },
            total_tokens: totals.total(),
        })
    }
}
