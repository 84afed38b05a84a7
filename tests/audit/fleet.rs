//! Answers over the ledgers of all machines.

#![cfg(all(feature = "web", unix))]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use usage_ledger::Ledger;

use crate::cli_support::TestCli;
use crate::push_server::PushServer;

const NOW: &str = "2026-06-02T10:00:00Z";

struct Site {
    cli: TestCli,
    server: PushServer,
}

struct Machine {
    cli: TestCli,
    token: String,
}

impl Site {
    fn new() -> Self {
        let cli = TestCli::new();
        let server = PushServer::start(&cli, &cli.ledger().display().to_string(), &["--now", NOW, "--otlp"]);
        Self { cli, server }
    }

    /// Ends the server without warning, and starts another one.
    fn restart(&mut self) {
        self.server.kill();
        self.server = PushServer::start(&self.cli, &self.cli.ledger().display().to_string(), &["--now", NOW, "--otlp"]);
    }

    fn merged_file(&self) -> String {
        format!("{}-fleet/merged.db", self.cli.ledger().display())
    }

    /// Waits until the background thread has merged everything, and returns the machines.
    fn wait_until_merged(&self) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.ask("machines");
            let ledgers =
                answer["machines"].as_array().unwrap().iter().flat_map(|one| one["ledgers"].as_array().unwrap());
            if ledgers.chain([&answer["server"]]).all(|ledger| ledger["merged"] == ledger["position"]) {
                return answer;
            }
            assert!(Instant::now() < end, "{answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn machine(&self, name: &str, person: &str, team: &str) -> Machine {
        let token = self.cli.ok(&["fleet", "enrol", name, "--person", person, "--team", team]).trim().to_owned();
        Machine { cli: TestCli::new(), token }
    }

    fn ask(&self, path: &str) -> Value {
        let (status, answer) = self.server.send("", "GET", &format!("/api/v1/fleet/{path}"), b"");
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn post(&self, path: &str, body: &Value) {
        let (status, answer) = self.server.send_json(path, body.to_string().as_bytes());
        assert_eq!(status, 200, "{path}: {answer}");
    }

    /// Key, requests and total tokens of each row.
    fn rows(&self, key: &str) -> Vec<(Value, u64, u64)> {
        let answer = self.ask(&format!("report?by={key}"));
        let number = |value: &Value| value.as_u64().unwrap();
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.map(|row| (row[key].clone(), number(&row["requests"]), number(&row["tokens"]["total"]))).collect()
    }

    fn total(&self) -> (u64, u64) {
        let total = &self.ask("report?by=provider")["total"];
        (total["requests"].as_u64().unwrap(), total["tokens"]["total"].as_u64().unwrap())
    }
}

impl Machine {
    /// Records calls: key, account, input.
    fn record(&self, calls: &[(&str, &str, u64)]) {
        let mut lines = String::new();
        for (key, account, input) in calls {
            let mut call = json!({"provider": "anthropic", "model": "m", "input": input, "project": "p",
                "occurred_at": "2026-06-02T09:00:00Z"});
            for (name, text) in [("key", key), ("account", account)] {
                if !text.is_empty() {
                    call[name] = json!(text);
                }
            }
            lines += &format!("{call}\n");
        }
        self.cli.ok_with_input(lines, &["--now", NOW, "record", "--jsonl", "-"]);
    }

    fn run(&self, arguments: &[&str]) -> (i32, Value, String) {
        let mut command = self.cli.command();
        let done = command.env("USAGE_LEDGER_PUSH_TOKEN", &self.token).arg("--json").args(arguments).output().unwrap();
        let answer = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
        (done.status.code().unwrap(), answer, String::from_utf8(done.stderr).unwrap())
    }

    fn push(&self, site: &Site) {
        let (code, _, message) = self.run(&["push", &site.server.url()]);
        assert_eq!(code, 0, "{message}");
    }

    fn state(&self) -> String {
        format!("{}-push", self.cli.ledger().display())
    }

