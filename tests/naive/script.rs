//! Generates random lists of events close to all borders: quarters, hours, days, clock changes, windows.

use std::collections::BTreeMap;
use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use usage_ledger::event::{
    EventVoided, LimitSet, LimitSetting, NewEvent, Payload, Percent, ProviderDeclared, ProviderSwitched, QuotaObserved,
    SessionPolicy, TokensAmended, WeeklyPolicy, Weights,
};
use usage_ledger::{EventId, ProviderId, ReportKey, Timestamp, TokenRecord, Tokens};
use uuid::Uuid;

use super::Question;

const MINUTE: i64 = 60_000;
const QUARTER: i64 = 15 * MINUTE;

/// Times near which events cluster: clock changes, a skipped day, a new year, and an offset that is not a multiple of a
/// quarter of an hour.
const ANCHORS: [&str; 8] = [
    "2026-06-10T07:00:00Z",
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-11-01T06:00:00Z",
    "2026-04-04T15:00:00Z",
    "2027-01-01T00:00:00Z",
    "2011-12-30T10:00:00Z",
    "1971-06-01T00:00:00Z",
];

/// Zones with whole, half and quarter hours, clock changes of 60 and 30 minutes, and one with seconds until 1972.
pub const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "Africa/Monrovia",
];

const PROVIDERS: [&str; 3] = ["anthropic", "my-gateway", "ollama"];

/// The queried accounts, with and without records.
pub const ACCOUNTS: [(&str, Option<&str>); 5] =
    [("anthropic", None), ("anthropic", Some("work")), ("my-gateway", None), ("ollama", None), ("openai", None)];

/// An instant near one of a script's anchors.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    anchor: bool,
    quarters: i64,
    jitter: i64,
}

fn moment() -> impl Strategy<Value = Moment> {
    let near = -30..30_i64;
    let sessions = (-3..4_i64).prop_map(|n| 20 * n);
    let days = (-9..9_i64, -2..3_i64).prop_map(|(days, quarters)| 96 * days + quarters);
    let quarters = prop_oneof![4 => near, 4 => sessions, 1 => days];
    let jitter = prop_oneof![6 => Just(0), 1 => Just(1_i64), 1 => Just(-1_i64), 1 => 0..QUARTER];
    (any::<bool>(), quarters, jitter).prop_map(|(anchor, quarters, jitter)| Moment { anchor, quarters, jitter })
}

/// A query time: anywhere, or at, directly before or after an event, or at the end of its window.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Near(Moment),
    Event(usize, i64),
}

pub fn when() -> impl Strategy<Value = When> {
    let offset = select(vec![0, -1, 1, 300 * MINUTE, 300 * MINUTE + 1, 60 * MINUTE, QUARTER, 7 * 96 * QUARTER]);
    prop_oneof![moment().prop_map(When::Near), (any::<usize>(), offset).prop_map(|(n, by)| When::Event(n, by))]
}

#[derive(Clone, Debug)]
struct Call {
    account: usize,
    names: [Option<u8>; 5],
    counts: [Option<u16>; 7],
    cost: Option<u16>,
    /// How much later than the event its counts appeared, in milliseconds.
    counted: Option<i64>,
    keys: u8,
}

fn call() -> impl Strategy<Value = Call> {
    let counts = [option::weighted(0.3, 0..3_000_u16), option::weighted(0.7, 0..3_000_u16)];
    let [rare, common] = counts;
    let counts = [common.clone(), rare.clone(), rare.clone(), rare.clone(), rare.clone(), common, rare];
    let names: [_; 5] = std::array::from_fn(|_| option::weighted(0.6, 0..2_u8));
    let counted = option::weighted(0.3, prop_oneof![0..3_000_i64, 0..3 * QUARTER]);
    (0..4_usize, names, counts, option::weighted(0.3, any::<u16>()), counted, 0..3_u8)
        .prop_map(|(account, names, counts, cost, counted, keys)| Call { account, names, counts, cost, counted, keys })
}

