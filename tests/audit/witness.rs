//! Witnesses over HTTP: cosignatures, refusals, durable state, and policies of `verify`.

#![cfg(all(feature = "web", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};

use crate::cli_support::{TestCli, server};
use serde_json::Value;
use usage_ledger::internals::witness::{WitnessAnswer, WitnessLog};
use usage_ledger::internals::{AddCheckpoint, Cosigner};
use usage_ledger::merkle::{Checkpoint, Hash, Note, Signer, Witness};
use usage_ledger::{Ledger, Timestamp, TokenRecord};

/// A running witness; it ends with the value.
struct Serving {
    child: Child,
    address: SocketAddr,
}

impl Serving {
    fn start(cli: &TestCli, directory: &str) -> Self {
        let (child, address) = server::start(
            Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
                .args(["--json", "witness", "serve", directory, "--log", "verifier.pub", "--listen", "127.0.0.1:0"])
                .current_dir(cli.dir())
                .env_clear()
                .env("HOME", cli.dir()),
        );
        Self { child, address }
    }

    /// Status, head and body of an answer.
    fn send(&self, request: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        write!(stream, "{request} HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    fn add(&self, body: &str) -> (u16, String, String) {
        self.send("POST /add-checkpoint", body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // SIGKILL: what was answered must be on disk already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A ledger with three calls and a key, and three witnesses.
fn cli() -> TestCli {
    let cli = TestCli::new();
    let key = cli.ok(&["key", "generate", "--name", "a.example/log"]);
    fs::write(cli.dir().join("verifier.pub"), key).unwrap();
    for _ in 0..3 {
        record(&cli);
    }
    for number in 1..=3 {
        let directory = path(&cli, &format!("w{number}"));
        cli.ok(&["witness", "init", &directory, "--name", &format!("witness.example/w{number}")]);
    }
    cli
}

fn record(cli: &TestCli) {
    cli.ok(&["record", "--provider", "openai", "--model", "m", "--input", "1"]);
}

fn path(cli: &TestCli, name: &str) -> String {
    cli.dir().join(name).into_os_string().into_string().unwrap()
}

/// A policy of two of three witnesses.
fn policy(cli: &TestCli, running: &[Option<&Serving>]) -> String {
    let mut text = format!("log {}\n", cli.ok(&["key", "show"]).trim());
    for (number, serving) in (1..).zip(running) {
        let key = cli.ok(&["witness", "key", &path(cli, &format!("w{number}"))]);
        let url = serving.map(|serving| format!("http://{}/", serving.address)).unwrap_or_default();
        writeln!(text, "witness W{number} {} {url}", key.trim()).unwrap();
    }
    text += "group most 2 W1 W2 W3\nquorum most\n";
    fs::write(cli.dir().join("trust.policy"), text).unwrap();
    path(cli, "trust.policy")
}

#[test]
fn a_checkpoint_is_cosigned_by_a_quorum_and_verified_against_the_policy() {
    let cli = cli();
    let [one, two] = ["w1", "w2"].map(|name| Serving::start(&cli, name));
    let file = policy(&cli, &[Some(&one), Some(&two), None]);
    let out = path(&cli, "ledger.checkpoint");
    let submit = |args: &[&str]| {
        cli.ok(&[&["witness", "submit", "--policy", &file, "--out", &out][..], args].concat());
        fs::read_to_string(&out).unwrap()
    };
    let first = submit(&[]);
    assert_eq!(first.lines().filter(|line| line.starts_with("— witness.example/w")).count(), 2, "{first}");
    let verify = ["verify", "--checkpoint", &out, "--policy", &file];
    assert!(cli.ok(&verify).contains("verified against 1 checkpoint"));
    // The log grows: the witnesses continue from the size in the file, and after a restart from their own state.
    record(&cli);
    assert!(submit(&[]).contains("\n4\n"));
    drop((one, two));
    record(&cli);
    let [one, two] = ["w1", "w2"].map(|name| Serving::start(&cli, name));
    policy(&cli, &[Some(&one), Some(&two), None]);
    fs::remove_file(&out).unwrap();
    let note = submit(&[]);
    assert!(note.contains("\n5\n"), "the witnesses stated which size they know: {note}");
    // The same again asks for new cosignatures and keeps the note.
    assert!(submit(&[]).starts_with(note.split("\n\n").next().unwrap()));

    // A checkpoint without the quorum, or with a changed cosignature, is a finding.
    fs::write(&out, cli.ok(&["checkpoint"])).unwrap();
    let found = cli.command().args(verify).assert().code(1);
    let text = String::from_utf8(found.get_output().stdout.clone()).unwrap();
    assert!(text.contains("quorum") && text.contains("none"), "{text}");
    let line = note.lines().last().unwrap();
    let changed = line.replacen("A", "B", 1);
    fs::write(&out, note.replace(line, &changed)).unwrap();
    cli.command().args(verify).assert().code(1);
    fs::write(&out, note).unwrap();
    cli.ok(&verify);
    assert!(cli.fails(2, &["verify", "--checkpoint", &out]).contains("--policy"));
}

#[test]
fn a_missing_witness_leaves_the_stored_checkpoint_and_exits_1() {
    let cli = cli();
    let one = Serving::start(&cli, "w1");
    let gone = Serving::start(&cli, "w2");
    let file = policy(&cli, &[Some(&one), Some(&gone), None]);
    let out = path(&cli, "ledger.checkpoint");
    let args = ["witness", "submit", "--policy", &file, "--out", &out];
    cli.ok(&args);
    let stored = fs::read_to_string(&out).unwrap();
    drop(gone);
    record(&cli);
    let why = cli.fails(1, &args);
    assert!(why.contains("W2 did not cosign") && why.contains("quorum"), "{why}");
    assert_eq!(fs::read_to_string(&out).unwrap(), stored);
    let answer = cli.command().args(["--json"]).args(args).assert().code(1);
    let answer: Value = serde_json::from_slice(&answer.get_output().stdout).unwrap();
    assert_eq!((&answer["ok"], &answer["size"]), (&Value::Bool(false), &Value::from(4)));
    assert!(answer["witnesses"][0]["time"].is_u64() && answer["witnesses"][1]["why"].is_string(), "{answer}");
}

#[test]
fn a_truncated_or_rewritten_ledger_is_refused_by_a_witness() {
    let cli = cli();
    let one = Serving::start(&cli, "w1");
    let file = policy(&cli, &[Some(&one), None, None]);
    let text = fs::read_to_string(&file).unwrap().replace("group most 2", "group most 1");
    fs::write(&file, text).unwrap();
    let files = ["usage.db", "usage.db-wal"].map(|name| cli.dir().join(name));
    let older = files.each_ref().map(|file| fs::read(file).ok());
    record(&cli);
    cli.ok(&["witness", "submit", "--policy", &file]);
    // An older copy of the ledger.
    for (file, older) in files.iter().zip(older) {
        let _ = fs::remove_file(file);
        if let Some(older) = older {
            fs::write(file, older).unwrap();
        }
    }
    let _ = fs::remove_file(cli.dir().join("usage.db-shm"));
    assert!(cli.fails(1, &["witness", "submit", "--policy", &file]).contains("older copy"));
    // Another history of the same length, and of another one.
    record(&cli);
    assert!(cli.fails(1, &["witness", "submit", "--policy", &file]).contains("another history"));
    record(&cli);
    assert!(cli.fails(1, &["witness", "submit", "--policy", &file]).contains("another history"));
}

/// A ledger of some calls, whose checkpoints and proofs a test sends by hand.
struct Log {
    ledger: Ledger,
    signer: Signer,
}

impl Log {
    fn new(size: u64, seed: u64) -> Self {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        for number in 0..size {
            ledger.record(TokenRecord::new("openai", "m").input(number + seed).key(number.to_string()), now).unwrap();
        }
        Self { ledger, signer: Signer::generate("a.example/log").unwrap() }
    }

    fn note(&self, size: u64) -> Note {
        self.ledger.snapshot().unwrap().checkpoint_at(size, &self.signer).unwrap().parse().unwrap()
    }

    fn request(&self, old: u64, size: u64) -> String {
        let snapshot = self.ledger.snapshot().unwrap();
        let hashes = if old == 0 { Vec::new() } else { snapshot.prove_consistency(old, size).unwrap().hashes };
        AddCheckpoint::new(old, hashes, self.note(size)).to_string()
    }
}

#[test]
fn each_refusal_has_the_status_of_the_specification() {
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = Log::new(20, 0);
    let cosigner = Cosigner::generate("w.example/1").unwrap();
    let key: Witness = cosigner.witness().to_string().parse().unwrap();
    let witness = WitnessLog::open(directory.path(), cosigner, vec![log.signer.verifier().clone()]).unwrap();
    let add = |request: &str| witness.add_checkpoint(request, now).unwrap();
    let status = |request: &str| add(request).status();

    for malformed in ["", "old 0\n", "old x\n\n", "old 0\n\nno note\n", "old 0\n\nx\n\n— a AAAAAAAA\n"] {
        assert_eq!(status(malformed), 400, "{malformed:?}");
    }
    let other = Signer::generate("b.example/log").unwrap();
    let unknown = Checkpoint::new("b.example/log", 0, Hash::EMPTY).unwrap().sign(&other).unwrap();
    assert_eq!(status(&format!("old 0\n\n{unknown}")), 404);
    let stranger = Log::new(5, 0);
    assert_eq!(status(&stranger.request(0, 5)), 403);
    // A signature of an unknown key besides is ignored.
    let both = log.note(5).with_signatures(stranger.note(5).to_string().lines().last().unwrap_or_default().trim_end());
    assert!(both.is_err(), "a line has an end");
    assert_eq!(status(&log.request(0, 5).replace("old 0", "old 6")), 400);
    assert_eq!(add(&log.request(3, 5)), WitnessAnswer::Conflict(0));
    assert_eq!(status(&log.request(0, 5).replace("old 0\n", &format!("old 0\n{}\n", "A".repeat(43) + "="))), 422);

    let WitnessAnswer::Cosigned(lines) = add(&log.request(0, 5)) else { panic!() };
    let cosigned = log.note(5).with_signatures(&lines).unwrap();
    assert_eq!(key.cosigned(&cosigned).unwrap(), Some(1_780_272_000));
    assert_eq!(add(&log.request(0, 7)), WitnessAnswer::Conflict(5));
    assert_eq!(add(&log.request(3, 7)), WitnessAnswer::Conflict(5));
    assert_eq!(status(&log.request(5, 5)), 200, "the same again");
    assert_eq!(status(&log.request(5, 7)), 200);
    assert_eq!(add(&log.request(5, 7)), WitnessAnswer::Conflict(7));
    assert_eq!(status(&log.request(6, 9).replace("old 6", "old 7")), 422, "the proof of another size");
    // Two histories of one key.
    let mut fork = Log::new(20, 1);
    fork.signer = log.signer.secret().parse().unwrap();
    assert_eq!(add(&fork.request(7, 7)), WitnessAnswer::Conflict(7));
    assert_eq!(status(&fork.request(7, 9)), 422);
    assert_eq!(status(&log.request(7, 20)), 200);
    let state: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(state.len(), 2, "the lock and one checkpoint: {state:?}");

    // A state that was changed is not believed, and nothing is cosigned.
    let file = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some()).unwrap();
    let kept = fs::read_to_string(&file).unwrap();
    fs::write(&file, log.note(3).to_string()).unwrap();
    assert!(witness.add_checkpoint(&log.request(3, 20), now).is_err());
    fs::write(&file, kept).unwrap();
    assert_eq!(status(&log.request(20, 20)), 200);
}

#[test]
fn requests_at_the_same_time_never_roll_a_log_back() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::new(64, 0);
    let secret = Cosigner::generate("w.example/1").unwrap().secret();
    // Two processes share the directory.
    let open =
        || WitnessLog::open(directory.path(), secret.parse().unwrap(), vec![log.signer.verifier().clone()]).unwrap();
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let witnesses = [open(), open()];
    let sizes = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (witness, log, sizes) = (&witnesses[thread as usize % 2], &log, &sizes);
            scope.spawn(move || {
                let mut old = 0;
                for size in (1..=64).filter(|size| size % 4 == thread) {
                    while old < size {
                        match witness.add_checkpoint(&log.request(old, size), now).unwrap() {
                            WitnessAnswer::Cosigned(_) => {
                                sizes.lock().unwrap().push(size);
                                old = size;
                            }
                            WitnessAnswer::Conflict(known) => old = known,
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
    });
    // Each cosigned size was above the state at that time, so no size was cosigned twice.
    let mut sizes = sizes.into_inner().unwrap();
    sizes.sort_unstable();
    assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
    assert_eq!(open().add_checkpoint(&log.request(0, 64), now).unwrap(), WitnessAnswer::Conflict(64));
}

#[test]
fn the_server_speaks_the_protocol() {
    let cli = cli();
    let serving = Serving::start(&cli, "w1");
    let checkpoint = cli.ok(&["checkpoint"]);
    let (status, head, body) = serving.add(&format!("old 0\n\n{checkpoint}"));
    assert_eq!(status, 200, "{head}{body}");
    let key: Witness = cli.ok(&["witness", "key", &path(&cli, "w1")]).trim().parse().unwrap();
    let note: Note = checkpoint.parse().unwrap();
    assert!(key.cosigned(&note.with_signatures(&body).unwrap()).unwrap().is_some());
    let (status, head, body) = serving.add(&format!("old 0\n\n{checkpoint}"));
    assert_eq!((status, body.as_str()), (409, "3\n"));
    assert!(head.contains("content-type: text/x.tlog.size"), "{head}");
    assert_eq!(serving.add("nonsense").0, 400);
    assert_eq!(serving.add(&"x".repeat(70_000)).0, 413);
    assert_eq!(serving.send("GET /add-checkpoint", "").0, 405);
    assert_eq!(serving.send("GET /", "").0, 404);
    // The monitoring interface.
    let hash = "48cd4bb3d6c7cbc20ca78dfc2d45d9e1f6a5e0e0d0c6f5a8b0b1d7d6c1a2b3c4";
    assert_eq!(serving.send(&format!("GET /{hash}/checkpoint"), "").0, 404);
    let files = fs::read_dir(cli.dir().join("w1")).unwrap().map(|entry| entry.unwrap().file_name());
    let file = files.into_iter().find(|name| name.to_str().unwrap().ends_with(".checkpoint")).unwrap();
    let hash = file.to_str().unwrap().trim_end_matches(".checkpoint").to_owned();
    let (status, _, latest) = serving.send(&format!("GET /{hash}/checkpoint"), "");
    assert!(status == 200 && key.cosigned(&latest.parse().unwrap()).unwrap().is_some(), "{latest}");
}

#[test]
fn a_witness_without_its_state_does_not_start() {
    let cli = cli();
    let missing = path(&cli, "nowhere");
    let serve = ["witness", "serve", &missing, "--log", &path(&cli, "verifier.pub")];
    assert!(cli.fails(2, &serve).contains("witness init"));
    assert!(cli.fails(2, &["witness", "init", &path(&cli, "w1"), "--name", "w"]).contains("not empty"));
    // The key of a ledger is no key of a witness, and the other way round.
    let own = path(&cli, "w1/key");
    assert!(cli.fails(2, &["checkpoint", "--key", &own]).contains("secret key"));
    assert!(cli.fails(2, &["witness", "submit", "--policy", &path(&cli, "verifier.pub")]).contains("line 1"));
}
