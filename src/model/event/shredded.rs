//! What shredding removes from an event, and what remains.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::event::{INFERENCE_GEO, SERVICE_TIER};

use super::{Event, EventId, Imported, ImportedFile, Payload, Position, Raw, TokenRecord};

/// The replacement of a text in a required field.
const SHREDDED: &str = "shredded";

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

impl Event {
    /// The event without everything that shredding erases; `None` if it contains nothing to erase.
    pub(crate) fn redacted(&self) -> Option<Self> {
        let payload = self.payload.redacted()?;
        (payload != self.payload).then(|| Self { payload, source: self.source.clone(), ..*self })
    }
}

impl Payload {
    /// The payload without names and texts that no fold depends on; `None` for a kind without such texts.
    pub(crate) fn redacted(&self) -> Option<Self> {
        let mut remaining = self.clone();
        match &mut remaining {
            Self::TokensRecorded(record) => record.redact(),
            Self::TokensAmended(amend) => {
                amend.reason.clear();
                amend.replacement.redact();
            }
            Self::EventVoided(void) => void.reason.clear(),
            Self::ProviderSwitched(switch) => switch.reason = None,
            Self::QuotaExhausted(refusal) => refusal.excerpt.clear(),
            Self::Paused(pause) => {
                pause.note = None;
                // These reasons determine how the pause ends. Any other reason is the user's own text.
                if !["quota", "timed", "manual"].contains(&pause.reason.as_str()) {
                    SHREDDED.clone_into(&mut pause.reason);
                }
            }
            Self::Resumed(resumed) => resumed.reason.clear(),
            Self::UsageOverridden(override_event) => {
                SHREDDED.clone_into(&mut override_event.author);
                override_event.reason.clear();
            }
            Self::PriceSet(price) => price.note = None,
            // Without its project the limit holds for none.
            Self::LimitSet(limit) => SHREDDED.clone_into(limit.project.as_mut()?),
            Self::BudgetReleased(released) => released.reason.clear(),
            Self::Imported(run) => run.redact(),
            Self::QuotaObserved(_)
            | Self::ProviderDeclared(_)
            | Self::BudgetReserved(_)
            | Self::BudgetSettled(_)
            | Self::EventShredded(_)
            | Self::AlertSet(_)
            | Self::AlertFired(_)
            | Self::AlertDelivery(_)
            | Self::PeriodSealed(_) => return None,
        }
        Some(remaining)
    }
}

impl TokenRecord {
    /// Removes every name except provider, account, model and agent, which counters depend on. The natural keys become
    /// ids, so the same call is still recognised.
    fn redact(&mut self) {
        let ids: BTreeSet<EventId> = self.ids().collect();
        self.key_ids = ids.into_iter().collect();
        self.keys.clear();
        self.conversation = None;
        self.project = None;
        // The cost of a call depends on these labels.
        self.labels.retain(|name, _| name == SERVICE_TIER || name == INFERENCE_GEO);
        self.raw = None;
    }

    /// Like [`redact`](Self::redact), for a later sighting of a call whose record is shredded.
    #[cfg(feature = "import")]
    pub(crate) fn without_names(mut self) -> Self {
        self.redact();
        self
    }
}

/// The beginning of the name of a redacted file. No path begins like this.
pub(crate) const REDACTED_PATH: &str = "shredded:";

impl ImportedFile {
    /// How far the file was read, without its path. The hash identifies an unchanged log, which then need not be opened
    /// again. An entry without a hash and without an identity is not a file.
    fn redacted(&self) -> Option<Self> {
        if self.hash.is_empty() && self.identity.is_none() {
            return None;
        }
        let path = format!("{REDACTED_PATH}{}", self.hash);
        Some(Self { path, conversation: None, began: None, resume: None, ..self.clone() })
    }
}

impl Imported {
    /// Removes the names of all its files. The result becomes part of an `event_shredded`, from which nothing is erased
    /// later.
    fn redact(&mut self) {
        self.files = self.files.iter().filter_map(ImportedFile::redacted).collect();
        for line in &mut self.skipped {
            SHREDDED.clone_into(&mut line.file);
            SHREDDED.clone_into(&mut line.why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::SkippedLine;

    #[test]
    fn shredding_removes_names_and_keeps_numbers() {
        let mut record = TokenRecord::new("openai", "gpt-5").input(3).output(4).account("team").agent("my-agent");
        record = record.project("acme").conversation("c1").label("mission", "m1").key("resp_1").key("c1/7");
        record.raw = Some(Raw::parse(r#"{"user":"acme"}"#).unwrap());
        record.duration_ms = Some(12);
        let ids: BTreeSet<EventId> = record.ids().collect();
        let Some(Payload::TokensRecorded(remaining)) = Payload::from(record.clone()).redacted() else { panic!() };
        let text = serde_json::to_string(&remaining).unwrap();
        assert!(!["acme", "c1", "m1", "mission", "resp_1"].iter().any(|name| text.contains(name)), "{text}");
        assert_eq!((remaining.tokens, remaining.duration_ms), (record.tokens, Some(12)));
        assert_eq!((remaining.account.as_deref(), remaining.agent.as_deref()), (Some("team"), Some("my-agent")));
        assert_eq!(remaining.ids().collect::<BTreeSet<_>>(), ids);
        // Redacting twice changes nothing.
        assert_eq!(Payload::from(remaining.clone()).redacted(), Some(remaining.into()));
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
        let Some(Payload::Imported(remaining)) = Payload::from(run).redacted() else { panic!() };
        let paths: Vec<&str> = remaining.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["shredded:ab", "shredded:cd"]);
        assert_eq!((remaining.files[0].offset, remaining.skipped.len()), (9, 1));
        assert!(!serde_json::to_string(&remaining).unwrap().contains("acme"));
    }
}
