use proptest::prelude::*;

use super::*;

fn sighting() -> impl Strategy<Value = ParsedCall> {
    (0_i64..5, 1_u64..4, 0_u64..4, 0_usize..3, 0_usize..3, any::<bool>(), 0_i64..3).prop_map(
        |(at, input, output, conversation, key, side, later)| {
            let mut record = TokenRecord::new("anthropic", format!("m{input}"))
                .input(input)
                .output(output)
                .conversation(["a", "b", "c"][conversation])
                .key("msg");
            record.keys.push(format!("req{key}"));
            if side {
                record = record.label("sidechain", "true");
            }
            ParsedCall { at: Timestamp::from_millis(at), record }.counted(Timestamp::from_millis(at + later))
        },
    )
}

#[test]
fn a_call_with_a_repeated_id_keeps_its_mark_of_being_read_again() {
    let mut pending = PendingSightings::default();
    for at in [0, 90_000] {
        let mut record = TokenRecord::new("zai", "m").input(1).output(1).conversation("a").key("relay");
        record.normaliser = Some("anthropic/1".into());
        let sighting = KeyedSighting::from(ParsedCall { at: Timestamp::from_millis(at), record });
        pending.add(KeyedSighting { again: true, ..sighting }, &|_| None);
    }
    let all = pending.drain();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|sighting| sighting.again));
}

fn joined(call: &[ParsedCall]) -> ParsedCall {
    let began = |conversation: &str| match conversation {
        "a" => Some(Timestamp::from_millis(9)),
        "b" => Some(Timestamp::from_millis(3)),
        _ => None,
    };
    let mut pending = PendingSightings::default();
    for one in call {
        pending.add(one.clone().into(), &began);
    }
    let mut all = pending.drain();
    assert_eq!(all.len(), 1);
    let mut one = all.remove(0).call;
    one.record.keys.sort();
    one
}

proptest! {
    #[test]
    fn the_order_of_sightings_does_not_matter(call in prop::collection::vec(sighting(), 1..7), seed in any::<u64>()) {
        let mut shuffled = call.clone();
        shuffled.sort_by_key(|one| {
            use std::hash::{Hash, Hasher};
            let mut hasher = std::collections::hash_map::DefaultHasher::new();
            (seed, one.at, &one.record.keys, one.record.tokens.counts()).hash(&mut hasher);
            hasher.finish()
        });
        prop_assert_eq!(joined(&call), joined(&shuffled));
    }
}

#[test]
fn counted_at_is_the_first_sighting_with_the_largest_total() {
    let line = |at, output| {
        let record = TokenRecord::new("anthropic", "m").output(output).key("msg").conversation("a");
        ParsedCall { at: Timestamp::from_millis(at), record }
    };
    let telemetry = |lines: &[ParsedCall]| {
        let one = joined(lines);
        (one.at.millis(), one.counted_time().millis(), one.record.counted_at.is_some())
    };
    let [begun, whole, again] = [line(1, 2), line(4, 9), line(6, 9)];
    for order in [[&begun, &whole, &again], [&again, &begun, &whole], [&whole, &again, &begun]] {
        assert_eq!(telemetry(&order.map(Clone::clone)), (1, 4, true));
    }
    assert_eq!(telemetry(&[whole, again]), (4, 4, false));
}

#[test]
fn telemetry_does_not_change_counted_at_of_the_log() {
    let call = |at, output| ParsedCall {
        at: Timestamp::from_millis(at),
        record: TokenRecord::new("anthropic", "m").output(output),
    };
    let telemetry = |call: ParsedCall| (call.at.millis(), call.counted_time().millis());
    assert_eq!(telemetry(complete(call(5, 9), call(3, 9))), (3, 5));
    assert_eq!(telemetry(complete(call(5, 9), call(3, 10))), (3, 3)); // unless it knows more
    assert_eq!(telemetry(unite(call(5, 9), call(3, 9))), (3, 3));
    assert_eq!(telemetry(unite(call(3, 8), call(5, 9))), (3, 5));
}

#[test]
fn of_equal_totals_the_one_with_more_classes_counts() {
    let call =
        |record: TokenRecord| ParsedCall { at: Timestamp::from_millis(0), record: record.key("msg").conversation("a") };
    let coarse = call(TokenRecord::new("openai", "m").input(100).output(20));
    let fine = call(TokenRecord::new("openai", "m").input(40).cache_read(60).output(20));
    for order in [[coarse.clone(), fine.clone()], [fine.clone(), coarse]] {
        assert_eq!(joined(&order).record.tokens, fine.record.tokens);
    }
}

#[test]
fn a_sighting_without_a_conversation_keeps_the_conversation_of_the_other() {
    let call = |record: TokenRecord| ParsedCall { at: Timestamp::from_millis(0), record: record.key("msg") };
    let bare = call(TokenRecord::new("openai", "m").input(5));
    let placed = call(TokenRecord::new("openai", "m").input(5).conversation("d").project("p"));
    for order in [[bare.clone(), placed.clone()], [placed, bare]] {
        let one = joined(&order).record;
        assert_eq!((one.conversation.as_deref(), one.project.as_deref()), (Some("d"), Some("p")));
    }
}

#[test]
fn a_fork_does_not_take_a_repeated_call_at_any_clock_difference() {
    let call = |at, conversation: &str, keys: &[&str]| {
        let mut record = TokenRecord::new("openai", "m").input(1).conversation(conversation);
        record.keys = keys.iter().map(|key| (*key).to_owned()).collect();
        ParsedCall { at: Timestamp::from_millis(at), record }
    };
    let origin = || call(9, "parent", &["parent/7"]);
    let forks = || [call(1, "a", &["a/7", "parent/7"]), call(2, "b", &["b/7", "parent/7"])];
    let [a, b] = forks();
    for order in [[origin(), a.clone(), b.clone()], [a.clone(), origin(), b.clone()], [b, a, origin()]] {
        let mut pending = PendingSightings::default();
        for one in order {
            pending.add(one.into(), &|_| None);
        }
        let all = pending.drain();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].call.at.millis(), 9);
        assert_eq!(all[0].call.record.conversation.as_deref(), Some("parent"));
        assert_eq!(all[0].call.record.keys[0], "parent/7");
    }
}

#[test]
fn sightings_that_a_third_one_links_become_one() {
    let call = |keys: &[&str]| {
        let mut record = TokenRecord::new("openai", "m").input(1);
        record.keys = keys.iter().map(|key| (*key).to_owned()).collect();
        ParsedCall { at: Timestamp::from_millis(0), record }
    };
    let mut pending = PendingSightings::default();
    for keys in [["a", "b"], ["c", "d"], ["b", "c"]] {
        pending.add(call(&keys).into(), &|_| None);
    }
    assert_eq!(pending.copies, 2);
    let all = pending.drain();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].call.record.keys.len(), 4);
}
