//! A user names the ledger where a command expects another file. The command refuses it before it opens the file, because
//! closing the file would drop the locks that the process holds on the ledger.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_support::TestCli;

/// Each option that takes the path of a file, with `FILE` in its place.
const COMMANDS: &[&[&str]] = &[
    &["record", "--jsonl", "FILE"],
    &["record", "--format", "anthropic", "FILE"],
    &["settle", "RESERVATION", "--format", "anthropic", "FILE"],
    &["quota", "observe", "--format", "claude-statusline", "FILE"],
    &["gate", "anthropic", "--feed", "claude-statusline=FILE"],
    &["scan-output", "anthropic", "--stdout", "FILE"],
    &["scan-output", "anthropic", "--stderr", "FILE", "--exit-code", "1"],
    &["report", "--prices", "FILE"],
    &["report", "--by", "day", "--svg", "FILE"],
    &["report", "--by", "day", "--png", "FILE"],
    &["limit", "set", "anthropic", "--settings", "FILE"],
    &["doctor", "--self-check", "FILE"],
    &["rpc", "--key", "FILE"],
    &["export", "--output", "FILE"],
    &["export", "--format", "csv", "--output", "FILE"],
    &["key", "generate", "FILE"],
    &["key", "show", "FILE"],
    &["checkpoint", "--key", "FILE"],
    &["checkpoint", "--key", "KEY", "--out", "FILE"],
    &["seal", "--until", "2026-01-01", "--key", "FILE"],
    &["prove", "inclusion", "1", "--key", "FILE"],
    &["prove", "inclusion", "1", "--checkpoint", "FILE"],
    &["prove", "consistency", "FILE"],
    &["prove", "consistency", "TEXT", "--key", "FILE"],
    &["prove", "check", "FILE", "--line", "TEXT", "--verifier", "VERIFIER"],
    &["prove", "check", "TEXT", "--line", "FILE", "--verifier", "VERIFIER"],
    &["prove", "check", "TEXT", "--old", "FILE", "--verifier", "VERIFIER"],
    &["prove", "check", "TEXT", "--seal", "FILE", "--verifier", "VERIFIER"],
    &["prove", "check", "TEXT", "--line", "TEXT", "--verifier", "FILE"],
    &["prove", "total", "--project", "p", "--key", "FILE"],
    &["verify", "--key", "FILE"],
    &["verify", "--checkpoint", "TEXT", "--policy", "FILE"],
    &["witness", "submit", "--policy", "FILE"],
    &["witness", "submit", "--policy", "POLICY", "--checkpoint", "FILE"],
    &["witness", "submit", "--policy", "POLICY", "--key", "FILE"],
    &["witness", "submit", "--policy", "POLICY", "--key", "KEY", "--out", "FILE"],
    #[cfg(feature = "web")]
    &["witness", "serve", "WITNESS", "--log", "FILE", "--listen", "127.0.0.1:0"],
    &["verify", "--checkpoint", "FILE", "--verifier", "VERIFIER"],
    &["verify", "--checkpoint", "TEXT", "--verifier", "FILE"],
    &["prove", "total", "--project", "acme", "--key", "FILE"],
    &["allocate", "--format", "csv", "--output", "FILE"],
    &["witness", "submit", "--policy", "TEXT", "--checkpoint", "FILE"],
    &["witness", "submit", "--policy", "TEXT", "--key", "FILE"],
    &["witness", "submit", "--policy", "TEXT", "--out", "FILE"],
    #[cfg(feature = "web")]
    &["witness", "serve", "OTHER", "--log", "FILE"],
    &["gate", "anthropic", "--from", "http://127.0.0.1:9", "--token-file", "FILE"],
    &["push", "http://127.0.0.1:9", "--token-file", "FILE"],
    &["push", "http://127.0.0.1:9", "--out", "FILE"],
    &["pull", "http://127.0.0.1:9", "FILE"],
    &["pull", "http://127.0.0.1:9", "OTHER", "--server-key", "FILE"],
    &["pull", "http://127.0.0.1:9", "OTHER", "--token-file", "FILE"],
    #[cfg(feature = "archive")]
    &["archive", "save", "file:///nowhere", "--key", "FILE"],
    #[cfg(all(feature = "archive", feature = "postgres"))]
    &["archive", "move", "file:///nowhere", "--before", "9", "--key", "FILE"],
    #[cfg(feature = "archive")]
    &["archive", "verify", "file:///nowhere", "--verifier", "FILE"],
    #[cfg(feature = "archive")]
    &["archive", "restore", "file:///nowhere", "FILE", "--verifier", "VERIFIER"],
    #[cfg(feature = "archive")]
    &["archive", "restore", "file:///nowhere", "OTHER", "--verifier", "FILE"],
    &["reconcile", "FILE"],
    &["backup", "FILE"],
    &["backup", "--replace", "FILE"],
    &["backup", "OTHER", "--key", "FILE"],
    &["restore", "BACKUP", "--replace", "--checkpoint", "FILE", "--verifier", "VERIFIER"],
    #[cfg(feature = "web")]
    &["serve", "--otlp", "--listen", "127.0.0.1:0", "--token-file", "FILE"],
    #[cfg(feature = "web")]
    &["serve", "--listen", "127.0.0.1:0", "--key", "FILE"],
];

