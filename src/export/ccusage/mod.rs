//! The reports of [ccusage](https://github.com/ccusage/ccusage), in the JSON that its version 20.0.24 prints for
//! `daily`, `weekly`, `monthly`, `session` and `blocks`: of all agents, or of one where the question is filtered by it.

mod blocks;
mod codex;
mod names;
mod number;
mod one_agent;
mod periods;
mod rows;
mod sessions;
mod spent;

use std::io::{self, Write};

use serde::Serialize;

use super::ExportError;
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::report::{Report, ReportKey};

/// What ccusage's reports depend on besides the question.
///
/// ```
/// use usage_ledger::{Timestamp, export::CcusageOptions};
/// let now: Timestamp = "2026-11-23T20:00:00Z".parse()?;
/// assert!(CcusageOptions::at(now).costs);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CcusageOptions {
    /// The moment that says which block is active.
    pub now: Timestamp,
    /// Whether costs are printed; the order of rows is by cost all the same.
    pub costs: bool,
}

impl CcusageOptions {
    /// With costs, at a moment.
    ///
    /// ```
    /// use usage_ledger::{Timestamp, export::CcusageOptions};
    /// let now: Timestamp = "2026-11-23T20:00:00Z".parse()?;
    /// assert_eq!(CcusageOptions::at(now).now, now);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn at(now: impl Into<Timestamp>) -> Self {
        Self { now: now.into(), costs: true }
    }
}

/// Which of ccusage's reports.
enum CcusageReport {
    Periods(periods::Period),
    Sessions,
    Blocks,
}

impl CcusageReport {
    fn of(keys: &[ReportKey]) -> Result<Self> {
        match keys {
            [ReportKey::Day] => Ok(Self::Periods(periods::Period::Day)),
            [ReportKey::Week] => Ok(Self::Periods(periods::Period::Week)),
            [ReportKey::Month] => Ok(Self::Periods(periods::Period::Month)),
            [ReportKey::Conversation] => Ok(Self::Sessions),
            [ReportKey::Window] => Ok(Self::Blocks),
            _ => Err(Error::invalid(
                "ccusage has five reports, of one key each: use --by day, --by week, --by month, --by conversation \
                 (its session) or --by window (its blocks)",
            )),
        }
    }
}

/// Whose report.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// All agents', with an `agent` in each row.
    All,
    /// `ccusage codex`'s, which has names of its own.
    Codex,
    /// That of another agent, by the ledger's name of it.
    One(String),
}

impl Shape {
    /// A report that is filtered by one agent has the shape of that agent's command.
    fn of(report: &Report) -> Self {
        let mut agents = report.wanted(&ReportKey::Agent).into_iter();
        match (agents.next(), agents.next()) {
            (Some(names::CODEX), None) => Self::Codex,
            (Some(agent), None) => Self::One(agent.to_owned()),
            _ => Self::All,
        }
    }
}

/// Answers a report as ccusage does: by day `daily`, by week `weekly`, by month `monthly`, by conversation `session`,
/// by window `blocks`. One that is filtered by a single agent is answered as that agent's command is, such as
/// `ccusage claude daily` or `ccusage codex session`.
///
/// Tokens are counts, costs US dollars in exact decimals. A model without a known price counts 0, and is named: its
/// breakdown says `missingPricing`, and totals list it in `unpricedModels`; blocks do not tell. Blocks are of Claude Code,
/// unless the report is filtered by agent; a range holds for the beginning of a block.
///
/// Calls are dated by [`counted_at`](crate::TokenRecord::counted_at), where they have one, and priced by their own time.
///
/// # Errors
/// [`ExportError::Ledger`] for a report by other keys and when the ledger fails, [`ExportError::Output`] when `out` does.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey::{Day, Provider}, TokenRecord, export::{self, CcusageOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").agent("claude-code").input(100).output(20), now)?;
/// let mut out = Vec::new();
/// export::ccusage(&ledger.snapshot()?, &Report::by(Day), CcusageOptions::at(now), &mut out)?;
/// let answer: serde_json::Value = serde_json::from_slice(&out)?;
/// assert_eq!(answer["daily"][0]["period"], "2026-11-23");
/// assert_eq!(answer["totals"]["totalCost"], 0.001);
/// assert!(export::ccusage(&ledger.snapshot()?, &Report::by(Provider), CcusageOptions::at(now), &mut out).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ccusage(
    snapshot: &Snapshot<'_>,
    report: &Report,
    options: CcusageOptions,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let report = &report.as_told();
    let shape = Shape::of(report);
    match (CcusageReport::of(report.keys())?, &shape) {
        (CcusageReport::Periods(length), Shape::All) => {
            print(&periods::answer(snapshot, report, length, options)?, out)
        }
        (CcusageReport::Periods(length), Shape::Codex) => {
            print(&codex::periods(snapshot, report, length, options)?, out)
        }
        (CcusageReport::Periods(length), Shape::One(agent)) => {
            print(&one_agent::answer(snapshot, report, agent, length, options)?, out)
        }
        (CcusageReport::Sessions, Shape::Codex) => print(&codex::sessions(snapshot, report, options)?, out),
        (CcusageReport::Sessions, Shape::All) => print(&sessions::answer(snapshot, report, None, options)?, out),
        (CcusageReport::Sessions, Shape::One(agent)) => {
            print(&sessions::answer(snapshot, report, Some(agent), options)?, out)
        }
        (CcusageReport::Blocks, _) => print(&blocks::answer(snapshot, report, options)?, out),
    }
}

fn print(answer: &impl Serialize, out: &mut dyn Write) -> Result<(), ExportError> {
    serde_json::to_writer_pretty(&mut *out, answer).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}
