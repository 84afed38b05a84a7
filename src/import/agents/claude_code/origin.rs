//! The session of a log: the state that a transcript parser stores between imports.

use serde::{Deserialize, Serialize};

use super::identity::OpenAnswer;
use super::line::TranscriptLine;
use crate::import::engine::jsonl;
use crate::model::serde_skip::is_zero;
use crate::model::time::Timestamp;

/// The session of a log and when it began.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct CallOrigin {
    /// The first time in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// The first session id in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Start of the main session, if a subagent wrote the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Timestamp>,
    /// The last answer, if later lines may continue it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenAnswer>,
    /// Number of answers that were reported because all their counts are 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub zeros: u64,
}

impl CallOrigin {
    /// Creates the origin of a log whose session started at `parent`.
    pub fn below(parent: Option<Timestamp>) -> Self {
        Self { parent, ..Self::default() }
    }

    /// Returns whether no further line needs to be read for it.
    pub fn is_known(&self) -> bool {
        self.began.is_some() && self.conversation.is_some()
    }

    /// Takes missing values from any line.
    pub fn learn(&mut self, line: &[u8]) {
        if let Ok(line) = TranscriptLine::parse(line) {
            self.learn_from(&line);
        }
    }

    /// Takes missing values from a parsed line.
    pub fn learn_from(&mut self, line: &TranscriptLine<'_>) {
        if self.began.is_none() {
            self.began = line.timestamp.as_deref().and_then(|time| time.parse().ok());
        }
        if self.conversation.is_none() {
            self.conversation = line.session.as_deref().and_then(jsonl::name).map(str::to_owned);
        }
    }
}
