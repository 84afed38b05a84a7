//! What the program knows of a kind of event, stated next to the payload of that kind.

use super::{AccountRef, EventId, NameKind, Raw, Subject};
use crate::model::error::Result;
use crate::model::time::Timestamp;

/// Why an event that holds numbers and settings alone is not shredded.
pub(crate) const NUMBERS_ALONE: &str = "it holds numbers and what counters go by, and nothing else";

/// The payload of one kind of event. Code that depends on the kind of an event asks its payload.
///
/// The methods without a default are those for which a forgotten answer would hide an event or leave a name behind.
pub(crate) trait EventData: Clone + PartialEq {
    /// What the event index files an event of this time under; `None` if it does not index it.
    fn subject(&self, at: Timestamp) -> Option<Subject<'_>>;

    /// Visits the provider, the account and the other names that the payload carries.
    fn names(&self, visit: &mut dyn FnMut(NameKind, &str));

    /// The payload without the names and texts that no fold reads.
    ///
    /// # Errors
    /// The reason why an event of this kind is never redacted.
    fn redacted(&self) -> Result<Self, &'static str>;

    /// The payload on one line, for people. Texts of others stand in it as they are.
    fn summary(&self) -> String;

    /// Removes credentials from every text that logs and telemetry state.
    #[cfg(feature = "import")]
    fn scrub(&mut self);

    /// Checks what serde cannot: counts in range, texts not absurdly long.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Whether another payload has the same content.
    fn has_same_content(&self, other: &Self) -> bool {
        self == other
    }

    /// The provider's own usage object.
    fn raw_mut(&mut self) -> Option<&mut Raw> {
        None
    }

    /// The event that this one corrects.
    fn corrects(&self) -> Option<EventId> {
        None
    }
}

/// Visits the names of a provider account.
pub(super) fn account_names(account: &AccountRef<'_>, visit: &mut dyn FnMut(NameKind, &str)) {
    visit(NameKind::Provider, &account.provider);
    if let Some(account) = &account.account {
        visit(NameKind::Account, account);
    }
}

/// `; the reason`, or nothing.
pub(super) fn because(reason: Option<&str>) -> String {
    reason.filter(|reason| !reason.is_empty()).map(|reason| format!("; {reason}")).unwrap_or_default()
}
