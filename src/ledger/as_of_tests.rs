//! The past as appends stored it is the past that the events fold to.

use std::collections::BTreeMap;

use super::as_of::refold;
use super::{Ledger, Shred};
use crate::TokenRecord;
use crate::model::event::{
    EventId, EventVoided, Imported, ImportedFile, LimitSet, NewEvent, Payload, Position, TokensAmended,
};
use crate::model::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::projection::past::{CHAPTER, PastView};
use crate::projection::{first_from, last_before, read_uses, sum_uses};
use crate::store::{EventStore, GO_ON, MemoryStore, Order, PrefixView, ReadView, Table};

const START: i64 = 1_780_000_000_000;

/// A generator of numbers, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn id(number: u64) -> EventId {
    EventId::from(uuid::Uuid::from_u128(u128::from(number) + 1))
}

/// Events in the order of time, but for one in `late`, whose times lie anywhere in the past; with corrections in front of
/// and behind what they correct, settings, runs of importers, and accounts that appear one after the other.
fn events(count: u64, late: u64, numbers: &mut Numbers) -> Vec<NewEvent> {
    let record = |number: u64, numbers: &mut Numbers| {
        let provider = ["openai", "anthropic"][numbers.below(2) as usize];
        let record = TokenRecord::new(provider, ["m", "n"][numbers.below(2) as usize])
            .input(1 + numbers.below(9))
            .project(format!("p{}", numbers.below(3)))
            .conversation(format!("c{}", number / 300))
            .label("mission", format!("l{}", numbers.below(2)));
        if numbers.below(4) == 0 { record.account(format!("a{}", numbers.below(1 + number / 1_000))) } else { record }
    };
    let mut events = Vec::new();
    for number in 0..count {
        let mut at = START + i64::try_from(number).unwrap() * MINUTE / 2;
        if numbers.below(late) == 0 {
            at -= i64::try_from(numbers.below(3 * DAY.unsigned_abs())).unwrap();
        }
        let now = Timestamp::from_millis(at);
        let target = id(numbers.below(count));
        let payload: Payload = match numbers.below(100) {
            0 => EventVoided { target, reason: "a test".to_owned() }.into(),
            1 => {
                let at = (numbers.below(3) == 0).then(|| now.plus(-2 * HOUR));
                let replacement = record(number, numbers);
                TokensAmended { target, reason: "a test".to_owned(), at, replacement }.into()
            }
            2 => LimitSet::new(["openai", "google"][numbers.below(2) as usize]).unwrap().session(5).into(),
            3 => {
                let file = ImportedFile {
                    path: format!("f{}", numbers.below(5)),
                    conversation: Some(format!("c{}", numbers.below(9))),
                    began: Some(now),
                    ..ImportedFile::default()
                };
                let mut run = Imported::new("claude-code");
                run.files.push(file);
                run.into()
            }
            _ => record(number, numbers).into(),
        };
        events.push(NewEvent::new(payload, now).id(id(number)));
    }
    events
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows(view: &dyn ReadView, table: Table, order: Order) -> Rows {
    let (mut found, mut last) = (Rows::new(), None::<Vec<u8>>);
    view.scan(table, &[], &[], order, &mut |key, value| {
        if let Some(last) = last.replace(key.to_vec()) {
            assert_eq!(last.as_slice() < key, order == Order::Ascending, "rows of {table:?} are in order");
        }
        found.insert(key.to_vec(), value.to_vec());
        GO_ON
    })
    .unwrap();
    found
}

/// Every use, whatever the chunks.
fn uses(rows: &Rows) -> Rows {
    let mut found = Rows::new();
    for (key, value) in rows {
        let (account, _, instants) = read_uses(key, value).unwrap();
        for (at, totals) in instants {
            let mut value = Vec::new();
            totals.encode(&mut value).unwrap();
            found.insert([account, &at.to_be_bytes()].concat(), value);
        }
    }
    found
}

/// Compares every table as of a position, each as a whole and by some of its ranges.
fn compare(store: &MemoryStore, position: u64, numbers: &mut Numbers) {
    let position = Position::new(position);
    let past = PastView::new(store.read().unwrap(), position).unwrap();
    let mut folded = PrefixView::new(store.read().unwrap(), position).unwrap();
    refold(&mut folded, Position::START).unwrap();
    assert_eq!(past.head().unwrap(), folded.head().unwrap());
    for table in Table::FOLDED {
        let expected = rows(&folded, table, Order::Ascending);
        let (up, down) = (rows(&past, table, Order::Ascending), rows(&past, table, Order::Descending));
        assert_eq!(up, down, "{table:?} as of {position}");
        if table == Table::UsageInstants {
            assert_eq!(uses(&up), uses(&expected), "as of {position}");
            continue;
        }
        assert_eq!(up, expected, "{table:?} as of {position}");
        let keys: Vec<&Vec<u8>> = expected.keys().collect();
        if !keys.is_empty() {
            let key = keys[numbers.below(keys.len() as u64) as usize];
            assert_eq!(past.get(table, key).unwrap().as_ref(), expected.get(key), "{table:?} as of {position}");
            let to = keys[numbers.below(keys.len() as u64) as usize];
            for order in [Order::Ascending, Order::Descending] {
                let mut seen = Vec::new();
                past.scan(table, key, to, order, &mut |key, _| {
                    seen.push(key.to_vec());
                    GO_ON
                })
                .unwrap();
                seen.sort_unstable();
                let range = if key < to { Some(expected.range(key.clone()..to.clone())) } else { None };
                let range: Vec<Vec<u8>> = range.into_iter().flatten().map(|(key, _)| key.clone()).collect();
                assert_eq!(seen, range, "{table:?} as of {position}");
            }
        }
    }
    let accounts: Vec<Vec<u8>> = rows(&folded, Table::Accounts, Order::Ascending).into_keys().collect();
    for _ in 0..accounts.len().min(3) {
        let account = &accounts[numbers.below(accounts.len() as u64) as usize];
        for _ in 0..2 {
            let at =
                Timestamp::from_millis(START + i64::try_from(numbers.below(5 * DAY.unsigned_abs())).unwrap() - 3 * DAY);
            let first = |view: &dyn ReadView| first_from(view, account, at).unwrap();
            assert_eq!(first(&past), first(&folded), "first use from {at} as of {position}");
            let last = |view: &dyn ReadView| last_before(view, account, at).unwrap();
            assert_eq!(last(&past), last(&folded), "last use before {at} as of {position}");
            let sum = |view: &dyn ReadView| sum_uses(view, account, at, at.plus(7 * HOUR)).unwrap();
            assert_eq!(sum(&past), sum(&folded), "uses from {at} as of {position}");
        }
    }
}

#[test]
fn the_past_from_history_is_the_past_from_events() {
    for (late, batch, seed) in [(1_000_000, 5_000, 1), (40, 700, 2), (4, 1_999, 3)] {
        println!("seed {seed}");
        let mut numbers = Numbers(seed);
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let events = events(2 * CHAPTER + 1_500, late, &mut numbers);
        for part in events.chunks(batch) {
            ledger.append(part.to_vec(), Timestamp::from_millis(START)).unwrap();
        }
        assert_eq!(ledger.verify().unwrap().findings, []);
        // An order of arrival without late events is cheap to compare, so it gets the borders of chapters.
        let borders: &[u64] =
            if seed == 1 { &[0, 1, CHAPTER - 1, CHAPTER + 1, 2 * CHAPTER, 2 * CHAPTER + 1_100] } else { &[CHAPTER] };
        for position in borders {
            compare(&store, *position, &mut numbers);
        }
        for _ in 0..2 {
            let position = numbers.below(2 * CHAPTER + 1_500);
            compare(&store, position, &mut numbers);
        }
        let now = Timestamp::from_millis(START + 30 * DAY);
        let _ = ledger.shred(&Shred::because("asked").project("p1"), now).unwrap();
        assert_eq!(ledger.verify().unwrap().findings, []);
        for table in [Table::History, Table::Chapters] {
            let has_name = |key: &Vec<u8>| key.windows(3).any(|name| name == b"p1\0");
            assert!(!rows(&*store.read().unwrap(), table, Order::Ascending).keys().any(has_name));
        }
        compare(&store, 2 * CHAPTER + 700, &mut numbers);
        let before =
            [Table::History, Table::Chapters].map(|table| rows(&*store.read().unwrap(), table, Order::Ascending));
        ledger.rebuild().unwrap();
        let after =
            [Table::History, Table::Chapters].map(|table| rows(&*store.read().unwrap(), table, Order::Ascending));
        assert!(before == after, "history after a rebuild");
    }
}
