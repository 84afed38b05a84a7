//! Invalid input causes an error with a remedy, and does not change the ledger.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;

fn recorded() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-06-01T10:00:00Z", &["record", "--provider", "openai", "--input", "1", "--key", "r1"]);
    cli
}

/// Checks the exit code and the message, and that nothing changes.
fn refused(cli: &TestCli, code: i32, args: &[&str], expected: &str) {
    let before = cli.bytes();
    let stderr = cli.fails(code, args);
    assert!(stderr.contains(expected), "{args:?} said {stderr}");
    assert_eq!(cli.bytes(), before, "{args:?}");
}

const WRITE: [&str; 5] = ["record", "--provider", "xai", "--input", "1"];

#[test]
fn malformed_arguments_are_refused() {
    let cli = recorded();
    for (args, expected) in [
        (&["record", "--provider", "Open AI", "--input", "1"][..], "is not a provider id"),
        (&["record", "--provider", "Claude", "--input", "1"], "did you mean `anthropic`?"),
        (&["switch", "öpenai"], "is not a provider id"),
        (&["limit", "set", "x/y", "--session", "1"], "is not a provider id"),
        (&["report", "--provider", "A"], "is not a provider id"),
        (&["--tz", "Mars/Olympus", "report"], "is not an IANA time zone"),
        (&["limit", "set", "openai", "--weekly-opens", "mon 09:00 Mars/Olympus"], "is not an IANA time zone"),
        (&["--now", "yesterday", "switch", "xai"], "write RFC 3339"),
        (&["record", "--provider", "xai", "--input", "1", "--occurred-at", "2026-02-30T00:00:00Z"], "write RFC 3339"),
        (&["report", "--since", "2026-02-30"], "no such day"),
        (&["report", "--by", "colour"], "`colour` is not a report key: use provider"),
        (
            &["price", "set", "xai", "grok", "--input", "0.0000000000001", "--output", "1"],
            "cannot be kept exactly: write at most 12 decimals",
        ),
        (&["price", "set", "xai", "grok", "--input", "1", "--output", "1.5e-13"], "cannot be kept exactly"),
        (&["record", "--provider", "xai", "--input", "-5"], "a whole number from 0"),
        (&["record", "--provider", "xai", "--input", "1.5"], "a whole number from 0"),
        (&["record", "--provider", "xai", "--input", "9007199254740992"], "from 0 to 9007199254740991"),
        (&["record", "--provider", "xai", "--input", "99999999999999999999"], "a whole number from 0"),
        (&["limit", "set", "xai", "--session", "-1"], "a whole number from 0"),
        (&["record", "--provider", "xai", "--input", "1", "--cost", "cheap"], "US dollars"),
        (&["record", "--provider", "xai", "--input", "1", "--cost=-0.5"], "the cost -0.5 is negative"),
        (&["record", "--provider", "xai", "--input", "1", "--model", ""], "`model` is empty"),
        (&["--as-of", "1999-12-31T23:59:59Z", "status"], "outside the years 2000 to 2199"),
        (&["--as-of", "2200-01-01T00:00:00Z", "report"], "outside the years 2000 to 2199"),
        (&["--now", "2200-01-01T00:00:00Z", "status"], "outside the years 2000 to 2199"),
        (&["report", "--since", "0001-01-01"], "outside the years 2000 to 2199"),
        (&["report", "--until", "2200-01"], "outside the years 2000 to 2199"),
        (&["log", "--since", "9999-01-01T00:00:00Z"], "outside the years 2000 to 2199"),
        (&["pause", "--until", "2300-01-01T00:00:00Z"], "outside the years 2000 to 2199"),
        (
            &["override", "openai", "--used", "3", "--resets-at", "1970-01-01T00:00:00Z"],
            "outside the years 2000 to 2199",
        ),
        (&["switch", "xai", "--occurred-at", "2200-01-01T00:00:00Z"], "outside the years 2000 to 2199"),
        (&["record", "--provider", "openai", "--input", "2", "--key", "r1"], "(`usage-ledger amend"),
    ] {
        refused(&cli, 2, args, expected);
    }
}

