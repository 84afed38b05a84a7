//! The request of a shredding.

use super::selector::Selector;
use crate::model::error::{Error, Result};
use crate::model::event::EventId;

/// The events to shred, and the reason.
///
/// From a record it erases project, conversation, labels (except the service tier, which prices depend on), raw usage
/// object and natural keys; from other kinds the texts of people and providers. The corrections of an event are
/// included.
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
    pub(super) selector: Vec<Selector>,
    pub(super) reason: String,
    pub(super) author: Option<String>,
}

impl Shred {
    /// An empty request with a reason. The reason stays in the ledger: do not repeat the erased names in it.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Shred};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// assert!(ledger.shred(&Shred::because("the customer asked"), now).is_err()); // it does not say what
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn because(reason: impl Into<String>) -> Self {
        Self { events: Vec::new(), selector: Vec::new(), reason: reason.into(), author: None }
    }

    /// Adds this event, of any kind.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Shred, event::{Paused, Payload}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.pause(Paused::new("manual").note("Ann is ill"), now)?;
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

    /// Adds every record of a project, with import data about its logs and about logs whose paths mention it.
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
        self.selector.push(Selector::Project(name.into()));
        self
    }

    /// Adds every record of a conversation, with import data about its log and about logs whose paths mention it.
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
        self.selector.push(Selector::Conversation(id.into()));
        self
    }

    /// Adds every record with a label of this value.
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
        self.selector.push(Selector::Label(name.into(), value.into()));
        self
    }

    /// Names the person who requests it. The name stays in the ledger.
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
        if self.events.is_empty() && self.selector.is_empty() {
            return Err(Error::invalid("nothing to shred: name events, a project, a conversation or a label"));
        }
        for selector in &self.selector {
            let name = selector.name();
            if name.is_empty() {
                return Err(Error::invalid("an empty name is carried by no record"));
            }
            if selector.is_in(&self.reason) || self.author.as_ref().is_some_and(|author| selector.is_in(author)) {
                return Err(Error::invalid(format!(
                    "the reason and the author stay in the ledger, and `{name}` is to go: say it without that name"
                )));
            }
        }
        Ok(())
    }
}
