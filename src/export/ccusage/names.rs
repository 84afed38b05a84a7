//! Names of projects and sessions from the paths of logs.

use std::collections::HashMap;

use crate::export::ccusage_agents::{CcusageAgents, CcusageCommand, NameOfPath};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::projection::file_states;

/// Names of conversations from the paths of logs, by agent and conversation.
#[derive(Debug, Default)]
pub(super) struct NamesOfPaths(HashMap<String, HashMap<String, String>>);

impl NamesOfPaths {
    /// Returns the project directories of sessions.
    pub fn projects(snapshot: &Snapshot<'_>, agents: CcusageAgents) -> Result<Self> {
        Self::read(
            snapshot,
            agents,
            |command| if let CcusageCommand::Projects(name) = command { Some(name) } else { None },
        )
    }

    /// Returns the file names of sessions.
    pub fn threads(snapshot: &Snapshot<'_>, agents: CcusageAgents) -> Result<Self> {
        Self::read(
            snapshot,
            agents,
            |command| if let CcusageCommand::Threads(name) = command { Some(name) } else { None },
        )
    }

    fn read(
        snapshot: &Snapshot<'_>,
        agents: CcusageAgents,
        of: impl Fn(CcusageCommand) -> Option<NameOfPath>,
    ) -> Result<Self> {
        let mut names = Self::default();
        for agent in agents.0.iter().map(super::CcusageAgent::agent) {
            if let Some(name) = of(agents.command(Some(agent))) {
                names.0.insert(agent.to_owned(), places(snapshot, agent, name)?);
            }
        }
        Ok(names)
    }

    /// Returns the name of an agent's conversation.
    pub fn get(&self, agent: Option<&str>, conversation: Option<&str>) -> Option<&String> {
        self.0.get(agent?)?.get(conversation?)
    }
}

/// Extracts names of conversations from the paths of a source. Of several names of one conversation the smallest wins.
fn places(snapshot: &Snapshot<'_>, source: &str, place: NameOfPath) -> Result<HashMap<String, String>> {
    let mut places: HashMap<String, String> = HashMap::new();
    for file in file_states(snapshot.view(), source)?.into_values() {
        let (Some(conversation), Some(place)) = (file.conversation, place(&file.path)) else { continue };
        match places.get_mut(&conversation) {
            Some(name) if *name <= place => {}
            Some(name) => *name = place,
            None => {
                places.insert(conversation, place);
            }
        }
    }
    Ok(places)
}