    fn id(&self) -> String {
        let state: Value = serde_json::from_str(&fs::read_to_string(self.state()).unwrap()).unwrap();
        state["ledger"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_call_that_two_machines_report_counts_once() {
    let mut answers = Vec::new();
    for order in [[0, 1], [1, 0]] {
        let site = Site::new();
        let machines = [site.machine("laptop", "ann", "search"), site.machine("desktop", "bob", "ads")];
        machines[0].record(&[("a", "work", 10), ("b", "", 20), ("", "", 3), ("shared", "", 100), ("grown", "work", 5)]);
        machines[1].record(&[("c", "work", 40), ("", "", 3), ("shared", "work", 100), ("grown", "work", 7)]);
        for index in order {
            machines[index].push(&site);
            site.total();
        }
        let total = site.total();
        // Seven calls: both calls without a key are calls of their own.
        assert_eq!(total, (7, 10 + 20 + 3 + 3 + 100 + 7 + 40));
        let heads = site.ask("report?by=provider")["heads"].clone();
        assert_eq!(heads[machines[0].id()], json!(6 - 1));
        assert_eq!(heads[machines[1].id()], json!(4));
        answers.push(["machine", "person", "team", "account", "project"].map(|key| site.rows(key)));
    }
    assert_eq!(answers[0], answers[1], "the order of pushes changes sums");
    // The sighting with an account counts, and the larger one.
    assert_eq!(answers[0][0], [(json!("desktop"), 4, 150), (json!("laptop"), 3, 33)]);
    assert_eq!(answers[0][1], [(json!("ann"), 3, 33), (json!("bob"), 4, 150)]);
    assert_eq!(answers[0][2], [(json!("ads"), 4, 150), (json!("search"), 3, 33)]);
    assert_eq!(answers[0][4], [(json!("p"), 7, 183)]);
}

#[test]
fn corrections_of_one_machine_reach_the_sums() {
    let site = Site::new();
    let (one, two) = (site.machine("one", "ann", "t"), site.machine("two", "bob", "t"));
    one.record(&[("shared", "", 100), ("own", "", 10)]);
    two.record(&[("shared", "", 90)]);
    one.push(&site);
    two.push(&site);
    assert_eq!(site.total(), (2, 110));
    one.cli.ok(&["amend", "2", "--input", "15", "--reason", "wrong"]);
    one.cli.ok(&["void", "1", "--reason", "not ours"]);
    one.push(&site);
    // The other machine still reports the call.
    assert_eq!(site.total(), (2, 105));
    assert_eq!(site.rows("machine"), [(json!("one"), 1, 15), (json!("two"), 1, 90)]);
    two.cli.ok(&["void", "1", "--reason", "not ours either"]);
    two.push(&site);
    assert_eq!(site.total(), (1, 15));
    two.record(&[("late", "", 1)]);
    two.push(&site);
    assert_eq!(site.total(), (2, 16));
    let merged = site.merged_file();
    let verified = site.cli.json(&["--ledger", &merged, "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    // The file follows from the ledgers: another process makes it again.
    let heads = site.ask("report?by=provider")["heads"].clone();
    drop(site.server);
    for end in ["", "-wal", "-shm", "-queue"] {
        let _ = fs::remove_file(format!("{merged}{end}"));
    }
    let answer = site.cli.json(&["fleet", "merge"]);
    assert_eq!(answer["heads"], heads);
    let report = site.cli.json(&["--ledger", answer["file"].as_str().unwrap(), "report", "--by", "machine"]);
    assert_eq!(report["total"]["tokens"]["total"], 16);
}

#[test]
fn an_account_on_several_machines_has_one_set_of_windows() {
    let site = Site::new();
    let (one, two) = (site.machine("one", "ann", "t"), site.machine("two", "ann", "t"));
    one.cli.at("2026-06-01T00:00:00Z", &["limit", "set", "anthropic", "--session", "1000"]);
    one.record(&[("a", "", 400)]);
    two.record(&[("b", "", 420)]);
    let (code, local, _) = one.run(&["--now", NOW, "gate", "anthropic"]);
    assert_eq!((code, &local["mode"], &local["basis"]), (0, &json!("implement"), &json!("estimated")));
    one.push(&site);
    two.push(&site);
    let url = site.server.url();
    for machine in [&one, &two] {
        let (code, answer, message) = machine.run(&["--now", NOW, "gate", "anthropic", "--from", &url]);
        assert_eq!((code, &answer["mode"]), (75, &json!("wait")), "{answer} {message}");
        assert_eq!(answer["basis"], "estimated (server)");
        assert_eq!(answer["heads"].as_object().unwrap().len(), 2);
    }
    let status = site.ask("status");
    let account = status["providers"].as_array().unwrap().iter().find(|one| one["provider"] == "anthropic").unwrap();
    assert_eq!(account["session"]["tokens"]["total"], 820);
    assert_eq!(site.server.send("", "GET", "/push/v1/gate?provider=anthropic", b"").0, 401);
    // Without the server the local ledger decides, and says so.
    drop(site.server);
    let (code, answer, message) = one.run(&["--now", NOW, "gate", "anthropic", "--from", &url]);
    assert_eq!((code, &answer["mode"]), (0, &json!("implement")), "{message}");
    assert_eq!(answer["basis"], "estimated (local ledger: the server did not answer)");
    assert!(message.contains("does not answer"), "{message}");
}

#[test]
fn a_continued_ledger_counts_each_event_once_and_shredding_reaches_the_merged_ledger() {
    let site = Site::new();
    let one = site.machine("one", "ann", "t");
    one.record(&[("", "", 1), ("", "", 2)]);
    one.push(&site);
    let clone = Machine { cli: TestCli::new(), token: one.token.clone() };
    Ledger::open(one.cli.ledger()).unwrap().backup(clone.cli.ledger(), false, None).unwrap();
    fs::copy(one.state(), clone.state()).unwrap();
    one.record(&[("", "", 4)]);
    clone.record(&[("", "", 8)]);
    one.push(&site);
    assert_eq!(clone.run(&["push", &site.server.url()]).0, 1);
    assert_eq!(clone.run(&["push", "--as-new-ledger", "--from", "3"]).0, 0);
    assert_eq!(site.total(), (4, 15));
    let file = site.merged_file();
    let contains = || {
        let bytes = [fs::read(&file).unwrap(), fs::read(format!("{file}-wal")).unwrap_or_default()].concat();
        bytes.windows(13).any(|part| part == b"\"project\":\"p\"")
    };
    assert!(contains());
    for machine in [&one, &clone] {
        machine.cli.ok(&["shred", "--project", "p", "--reason", "asked"]);
        machine.push(&site);
    }
    assert_eq!(site.total(), (4, 15));
    assert_eq!(site.rows("project"), [(Value::Null, 4, 15)]);
    assert!(!contains());
}

#[test]
fn new_events_are_merged_without_a_question() {
    let site = Site::new();
    let one = site.machine("one", "ann", "t");
    one.record(&[("a", "", 1), ("b", "", 2)]);
    one.push(&site);
    // The list of machines merges nothing itself.
    let listed = site.wait_until_merged();
    assert_eq!(listed["machines"][0]["ledgers"][0]["merged"], 2);
    assert_eq!(listed["warnings"], json!([]));
    let merged = site.cli.json(&["--ledger", &site.merged_file(), "report", "--by", "machine,person,team"]);
    assert_eq!(merged["rows"][0]["machine"], "one");
    assert_eq!((&merged["rows"][0]["person"], &merged["total"]["tokens"]["total"]), (&json!("ann"), &json!(3)));
    one.record(&[("c", "", 4)]);
    one.push(&site);
    site.wait_until_merged();
    assert_eq!(site.total(), (3, 7));
}

#[test]
fn a_server_that_is_killed_while_it_merges_continues() {
    let mut site = Site::new();
    let (one, two) = (site.machine("one", "ann", "t"), site.machine("two", "bob", "t"));
    let calls: Vec<String> = (0..12_000).map(|number| format!("k{number}")).collect();
    let calls: Vec<(&str, &str, u64)> = calls.iter().map(|key| (key.as_str(), "", 1)).collect();
    one.record(&calls);
    two.record(&calls[6_000..]);
    one.push(&site);
    two.push(&site);
    // Some events are merged, most likely not all.
    site.restart();
    let listed = site.wait_until_merged();
    assert_eq!(listed["total"], 2);
    assert_eq!(site.total(), (12_000, 12_000));
    let verified = site.cli.json(&["--ledger", &site.merged_file(), "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
}

#[test]
fn an_answer_folds_exactly_to_its_head_vector_while_machines_push() {
    let site = Site::new();
    let machines = [site.machine("one", "ann", "t"), site.machine("two", "bob", "t")];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pushing: Vec<_> = machines
            .iter()
            .map(|machine| {
                scope.spawn(|| {
                    for _ in 0..12 {
                        machine.record(&[("", "", 1); 50]);
                        machine.push(&site);
                    }
                })
            })
            .collect();
        let asking = scope.spawn(|| {
            let mut answers = 0;
            while !done.load(Ordering::Relaxed) {
                // Each event of these ledgers is a call with one token.
                let answer = site.ask("report?by=machine");
                let heads: u64 = answer["heads"].as_object().unwrap().values().map(|head| head.as_u64().unwrap()).sum();
                assert_eq!(
                    (&answer["total"]["requests"], &answer["total"]["tokens"]["total"]),
                    (&json!(heads), &json!(heads))
                );
                answers += 1;
            }
            answers
        });
        for thread in pushing {
            thread.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(asking.join().unwrap() > 3);
    });
    assert_eq!(site.total(), (1_200, 1_200));
}

#[test]
fn records_of_the_server_itself_count() {
    let site = Site::new();
    let one = site.machine("one", "ann", "t");
    one.record(&[("shared", "", 100), ("own", "", 10)]);
    one.push(&site);
    let call = |key: &str, input: u64| {
        json!({"provider": "anthropic", "model": "m", "input": input, "key": key, "project": "p",
        "labels": {"person": "cyd", "machine": "build"}, "occurred_at": "2026-06-02T09:30:00Z"})
    };
    site.post("/api/v1/record", &call("shared", 90));
    site.post("/api/v1/record", &call("api", 5));
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let span = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "chat m", "kind": 3,
        "startTimeUnixNano": "1780392600000000000", "endTimeUnixNano": "1780392601000000000",
        "attributes": [attribute("gen_ai.operation.name", json!({"stringValue": "chat"})),
            attribute("gen_ai.system", json!({"stringValue": "anthropic"})),
            attribute("gen_ai.request.model", json!({"stringValue": "m"})),
            attribute("gen_ai.response.id", json!({"stringValue": "msg_7"})),
            attribute("gen_ai.usage.input_tokens", json!({"intValue": "7"})),
            attribute("gen_ai.usage.output_tokens", json!({"intValue": "1"}))]});
    site.post("/v1/traces", &json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}));
    // The call that both report counts once, and the machine's sighting is larger.
    assert_eq!(site.total(), (4, 100 + 10 + 5 + 8));
    assert_eq!(site.rows("machine"), [(Value::Null, 1, 8), (json!("build"), 1, 5), (json!("one"), 2, 110)]);
    assert_eq!(site.rows("person"), [(Value::Null, 1, 8), (json!("ann"), 2, 110), (json!("cyd"), 1, 5)]);
    let answer = site.ask("report?by=label:ledger");
    assert_eq!((&answer["heads"]["server"], answer["heads"].as_object().unwrap().len()), (&json!(3), 2));
    assert_eq!(answer["rows"][1]["label:ledger"], "server");
    let merged = site.cli.json(&["fleet", "merge"]);
    assert_eq!(merged["heads"], answer["heads"]);
}

#[test]
fn machines_are_listed_with_heads_and_what_needs_a_person() {
    let site = Site::new();
    let one = site.machine("one", "ann", "t");
    site.machine("two", "bob", "t");
    one.record(&[("a", "", 1), ("b", "", 2)]);
    one.push(&site);
    let clone = Machine { cli: TestCli::new(), token: one.token.clone() };
    Ledger::open(one.cli.ledger()).unwrap().backup(clone.cli.ledger(), false, None).unwrap();
    fs::copy(one.state(), clone.state()).unwrap();
    one.record(&[("c", "", 4)]);
    clone.record(&[("d", "", 8)]);
    one.push(&site);
    assert_eq!(clone.run(&["push", &site.server.url()]).0, 1);
    let listed = site.ask("machines");
    assert_eq!((&listed["total"], &listed["next"]), (&json!(2), &Value::Null));
    assert_eq!(listed["machines"][0]["pushed_at"], "2026-06-02T10:00:00.000Z");
    assert_eq!(listed["machines"][0]["ledgers"][0]["position"], 3);
    assert_eq!((&listed["machines"][1]["machine"], &listed["machines"][1]["pushed_at"]), (&json!("two"), &Value::Null));
    let warnings = listed["warnings"].as_array().unwrap();
    assert_eq!((warnings.len(), &warnings[0]["machine"]), (1, &json!("one")), "{listed}");
    assert!(warnings[0]["remedy"].as_str().unwrap().contains("push --as-new-ledger --from 3"), "{listed}");
    let first = site.ask("machines?limit=1");
    assert_eq!((first["machines"].as_array().unwrap().len(), &first["next"]), (1, &json!("one")));
    assert_eq!(site.ask("machines?limit=1&after=one")["machines"][0]["machine"], "two");
    // The clone continues with a ledger of its own, so nothing is left to do.
    assert_eq!(clone.run(&["push", "--as-new-ledger", "--from", "3"]).0, 0);
    let listed = site.ask("machines");
    assert_eq!(listed["warnings"], json!([]), "{listed}");
    let ledgers = listed["machines"][0]["ledgers"].as_array().unwrap();
    let continued = ledgers.iter().find(|ledger| !ledger["continues"].is_null()).unwrap();
    assert_eq!(continued["continues"], json!({"ledger": one.id(), "position": 3}));
}

#[test]
fn a_ledger_that_cannot_be_read_does_not_keep_the_others_away() {
    let mut site = Site::new();
    let (one, two) = (site.machine("one", "ann", "t"), site.machine("two", "bob", "t"));
    one.record(&[("a", "", 1)]);
    two.record(&[("b", "", 2)]);
    one.push(&site);
    two.push(&site);
    assert_eq!(site.total(), (2, 3));
    site.server.kill();
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}-fleet/ledgers/{}.db{end}", site.cli.ledger().display(), one.id()));
    }
    fs::write(format!("{}-fleet/ledgers/{}.db", site.cli.ledger().display(), one.id()), "no ledger").unwrap();
    site.restart();
    two.record(&[("c", "", 4)]);
    two.push(&site);
    assert_eq!(site.total(), (3, 7));
    let listed = site.ask("machines");
    assert_eq!(listed["warnings"][0]["machine"], "one", "{listed}");
    assert!(listed["warnings"][0]["what"].as_str().unwrap().contains("do not count"), "{listed}");
}
