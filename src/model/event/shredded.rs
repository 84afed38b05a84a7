//! What shredding removes from an event, and what remains.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, because};
use super::{Event, EventId, NameKind, Position, Raw, Subject};
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;

/// The replacement of a text in a required field.
pub(super) const SHREDDED: &str = "shredded";

/// An event's text was erased for privacy. Its position, leaf hash and numbers remain.
///
/// [`Ledger::shred`](crate::Ledger::shred) appends it in the transaction that erases the text.
///
/// ```
/// use usage_ledger::{Ledger, Shred, TokenRecord, event::Payload};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(120).project("acme"), now)?;
/// ledger.shred(&Shred::because("the customer asked").project("acme"), now)?;
/// let Payload::EventShredded(shredded) = ledger.event(2)?.payload else { panic!("another kind") };
/// assert_eq!((shredded.position, shredded.reason.as_str()), (1.into(), "the customer asked"));
/// assert!(!shredded.keeps.get().contains("acme"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventShredded {
    /// The event.
    pub target: EventId,
    /// Its position.
    pub position: Position,
    /// The RFC 6962 leaf hash of its line, in hex.
    pub leaf: String,
    /// The reason.
    pub reason: String,
    /// The person who requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The remaining event: the line without what was erased. Folds read it in place of the original.
    pub keeps: Raw,
}

impl EventData for EventShredded {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Err("it states what was shredded and why, which must stay")
    }

    fn summary(&self) -> String {
        let author = self.author.as_ref().map(|author| format!(", requested by {author}")).unwrap_or_default();
        format!("position {}{author}{}", self.position, because(Some(&self.reason)))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}

    fn validate(&self) -> Result<()> {
        // Only the transaction that erases the body may append this event.
        Err(Error::invalid(
            "an event_shredded is written by shredding alone: use `Ledger::shred` or `usage-ledger shred`",
        ))
    }
}

impl Event {
    /// The event without everything that shredding erases; `None` if it contains nothing to erase.
    pub(crate) fn redacted(&self) -> Option<Self> {
        let payload = self.payload.redacted().ok()?;
        (payload != self.payload).then(|| Self { payload, source: self.source.clone(), ..*self })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::event::{Imported, ImportedFile, Payload, SkippedLine, TokenRecord};

    #[test]
    fn shredding_removes_names_and_keeps_numbers() {
        let mut record = TokenRecord::new("openai", "gpt-5").input(3).output(4).account("team").agent("my-agent");
        record = record.project("acme").conversation("c1").label("mission", "m1").key("resp_1").key("c1/7");
        record.raw = Some(Raw::parse(r#"{"user":"acme"}"#).unwrap());
        record.duration_ms = Some(12);
        let ids: BTreeSet<EventId> = record.ids().collect();
        let Ok(Payload::TokensRecorded(remaining)) = Payload::from(record.clone()).redacted() else { panic!() };
        let text = serde_json::to_string(&remaining).unwrap();
        assert!(!["acme", "c1", "m1", "mission", "resp_1"].iter().any(|name| text.contains(name)), "{text}");
        assert_eq!((remaining.tokens, remaining.duration_ms), (record.tokens, Some(12)));
        assert_eq!((remaining.account.as_deref(), remaining.agent.as_deref()), (Some("team"), Some("my-agent")));
        assert_eq!(remaining.ids().collect::<BTreeSet<_>>(), ids);
        // Redacting twice changes nothing.
        assert_eq!(Payload::from(remaining.clone()).redacted(), Ok(remaining.into()));
    }

    #[test]
    fn shredding_removes_every_name_of_an_import() {
        let file = |path: &str, identity: Option<&str>, hash: &str| ImportedFile {
            path: path.to_owned(),
            identity: identity.map(str::to_owned),
            hash: hash.to_owned(),
            offset: 9,
            conversation: Some(path.to_owned()),
            ..ImportedFile::default()
        };
        let mut run = Imported::new("my-agent");
        run.files = vec![file("acme", Some("1:2"), "ab"), file("acme1", None, "cd"), file("acme2", None, "")];
        run.skipped.push(SkippedLine { file: "acme3".to_owned(), line: 3, why: "not JSON".to_owned() });
        let Ok(Payload::Imported(remaining)) = Payload::from(run).redacted() else { panic!() };
        let paths: Vec<&str> = remaining.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["shredded:ab", "shredded:cd"]);
        assert_eq!((remaining.files[0].offset, remaining.skipped.len()), (9, 1));
        assert!(!serde_json::to_string(&remaining).unwrap().contains("acme"));
    }
}
