//! What somebody wants to be shredded.

use super::carried::Carried;
use crate::model::error::{Error, Result};
use crate::model::event::EventId;

/// What is to be shredded, and why.
///
/// Of a record its project, conversation, labels (but for the service tier, which prices rest on), raw usage object and
/// natural keys go; of other kinds the texts that people and providers wrote. The corrections of an event go with it.
///
/// ```
/// use usage_ledger::{EventId, Shred};
/// let one = Shred::because("a name in a label").event(EventId::from_key("anthropic", "msg_1"));
/// let all = Shred::because("the customer asked").author("me").project("acme").label("mission", "acme-7");
/// assert_ne!(one, all);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Shred {
    pub(super) events: Vec<EventId>,
    pub(super) carried: Vec<Carried>,
    pub(super) reason: String,
    pub(super) author: Option<String>,
}

impl Shred {
    /// Nothing yet, for a reason. The reason stays in the ledger: leave out what is to go.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Shred};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// assert!(ledger.shred(&Shred::because("the customer asked"), now).is_err()); // it does not say what
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn because(reason: impl Into<String>) -> Self {
        Self { events: Vec::new(), carried: Vec::new(), reason: reason.into(), author: None }
    }

    /// And this event, of whatever kind.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Shred, event::{Paused, Payload}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.pause(Paused { reason: "manual".to_owned(), until: None, note: Some("Ann is ill".to_owned()) }, now)?;
    /// let pause = ledger.event(1)?.id;
    /// ledger.shred(&Shred::because("a person's matter").event(pause), now)?;
    /// let paused = ledger.status(now)?.paused.unwrap(); // it goes on
    /// assert_eq!((paused.reason.as_str(), paused.note), ("manual", None));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn event(mut self, id: EventId) -> Self {
        self.events.push(id);
        self
    }

    /// And every record of a project, with what importers wrote down of the logs it came from and of those whose paths
    /// mention it.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, Shred, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).project("acme"), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2).project("other"), now)?;
    /// assert_eq!(ledger.shred(&Shred::because("asked").project("acme"), now)?.events, [1.into()]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.carried.push(Carried::Project(name.into()));
        self
    }

    /// And every record of a conversation, with what importers wrote down of its log and of those whose paths mention it.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, Shred, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).conversation("c1"), now)?;
    /// assert_eq!(ledger.shred(&Shred::because("asked").conversation("c1"), now)?.events, [1.into()]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn conversation(mut self, id: impl Into<String>) -> Self {
        self.carried.push(Carried::Conversation(id.into()));
        self
    }

    /// And every record with a label of this value.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, Shred, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).label("mission", "m1"), now)?;
    /// assert_eq!(ledger.shred(&Shred::because("asked").label("mission", "m1"), now)?.events, [1.into()]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.carried.push(Carried::Label(name.into(), value.into()));
        self
    }

    /// Names who wants it. That stays in the ledger too.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, Shred, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).project("acme"), now)?;
    /// ledger.shred(&Shred::because("asked").author("me").project("acme"), now)?;
    /// assert!(ledger.event(2)?.to_line()?.contains(r#""author":"me""#));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.reason.trim().is_empty() {
            return Err(Error::invalid("shredding needs a reason, which the ledger keeps"));
        }
        if self.events.is_empty() && self.carried.is_empty() {
            return Err(Error::invalid("nothing to shred: name events, a project, a conversation or a label"));
        }
        for carried in &self.carried {
            let name = carried.name();
            if name.is_empty() {
                return Err(Error::invalid("an empty name is carried by no record"));
            }
            if carried.is_in(&self.reason) || self.author.as_ref().is_some_and(|author| carried.is_in(author)) {
                return Err(Error::invalid(format!(
                    "the reason and the author stay in the ledger, and `{name}` is to go: say it without that name"
                )));
            }
        }
        Ok(())
    }
}
