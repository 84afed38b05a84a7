//! Reports in the JSON format of [ccusage](https://github.com/ccusage/ccusage) 20.0.24, for `daily`, `weekly`,
//! `monthly`, `session` and `blocks`: of all agents, or of one if the query filters by it.

mod blocks;
mod class_totals;
mod names;
mod number;
mod one_agent;
mod periods;
mod rows;
mod sessions;
mod threads;

use std::io::{self, Write};

use serde::Serialize;

use super::ExportError;
use super::ccusage_agents::{CcusageAgent, CcusageAgents, CcusageCommand};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::report::{Report, ReportKey};

/// Parameters of ccusage's reports besides the query.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CcusageOptions {
    /// The current time, which determines the active block.
    pub now: Timestamp,
    /// Whether to print costs. Rows are sorted by cost in any case.
    pub costs: bool,
    /// Agents with a name in ccusage, such as those of `import::ccusage_agents()`. Any other agent keeps its name.
    pub agents: &'static [CcusageAgent],
}

impl CcusageOptions {
    /// Creates parameters with costs, at a time.
    pub fn at(now: impl Into<Timestamp>) -> Self {
        Self { now: now.into(), costs: true, agents: &[] }
    }

    /// Sets ccusage's names and forms of agents.
    #[must_use]
    pub const fn agents(mut self, agents: &'static [CcusageAgent]) -> Self {
        self.agents = agents;
        self
    }

    const fn known_agents(&self) -> CcusageAgents {
        CcusageAgents(self.agents)
    }
}

/// A report of ccusage.
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
                "ccusage has five reports, of one key each: day, week, month, conversation \
                 (its session) or window (its blocks)",
            )),
        }
    }
}

/// The form of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReportShape {
    /// Of all agents, with an `agent` in each row.
    All,
    /// Of one agent with different field names. The value is the ledger's name of it.
    Threads(String),
    /// Of any other single agent. The value is the ledger's name of it.
    One(String),
}

impl ReportShape {
    /// Returns the form of a report. A report that filters by one agent has the form of that agent's command.
    fn of(report: &Report, agents: CcusageAgents) -> Self {
        let mut wanted = report.wanted(&ReportKey::Agent).into_iter();
        match (wanted.next(), wanted.next()) {
            (Some(agent), None) => match agents.command(Some(agent)) {
                CcusageCommand::Threads(_) => Self::Threads(agent.to_owned()),
                CcusageCommand::Plain | CcusageCommand::Projects(_) => Self::One(agent.to_owned()),
            },
            _ => Self::All,
        }
    }
}

/// Writes a report in ccusage's format: by day `daily`, by week `weekly`, by month `monthly`, by conversation
/// `session`, by window `blocks`. A report that filters by a single agent has the form of that agent's command, such as
/// `ccusage claude daily`.
///
/// Tokens are counts, costs exact decimals in US dollars. A model without a known price counts 0 and is marked: its
/// breakdown has `missingPricing`, and totals list it in `unpricedModels`. Blocks have no such mark. Without a filter,
/// blocks contain the agent whose command is like `ccusage claude`. The range applies to the start of a block.
///
/// A call is dated by [`counted_at`](crate::TokenRecord::counted_at) if it has one, and priced at its own time.
///
/// # Errors
/// [`ExportError::Ledger`] for a report by other keys and when the ledger fails, [`ExportError::Output`] when `out` does.
pub fn ccusage(
    snapshot: &Snapshot<'_>,
    report: &Report,
    options: CcusageOptions,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let report = &report.by_counted_at();
    let shape = ReportShape::of(report, options.known_agents());
    match (CcusageReport::of(report.keys())?, &shape) {
        (CcusageReport::Periods(length), ReportShape::All) => {
            print(&periods::answer(snapshot, report, length, options)?, out)
        }
        (CcusageReport::Periods(length), ReportShape::Threads(agent)) => {
            print(&threads::periods(snapshot, report, agent, length, options)?, out)
        }
        (CcusageReport::Periods(length), ReportShape::One(agent)) => {
            print(&one_agent::answer(snapshot, report, agent, length, options)?, out)
        }
        (CcusageReport::Sessions, ReportShape::Threads(agent)) => {
            print(&threads::sessions(snapshot, report, agent, options)?, out)
        }
        (CcusageReport::Sessions, ReportShape::All) => print(&sessions::answer(snapshot, report, None, options)?, out),
        (CcusageReport::Sessions, ReportShape::One(agent)) => {
            print(&sessions::answer(snapshot, report, Some(agent), options)?, out)
        }
        (CcusageReport::Blocks, _) => print(&blocks::answer(snapshot, report, options)?, out),
    }
}

fn print(answer: &impl Serialize, out: &mut dyn Write) -> Result<(), ExportError> {
    serde_json::to_writer_pretty(&mut *out, answer).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}