impl Call {
    fn record(&self, number: usize, at: i64) -> TokenRecord {
        let (provider, account) = ACCOUNTS[self.account];
        let name = |index: usize, word: &str| self.names[index].map(|n| format!("{word}{n}"));
        let mut record = TokenRecord::new(provider, name(0, "model-").unwrap_or_default());
        record.account = account.map(str::to_owned);
        record.agent = name(1, "agent-");
        record.project = name(2, "project-");
        record.conversation = name(3, "conversation-");
        record.labels = name(4, "m").map(|value| ("mission".to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>();
        if self.keys > 0 {
            record.labels.insert("mode".to_owned(), "deep".to_owned());
        }
        let [input, cache_read, cache_write_5m, cache_write_1h, cache_write, output, reasoning] =
            self.counts.map(|count| count.map(u64::from));
        record.tokens = Tokens { input, cache_read, cache_write_5m, cache_write_1h, cache_write, output, reasoning };
        if self.counts.iter().all(Option::is_none) {
            record.tokens.output = Some(0); // a record needs one count
        }
        record.cost = self.cost.map(|cents| format!("{}.{:04}", cents % 3, cents).parse().unwrap());
        record.counted_at = self.counted.map(|later| Timestamp::from_millis(at + later));
        record.keys = (0..self.keys).map(|n| format!("key-{number}-{n}")).collect();
        record
    }
}

/// The content of a step. It refers to other events by index.
#[derive(Clone, Debug)]
enum What {
    Record(Call),
    Amend { target: usize, at: Option<Moment>, call: Call },
    Void { target: usize },
    Observe { account: usize, minutes: u32, resets_in: Option<(i64, i64)>, used: Option<u32> },
    Limit { account: usize, session: Option<u16>, weekly: Option<u16>, policies: Policies },
    Declare { account: usize, metered: bool },
    Switch { from: Option<usize>, to: usize },
}

#[derive(Clone, Debug)]
struct Policies {
    weights: Option<Vec<&'static str>>,
    session: Option<SessionPolicy>,
    weekly: Option<WeeklyPolicy>,
    unset: Vec<LimitSetting>,
}

fn session_policy() -> impl Strategy<Value = SessionPolicy> {
    let minutes = select(vec![15, 60, 300, 300, 301, 1_440, 10_080]);
    (0..3, minutes).prop_map(|(kind, minutes)| match kind {
        0 => SessionPolicy::FirstUse { minutes },
        1 => SessionPolicy::HourFloor { minutes },
        _ => SessionPolicy::Epoch { minutes },
    })
}

fn weekly_policy() -> impl Strategy<Value = WeeklyPolicy> {
    let calendar = (0..7_u8, 0..96_u16, select(ZONES.to_vec())).prop_map(|(weekday, quarter, zone)| {
        WeeklyPolicy::Calendar { weekday, minute: 15 * quarter, zone: zone.parse().unwrap() }
    });
    prop_oneof![calendar, Just(WeeklyPolicy::FirstUse)]
}

fn policies() -> impl Strategy<Value = Policies> {
    let weights = subsequence(vec!["cache_read=0.1", "cache_write=1.3", "output=2.5", "input=0"], 0..3);
    let unset = vec![
        LimitSetting::Session,
        LimitSetting::Weekly,
        LimitSetting::Weights,
        LimitSetting::SessionPolicy,
        LimitSetting::WeeklyPolicy,
    ];
    let weights = option::weighted(0.3, weights);
    let session = option::weighted(0.5, session_policy());
    let weekly = option::weighted(0.5, weekly_policy());
    (weights, session, weekly, prop_oneof![3 => Just(vec![]), 1 => subsequence(unset, 1..3)])
        .prop_map(|(weights, session, weekly, unset)| Policies { weights, session, weekly, unset })
}

fn what() -> impl Strategy<Value = What> {
    let target = || prop_oneof![9 => 0..12_usize, 1 => any::<usize>()];
    let limit = || option::weighted(0.6, 1..9_000_u16);
    let minutes = select(vec![300, 300, 300, 60, 45, 1_440, 10_080, 10_081, 43_200, 0]);
    let resets_in = option::weighted(0.9, (-4..44_i64, select(vec![0, 0, 1, -1, 1_000])));
    prop_oneof![
        10 => call().prop_map(What::Record),
        3 => (target(), option::weighted(0.3, moment()), call())
            .prop_map(|(target, at, call)| What::Amend { target, at, call }),
        4 => target().prop_map(|target| What::Void { target }),
        2 => (0..4_usize, minutes, resets_in, option::weighted(0.8, 0..=10_000_u32))
            .prop_map(|(account, minutes, resets_in, used)| What::Observe { account, minutes, resets_in, used }),
        2 => (0..4_usize, limit(), limit(), policies())
            .prop_map(|(account, session, weekly, policies)| What::Limit { account, session, weekly, policies }),
        1 => (0..4_usize, any::<bool>()).prop_map(|(account, metered)| What::Declare { account, metered }),
        1 => (option::of(0..3_usize), 0..3_usize).prop_map(|(from, to)| What::Switch { from, to }),
    ]
}

#[derive(Clone, Debug)]
struct Step {
    at: Moment,
    /// Ids sort by this first, so that rivals at one instant have any order.
    salt: u8,
    what: What,
}

/// A list of events to generate.
#[derive(Clone)]
pub struct Script {
    anchors: [usize; 2],
    steps: Vec<Step>,
}

impl fmt::Debug for Script {
    /// One line per event, which makes failures readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, event) in (1..).zip(self.events()) {
            let id = event.id.unwrap().to_string();
            let (head, tail) = (&id[..2], &id[34..]);
            write!(f, "\n  {position} {head}..{tail} {} {}", event.occurred_at, json(&event.payload))?;
        }
        Ok(())
    }
}

