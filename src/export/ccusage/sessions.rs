//! `session`: of all agents and of one.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use chrono::NaiveDate;
use serde::ser::{Error as _, Serialize, SerializeSeq, Serializer};

use super::CcusageOptions;
use super::class_totals::ClassTotals;
use super::names::NamesOfPaths;
use super::rows::{Label, Metadata, ModelRows, RowPlace, RowTotals, in_order};
use crate::export::ccusage_agents::{CcusageAgents, UNKNOWN};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::report::{CallSum, PricedCall, Report};

/// The label of calls of subagents.
const SIDECHAIN: &str = "sidechain";

/// The state of a session while its calls are added.
pub(super) struct SessionRow {
    pub agent: Option<Rc<str>>,
    pub conversation: Option<Rc<str>>,
    pub first: Timestamp,
    pub last: Timestamp,
    pub reasoning: u128,
    pub models: ModelRows,
}

/// An agent and a conversation.
type SessionName = (Option<Rc<str>>, Option<Rc<str>>);

/// Names of which each is kept once.
#[derive(Default)]
struct SharedNames(HashSet<Rc<str>>);

impl SharedNames {
    fn get(&mut self, name: &str) -> Rc<str> {
        if let Some(known) = self.0.get(name) {
            return Rc::clone(known);
        }
        let name: Rc<str> = name.into();
        self.0.insert(Rc::clone(&name));
        name
    }
}

/// Sums sessions from sums with exact times, because no rollup contains their last call.
pub(super) fn gather(snapshot: &Snapshot<'_>, report: &Report, agents: CcusageAgents) -> Result<Vec<SessionRow>> {
    let mut names = SharedNames::default();
    let mut places: HashMap<SessionName, usize> = HashMap::new();
    let mut sessions: Vec<SessionRow> = Vec::new();
    report.each_sum(snapshot, &mut |sum| {
        let agent = sum.series.agent.map(|name| names.get(name));
        let conversation = sum.series.conversation.map(|name| names.get(name));
        let place = *places.entry((agent.clone(), conversation.clone())).or_insert(sessions.len());
        if place == sessions.len() {
            let (first, last, models) = (sum.first, sum.last, ModelRows::default());
            sessions.push(SessionRow { agent, conversation, first, last, reasoning: 0, models });
        }
        let model = names.get(sum.series.model.unwrap_or(UNKNOWN));
        let session = sessions.get_mut(place).ok_or_else(|| bug!("a session has no row"))?;
        session.take(agents, sum, &model)
    })?;
    Ok(sessions)
}

/// Returns the position of a call in ccusage's reading order, which uses its first line, whichever line counts.
pub(super) fn place(day: NaiveDate, project: Option<&String>, call: &PricedCall<'_>) -> RowPlace {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let aside = call.record.labels.contains_key(SIDECHAIN);
    (day, text(project), text(call.record.conversation.as_ref()), aside, call.made)
}

/// Rows of sessions, for all agents or for one with the common field names. A row is built when it is written, because
/// there may be very many.
pub(super) struct SessionsAnswer<'r> {
    one: Option<&'r str>,
    options: CcusageOptions,
    threads: NamesOfPaths,
    projects: NamesOfPaths,
    sessions: Vec<SessionRow>,
    all: ClassTotals,
}

/// Gathers the sessions in their order.
pub(super) fn answer<'r>(
    snapshot: &Snapshot<'_>,
    report: &Report,
    one: Option<&'r str>,
    options: CcusageOptions,
) -> Result<SessionsAnswer<'r>> {
    let agents = options.known_agents();
    let (threads, projects) = (NamesOfPaths::threads(snapshot, agents)?, NamesOfPaths::projects(snapshot, agents)?);
    let sessions = gather(snapshot, report, agents)?;
    let mut all = ClassTotals::default();
    for session in &sessions {
        all.add(&session.models.sum()?)?;
    }
    let mut answer = SessionsAnswer { one, options, threads, projects, sessions, all };
    answer.sort()?;
    Ok(answer)
}