/// The calls of `open` by one command, with their paths.
fn opened(cli: &TestCli, args: &[String]) -> Option<String> {
    let log = cli.dir().join("strace.log");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=open,openat,creat", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_usage-ledger"))
        .args(args)
        .env_clear()
        .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
        .output();
    traced.is_ok().then(|| fs::read_to_string(&log).unwrap_or_default())
}

fn inputs(cli: &TestCli) -> [(&'static str, String); 7] {
    let path = |name: &str| cli.dir().join(name).display().to_string();
    cli.ok(&["key", "generate", &path("key")]);
    let verifier = cli.ok(&["key", "show", &path("key")]).trim().to_owned();
    let note = cli.ok(&["checkpoint", "--key", &path("key")]);
    fs::write(path("text"), note).unwrap();
    let witness = cli.ok(&["witness", "init", &path("witness"), "--name", "witness.example/w1"]);
    let witness = witness.trim();
    let policy = format!("log {verifier}\nwitness w1 {witness} http://127.0.0.1:9/\nquorum w1\n");
    fs::write(path("policy"), policy).unwrap();
    cli.ok(&["backup", &path("backup.db"), "--key", &path("key")]);
    [
        ("KEY", path("key")),
        ("TEXT", path("text")),
        ("VERIFIER", verifier),
        ("BACKUP", path("backup.db")),
        ("OTHER", path("other.db")),
        ("POLICY", path("policy")),
        ("WITNESS", path("witness")),
    ]
}

/// The options and arguments of each command that take a path, from the manual pages: `("report", "--svg")`.
fn file_arguments(cli: &TestCli) -> Vec<(String, String)> {
    let pages = cli.dir().join("man");
    fs::create_dir_all(&pages).unwrap();
    cli.ok(&["man", "--dir", pages.to_str().unwrap()]);
    let mut found = Vec::new();
    for page in fs::read_dir(pages).unwrap() {
        let path = page.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().replace("usage-ledger", "");
        for line in fs::read_to_string(&path).unwrap().lines() {
            let line = line.replace("\\fB", "").replace("\\fR", "").replace("\\fI", "").replace("\\-", "-");
            let option = line.split_whitespace().find(|word| word.starts_with("--"));
            let option = option.map(|option| option.trim_end_matches(','));
            let is_file =
                ["FILE>", "LOG>"].iter().any(|end| line.ends_with(end) || line.ends_with(&format!("{end}...")));
            match option {
                Some(option) if is_file && line.starts_with('-') => {
                    found.push((name.trim_start_matches('-').to_owned(), option.to_owned()));
                }
                None if line == "<FILE>" || line == "[FILE]" => {
                    found.push((name.trim_start_matches('-').to_owned(), "FILE".to_owned()));
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_argument_that_is_a_file_is_tried() {
    let arguments = file_arguments(&TestCli::new());
    assert!(arguments.len() > 20, "{arguments:?}");
    for (command, argument) in arguments {
        let tried = COMMANDS.iter().any(|words| {
            let name = words.iter().take_while(|word| !word.starts_with('-')).copied().collect::<Vec<_>>().join("-");
            (name == command || name.starts_with(&format!("{command}-")))
                && words.contains(&argument.as_str())
                && words.iter().any(|word| word.ends_with("FILE"))
        });
        assert!(tried, "{command} {argument} is not in COMMANDS");
    }
}

#[test]
fn settings_are_not_read_from_the_ledger() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "anthropic", "--model", "m", "--input", "5"]);
    let done = cli.command().env("USAGE_LEDGER_CONFIG", cli.ledger()).arg("status").output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && stderr.contains("is a file of the ledger itself"), "{stderr}");
}

fn files(ledger: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    // Readers change the index of the write-ahead log.
    let names = ["", "-wal"].map(|end| PathBuf::from(format!("{}{end}", ledger.display())));
    names.map(|name| (name.clone(), fs::read(&name).ok())).into()
}

#[test]
fn a_command_never_reads_or_writes_the_ledger_as_another_file() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "anthropic", "--model", "m", "--input", "5"]);
    let reservation = cli.json(&["reserve", "anthropic", "5"]);
    let reservation = reservation["id"].as_str().unwrap().to_owned();
    let inputs = inputs(&cli);
    let link = cli.dir().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(cli.ledger(), &link).unwrap();
    // A write-ahead log exists while another program has the ledger open.
    let _open = usage_ledger::Ledger::open(cli.ledger()).unwrap();
    for end in ["", "-wal", "-shm", "link"] {
        let file = if end == "link" { link.clone() } else { cli.dir().join(format!("usage.db{end}")) };
        let before = files(&cli.ledger());
        for command in COMMANDS {
            let args: Vec<String> = command
                .iter()
                .map(|arg| match inputs.iter().find(|(name, _)| name == arg) {
                    Some((_, value)) => value.clone(),
                    None if *arg == "RESERVATION" => reservation.clone(),
                    None => arg.replace("FILE", &file.display().to_string()),
                })
                .collect();
            let done = cli.command().args(&args).output().unwrap();
            let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(2), "{args:?}: {stderr}");
            assert!(stderr.contains("is a file of the ledger itself"), "{args:?}: {stderr}");
            assert_eq!(files(&cli.ledger()), before, "{args:?} changed the ledger");
        }
    }
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

