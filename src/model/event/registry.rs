//! The registry of event kinds. A new kind is one line at the end of the list below, and its payload's [`EventData`].

use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;

use super::event_data::EventData;
use super::{
    AlertDelivery, AlertFired, AlertSet, AllocationSet, BudgetReleased, BudgetReserved, BudgetSettled, EventId,
    EventShredded, EventVoided, Imported, LimitSet, NameKind, Paused, PeriodSealed, PriceSet, ProviderDeclared,
    ProviderSwitched, QuotaExhausted, QuotaObserved, Raw, Resumed, StatementReceived, Subject, TokenRecord,
    TokensAmended, UsageOverridden,
};
use crate::model::error::Result;
use crate::model::time::Timestamp;

macro_rules! payloads {
    ($($(#[$doc:meta])* $variant:ident($data:ty) = $kind:literal,)*) => {
        /// The content of an event: one variant, and one struct, per kind.
        ///
        /// ```
        /// use usage_ledger::event::{Payload, ProviderSwitched};
        /// let marker = Payload::from(ProviderSwitched::to("ollama")?.because("rate limited"));
        /// assert_eq!(marker.kind(), "provider_switched");
        /// # Ok::<(), usage_ledger::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Payload {
            $($(#[$doc])* $variant($data),)*
        }

        /// The kind of an event. Its code is part of keys and of the column `kind` of the log.
        ///
        /// ```
        /// use usage_ledger::event::EventKind;
        /// assert_eq!(EventKind::ALL[0].name(), "tokens_recorded");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
        }

        impl EventKind {
            /// Every kind of this build, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name of the kind in the line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $kind,)* }
            }

            /// The code of the kind in keys and in the log's column: its index in [`ALL`](Self::ALL).
            pub(crate) const fn code(self) -> u8 {
                self as u8
            }

            /// The kind with a name; `None` if this build does not know it.
            pub(crate) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }

            /// The kind with a code; `None` if this build does not know it.
            pub(crate) fn coded(code: u8) -> Option<Self> {
                Self::ALL.get(usize::from(code)).copied()
            }
        }

        impl Payload {
            /// The kind of the event.
            pub(crate) const fn event_kind(&self) -> EventKind {
                match self { $(Self::$variant(_) => EventKind::$variant,)* }
            }

            /// The names of all kinds of this build, in the order of their codes.
            ///
            /// ```
            /// # use usage_ledger::event::Payload;
            /// assert_eq!(Payload::KINDS[0], "tokens_recorded");
            /// ```
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The name of the kind in the line.
            ///
            /// ```
            /// # use usage_ledger::{TokenRecord, event::Payload};
            /// assert_eq!(Payload::from(TokenRecord::new("openai", "gpt-5")).kind(), "tokens_recorded");
            /// ```
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            pub(super) fn parse(kind: &str, data: &str) -> Result<Self, ParseFailure> {
                match kind {
                    $($kind => parse_data::<$data>(data).map(Self::$variant),)*
                    _ => Err(ParseFailure::UnknownKind),
                }
            }

            pub(super) fn serialize_data<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error> {
                match self { $(Self::$variant(data) => line.serialize_field("data", data),)* }
            }

            /// The event on one line, for people: what an event list shows. Texts of others stand in it as they are.
            ///
            /// ```
            /// # use usage_ledger::{TokenRecord, event::Payload};
            /// let call = Payload::from(TokenRecord::new("openai", "gpt-5").input(1_200).output(40));
            /// assert_eq!(call.summary(), "openai gpt-5: input 1,200, output 40");
            /// ```
            pub fn summary(&self) -> String {
                match self { $(Self::$variant(data) => data.summary(),)* }
            }

            /// What the event index files an event of this time under.
            pub(crate) fn subject(&self, at: Timestamp) -> Option<Subject<'_>> {
                match self { $(Self::$variant(data) => data.subject(at),)* }
            }

            /// Visits the names that the event carries.
            pub(crate) fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
                match self { $(Self::$variant(data) => data.names(visit),)* }
            }

            /// The payload without the names and texts that no fold reads, or why nothing of it is erased.
            pub(crate) fn redacted(&self) -> Result<Self, &'static str> {
                match self { $(Self::$variant(data) => data.redacted().map(Self::$variant),)* }
            }

            /// Removes credentials from every text that logs and telemetry state.
            #[cfg(feature = "import")]
            pub(crate) fn scrub(&mut self) {
                match self { $(Self::$variant(data) => data.scrub(),)* }
            }

            /// Checks what serde cannot.
            pub(crate) fn validate(&self) -> Result<()> {
                match self { $(Self::$variant(data) => data.validate(),)* }
            }

            /// Whether another payload has the same content, whatever clocks say.
            pub(crate) fn has_same_content(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$variant(data), Self::$variant(other)) => data.has_same_content(other),)*
                    _ => false,
                }
            }

            /// The provider's own usage object in the event.
            pub(super) fn raw_mut(&mut self) -> Option<&mut Raw> {
                match self { $(Self::$variant(data) => data.raw_mut(),)* }
            }

            /// The event that this one corrects.
            pub(crate) fn corrects(&self) -> Option<EventId> {
                match self { $(Self::$variant(data) => data.corrects(),)* }
            }
        }

        $(impl From<$data> for Payload {
            fn from(data: $data) -> Self { Self::$variant(data) }
        })*
    };
}

