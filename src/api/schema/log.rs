//! Events, receipts, proofs and problems.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

/// What became of an event.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// 1 when the event was appended, else 0
    recorded: u64,
    /// 1 when the same event was there already, else 0
    duplicates: u64,
    /// Where it is
    positions: Vec<u64>,
    #[schema(format = "uuid")]
    id: String,
    /// What looks wrong; absent where nothing does
    #[schema(nullable = false)]
    warnings: Option<Vec<String>>,
}

/// What became of a batch.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct TallyAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Records that were appended
    recorded: u64,
    /// Records that were there already
    duplicates: u64,
}

/// A reservation.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ReservationAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    provider: String,
    /// What to settle or release it by
    #[schema(format = "uuid")]
    id: String,
    position: u64,
    tokens: u64,
    /// When it lapses by itself
    #[schema(format = DateTime)]
    expires_at: String,
}

/// An event and its position. Of a shredded event, `event` is what stays.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventAnswer {
    position: u64,
    #[schema(nullable = false)]
    shredded: Option<ShreddedAnswer>,
    /// The line of the event
    #[schema(value_type = Object)]
    event: serde_json::Map<String, serde_json::Value>,
}

/// The position of the `event_shredded` that names an event, and the leaf hash of that event.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ShreddedAnswer {
    by: u64,
    leaf: String,
}

/// A range of events.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// The last position of the ledger
    head: u64,
    events: Vec<EventAnswer>,
    /// What to send as `after` to go on; null at the end of the log
    #[schema(required)]
    next: Option<u64>,
}

/// That an event is in the ledger (RFC 6962 §2.1.1).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct InclusionAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    position: u64,
    index: u64,
    size: u64,
    leaf: String,
    root: String,
    hashes: Vec<String>,
    /// The proof with its signed checkpoint (c2sp.org/tlog-proof); null where the server has no key
    #[schema(required)]
    proof: Option<String>,
}

/// Size and root of a state.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct RootAnswer {
    size: u64,
    root: String,
}

/// That a later state continues an earlier one (RFC 6962 §2.1.2).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsistencyAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    old: RootAnswer,
    new: RootAnswer,
    hashes: Vec<String>,
    /// The proof with its signed checkpoint; null where the server has no key
    #[schema(required)]
    proof: Option<String>,
}

/// A signed checkpoint (c2sp.org/tlog-checkpoint).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    origin: String,
    size: u64,
    root: String,
    /// The signed note
    note: String,
}

/// Why a request was refused (RFC 9457).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemAnswer {
    /// `urn:usage-ledger:problem:` and the kind of failure
    r#type: String,
    title: String,
    status: u16,
    /// What happened
    detail: String,
    /// What to do
    remedy: String,
    /// Known providers with a similar name
    #[schema(nullable = false)]
    candidates: Option<Vec<String>>,
    /// The event that stands in the way
    #[schema(nullable = false)]
    position: Option<u64>,
    /// When it is worth asking again
    #[schema(nullable = false, format = DateTime)]
    resumes_at: Option<String>,
    /// The record of a batch that is at fault, from 1
    #[schema(nullable = false)]
    record: Option<u64>,
}
