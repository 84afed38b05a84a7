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
    /// A key of the ledger that the statement leaves out.
    LeftOut,
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
    /// The index of a model, and what is planted in one of its cells.
    pub plants: Vec<(usize, Vec<Plant>)>,
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
    /// The label with the key of all calls of the ledger, if they have one.
    key: Option<&'static str>,
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
            key: self.key.map(str::to_owned),
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
            Plant::LeftOut => {
                let mut call = one.0;
                call.key = Some("unlisted".to_owned());
                self.expect(day, &call, "another_key", -1);
                self.calls.push(call);
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

/// Factors of the list price. The last is that of a region with a price of 1.1.
const DISCOUNTS: [Decimal; 3] = [
    Decimal::from_parts(85, 0, 0, false, 2),
    Decimal::from_parts(9_275, 0, 0, false, 4),
    Decimal::from_parts(909_090_909, 0, 0, false, 9),
];

/// Plants that the comparison distinguishes in one cell.
const TOGETHER: [&[Plant]; 9] = [
    &[Plant::Telemetry, Plant::Background],
    &[Plant::Background, Plant::Border],
    &[Plant::Telemetry, Plant::Border],
    &[Plant::Key, Plant::LostLog],
    &[Plant::Key, Plant::Background],
    &[Plant::Key, Plant::Border],
    &[Plant::Lifetime, Plant::Telemetry],
    &[Plant::LeftOut, Plant::Telemetry],
    &[Plant::Key, Plant::LeftOut],
];

/// Whether two groups of plants of one case have evidence that tells them apart.
fn fits(group: &[Plant], planted: &[(usize, Vec<Plant>)], model: usize) -> bool {
    let is_machine = |plant: &Plant| matches!(plant, Plant::SilentMachine | Plant::NamedMachine);
    let has = |plants: &[Plant], wanted: &dyn Fn(&Plant) -> bool| plants.iter().any(wanted);
    let is_lost = |plant: &Plant| *plant == Plant::LostLog;
    planted.iter().all(|(of, other)| {
        // A lost log of a model that a silent machine used may be that machine's.
        let both = has(group, &is_machine) && has(other, &is_machine);
        let doubtful =
            (has(group, &is_machine) && has(other, &is_lost)) || (has(group, &is_lost) && has(other, &is_machine));
        !(both || (*of == model && doubtful))
    })
}

pub(super) fn case(seed: u64, shape: Shape) -> Case {
    make(seed, shape, None)
}

/// A case with one discrepancy, without a discount and repeated lines.
pub(super) fn case_with(seed: u64, shape: Shape, plant: Plant) -> Case {
    make(seed, shape, Some(plant))
}

fn make(seed: u64, shape: Shape, single: Option<Plant>) -> Case {
    let mut random = PlantRandom::new(seed);
    let discount =
        (shape.has_money() && single.is_none() && random.below(4) == 0).then(|| DISCOUNTS[random.below(3) as usize]);
    let has_keys = shape.plants().contains(&Plant::LeftOut) && (single == Some(Plant::LeftOut) || random.below(3) == 0);
    let mut builder = Builder {
        random,
        shape,
        factor: discount.unwrap_or(Decimal::ONE),
        calls: Vec::new(),
        billed: Vec::new(),
        expected: Expected::new(),
        serial: 0,
        key: has_keys.then_some("k"),
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
    let plants = match single {
        Some(plant) => {
            builder.plant(plant, 2, 0);
            vec![(0, vec![plant])]
        }
        None => builder.plant_groups(discount.is_some()),
    };
    let is_silent = plants.iter().flat_map(|(_, group)| group).any(|plant| *plant == Plant::SilentMachine);
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
    if !shape.has_models() {
        expected = of_all_models(expected);
    }
    let mut text = render(shape, &billed);
    let mut repeated = Vec::new();
    if shape.is_csv() && single.is_none() && random.below(6) == 0 {
        let copy = text.lines().nth(2).unwrap().to_owned();
        repeated.push(text.lines().count() as u64 + 1);
        text.push_str(&copy);
        text.push('\n');
    }
    calls.sort_by_key(|call| call.at);
    Case { calls, text, expected, repeated, plants, discount }
}

/// The parts of each day, without models.
fn of_all_models(expected: Expected) -> Expected {
    let mut sums = Expected::new();
    for ((day, _), parts) in expected {
        let of_day = sums.entry((day, String::new())).or_default();
        for (cause, counts) in parts {
            match of_day.iter_mut().find(|(kind, _)| *kind == cause) {
                Some((_, sum)) => sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
                None => of_day.push((cause, counts)),
            }
        }
    }
    sums
}

impl Builder {
    /// Plants a group in up to four cells, with a day between them.
    fn plant_groups(&mut self, is_discounted: bool) -> Vec<(usize, Vec<Plant>)> {
        let (shape, has_keys) = (self.shape, self.key.is_some());
        let possible = |plant: &Plant| {
            shape.plants().contains(plant)
                && (!is_discounted || *plant != Plant::Tier)
                && (has_keys || *plant != Plant::LeftOut)
                // A machine has a key of its own in the statement, and none in the ledger.
                && (!has_keys || *plant != Plant::NamedMachine)
        };
        let singles: Vec<&[Plant]> = shape.plants().chunks(1).filter(|plants| plants.iter().all(possible)).collect();
        let groups: Vec<&[Plant]> =
            TOGETHER.into_iter().filter(|plants| plants.iter().all(possible)).chain(singles).collect();
        let mut plants: Vec<(usize, Vec<Plant>)> = Vec::new();
        let models = if shape.has_models() { MODELS.len() } else { 1 };
        for (model, day) in (0..models).flat_map(|model| [(model, 1), (model, 3)]) {
            if groups.is_empty() || self.random.below(5) == 0 {
                continue;
            }
            let group = groups[self.random.below(groups.len() as u64) as usize].to_vec();
            if !fits(&group, &plants, model) {
                continue;
            }
            for plant in &group {
                self.plant(*plant, day, model);
            }
            plants.push((model, group));
        }
        plants
    }
}
