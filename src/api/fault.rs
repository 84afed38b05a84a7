//! The failure of an operation in a form for every interface: kind, detail and remedy.

use crate::model::error::Error;
use crate::model::secrets;
use crate::model::time::Timestamp;
pub(crate) use crate::present::errors::FaultKind;

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

    /// Creates a failure from a message. The remedy in the message fits the case better than the general one of the list
    /// of errors, which applies to a message without a remedy.
    pub fn of_message(kind: FaultKind, message: &str) -> Self {
        let detail = secrets::message(message).to_string();
        let remedy = remedy_of(&detail).unwrap_or(kind.entry().remedy).to_owned();
        Self::new(kind, detail, remedy)
    }

    /// Creates a failure for invalid input.
    pub fn input(message: &str) -> Self {
        Self::of_message(FaultKind::InvalidInput, message)
    }

    /// Creates a failure for an invalid field. `path` is `.` for the input as a whole.
    pub fn field(path: &str, why: &str) -> Self {
        let place = if path == "." { "the input".to_owned() } else { format!("`{path}`") };
        let detail = secrets::message(&format!("{place}: {why}")).to_string();
        Self::new(
            FaultKind::InvalidInput,
            detail,
            "correct the field: docs/http.md and /api/v1/openapi.json of `serve` list what each operation takes",
        )
    }

    /// Replaces the paths of files by their names, for clients of other machines. Only failures of the store name files.
    #[cfg(feature = "web")]
    pub fn without_paths(mut self) -> Self {
        if self.kind.entry().status >= 500 {
            self.detail = without_paths(&self.detail).into_boxed_str();
            self.remedy = without_paths(&self.remedy).into_boxed_str();
        }
        self
    }

    /// Sets the number of the record in a batch, from 1.
    pub fn at_record(mut self, number: u64) -> Self {
        self.record = Some(number);
        self
    }
}

/// Replaces each absolute path by its last part. A path can contain blanks, so it ends at a mark that ends a phrase.
#[cfg(feature = "web")]
fn without_paths(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        let is_start = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "`'\"(=".contains(c));
        let end = from.find([':', ';', '`', '\'', '"', ',', '(', ')', '\n']).unwrap_or(from.len());
        let (path, after) = from.split_at(end);
        shown.push_str(if is_start { path.rsplit('/').next().unwrap_or_default() } else { path });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Returns the remedy in a message. Most messages have the form `what: remedy` or `what; remedy`.
fn remedy_of(message: &str) -> Option<&str> {
    let at = message.rfind("; ").or_else(|| message.rfind(": "))?;
    message.get(at + 2..).map(str::trim).filter(|remedy| !remedy.is_empty())
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let kind = FaultKind::of(&error);
        let detail = secrets::message(&error.with_causes()).to_string();
        let fault = |remedy: &str| Self::new(kind, detail.clone(), remedy);
        let common = || fault(kind.entry().remedy);
        match &error {
            Error::UnknownProvider { id, candidates } => unknown_provider(id, candidates),
            Error::Gated { resumes_at, .. } => {
                Self { resumes_at: *resumes_at, ..fault("wait, or use another provider") }
            }
            Error::OverBudget { resets_at, .. } => {
                Self { resumes_at: *resets_at, ..fault("ask for fewer tokens, or wait") }
            }
            Error::Conflict { position, .. } => Self { position: Some(position.get()), ..common() },
            Error::Replaced { .. } => fault("put the file back or restore a backup, and repeat the call"),
            Error::Damaged { position, .. } => Self { position: position.map(crate::Position::get), ..common() },
            // Their messages end with the cause, not with a remedy.
            Error::Store { .. } | Error::Io { .. } => common(),
            _ => match kind {
                FaultKind::InvalidInput | FaultKind::Conflict | FaultKind::Unavailable => {
                    Self::of_message(kind, &detail)
                }
                _ => common(),
            },
        }
    }
}

/// Creates the failure for a provider that is in no catalogue, event or declaration.
fn unknown_provider(id: &str, candidates: &[String]) -> Fault {
    let near = candidates.iter().map(|near| format!("`{near}`")).collect::<Vec<_>>().join(" or ");
    let question = if near.is_empty() { String::new() } else { format!(" (did you mean {near}?)") };
    let remedy = format!(
        "correct the name, declare it (`usage-ledger provider declare {id} --metered`), or send \"allow_undeclared\": true"
    );
    let detail = format!("`{id}` is in no catalogue, event or declaration{question}");
    Fault { candidates: candidates.to_vec(), ..Fault::new(FaultKind::UnknownProvider, detail, remedy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_provider_suggests_the_correct_name() {
        let error = Error::UnknownProvider { id: "antropic".to_owned(), candidates: vec!["anthropic".to_owned()] };
        let fault = Fault::from(error);
        assert_eq!((fault.kind, fault.candidates), (FaultKind::UnknownProvider, vec!["anthropic".to_owned()]));
        assert!(fault.detail.contains("did you mean `anthropic`?") && fault.remedy.contains("allow_undeclared"));
    }

    #[test]
    fn a_failure_of_the_store_states_its_cause_and_hides_paths_from_other_machines() {
        let error = || Error::Store {
            what: "reading the head in /home/jo doe/usage.db".to_owned(),
            source: "disk I/O error".into(),
        };
        let fault = Fault::from(error());
        assert_eq!(&*fault.detail, "the store failed: reading the head in /home/jo doe/usage.db: disk I/O error");
        #[cfg(feature = "web")]
        {
            let hidden = Fault::from(error()).without_paths();
            assert_eq!(&*hidden.detail, "the store failed: reading the head in usage.db: disk I/O error");
            assert_eq!(without_paths("`/a/b c.db` is gone; see https://x/y"), "`b c.db` is gone; see https://x/y");
        }
    }

    #[test]
    fn the_remedy_is_the_last_part_of_a_message() {
        assert_eq!(remedy_of("`a` is no time: write RFC 3339"), Some("write RFC 3339"));
        assert_eq!(remedy_of("the disk is full: nothing was written; free some space"), Some("free some space"));
        assert_eq!(remedy_of("nothing to do"), None);
    }

    #[test]
    fn an_error_has_the_remedy_of_its_message_or_of_the_list() {
        let remedy = |error: Error| Fault::from(error).remedy;
        let reservation = crate::EventId::from_key("a", "b");
        assert_eq!(&*remedy(Error::AlreadySettled { reservation, record: None }), "reserve again for another call");
        assert_eq!(&*remedy(Error::DiskFull), "free some space and repeat the call");
        let store = Error::Store { what: "reading".to_owned(), source: "no answer".into() };
        assert_eq!(&*remedy(store), FaultKind::Unavailable.entry().remedy);
        assert_eq!(&*remedy(Error::invalid("no")), FaultKind::InvalidInput.entry().remedy);
    }
}
