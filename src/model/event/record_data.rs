//! What the program knows of a token record besides its fields.

#[cfg(feature = "import")]
use std::borrow::Cow;
use std::collections::BTreeSet;

use super::event_data::EventData;
#[cfg(feature = "import")]
use super::scrub;
use super::{AccountRef, EventId, INFERENCE_GEO, NameKind, Raw, SERVICE_TIER, Subject, TokenRecord};
use crate::model::error::{Error, Result};
use crate::model::humanize::number::grouped;
use crate::model::provider::ProviderId;
#[cfg(feature = "import")]
use crate::model::secrets;
use crate::model::time::{QUARTER, Timestamp};
use crate::model::tokens::{TokenClass, Usd};

/// Bytes of the longest name.
const MAX_TEXT: usize = 4_096;

/// Whether the counts of a call appeared in a later quarter of an hour than the call. Reports that date calls by their
/// counts need these, because they may be on another day.
pub(crate) fn is_counted_later(at: Timestamp, counted_at: Option<Timestamp>) -> bool {
    let quarter = |at: Timestamp| at.millis().div_euclid(QUARTER);
    counted_at.is_some_and(|counted_at| quarter(at) < quarter(counted_at))
}

impl TokenRecord {
    /// When the counts of a call at this time appeared.
    pub(crate) fn counted_time(&self, at: Timestamp) -> Timestamp {
        self.counted_at.map_or(at, |counted| counted.max(at))
    }

    /// The ids of its natural keys, and the further ones.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EventId> {
        self.keys.iter().map(|key| EventId::from_key(&self.provider, key)).chain(self.key_ids.iter().copied())
    }

    /// Puts the caller's own keys before the others.
    #[cfg(feature = "cli")]
    pub(crate) fn put_keys(&mut self, keys: Vec<String>) {
        if self.keys.last().is_some_and(|last| keys.contains(last)) {
            self.server_key = super::ServerKey::default();
        }
        self.keys.retain(|known| !keys.contains(known));
        self.keys.splice(0..0, keys);
    }

    /// The record without its names, for a later sighting of a call whose record is shredded.
    #[cfg(feature = "import")]
    pub(crate) fn without_names(mut self) -> Self {
        self.remove_names();
        self
    }

    /// Removes every name except provider, account, model and agent, which counters depend on. The natural keys become
    /// ids, so the same call is still recognised.
    fn remove_names(&mut self) {
        let ids: BTreeSet<EventId> = self.ids().collect();
        self.key_ids = ids.into_iter().collect();
        self.keys.clear();
        self.conversation = None;
        self.project = None;
        // The cost of a call depends on these labels.
        self.labels.retain(|name, _| name == SERVICE_TIER || name == INFERENCE_GEO);
        self.raw = None;
    }

    /// Leaves out a usage object that makes the event too large to be pushed.
    pub(super) fn leave_out_large_raw(&mut self) {
        if self.raw.as_ref().is_some_and(|raw| raw.get().len() > MOST_RAW) {
            self.raw = None;
            let note = format!("the usage object is larger than {} KiB: left out", MOST_RAW >> 10);
            self.residual = Some(match self.residual.take() {
                Some(before) => format!("{before}; {note}"),
                None => note,
            });
        }
    }
}

/// Removes credentials from the value of a label. The ids of keys and workspaces are random, and a comparison with a bill needs
/// them.
#[cfg(feature = "import")]
fn label_value<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    let is_id = ["api_key_id", "key_id", "workspace", "workspace_id"].contains(&name);
    if is_id { secrets::name(value) } else { secrets::text(value) }
}

/// The most bytes of a kept usage object. Providers write a few hundred.
const MOST_RAW: usize = 256 << 10;

