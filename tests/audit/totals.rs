//! Proofs of one project's total: complete, exact, and silent about every other project.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::process::Command;

use crate::cli_support::TestCli;
use serde_json::json;

const NOW: &str = "2026-06-02T00:00:00Z";

/// May of three customers, with costs, two models and two days for one of them.
fn sealed() -> TestCli {
    let cli = TestCli::new();
    cli.ok(&["key", "generate", "--name", "a.example/log"]);
    let lines = [
        r#"{"provider":"anthropic","model":"opus","account":"work","input":100,"output":7,"cost_usd":"0.25","project":"acme","occurred_at":"2026-05-10T12:00:00Z","key":"1"}"#,
        r#"{"provider":"anthropic","model":"opus","account":"work","input":50,"cost_usd":"0.1","project":"acme","occurred_at":"2026-05-10T13:00:00Z","key":"2"}"#,
        r#"{"provider":"openai","model":"gpt-5","output":20,"project":"acme","occurred_at":"2026-05-31T23:59:59.999Z","key":"3"}"#,
        r#"{"provider":"openai","model":"gpt-5","output":999,"project":"globex-secret","occurred_at":"2026-05-11T12:00:00Z","key":"4"}"#,
        r#"{"provider":"openai","model":"gpt-5","output":888,"project":"Käse \"und\" 日本","occurred_at":"2026-05-11T12:00:00Z","key":"5"}"#,
        r#"{"provider":"openai","model":"gpt-5","output":777,"occurred_at":"2026-05-11T12:00:00Z","key":"6"}"#,
        r#"{"provider":"openai","model":"gpt-5","output":11,"project":"acme","occurred_at":"2026-06-01T00:00:00Z","key":"7"}"#,
    ];
    cli.ok_with_input(lines.join("\n"), &["--now", "2026-06-01T10:00:00Z", "record", "--jsonl", "-"]);
    let seal = cli.at(NOW, &["seal", "--since", "2026-05", "--until", "2026-06"]);
    fs::write(cli.dir().join("may.seal"), seal).unwrap();
    let key = cli.ok(&["key", "show"]);
    fs::write(cli.dir().join("verifier.pub"), key).unwrap();
    cli
}

fn path(cli: &TestCli, name: &str) -> String {
    cli.dir().join(name).into_os_string().into_string().unwrap()
}

fn acme(cli: &TestCli) -> String {
    cli.at(NOW, &["prove", "total", "--project", "acme", "--period", "2026-05"])
}

