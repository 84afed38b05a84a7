//! Compares reports from projections with the same reports from single records.

use super::pricing::PriceCache;
use super::{Report, ReportKey, records, table};
use crate::event::{NewEvent, PriceSet, TokensAmended};
use crate::ledger::{AsOf, Ledger, Shred, Snapshot};
use crate::model::time::{HOUR, MINUTE, QUARTER};
use crate::store::MemoryStore;
use crate::{EventId, Timestamp, TokenRecord};

const START: i64 = 1_780_000_000_000;

/// Random numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

fn call(random: &mut Random, number: u64) -> TokenRecord {
    let models =
        [("anthropic", "claude-opus-4-5"), ("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-5"), ("ollama", "q")];
    let (provider, model) = *random.pick(&models);
    let mut record = TokenRecord::new(provider, model)
        .input(random.below(400_000))
        .output(random.below(900))
        .cache_read(random.below(300_000))
        .project(format!("/src/{}", random.below(3)))
        .conversation(format!("c{}", random.below(40)))
        .key(number.to_string());
    if random.below(4) == 0 {
        record = record.account("team");
    }
    if random.below(3) > 0 {
        record = record.label("team", *random.pick(&["a", "b"]));
    }
    if random.below(3) == 0 {
        // Often in the same quarter of an hour as the call, or before the call.
        record.counted_at = Some(Timestamp::from_millis(START + random.below(30 * MINUTE as u64) as i64));
    }
    record
}

/// A ledger of several blocks whose calls arrive out of order, with corrections before and after their targets.
fn ledger(seed: u64) -> Ledger {
    let mut random = Random(seed);
    let ledger = Ledger::with_store(Box::new(MemoryStore::new()));
    let now = Timestamp::from_millis(START + 200 * HOUR);
    let price = PriceSet::new("openai", "gpt-5", "1".parse().unwrap(), "2".parse().unwrap()).unwrap();
    ledger.set_price(price, Timestamp::from_millis(START.div_euclid(QUARTER) * QUARTER + 5 * HOUR)).unwrap();
    let mut number = 0;
    while number < 2_300 {
        let mut batch = Vec::new();
        for _ in 0..=random.below(700) {
            // Dense and sparse times, in random order.
            let spread = *random.pick(&[20 * MINUTE, 9 * HOUR, 90 * HOUR]) as u64;
            let at = Timestamp::from_millis(START + random.below(spread) as i64);
            batch.push(NewEvent::new(call(&mut random, number), at));
            number += 1;
            if random.below(12) == 0 {
                // The target exists already or arrives later.
                let target = EventId::from_key(
                    random.pick::<&str>(&["anthropic", "openai", "ollama"]),
                    &random.below(number + 40).to_string(),
                );
                let event = if random.below(3) == 0 {
                    NewEvent::new(crate::event::EventVoided { target, reason: "twice".to_owned() }, at)
                } else {
                    let moved = random.below(2) == 0;
                    let amend = TokensAmended {
                        target,
                        reason: "better".to_owned(),
                        at: moved.then(|| Timestamp::from_millis(START + random.below(spread) as i64)),
                        replacement: call(&mut random, 1_000_000 + number),
                    };
                    NewEvent::new(amend, at)
                };
                batch.push(event);
            }
        }
        ledger.append(batch, now).unwrap();
    }
    ledger
}

fn report(random: &mut Random) -> Report {
    let keys = [
        ReportKey::Provider,
        ReportKey::Account,
        ReportKey::Model,
        ReportKey::Project,
        ReportKey::Conversation,
        ReportKey::Label("team".to_owned()),
        ReportKey::Team,
        ReportKey::Hour,
        ReportKey::Day,
        ReportKey::Window,
    ];
    let mut by = vec![random.pick(&keys).clone()];
    let second = random.pick(&keys).clone();
    if !by.contains(&second) {
        by.push(second);
    }
    let zone = random.pick(&["UTC", "Asia/Kathmandu", "Europe/Paris"]).parse().unwrap();
    let mut report = Report::by_all(by).tz(zone);
    let from = random.below(90 * HOUR as u64) as i64;
    if random.below(3) > 0 {
        report = report.since(Timestamp::from_millis(START + from));
    }
    if random.below(3) > 0 {
        let length = *random.pick(&[MINUTE, 20 * MINUTE, 30 * HOUR]);
        report = report.until(Timestamp::from_millis(START + from + random.below(length as u64) as i64));
    }
    if random.below(3) == 0 {
        report = report.only(ReportKey::Project, "/src/1").unwrap();
    }
    if random.below(4) == 0 {
        report = report.only(ReportKey::Provider, "anthropic").unwrap();
    }
    report
}

