//! Pushed ledgers on a server with PostgreSQL, and its failover to a replica that lags.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::DATABASE;
use crate::cli_support::TestCli;
use crate::cluster::{Cluster, programs};
use crate::push_server::{Cut, PushServer, Relay};

pub struct Machine {
    pub cli: TestCli,
    token: String,
}

impl Machine {
    pub fn enrol(server: &TestCli, fleet: &str, name: &str) -> Self {
        let token = server.ok(&["fleet", "enrol", name, "--fleet", fleet]).trim().to_owned();
        Self { cli: TestCli::new(), token }
    }

    pub fn record(&self, from: u64, count: u64) {
        let line = |number: u64| {
            let call = json!({"provider": "anthropic", "model": "m", "input": number + 1, "key": format!("k{number}"),
                "project": format!("p{}", number % 3), "conversation": format!("c{}", number % 50)});
            format!("{call}\n")
        };
        self.cli.ok_with_input((from..from + count).map(line).collect::<String>(), &["record", "--jsonl", "-"]);
    }

    fn run(&self, arguments: &[&str]) -> (i32, Value, String) {
        let mut command = self.cli.command();
        let done = command.env("USAGE_LEDGER_PUSH_TOKEN", &self.token).arg("--json").args(arguments).output().unwrap();
        let answer = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
        (done.status.code().unwrap(), answer, String::from_utf8(done.stderr).unwrap())
    }

    pub fn push(&self, server: &PushServer) -> Value {
        let (code, answer, message) = self.run(&["push", &server.url()]);
        assert_eq!(code, 0, "{message}");
        answer
    }

    pub fn id(&self) -> String {
        let mut path = self.cli.ledger().into_os_string();
        path.push("-push");
        let state: Value = serde_json::from_str(&std::fs::read_to_string(PathBuf::from(path)).unwrap()).unwrap();
        state["ledger"].as_str().unwrap().to_owned()
    }

    /// Checks that the copy in a database is sound and equal.
    fn expect_equal(&self, cluster: &Cluster, database: &str) {
        let address = cluster.address_as("admin", database, &self.id());
        let verified = |ledger: &str| self.cli.json(&["--ledger", ledger, "verify"]);
        let (there, here) = (verified(&address), verified(&self.cli.ledger().display().to_string()));
        assert_eq!((&there["ok"], &there["size"], &there["root"]), (&json!(true), &here["size"], &here["root"]));
        let report = |ledger: &str| self.cli.ok(&["--ledger", ledger, "report", "--by", "project", "--json"]);
        assert_eq!(report(&address), report(&self.cli.ledger().display().to_string()));
    }
}

/// A server, with the directory of its machines.
fn serve(cli: &TestCli, cluster: &Cluster, database: &str) -> (PushServer, String) {
    serve_as("admin", cli, cluster, database)
}

fn serve_as(user: &str, cli: &TestCli, cluster: &Cluster, database: &str) -> (PushServer, String) {
    let fleet = cli.dir().join("fleet").display().to_string();
    let server = PushServer::start(cli, &cluster.address_as(user, database, "central"), &["--fleet", &fleet]);
    (server, fleet)
}

pub fn pushes(cluster: &Cluster) {
    expect_pushes("admin", cluster, DATABASE);
}

/// The server runs as a role that owns nothing, after the owner has created the tables.
pub fn as_server(cluster: &Cluster) {
    const DATABASE: &str = "pushed";
    cluster.create_database(DATABASE);
    let cli = TestCli::new();
    cli.ok(&["--ledger", &cluster.fresh(DATABASE), "record", "--provider", "openai", "--input", "1"]);
    cluster.sql(DATABASE, "CREATE ROLE push_server LOGIN; GRANT usage_ledger_server TO push_server");
    expect_pushes("push_server", cluster, DATABASE);
}

fn expect_pushes(user: &str, cluster: &Cluster, database: &str) {
    let cli = TestCli::new();
    let (server, fleet) = serve_as(user, &cli, cluster, database);
    let (one, two) = (Machine::enrol(&cli, &fleet, "one"), Machine::enrol(&cli, &fleet, "two"));
    one.record(0, 3_000);
    two.record(2_000, 100);
    one.push(&server);
    two.push(&server);
    one.record(3_000, 7);
    assert_eq!(one.push(&server)["events"], 7);
    one.expect_equal(cluster, database);
    two.expect_equal(cluster, database);
    one.cli.ok(&["shred", "--project", "p1", "--reason", "asked"]);
    assert_eq!(one.push(&server)["shredded"], 1_002);
    one.expect_equal(cluster, database);
    let sql = format!(
        "SELECT count(*) FROM usage_ledger.events WHERE ledger_id = '{}' AND position(convert_to('\"p1\"', 'UTF8') in body) > 0",
        one.id()
    );
    assert_eq!(cluster.sql(database, &sql), "0");
    let restored = Machine { cli: TestCli::new(), token: one.token.clone() };
    let (code, _, message) = restored.run(&["pull", &server.url()]);
    assert_eq!(code, 0, "{message}");
    restored.expect_equal(cluster, database);
}

