//! Answers of the operations behind the web page.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::status::{AheadAnswer, FutureEventsAnswer, PauseAnswer, ProviderAnswer, SuggestedLimitAnswer, SwitchAnswer};
use super::usage::{ConfirmedAnswer, UsageSums};

/// Usage of the calendar periods that contain the time of the answer. Weeks begin on Monday.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct PeriodsAnswer {
    today: UsageSums,
    week: UsageSums,
    month: UsageSums,
}

/// The status with the last 20 switches, and the periods.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct OverviewAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Time of the answer
    #[schema(format = DateTime)]
    now: String,
    /// Last position
    position: u64,
    /// The first event with a recording time in the future
    #[schema(nullable = false)]
    recorded_ahead: Option<AheadAnswer>,
    /// Events that state a time in the future
    #[schema(nullable = false)]
    occurred_ahead: Option<FutureEventsAnswer>,
    #[schema(required)]
    paused: Option<PauseAnswer>,
    #[schema(required)]
    active_provider: Option<String>,
    providers: Vec<ProviderAnswer>,
    /// Number of switches from one provider to another
    switches: u64,
    /// The last switches, at most 20
    timeline: Vec<SwitchAnswer>,
    /// Limits that observations speak for, of windows without a limit
    suggested_limits: Vec<SuggestedLimitAnswer>,
    /// The share of spend that recorded statements confirm, of each account with statements
    confirmed: Vec<ConfirmedAnswer>,
    periods: PeriodsAnswer,
    /// The IANA zone of the periods
    zone: String,
}

/// An event in one line.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSummaryAnswer {
    position: u64,
    #[schema(format = "uuid")]
    id: String,
    kind: String,
    #[schema(format = DateTime)]
    occurred_at: String,
    #[schema(format = DateTime)]
    recorded_at: String,
    source: String,
    /// At most 301 characters
    summary: String,
    /// Length of its line in bytes
    bytes: u64,
    /// Whether its body is erased
    shredded: bool,
    /// Whether it is withdrawn
    void: bool,
}

/// Summaries of events.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSummariesAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Last position of the ledger
    head: u64,
    events: Vec<EventSummaryAnswer>,
    /// Value of `before` for the next request; null at the beginning of the log
    #[schema(required)]
    next: Option<u64>,
}

/// The event that erased another one.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasedAnswer {
    position: u64,
    #[schema(required, format = DateTime)]
    at: Option<String>,
    #[schema(required)]
    author: Option<String>,
    #[schema(required)]
    reason: Option<String>,
}

/// The current values of a call.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct CountsAsAnswer {
    #[schema(format = DateTime)]
    at: String,
    /// The event that states them: the call itself or an amendment
    position: u64,
    /// The record, as in an event
    #[schema(value_type = Object)]
    record: serde_json::Map<String, serde_json::Value>,
}

/// Proof that an event is in the tree (RFC 6962 §2.1.1).
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofAnswer {
    /// The position minus one
    index: u64,
    size: u64,
    root: String,
    hashes: Vec<String>,
}

/// One event.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    position: u64,
    /// Its leaf hash, in hexadecimal
    leaf: String,
    /// Who erased its body, when and why
    #[schema(nullable = false)]
    shredded: Option<ErasedAnswer>,
    /// Whether it is withdrawn
    void: bool,
    /// Whether it is in effect
    holds: bool,
    /// Whether another event corrects it
    amended: bool,
    #[schema(required)]
    counts_as: Option<CountsAsAnswer>,
    /// null if the tree is damaged
    #[schema(required)]
    proof: Option<ProofAnswer>,
    /// The event; null if its line is longer than 40,000 bytes
    #[schema(required, value_type = Option<Object>)]
    event: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A part of the line of an event. The SHA-256 of a zero byte and the whole line is the leaf hash.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct LineAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    position: u64,
    leaf: String,
    /// Whether the body is erased: the text is then the tombstone, which has another hash
    shredded: bool,
    /// Length of the whole line in bytes
    bytes: u64,
    from: u64,
    /// At most 40,000 bytes
    text: String,
    /// Value of `from` for the next part; null at the end
    #[schema(required)]
    next: Option<u64>,
}

