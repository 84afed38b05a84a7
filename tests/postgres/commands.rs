//! The command on a ledger in PostgreSQL.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::DATABASE;
use crate::cluster::Cluster;

pub fn run(ledger: &str, home: &Path, arguments: &[&str]) -> Output {
    assert_cmd::Command::cargo_bin("usage-ledger")
        .unwrap()
        .env_clear()
        .env("HOME", home)
        .env("USAGE_LEDGER", ledger)
        .env("USAGE_LEDGER_NOW", "2026-06-02T10:00:00Z")
        .args(arguments)
        .output()
        .unwrap()
}

const RECORD: [&str; 12] = [
    "record",
    "--provider",
    "anthropic",
    "--model",
    "claude-opus-4-5",
    "--input",
    "100",
    "--output",
    "7",
    "--key",
    "k1",
    "--json",
];

/// Commands with their exit codes, in an order in which each has what it needs.
pub const COMMANDS: [(&[&str], i32); 33] = [
    (&RECORD, 0),
    (
        &[
            "record",
            "--provider",
            "openai",
            "--model",
            "gpt-5",
            "--input",
            "5",
            "--project",
            "acme",
            "--conversation",
            "c",
        ],
        0,
    ),
    (&["switch", "openai", "--reason", "limit"], 0),
    (&["limit", "set", "anthropic", "--session", "1000", "--weekly", "9000"], 0),
    (&["status"], 0),
    (&["status", "--json"], 0),
    (&["report"], 0),
    (&["report", "--by", "day,model", "--json"], 0),
    (&["report", "--as-of", "1"], 0),
    (&["gate", "anthropic"], 0),
    (&["log"], 0),
    (&["show", "1"], 0),
    (&["pause", "--reason", "lunch"], 0),
    (&["resume"], 0),
    (&["amend", "1", "--input", "90", "--reason", "wrong"], 0),
    (&["void", "2", "--reason", "twice"], 0),
    (&["price", "set", "openai", "gpt-5", "--input", "1", "--output", "2"], 0),
    (&["verify"], 0),
    (&["verify", "--json"], 0),
    (&["replay"], 0),
    (&["key", "generate"], 0),
    (&["checkpoint"], 0),
    (&["prove", "inclusion", "1"], 0),
    (&["seal", "--until", "2026-06"], 0),
    (&["export", "--format", "events"], 0),
    (&["import"], 0),
    (&["doctor"], -1),
    (&["statusline"], 0),
    (&["sql", "SELECT count(*) FROM calls"], 0),
    (&["config", "show"], 0),
    (&["shred", "2", "--reason", "asked for"], 0),
    (&["verify"], 0),
    (&[], 0),
];

pub fn every_command(cluster: &Cluster) {
    let home = tempfile::tempdir().unwrap();
    // A database of its own: to erase what was shredded, the tables of all ledgers are rewritten.
    cluster.create_database("commands");
    let address = cluster.fresh("commands");
    let file = home.path().join("usage.db").display().to_string();
    for (arguments, code) in COMMANDS {
        let (there, here) = (run(&address, home.path(), arguments), run(&file, home.path(), arguments));
        let text = format!(
            "{arguments:?}: {}{}",
            String::from_utf8_lossy(&there.stdout),
            String::from_utf8_lossy(&there.stderr)
        );
        if arguments != ["key", "generate"] {
            assert_eq!(there.status.code(), here.status.code(), "{text}");
        }
        assert!(code == -1 || there.status.code() == Some(code), "{text}");
    }
    // A backup is a copy of a file, and a server has its own.
    let backup = run(&address, home.path(), &["backup", &home.path().join("copy.db").display().to_string()]);
    assert_eq!(backup.status.code(), Some(2), "{}", String::from_utf8_lossy(&backup.stderr));
    // A ledger that does not exist is an empty one for a reader, and is not created by it.
    let missing = cluster.fresh(DATABASE);
    assert!(run(&missing, home.path(), &["report"]).status.success());
    assert_eq!(
        run(&missing, home.path(), &["verify"]).status.code(),
        run("/nowhere.db", home.path(), &["verify"]).status.code()
    );
    let name = missing.rsplit('=').next().unwrap();
    assert_eq!(
        cluster.sql(DATABASE, &format!("SELECT count(*) FROM usage_ledger.heads WHERE ledger_id = '{name}'")),
        "0"
    );
}

