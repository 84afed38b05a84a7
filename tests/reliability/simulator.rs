//! Random histories of a ledger from seeds: operations of the public interface, clock jumps, zones, restarts and store
//! faults, compared with a naive model.
//!
//! `RELIABILITY_SEED` repeats a history, `RELIABILITY_HISTORIES` sets how many there are.

mod store;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use usage_ledger::event::NewEvent;
use usage_ledger::store::{EventStore, MemoryStore, SqliteStore};
use usage_ledger::{AsOf, Error, EventId, Ledger, Outcome, Position, Result, Timestamp, TokenRecord};

use crate::corpus::rng::Rng;
use crate::naive::script::{ACCOUNTS, Script, ScriptReport, When, asked, script, when};
use crate::naive::{Naive, answers};
use crate::{seeded, setting};
use store::{Fault, Faults, Faulty};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// Branches of a history besides faults. Each occurs at least once in a run.
const BRANCHES: [&str; 20] = [
    "appended",
    "known already",
    "conflict",
    "not found",
    "voided",
    "clock forward",
    "clock back",
    "restart",
    "rebuild",
    "report",
    "status",
    "account",
    "as of a position",
    "as of a time",
    "proof",
    "verify",
    "write failed, nothing written",
    "write failed, and was written",
    "read failed",
    "read met no fault",
];

/// The store of a ledger between restarts.
enum Place {
    Memory(MemoryStore),
    File(tempfile::TempDir),
}

impl Place {
    fn open(&self, faults: &Faults) -> Ledger {
        let inner: Box<dyn EventStore> = match self {
            Self::Memory(store) => Box::new(store.clone()),
            Self::File(dir) => Box::new(SqliteStore::open(&dir.path().join("usage.db")).unwrap()),
        };
        Ledger::with_store(Box::new(Faulty::new(inner, faults.clone())))
    }
}

/// One history.
struct History {
    place: Place,
    ledger: Option<Ledger>,
    faults: Faults,
    rng: Rng,
    script: Script,
    questions: Vec<ScriptReport>,
    times: Vec<When>,
    /// Events of the script that are not appended yet.
    coming: VecDeque<NewEvent>,
    /// The expected log, with the time at which each event was recorded.
    log: Vec<NewEvent>,
    recorded: Vec<Timestamp>,
    clock: Timestamp,
    branches: BTreeMap<&'static str, u64>,
}

fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

