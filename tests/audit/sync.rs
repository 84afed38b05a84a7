//! Copies of ledgers on a server: pushed by real processes, over real sockets.

#![cfg(all(feature = "web", unix))]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use usage_ledger::merkle::{Checkpoint, Note, Witness};
use usage_ledger::{Ledger, Shred, Timestamp, TokenRecord};

use crate::cli_support::TestCli;
use crate::push_server::{Cut, PushServer, Relay};

const NOW: &str = "2026-06-02T10:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A server with its machines, and a directory for each machine.
struct Site {
    cli: TestCli,
    server: PushServer,
}

impl Site {
    fn new() -> Self {
        let cli = TestCli::new();
        cli.ok(&["record", "--provider", "openai", "--model", "m", "--input", "1"]);
        let server = PushServer::start(&cli, &cli.ledger().display().to_string(), &[]);
        Self { cli, server }
    }

    fn restart(&mut self) {
        self.server.kill();
        self.server = PushServer::start(&self.cli, &self.cli.ledger().display().to_string(), &[]);
    }

    fn fleet(&self) -> PathBuf {
        let mut path = self.cli.ledger().into_os_string();
        path.push("-fleet");
        path.into()
    }

    fn machine(&self, name: &str) -> Machine {
        let token = self.cli.ok(&["fleet", "enrol", name]).trim().to_owned();
        Machine { cli: TestCli::new(), token }
    }

    /// The server's copy of a ledger.
    fn copy(&self, id: &str) -> PathBuf {
        self.fleet().join("ledgers").join(format!("{id}.db"))
    }

    /// Checks that the server's copy is sound and equal to the ledger of a machine.
    fn expect_equal(&self, machine: &Machine) {
        let copy = Ledger::open(self.copy(&machine.id())).unwrap();
        let own = Ledger::open(machine.cli.ledger()).unwrap();
        assert_eq!(copy.root().unwrap(), own.root().unwrap());
        let verified = copy.verify().unwrap();
        assert!(verified.ok, "{:?}", verified.findings);
        machine.expect_cosigned(own.head().unwrap().position.get());
    }
}

struct Machine {
    cli: TestCli,
    token: String,
}

impl Machine {
    fn record(&self, from: u64, count: u64) {
        let mut lines = String::new();
        for number in from..from + count {
            lines += &json!({"provider": "anthropic", "model": "m", "input": number + 1, "key": format!("k{number}"),
                "project": format!("p{}", number % 7), "occurred_at": "2026-06-01T10:00:00Z"})
            .to_string();
            lines.push('\n');
        }
        self.cli.ok_with_input(lines, &["--now", NOW, "record", "--jsonl", "-"]);
    }

    fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = self.cli.command();
        command.env("USAGE_LEDGER_PUSH_TOKEN", &self.token).args(["--json"]).args(arguments);
        command
    }

    /// Exit code, answer and messages.
    fn run(&self, arguments: &[&str]) -> (i32, Value, String) {
        let done = self.command(arguments).output().unwrap();
        let answer = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
        (done.status.code().unwrap(), answer, String::from_utf8(done.stderr).unwrap())
    }

    fn push(&self, url: &str) -> Value {
        let (code, answer, message) = self.run(&["push", url]);
        assert_eq!(code, 0, "{message}");
        answer
    }

    fn state_file(&self) -> PathBuf {
        let mut path = self.cli.ledger().into_os_string();
        path.push("-push");
        path.into()
    }

    fn state(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.state_file()).unwrap()).unwrap()
    }

    fn id(&self) -> String {
        self.state()["ledger"].as_str().unwrap().to_owned()
    }

    /// Checks the checkpoint that the machine keeps.
    fn expect_cosigned(&self, size: u64) {
        let state = self.state();
        let note: Note = state["checkpoint"].as_str().unwrap().parse().unwrap();
        let witness: Witness = state["server"].as_str().unwrap().parse().unwrap();
        assert!(witness.cosigned(&note).unwrap().is_some());
        let checkpoint: Checkpoint = note.text().parse().unwrap();
        assert_eq!(checkpoint.size(), size);
        assert!(checkpoint.origin().contains(&self.id()));
        assert_eq!(
            checkpoint.root(),
            Ledger::open(self.cli.ledger()).unwrap().snapshot().unwrap().root_at(size).unwrap()
        );
    }

    /// A copy of the ledger's file and of its state, on another machine.
    fn cloned(&self) -> Machine {
        let cli = TestCli::new();
        let other = Machine { cli, token: self.token.clone() };
        // A copy of all files while no process has them open.
        for end in ["", "-wal", "-push"] {
            let path = |machine: &Machine| {
                let mut path = machine.cli.ledger().into_os_string();
                path.push(end);
                PathBuf::from(path)
            };
            if path(self).exists() {
                fs::copy(path(self), path(&other)).unwrap();
            }
        }
        other
    }
}