payloads! {
    /// Tokens of one call.
    TokensRecorded(TokenRecord) = "tokens_recorded",
    /// Work moved to another provider: a marker, which changes no counter.
    ProviderSwitched(ProviderSwitched) = "provider_switched",
    /// Replaces an earlier token record, which stays.
    TokensAmended(TokensAmended) = "tokens_amended",
    /// Withdraws an earlier event, which stays.
    EventVoided(EventVoided) = "event_voided",
    /// The provider's own statement about a window.
    QuotaObserved(QuotaObserved) = "quota_observed",
    /// The provider refused for lack of quota.
    QuotaExhausted(QuotaExhausted) = "quota_exhausted",
    /// Work stopped.
    Paused(Paused) = "paused",
    /// Work continues.
    Resumed(Resumed) = "resumed",
    /// Limits, weights and window policies of a provider account.
    LimitSet(LimitSet) = "limit_set",
    /// Whether a provider is metered.
    ProviderDeclared(ProviderDeclared) = "provider_declared",
    /// A person's statement of how much of a window is used.
    UsageOverridden(UsageOverridden) = "usage_overridden",
    /// Tokens set aside for a call in progress.
    BudgetReserved(BudgetReserved) = "budget_reserved",
    /// A reserved call ended and was recorded.
    BudgetSettled(BudgetSettled) = "budget_settled",
    /// A reserved call did not happen.
    BudgetReleased(BudgetReleased) = "budget_released",
    /// One run of an importer.
    Imported(Imported) = "imported",
    /// An event's text was erased for privacy.
    EventShredded(EventShredded) = "event_shredded",
    /// A period was closed.
    PeriodSealed(PeriodSealed) = "period_sealed",
    /// The price of a model's tokens.
    PriceSet(PriceSet) = "price_set",
    /// What to watch for.
    AlertSet(AlertSet) = "alert_set",
    /// A watched condition was met for the first time in its window.
    AlertFired(AlertFired) = "alert_fired",
    /// An attempt to deliver an alert.
    AlertDelivery(AlertDelivery) = "alert_delivery",
    /// A rule that splits shared spend.
    AllocationSet(AllocationSet) = "allocation_set",
    /// A provider's export of usage or costs for a period.
    StatementReceived(StatementReceived) = "statement_received",
}

/// Why the data of an event cannot be read.
pub(super) enum ParseFailure {
    UnknownKind,
    Bad(serde_json::Error),
}

fn parse_data<T: DeserializeOwned>(data: &str) -> Result<T, ParseFailure> {
    serde_json::from_str(data).map_err(ParseFailure::Bad)
}

impl Payload {
    /// Minifies foreign JSON, so that the line contains no line break.
    pub(crate) fn minify(&mut self) {
        if let Some(raw) = self.raw_mut() {
            raw.minify();
        }
    }

    /// Removes credentials and long texts from usage objects of any source.
    pub(crate) fn scrub_usage(&mut self) {
        if let Some(raw) = self.raw_mut() {
            raw.scrub();
        }
        match self {
            Self::TokensRecorded(record) => record.leave_out_large_raw(),
            Self::TokensAmended(amended) => amended.replacement.leave_out_large_raw(),
            _ => {}
        }
    }
}
