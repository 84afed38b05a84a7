use crate::model::error::{Error, Result};
use crate::projection::Series;

/// A key that separates the rows of a report.
///
/// ```
/// use usage_ledger::ReportKey;
/// assert_eq!("day".parse::<ReportKey>()?, ReportKey::Day);
/// assert_eq!("label:team".parse::<ReportKey>()?, ReportKey::Label("team".to_owned()));
/// assert!("colour".parse::<ReportKey>().is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportKey {
    /// The provider that served and metered the tokens.
    Provider,
    /// The subscription or key.
    Account,
    /// The model.
    Model,
    /// The calling program.
    Agent,
    /// The project.
    Project,
    /// The agent session.
    Conversation,
    /// The computer on which the call was made: the label `machine`, which a fleet server sets.
    Machine,
    /// The person who made the call: the label `person`, which a fleet server sets.
    Person,
    /// The team of that person: the label `team`, which a fleet server sets.
    Team,
    /// The value of a label.
    Label(String),
    /// The local hour.
    Hour,
    /// The local day.
    Day,
    /// The local ISO week, `2026-W24`.
    Week,
    /// The local month.
    Month,
    /// The session quota window of the provider account.
    Window,
}

impl ReportKey {
    /// The label with the name of the machine.
    pub(crate) const MACHINE: &'static str = "machine";
    /// The label with the name of the person.
    pub(crate) const PERSON: &'static str = "person";
    /// The label with the name of the team.
    pub(crate) const TEAM: &'static str = "team";

    /// The name in flags, JSON and column headers.
    ///
    /// ```
    /// # use usage_ledger::ReportKey;
    /// assert_eq!(ReportKey::Label("team".to_owned()).name(), "label:team");
    /// ```
    pub fn name(&self) -> String {
        match self {
            Self::Provider => "provider".into(),
            Self::Account => "account".into(),
            Self::Model => "model".into(),
            Self::Agent => "agent".into(),
            Self::Project => "project".into(),
            Self::Conversation => "conversation".into(),
            Self::Machine => Self::MACHINE.into(),
            Self::Person => Self::PERSON.into(),
            Self::Team => Self::TEAM.into(),
            Self::Label(name) => format!("label:{name}"),
            Self::Hour => "hour".into(),
            Self::Day => "day".into(),
            Self::Week => "week".into(),
            Self::Month => "month".into(),
            Self::Window => "window".into(),
        }
    }

    /// The value of a key that does not depend on time.
    pub(super) fn of<'s>(&self, series: &Series<'s>) -> Option<&'s str> {
        match self {
            Self::Provider => Some(series.provider),
            Self::Account => series.account,
            Self::Model => series.model,
            Self::Agent => series.agent,
            Self::Project => series.project,
            Self::Conversation => series.conversation,
            Self::Machine | Self::Person | Self::Team | Self::Label(_) => {
                self.label().and_then(|name| series.label(name))
            }
            Self::Hour | Self::Day | Self::Week | Self::Month | Self::Window => None,
        }
    }

    /// The label that the key reads.
    pub(super) fn label(&self) -> Option<&str> {
        match self {
            Self::Machine => Some(Self::MACHINE),
            Self::Person => Some(Self::PERSON),
            Self::Team => Some(Self::TEAM),
            Self::Label(name) => Some(name),
            _ => None,
        }
    }

    pub(super) const fn is_time(&self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month)
    }
}

impl std::str::FromStr for ReportKey {
    type Err = Error;

    /// Parses a [`name`](ReportKey::name).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name; the message lists the valid ones.
    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "provider" => Self::Provider,
            "account" => Self::Account,
            "model" => Self::Model,
            "agent" => Self::Agent,
            "project" => Self::Project,
            "conversation" => Self::Conversation,
            Self::MACHINE => Self::Machine,
            Self::PERSON => Self::Person,
            Self::TEAM => Self::Team,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "window" => Self::Window,
            _ => match name.strip_prefix("label:") {
                Some(label) if !label.is_empty() => Self::Label(label.to_owned()),
                _ => {
                    return Err(Error::invalid(format!(
                        "`{name}` is not a report key: use provider, account, model, agent, project, conversation, \
                         machine, person, team, label:NAME, hour, day, week, month or window"
                    )));
                }
            },
        })
    }
}