#[test]
fn new_events_are_sent_once_and_cosigned() {
    let site = Site::new();
    let machine = site.machine("laptop");
    let url = site.server.url();
    drop(Ledger::open(machine.cli.ledger()).unwrap());
    let answer = machine.push(&url);
    assert_eq!((&answer["events"], &answer["size"]), (&json!(0), &json!(0)));
    machine.record(0, 1);
    let answer = machine.push(&url);
    assert_eq!((&answer["events"], &answer["requests"]), (&json!(1), &json!(1)), "{answer}");
    site.expect_equal(&machine);
    machine.record(1, 10_001);
    // The address is known from the first push.
    let (code, answer, message) = machine.run(&["push"]);
    assert_eq!((code, &answer["events"], &answer["requests"]), (0, &json!(10_001), &json!(1)), "{message}");
    site.expect_equal(&machine);
    let again = machine.push(&url);
    assert_eq!((&again["events"], &again["size"]), (&json!(0), &json!(10_002)));
    // The cosigned checkpoint is a file that `verify` accepts.
    let out = machine.cli.dir().join("cosigned").display().to_string();
    machine.run(&["push", "--out", &out]);
    let note: Note = fs::read_to_string(&out).unwrap().parse().unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!(checkpoint.size(), 10_002);
    // A push with the state of before continues, and sends nothing twice.
    let list = site.cli.json(&["fleet", "list"]);
    assert_eq!(list["machines"][0]["ledgers"], json!([machine.id()]));
}

#[test]
fn a_push_that_is_cut_anywhere_continues() {
    let mut site = Site::new();
    let machine = site.machine("laptop");
    machine.record(0, 21_000);
    // Two segments. Each case cuts one of the two requests of a push.
    let cases: [&[Cut]; 5] = [
        &[Cut::Request(0)],
        &[Cut::Request(3_000)],
        &[Cut::Answer],
        &[Cut::Nothing, Cut::Request(90_000)],
        &[Cut::Nothing, Cut::Answer],
    ];
    for (number, cuts) in (0..).zip(cases) {
        machine.record(21_000 + number, 1);
        let relay = Relay::start(site.server.address, cuts);
        let (code, _, message) = machine.run(&["push", &relay.url()]);
        // Later cases send one segment, which the relay passes on.
        assert!(code == 3 || (code == 0 && cuts.len() == 2), "{cuts:?}: {code} {message}");
    }
    // The server dies with the request, and the machine during its wait.
    for (number, kills_server) in [(100, true), (101, false), (102, true)] {
        machine.record(21_000 + number, 1);
        let relay = Relay::start(site.server.address, &[Cut::Hold]);
        let mut pusher = std::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["push", &relay.url()])
            .env_clear()
            .env("HOME", machine.cli.dir())
            .env("USAGE_LEDGER", machine.cli.ledger())
            .env("USAGE_LEDGER_PUSH_TOKEN", &machine.token)
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        relay.requests.recv().unwrap();
        if kills_server {
            site.restart();
        }
        pusher.kill().unwrap();
        pusher.wait().unwrap();
    }
    let answer = machine.push(&site.server.url());
    assert_eq!(answer["size"], 21_008);
    site.expect_equal(&machine);
}