fn json(payload: &Payload) -> String {
    let kind = payload.kind();
    let data = match payload {
        Payload::TokensRecorded(data) => serde_json::to_string(data),
        Payload::TokensAmended(data) => serde_json::to_string(data),
        Payload::EventVoided(data) => serde_json::to_string(data),
        Payload::QuotaObserved(data) => serde_json::to_string(data),
        Payload::LimitSet(data) => serde_json::to_string(data),
        Payload::ProviderDeclared(data) => serde_json::to_string(data),
        Payload::ProviderSwitched(data) => serde_json::to_string(data),
        other => Ok(format!("{other:?}")),
    };
    format!("{kind} {}", data.unwrap())
}

pub fn script(most: usize) -> impl Strategy<Value = Script> {
    let step = (moment(), any::<u8>(), what()).prop_map(|(at, salt, what)| Step { at, salt, what });
    let anchor = || prop_oneof![3 => Just(0), 4 => 0..ANCHORS.len()];
    (anchor(), anchor(), vec(step, 0..=most)).prop_map(|(one, two, steps)| Script { anchors: [one, two], steps })
}

impl Script {
    fn resolve(&self, moment: Moment) -> i64 {
        let anchor: Timestamp = ANCHORS[self.anchors[usize::from(moment.anchor)]].parse().unwrap();
        anchor.millis() + moment.quarters * QUARTER + moment.jitter
    }

    /// The selected instant.
    pub fn instant(&self, when: When) -> i64 {
        match when {
            When::Near(moment) => self.resolve(moment),
            When::Event(_, offset) if self.steps.is_empty() => offset,
            When::Event(number, offset) => self.resolve(self.steps[number % self.steps.len()].at) + offset,
        }
    }

    fn id(&self, number: usize) -> EventId {
        let number = number % self.steps.len();
        EventId::from(Uuid::from_u128((u128::from(self.steps[number].salt) << 120) | (number as u128 + 1)))
    }

    /// The events, each with its own id.
    pub fn events(&self) -> Vec<NewEvent> {
        let event = |(number, step): (usize, &Step)| {
            NewEvent::new(self.payload(number, step), Timestamp::from_millis(self.resolve(step.at))).id(self.id(number))
        };
        self.steps.iter().enumerate().map(event).collect()
    }

