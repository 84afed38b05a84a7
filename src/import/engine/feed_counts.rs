//! Known differences between the counts that two feeds state for one call.

use crate::import::engine::telemetry_names::is_instrumented;
use crate::model::event::TokenRecord;
use crate::model::tokens::Tokens;

/// Maximum output count in the first event of a stream. The final count already includes it.
pub(in crate::import) const START: u64 = 16;

/// Returns whether an instrumentation added the count of the first stream event to the final output. `own` has the
/// provider's count.
pub(in crate::import) fn repeats_start(own: &TokenRecord, reported: &TokenRecord) -> bool {
    if is_instrumented(own) || !is_instrumented(reported) {
        return false;
    }
    let (Some(own), Some(reported)) = (gross(&own.tokens), gross(&reported.tokens)) else { return false };
    let more = reported.1.saturating_sub(own.1);
    own.0 == reported.0 && more > 0 && more <= START && more <= own.1
}

/// Returns total input and total output. Feeds split these into classes differently.
pub(in crate::import) fn gross(tokens: &Tokens) -> Option<(u64, u64)> {
    let [input, read, five, hour, written, output, reasoning] = tokens.counts();
    let input = [input, read, five, hour, written].into_iter().try_fold(0_u64, u64::checked_add)?;
    Some((input, output.checked_add(reasoning)?))
}

/// Copies the lifetimes of cache writes from a sighting that states them, if both state the same total of cache writes.
pub(in crate::import) fn keep_lifetimes(counts: &mut Tokens, other: &Tokens) {
    let written = |tokens: &Tokens| {
        let classes = [tokens.cache_write_5m, tokens.cache_write_1h, tokens.cache_write];
        classes.into_iter().flatten().try_fold(0_u64, u64::checked_add)
    };
    let separates = |tokens: &Tokens| tokens.cache_write_5m.is_some() || tokens.cache_write_1h.is_some();
    if !separates(counts) && counts.cache_write.is_some() && separates(other) && written(counts) == written(other) {
        counts.cache_write = other.cache_write;
        counts.cache_write_5m = other.cache_write_5m;
        counts.cache_write_1h = other.cache_write_1h;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::engine::telemetry_names::{NAMED, OWN_SDK};

    fn reported(normaliser: Option<&'static str>, input: u64, output: u64) -> TokenRecord {
        let mut record = TokenRecord::new("anthropic", "m").input(input).output(output);
        record.normaliser = normaliser.map(Into::into);
        record
    }

    #[test]
    fn only_instrumentations_repeat_the_counts_of_a_stream_start() {
        let own = reported(Some(OWN_SDK), 10, 447);
        assert!(repeats_start(&own, &reported(Some(NAMED), 10, 448)));
        assert!(repeats_start(&reported(Some("anthropic/2"), 10, 447), &reported(Some(NAMED), 10, 448)));
        for (other, why) in [
            (reported(Some(NAMED), 10, 447), "the same"),
            (reported(Some(NAMED), 11, 448), "other input"),
            (reported(Some(NAMED), 10, 464), "more than a start"),
            (reported(Some(OWN_SDK), 10, 448), "a provider's own"),
        ] {
            assert!(!repeats_start(&own, &other), "{why}");
        }
        // The first event of a stream states less than half of the output.
        assert!(!repeats_start(&reported(None, 10, 1), &reported(Some(NAMED), 10, 3)));
    }

    #[test]
    fn lifetimes_are_kept_if_both_have_the_same_cache_writes() {
        let mut whole = Tokens { input: Some(1), cache_write: Some(9), ..Tokens::default() };
        let apart = Tokens { cache_write_5m: Some(4), cache_write_1h: Some(5), ..Tokens::default() };
        keep_lifetimes(&mut whole, &apart);
        assert_eq!((whole.cache_write, whole.cache_write_5m, whole.cache_write_1h), (None, Some(4), Some(5)));
        let mut other = Tokens { cache_write: Some(8), ..Tokens::default() };
        keep_lifetimes(&mut other, &apart);
        assert_eq!(other.cache_write, Some(8));
    }
}