/// The numbers of a figure.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct FigureAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Last position
    position: u64,
    /// `stacked`, `matrix`, `bars`, `windows`, or `empty`
    shape: String,
    /// `cost` in US dollars, `tokens`, or `percent`
    unit: String,
    /// Names of the columns; empty for bars
    columns: Vec<String>,
    /// Names of the series, rows or windows
    rows: Vec<String>,
    /// One list for each row, with one decimal number for each column; null is unknown
    values: Vec<Vec<Option<String>>>,
    /// Of each window, the indices of the columns after a reset
    resets: Vec<Vec<u64>>,
    /// Of each window, its limit in words
    limits: Vec<Option<String>>,
    /// The sums of the report; null for windows
    #[schema(required)]
    total: Option<UsageSums>,
}

/// Why an importer skipped lines.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct SkipReasonAnswer {
    why: String,
    lines: u64,
    /// Whether the lines may contain tokens that are in no report
    loses_counts: bool,
    /// The file of the first of the lines
    file: String,
    /// The first of the lines; 0 for a whole file
    line: u64,
}

/// A run of an importer.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportRunAnswer {
    position: u64,
    #[schema(format = DateTime)]
    at: String,
    source: String,
    /// Version of the importer
    version: u32,
    files: u64,
    /// Bytes of these files that have been read so far
    bytes: u64,
    recorded: u64,
    duplicates: u64,
    amended: u64,
    skipped: u64,
    /// The most frequent reasons, at most five
    reasons: Vec<SkipReasonAnswer>,
}

/// Runs of importers.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportsAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Last position of the ledger
    head: u64,
    runs: Vec<ImportRunAnswer>,
    /// Value of `before` for the next request; null at the first run
    #[schema(required)]
    next: Option<u64>,
}

/// A problem, about one of a provider, a source of logs, and the event at a position.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingAnswer {
    #[schema(nullable = false)]
    provider: Option<String>,
    #[schema(nullable = false)]
    source: Option<String>,
    #[schema(nullable = false)]
    event: Option<u64>,
    what: String,
    remedy: String,
}

/// What was spent on a UTC day, in US dollars, by how well statements confirm it.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct BillDayAnswer {
    /// The day; absent for the sum
    #[schema(nullable = false, example = "2026-06-01")]
    day: Option<String>,
    /// Ledger and statement agree
    confirmed: String,
    /// One of them has it, and the cause is known
    explained: String,
    /// One of them has it, and the cause is unknown
    unexplained: String,
    /// They differ, and the statement may still change
    provisional: String,
    /// Rows whose money neither the statement nor a known price states
    rows_without_amount: u64,
}

/// The parts of spend as percentages, to one decimal place.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct BillSharesAnswer {
    confirmed: f64,
    explained: f64,
    unexplained: f64,
    provisional: f64,
}

/// A recorded statement.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementAnswer {
    position: u64,
    /// When it was received
    #[schema(format = DateTime)]
    at: String,
    provider: String,
    #[schema(required)]
    account: Option<String>,
    /// The kind of export
    export: String,
    /// The SHA-256 of the file
    file: String,
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    until: String,
    /// Its buckets
    buckets: u64,
    /// Whether later statements replace all of it
    superseded: bool,
}

/// What recorded statements confirm.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct BillAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Last position
    position: u64,
    /// The days that statements cover, in order
    days: Vec<BillDayAnswer>,
    /// Their sum
    total: BillDayAnswer,
    /// The parts of the sum as percentages; null without a known amount
    #[schema(required)]
    shares: Option<BillSharesAnswer>,
    /// The last 100 statements, the latest first
    statements: Vec<StatementAnswer>,
    /// How many statements are recorded
    statements_total: u64,
}

/// Problems of the ledger.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct WarningsAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Last position
    position: u64,
    /// Number of logs that an import would read; null if the program does not look for logs
    #[schema(required)]
    changed_logs: Option<u64>,
    /// At most 100
    findings: Vec<FindingAnswer>,
}

/// The program that answers.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct AboutAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    name: String,
    version: String,
    /// The IANA zone of days, weeks and months
    zone: String,
    /// The key that checks its signatures (c2sp.org/signed-note); null if it does not sign
    #[schema(required)]
    verifier: Option<String>,
}