    fn payload(&self, number: usize, step: &Step) -> Payload {
        let provider = |account: usize| ProviderId::new(ACCOUNTS[account].0).unwrap();
        let account = |account: usize| ACCOUNTS[account].1.map(str::to_owned);
        let at = Timestamp::from_millis;
        match &step.what {
            What::Record(call) => call.record(number, self.resolve(step.at)).into(),
            What::Amend { target, at: moved, call } => {
                let mut made =
                    TokensAmended::new(self.id(*target), "a test", call.record(number, self.resolve(step.at)));
                made.at = moved.map(|moment| at(self.resolve(moment)));
                made
            }
            .into(),
            What::Void { target } => EventVoided::new(self.id(*target), "a test").into(),
            What::Observe { account: of, minutes, resets_in, used } => {
                let mut made = QuotaObserved::new(provider(*of), *minutes, "statusline");
                made.account = account(*of);
                made.used_percent = used.map(Percent::from_hundredths);
                made.resets_at = resets_in.map(|(quarters, ms)| at(self.resolve(step.at) + quarters * QUARTER + ms));
                made
            }
            .into(),
            What::Limit { account: of, session, weekly, policies } => {
                let mut limit = LimitSet::new(provider(*of).as_str()).unwrap();
                limit.account = account(*of);
                limit.session = session.map(u64::from);
                limit.weekly = weekly.map(u64::from);
                limit.weights = policies.weights.clone().map(|pairs| Weights::parse(pairs).unwrap());
                limit.session_policy = policies.session;
                limit.weekly_policy = policies.weekly;
                limit.unset.clone_from(&policies.unset);
                if limit
                    == ({
                        let mut made = LimitSet::new(limit.provider.as_str()).unwrap();
                        made.account = limit.account.clone();
                        made
                    })
                {
                    limit.session = Some(1_000); // a limit event sets something
                }
                limit.into()
            }
            What::Declare { account: of, metered } => {
                let mut made = ProviderDeclared::new(provider(*of), *metered);
                made.account = account(*of);
                made
            }
            .into(),
            What::Switch { from, to } => {
                let mut switch = ProviderSwitched::to(PROVIDERS[*to]).unwrap();
                switch.from = from.map(|from| ProviderId::new(PROVIDERS[from]).unwrap());
                switch.into()
            }
        }
    }
}

/// A report on a script's ledger.
#[derive(Clone, Debug)]
pub struct ScriptReport {
    by: Vec<ReportKey>,
    since: Option<When>,
    until: Option<When>,
    zone: &'static str,
    only: Vec<(ReportKey, &'static str)>,
}

/// Every key of a report.
pub fn all_keys() -> Vec<ReportKey> {
    vec![
        ReportKey::Provider,
        ReportKey::Account,
        ReportKey::Model,
        ReportKey::Agent,
        ReportKey::Project,
        ReportKey::Conversation,
        ReportKey::Label("mission".into()),
        ReportKey::Label("mode".into()),
        ReportKey::Hour,
        ReportKey::Day,
        ReportKey::Week,
        ReportKey::Month,
        ReportKey::Window,
    ]
}

pub fn asked() -> impl Strategy<Value = ScriptReport> {
    let only = vec![
        (ReportKey::Provider, "anthropic"),
        (ReportKey::Provider, "ollama"),
        (ReportKey::Account, "work"),
        (ReportKey::Account, ""),
        (ReportKey::Model, "model-1"),
        (ReportKey::Agent, "agent-0"),
        (ReportKey::Project, "project-0"),
        (ReportKey::Project, "project-1"),
        (ReportKey::Conversation, "conversation-1"),
        (ReportKey::Label("mission".into()), "m0"),
        (ReportKey::Label("mode".into()), ""),
    ];
    let none_or_few = prop_oneof![2 => Just(vec![]), 1 => subsequence(only, 1..3)];
    let by = prop_oneof![
        4 => subsequence(all_keys(), 0..=4),
        // Windows have a separate code path only together with these keys.
        1 => subsequence(vec![ReportKey::Window, ReportKey::Provider, ReportKey::Account], 1..=3),
    ];
    let border = || option::weighted(0.4, when());
    (by.prop_shuffle(), border(), border(), select(ZONES.to_vec()), none_or_few)
        .prop_map(|(by, since, until, zone, only)| ScriptReport { by, since, until, zone, only })
}

impl Script {
    pub fn question(&self, asked: &ScriptReport) -> Question {
        Question {
            by: asked.by.clone(),
            since: asked.since.map(|when| self.instant(when)),
            until: asked.until.map(|when| self.instant(when)),
            zone: asked.zone,
            only: asked.only.clone(),
        }
    }
}