#[test]
fn two_futures_of_one_ledger_are_named_and_can_continue() {
    let site = Site::new();
    let machine = site.machine("laptop");
    let url = site.server.url();
    machine.record(0, 300);
    machine.push(&url);
    let clone = machine.cloned();
    let older = machine.cloned();
    machine.record(300, 50);
    machine.push(&url);
    clone.record(1_000, 20);
    let before = fs::read(site.copy(&machine.id())).unwrap();
    let (code, answer, message) = clone.run(&["push", &url]);
    assert_eq!((code, &answer["obstacle"], &answer["position"]), (1, &json!("fork"), &json!(301)), "{message}");
    assert!(message.contains("--as-new-ledger --from 301"), "{message}");
    assert_eq!(fs::read(site.copy(&machine.id())).unwrap(), before);
    // A copy without events of its own is an older one.
    let (code, answer, _) = older.run(&["push", &url]);
    assert_eq!((code, &answer["obstacle"], &answer["position"]), (1, &json!("older"), &json!(301)));
    // A wrong position would count events twice, or leave some out.
    let other = clone.cloned();
    for wrong in ["290", "310"] {
        let (code, _, message) = other.run(&["push", "--as-new-ledger", "--from", wrong]);
        assert!(code == 1 && message.contains("position that differs"), "{wrong}: {code} {message}");
    }
    assert_eq!(other.run(&["push", "--as-new-ledger", "--from", "301"]).0, 0, "after wrong positions");
    site.expect_equal(&other);
    assert_eq!(clone.run(&["push", "--as-new-ledger", "--from", "999"]).0, 2);
    let former = clone.id();
    let (code, answer, message) = clone.run(&["push", "--as-new-ledger", "--from", "301"]);
    assert_eq!((code, &answer["size"]), (0, &json!(320)), "{message}");
    assert_ne!(clone.id(), former);
    let origin = answer["checkpoint"].as_str().unwrap().lines().next().unwrap().to_owned();
    assert!(origin.ends_with(&format!("/continues/{former}/301")), "{origin}");
    site.expect_equal(&clone);
    clone.record(2_000, 3);
    machine.record(400, 3);
    clone.push(&url);
    machine.push(&url);
    site.expect_equal(&clone);
    site.expect_equal(&machine);
    // A ledger that differs far back, without a state of its own.
    let other = site.machine("other");
    other.record(0, 5);
    other.record(5_000, 400);
    fs::copy(machine.state_file(), other.state_file()).unwrap();
    let other = Machine { token: machine.token.clone(), ..other };
    let (code, answer, message) = other.run(&["push", &url]);
    assert_eq!((code, &answer["position"]), (1, &json!(6)), "{message}");
}

#[test]
fn a_lost_machine_is_restored_and_continues() {
    let site = Site::new();
    let machine = site.machine("laptop");
    let url = site.server.url();
    machine.record(0, 2_500);
    let ledger = Ledger::open(machine.cli.ledger()).unwrap();
    let _ = ledger.shred(&Shred::because("asked").project("p3"), now()).unwrap();
    drop(ledger);
    machine.push(&url);
    let key = site.cli.ok(&["fleet", "key"]);
    let new = Machine { cli: TestCli::new(), token: machine.token.clone() };
    let (code, answer, message) = new.run(&["pull", &url, "--server-key", key.trim()]);
    assert_eq!(code, 0, "{message}");
    let own = Ledger::open(machine.cli.ledger()).unwrap();
    assert_eq!(answer["size"], own.head().unwrap().position.get());
    let restored = Ledger::open(new.cli.ledger()).unwrap();
    assert_eq!(restored.root().unwrap(), own.root().unwrap());
    assert!(restored.verify().unwrap().ok);
    drop(restored);
    // Nothing is overwritten.
    let bytes = new.cli.bytes();
    let (code, _, message) = new.run(&["pull", &url]);
    assert!(code == 2 && message.contains("overwrites nothing"), "{message}");
    assert_eq!(new.cli.bytes(), bytes);
    // It continues the same ledger, with a key of its own.
    new.record(9_000, 5);
    new.push(&url);
    assert_eq!(new.id(), machine.id());
    site.expect_equal(&new);
    // Another server cannot stand for this one.
    let other = Site::new();
    let foreign = other.cli.ok(&["fleet", "enrol", "x"]);
    let mut token = new;
    token.token = foreign.trim().to_owned();
    token.record(9_100, 1);
    let (code, _, message) = token.run(&["push", &other.server.url()]);
    assert!(code == 1 && message.contains("first push"), "{code} {message}");
    let (code, _, message) = token.run(&["push", &other.server.url(), "--new-server"]);
    assert_eq!(code, 0, "{message}");
    let wrong = Machine { cli: TestCli::new(), token: machine.token.clone() };
    let key = other.cli.ok(&["fleet", "key"]);
    let copy = wrong.cli.dir().join("copy.db").display().to_string();
    let (code, _, message) = wrong.run(&["pull", &url, &copy, "--server-key", key.trim()]);
    assert!(code == 1 && message.contains("its key is"), "{code} {message}");
    assert_eq!(fs::read_dir(wrong.cli.dir()).unwrap().count(), 0, "a file is left");
}