#[test]
fn one_bad_line_rejects_the_whole_batch() {
    let cli = recorded();
    let before = cli.bytes();
    let good = r#"{"provider":"xai","input":1}"#;
    for (bad, expected) in [
        (r#"{"provider":"xai","inputs":1}"#.as_bytes(), "line 3: unknown field `inputs` (did you mean `input`?)"),
        (br#"{"provider":"xai","input":-1}"#, "line 3: `input` is -1: it must be a whole number from 0"),
        (br#"{"provider":"xai","input":"1"}"#, "line 3: `input` is \"1\""),
        (br#"{"provider":"xai","input":1e3}"#, "line 3: `input` is 1e3"),
        (br#"{"provider":"xai","input":9007199254740992}"#, "line 3: `input` is 9007199254740992"),
        (br#"{"provider":"X AI","input":1}"#, "line 3: `X AI` is not a provider id"),
        (br#"{"provider":"xai"}"#, "line 3: a record needs at least one token count"),
        (br#"{"input":1}"#, "line 3: `provider` is missing"),
        (br#"{"provider":"xai","input":1,"occurred_at":"noon"}"#, "line 3: `noon` is not a time"),
        (br#"{"provider":"xai","input":1"#, "line 3: "),
        (b"{\"provider\":\"xai\",\"input\":1,\"model\":\"\xff\xfe\"}", "line 3: byte 38 is not UTF-8"),
        (br#"{"provider":"openai","input":2,"key":"r1"}"#, "line 3: event "),
        (b"\x00\x01\x02", "line 3: "),
        (b"[1,2]", "line 3: "),
    ] {
        let mut input = format!("{good}\n\n").into_bytes();
        input.extend_from_slice(bad);
        input.extend_from_slice(format!("\n{good}\n").as_bytes());
        let stderr = cli.fails_with_input(2, input, &["record", "--jsonl", "-"]);
        assert!(stderr.contains(expected), "{expected:?} is not in {stderr:?}");
        assert!(stderr.contains("nothing was written"), "{stderr}");
    }
    let endless = "x".repeat(2 << 20);
    assert!(cli.fails_with_input(2, endless, &["record", "--jsonl", "-"]).contains("line 1: the line is longer"));
    assert_eq!(cli.bytes(), before);
}

#[test]
fn contradicting_lines_of_a_batch_are_a_conflict() {
    let cli = recorded();
    let before = cli.bytes();
    let lines = "{\"provider\":\"xai\",\"input\":1,\"key\":\"k\"}\n{\"provider\":\"xai\",\"input\":2,\"key\":\"k\"}\n";
    // Nothing is written, so there is no event to amend.
    let refused = cli.fails_with_input(2, lines, &["record", "--jsonl", "-"]);
    assert!(refused.contains("line 2: an earlier record of this input") && !refused.contains("amend"), "{refused}");
    assert_eq!(cli.bytes(), before);
}

#[test]
fn malformed_responses_are_refused() {
    let cli = recorded();
    let before = cli.bytes();
    for (format, response) in [
        ("anthropic", "<html>502</html>"),
        ("anthropic", "{\"type\":\"error\"}"),
        ("openai-chat", ""),
        ("openai-chat", r#"{"usage":{"prompt_tokens":"many","completion_tokens":1}}"#),
    ] {
        cli.fails_with_input(2, response, &["record", "--format", format]);
    }
    cli.fails_with_input(2, b"\xff\xfe".to_vec(), &["record", "--format", "anthropic"]);
    assert_eq!(cli.bytes(), before);
}

#[test]
fn files_that_are_not_ledgers_are_not_changed() {
    let cli = TestCli::new();
    let at = |name: &str| cli.dir().join(name).to_str().unwrap().to_owned();
    let foreign = rusqlite::Connection::open(at("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1);").unwrap();
    drop(foreign);
    std::fs::write(at("text.txt"), "dear diary\n".repeat(100)).unwrap();
    std::fs::write(at("short"), "x").unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    for (name, expected) in [
        ("foreign.db", "another program"),
        ("text.txt", "not an SQLite database"),
        ("short", "not an SQLite database"),
        ("directory", "it is a directory"),
    ] {
        let read = || std::fs::read(at(name)).ok();
        let before = read();
        for command in [&["status"][..], &WRITE, &["verify"], &["log"]] {
            let stderr = cli.fails(3, &[&["--ledger", &at(name)], command].concat());
            assert!(stderr.contains(expected) && stderr.contains("--ledger"), "{name}: {stderr}");
        }
        assert_eq!(read(), before, "{name}");
        assert!(!std::path::Path::new(&format!("{}-wal", at(name))).exists());
    }
}

#[test]
fn a_ledger_with_a_newer_schema_is_not_changed() {
    let cli = recorded();
    rusqlite::Connection::open(cli.ledger()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for command in [&["status"][..], &WRITE, &["verify"], &["replay", "--write"]] {
        refused(&cli, 3, command, "use a newer usage-ledger");
    }
}

#[test]
fn a_schema_number_of_other_tables_is_damage() {
    for number in [-1, 0, 1] {
        let cli = recorded();
        rusqlite::Connection::open(cli.ledger()).unwrap().pragma_update(None, "user_version", number).unwrap();
        for command in [&["status"][..], &WRITE, &["verify"]] {
            refused(
                &cli,
                3,
                command,
                &format!("the file states schema {number}, and its tables are not of that schema"),
            );
        }
    }
}

#[test]
fn a_damaged_ledger_is_reported_and_not_changed() {
    let cli = recorded();
    let mut bytes = cli.bytes();
    bytes[4_096..].fill(0xAA);
    std::fs::write(cli.ledger(), &bytes).unwrap();
    for command in [&["status"][..], &["report"], &["export"], &WRITE] {
        refused(&cli, 3, command, "damaged");
    }
}