impl SessionsAnswer<'_> {
    /// Sorts by cost, descending, then by name. Sessions of one agent without projects are sorted by name alone.
    fn sort(&mut self) -> Result<()> {
        let agents = self.options.known_agents();
        let by_cost = self.one.is_none_or(|name| agents.has_projects(Some(name)));
        let mut sorted = Vec::with_capacity(self.sessions.len());
        for session in std::mem::take(&mut self.sessions) {
            let cost = if by_cost { session.models.sum()?.cost } else { Usd::default() };
            sorted.push((cost, session));
        }
        sorted.sort_by_key(|(cost, _)| Reverse(*cost));
        for same in sorted.chunk_by_mut(|(a, _), (b, _)| a == b).filter(|same| same.len() > 1) {
            same.sort_by_cached_key(|(_, session)| names_of(self.label(session)));
        }
        self.sessions = sorted.into_iter().map(|(_, session)| session).collect();
        Ok(())
    }

    fn label(&self, session: &SessionRow) -> Label {
        let SessionRow { agent, conversation, first, last, reasoning, .. } = session;
        let agents = self.options.known_agents();
        let agent = agent.as_deref();
        let conversation = conversation.as_deref();
        let of_file = |files: &NamesOfPaths| files.get(agent, conversation).cloned();
        let named = || conversation.unwrap_or(UNKNOWN).to_owned();
        match self.one {
            Some(name) => {
                let has_projects = agents.has_projects(Some(name));
                Label {
                    session_id: Some(named()),
                    project_path: has_projects.then(|| of_file(&self.projects).unwrap_or_else(|| UNKNOWN.to_owned())),
                    first_activity: has_projects.then_some(*first),
                    last_activity: has_projects.then_some(*last),
                    ..Label::default()
                }
            }
            None => Label {
                agent: Some(agents.name(agent).to_owned()),
                period: Some(of_file(&self.threads).unwrap_or_else(named)),
                metadata: agents.states_activity(agent).then(|| Metadata::Session {
                    last_activity: *last,
                    reasoning_output_tokens: agents.has_threads(agent).then_some(*reasoning),
                }),
                ..Label::default()
            },
        }
    }
}

fn names_of(label: Label) -> [Option<String>; 4] {
    [label.period, label.agent, label.project_path, label.session_id]
}

/// The rows of an answer.
struct SessionRows<'a>(&'a SessionsAnswer<'a>);

impl Serialize for SessionRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let costs = self.0.options.costs;
        let mut rows = serializer.serialize_seq(Some(self.0.sessions.len()))?;
        for session in &self.0.sessions {
            let row = session.models.clone().row(self.0.label(session), costs).map_err(S::Error::custom)?.0;
            rows.serialize_element(&row)?;
        }
        rows.end()
    }
}

impl Serialize for SessionsAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let unpriced = self.sessions.iter().flat_map(|session| session.models.unpriced()).map(|name| &**name).collect();
        let totals = RowTotals::new(&self.all, unpriced, self.options.costs).map_err(S::Error::custom)?;
        let name = if self.one.is_none() { "session" } else { "sessions" };
        in_order(serializer, name, &SessionRows(self), &totals)
    }
}

impl SessionRow {
    fn take(&mut self, agents: CcusageAgents, sum: &CallSum<'_>, model: &Rc<str>) -> Result<()> {
        let totals = ClassTotals::of_sum(agents, sum)?;
        self.first = self.first.min(sum.first);
        self.last = self.last.max(sum.last);
        self.reasoning = self.reasoning.saturating_add(totals.reasoning);
        // ccusage lists the models of threads by name, and those of other sessions by first use. A session may span
        // several days, and its own log precedes those of its subagents.
        let has_threads = agents.has_threads(sum.series.agent);
        let aside = sum.series.label(SIDECHAIN).is_some();
        let first = (!has_threads).then(|| (NaiveDate::MIN, String::new(), String::new(), aside, sum.made));
        self.models.add_shared(model, first, &totals)
    }
}