#[test]
fn a_copy_that_the_server_changed_is_not_restored() {
    let mut site = Site::new();
    let machine = site.machine("laptop");
    machine.record(0, 50);
    machine.push(&site.server.url());
    site.server.kill();
    // The server's file is changed together with all that follows from it.
    let copy = site.copy(&machine.id());
    let changed = site.cli.dir().join("changed.db");
    {
        let (from, to) = (Ledger::open(&copy).unwrap(), Ledger::open(&changed).unwrap());
        for position in 1..=50_u64 {
            let event = from.event(position).unwrap();
            let usage_ledger::event::Payload::TokensRecorded(mut record) = event.payload else { panic!() };
            if position == 20 {
                record.project = Some("other".into());
            }
            to.record(record, event.occurred_at).unwrap();
        }
    }
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", copy.display()));
    }
    fs::copy(&changed, &copy).unwrap();
    site.restart();
    let new = Machine { cli: TestCli::new(), token: machine.token.clone() };
    let (code, _, message) = new.run(&["pull", &site.server.url()]);
    assert_eq!(code, 1, "{message}");
    assert!(!new.cli.ledger().exists() && !new.state_file().exists());
    // And the machine notices at its next push.
    machine.record(50, 1);
    let (code, answer, message) = machine.run(&["push", &site.server.url()]);
    assert!(code == 1, "{answer} {message}");
}

#[test]
fn shredding_reaches_the_server() {
    let site = Site::new();
    let machine = site.machine("laptop");
    let url = site.server.url();
    machine.record(0, 3_000);
    machine.push(&url);
    let copy = site.copy(&machine.id());
    let contains = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.extend(fs::read(format!("{}-wal", path.display())).unwrap_or_default());
        bytes.windows(12).any(|part| part == b"\"project\":\"p")
    };
    assert!(contains(&copy));
    machine.cli.ok(&["shred", "--project", "p3", "--reason", "asked"]);
    let answer = machine.push(&url);
    assert!(answer["shredded"].as_u64().unwrap() > 400, "{answer}");
    site.expect_equal(&machine);
    for project in ["p0", "p1", "p2", "p4", "p5", "p6"] {
        machine.cli.ok(&["shred", "--project", project, "--reason", "asked"]);
    }
    machine.push(&url);
    site.expect_equal(&machine);
    assert!(!contains(&copy), "the file of the server still has a name");
    let report = |ledger: &Path| {
        let done = machine.command(&["--ledger", &ledger.display().to_string(), "report", "--by", "project"]);
        let mut done = done;
        String::from_utf8(done.output().unwrap().stdout).unwrap()
    };
    assert_eq!(report(&copy), report(&machine.cli.ledger()));
}

