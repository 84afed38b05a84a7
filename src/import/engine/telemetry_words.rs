//! The words in which an agent's own telemetry states its calls.

/// What an agent calls things in its telemetry.
pub(crate) struct TelemetryWords {
    /// How `service.name` begins, if the agent states each call in words of its own: what it sends in the words of the
    /// GenAI convention repeats those calls.
    pub service: Option<&'static str>,
    /// How the names of its events, metrics and attributes begin.
    pub prefixes: &'static [&'static str],
    /// The log records and spans that are calls.
    pub calls: Option<CallWords>,
    /// The metric of its tokens.
    pub metric: Option<MetricWords>,
    /// Who serves the calls that it states in the words of the GenAI convention.
    pub served: Option<ServedWords>,
    /// What repeats in sum what calls used that the agent states one by one.
    pub sums: SumWords,
}

/// Who serves the calls of an agent whose vendor runs models.
pub(crate) struct ServedWords {
    /// The service of the vendor.
    pub provider: &'static str,
    /// How the names begin by which telemetry calls that service.
    pub vendor: &'static str,
    /// The instrumentation scope of the agent itself. It names the provider of a person's own key. Other programs with
    /// these attributes name the maker of a model, whoever served it.
    pub scope: &'static str,
}

/// Telemetry that is no call, although it states tokens.
pub(crate) struct SumWords {
    /// Names of events, without the agent's prefix.
    pub events: &'static [&'static str],
    /// How the names of attributes begin that only sums have.
    pub attributes: &'static [&'static str],
    /// Whether all spans of the agent's service are sums.
    pub spans: bool,
}

impl SumWords {
    /// Nothing is a sum.
    pub const NONE: Self = Self { events: &[], attributes: &[], spans: false };
}

/// The attributes of a call.
pub(crate) struct CallWords {
    /// Names of the events that are calls.
    pub events: &'static [&'static str],
    /// Names that are calls if the resource is this agent's service.
    pub short_events: &'static [&'static str],
    /// Names that are calls only with an id; without one they repeat an event.
    pub events_with_id: &'static [&'static str],
    /// Any other event of the agent that has this attribute is a call.
    pub counted_by: Option<&'static str>,
    /// Who served the calls.
    pub provider: &'static str,
    pub normaliser: &'static str,
    pub input: &'static str,
    pub output: &'static str,
    /// Input of tools, beside the input.
    pub tool_input: Option<&'static str>,
    pub cache_read: &'static str,
    pub cache_write: Option<&'static str>,
    pub reasoning: Option<&'static str>,
    /// Whether the input includes what was read from or written to a cache.
    pub cache_inside: bool,
    /// Whether the output includes reasoning.
    pub reasoning_inside: bool,
    /// The request's or response's id.
    pub id: Option<&'static str>,
    pub conversation: &'static str,
    pub models: &'static [&'static str],
    /// The service tier, and its usual values.
    pub tier: Option<(&'static str, &'static [&'static str])>,
    /// The service tier that the provider's answer names.
    pub answered_tier: Option<&'static str>,
    /// What the call was made for.
    pub purposes: &'static [&'static str],
}

/// A metric of tokens.
pub(crate) struct MetricWords {
    pub name: &'static str,
    /// The attribute that says what kind of tokens they are.
    pub kind: &'static str,
    /// The kinds that add up to the total.
    pub summed: &'static [&'static str],
    /// The kinds that are parts of those, or their sum.
    pub parts: &'static [&'static str],
}
