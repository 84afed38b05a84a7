//! Inputs of the operations behind the web page. Each answers one view and is bounded in size.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::ReportInput;

/// Periods, windows and decisions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OverviewInput {
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

/// Events, the latest first, one summary each.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogInput {
    /// Only events before this position
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    pub before: Option<u64>,
    /// Maximum number of events; default: 50
    #[param(minimum = 1, maximum = 100)]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// Only these kinds, such as `tokens_recorded`
    pub kind: Vec<String>,
    /// Only events about these providers
    pub provider: Vec<String>,
    /// Only events about these accounts
    pub account: Vec<String>,
    /// Only calls of these models
    pub model: Vec<String>,
    /// Only calls by these agents
    pub agent: Vec<String>,
    /// Only calls of these projects
    pub project: Vec<String>,
    /// Only calls of these conversations
    pub conversation: Vec<String>,
    /// Only events that occurred at or after this time, date or month
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub since: Option<String>,
    /// Only events that occurred before this time, date or month
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub until: Option<String>,
}

/// Summaries of given events, such as the evidence of a decision.
#[derive(Clone, Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SummariesInput {
    /// Positions, at most 100
    #[param(example = json!([1]))]
    pub position: Vec<u64>,
}

/// One event.
#[derive(Clone, Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowInput {
    /// A position, an event id, or the provider's own key of a call
    #[param(example = "1", min_length = 1)]
    #[schema(min_length = 1)]
    pub event: String,
}

/// A part of the line of an event.
#[derive(Clone, Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LineInput {
    /// A position or an event id
    #[param(example = "1", min_length = 1)]
    #[schema(min_length = 1)]
    pub event: String,
    /// The byte at which the part begins: 0, or `next` of the part before
    #[serde(default)]
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    pub from: u64,
}

/// What a figure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnitName {
    Cost,
    Tokens,
}

/// The numbers of a figure.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FigureInput {
    /// One or two keys of `report`: a time and a name (day, model), two names (project, model), one name, `hour` for a
    /// week of hours, or `window` for how full the windows of an account were
    #[param(example = json!(["day", "provider"]))]
    pub by: Vec<String>,
    /// Cost or tokens; default: cost if every call has a price, otherwise tokens
    pub unit: Option<UnitName>,
    /// Only calls at or after this time, date or month
    #[param(example = "2026-06-01", pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub since: Option<String>,
    /// Only calls before this time, date or month
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub until: Option<String>,
    /// Only this number of days up to today
    #[param(minimum = 1, maximum = 800)]
    #[schema(minimum = 1, maximum = 800)]
    pub days: Option<u32>,
    /// Only these providers; a figure by `window` needs one
    pub provider: Vec<String>,
    /// Only these accounts
    pub account: Vec<String>,
    /// Only these models
    pub model: Vec<String>,
    /// Only these agents
    pub agent: Vec<String>,
    /// Only these projects
    pub project: Vec<String>,
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

impl FigureInput {
    /// Returns the input of the report that the figure shows.
    pub fn report(&self) -> ReportInput {
        ReportInput {
            by: self.by.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            days: self.days,
            provider: self.provider.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
            agent: self.agent.clone(),
            project: self.project.clone(),
            tz: self.tz.clone(),
            as_of: self.as_of.clone(),
            no_cost: self.unit == Some(UnitName::Tokens),
            ..ReportInput::default()
        }
    }
}

/// Runs of importers, the latest first.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportsInput {
    /// Only runs before this position
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    pub before: Option<u64>,
    /// Maximum number of runs; default: 20
    #[param(minimum = 1, maximum = 50)]
    #[schema(minimum = 1, maximum = 50)]
    pub limit: Option<u32>,
}

/// What recorded statements confirm.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BillInput {
    /// Only days at or after this time, date or month; default: 31 days before the end
    #[param(example = "2026-06-01", pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub since: Option<String>,
    /// Only days before this time, date or month; default: the end of the last statement
    #[param(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    #[schema(pattern = r"^(today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?)$")]
    pub until: Option<String>,
    /// Only this number of days before the end
    #[param(minimum = 1, maximum = 800)]
    #[schema(minimum = 1, maximum = 800)]
    pub days: Option<u32>,
    /// Only statements of this provider
    #[param(min_length = 1)]
    #[schema(min_length = 1)]
    pub provider: Option<String>,
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

/// The machines that push their ledgers.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MachinesInput {
    /// Only machines whose names come after this one
    pub after: Option<String>,
    /// Maximum number of machines; default: 100
    #[param(minimum = 1, maximum = 1000)]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// An operation without parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoInput {}
