//! The vocabulary of an agent's own telemetry.

/// The names that an agent uses in its telemetry.
pub(crate) struct TelemetryVocabulary {
    /// Prefix of `service.name`, if the agent reports each call under its own names. Items of the same service in the
    /// GenAI convention repeat those calls.
    pub service: Option<&'static str>,
    /// Prefixes of its events, metrics and attributes.
    pub prefixes: &'static [&'static str],
    /// Log records and spans that are calls.
    pub calls: Option<CallNames>,
    /// Its token metric.
    pub metric: Option<MetricNames>,
    /// The provider of calls that it reports in the GenAI convention.
    pub vendor: Option<VendorNames>,
    /// Items that are sums of calls which it also reports one by one.
    pub sums: SumNames,
}

/// Provider of the calls of an agent whose vendor runs models.
pub(crate) struct VendorNames {
    /// The vendor's service.
    pub provider: &'static str,
    /// Prefixes of the names that telemetry uses for that service.
    pub vendor: &'static str,
    /// The agent's own instrumentation scope, which names the provider if the user has a key of their own. Other
    /// programs with these attributes name the maker of the model, whoever served it.
    pub scope: &'static str,
}

/// Telemetry with tokens that is not a call.
pub(crate) struct SumNames {
    /// Event names, without the agent's prefix.
    pub events: &'static [&'static str],
    /// Prefixes of attributes that only sums have.
    pub attributes: &'static [&'static str],
    /// Whether all spans of the agent's service are sums.
    pub spans: bool,
}

impl SumNames {
    /// No item is a sum.
    pub const NONE: Self = Self { events: &[], attributes: &[], spans: false };
}

/// The attributes of a call.
pub(crate) struct CallNames {
    /// Names of events that are calls.
    pub events: &'static [&'static str],
    /// Names that are calls if the resource is this agent's service.
    pub short_events: &'static [&'static str],
    /// Names that are calls only if they have an id. Without one they repeat an event.
    pub events_with_id: &'static [&'static str],
    /// Any other event of the agent with this attribute is a call.
    pub counted_by: Option<&'static str>,
    /// The provider of the calls.
    pub provider: &'static str,
    pub normaliser: &'static str,
    pub input: &'static str,
    pub output: &'static str,
    /// Input of tools, which the input does not include.
    pub tool_input: Option<&'static str>,
    pub cache_read: &'static str,
    pub cache_write: Option<&'static str>,
    pub reasoning: Option<&'static str>,
    /// Whether the input includes cache reads and cache writes.
    pub cache_inside: bool,
    /// Whether the output includes reasoning.
    pub reasoning_inside: bool,
    /// Id of the request or response.
    pub id: Option<&'static str>,
    pub conversation: &'static str,
    pub models: &'static [&'static str],
    /// The service tier, and its standard values.
    pub tier: Option<(&'static str, &'static [&'static str])>,
    /// The service tier in the provider's response.
    pub answered_tier: Option<&'static str>,
    /// Attributes with the purpose of a call.
    pub purposes: &'static [&'static str],
}

/// A metric of tokens.
pub(crate) struct MetricNames {
    pub name: &'static str,
    /// The attribute with the kind of tokens.
    pub kind: &'static str,
    /// The kinds whose sum is the total.
    pub summed: &'static [&'static str],
    /// The kinds that are parts or sums of those.
    pub parts: &'static [&'static str],
}
