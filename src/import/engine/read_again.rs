//! Updates records that a newer version of an importer reads again.

use crate::import::engine::attribution::Names;
use crate::import::engine::feed_counts::keep_lifetimes;
use crate::import::engine::merge::{Began, complete, home, set_home, total};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::service_tiers;
use crate::import::engine::telemetry_match::{is_met, is_telemetry};

/// Reason of an amendment by a newer version of the importer.
pub(in crate::import) fn again_reason(version: u32) -> String {
    format!("read again by version {version} of the importer")
}

/// Replaces the result of an older importer with that of the current one.
///
/// If both have the same usage object, the new counts win. Otherwise the larger total wins, as for any two sightings,
/// because the fuller copy may have been deleted. The call moves to another conversation only if the log of that
/// conversation begins earlier. Data from telemetry remain.
pub(in crate::import) fn read_again(known: ParsedCall, found: ParsedCall, began: Began<'_>) -> ParsedCall {
    if is_telemetry(&known.record) {
        return complete(found, known);
    }
    let names = Names::of(&known.record, &found.record);
    let has_met = is_met(&known.record);
    let is_same_usage = known.record.raw == found.record.raw;
    let stays = known.record.conversation.is_some()
        && known.record.conversation != found.record.conversation
        && home(&known.record, began) < home(&found.record, began);
    let knows_more = !is_same_usage && total(&known) > total(&found);
    let at = if has_met || stays { known.at.min(found.at) } else { found.at };
    let counted = if knows_more { known.counted_time() } else { found.counted_time() };
    let (known, mut record) = (known.record, found.record);
    let is_same_set = known.keys.len() == record.keys.len() && record.keys.iter().all(|key| known.keys.contains(key));
    if is_same_set {
        record.keys.clone_from(&known.keys);
    } else {
        let older: Vec<_> = known.keys.iter().filter(|key| !record.keys.contains(key)).cloned().collect();
        record.keys.extend(older);
    }
    record.cost = record.cost.or(known.cost);
    record.duration_ms = record.duration_ms.or(known.duration_ms);
    if has_met {
        service_tiers::settle(&mut record, &known.labels);
        for (name, value) in &known.labels {
            record.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    if knows_more {
        let found = std::mem::replace(&mut record.tokens, known.tokens);
        keep_lifetimes(&mut record.tokens, &found);
        record.normaliser.clone_from(&known.normaliser);
        record.quality = known.quality;
        record.residual.clone_from(&known.residual);
        record.raw.clone_from(&known.raw);
    } else if has_met {
        keep_lifetimes(&mut record.tokens, &known.tokens);
    }
    record.key_ids.clone_from(&known.key_ids);
    if stays {
        set_home(&mut record, known);
    }
    if let Some(names) = names {
        names.agree(&mut record);
    }
    ParsedCall { at, record }.counted(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Raw, TokenRecord};
    use crate::model::time::Timestamp;

    fn call(output: u64, raw: &str) -> ParsedCall {
        let mut record = TokenRecord::new("anthropic", "m").output(output).conversation("a").key("k");
        record.raw = Some(Raw::parse(raw).unwrap());
        ParsedCall { at: Timestamp::from_millis(5), record }
    }

    fn again(known: ParsedCall, found: ParsedCall) -> TokenRecord {
        read_again(known, found, &|_| None).record
    }

    #[test]
    fn the_same_usage_is_counted_anew_and_of_two_the_larger_counts() {
        assert_eq!(again(call(9, "{}"), call(4, "{}")).tokens.output, Some(4));
        assert_eq!(again(call(9, "[1]"), call(4, "{}")).tokens.output, Some(9));
        assert_eq!(again(call(4, "[1]"), call(9, "{}")).tokens.output, Some(9));
    }

    #[test]
    fn names_follow_the_newer_reading_and_what_telemetry_told_stays() {
        let mut known = call(4, "{}");
        known.record =
            known.record.label("purpose", "compact").label("mode", "old").key("otlp/1").cost("0.5".parse().unwrap());
        let mut found = call(4, "{}");
        found.record = found.record.label("mode", "new").project("p");
        let record = again(known.clone(), found.clone());
        assert_eq!((record.labels["purpose"].as_str(), record.labels["mode"].as_str()), ("compact", "new"));
        assert_eq!((record.project.as_deref(), record.keys.len(), record.cost), (Some("p"), 2, known.record.cost));
        // Without telemetry, a label that the importer no longer reads is removed.
        known.record.keys.pop();
        assert!(!again(known, found).labels.contains_key("purpose"));
    }

    #[test]
    fn a_copy_in_a_later_conversation_does_not_take_the_call() {
        let known = call(4, "{}");
        let mut found = call(4, "{}");
        found.record.conversation = Some("b".to_owned());
        let began = |at: [i64; 2]| {
            move |conversation: &str| Some(Timestamp::from_millis(if conversation == "a" { at[0] } else { at[1] }))
        };
        let place = |at| read_again(known.clone(), found.clone(), &began(at)).record.conversation;
        assert_eq!(place([1, 2]).as_deref(), Some("a"));
        assert_eq!(place([2, 1]).as_deref(), Some("b"));
    }
}