fn from_records(snapshot: &Snapshot<'_>, report: &Report) -> table::ReportTable {
    let prices = snapshot.prices().unwrap();
    let costs = PriceCache::new(&prices);
    let mut rows = table::TableBuilder::default();
    records::all(snapshot, report, &costs, &mut rows).unwrap();
    rows.finish(report, snapshot.head().unwrap().position, snapshot.root().unwrap(), prices.source()).unwrap()
}

#[test]
fn answers_from_projections_equal_those_from_every_record() {
    for seed in 1..=2 {
        let ledger = ledger(seed);
        let mut random = Random(seed * 77);
        let head = ledger.head().unwrap().position.get();
        let mut compare = |ledger: &Ledger, at: u64| {
            let snapshot = ledger.as_of(AsOf::Position(at.into())).unwrap();
            for _ in 0..10 {
                let report = report(&mut random);
                assert_eq!(
                    snapshot.report(&report).unwrap(),
                    from_records(&snapshot, &report),
                    "seed {seed}: {report:?}"
                );
                #[cfg(feature = "cli")]
                sums::compare(&snapshot, report, seed);
            }
        };
        compare(&ledger, head);
        compare(&ledger, 1_900);
        assert_eq!(ledger.verify().unwrap().findings, [], "seed {seed}");
        let now = Timestamp::from_millis(START + 300 * HOUR);
        assert!(!ledger.shred(&Shred::because("asked").project("/src/1"), now).unwrap().events.is_empty());
        assert_eq!(ledger.verify().unwrap().findings, [], "seed {seed}, shredded");
        let head = ledger.head().unwrap().position.get();
        compare(&ledger, head);
    }
}

/// Sums of calls, which only the command reads.
#[cfg(feature = "cli")]
mod sums {
    use std::collections::BTreeMap;

    use crate::Timestamp;
    use crate::ledger::Snapshot;
    use crate::model::event::TokenView;
    use crate::model::tokens::Usd;
    use crate::projection::{Series, Totals};
    use crate::report::{CallSum, PricedCall, Report};

    /// The calls with the same names: first and last time, first time of a call, sums and cost.
    type SumOfNames = (Timestamp, Timestamp, Timestamp, Totals, Usd, bool);

    /// Sums by names, from single records or from sums of blocks.
    fn sums_of_names(snapshot: &Snapshot<'_>, report: &Report, from_blocks: bool) -> BTreeMap<String, SumOfNames> {
        let mut all: BTreeMap<String, SumOfNames> = BTreeMap::new();
        let mut add = |series: &Series<'_>, (first, last, made, totals, cost, unpriced): SumOfNames| {
            let names = format!("{:?}", Series { tariff: None, ..series.clone() });
            let none = (Timestamp::MAX, Timestamp::MIN, Timestamp::MAX, Totals::default(), Usd::default(), false);
            let sum = all.entry(names).or_insert(none);
            *sum = (sum.0.min(first), sum.1.max(last), sum.2.min(made), sum.3, sum.4, sum.5 || unpriced);
            sum.3.add(&totals).unwrap();
            sum.4 = sum.4.checked_add(cost).unwrap();
            Ok(())
        };
        if from_blocks {
            let each = &mut |sum: &CallSum<'_>| {
                add(sum.series, (sum.first, sum.last, sum.made, sum.totals, sum.cost, sum.unpriced))
            };
            report.each_sum(snapshot, each).unwrap();
        } else {
            let each = &mut |call: &PricedCall<'_>| {
                let view = TokenView::from(call.record);
                let totals = Totals::one(&view.tokens, view.cost);
                let cost = call.cost.unwrap_or_default();
                add(&Series::of(&view), (call.at, call.at, call.made, totals, cost, call.cost.is_none()))
            };
            report.each_call(snapshot, each).unwrap();
        }
        all
    }

    /// Compares both, with calls dated by either time.
    pub fn compare(snapshot: &Snapshot<'_>, report: Report, seed: u64) {
        for report in [report.clone().by_counted_at(), report] {
            let sums = sums_of_names(snapshot, &report, true);
            assert_eq!(sums, sums_of_names(snapshot, &report, false), "seed {seed}: {report:?}");
        }
    }
}