/// What `prove check` and the Python program say about a proof: both accept it, or both refuse it.
fn judged(cli: &TestCli, proof: &str) -> (bool, String, String) {
    fs::write(cli.dir().join("proof"), proof).unwrap();
    let verifier = path(cli, "verifier.pub");
    let ours = cli.command().args(["prove", "check", &path(cli, "proof"), "--verifier", &verifier]).output().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    let python =
        Command::new("python3").args(["-I", script, "--total", &path(cli, "proof"), &verifier]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let stderr = text(python.stderr);
    assert!(stderr.is_empty(), "{stderr}");
    let (ours_ok, python_ok) = (ours.status.success(), python.status.success());
    let ours = format!("{}{}", text(ours.stdout), text(ours.stderr));
    let theirs = text(python.stdout);
    assert_eq!(ours_ok, python_ok, "{proof}\n{ours}\n{theirs}");
    (ours_ok, ours, theirs)
}

#[test]
fn a_customer_sees_his_calls_sums_and_rows_and_no_other_name() {
    let cli = sealed();
    let proof = acme(&cli);
    for other in ["globex", "Käse", ":999", ":888", ":777"] {
        assert!(!proof.contains(other), "{proof}");
    }
    let (ok, ours, theirs) = judged(&cli, &proof);
    assert!(ok, "{ours}");
    for line in [
        "ok: project acme: 3 requests, input 150, output 27, reported cost 0.35 USD",
        "2026-05-10 anthropic work opus: 2 requests, input 150, output 7, reported cost 0.35 USD",
        "2026-05-31 openai gpt-5: 1 request, output 20",
        "shows all of its 2 rows",
    ] {
        assert!(ours.lines().any(|shown| shown == line), "{line} is missing:\n{ours}");
    }
    assert!(theirs.contains("ok: project acme: requests 3, input 150, output 27, reported USD 0.35\n"), "{theirs}");
    assert!(theirs.contains("shows 2 of its 2 rows"), "{theirs}");

    let answer = cli.json(&["--now", NOW, "prove", "total", "--project", "Käse \"und\" 日本"]);
    assert_eq!(answer["total"]["name"], "Käse \"und\" 日本");
    assert_eq!(answer["total"]["sums"], json!({"requests": 1, "tokens": {"output": 888}}));
    assert!(judged(&cli, answer["proof"].as_str().unwrap()).0);
}

#[test]
fn parts_of_a_proof_can_stay_hidden() {
    let cli = sealed();
    let only = |condition: &str| cli.at(NOW, &["prove", "total", "--project", "acme", "--only", condition]);
    let one = only("day=2026-05-31");
    assert!(!one.contains("opus") && one.contains("\nhidden "), "{one}");
    let (ok, ours, theirs) = judged(&cli, &one);
    assert!(ok && ours.contains("shows 1 of its 2 rows: 1 request, output 20"), "{ours}");
    assert!(theirs.contains("shows 1 of its 2 rows: requests 1, output 20"), "{theirs}");
    let none = cli.at(NOW, &["prove", "total", "--project", "acme", "--without-rows"]);
    assert!(!none.contains("openai") && judged(&cli, &none).1.contains("shows none of its 2 rows"));
    assert_eq!(only("model=nothing"), none);
    assert!(
        cli.fails(2, &["--now", NOW, "prove", "total", "--project", "acme", "--only", "agent=x"]).contains("no agent")
    );
}

#[test]
fn every_changed_character_of_a_proof_is_refused() {
    let cli = sealed();
    let proof = acme(&cli);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    let verifier = cli.ok(&["key", "show"]).trim().parse().unwrap();
    let accepts = |text: &str| {
        text.parse::<usage_ledger::merkle::TotalProofText>().is_ok_and(|proof| proof.verify(&verifier).is_ok())
    };
    assert!(accepts(&proof));
    for (index, _) in proof.char_indices() {
        let flip = if index % 2 == 0 { 0x01 } else { 0x20 };
        let mut bytes = proof.clone().into_bytes();
        bytes[index] ^= flip;
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(!accepts(&text), "byte {index} by {flip:#x}:\n{text}");
        }
    }
    // The Python program refuses a change of each field and each line.
    let mut changed: Vec<String> = [
        ("\"name\":\"acme\"", "\"name\":\"evil\""),
        ("\"requests\":3", "\"requests\":2"),
        ("\"requests\":2", "\"requests\":1"),
        ("\"input\":150", "\"input\":15"),
        ("\"output\":20", "\"output\":19"),
        ("\"reported_usd\":\"0.35\"", "\"reported_usd\":\"0.34\""),
        ("\"rows\":2", "\"rows\":1"),
        ("2026-05-31", "2026-05-30"),
        ("\"model\":\"opus\"", "\"model\":\"haiku\""),
        ("\"account\":\"work\"", "\"account\":\"home\""),
        ("\"provider\":\"openai\"", "\"provider\":\"google\""),
        ("by project", "by account"),
        ("total 0", "total 1"),
        ("total 1", "total 0"),
        ("total 2", "total 3"),
        ("total 3", "total 2"),
        ("row 0", "row 1"),
        ("row 1", "row 2"),
        ("seal from 2026-05-01", "seal from 2026-04-01"),
        ("requests 6", "requests 5"),
        ("rows 4 by", "rows 5 by"),
        ("positions 1 to 7", "positions 1 to 6"),
        ("{\"name\"", "{ \"name\""),
        ("\"rows\":2,", "\"rows\":2,\"rows\":2,"),
    ]
    .iter()
    .filter(|(from, _)| proof.contains(from))
    .map(|(from, to)| proof.replacen(from, to, 1))
    .collect();
    assert!(changed.len() >= 20, "{proof}");
    let lines: Vec<&str> = proof.lines().collect();
    for index in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(index);
        changed.push(fewer.join("\n") + "\n");
        let mut twice = lines.clone();
        twice.insert(index, lines[index]);
        // A second equal signature is a signature too.
        if !lines[index].starts_with('—') {
            changed.push(twice.join("\n") + "\n");
        }
    }
    // One process judges all of them.
    for (number, text) in changed.iter().enumerate() {
        fs::write(cli.dir().join(format!("changed-{number}")), text).unwrap();
    }
    let runner = format!(
        "import runpy, sys, contextlib, io\nfor number in range({}):\n  sys.argv = ['verify.py', '--total', {:?} + str(number), {:?}]\n  \
         out = io.StringIO()\n  try:\n    with contextlib.redirect_stdout(out): runpy.run_path({script:?}, run_name='__main__')\n  \
         except SystemExit as end:\n    if end.code == 1 and out.getvalue().startswith('refused: '): continue\n  print(number, out.getvalue())",
        changed.len(),
        path(&cli, "changed-"),
        path(&cli, "verifier.pub"),
    );
    let done = Command::new("python3").args(["-I", "-c", &runner]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && stdout.is_empty() && stderr.is_empty(), "accepted: {stdout}{stderr}");
    for text in &changed {
        assert!(!accepts(text), "{text}");
    }
}