#[test]
fn a_token_opens_only_the_ledgers_of_its_machine() {
    let site = Site::new();
    let (machine, other) = (site.machine("laptop"), site.machine("desktop"));
    let url = site.server.url();
    machine.record(0, 10);
    machine.push(&url);
    let wrong = Machine { cli: TestCli::new(), token: "0".repeat(64) };
    wrong.record(0, 1);
    let (code, _, message) = wrong.run(&["push", &url]);
    assert!(code == 2 && message.contains("token"), "{code} {message}");
    let id = machine.id();
    for (method, path) in [
        ("GET", format!("/push/v1/ledgers/{id}/head")),
        ("GET", format!("/push/v1/ledgers/{id}/segments?after=0&until=9")),
        ("POST", format!("/push/v1/ledgers/{id}/compare")),
    ] {
        let body = if method == "POST" { &b"{\"roots\":[]}"[..] } else { b"" };
        assert_eq!(site.server.send(&machine.token, method, &path, body).0, 200, "{path}");
        assert_eq!(site.server.send(&other.token, method, &path, body).0, 403, "{path}");
        assert_eq!(site.server.send("", method, &path, body).0, 401, "{path}");
    }
    // A stolen state does not help either.
    other.record(0, 10);
    fs::copy(machine.state_file(), other.state_file()).unwrap();
    let (code, _, message) = other.run(&["push", &url]);
    assert!(code == 2 && message.contains("another machine"), "{code} {message}");
    site.cli.ok(&["fleet", "revoke", "laptop"]);
    machine.record(10, 1);
    let (code, _, message) = machine.run(&["push", &url]);
    assert!(code == 2 && message.contains("revoked"), "{code} {message}");
    let token = site.cli.ok(&["fleet", "enrol", "laptop", "--renew"]);
    let machine = Machine { token: token.trim().to_owned(), ..machine };
    machine.push(&url);
    site.expect_equal(&machine);
    // Neither token nor key is printed anywhere else.
    let list = site.cli.ok(&["fleet", "list", "--json"]);
    assert!(!list.contains(token.trim()));
}

/// A segment with a changed text.
fn changed(request: &[u8], from: &str, to: &str) -> Vec<u8> {
    let border = request.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    let text = String::from_utf8(zstd::stream::decode_all(&request[border..]).unwrap()).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    zstd::stream::encode_all(text.replacen(from, to, 1).as_bytes(), 1).unwrap()
}

#[test]
fn a_changed_segment_is_refused_and_nothing_is_stored() {
    let site = Site::new();
    let machine = site.machine("laptop");
    machine.record(0, 9);
    let relay = Relay::start(site.server.address, &[Cut::Nothing]);
    machine.push(&relay.url());
    relay.requests.recv().unwrap();
    machine.record(9, 3);
    // The request does not reach the server, and is sent by the test.
    let sent = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reader = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            crate::push_server::read_request(&mut stream, usize::MAX)
        });
        assert_eq!(machine.run(&["push", &url]).0, 3);
        reader.join().unwrap()
    };
    let path = format!("/push/v1/ledgers/{}/segments", machine.id());
    let root = Ledger::open(site.copy(&machine.id())).unwrap().root().unwrap();
    for (from, to, status) in [
        ("\"input\":11", "\"input\":12", 422),
        ("\"count\":3", "\"count\":2", 422),
        ("\"base\":9", "\"base\":8", 422),
        ("\"base\":9", "\"base\":10", 422),
        ("\"v\":1", "\"v\":2", 422),
        ("\\n12\\n", "\\n13\\n", 422),
        ("\"consistency\":[\"", "\"consistency\":[\"00", 422),
        (
            "\"consistency\":[",
            "\"consistency\":[\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",",
            409,
        ),
        ("tokens_recorded", "tokens_unknown", 422),
        ("2026-06-02T10:00:00", "2026-06-01T10:00:00", 422),
        (machine.id().as_str(), "00000000000000000000", 422),
    ] {
        let (got, answer) = site.server.send(&machine.token, "POST", &path, &changed(&sent, from, to));
        assert_eq!(got, status, "{from} {to}: {answer}");
        assert_eq!(Ledger::open(site.copy(&machine.id())).unwrap().root().unwrap(), root, "{from} {to}");
    }
    for body in [&b""[..], b"nonsense", &sent] {
        assert_eq!(site.server.send(&machine.token, "POST", &path, body).0, 422);
    }
    let border = sent.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    for _ in 0..2 {
        let (status, answer) = site.server.send(&machine.token, "POST", &path, &sent[border..]);
        assert_eq!(status, 200, "{answer}");
    }
    machine.push(&site.server.url());
    site.expect_equal(&machine);
}

