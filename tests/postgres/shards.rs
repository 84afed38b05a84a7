//! Three clusters behind one map: ledgers move between them while they are written, and moves are killed at every request.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use usage_ledger::internals::shards;
use usage_ledger::{Timestamp, TokenRecord};

use crate::DATABASE;
use crate::cluster::Cluster;
use crate::commands::run;
use crate::proxy::{Gate, Proxy};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A test on them.
pub type Test = fn(&Started);

/// Three clusters, which start when the first test needs them.
pub struct Clusters {
    programs: PathBuf,
    started: OnceLock<Started>,
}

pub struct Started {
    clusters: Vec<Cluster>,
    ledgers: AtomicU64,
}

impl Clusters {
    pub const fn new(programs: PathBuf) -> Self {
        Self { programs, started: OnceLock::new() }
    }

    pub fn started(&self) -> &Started {
        self.started.get_or_init(|| {
            let start = || {
                let cluster = Cluster::start(&self.programs, &[]);
                cluster.create_database(DATABASE);
                cluster
            };
            let clusters = thread::scope(|scope| {
                let starting: Vec<_> = NAMES.iter().map(|_| scope.spawn(start)).collect();
                starting.into_iter().map(|cluster| cluster.join().unwrap()).collect()
            });
            Started { clusters, ledgers: AtomicU64::new(0) }
        })
    }
}

impl Started {
    fn fresh_name(&self) -> String {
        format!("moving{}", self.ledgers.fetch_add(1, Ordering::SeqCst))
    }

    fn of(&self, name: &str) -> &Cluster {
        &self.clusters[NAMES.iter().position(|known| *known == name).unwrap()]
    }

    fn sql(&self, name: &str, sql: &str) -> String {
        self.of(name).sql(DATABASE, sql)
    }