#[test]
fn a_proof_is_of_the_seal_that_the_customer_keeps() {
    let cli = sealed();
    fs::write(cli.dir().join("acme.proof"), acme(&cli)).unwrap();
    let (proof, verifier) = (path(&cli, "acme.proof"), path(&cli, "verifier.pub"));
    let args = ["prove", "check", &proof, "--verifier", &verifier, "--seal"];
    cli.ok(&[&args[..], &[&path(&cli, "may.seal")]].concat());
    // The holder of the key makes another seal of the same period for somebody else.
    cli.at(NOW, &["void", "8", "--reason", "again"]);
    let other = cli.at("2026-06-03T00:00:00Z", &["seal", "--since", "2026-05", "--until", "2026-06"]);
    fs::write(cli.dir().join("other.seal"), other).unwrap();
    assert!(cli.fails(1, &[&args[..], &[&path(&cli, "other.seal")]].concat()).contains("another seal"));
    let key = path(&cli, "other.key");
    let theirs = cli.ok(&["key", "generate", "--name", "a.example/log", &key]);
    assert!(cli.fails(1, &["prove", "check", &proof, "--verifier", theirs.trim()]).contains("no signature"));
    assert!(
        cli.fails(2, &["--now", "2026-06-03T00:00:00Z", "prove", "total", "--project", "acme", "--key", &key])
            .contains("did not sign")
    );
}

#[test]
fn seals_without_the_period_name_or_key_are_refused_with_a_remedy() {
    let cli = sealed();
    let fails = |args: &[&str]| cli.fails(2, &[&["--now", NOW, "prove", "total"][..], args].concat());
    assert!(fails(&["--project", "acme", "--period", "2026-04"]).contains("no seal covers"));
    assert!(fails(&["--project", "acmee"]).contains("check the name"));
    assert!(fails(&["--account", "work"]).contains("--rows-by account"));
    assert!(fails(&["--project", "acme", "--period", "may"]).contains("month"));
    assert!(fails(&[]).contains("--project"));
    let empty = TestCli::new();
    empty.ok(&["key", "generate", "--name", "a.example/log"]);
    empty.at(NOW, &["record", "--provider", "openai", "--input", "1"]);
    assert!(empty.fails(2, &["--now", NOW, "prove", "total", "--project", "acme"]).contains("nothing was sealed"));
    assert!(
        cli.fails(2, &["--now", "2026-07-02T00:00:00Z", "seal", "--until", "2026-07", "--rows-by", "day"])
            .contains("day")
    );
}

#[test]
fn totals_by_a_label_and_a_seal_of_several_months_show_each_month() {
    let cli = TestCli::new();
    cli.ok(&["key", "generate", "--name", "a.example/log"]);
    for (at, input) in [("2026-04-30T12:00:00Z", "1"), ("2026-05-01T12:00:00Z", "20"), ("2026-05-02T12:00:00Z", "300")]
    {
        cli.at(at, &["record", "--provider", "openai", "--label", "customer=acme", "--input", input]);
    }
    let seal = cli.at(NOW, &["seal", "--until", "2026-06", "--rows-by", "label:customer"]);
    assert!(seal.contains("\nrows 1 by label:customer\nrows root "), "{seal}");
    fs::write(cli.dir().join("verifier.pub"), cli.ok(&["key", "show"])).unwrap();
    let proof = cli.at(NOW, &["prove", "total", "--label", "customer=acme", "--period", "2026-05"]);
    let (ok, ours, _) = judged(&cli, &proof);
    assert!(ok && ours.contains("2026-04: 1 request, input 1\n2026-05: 2 requests, input 320\n"), "{ours}");
}

#[test]
fn proofs_survive_late_records_corrections_and_the_shredding_of_others() {
    let cli = sealed();
    let before = acme(&cli);
    let late =
        r#"{"provider":"openai","model":"gpt-5","output":5,"project":"acme","occurred_at":"2026-05-20T12:00:00Z"}"#;
    cli.ok_with_input(late, &["--now", NOW, "record", "--jsonl", "-"]);
    cli.at(NOW, &["amend", "1", "--input", "1", "--reason", "typo"]);
    assert_eq!(acme(&cli), before, "a seal never changes");
    assert_eq!(cli.json(&["verify"])["findings"], json!([]));

    cli.at(NOW, &["shred", "--project", "globex-secret", "--reason", "asked"]);
    assert_eq!(acme(&cli), before, "the leaves of other projects stay");
    assert!(cli.fails(2, &["--now", NOW, "prove", "total", "--project", "globex-secret"]).contains("check the name"));
    assert_eq!(cli.json(&["verify"])["findings"], json!([]));
    assert!(!String::from_utf8_lossy(&cli.bytes()).contains("globex-secret"));

    // Half of a project: its total cannot be computed any more, and the error states why.
    cli.at(NOW, &["shred", "1", "--reason", "asked"]);
    assert!(cli.fails(2, &["--now", NOW, "prove", "total", "--project", "acme"]).contains("were shredded"));
    assert_eq!(cli.json(&["verify"])["findings"], json!([]));
}