#[test]
fn a_server_that_lost_events_signs_nothing_smaller_or_different() {
    let mut site = Site::new();
    let machine = site.machine("laptop");
    machine.record(0, 40);
    machine.push(&site.server.url());
    site.server.kill();
    // A replica that lags: the store of an earlier moment, next to the state of the witness.
    let id = machine.id();
    let lagging = site.cli.dir().join("lagging.db");
    Ledger::open(site.copy(&id)).unwrap().backup(&lagging, false, None).unwrap();
    site.restart();
    let clone = machine.cloned();
    machine.record(40, 60);
    machine.push(&site.server.url());
    site.server.kill();
    let promote = |site: &mut Site| {
        site.server.kill();
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", site.copy(&id).display()));
        }
        fs::copy(&lagging, site.copy(&id)).unwrap();
        site.restart();
    };
    promote(&mut site);
    let path = format!("/push/v1/ledgers/{id}/head");
    let (_, head) = site.server.send(&machine.token, "GET", &path, b"");
    assert_eq!((&head["size"], &head["witnessed"]), (&json!(40), &json!(100)));
    // Another future of the same ledger, shorter, equal and longer than what was cosigned.
    for count in [10, 50, 90] {
        clone.record(1_000 + count, count);
        let (code, answer, message) = clone.run(&["push", &site.server.url()]);
        assert_eq!(code, 1, "{answer} {message}");
        assert_eq!(Ledger::open(site.copy(&id)).unwrap().head().unwrap().position.get(), 40);
    }
    // The machine restores what the server lost.
    let answer = machine.push(&site.server.url());
    assert_eq!((&answer["events"], &answer["size"]), (&json!(60), &json!(100)), "{answer}");
    site.expect_equal(&machine);
    promote(&mut site);
    machine.record(200, 1);
    let answer = machine.push(&site.server.url());
    assert_eq!((&answer["events"], &answer["size"]), (&json!(61), &json!(101)), "{answer}");
    site.expect_equal(&machine);
    // A witness without its state signs nothing.
    fs::rename(site.fleet().join("witness"), site.fleet().join("away")).unwrap();
    machine.record(300, 1);
    let (code, _, message) = machine.run(&["push", &site.server.url()]);
    assert_eq!(code, 3, "{message}");
    fs::rename(site.fleet().join("away"), site.fleet().join("witness")).unwrap();
    machine.push(&site.server.url());
    site.expect_equal(&machine);
}

#[test]
fn a_ledger_without_a_server_or_a_token_says_so() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "openai", "--model", "m", "--input", "1"]);
    assert!(cli.fails(2, &["push"]).contains("address"));
    assert!(cli.fails(2, &["push", "http://127.0.0.1:9"]).contains("fleet enrol"));
    let token = cli.dir().join("token").display().to_string();
    fs::write(&token, "0".repeat(40)).unwrap();
    let message = cli.fails(3, &["push", "http://127.0.0.1:9", "--token-file", &token]);
    assert!(message.contains("does not answer") && !message.contains("0000"), "{message}");
    assert!(cli.fails(2, &["push", "http://ledger.example", "--token-file", &token]).contains("encryption"));
    assert!(
        cli.fails(2, &["push", "https://x", "--as-new-ledger", "--from", "1", "--token-file", &token]).contains("push")
    );
    assert_eq!(cli.command().args(["--as-of", "1", "push", "https://x"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_record_of_the_library_reaches_the_server_byte_for_byte() {
    let site = Site::new();
    let machine = site.machine("laptop");
    let ledger = Ledger::open(machine.cli.ledger()).unwrap();
    let call = TokenRecord::new("anthropic", "m ü \u{2028} \"x\"").input(1).label("a\nb", "\r");
    ledger.record(call, now()).unwrap();
    drop(ledger);
    machine.push(&site.server.url());
    site.expect_equal(&machine);
}
