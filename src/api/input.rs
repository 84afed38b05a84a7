//! Inputs of operations. An unknown field is an error, so a misspelt option does not go unnoticed.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::report_rows::RowOrder;
use crate::budget::{Mode, Tier};
use crate::ledger::AsOf;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::Moment;

/// How difficult a task is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TierName {
    Trivial,
    Simple,
    #[default]
    Medium,
    Complex,
    Critical,
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::Trivial => Self::Trivial,
            TierName::Simple => Self::Simple,
            TierName::Medium => Self::Medium,
            TierName::Complex => Self::Complex,
            TierName::Critical => Self::Critical,
        }
    }
}

/// What a run needs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NeedName {
    #[default]
    Review,
    Implement,
    Deep,
}

impl From<NeedName> for Mode {
    fn from(name: NeedName) -> Self {
        match name {
            NeedName::Review => Self::Review,
            NeedName::Implement => Self::Implement,
            NeedName::Deep => Self::Deep,
        }
    }
}

/// Whether a run may start.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GateInput {
    /// The provider of the run; default: the active one
    #[param(example = "anthropic", min_length = 1)]
    #[schema(min_length = 1)]
    pub provider: Option<String>,
    /// Its account
    #[param(min_length = 1)]
    #[schema(min_length = 1)]
    pub account: Option<String>,
    /// The model of the run
    #[param(min_length = 1)]
    #[schema(min_length = 1)]
    pub model: Option<String>,
    /// The project of the run, which may have money limits of its own
    #[param(min_length = 1)]
    #[schema(min_length = 1)]
    pub project: Option<String>,
    /// How difficult the task is; default: medium
    pub tier: Option<TierName>,
    /// What the run needs; default: review
    pub need: Option<NeedName>,
    /// Accept a provider that is in no catalogue, event or declaration: it counts as metered
    pub allow_undeclared: bool,
    /// Answer as of a position, or as of a time by which events were recorded
    #[param(
        example = "120",
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    #[schema(
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    pub as_of: Option<String>,
}

/// Windows, cost and decision of every provider account.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatusInput {
    /// Answer as of a position, or as of a time by which events were recorded
    #[param(
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    #[schema(
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    pub as_of: Option<String>,
}

/// How long each session window lasts.
#[cfg(feature = "mcp")]
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ForecastInput {
    /// Only this provider
    #[schema(min_length = 1)]
    pub provider: Option<String>,
    /// Answer as of a position, or as of a time by which events were recorded
    #[schema(
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    pub as_of: Option<String>,
}

/// Usage and cost by any keys.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportInput {
    /// The keys to group by: provider, account, model, agent, project, conversation, machine, person, team, label:NAME,
    /// hour, day, week, month, window; default: provider and day. Repeat it, or separate names by commas
    #[param(example = json!(["day", "model"]))]
    pub by: Vec<String>,
    /// Only calls at or after this time, date or month
    #[param(example = "2026-06-01", pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub since: Option<String>,
    /// Only calls before this time, date or month
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub until: Option<String>,
    /// Only these providers
    pub provider: Vec<String>,
    /// Only these accounts
    pub account: Vec<String>,
    /// Only these models
    pub model: Vec<String>,
    /// Only these agents
    pub agent: Vec<String>,
    /// Only these projects
    pub project: Vec<String>,
    /// Only these conversations
    pub conversation: Vec<String>,
    /// Only records with one of these labels, written NAME=VALUE
    pub label: Vec<String>,
    /// Only this number of days up to today; default with `back`: 7
    #[param(minimum = 1)]
    #[schema(minimum = 1)]
    pub days: Option<u32>,
    /// Move the range back by this number of steps: ranges of `days`, weeks in a report by week, months in one by month
    #[param(minimum = 0, maximum = 36_500)]
    #[schema(minimum = 0, maximum = 36_500)]
    pub back: Option<u32>,
    /// Include days without calls, in a report by day alone
    pub fill: bool,
    /// Do not compute costs
    pub no_cost: bool,
    /// Include the outcomes of sessions, from the label `outcome`
    pub outcomes: bool,
    /// The order of rows; default: key, and with `top` cost, or tokens if a call has no price
    pub sort: Option<RowOrder>,
    /// Only the first rows; the total still includes all
    #[param(minimum = 1)]
    #[schema(minimum = 1)]
    pub top: Option<u32>,
    /// The IANA time zone of days, weeks and months; default: that of the server
    #[param(example = "Europe/Paris", min_length = 1)]
    #[schema(min_length = 1)]
    pub tz: Option<String>,
    /// Answer as of a position, or as of a time by which events were recorded
    #[param(
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    #[schema(
        min_length = 1,
        pattern = r"^([0-9]{1,18}|today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$"
    )]
    pub as_of: Option<String>,
}

