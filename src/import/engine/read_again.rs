//! Updates records that a newer version of an importer reads again.

use crate::import::engine::attribution::SightingNames;
use crate::import::engine::feed_counts::keep_lifetimes;
use crate::import::engine::merge::{ConversationStarts, complete, conversation_rank, set_conversation, total};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::service_tiers;
use crate::import::engine::telemetry_match::{is_reported_by_telemetry, is_telemetry};

/// Reason of an amendment by a newer version of the importer.
pub(in crate::import) fn again_reason(version: u32) -> String {
    format!("read again by version {version} of the importer")
}

/// Replaces the result of an older importer with that of the current one.
///
/// If both have the same usage object, the new counts win. Otherwise the larger total wins, as for any two sightings,
/// because the fuller copy may have been deleted. The call moves to another conversation only if the log of that
/// conversation begins earlier. Data from telemetry remain.
pub(in crate::import) fn read_again(
    recorded: ParsedCall,
    sighting: ParsedCall,
    began: ConversationStarts<'_>,
) -> ParsedCall {
    if is_telemetry(&recorded.record) {
        return complete(sighting, recorded);
    }
    let names = SightingNames::of(&recorded.record, &sighting.record);
    let was_reported_by_telemetry = is_reported_by_telemetry(&recorded.record);
    let is_same_usage = recorded.record.raw == sighting.record.raw;
    let keeps_place = recorded.record.conversation.is_some()
        && recorded.record.conversation != sighting.record.conversation
        && conversation_rank(&recorded.record, began) < conversation_rank(&sighting.record, began);
    let has_more = !is_same_usage && total(&recorded) > total(&sighting);
    let at = if was_reported_by_telemetry || keeps_place { recorded.at.min(sighting.at) } else { sighting.at };
    let counted = if has_more { recorded.counted_time() } else { sighting.counted_time() };
    let (recorded, mut record) = (recorded.record, sighting.record);
    let is_same_set =
        recorded.keys.len() == record.keys.len() && record.keys.iter().all(|key| recorded.keys.contains(key));
    if is_same_set {
        record.keys.clone_from(&recorded.keys);
    } else {
        let older: Vec<_> = recorded.keys.iter().filter(|key| !record.keys.contains(key)).cloned().collect();
        record.keys.extend(older);
    }
    record.cost = record.cost.or(recorded.cost);
    record.duration_ms = record.duration_ms.or(recorded.duration_ms);
    if was_reported_by_telemetry {
        service_tiers::settle(&mut record, &recorded.labels);
        for (name, value) in &recorded.labels {
            record.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    if has_more {
        let replaced = std::mem::replace(&mut record.tokens, recorded.tokens);
        keep_lifetimes(&mut record.tokens, &replaced);
        record.normaliser.clone_from(&recorded.normaliser);
        record.quality = recorded.quality;
        record.residual.clone_from(&recorded.residual);
        record.raw.clone_from(&recorded.raw);
    } else if was_reported_by_telemetry {
        keep_lifetimes(&mut record.tokens, &recorded.tokens);
    }
    record.key_ids.clone_from(&recorded.key_ids);
    if keeps_place {
        set_conversation(&mut record, recorded);
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

    fn again(recorded: ParsedCall, sighting: ParsedCall) -> TokenRecord {
        read_again(recorded, sighting, &|_| None).record
    }

    #[test]
    fn equal_usage_is_normalised_again_and_the_larger_count_wins() {
        assert_eq!(again(call(9, "{}"), call(4, "{}")).tokens.output, Some(4));
        assert_eq!(again(call(9, "[1]"), call(4, "{}")).tokens.output, Some(9));
        assert_eq!(again(call(4, "[1]"), call(9, "{}")).tokens.output, Some(9));
    }

    #[test]
    fn names_follow_the_newer_reading_and_data_from_telemetry_stay() {
        let mut recorded = call(4, "{}");
        recorded.record =
            recorded.record.label("purpose", "compact").label("mode", "old").key("otlp/1").cost("0.5".parse().unwrap());
        let mut sighting = call(4, "{}");
        sighting.record = sighting.record.label("mode", "new").project("p");
        let record = again(recorded.clone(), sighting.clone());
        assert_eq!((record.labels["purpose"].as_str(), record.labels["mode"].as_str()), ("compact", "new"));
        assert_eq!((record.project.as_deref(), record.keys.len(), record.cost), (Some("p"), 2, recorded.record.cost));
        // Without telemetry, a label that the importer no longer reads is removed.
        recorded.record.keys.pop();
        assert!(!again(recorded, sighting).labels.contains_key("purpose"));
    }

    #[test]
    fn a_copy_in_a_later_conversation_does_not_take_the_call() {
        let recorded = call(4, "{}");
        let mut sighting = call(4, "{}");
        sighting.record.conversation = Some("b".to_owned());
        let began = |at: [i64; 2]| {
            move |conversation: &str| Some(Timestamp::from_millis(if conversation == "a" { at[0] } else { at[1] }))
        };
        let place = |at| read_again(recorded.clone(), sighting.clone(), &began(at)).record.conversation;
        assert_eq!(place([1, 2]).as_deref(), Some("a"));
        assert_eq!(place([2, 1]).as_deref(), Some("b"));
    }
}
