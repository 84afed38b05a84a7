//! Events: immutable facts, one line of JSON each.

mod alert;
mod allocation;
mod corrections;
mod event_data;
mod exported;
mod extra;
mod id;
mod imported;
#[cfg(test)]
mod line_tests;
mod minify;
mod new_event;
mod pause;
mod percent;
mod position;
mod price;
mod quota;
mod raw;
mod record;
mod record_data;
mod record_line;
mod record_setters;
mod registry;
mod reservation;
mod scrub;
mod seal;
mod sealed_rows;
mod server_key;
mod service_tier;
mod settings;
mod shredded;
mod statement;
mod subject;
mod thresholds;
mod token_view;
mod tombstone;
mod weights;
mod windows;

use std::borrow::Cow;

use serde::Deserialize;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::value::RawValue;

pub use alert::{AlertCondition, AlertDelivery, AlertFired, AlertSet, AlertTarget, DeliveryState};
pub use allocation::{AllocationCondition, AllocationMeasure, AllocationRest, AllocationSet, AllocationShare, Share};
pub use corrections::{EventVoided, ProviderSwitched, TokensAmended};
pub use id::EventId;
pub use imported::{Imported, ImportedFile, SkippedLine};
pub use new_event::NewEvent;
pub use pause::{Paused, Resumed};
pub use percent::Percent;
pub use position::Position;
pub use price::PriceSet;
pub use quota::{QuotaExhausted, QuotaObserved, UsageOverridden};
pub use raw::Raw;
pub use record::{Quality, TokenRecord};
pub use registry::{EventKind, Payload};
pub use reservation::{BudgetReleased, BudgetReserved, BudgetSettled};
pub use seal::{NamedStatement, PeriodSealed};
pub use sealed_rows::SealedRows;
pub(crate) use server_key::{ServerKey, is_random};
pub use service_tier::{INFERENCE_GEO, SERVICE_TIER};
pub(crate) use service_tier::{is_special, is_special_geo};
pub use settings::{LimitSet, LimitSetting, ProviderDeclared};
pub use shredded::EventShredded;
pub use statement::{StatementBucket, StatementDay, StatementReceived};
pub use thresholds::{BudgetMode, Thresholds};
pub use weights::Weights;
pub use windows::{SessionPolicy, WeeklyPolicy, WindowKind};

#[cfg(feature = "import")]
pub(crate) use event_data::EventData;
pub(crate) use event_data::NUMBERS_ALONE;
#[cfg(feature = "cli")]
pub(crate) use exported::ExportedLine;
pub(crate) use exported::{exported, on_one_line};
pub(crate) use extra::{Modality, is_tool_name, modality_name, modality_of};
#[cfg(feature = "import")]
pub(crate) use imported::REDACTED_PATH;
pub(crate) use minify::has_line_break;
pub(crate) use record_data::is_counted_later;
pub(crate) use record_line::RecordLine;
pub(crate) use subject::{AccountRef, NameKind, Subject};
pub(crate) use token_view::TokenView;
pub(crate) use tombstone::Tombstone;

use registry::ParseFailure;

use crate::model::error::{Error, Result};
use crate::model::invariant::{bug, invariant};
use crate::model::time::Timestamp;

/// The version of the line format this build writes.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::LINE_VERSION};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// assert!(ledger.event(1)?.to_line()?.starts_with(&format!(r#"{{"v":{LINE_VERSION},"#)));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub const LINE_VERSION: u32 = 1;

/// The source of events from telemetry.
#[cfg(feature = "import")]
pub(crate) const TELEMETRY: &str = "otlp";

/// A stored event.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(120).output(40), now)?;
/// let event = ledger.event(1)?;
/// assert_eq!(event.payload.kind(), "tokens_recorded");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its identity, for all time.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When this ledger recorded it.
    pub recorded_at: Timestamp,
    /// The source: an importer's name, `cli`, or the embedding program's own name.
    pub source: Cow<'static, str>,
    /// The content.
    pub payload: Payload,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("Event", 7)?;
        line.serialize_field("v", &LINE_VERSION)?;
        line.serialize_field("id", &self.id)?;
        line.serialize_field("kind", self.payload.kind())?;
        line.serialize_field("occurred_at", &self.occurred_at)?;
        line.serialize_field("recorded_at", &self.recorded_at)?;
        line.serialize_field("source", &self.source)?;
        self.payload.serialize_data(&mut line)?;
        line.end()
    }
}