#[test]
fn an_import_refuses_a_log_that_is_the_ledger() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "anthropic", "--model", "m", "--input", "5"]);
    let home = cli.dir().join("home");
    let logs = home.join(".claude/projects/-p");
    fs::create_dir_all(&logs).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(cli.ledger(), logs.join("s.jsonl")).unwrap();
    let done = cli.command().args(["import", "claude-code", "--home"]).arg(&home).output().unwrap();
    let output = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert_eq!(done.status.code(), Some(1), "{output}");
    assert!(output.contains("is a file of the ledger itself"), "{output}");
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

/// Checks every source file of the surfaces that opens files, including new ones.
#[test]
fn each_source_that_opens_files_refuses_the_ledger() {
    for layer in ["cli", "app", "present"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let opens = [
                "File::open",
                "File::create",
                "File::options",
                "OpenOptions",
                "fs::read(",
                "fs::read_to_string",
                "fs::write",
            ];
            // Tests write documentation.
            let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            let opens = opens.iter().any(|call| code.contains(call));
            assert!(!opens || text.contains("refuse_ledger("), "{} opens files", path.display());
        }
    }
}

/// SQLite opens the ledger once for each connection, and nothing else opens it.
#[test]
fn nothing_but_sqlite_opens_the_ledger() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "anthropic", "--model", "m", "--input", "5"]);
    let ledger = cli.ledger().display().to_string();
    for args in [&["record", "--jsonl", &ledger][..], &["export", "--output", &ledger], &["key", "show", &ledger]] {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let Some(log) = opened(&cli, &args) else { return };
        // SQLite opens with O_NOFOLLOW, which no other part of the program does.
        let bare: Vec<&str> =
            log.lines().filter(|line| line.contains("/usage.db\"") && !line.contains("O_NOFOLLOW")).collect();
        assert!(bare.is_empty(), "{args:?}: {bare:#?}");
    }
}
