//! The findings of `doctor`.

use std::fmt;

use serde::Serialize;

use crate::model::event::Position;

/// A problem, and what to do about it.
#[derive(Serialize)]
pub(crate) struct Diagnosis {
    #[serde(flatten)]
    pub about: Topic,
    pub what: String,
    pub remedy: String,
}

/// The subject of a problem.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    Provider(String),
    Source(String),
    /// The event at this position.
    Event(Position),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(name) | Self::Source(name) => f.write_str(name),
            Self::Event(position) => write!(f, "position {position}"),
        }
    }
}