/// The envelope of a line; its data are not parsed.
#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    pub v: u32,
    pub id: EventId,
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Parses the envelope of the line at `position`. For a tombstone it parses the remaining line.
    pub fn parse(position: Position, line: &'a str) -> Result<Self> {
        let line = Tombstone::read(position, line)?.map_or(line, |tombstone| tombstone.kept);
        let envelope: Self = serde_json::from_str(line)
            .map_err(|e| Error::damaged(position, format!("the line is not an event ({e})")))?;
        if envelope.v == LINE_VERSION {
            Ok(envelope)
        } else {
            Err(Error::UnknownEvent { position, what: format!("line version {}", envelope.v) })
        }
    }

    /// Parses the data too.
    pub fn open(self, position: Position) -> Result<Event> {
        let payload = Payload::parse(&self.kind, self.data.get()).map_err(|failure| match failure {
            ParseFailure::UnknownKind => Error::UnknownEvent { position, what: format!("kind `{}`", self.kind) },
            ParseFailure::Bad(e) => {
                Error::damaged(position, format!("the data of this {} is unreadable ({e})", self.kind))
            }
        })?;
        Ok(Event {
            id: self.id,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            source: self.source.into_owned().into(),
            payload,
        })
    }
}

impl Event {
    /// The event as it is stored, hashed and exported: one line of JSON, without the newline.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let line = ledger.event(1)?.to_line()?;
    /// assert!(line.contains(r#""kind":"tokens_recorded""#) && !line.contains('\n'));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Bug`] when the event cannot be serialised. Events of this build can always be serialised.
    pub fn to_line(&self) -> Result<String> {
        let line = serde_json::to_string(self).map_err(|error| bug!("an event cannot be written as JSON: {error}"))?;
        invariant!(!line.is_empty(), "the line of an event is empty");
        Ok(line)
    }

    /// Parses a stored line. For a tombstone it parses the remaining line.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is not an event, [`Error::UnknownEvent`] when this build is too old for it.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, event::Event};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let event = ledger.event(1)?;
    /// assert_eq!(Event::from_line(1.into(), &event.to_line()?)?, event);
    /// assert!(Event::from_line(1.into(), "not an event").is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn from_line(position: Position, line: &str) -> Result<Self> {
        Envelope::parse(position, line)?.open(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_documented_field_order_and_round_trips() {
        let event = Event {
            id: EventId::from_key("anthropic", "msg_1"),
            occurred_at: Timestamp::from_millis(0),
            recorded_at: Timestamp::from_millis(1),
            source: "test".into(),
            payload: TokenRecord::new("anthropic", "m").input(1).output(2).into(),
        };
        let line = event.to_line().unwrap();
        let order = ["\"v\"", "\"id\"", "\"kind\"", "\"occurred_at\"", "\"recorded_at\"", "\"source\"", "\"data\""];
        let places: Vec<_> = order.iter().map(|field| line.find(field).unwrap()).collect();
        assert!(places.is_sorted(), "{line}");
        assert_eq!(Event::from_line(Position::new(1), &line).unwrap(), event);
    }

    #[test]
    fn unknown_kinds_and_versions_name_their_position() {
        let line = r#"{"v":1,"id":"018c3f6e-0000-7000-8000-000000000000","kind":"telepathy","occurred_at":"2026-01-01T00:00:00Z","recorded_at":"2026-01-01T00:00:00Z","source":"x","data":{}}"#;
        let error = Event::from_line(Position::new(7), line).unwrap_err().to_string();
        assert!(error.contains("position 7") && error.contains("telepathy"), "{error}");
        let newer = line.replace("\"v\":1", "\"v\":2");
        let error = Event::from_line(Position::new(8), &newer).unwrap_err().to_string();
        assert!(error.contains("position 8") && error.contains("version 2"), "{error}");
    }
}