pub fn equal_answers(cluster: &Cluster) {
    let home = tempfile::tempdir().unwrap();
    let lines: String = (0..3_000)
        .map(|n| {
            format!(
                "{{\"provider\":\"{}\",\"model\":\"m{}\",\"input\":{n},\"output\":2,\"key\":\"{n}\",\"occurred_at\":\"2026-05-{:02}T{:02}:{:02}:00Z\",\"project\":\"p{}\",\"conversation\":\"c{}\"}}\n",
                ["anthropic", "openai"][n % 2], n % 3, 1 + n % 28, n % 24, n % 60, n % 11, n % 200
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let input = home.path().join("in.jsonl");
    fs::write(&input, lines).unwrap();
    let input = input.display().to_string();
    let (address, file) = (cluster.fresh(DATABASE), home.path().join("usage.db").display().to_string());
    let record = ["record", "--jsonl", input.as_str()];
    for ledger in [&address, &file] {
        let done = run(ledger, home.path(), &record);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    for arguments in [
        &["report", "--by", "day,model", "--json"][..],
        &["report", "--by", "project", "--json"],
        &["report", "--by", "conversation", "--json", "--since", "2026-05-10"],
        &["report", "--by", "window", "--json"],
        &["report", "--by", "provider", "--as-of", "1234", "--json"],
        &["status", "--json"],
        &["log", "--json"],
        &["verify", "--json"],
        &["export", "--format", "events"],
    ] {
        let (there, here) = (run(&address, home.path(), arguments), run(&file, home.path(), arguments));
        assert!(there.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&there.stderr));
        // Recorded with one clock and keys, both logs are the same bytes.
        assert!(there.stdout == here.stdout, "{arguments:?} differs");
    }
}

pub fn no_secrets(cluster: &Cluster) {
    let home = tempfile::tempdir().unwrap();
    let name = cluster.fresh_name();
    let good = format!("postgres://admin:s3cret@127.0.0.1:{}/{DATABASE}?ledger={name}", cluster.port);
    let ledgers = [
        good.clone(),
        good.replace(DATABASE, "missing"),
        format!("postgres://nobody:s3cret@127.0.0.1:{}/{DATABASE}?ledger={name}", cluster.port),
        "postgres://admin:s3cret@127.0.0.1:1/usage".to_owned(),
        "postgres://admin:s3cret@db.invalid/usage?sslmode=require".to_owned(),
        "postgres://admin:s3cret@[::1/usage?x".to_owned(),
    ];
    for ledger in &ledgers {
        for arguments in [
            &RECORD[..],
            &["status"],
            &["report", "--json"],
            &["doctor"],
            &["config", "show"],
            &["config", "show", "--json"],
            &["verify"],
            &["--help"],
            &["import", "--help"],
            &["install", "service", "--dry-run"],
            &["backup", "x.db"],
        ] {
            let by_variable = run(ledger, home.path(), arguments);
            let by_flag = run("", home.path(), &[&["--ledger", ledger.as_str()], arguments].concat());
            for out in [by_variable, by_flag] {
                let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
                assert!(!text.contains("s3cret"), "{arguments:?} on {ledger}: {text}");
                assert!(!text.contains("panicked"), "{text}");
            }
        }
    }
    let unreachable = run(&ledgers[3], home.path(), &["status"]);
    assert_eq!(unreachable.status.code(), Some(3), "{}", String::from_utf8_lossy(&unreachable.stderr));
}
