//! Events, receipts, proofs and problems.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

/// The result of an append.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// 1 if the event was appended, otherwise 0
    recorded: u64,
    /// 1 if the same event was already in the ledger, otherwise 0
    duplicates: u64,
    /// Its positions
    positions: Vec<u64>,
    #[schema(format = "uuid")]
    id: String,
    /// Suspicious values; absent if there are none
    #[schema(nullable = false)]
    warnings: Option<Vec<String>>,
}

/// The result of a batch.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct TallyAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Number of appended records
    recorded: u64,
    /// Number of records that were already in the ledger
    duplicates: u64,
}

/// A reservation.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ReservationAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    provider: String,
    /// The id for settle and release
    #[schema(format = "uuid")]
    id: String,
    position: u64,
    tokens: u64,
    /// When it expires
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Whether a quota is exhausted.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanOutputAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    provider: String,
    exhausted: bool,
    /// The rule that recognised the refusal
    #[schema(required)]
    rule: Option<String>,
    /// The text that the rule recognised
    #[schema(required)]
    excerpt: Option<String>,
    /// The exhausted model; absent if all models are
    #[schema(nullable = false)]
    model: Option<String>,
    /// When the quota resets, if the text states it
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    /// Position of the event; null if nothing was recorded
    #[schema(required)]
    position: Option<u64>,
}

/// An event and its position. For a shredded event, `event` is its tombstone.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventAnswer {
    position: u64,
    #[schema(nullable = false)]
    shredded: Option<ShreddedAnswer>,
    /// The event
    #[schema(value_type = Object)]
    event: serde_json::Map<String, serde_json::Value>,
}

/// Position of the `event_shredded` that names an event, and the leaf hash of that event.
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
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Last position of the ledger
    head: u64,
    events: Vec<EventAnswer>,
    /// Value of `after` for the next request; null at the end of the log
    #[schema(required)]
    next: Option<u64>,
}

/// Proof that an event is in the ledger (RFC 6962 §2.1.1).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct InclusionAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    position: u64,
    index: u64,
    size: u64,
    leaf: String,
    root: String,
    hashes: Vec<String>,
    /// The proof with its signed checkpoint (c2sp.org/tlog-proof); null if the server has no key
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

/// Proof that a later state extends an earlier one (RFC 6962 §2.1.2).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsistencyAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    old: RootAnswer,
    new: RootAnswer,
    hashes: Vec<String>,
    /// The proof with its signed checkpoint; null if the server has no key
    #[schema(required)]
    proof: Option<String>,
}

/// A signed checkpoint (c2sp.org/tlog-checkpoint).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointAnswer {
    /// Version of this shape
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
    /// Position of the event that conflicts
    #[schema(nullable = false)]
    position: Option<u64>,
    /// When a retry may succeed
    #[schema(nullable = false, format = DateTime)]
    resumes_at: Option<String>,
    /// Number of the invalid record in a batch, from 1
    #[schema(nullable = false)]
    record: Option<u64>,
}
