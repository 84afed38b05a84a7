//! The failure of an operation in a form for every interface: kind, detail and remedy.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::error::Error;
use crate::model::secrets;
use crate::model::time::Timestamp;

/// Kinds of failures, shared by all interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    /// The input is invalid.
    InvalidInput,
    /// The provider is in no catalogue, event or declaration.
    UnknownProvider,
    /// The event does not exist.
    NotFound,
    /// The id or key exists with different content.
    Conflict,
    /// The gate is closed, or the reservation does not fit.
    Wait,
    /// There is no signing key.
    NoKey,
    /// Another program holds the write lock.
    Busy,
    /// The ledger cannot be reached, or its file was replaced.
    Unavailable,
    /// The ledger is inconsistent.
    Damaged,
    /// A bug of this program.
    Bug,
}

impl FaultKind {
    /// Returns the name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::UnknownProvider => "unknown-provider",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Wait => "wait",
            Self::NoKey => "no-key",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::Bug => "bug",
        }
    }

    /// Returns a short title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidInput => "The input is invalid",
            Self::UnknownProvider => "The provider is unknown",
            Self::NotFound => "There is no such event",
            Self::Conflict => "The id is taken by other content",
            Self::Wait => "The call must wait",
            Self::NoKey => "There is no key to sign with",
            Self::Busy => "The ledger is busy",
            Self::Unavailable => "The ledger is unavailable",
            Self::Damaged => "The ledger is damaged",
            Self::Bug => "The program is at fault",
        }
    }
}

/// Description of a failure.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    /// What happened.
    pub detail: Box<str>,
    /// What to do.
    pub remedy: Box<str>,
    /// Known providers with a similar name.
    pub candidates: Vec<String>,
    /// Position of the event that conflicts.
    pub position: Option<u64>,
    /// The time after which a retry may succeed.
    pub resumes_at: Option<Timestamp>,
    /// Number of the invalid record in a batch, from 1.
    pub record: Option<u64>,
}

impl Fault {
    pub fn new(kind: FaultKind, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into().into_boxed_str(),
            remedy: remedy.into().into_boxed_str(),
            candidates: Vec::new(),
            position: None,
            resumes_at: None,
            record: None,
        }
    }

    /// Creates a failure for invalid input.
    pub fn input(detail: impl Into<String>) -> Self {
        // Messages of this kind end with the remedy after a colon.
        let detail = secrets::name(&detail.into()).to_string();
        let remedy = remedy_of(&detail).unwrap_or("correct the input and send it again").to_owned();
        Self::new(FaultKind::InvalidInput, detail, remedy)
    }

    /// Creates a failure for an invalid field. `path` is `.` for the input as a whole.
    pub fn field(path: &str, why: &str) -> Self {
        let place = if path == "." { "the input".to_owned() } else { format!("`{path}`") };
        let detail = secrets::name(&format!("{place}: {why}")).to_string();
        Self::new(
            FaultKind::InvalidInput,
            detail,
            "correct the field: docs/http.md and /api/v1/openapi.json of `serve` list what each operation takes",
        )
    }

    /// Sets the number of the record in a batch, from 1.
    pub fn at_record(mut self, number: u64) -> Self {
        self.record = Some(number);
        self
    }
}

/// Returns the remedy in a message. Most messages have the form `what: remedy` or `what; remedy`.
pub(crate) fn remedy_of(message: &str) -> Option<&str> {
    let at = message.rfind("; ").or_else(|| message.rfind(": "))?;
    message.get(at + 2..).map(str::trim).filter(|remedy| !remedy.is_empty())
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let detail = secrets::name(&error.to_string()).to_string();
        let fault = |kind, remedy: &str| Self::new(kind, detail.clone(), remedy);
        match &error {
            Error::UnknownProvider { id, candidates } => {
                let near = candidates.iter().map(|near| format!("`{near}`")).collect::<Vec<_>>().join(" or ");
                let question = if near.is_empty() { String::new() } else { format!(" (did you mean {near}?)") };
                Self {
                    candidates: candidates.clone(),
                    ..Self::new(
                        FaultKind::UnknownProvider,
                        format!("`{id}` is in no catalogue, event or declaration{question}"),
                        format!(
                            "correct the name, declare it (`usage-ledger provider declare {id} --metered`), or send \
                             \"allow_undeclared\": true"
                        ),
                    )
                }
            }
            Error::Gated { resumes_at, .. } => {
                Self { resumes_at: *resumes_at, ..fault(FaultKind::Wait, "wait, or use another provider") }
            }
            Error::OverBudget { resets_at, .. } => {
                Self { resumes_at: *resets_at, ..fault(FaultKind::Wait, "ask for fewer tokens, or wait") }
            }
            Error::Conflict { position, .. } => Self {
                position: Some(position.get()),
                ..fault(FaultKind::Conflict, "use another key or id, or amend the first event")
            },
            Error::NotFound { .. } => fault(FaultKind::NotFound, "list the events with the operation `events`"),
            Error::Busy { .. } => fault(FaultKind::Busy, "repeat the call"),
            Error::Replaced { .. } => {
                fault(FaultKind::Unavailable, "put the file back or restore a backup, and repeat the call")
            }
            Error::Damaged { position, .. } => Self {
                position: position.map(crate::Position::get),
                ..fault(FaultKind::Damaged, "keep the file, run `usage-ledger verify`, and restore a backup")
            },
            Error::Bug { .. } | Error::LineBreak { .. } => {
                fault(FaultKind::Bug, "nothing was written; report this message")
            }
            Error::Io { .. } => fault(FaultKind::Unavailable, "check the ledger's file and repeat the call"),
            store if store.is_store() => {
                let remedy = remedy_of(&detail).unwrap_or("repair the store and repeat the call").to_owned();
                fault(FaultKind::Unavailable, &remedy)
            }
            _ => Self::input(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_name_it_is_serialised_by() {
        use FaultKind::{
            Bug, Busy, Conflict, Damaged, InvalidInput, NoKey, NotFound, Unavailable, UnknownProvider, Wait,
        };
        for kind in [InvalidInput, UnknownProvider, NotFound, Conflict, Wait, NoKey, Busy, Unavailable, Damaged, Bug] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert!(!kind.title().is_empty());
        }
    }

    #[test]
    fn a_misspelt_provider_suggests_the_correct_name() {
        let error = Error::UnknownProvider { id: "antropic".to_owned(), candidates: vec!["anthropic".to_owned()] };
        let fault = Fault::from(error);
        assert_eq!((fault.kind, fault.candidates), (FaultKind::UnknownProvider, vec!["anthropic".to_owned()]));
        assert!(fault.detail.contains("did you mean `anthropic`?") && fault.remedy.contains("allow_undeclared"));
    }

    #[test]
    fn the_remedy_is_the_last_part_of_a_message() {
        assert_eq!(remedy_of("`a` is no time: write RFC 3339"), Some("write RFC 3339"));
        assert_eq!(remedy_of("the disk is full: nothing was written; free some space"), Some("free some space"));
        assert_eq!(remedy_of("nothing to do"), None);
    }
}
