//! A valid ledger file with every kind of event, and copies of it to damage.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;
use usage_ledger::event::{
    EventVoided, Imported, ImportedFile, LimitSet, NewEvent, ProviderSwitched, QuotaObserved, TokensAmended,
};
use usage_ledger::store::{EventStore, GO_ON, MemoryStore, Order, Table};
use usage_ledger::{EventId, Finding, Ledger, ProviderId, Result, Timestamp, TokenRecord, Verification};
use uuid::Uuid;

/// The projections that `verify` checks, and the tree.
pub const FOLDED: [Table; 12] = [
    Table::ByModel,
    Table::ByProject,
    Table::ByConversation,
    Table::ByLabel,
    Table::UsageInstants,
    Table::SessionStarts,
    Table::EventIndex,
    Table::Corrections,
    Table::Keys,
    Table::Files,
    Table::Conversations,
    Table::Accounts,
];

pub fn start() -> Timestamp {
    "2026-06-10T07:00:00Z".parse().unwrap()
}

pub fn id(n: i64) -> EventId {
    EventId::from(Uuid::from_u128(u128::from(n.unsigned_abs())))
}

/// Events of every kind that changes a projection; the `n`th has id `n` and position `n`.
pub fn events() -> Vec<NewEvent> {
    const MINUTE: i64 = 60_000;
    let mut events: Vec<NewEvent> = Vec::new();
    for n in 0..70_i64 {
        let mut record = TokenRecord::new(["anthropic", "openai"][usize::from(n % 5 == 0)], format!("m{}", n % 2));
        record = record.input(100 + n.unsigned_abs()).output(7).project(format!("p{}", n % 3));
        record.account = (n % 7 == 0).then(|| "work".to_owned());
        record.conversation = Some(format!("c{}", n / 20));
        if n % 6 == 0 {
            record = record.key(format!("message-{n}")).key(format!("request-{n}")).cost("0.25".parse().unwrap());
        }
        // Some an hour apart and some days, so that there are several days and several chunks of usage instants.
        let at = start().plus((n * 61 + n / 10 * 1_440) * MINUTE);
        let event: NewEvent = match n {
            12 | 40 => {
                let target = id(n - 4);
                NewEvent::new(EventVoided::new(target, "a test call"), at)
            }
            // Amendments of records of another day: to other numbers, to another project, to another time.
            25 => amend(3, None, record, at),
            26 => amend(5, None, TokenRecord::new("google", "g").input(9).project("elsewhere"), at),
            55 => amend(24, Some(start().plus(-3_000 * MINUTE)), record, at),
            33 => NewEvent::new(ProviderSwitched::to("ollama").unwrap().because("rate limited"), at),
            34 => NewEvent::new(LimitSet::new("anthropic").unwrap().session(500_000).weekly(5_000_000), at),
            35 => NewEvent::new(
                QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 300, "statusline")
                    .account("other")
                    .used("23.5".parse().unwrap())
                    .resets_at(at.plus(60 * MINUTE)),
                at,
            ),
            44 | 45 => {
                let mut run = Imported::new("claude-code");
                for file in 0..(n - 42) {
                    run.files.push({
                        let mut made = ImportedFile::default();
                        made.path = format!("/logs/{file}.jsonl");
                        made.size = 10 * n.unsigned_abs();
                        made.conversation = Some(format!("conversation-{file}"));
                        made.began = Some(at.plus(-n));
                        made
                    });
                }
                NewEvent::new(run, at)
            }
            _ => NewEvent::new(record, at),
        };
        events.push(event.id(id(n + 1)));
    }
    events
}

pub fn amend(target: i64, at: Option<Timestamp>, replacement: TokenRecord, made: Timestamp) -> NewEvent {
    NewEvent::new(
        {
            let mut made = TokensAmended::new(id(target), "a test", replacement);
            made.at = at;
            made
        },
        made,
    )
}

pub type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

pub fn rows(store: &dyn EventStore) -> Rows {
    let mut rows = Rows::new();
    let view = store.read().unwrap();
    for table in FOLDED {
        view.scan(table, &[], &[], Order::Ascending, &mut |key, value| {
            rows.insert((table, key.to_vec()), value.to_vec());
            GO_ON
        })
        .unwrap();
    }
    rows
}

/// The initial state of all tests.
pub struct Sound {
    pub file: Vec<u8>,
    pub rows: Rows,
    /// For each row the positions of the events that contribute to it: their append changed it.
    pub parts: BTreeMap<(Table, Vec<u8>), BTreeSet<i64>>,
    pub size: i64,
}

pub fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let mut parts: BTreeMap<(Table, Vec<u8>), BTreeSet<i64>> = BTreeMap::new();
        let mut before = Rows::new();
        for (position, event) in (1..).zip(events()) {
            ledger.append([event], start()).unwrap();
            let after = rows(&store);
            for key in before.keys().chain(after.keys()).filter(|key| before.get(key) != after.get(key)) {
                parts.entry(key.clone()).or_default().insert(position);
            }
            before = after;
        }
        // The first event that names an account adds it, and every later one could have.
        for (position, event) in (1..).zip(events()) {
            let alone = MemoryStore::new();
            Ledger::with_store(Box::new(alone.clone())).append([event], start()).unwrap();
            for (key, _) in rows(&alone).into_iter().filter(|((table, _), _)| *table == Table::Accounts) {
                parts.entry(key).or_default().insert(position);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.db");
        Ledger::open(&path).unwrap().append(events(), start()).unwrap();
        let size = i64::try_from(events().len()).unwrap();
        Sound { file: std::fs::read(path).unwrap(), rows: before, parts, size }
    })
}

/// A copy of the valid file, and a connection without triggers to change it.
pub struct Bench {
    pub path: PathBuf,
    pub hand: Connection,
    ledger: RefCell<Ledger>,
    _dir: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.db");
        std::fs::write(&path, &sound().file).unwrap();
        let hand = Connection::open(&path).unwrap();
        hand.execute_batch("PRAGMA synchronous=OFF").unwrap();
        // The triggers stay in the file, because a missing one is a finding.
        hand.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        let ledger = RefCell::new(Ledger::open(&path).unwrap());
        Self { path, hand, ledger, _dir: dir }
    }

    pub fn change(&self, sql: &str, values: impl rusqlite::Params) {
        let changed = self.hand.execute(sql, values).unwrap();
        assert!(changed > 0, "{sql} changed nothing");
    }

    pub fn verify(&self) -> Result<Verification> {
        self.ledger.borrow_mut().verify()
    }

    /// The positions that findings name.
    pub fn named(&self) -> BTreeSet<Option<i64>> {
        let verified = self.verify().unwrap();
        assert_eq!(verified.ok, verified.findings.is_empty());
        verified.findings.iter().map(place).collect()
    }

    pub fn body(&self, position: i64) -> String {
        self.hand.query_row("SELECT body FROM events WHERE position = ?", [position], |row| row.get(0)).unwrap()
    }
}

/// The position that a finding names.
pub fn place(finding: &Finding) -> Option<i64> {
    finding.position.map(|at| i64::try_from(at.get()).unwrap())
}