    /// A map of the clusters, or of other ports.
    fn map(&self, folder: &Path, ports: Option<&[u16]>) -> PathBuf {
        let own: Vec<u16> = self.clusters.iter().map(|cluster| cluster.port).collect();
        let ports = ports.unwrap_or(&own);
        let mut text = "[clusters]\n".to_owned();
        for (name, port) in NAMES.iter().zip(ports) {
            writeln!(text, "{name} = \"postgres://admin@127.0.0.1:{port}/{DATABASE}\"").unwrap();
        }
        let path = folder.join("shards.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// The clusters where a ledger takes commits, with its events.
    fn places(&self, ledger: &str) -> Vec<(&str, u64)> {
        let sql =
            format!("SELECT position FROM usage_ledger.heads WHERE ledger_id = '{ledger}' AND moved_state IS NULL");
        let events = |name: &str| self.of(name).try_sql(DATABASE, &sql).ok().filter(|found| !found.is_empty());
        NAMES.iter().filter_map(|name| Some((*name, events(name)?.parse().unwrap()))).collect()
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_308_000_000)
}

fn address(map: &Path, ledger: &str) -> String {
    format!("shards:{}?ledger={ledger}", map.display())
}

fn command(map: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"));
    command.env_clear().env("HOME", home).env("USAGE_LEDGER", address(map, "default")).args(arguments);
    command
}

fn text(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

fn move_to(map: &Path, home: &Path, ledger: &str, to: &str) -> Value {
    let done = command(map, home, &["--json", "shards", "move", ledger, "--to", to]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Everything that was acknowledged is at its position, once, and nothing else is there.
fn check(map: &Path, ledger: &str, acknowledged: &BTreeMap<u64, String>) {
    let ledger = shards::open(map, ledger).unwrap();
    let verified = ledger.verify().unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.size, acknowledged.len() as u64, "every event was acknowledged once");
    assert!(acknowledged.keys().copied().eq(1..=verified.size), "positions have gaps");
    let snapshot = ledger.snapshot().unwrap();
    for (position, key) in acknowledged {
        let found = snapshot.find("openai", key).unwrap();
        assert_eq!(found.map(usage_ledger::Position::get), Some(*position), "{key}");
    }
    assert_eq!(ledger.provider("openai", now()).unwrap().all_time.requests, verified.size);
}

/// Writers with maps that never change, while the ledger moves and every move is killed.
pub fn moves(started: &Started) {
    const WRITERS: u64 = 4;
    let rounds: i64 = std::env::var("SHARDS_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    let (home, name) = (tempfile::tempdir().unwrap(), started.fresh_name());
    let old = started.map(home.path(), None);
    let folder = home.path().join("mover");
    fs::create_dir(&folder).unwrap();
    let gate = Gate::open();
    let proxies: Vec<Proxy> =
        started.clusters.iter().map(|cluster| Proxy::with_gate(cluster.port, gate.clone())).collect();
    let map = started.map(&folder, Some(&proxies.iter().map(|proxy| proxy.port).collect::<Vec<_>>()));
    let acknowledged = Mutex::new(BTreeMap::new());
    let (stop, count) = (AtomicBool::new(false), || acknowledged.lock().unwrap().len());
    let (mut kills, mut ends) = (0, 0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (old, name, acknowledged, stop) = (&old, &name, &acknowledged, &stop);
                scope.spawn(move || {
                    let ledger = shards::open(old, name).unwrap();
                    for n in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        let key = format!("{writer}-{n}");
                        let call = TokenRecord::new("openai", "gpt-5").input(1).project("p").key(key.clone());
                        let outcome = ledger.record(call, now()).unwrap();
                        let other = acknowledged.lock().unwrap().insert(outcome.position().get(), key.clone());
                        assert_eq!(other, None, "two events at {}", outcome.position());
                    }
                })
            })
            .collect();
        let wait_for_more = || {
            let (from, end) = (count(), Instant::now() + Duration::from_secs(60));
            while count() < from + 8 {
                assert!(
                    Instant::now() < end && !writers.iter().any(thread::ScopedJoinHandle::is_finished),
                    "nothing is acknowledged"
                );
                thread::sleep(Duration::from_millis(5));
            }
        };
        wait_for_more();
        // The requests of a move, from the first to the last.
        let mut at = 0;
        for round in 0..rounds {
            let (place, _) = started.places(&name)[0];
            let to = NAMES[(NAMES.iter().position(|name| *name == place).unwrap() + 1 + round as usize % 2) % 3];
            gate.set(at, round % 2 == 1);
            let mut mover = command(&map, home.path(), &["shards", "move", &name, "--to", to])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            if wait_for_request(&gate, &mut mover) {
                mover.kill().unwrap();
                kills += 1;
            } else {
                ends += 1;
                at = -1;
            }
            let done = mover.wait_with_output().unwrap();
            assert!(at != -1 || done.status.success(), "{}", text(&done));
            gate.set(-1, false);
            if round % 6 == 5 {
                // Nobody continues it at once: the ledger may be closed, and no other place opens.
                assert!(started.places(&name).len() <= 1);
            }
            // Some continue to the same cluster, others decide otherwise.
            let to = if round % 5 == 4 { place } else { to };
            let answer = move_to(&map, home.path(), &name, to);
            assert_eq!(started.places(&name).iter().map(|(place, _)| *place).collect::<Vec<_>>(), [to], "{answer}");
            at = if at == -1 { round } else { at + 7 };
            wait_for_more();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let all = acknowledged.into_inner().unwrap();
    println!("{rounds} moves: {kills} killed, {ends} ended by themselves, {} events acknowledged", all.len());
    assert!(kills > 3 && (ends > 0 || rounds < 20));
    check(&old, &name, &all);
    check(&map, &name, &all);
}

/// Waits until the mover sends the request that is held back; false if it ends before.
fn wait_for_request(gate: &Gate, mover: &mut Child) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while !gate.wait(Duration::from_millis(20)) {
        assert!(Instant::now() < end, "the move takes too long");
        if mover.try_wait().unwrap().is_some() {
            return false;
        }
    }
    true
}

/// The states between the steps of a move: what a reader, a writer, and a program of another time see.
pub fn states(started: &Started) {
    let (home, name) = (tempfile::tempdir().unwrap(), started.fresh_name());
    let map = started.map(home.path(), None);
    let ledger = shards::open(&map, &name).unwrap();
    let call = |n: u64| TokenRecord::new("openai", "gpt-5").input(n).key(n.to_string());
    for n in 0..700 {
        let _ = ledger.record(call(n), now()).unwrap();
    }
    let from = started.places(&name)[0].0;
    let to = NAMES.into_iter().find(|cluster| *cluster != from).unwrap();
    let third = NAMES.into_iter().find(|cluster| ![from, to].contains(cluster)).unwrap();
    let plain = |cluster: &str| started.of(cluster).address_as("admin", DATABASE, &name);
    let close = format!(
        "UPDATE usage_ledger.heads SET moved_state = 'leaving', moved_to = '{to}', moved_address = 'there', version = version + 1, \
         moved_version = version + 1 WHERE ledger_id = '{name}'"
    );
    started.sql(from, &close);
    // A program that knows nothing of moves is refused by the database itself.
    let blind =
        format!("UPDATE usage_ledger.heads SET position = 701, version = version + 1 WHERE ledger_id = '{name}'");
    let refused = started.of(from).try_sql(DATABASE, &blind).unwrap_err();
    assert!(refused.contains("heads_moved_check"), "{refused}");
    // Readers still read; writers wait, and are told what to do.
    assert!(run(&plain(from), home.path(), &["report"]).status.success());
    let status = command(&map, home.path(), &["shards", "list"]).output().unwrap();
    assert!(text(&status).contains(&format!("{name}  {from}  700 events  (moving to {to}")), "{}", text(&status));
    // The other cluster has not begun, so the ledger can stay.
    move_to(&map, home.path(), &name, from);
    assert_eq!(ledger.record(call(700), now()).unwrap().position().get(), 701);
    // Interrupted behind the decision: the copy is complete, and any move opens it first.
    started.sql(from, &close);
    assert_eq!(move_to(&map, home.path(), &name, to)["copied"], 701);
    let reopen = |state: &str, cluster: &str, other: &str| {
        format!(
            "UPDATE usage_ledger.heads SET moved_state = '{state}', moved_to = '{other}', moved_address = 'x', version = version + 1, \
             moved_version = version + 1 WHERE ledger_id = '{name}' AND '{cluster}' = '{cluster}'"
        )
    };
    started.sql(to, &reopen("incoming", to, from));
    assert_eq!(started.places(&name), []);
    assert_eq!(move_to(&map, home.path(), &name, third)["events"], 701);
    assert_eq!(started.places(&name), [(third, 701)]);
    assert_eq!(ledger.record(call(701), now()).unwrap().position().get(), 702);
    // A plain address names the new place, for writers and readers.
    for arguments in [&["report"][..], &["record", "--provider", "openai", "--input", "1"]] {
        let refused = run(&plain(from), home.path(), arguments);
        let expected =
            format!("the ledger is on the cluster `{third}`: use postgres://127.0.0.1:{}", started.of(third).port);
        assert!(refused.status.code() == Some(3) && text(&refused).contains(&expected), "{}", text(&refused));
    }
    let other = NAMES.into_iter().find(|cluster| *cluster != third).unwrap();
    let size = ledger.head().unwrap().position.get();
    // A ledger that an older map would create elsewhere is found where it is.
    let elsewhere = home.path().join("other.toml");
    let pinned = fs::read_to_string(&map).unwrap().split("[moved]").next().unwrap().to_owned()
        + &format!("[moved]\n{name} = \"{other}\"\n");
    fs::write(&elsewhere, pinned).unwrap();
    assert_eq!(shards::open(&elsewhere, &name).unwrap().head().unwrap().position.get(), size);
    let fresh = started.fresh_name();
    shards::open(&map, &fresh).unwrap().record(call(1), now()).unwrap();
    let at = started.places(&fresh)[0].0;
    let away = NAMES.into_iter().find(|cluster| *cluster != at).unwrap();
    fs::write(&elsewhere, fs::read_to_string(&elsewhere).unwrap() + &format!("{fresh} = \"{away}\"\n")).unwrap();
    assert_eq!(shards::open(&elsewhere, &fresh).unwrap().record(call(2), now()).unwrap().position().get(), 2);
    assert_eq!(started.places(&fresh), [(at, 2)]);
    // Two ledgers of one name, made without a map: neither is chosen, and no history is mixed with another one.
    let double = started.fresh_name();
    let record = |cluster: &str, key: &str| {
        let address = started.of(cluster).address_as("admin", DATABASE, &double);
        let done = run(&address, home.path(), &["record", "--provider", "openai", "--input", "1", "--key", key]);
        assert!(done.status.success(), "{}", text(&done));
    };
    record("a", "1");
    record("a", "2");
    record("b", "3");
    let moving = |to: &str| command(&map, home.path(), &["shards", "move", &double, "--to", to]).output().unwrap();
    let refused = moving("c");
    assert!(refused.status.code() == Some(1) && text(&refused).contains("on the clusters `a`"), "{}", text(&refused));
    let listing = command(&map, home.path(), &["shards", "list"]).output().unwrap();
    assert_eq!(listing.status.code(), Some(1), "{}", text(&listing));
    let close = "UPDATE usage_ledger.heads SET moved_state = 'moved', moved_to = 'a', moved_address = 'x', moved_version = version";
    started.sql("b", &format!("{close} WHERE ledger_id = '{double}'"));
    let refused = moving("b");
    assert!(refused.status.code() == Some(1) && text(&refused).contains("another history"), "{}", text(&refused));
    assert_eq!(started.places(&double), [("a", 2)]);
    // An empty one gives way.
    started.sql("c", &format!("INSERT INTO usage_ledger.heads (ledger_id) VALUES ('{double}')"));
    assert!(moving("c").status.success());
    assert_eq!(started.places(&double), [("c", 2)]);
}

/// The commands of users on a map, and what they say without one.
pub fn commands(started: &Started) {
    let (home, name) = (tempfile::tempdir().unwrap(), started.fresh_name());
    let map = started.map(home.path(), None);
    let ledger = address(&map, &name);
    let missing = run(&ledger, home.path(), &["report"]);
    assert!(missing.status.success(), "{}", text(&missing));
    for arguments in [
        &["record", "--provider", "openai", "--model", "gpt-5", "--input", "5", "--key", "k"][..],
        &["record", "--provider", "openai", "--model", "gpt-5", "--input", "5", "--key", "k"],
        &["report", "--by", "day"],
        &["status"],
        &["log"],
        &["gate", "openai"],
        &["verify"],
        &["replay"],
        &["export", "--format", "events"],
        &["import"],
        &["sql", "SELECT count(*) FROM calls"],
        &["config", "show"],
        &["shards", "list"],
        &["shards", "show", &name],
        &["shards", "move", &name],
    ] {
        let done = run(&ledger, home.path(), arguments);
        assert!(done.status.success(), "{arguments:?}: {}", text(&done));
    }
    assert_eq!(started.places(&name).len(), 1);
    let config = home.path().join("config.toml");
    fs::write(&config, format!("ledger = \"{ledger}\"\n")).unwrap();
    let done = command(&map, home.path(), &["report", "--json"])
        .env_remove("USAGE_LEDGER")
        .env("USAGE_LEDGER_CONFIG", &config)
        .output()
        .unwrap();
    assert!(text(&done).contains("\"requests\":1"), "{}", text(&done));
    let none = run(&home.path().join("usage.db").display().to_string(), home.path(), &["shards", "list"]);
    assert!(none.status.code() == Some(2) && text(&none).contains("shards:PATH"), "{}", text(&none));
    let unknown = command(&map, home.path(), &["shards", "move", &name, "--to", "d"]).output().unwrap();
    assert!(unknown.status.code() == Some(2) && text(&unknown).contains("no cluster `d`"), "{}", text(&unknown));
    let absent = command(&map, home.path(), &["shards", "move", "absent", "--to", "a"]).output().unwrap();
    assert!(absent.status.code() == Some(2) && text(&absent).contains("absent"), "{}", text(&absent));
    // A cluster that does not answer is named. Ledgers elsewhere work, and none is created, because it could be there.
    let lost = TempDir::new().unwrap();
    let others: Vec<u16> = started.clusters.iter().map(|cluster| cluster.port).collect();
    let dead = NAMES.iter().position(|cluster| *cluster != started.places(&name)[0].0).unwrap();
    let mut ports = others.clone();
    ports[dead] = 1;
    let broken = started.map(lost.path(), Some(&ports));
    assert!(run(&address(&broken, &name), home.path(), &["report"]).status.success());
    let created = run(&address(&broken, "never"), home.path(), &["switch", "openai"]);
    assert_eq!(created.status.code(), Some(3), "{}", text(&created));
    assert_eq!(started.places("never"), []);
    let listing = command(&broken, home.path(), &["shards", "list"]).output().unwrap();
    assert_eq!(listing.status.code(), Some(3), "{}", text(&listing));
    // Passwords come from a file that others cannot read, and are never printed.
    let passwords = home.path().join("passwords");
    fs::write(&passwords, "*:*:*:*:s3cret\n").unwrap();
    #[cfg(unix)]
    fs::set_permissions(&passwords, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let done = command(&broken, home.path(), &["shards", "list"]).env("PGPASSFILE", &passwords).output().unwrap();
    assert!(!text(&done).contains("s3cret"));
}

/// A server stores each pushed ledger on its cluster, and goes on while ledgers move.
#[cfg(feature = "web")]
pub fn pushes(started: &Started) {
    use crate::cli_support::TestCli;
    use crate::push::Machine;
    use crate::push_server::PushServer;
    let cli = TestCli::new();
    let map = started.map(cli.dir(), None);
    let fleet = cli.dir().join("fleet").display().to_string();
    let server = PushServer::start(&cli, &address(&map, "central"), &["--fleet", &fleet]);
    let machines: Vec<Machine> =
        (0..4).map(|number| Machine::enrol(&cli, &fleet, &format!("machine-{number}"))).collect();
    let verify = |machine: &Machine| {
        let there = machine.cli.json(&["--ledger", &address(&map, &machine.id()), "verify"]);
        let here = machine.cli.json(&["verify"]);
        assert_eq!((&there["ok"], &there["size"], &there["root"]), (&json!(true), &here["size"], &here["root"]));
    };
    for machine in &machines {
        machine.record(0, 300);
        machine.push(&server);
        verify(machine);
        let hashed = command(&map, cli.dir(), &["--json", "shards", "show", &machine.id()]).output().unwrap();
        let hashed: Value = serde_json::from_slice(&hashed.stdout).unwrap();
        assert_eq!(hashed["ledgers"][0]["cluster"], hashed["ledgers"][0]["hashed"], "{hashed}");
    }
    // The server has the ledger open, with the former place.
    let id = machines[0].id();
    let place = started.places(&id)[0].0;
    let to = NAMES.into_iter().find(|cluster| *cluster != place).unwrap();
    assert_eq!(move_to(&map, cli.dir(), &id, to)["removed"], json!([place]));
    machines[0].record(300, 50);
    assert_eq!(machines[0].push(&server)["events"], 50);
    verify(&machines[0]);
    assert_eq!(started.places(&id), [(to, 350)]);
}