/// Events of the log in order of position.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsInput {
    /// Only events after this position
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    pub after: u64,
    /// Maximum number of events; default: 100
    #[param(minimum = 1, maximum = 1000)]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only these kinds, such as `tokens_recorded`
    pub kind: Vec<String>,
    /// Only events about these providers
    pub provider: Vec<String>,
    /// Only events that occurred at or after this time, date or month
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub since: Option<String>,
    /// Only events that occurred before this time, date or month
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub until: Option<String>,
}

/// New events when they are appended.
#[cfg(feature = "web")]
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamInput {
    /// Start after this position; default: `Last-Event-ID`, else the end of the log
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    pub after: Option<u64>,
    /// Only these kinds, such as `tokens_recorded`
    pub kind: Vec<String>,
    /// Only events about these providers
    pub provider: Vec<String>,
    /// Instead of the events, only the last position after new ones, at most four times a second
    pub heads: bool,
}

/// A proof that an event is in the ledger.
#[derive(Clone, Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InclusionInput {
    /// A position or an event id
    #[param(example = "1", min_length = 1)]
    #[schema(min_length = 1)]
    pub event: String,
    /// Size of the tree that the proof refers to; default: the whole ledger
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    pub size: Option<u64>,
}

/// A proof that a later state of the ledger extends an earlier one.
#[derive(Clone, Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConsistencyInput {
    /// The earlier size
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64, example = 1)]
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    pub old: u64,
    /// The later size; default: the whole ledger
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    pub new: Option<u64>,
}

/// A signed statement of size and root hash.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckpointInput {
    /// An earlier size; default: the whole ledger
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    pub size: Option<u64>,
}

/// A switch to another provider.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchInput {
    /// The provider used from now on
    #[schema(example = "ollama", min_length = 1)]
    pub provider: String,
    /// The reason
    #[serde(default)]
    #[schema(example = "rate limited")]
    pub reason: Option<String>,
    /// When it happened, in RFC 3339; default: now
    #[serde(default)]
    #[schema(format = DateTime)]
    pub occurred_at: Option<String>,
    /// An idempotency key: a repeated call with the same key returns the first switch
    #[serde(default)]
    #[schema(min_length = 1)]
    pub key: Option<String>,
}

/// A reservation of tokens for a call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReserveInput {
    /// The provider
    #[schema(example = "anthropic", min_length = 1)]
    pub provider: String,
    /// Number of limit tokens
    #[schema(example = 20_000, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub tokens: u64,
    /// Maximum duration: 30m, 2h, 1h30m; default: 10m
    #[serde(default, rename = "for")]
    #[schema(example = "10m", pattern = "^([1-9][0-9]{0,3}h)?([1-9][0-9]{0,3}m)?$", min_length = 2)]
    pub ttl: Option<String>,
    /// The account
    #[serde(default)]
    #[schema(min_length = 1)]
    pub account: Option<String>,
    /// The model of the call
    #[serde(default)]
    #[schema(min_length = 1)]
    pub model: Option<String>,
    /// How difficult the task is; default: medium
    #[serde(default)]
    pub tier: Option<TierName>,
    /// Accept a provider that is in no catalogue, event or declaration: it counts as metered
    #[serde(default)]
    pub allow_undeclared: bool,
    /// An idempotency key: a repeated call with the same key returns the first reservation
    #[serde(default)]
    #[schema(min_length = 1)]
    pub key: Option<String>,
}

/// A stream of a program.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamName {
    Stderr,
    #[default]
    Stdout,
    Transcript,
}

