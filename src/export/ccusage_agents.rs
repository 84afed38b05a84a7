//! How ccusage reports each agent: its name, and the form of its rows.

/// Replaces an unknown model, agent or session.
pub(in crate::export) const UNKNOWN: &str = "unknown";

/// Extracts the name of a project or session from the path of a log.
pub(in crate::export) type NameOfPath = fn(&str) -> Option<String>;

/// How ccusage reports an agent.
#[derive(Clone, Copy, Debug)]
pub struct CcusageAgent {
    agent: &'static str,
    name: &'static str,
    separate_reasoning: bool,
    states_activity: bool,
    command: CcusageCommand,
}

/// The command of ccusage that reports a single agent.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) enum CcusageCommand {
    /// Rows in the common form.
    Plain,
    /// Like `ccusage claude`: sessions name their projects, weeks begin on Sundays, and blocks are of this agent.
    Projects(NameOfPath),
    /// Sessions are threads: rows have different field names, and files name the sessions.
    Threads(NameOfPath),
}

impl CcusageAgent {
    /// Creates the entry of an agent, with the ledger's name and ccusage's name.
    pub const fn new(agent: &'static str, name: &'static str) -> Self {
        Self { agent, name, separate_reasoning: false, states_activity: true, command: CcusageCommand::Plain }
    }

    /// Reasoning counts in `totalTokens` alone and not in `outputTokens`.
    #[must_use]
    pub const fn with_separate_reasoning(mut self) -> Self {
        self.separate_reasoning = true;
        self
    }

    /// Sessions do not state the time of their last activity.
    #[must_use]
    pub const fn without_activity(mut self) -> Self {
        self.states_activity = false;
        self
    }

    /// The agent's command is like `ccusage claude`. The function extracts the project from the path of a log.
    #[must_use]
    pub const fn with_projects(mut self, project: fn(&str) -> Option<String>) -> Self {
        self.command = CcusageCommand::Projects(project);
        self
    }

    /// The agent's sessions are threads, for which its command has different field names. The function extracts the
    /// session from the path of a log.
    #[must_use]
    pub const fn with_threads(mut self, session: fn(&str) -> Option<String>) -> Self {
        self.command = CcusageCommand::Threads(session);
        self
    }

    /// The ledger's name of the agent.
    pub const fn agent(&self) -> &'static str {
        self.agent
    }
}

/// The agents that ccusage knows. Any other agent keeps its name and has rows in the common form.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) struct CcusageAgents(pub &'static [CcusageAgent]);

impl CcusageAgents {
    fn find(self, agent: Option<&str>) -> Option<&'static CcusageAgent> {
        self.0.iter().find(|entry| Some(entry.agent) == agent)
    }

    /// Returns ccusage's name of an agent.
    pub fn name(self, agent: Option<&str>) -> &str {
        self.find(agent).map_or_else(|| agent.unwrap_or(UNKNOWN), |entry| entry.name)
    }

    /// Returns whether the reasoning of an agent is not part of its output.
    pub fn separate_reasoning(self, agent: Option<&str>) -> bool {
        self.find(agent).is_some_and(|entry| entry.separate_reasoning)
    }

    /// Returns whether the sessions of an agent state the time of their last activity.
    pub fn states_activity(self, agent: Option<&str>) -> bool {
        self.find(agent).is_none_or(|entry| entry.states_activity)
    }

    /// Returns the command that reports an agent.
    pub fn command(self, agent: Option<&str>) -> CcusageCommand {
        self.find(agent).map_or(CcusageCommand::Plain, |entry| entry.command)
    }

    /// Returns whether sessions of an agent belong to projects, as in `ccusage claude`.
    pub fn has_projects(self, agent: Option<&str>) -> bool {
        matches!(self.command(agent), CcusageCommand::Projects(_))
    }

    /// Returns whether files name the sessions of an agent.
    pub fn has_threads(self, agent: Option<&str>) -> bool {
        matches!(self.command(agent), CcusageCommand::Threads(_))
    }

    /// Returns the agent whose calls form blocks.
    pub fn of_blocks(self) -> Option<&'static str> {
        self.0.iter().map(|entry| entry.agent).find(|agent| self.has_projects(Some(agent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENTS: CcusageAgents = CcusageAgents(&[
        CcusageAgent::new("a", "one").with_projects(|_| None),
        CcusageAgent::new("b", "two").with_threads(|_| None).with_separate_reasoning().without_activity(),
    ]);

    #[test]
    fn an_agent_that_ccusage_does_not_know_keeps_its_name() {
        assert_eq!((AGENTS.name(Some("b")), AGENTS.name(Some("c")), AGENTS.name(None)), ("two", "c", UNKNOWN));
        assert_eq!((AGENTS.separate_reasoning(Some("b")), AGENTS.separate_reasoning(Some("c"))), (true, false));
        assert_eq!((AGENTS.states_activity(Some("b")), AGENTS.states_activity(Some("c"))), (false, true));
        assert_eq!((AGENTS.has_threads(Some("b")), AGENTS.has_threads(Some("c"))), (true, false));
        assert_eq!(AGENTS.of_blocks(), Some("a"));
    }
}
