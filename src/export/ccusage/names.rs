//! Names that ccusage takes from the paths of logs.

use std::collections::HashMap;

use super::agents::{CcusageAgents, Command, NameOfPath};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::projection::file_states;

/// What the paths of the logs say of the conversations of all agents whose command needs it, by agent and conversation.
#[derive(Debug, Default)]
pub(super) struct NamesOfPaths(HashMap<String, HashMap<String, String>>);

impl NamesOfPaths {
    /// The directories of the projects of sessions.
    pub fn projects(snapshot: &Snapshot<'_>, agents: CcusageAgents) -> Result<Self> {
        Self::read(snapshot, agents, |command| if let Command::Projects(name) = command { Some(name) } else { None })
    }

    /// The places of the files of sessions.
    pub fn threads(snapshot: &Snapshot<'_>, agents: CcusageAgents) -> Result<Self> {
        Self::read(snapshot, agents, |command| if let Command::Threads(name) = command { Some(name) } else { None })
    }

    fn read(
        snapshot: &Snapshot<'_>,
        agents: CcusageAgents,
        of: impl Fn(Command) -> Option<NameOfPath>,
    ) -> Result<Self> {
        let mut found = Self::default();
        for agent in agents.0.iter().map(super::CcusageAgent::agent) {
            if let Some(name) = of(agents.command(Some(agent))) {
                found.0.insert(agent.to_owned(), places(snapshot, agent, name)?);
            }
        }
        Ok(found)
    }

    /// The name of an agent's conversation.
    pub fn get(&self, agent: Option<&str>, conversation: Option<&str>) -> Option<&String> {
        self.0.get(agent?)?.get(conversation?)
    }
}

/// What the paths of a source's files say of its conversations; of several the least.
fn places(snapshot: &Snapshot<'_>, source: &str, place: NameOfPath) -> Result<HashMap<String, String>> {
    let mut places: HashMap<String, String> = HashMap::new();
    for file in file_states(snapshot.view(), source)?.into_values() {
        let (Some(conversation), Some(place)) = (file.conversation, place(&file.path)) else { continue };
        match places.get_mut(&conversation) {
            Some(known) if *known <= place => {}
            Some(known) => *known = place,
            None => {
                places.insert(conversation, place);
            }
        }
    }
    Ok(places)
}