/// The output of an agent's run, or the error of a provider.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanInput {
    /// The provider
    #[schema(example = "anthropic", min_length = 1)]
    pub provider: String,
    /// The output, or an HTTP error with its status, headers and body
    #[schema(example = "HTTP 429 Too Many Requests\nRetry-After: 60")]
    pub text: String,
    /// The stream of the text; default: stdout. An error of a provider's API is as strong evidence as stderr
    #[serde(default)]
    pub stream: Option<StreamName>,
    /// The exit code of the run; default: 1
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The account
    #[serde(default)]
    #[schema(min_length = 1)]
    pub account: Option<String>,
    /// The model of the run, for messages about "this model"
    #[serde(default)]
    #[schema(min_length = 1)]
    pub model: Option<String>,
    /// When the run ended, in RFC 3339; default: the time in the text, else now
    #[serde(default)]
    #[schema(format = DateTime)]
    pub occurred_at: Option<String>,
    /// A key of the refused call: a repeated request with the same key returns the first event. Default: one event for
    /// the same text with the same reset, or within an hour, while that event holds
    #[serde(default)]
    #[schema(min_length = 1)]
    pub key: Option<String>,
}

/// The release of a reservation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseInput {
    /// The id of the reservation
    #[schema(example = "018c3f6e-0000-7000-8000-000000000000", format = "uuid")]
    pub reservation: String,
    /// The reason
    #[serde(default)]
    pub reason: Option<String>,
}

/// A past state of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PastState {
    /// The events up to this position.
    Position(Position),
    /// The events that were recorded by this time, or by the end of this day or month.
    Time(Moment),
}

impl PastState {
    /// The state in a zone at a time.
    pub(crate) fn resolve(self, zone: Zone, now: Timestamp) -> AsOf {
        match self {
            Self::Position(position) => AsOf::Position(position),
            Self::Time(moment) => AsOf::Time(moment.end(zone, now)),
        }
    }
}

/// Parses a position, a time or a date.
pub(crate) fn as_of(text: &str) -> Result<PastState> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u64 = text.parse().map_err(|_| Error::invalid(format!("`{text}` is larger than any position")))?;
        return Ok(PastState::Position(Position::new(number)));
    }
    text.parse().map(PastState::Time).map_err(|error| Error::invalid(format!("{error}, or a position such as 120")))
}

/// Parses a time, date or month.
pub(crate) fn moment(text: Option<&str>) -> Result<Option<Moment>> {
    text.map(str::parse).transpose()
}

/// Returns whether a range depends on the time of the query, as `today` and `2h` do.
pub(crate) fn is_relative(since: Option<&str>, until: Option<&str>) -> bool {
    let is_relative = |text: &str| matches!(text.parse(), Ok(Moment::DaysAgo(_) | Moment::Ago(_)));
    [since, until].into_iter().flatten().any(is_relative)
}

/// Returns the number of items in an answer.
pub(crate) fn limit(given: Option<u32>, default: usize, most: usize) -> Result<usize> {
    match given.map(usize::try_from) {
        None => Ok(default),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(Error::invalid(format!("`limit` must be 1 to {most}: follow `next` for more"))),
    }
}

/// Converts the number of an event. `name` is the name of the field.
pub(crate) fn position(name: &str, number: u64) -> Result<Position> {
    match i64::try_from(number) {
        Ok(0) => Err(Error::invalid(format!("`{name}` is 0: positions begin at 1"))),
        Ok(_) => Ok(Position::new(number)),
        Err(_) => Err(Error::invalid(format!("`{name}` is {number}: it is larger than any position"))),
    }
}

/// Refuses an empty text.
pub(crate) fn named<'t>(name: &str, text: Option<&'t str>) -> Result<Option<&'t str>> {
    match text {
        Some(text) if text.trim().is_empty() => {
            Err(Error::invalid(format!("`{name}` is empty: leave it out or give it a value")))
        }
        given => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ago_makes_a_range_relative() {
        for text in ["today", "yesterday", "90m", "2h", "7d", "4w"] {
            assert!(is_relative(Some(text), None) && is_relative(None, Some(text)), "{text}");
        }
        for text in ["2026-06", "2026-06-01", "2026-06-01T12:00:00Z", "no time"] {
            assert!(!is_relative(Some(text), Some(text)), "{text}");
        }
    }

    #[test]
    fn errors_name_the_field_of_a_position() {
        assert_eq!(position("before", 7).unwrap(), Position::new(7));
        for number in [0, u64::MAX] {
            let error = position("before", number).unwrap_err().to_string();
            assert!(error.contains("`before`"), "{error}");
        }
    }
}
