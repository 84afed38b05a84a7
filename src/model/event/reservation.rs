//! Reservations of tokens for calls in progress.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, NUMBERS_ALONE, account_names, because};
use super::{AccountRef, EventId, NameKind, Subject};
use crate::model::humanize::number::counted;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;

/// Tokens reserved for a call in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetReserved {
    /// The provider.
    pub provider: ProviderId,
    /// The account, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Reserved weighted tokens.
    pub tokens: u64,
    /// When the reservation expires.
    pub expires_at: Timestamp,
}

impl BudgetReserved {
    fn account_ref(&self) -> AccountRef<'_> {
        AccountRef::new(self.provider.as_str(), self.account.as_deref())
    }
}

impl EventData for BudgetReserved {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Account(self.account_ref()))
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        account_names(&self.account_ref(), visit);
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Err(NUMBERS_ALONE)
    }

    fn summary(&self) -> String {
        format!("{} {} until {}", self.account_ref(), counted(self.tokens, "token"), self.expires_at)
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}

/// A reserved call ended and was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetSettled {
    /// The reservation.
    pub reservation: EventId,
    /// The record of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<EventId>,
}

impl EventData for BudgetSettled {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Err(NUMBERS_ALONE)
    }

    fn summary(&self) -> String {
        self.reservation.to_string()
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}

/// A reserved call did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetReleased {
    /// The reservation.
    pub reservation: EventId,
    /// The reason.
    pub reason: String,
}

impl EventData for BudgetReleased {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { reason: String::new(), ..self.clone() })
    }

    fn summary(&self) -> String {
        format!("{}{}", self.reservation, because(Some(&self.reason)))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}