impl History {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let script = drawn(&script(40), &mut runner);
        let questions = (0..6).map(|_| drawn(&asked(), &mut runner)).collect();
        let times = (0..4).map(|_| drawn(&when(), &mut runner)).collect();
        let (faults, mut rng) = (Faults::default(), Rng::new(seed));
        let place =
            if rng.chance(300) { Place::File(tempfile::tempdir().unwrap()) } else { Place::Memory(MemoryStore::new()) };
        let coming = script.events().into();
        let clock = "2026-11-23T20:00:00Z".parse().unwrap();
        let ledger = Some(place.open(&faults));
        let (log, recorded, branches) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { place, ledger, faults, rng, script, questions, times, coming, log, recorded, clock, branches }
    }

    fn ledger(&mut self) -> &Ledger {
        self.ledger.as_mut().unwrap()
    }

    fn reach(&mut self, branch: &'static str) {
        *self.branches.entry(branch).or_default() += 1;
    }

    /// Arms a fault occasionally.
    fn arm(&mut self) -> Option<Fault> {
        if !self.rng.chance(400) {
            return None;
        }
        let fault = Fault::ALL[self.rng.index(Fault::ALL.len())];
        let after = if self.rng.chance(500) { 0 } else { self.rng.between(0, 12) };
        self.faults.arm(fault, after);
        Some(fault)
    }

    /// Adds events to the model that are in the log and not in the model yet.
    fn catch_up(&mut self, before: usize) {
        let clock = self.clock;
        let ledger = self.ledger.as_mut().unwrap();
        let head = usize::try_from(ledger.head().unwrap().position.get()).unwrap();
        for position in before + 1..=head {
            let event = ledger.event(position as u64).unwrap();
            let expected = self.recorded.last().copied().unwrap_or(clock).max(clock);
            assert_eq!(event.recorded_at, expected, "when position {position} was recorded");
            self.recorded.push(event.recorded_at);
            self.log.push(NewEvent::new(event.payload, event.occurred_at).id(event.id));
        }
    }

    /// A write, possibly with a fault; repeated until it succeeds.
    fn write<T: Debug>(&mut self, mut work: impl FnMut(&Ledger, Timestamp) -> Result<T>) -> Result<T> {
        let before = self.log.len();
        let fault = self.arm();
        let now = self.clock;
        let done = work(self.ledger(), now);
        let hit = self.faults.disarm();
        if !hit {
            if done.is_ok() {
                self.catch_up(before);
            }
            return done;
        }
        assert!(done.is_err(), "{fault:?} came, and the write says {done:?}");
        let head = usize::try_from(self.ledger().head().unwrap().position.get()).unwrap();
        if fault == Some(Fault::CommitDone) && head > before {
            self.reach("write failed, and was written");
            self.catch_up(before);
        } else {
            assert_eq!(head, before, "a write failed and left events");
            self.reach("write failed, nothing written");
        }
        assert!(self.ledger().verify().unwrap().ok);
        let written = self.log.len();
        let again = work(self.ledger(), now);
        if again.is_ok() {
            self.catch_up(written);
        }
        again
    }

    fn append(&mut self) {
        let count = usize::try_from(self.rng.between(1, 6)).unwrap().min(self.coming.len());
        let mut events: Vec<NewEvent> = self.coming.drain(..count).collect();
        if !self.log.is_empty() && self.rng.chance(200) {
            let place = self.rng.index(self.log.len());
            events.push(self.log[place].clone());
            self.reach("known already");
        }
        if events.is_empty() {
            return;
        }
        let before = self.log.len();
        self.write(|ledger, now| ledger.append(events.clone(), now)).unwrap();
        self.reach("appended");
        assert_eq!(self.log.len(), before + count, "events appended");
        for (event, logged) in events.iter().zip(&self.log[before..]) {
            assert_eq!((event.id, &event.payload, event.occurred_at), (logged.id, &logged.payload, logged.occurred_at));
        }
        let ids: Vec<EventId> = events.iter().map(|event| event.id.unwrap()).collect();
        let positions: Vec<Position> = {
            let snapshot = self.ledger().snapshot().unwrap();
            ids.iter().map(|id| snapshot.position(*id).unwrap()).collect()
        };
        for (id, position) in ids.iter().zip(positions) {
            let place = self.log.iter().position(|event| event.id == Some(*id)).unwrap();
            assert_eq!(position.get(), place as u64 + 1);
        }
    }

    fn some_event(&mut self) -> Option<NewEvent> {
        if self.log.is_empty() {
            return None;
        }
        let place = self.rng.index(self.log.len());
        Some(self.log[place].clone())
    }

    fn mistake(&mut self) {
        let Some(event) = self.some_event() else { return };
        let before = self.log.len();
        let other = TokenRecord::new("anthropic", "another content").input(123_456_789);
        let conflict = NewEvent::new(other, event.occurred_at).id(event.id.unwrap());
        let refused = self.write(|ledger, now| ledger.append([conflict.clone()], now));
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
        self.reach("conflict");
        let unknown = EventId::from_key("anthropic", "no such call");
        let refused = self.write(|ledger, now| ledger.void(unknown, "a test", now));
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
        self.reach("not found");
        assert_eq!(self.log.len(), before, "a mistake writes nothing");
    }

    fn void(&mut self) {
        let Some(event) = self.some_event() else { return };
        let before = self.log.len();
        let done = self.write(|ledger, now| ledger.void(event.id.unwrap(), "a test", now)).unwrap();
        match done {
            Outcome::Appended { position, .. } => assert_eq!(position.get(), before as u64 + 1),
            Outcome::Existing { .. } => {}
        }
        self.reach("voided");
    }

    fn jump(&mut self) {
        let far = self.rng.millis(0, 400) * DAY;
        let near = self.rng.millis(0, 2 * 86_400_000);
        match self.rng.index(4) {
            0 => self.clock = self.clock.plus(far),
            1 => self.clock = self.clock.plus(near),
            2 => self.clock = self.clock.plus(-far),
            _ => self.clock = self.clock.plus(-1),
        }
        let back = self.recorded.last().is_some_and(|last| self.clock < *last);
        self.reach(if back { "clock back" } else { "clock forward" });
    }

    fn restart(&mut self) {
        drop(self.ledger.take());
        self.ledger = Some(self.place.open(&self.faults));
        self.reach("restart");
    }

    /// A query, run once without faults, and once possibly with one.
    fn ask<T: Debug + PartialEq>(&mut self, ask: impl Fn(&Ledger) -> Result<T>) -> T {
        let right = ask(self.ledger()).unwrap();
        let fault = self.arm();
        let answer = ask(self.ledger());
        if self.faults.disarm() {
            // A failed read may only affect a cache; a successful answer must be the same.
            assert!(answer.as_ref().map_or(true, |answer| *answer == right), "{fault:?} made of {right:?}: {answer:?}");
            self.reach(if answer.is_err() { "read failed" } else { "read met no fault" });
        } else {
            assert_eq!(answer.unwrap(), right, "the same question has two answers");
            self.reach("read met no fault");
        }
        right
    }

    fn question(&mut self) {
        let place = self.rng.index(self.questions.len());
        let question = self.script.question(&self.questions[place].clone());
        self.ask(|ledger| ledger.report(&question.report()));
        let snapshot = self.ledger.as_mut().unwrap().snapshot().unwrap();
        assert_eq!(answers::report(&snapshot, &question), Naive::new(&self.log).report(&question), "{question:?}");
        drop(snapshot);
        self.reach("report");
    }

    fn status(&mut self) {
        let place = self.rng.index(self.times.len());
        let now = self.script.instant(self.times[place]);
        let account = ACCOUNTS[self.rng.index(ACCOUNTS.len())];
        self.ask(|ledger| ledger.status(Timestamp::from_millis(now)));
        self.ask(|ledger| match ledger.budget(account.0, Timestamp::from_millis(now)) {
            // Nothing has named this provider yet, so no answer opens its gate.
            Err(Error::UnknownProvider { .. }) => Ok(None),
            other => other.map(Some),
        });
        let snapshot = self.ledger.as_mut().unwrap().snapshot().unwrap();
        let model = Naive::new(&self.log);
        assert_eq!(answers::status(&snapshot, now), model.status(now), "status at {now}");
        assert_eq!(answers::account(&snapshot, account, now), model.account(account, now), "{account:?} at {now}");
        drop(snapshot);
        self.reach("status");
        self.reach("account");
    }

    fn past(&mut self) {
        let place = self.rng.index(self.questions.len());
        let question = self.script.question(&self.questions[place].clone());
        let size = self.rng.index(self.log.len() + 1);
        let at = AsOf::Position(Position::new(size as u64));
        self.ask(|ledger| ledger.as_of(at)?.report(&question.report()));
        let model = Naive::new(&self.log[..size]);
        let past = self.ledger.as_mut().unwrap().as_of(at).unwrap();
        assert_eq!(answers::report(&past, &question), model.report(&question), "as of {size}: {question:?}");
        drop(past);
        self.reach("as of a position");

        let Some(last) = self.recorded.last().copied() else { return };
        let time = last.plus(-self.rng.millis(0, 86_400_000 * 30));
        let known = self.recorded.partition_point(|recorded| *recorded <= time);
        let past = self.ledger.as_mut().unwrap().as_of(AsOf::Time(time)).unwrap();
        assert_eq!(past.head().unwrap().position.get(), known as u64, "as of {time}");
        drop(past);
        self.reach("as of a time");
    }

    fn prove(&mut self) {
        if self.log.is_empty() {
            return;
        }
        let position = Position::new(self.rng.between(1, self.log.len() as u64));
        self.ask(|ledger| ledger.root());
        let snapshot = self.ledger().snapshot().unwrap();
        let proof = snapshot.prove_inclusion(position, None).unwrap();
        proof.verify(&snapshot.leaf(position).unwrap(), &snapshot.root().unwrap()).unwrap();
        drop(snapshot);
        self.reach("proof");
    }

    fn audit(&mut self) {
        let verified = self.ask(|ledger| ledger.verify());
        assert!(verified.ok && verified.size == self.log.len() as u64, "{:?}", verified.findings);
        self.reach("verify");
        if self.rng.chance(500) {
            let root = self.ledger().root().unwrap();
            self.write(|ledger, _| ledger.rebuild()).unwrap();
            assert_eq!(self.ledger().root().unwrap(), root);
            self.reach("rebuild");
        }
    }

    fn step(&mut self) {
        match self.rng.index(16) {
            0..=4 => self.append(),
            5 => self.mistake(),
            6 => self.void(),
            7 | 8 => self.jump(),
            9 => self.restart(),
            10 | 11 => self.question(),
            12 => self.status(),
            13 => self.past(),
            14 => self.prove(),
            _ => self.audit(),
        }
    }
}

#[test]
fn random_histories_equal_the_model() {
    let (seed, _) = seeded("simulator");
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    let histories = setting("RELIABILITY_HISTORIES", 150);
    for number in 0..histories {
        let own = seed.wrapping_add(number);
        let mut history = History::new(own);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..30 {
                history.step();
            }
            history.audit();
        }));
        if let Err(panic) = done {
            eprintln!(
                "history {number}: RELIABILITY_SEED={own} RELIABILITY_HISTORIES=1 repeats it\n{:?}",
                history.script
            );
            std::panic::resume_unwind(panic);
        }
        for (branch, count) in &history.branches {
            *reached.entry((*branch).to_owned()).or_default() += count;
        }
        for (fault, count) in history.faults.reached() {
            *reached.entry(format!("{fault:?}")).or_default() += count;
        }
    }
    eprintln!("{histories} histories: {reached:?}");
    if histories < 50 {
        return; // one history cannot meet everything
    }
    let expected =
        BRANCHES.iter().map(|branch| (*branch).to_owned()).chain(Fault::ALL.map(|fault| format!("{fault:?}")));
    let missing: Vec<String> = expected.filter(|branch| !reached.contains_key(branch)).collect();
    assert!(missing.is_empty(), "no history reaches {missing:?}");
}
