//! The names under which telemetry is recorded: its source, its normalisers and its keys.

use crate::model::event::TokenRecord;

/// Suffix of the normalisers of telemetry.
const NORMALISER: &str = "-otlp/1";
/// Normaliser of an item that is presumably a call: it has counts and a model.
pub(in crate::import) const GUESSED: &str = "gen-ai-like-otlp/1";
/// Normaliser of calls from an instrumentation that counts tokens itself.
pub(in crate::import) const NAMED: &str = "gen-ai-otlp/1";
/// Normaliser of calls from a provider's own SDK.
pub(in crate::import) const OWN_SDK: &str = "sdk-otlp/1";
/// The normalisers of instrumentations.
const INSTRUMENTED: [&str; 2] = [NAMED, GUESSED];
/// Prefix of generated keys, for calls without an id in telemetry.
pub(in crate::import) const KEY: &str = "otlp/";

/// Returns whether only telemetry has reported the call so far.
pub(in crate::import) fn is_telemetry(record: &TokenRecord) -> bool {
    record.normaliser.as_deref().is_some_and(|normaliser| normaliser.ends_with(NORMALISER))
}

/// Returns whether telemetry has reported the call.
pub(in crate::import) fn is_reported_by_telemetry(record: &TokenRecord) -> bool {
    is_telemetry(record) || record.keys.iter().any(|key| key.starts_with(KEY))
}

/// Returns whether an instrumentation reported the call, and not the agent or the SDK of a provider.
pub(in crate::import) fn is_instrumented(record: &TokenRecord) -> bool {
    record.normaliser.as_deref().is_some_and(|name| INSTRUMENTED.contains(&name))
}
