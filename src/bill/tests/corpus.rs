//! A corpus of calls with known truth, and discrepancies that are planted in it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::render::{Shape, render};
use crate::bill::{LedgerCall, model_key};
use crate::model::event::EventId;
use crate::model::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::model::tokens::Usd;

pub(super) const FIRST_DAY: i64 = 20_574;
pub(super) const DAYS: i64 = 6;
const MODELS: [&str; 2] = ["claude-sonnet-4-5", "claude-haiku-4-5"];

pub(super) struct PlantRandom(u64);

impl PlantRandom {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A discrepancy between ledger and statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plant {
    LostLog,
    /// A machine that the ledger knows and that has not pushed since.
    SilentMachine,
    /// A machine that the statement names.
    NamedMachine,
    Background,
    Telemetry,
    Border,
    Key,
    Lifetime,
    Tier,
}

/// A call as the provider bills it.
#[derive(Clone)]
pub(super) struct Billed {
    pub call: LedgerCall,
    pub at: Timestamp,
    pub id: String,
    pub key: &'static str,
    pub tier: &'static str,
    pub factor: Decimal,
}

/// Expected parts of the difference of a cell: the kind of cause, and the tokens of the seven classes.
pub(super) type Expected = BTreeMap<(i64, String), Vec<(&'static str, [i128; 7])>>;

/// One case: the ledger's calls, the statement's text, and the truth.
pub(super) struct Case {
    pub calls: Vec<LedgerCall>,
    pub text: String,
    pub expected: Expected,
    pub repeated: Vec<u64>,
    pub plants: Vec<Vec<Plant>>,
    pub discount: Option<Decimal>,
}

struct Builder {
    random: PlantRandom,
    shape: Shape,
    factor: Decimal,
    calls: Vec<LedgerCall>,
    billed: Vec<Billed>,
    expected: Expected,
    serial: u64,
}

impl Builder {
    fn at(&mut self, day: i64) -> Timestamp {
        let hour = 2 + self.random.below(19) as i64;
        Timestamp::from_millis((FIRST_DAY + day) * DAY + hour * HOUR + self.random.below(3_000_000) as i64)
    }

    fn call(&mut self, at: Timestamp, model: usize) -> (LedgerCall, String) {
        let model = MODELS[model];
        let mut counts = [0; 7];
        for class in self.shape.classes() {
            counts[*class] = 1 + self.random.below(9_000);
        }
        let sum: u64 = counts.iter().sum();
        self.serial += 1;
        let id = format!("req-{}", self.serial);
        let provider = self.shape.provider();
        let call = LedgerCall {
            at,
            provider: provider.to_owned(),
            model: model.to_owned(),
            model_key: model_key(model),
            counts,
            cost: Some(Usd::from_picos(i128::from(sum) * 300_000_000)),
            ids: vec![EventId::from_key(provider, &id)],
            ..LedgerCall::default()
        };
        (call, id)
    }

    fn bill(&mut self, (call, id): &(LedgerCall, String), at: Timestamp, key: &'static str) {
        self.billed.push(Billed { call: call.clone(), at, id: id.clone(), key, tier: "", factor: self.factor });
    }

    fn expect(&mut self, day: i64, call: &LedgerCall, cause: &'static str, sign: i128) {
        let counts = call.counts.map(|count| sign * i128::from(count));
        let parts = self.expected.entry((FIRST_DAY + day, call.model_key.clone())).or_default();
        match parts.iter_mut().find(|(kind, _)| *kind == cause) {
            Some((_, sum)) => sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            None => parts.push((cause, counts)),
        }
    }

    fn plant(&mut self, plant: Plant, day: i64, model: usize) {
        let at = self.at(day);
        let one = self.call(at, model);
        match plant {
            Plant::LostLog => {
                self.bill(&one, at, "k");
                self.expect(day, &one.0, "unknown", 1);
            }
            Plant::Key => {
                self.bill(&one, at, "other");
                self.expect(day, &one.0, "another_key", 1);
            }
            Plant::NamedMachine => {
                // The ledger knows the machine from an earlier call, which the statement names too.
                let early = self.at(0);
                let (mut old, id) = self.call(early, model);
                old.machine = Some("laptop".to_owned());
                self.bill(&(old.clone(), id), early, "laptop");
                self.calls.push(old);
                self.bill(&one, at, "laptop");
                self.expect(day, &one.0, "another_machine", 1);
            }
            Plant::SilentMachine => {
                // It used the model more on the first day, and those calls are in the ledger.
                for _ in 0..3 {
                    let at = self.at(0);
                    let (mut old, id) = self.call(at, model);
                    old.counts = old.counts.map(|count| if count > 0 { count + 9_000 } else { 0 });
                    old.cost = Some(Usd::from_picos(i128::from(old.counts.iter().sum::<u64>()) * 300_000_000));
                    old.machine = Some("desktop".to_owned());
                    self.bill(&(old.clone(), id), at, "k");
                    self.calls.push(old);
                }
                self.bill(&one, at, "k");
                self.expect(day, &one.0, "another_machine", 1);
            }
            Plant::Background | Plant::Telemetry => {
                let mut call = one.0;
                call.purpose = (plant == Plant::Background).then(|| "title".to_owned());
                call.only_telemetry = plant == Plant::Telemetry;
                let cause = if plant == Plant::Background { "background_call" } else { "only_in_telemetry" };
                self.expect(day, &call, cause, -1);
                self.calls.push(call);
            }
            Plant::Border => {
                // The log dates the call before midnight, the provider bills it behind.
                let night = (FIRST_DAY + day + 1) * DAY;
                let mut call = one;
                call.0.at = Timestamp::from_millis(night - MINUTE);
                self.bill(&call, Timestamp::from_millis(night + MINUTE), "k");
                if !self.shape.has_ids() {
                    self.expect(day, &call.0, "day_border", -1);
                    self.expect(day + 1, &call.0, "day_border", 1);
                }
                self.calls.push(call.0);
            }
            Plant::Lifetime => {
                let mut billed = one.clone();
                billed.0.counts[3] += billed.0.counts[2];
                billed.0.counts[2] = 0;
                self.bill(&billed, at, "k");
                let moved = i128::from(one.0.counts[2]);
                let parts = self.expected.entry((FIRST_DAY + day, one.0.model_key.clone())).or_default();
                parts.push(("cache_write_lifetime", [0, 0, -moved, moved, 0, 0, 0]));
                self.calls.push(one.0);
            }
            Plant::Tier => {
                self.bill(&one, at, "k");
                let last = self.billed.last_mut().unwrap();
                (last.tier, last.factor) = ("batch", Decimal::new(5, 1));
                self.expect(day, &one.0, "tier", 0);
                self.calls.push(one.0);
            }
        }
    }
}

/// Plants that the comparison distinguishes in one cell.
const TOGETHER: [&[Plant]; 7] = [
    &[Plant::Telemetry, Plant::Background],
    &[Plant::Background, Plant::Border],
    &[Plant::Telemetry, Plant::Border],
    &[Plant::Key, Plant::LostLog],
    &[Plant::Key, Plant::Background],
    &[Plant::Key, Plant::Border],
    &[Plant::Lifetime, Plant::Telemetry],
];

pub(super) fn case(seed: u64, shape: Shape) -> Case {
    let mut random = PlantRandom::new(seed);
    let discount = (shape.has_money() && random.below(4) == 0).then(|| Decimal::new(85, 2));
    let mut builder = Builder {
        random,
        shape,
        factor: discount.unwrap_or(Decimal::ONE),
        calls: Vec::new(),
        billed: Vec::new(),
        expected: Expected::new(),
        serial: 0,
    };
    for day in 0..DAYS {
        for model in 0..MODELS.len() {
            for _ in 0..2 + builder.random.below(3) {
                let at = builder.at(day);
                let one = builder.call(at, model);
                builder.bill(&one, at, "k");
                builder.calls.push(one.0);
            }
        }
    }
    // Up to two groups of plants, one for each model, in a cell between the first and the last days.
    let possible = |plant: &Plant| shape.plants().contains(plant) && (discount.is_none() || *plant != Plant::Tier);
    let singles: Vec<&[Plant]> = shape.plants().chunks(1).filter(|plants| plants.iter().all(possible)).collect();
    let groups: Vec<&[Plant]> =
        TOGETHER.into_iter().filter(|plants| plants.iter().all(possible)).chain(singles).collect();
    let mut plants: Vec<Vec<Plant>> = Vec::new();
    for model in 0..MODELS.len() {
        if !groups.is_empty() && builder.random.below(5) > 0 {
            let group = groups[builder.random.below(groups.len() as u64) as usize].to_vec();
            let is_machine = |plant: &Plant| matches!(plant, Plant::SilentMachine | Plant::NamedMachine);
            if group.iter().any(is_machine) && plants.iter().flatten().any(is_machine) {
                continue;
            }
            let day = 2 + builder.random.below(2) as i64;
            for plant in &group {
                builder.plant(*plant, day, model);
            }
            plants.push(group);
        }
    }
    let is_silent = plants.iter().flatten().any(|plant| *plant == Plant::SilentMachine);
    let Builder { mut random, mut calls, billed, mut expected, .. } = builder;
    if discount.is_some() {
        for one in &billed {
            let cell = (one.at.millis() / DAY, one.call.model_key.clone());
            expected.entry(cell).or_default();
        }
        // The money of calls that the ledger does not have is not known, so a discount beside it cannot be.
        let is_unknown = |cause: &str| cause == "unknown" || (cause == "another_machine" && is_silent);
        for parts in expected.values_mut() {
            if !parts.iter().any(|(cause, _)| is_unknown(cause)) {
                parts.push(("price", [0; 7]));
            }
        }
    }
    let mut text = render(shape, &billed);
    let mut repeated = Vec::new();
    if shape.is_csv() && random.below(6) == 0 {
        let copy = text.lines().nth(2).unwrap().to_owned();
        repeated.push(text.lines().count() as u64 + 1);
        text.push_str(&copy);
        text.push('\n');
    }
    calls.sort_by_key(|call| call.at);
    Case { calls, text, expected, repeated, plants, discount }
}
