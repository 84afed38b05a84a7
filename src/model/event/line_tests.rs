//! Any record is one line, and can be read from it.

use proptest::prelude::*;

use super::{Event, EventId, Position, Quality, Raw, TokenRecord, has_line_break};
use crate::model::tokens::TokenClass;
use crate::{Timestamp, Usd};

/// Strings with every character that JSON escapes, and many that it does not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9/.-]{0,20}", any::<String>(), "[\u{0}-\u{1f}\"\\\\\u{7f}\u{80}\u{2028}é😀]{0,12}"]
}

fn record() -> impl Strategy<Value = TokenRecord> {
    let names = prop::collection::vec(prop::option::of(text()), 7);
    let labels = prop::collection::btree_map(text(), text(), 0..3);
    let counts = prop::collection::vec(prop::option::of(any::<u64>()), 7);
    let keys = (prop::collection::vec(text(), 0..3), prop::collection::vec("[a-z]{1,4}", 0..3));
    let rest = (prop::option::of(any::<u64>()), prop::option::of(0_i64..2_000_000_000_000), 0_u8..3, any::<bool>());
    (names, labels, counts, keys, prop::option::of(0_i64..1 << 40), rest).prop_map(
        |(names, labels, counts, (keys, further), micros, (duration_ms, counted_at, quality, raw))| {
            let mut names = names.into_iter();
            let mut name = || names.next().unwrap();
            let mut record = TokenRecord::new("openai", "");
            record.provider = name().unwrap_or_default().into();
            record.account = name();
            record.model = name();
            record.agent = name();
            record.conversation = name();
            record.project = name();
            record.normaliser = name().map(Into::into);
            record.residual = counted_at.map(|at| format!("\"{at}\""));
            record.labels = labels;
            for (class, count) in TokenClass::ALL.into_iter().zip(counts) {
                record.tokens.set(class, count);
            }
            record.modalities = duration_ms.map(|count| (format!("{count}"), count)).into_iter().collect();
            record.server_tools = record.labels.keys().map(|name| (name.clone(), 7)).collect();
            record.cost = micros
                .map(|micros| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).parse::<Usd>().unwrap());
            record.duration_ms = duration_ms;
            record.counted_at = counted_at.map(Timestamp::from_millis);
            record.keys = keys;
            record.key_ids = further.iter().map(|key| EventId::from_key("openai", key)).collect();
            record.quality = [Quality::Reported, Quality::Derived, Quality::Estimated][usize::from(quality)];
            record.raw = raw.then(|| Raw::parse("{\"a\": [1.0, \"\\u00e9\"]}").unwrap());
            record
        },
    )
}

proptest! {
    #[test]
    fn a_record_is_one_line_and_can_be_read_from_it(record in record(), source in text(), at in 0_i64..4_000_000_000_000) {
        let event = Event {
            id: EventId::from_key("openai", &source),
            occurred_at: Timestamp::from_millis(at),
            recorded_at: Timestamp::from_millis(at + 1),
            source: source.into(),
            payload: record.into(),
        };
        let line = event.to_line().unwrap();
        prop_assert!(!has_line_break(&line), "{line}");
        prop_assert_eq!(Event::from_line(Position::START, &line).unwrap(), event);
    }
}