impl EventData for TokenRecord {
    fn subject(&self, at: Timestamp) -> Option<Subject<'_>> {
        is_counted_later(at, self.counted_at).then_some(Subject::Ledger)
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        visit(NameKind::Provider, &self.provider);
        let others = [
            (NameKind::Account, &self.account),
            (NameKind::Model, &self.model),
            (NameKind::Agent, &self.agent),
            (NameKind::Project, &self.project),
            (NameKind::Conversation, &self.conversation),
        ];
        for (kind, name) in others {
            if let Some(name) = name {
                visit(kind, name);
            }
        }
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        let mut kept = self.clone();
        kept.remove_names();
        Ok(kept)
    }

    fn summary(&self) -> String {
        // `anthropic (work) claude-opus-4-5: input 120, output 40`
        let account = AccountRef::new(&self.provider, self.account.as_deref());
        let model = self.model.as_ref().map(|model| format!(" {model}")).unwrap_or_default();
        let counts: Vec<String> = TokenClass::ALL
            .into_iter()
            .filter_map(|class| Some(format!("{} {}", class.name(), grouped(self.tokens.get(class)?))))
            .collect();
        let mark = if self.tokens.implausible().is_some() { " (implausible)" } else { "" };
        format!("{account}{model}: {}{mark}", counts.join(", "))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {
        if let Cow::Owned(kept) = secrets::name(&self.provider) {
            // A provider id cannot contain the brackets of the usual replacement.
            self.provider = if kept == *self.provider { kept.into() } else { "redacted".into() };
        }
        scrub::optional(&mut self.account, secrets::name);
        scrub::optional(&mut self.model, secrets::model);
        scrub::optional(&mut self.agent, secrets::text);
        scrub::optional(&mut self.conversation, secrets::id);
        scrub::optional(&mut self.project, secrets::path);
        scrub::optional(&mut self.residual, secrets::short);
        for key in &mut self.keys {
            scrub::apply(key, secrets::id);
        }
        let is_kept = |name: &str, value: &str| {
            matches!((secrets::text(name), label_value(name, value)), (Cow::Borrowed(_), Cow::Borrowed(_)))
        };
        if !self.labels.iter().all(|(name, value)| is_kept(name, value)) {
            let labels = std::mem::take(&mut self.labels).into_iter();
            self.labels = labels
                .map(|(name, value)| (secrets::text(&name).into_owned(), label_value(&name, &value).into_owned()))
                .collect();
        }
    }

    fn validate(&self) -> Result<()> {
        ProviderId::new(&self.provider)?;
        self.tokens.validate()?;
        self.tokens.total()?;
        super::extra::validate(&self.modalities, &self.server_tools)?;
        match self.cost {
            Some(cost) if cost > Usd::MOST => return Err(Error::Overflow { what: "cost" }),
            Some(cost) if cost < Usd::default() => {
                return Err(Error::invalid(format!("the cost {cost} is negative: a call costs 0 or more")));
            }
            _ => {}
        }
        let named = [
            ("account", self.account.as_deref()),
            ("model", self.model.as_deref()),
            ("agent", self.agent.as_deref()),
            ("conversation", self.conversation.as_deref()),
            ("project", self.project.as_deref()),
        ];
        let labels = self.labels.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
        let keys = self.keys.iter().map(|key| ("key", Some(key.as_str())));
        for (name, value) in named.into_iter().chain(labels).chain(keys) {
            let Some(value) = value else { continue };
            if value.is_empty() {
                return Err(Error::invalid(format!("`{name}` is empty: leave it out or give it a value")));
            }
            if value.len() > MAX_TEXT || name.len() > MAX_TEXT {
                return Err(Error::invalid(format!(
                    "`{name}` is longer than {MAX_TEXT} bytes: it is a name, not a text"
                )));
            }
            // Keys of the projections separate fields with a zero byte.
            if value.contains('\0') || name.contains('\0') {
                return Err(Error::invalid(format!("`{name}` holds a zero byte: remove it")));
            }
        }
        Ok(())
    }

    fn has_same_content(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        // The time at which the counts were read comes from a clock, and clocks may differ. The text of a residual comes
        // from the build that read the counts, and a later build may word it in another way.
        let is_worded_apart = self.residual.is_some() && other.residual.is_some() && self.residual != other.residual;
        if self.counted_at == other.counted_at && !is_worded_apart {
            return false;
        }
        let residual = if is_worded_apart { &other.residual } else { &self.residual };
        Self { counted_at: other.counted_at, residual: residual.clone(), ..self.clone() } == *other
    }

    fn raw_mut(&mut self) -> Option<&mut Raw> {
        self.raw.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::event::{Payload, Raw, TokenRecord};
    use crate::{Error, Ledger, Outcome, Timestamp};

    #[test]
    fn a_huge_usage_object_is_left_out_with_a_word() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        for (position, numbers) in [(1, 20_000), (2, 60_000)] {
            let raw = Raw::parse(&format!("{{\"x\":[{}0]}}", "1234,".repeat(numbers))).unwrap();
            let _ = ledger.record(TokenRecord::new("openai", "gpt-5").input(7).raw(raw), now).unwrap();
            let Payload::TokensRecorded(stored) = ledger.event(position).unwrap().payload else { panic!() };
            assert_eq!((stored.raw.is_some(), stored.residual.is_none()), (position == 1, position == 1));
        }
    }

    #[test]
    fn a_call_whose_residual_is_worded_in_another_way_is_the_same_call() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        let call = TokenRecord::new("openai", "gpt-5").input(7).key("a");
        let first = ledger.record(call.clone().residual("total 9 but parts sum to 7"), now).unwrap();
        let again = ledger.record(call.clone().residual("the total is 9, the sum of its parts 7"), now).unwrap();
        assert!(matches!(again, Outcome::Existing { .. }), "{again:?}");
        assert_eq!(again.position(), first.position());
        let Payload::TokensRecorded(stored) = ledger.event(1).unwrap().payload else { panic!("another event") };
        assert_eq!(stored.residual.as_deref(), Some("total 9 but parts sum to 7"), "the first text stays");
        // A flag is content, and so are the counts beside it.
        for other in [call.clone(), call.input(8).residual("total 9 but parts sum to 7")] {
            assert!(matches!(ledger.record(other, now), Err(Error::Conflict { .. })));
        }
    }
}