#[test]
fn verify_recomputes_totals_and_rows() {
    use usage_ledger::event::{NewEvent, Payload, SealedRows};
    use usage_ledger::merkle::{Hash, Signer};
    use usage_ledger::{Ledger, Timestamp, TokenRecord};

    let now: Timestamp = NOW.parse().unwrap();
    let signer = Signer::generate("a.example/log").unwrap();
    let filled = |project: &str| {
        let ledger = Ledger::in_memory().unwrap();
        ledger.record(TokenRecord::new("openai", "m").input(1).project(project).key("k"), now.plus(-60_000)).unwrap();
        ledger
    };
    let honest = filled("acme");
    honest.seal(None, now, &signer, now).unwrap();
    let signers = [signer.secret().parse().unwrap()];
    assert!(honest.verify_seals(&signers).unwrap().is_empty());
    let Payload::PeriodSealed(sealed) = honest.event(2).unwrap().payload else { panic!() };

    // Signed with the key, but about rows that the events do not have.
    let forged_rows = filled("globex");
    forged_rows.seal(None, now, &signer, now).unwrap();
    let Payload::PeriodSealed(other) = forged_rows.event(2).unwrap().payload else { panic!() };
    let mut lying = sealed.clone();
    lying.rows.clone_from(&other.rows);
    let mut more = sealed.clone();
    more.requests += 1;
    let head = |text: &str| text.lines().take(3).map(|line| format!("{line}\n")).collect::<String>();
    for (mut forged, what) in [(lying, "the rows of this seal"), (more, "the totals of this seal")] {
        forged.statement = signer.sign(&format!("{}{}", head(&sealed.statement), forged.lines())).unwrap();
        let ledger = filled("acme");
        ledger.append([NewEvent::new(forged, now)], now).unwrap();
        assert!(ledger.verify_signed(&[], &[signer.verifier().clone()]).unwrap().ok);
        let findings = ledger.verify_seals(&signers).unwrap();
        assert!(findings.len() == 1 && findings[0].position == Some(2.into()), "{findings:?}");
        assert!(findings[0].what.contains(what), "{findings:?}");
    }
    // A root that is not that of the leaves needs no key.
    let mut broken = sealed.clone();
    broken.rows = Some(SealedRows::new("project", Hash::EMPTY.to_string(), vec![Hash::of_line("x").to_string()]));
    let ledger = filled("acme");
    ledger.append([NewEvent::new(broken, now)], now).unwrap();
    let findings = ledger.verify().unwrap().findings;
    assert!(findings.iter().any(|finding| finding.what.contains("root of its rows")), "{findings:?}");
}

#[test]
fn a_seal_without_rows_stays_valid() {
    use usage_ledger::event::{NewEvent, Payload};
    use usage_ledger::merkle::Signer;
    use usage_ledger::{Ledger, ReportKey, Timestamp, TokenRecord, report::TotalRequest};

    let now: Timestamp = NOW.parse().unwrap();
    let signer = Signer::generate("a.example/log").unwrap();
    let ledger = Ledger::in_memory().unwrap();
    ledger.record(TokenRecord::new("openai", "m").input(1).project("acme"), now.plus(-60_000)).unwrap();
    ledger.seal(None, now, &signer, now).unwrap();
    let Payload::PeriodSealed(mut sealed) = ledger.event(2).unwrap().payload else { panic!() };
    ledger
        .append([NewEvent::new(usage_ledger::event::EventVoided::new(ledger.event(2).unwrap().id, "again"), now)], now)
        .unwrap();
    // What an earlier build wrote.
    sealed.rows = None;
    let head: String = sealed.statement.lines().take(3).map(|line| format!("{line}\n")).collect();
    sealed.statement = signer.sign(&format!("{head}{}", sealed.lines())).unwrap();
    let line = serde_json::to_string(&sealed).unwrap();
    assert!(!line.contains("rows"), "{line}");
    ledger.append([NewEvent::new(sealed, now)], now).unwrap();
    assert!(ledger.verify_signed(&[], &[signer.verifier().clone()]).unwrap().ok);
    let signers = [signer.secret().parse().unwrap()];
    assert!(ledger.verify_seals(&signers).unwrap().is_empty());
    let error = ledger.prove_total(&TotalRequest::of(ReportKey::Project, "acme"), &signer, now).unwrap_err();
    assert!(error.to_string().contains("has no rows"), "{error}");
}