/// The server fails over to a replica that lacks the last events, and never signs another history of that size.
pub fn failover() {
    let programs = programs().unwrap();
    let mut primary = Cluster::start(&programs, &["wal_level = replica", "max_wal_senders = 4"]);
    primary.create_database(DATABASE);
    let cli = TestCli::new();
    let (mut server, fleet) = serve(&cli, &primary, DATABASE);
    let machine = Machine::enrol(&cli, &fleet, "laptop");
    machine.record(0, 200);
    machine.push(&server);
    let mut replica = primary.replica();
    replica.stop();
    machine.record(200, 150);
    machine.push(&server);
    let witnessed = machine.cli.ledger();
    server.kill();
    primary.kill();
    replica.run();
    replica.sql("postgres", "SELECT pg_promote()");
    let (mut server, _) = serve(&cli, &replica, DATABASE);
    let head = server.send(&machine.token, "GET", &format!("/push/v1/ledgers/{}/head", machine.id()), b"").1;
    assert_eq!((&head["size"], &head["witnessed"]), (&json!(200), &json!(350)), "{head}");
    // Another history of the same ledger, as long as the one that was cosigned.
    let clone = Machine { cli: TestCli::new(), token: machine.token.clone() };
    assert_eq!(clone.run(&["pull", &server.url()]).0, 1, "events that the server cosigned are missing");
    let address = replica.address_as("admin", DATABASE, &machine.id());
    let lines = clone.cli.ok(&["--ledger", &address, "export", "--format", "events"]);
    assert_eq!(lines.lines().count(), 200);
    clone.record(0, 200);
    clone.record(5_000, 150);
    let state = |machine: &Machine| {
        let mut path = machine.cli.ledger().into_os_string();
        path.push("-push");
        PathBuf::from(path)
    };
    std::fs::copy(state(&machine), state(&clone)).unwrap();
    let (code, answer, message) = clone.run(&["push", &server.url()]);
    assert_eq!(code, 1, "{answer} {message}");
    // The machine restores what the replica lacks, and goes on.
    assert!(witnessed.exists());
    let answer = machine.push(&server);
    assert_eq!((&answer["events"], &answer["size"]), (&json!(150), &json!(350)), "{answer}");
    machine.record(9_000, 3);
    machine.push(&server);
    machine.expect_equal(&replica, DATABASE);
    server.kill();
    replica.stop();
}

/// The machine, the server of pushes and the database are killed during pushes. A repeated push completes the copy.
pub fn kills() {
    let programs = programs().unwrap();
    let mut cluster = Cluster::start(&programs, &["restart_after_crash = on"]);
    cluster.create_database(DATABASE);
    let cli = TestCli::new();
    let (mut server, fleet) = serve(&cli, &cluster, DATABASE);
    let machine = Machine::enrol(&cli, &fleet, "laptop");
    let (mut size, mut cut) = (0, 0);
    for round in 0..9 {
        // Two segments.
        machine.record(size, 21_000 / 9);
        size += 21_000 / 9;
        let relay = Relay::start(server.address, &[Cut::Hold]);
        let url = if round % 3 == 0 { relay.url() } else { server.url() };
        let mut pusher = std::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["push", &url])
            .env_clear()
            .env("HOME", machine.cli.dir())
            .env("USAGE_LEDGER", machine.cli.ledger())
            .env("USAGE_LEDGER_PUSH_TOKEN", &machine.token)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        match round % 3 {
            // The request is on its way, and the machine dies.
            0 => drop(relay.requests.recv().unwrap()),
            // The server writes, and dies.
            1 => {
                wait_for_writer(&cluster, &mut pusher);
                server.kill();
            }
            // The database dies under the server.
            _ => {
                wait_for_writer(&cluster, &mut pusher);
                cluster.kill();
            }
        }
        let _ = pusher.kill();
        cut += u32::from(!pusher.wait().unwrap().success());
        match round % 3 {
            1 => server = serve(&cli, &cluster, DATABASE).0,
            2 => cluster.run(),
            _ => {}
        }
        if round % 2 == 1 {
            machine.push(&server);
        }
    }
    assert!(cut > 5, "{cut} pushes were cut");
    machine.push(&server);
    machine.expect_equal(&cluster, DATABASE);
    assert_eq!(machine.push(&server)["events"], 0);
    server.kill();
    cluster.stop();
}

/// Waits until a transaction of the server is open, or the push is over.
fn wait_for_writer(cluster: &Cluster, pusher: &mut std::process::Child) {
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usage-ledger' AND backend_xid IS NOT NULL";
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while cluster.sql(DATABASE, open) == "0" && pusher.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < end, "nothing is written");
    }
}

/// The merge of pushed ledgers reads lines and corrections in pages, so a network adds little.
pub fn merge_round_trips(cluster: &Cluster) {
    const EVENTS: u64 = 1_500;
    let cli = TestCli::new();
    let proxy = crate::proxy::Proxy::to(cluster.port);
    let fleet = cli.dir().join("fleet").display().to_string();
    let address = format!("postgres://admin@127.0.0.1:{}/{DATABASE}?ledger=merging", proxy.port);
    let server = PushServer::start(&cli, &address, &["--fleet", &fleet]);
    let machine = Machine::enrol(&cli, &fleet, "laptop");
    machine.record(0, EVENTS);
    let ((), trips) = proxy.during(|| {
        machine.push(&server);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let answer = server.send("", "GET", "/api/v1/fleet/machines", b"").1;
            if answer["machines"][0]["ledgers"][0]["merged"] == EVENTS {
                return;
            }
            assert!(std::time::Instant::now() < end, "{answer}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    assert!(trips < EVENTS / 5, "{trips} round trips for {EVENTS} events");
}
