//! What the log and the telemetry of one call have in common: counts and spans.

use crate::model::event::TokenRecord;
use crate::model::tokens::Tokens;

/// The counts that both feeds state: uncached input, cache reads, cache writes, output.
pub(super) type CountVector = [u128; 4];

fn sums([input, read, five, hour, written, output, reasoning]: [u128; 7]) -> CountVector {
    let add = u128::saturating_add;
    [input, read, add(add(five, hour), written), add(output, reasoning)]
}

/// Returns the counts of a record that both feeds state.
pub(super) fn of_tokens(tokens: &Tokens) -> CountVector {
    sums(tokens.counts().map(u128::from))
}

/// Returns the keys of spans, `trace/span`, in two parts.
pub(super) fn spans(record: &TokenRecord) -> impl Iterator<Item = (&str, &str)> {
    fn is_hex(text: &str, length: usize) -> bool {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
    let parts = record.keys.iter().filter_map(|key| key.split_once('/'));
    parts.filter(|(trace, span)| is_hex(trace, 32) && is_hex(span, 16))
}

/// Returns the trace of a call.
pub(super) fn trace(record: &TokenRecord) -> Option<&str> {
    spans(record).next().map(|(trace, _)| trace)
}
