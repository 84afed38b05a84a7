//! `session`: of all agents and of one.

use std::cmp::Ordering;
use std::collections::HashMap;

use chrono::NaiveDate;

use super::CcusageOptions;
use super::class_totals::ClassTotals;
use super::names::NamesOfPaths;
use super::rows::{Label, Metadata, ModelRows, RowPlace, RowsAnswer, UsageRow};
use crate::export::ccusage_agents::{CcusageAgents, UNKNOWN};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::report::{CallSum, PricedCall, Report};

/// The label of calls of subagents.
const SIDECHAIN: &str = "sidechain";

/// The state of a session while its calls are added.
pub(super) struct SessionRow {
    pub agent: Option<String>,
    pub conversation: Option<String>,
    pub first: Timestamp,
    pub last: Timestamp,
    pub reasoning: u128,
    pub models: ModelRows,
}

/// Sums sessions from sums with exact times, because no rollup contains their last call.
pub(super) fn gather(snapshot: &Snapshot<'_>, report: &Report, agents: CcusageAgents) -> Result<Vec<SessionRow>> {
    let mut sessions: HashMap<(Option<String>, Option<String>), SessionRow> = HashMap::new();
    report.each_sum(snapshot, &mut |sum| {
        let name = |name: Option<&str>| name.map(str::to_owned);
        let (agent, conversation) = (name(sum.series.agent), name(sum.series.conversation));
        let session = sessions.entry((agent.clone(), conversation.clone())).or_insert_with(|| SessionRow {
            agent,
            conversation,
            first: sum.first,
            last: sum.last,
            reasoning: 0,
            models: ModelRows::default(),
        });
        session.take(agents, sum)
    })?;
    Ok(sessions.into_values().collect())
}

/// Returns the position of a call in ccusage's reading order, which uses its first line, whichever line counts.
pub(super) fn place(day: NaiveDate, project: Option<&String>, call: &PricedCall<'_>) -> RowPlace {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let aside = call.record.labels.contains_key(SIDECHAIN);
    (day, text(project), text(call.record.conversation.as_ref()), aside, call.made)
}

/// Builds rows of sessions, for all agents or for one with the common field names.
pub(super) fn answer(
    snapshot: &Snapshot<'_>,
    report: &Report,
    one: Option<&str>,
    options: CcusageOptions,
) -> Result<RowsAnswer> {
    let agents = options.known_agents();
    let (threads, projects) = (NamesOfPaths::threads(snapshot, agents)?, NamesOfPaths::projects(snapshot, agents)?);
    let mut all = ClassTotals::default();
    let mut rows: Vec<(Usd, UsageRow)> = Vec::new();
    for session in gather(snapshot, report, agents)? {
        let SessionRow { agent, conversation, first, last, reasoning, models } = session;
        let agent = agent.as_deref();
        let of_file = |files: &NamesOfPaths| files.get(agent, conversation.as_deref()).cloned();
        let label = match one {
            Some(name) => {
                let has_projects = agents.has_projects(Some(name));
                Label {
                    session_id: Some(conversation.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
                    project_path: has_projects.then(|| of_file(&projects).unwrap_or_else(|| UNKNOWN.to_owned())),
                    first_activity: has_projects.then_some(first),
                    last_activity: has_projects.then_some(last),
                    ..Label::default()
                }
            }
            None => Label {
                agent: Some(agents.name(agent).to_owned()),
                period: Some(of_file(&threads).or_else(|| conversation.clone()).unwrap_or_else(|| UNKNOWN.to_owned())),
                metadata: agents.states_activity(agent).then(|| Metadata::Session {
                    last_activity: last,
                    reasoning_output_tokens: agents.has_threads(agent).then_some(reasoning),
                }),
                ..Label::default()
            },
        };
        let (row, totals) = models.row(label, options.costs)?;
        all.add(&totals)?;
        rows.push((totals.cost, row));
    }
    // Sorted by cost, descending, then by name. Those of one agent without projects are sorted by name alone.
    let by_cost = one.is_none_or(|name| agents.has_projects(Some(name)));
    rows.sort_by(|(a_cost, a), (b_cost, b)| {
        let dearer = if by_cost { b_cost.cmp(a_cost) } else { Ordering::Equal };
        dearer.then_with(|| names_of(a).cmp(&names_of(b)))
    });
    let name = if one.is_none() { "session" } else { "sessions" };
    Ok(RowsAnswer { name, rows: rows.into_iter().map(|(_, row)| row).collect(), all, costs: options.costs })
}

fn names_of(row: &UsageRow) -> [Option<&str>; 4] {
    [row.period.as_deref(), row.agent.as_deref(), row.project_path.as_deref(), row.session_id.as_deref()]
}

impl SessionRow {
    fn take(&mut self, agents: CcusageAgents, sum: &CallSum<'_>) -> Result<()> {
        let totals = ClassTotals::of_sum(agents, sum)?;
        self.first = self.first.min(sum.first);
        self.last = self.last.max(sum.last);
        self.reasoning = self.reasoning.saturating_add(totals.reasoning);
        // ccusage lists the models of threads by name, and those of other sessions by first use. A session may span
        // several days, and its own log precedes those of its subagents.
        let has_threads = agents.has_threads(sum.series.agent);
        let aside = sum.series.label(SIDECHAIN).is_some();
        let first = (!has_threads).then(|| (NaiveDate::MIN, String::new(), String::new(), aside, sum.made));
        self.models.add(sum.series.model.unwrap_or(UNKNOWN), first, &totals)
    }
}
