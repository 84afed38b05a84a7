//! A read-only ledger: queries work, no file is left next to it, and writing commands state what is missing.

use std::collections::BTreeMap;
use std::fs;
#[cfg(feature = "web")]
use std::io::Read;
use std::io::{BufRead, BufReader, Write};
#[cfg(feature = "web")]
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::cli_support::TestCli;
#[cfg(feature = "web")]
use crate::cli_support::server;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

const NOW: &str = "2026-06-01T12:00:00Z";

/// Commands that only read.
const QUESTIONS: [&[&str]; 17] = [
    &["status"],
    &["--json", "status"],
    &["report", "--by", "day,model"],
    &["--json", "report", "--by", "conversation"],
    &["verify"],
    &["replay"],
    &["export"],
    &["gate", "anthropic"],
    &["statusline", "--provider", "anthropic", "--no-color"],
    &["log"],
    &["show", "1"],
    &["quota", "show"],
    &["limit", "show"],
    &["provider", "list"],
    &["--as-of", "1", "report"],
    &["--json", "--as-of", "2", "status"],
    &["sql", "SELECT count(*) FROM calls"],
];

/// A ledger with data for each query.
fn cli() -> TestCli {
    let cli = TestCli::new();
    for args in [
        &["record", "--provider", "anthropic", "--model", "m", "--input", "5", "--conversation", "c"][..],
        &["limit", "set", "anthropic", "--session", "500000"],
        &["switch", "anthropic"],
    ] {
        cli.at("2026-06-01T11:00:00Z", args);
    }
    cli
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs the command as a user with restricted permissions, unlike root; `None` where that is impossible.
fn ask(cli: &TestCli, ledger: &Path, args: &[&str]) -> Option<Output> {
    let is_root = is_root();
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(env!("CARGO_BIN_EXE_usage-ledger")).args(["--now", NOW]).args(args);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", cli.dir()).env("TZ", "UTC");
    match command.env("USAGE_LEDGER", ledger).output() {
        // Other users may not enter the build directory, or the tool is missing.
        Ok(done) if is_root && done.status.code().is_none_or(|code| code >= 126) => None,
        Err(_) if is_root => None,
        done => Some(done.unwrap()),
    }
}

fn is_root() -> bool {
    let own = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::MetadataExt::uid(&own.as_file().metadata().unwrap()) == 0
}

/// Moves the write-ahead log into the file.
fn empty_log(cli: &TestCli) {
    let connection = rusqlite::Connection::open(cli.ledger()).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn queries_work_on_read_only_files_and_directories() {
    let cli = cli();
    let answers: Vec<String> = QUESTIONS.iter().map(|args| cli.at(NOW, args)).collect();
    let place = cli.dir().join("closed");
    fs::create_dir(&place).unwrap();
    let ledger = place.join("usage.db");
    empty_log(&cli);
    fs::copy(cli.ledger(), &ledger).unwrap();
    mode(cli.dir(), 0o755);
    for (of_file, of_directory, missing) in
        [(0o444, 0o777, "the file cannot"), (0o666, 0o555, "the directory"), (0o444, 0o555, "the file cannot")]
    {
        mode(&ledger, of_file);
        mode(&place, of_directory);
        let before = names(&place);
        for (args, answer) in QUESTIONS.iter().zip(&answers) {
            let Some(done) = ask(&cli, &ledger, args) else { return };
            let stderr = text(&done.stderr);
            assert_eq!((text(&done.stdout), done.status.code()), (answer.clone(), Some(0)), "{args:?}: {stderr}");
            assert!(stderr.contains("read-only") && stderr.contains(missing), "{args:?}: {stderr}");
        }
        for args in [&["record", "--provider", "openai", "--input", "1"][..], &["switch", "openai"], &["pause"]] {
            let done = ask(&cli, &ledger, args).unwrap();
            let stderr = text(&done.stderr);
            assert_eq!(done.status.code(), Some(3), "{args:?}: {stderr}");
            assert!(stderr.contains(missing) && stderr.contains("no permission"), "{args:?}: {stderr}");
        }
        assert_eq!(names(&place), before, "something was left beside the ledger");
    }
    mode(&place, 0o755);
}

#[test]
fn queries_of_a_read_only_ledger_include_its_write_ahead_log() {
    let cli = cli();
    let place = cli.dir().join("closed");
    fs::create_dir(&place).unwrap();
    let writer = Ledger::open(cli.ledger()).unwrap();
    let now: Timestamp = "2026-06-01T11:30:00Z".parse().unwrap();
    writer.record(TokenRecord::new("anthropic", "m").input(70), now).unwrap();
    // The state after a kill: the last commit is in the log, and there is no index.
    for end in ["", "-wal"] {
        let name = format!("usage.db{end}");
        fs::copy(cli.dir().join(&name), place.join(&name)).unwrap();
        mode(&place.join(&name), 0o444);
    }
    drop(writer);
    assert!(fs::metadata(place.join("usage.db-wal")).unwrap().len() > 0);
    mode(cli.dir(), 0o755);
    for of_directory in [0o555, 0o777] {
        mode(&place, of_directory);
        let before = names(&place);
        for args in QUESTIONS {
            let Some(done) = ask(&cli, &place.join("usage.db"), args) else { return };
            assert_eq!(text(&done.stdout), cli.at(NOW, args), "{args:?}: {}", text(&done.stderr));
        }
        assert_eq!(names(&place), before);
    }
    mode(&place, 0o755);
}

#[test]
fn a_reader_and_a_writer_do_not_block_each_other() {
    let cli = cli();
    mode(cli.dir(), 0o755);
    let writer = Ledger::open(cli.ledger()).unwrap();
    for end in ["", "-wal", "-shm"] {
        mode(&cli.dir().join(format!("usage.db{end}")), 0o644);
    }
    for n in 0..5 {
        let at: Timestamp = format!("2026-06-01T11:3{n}:00Z").parse().unwrap();
        writer.record(TokenRecord::new("anthropic", "m").input(n), at).unwrap();
        let Some(done) = ask(&cli, &cli.ledger(), &["export"]) else { return };
        assert_eq!(text(&done.stdout).lines().count() as u64, 4 + n, "{}", text(&done.stderr));
    }
    let count = writer.head().unwrap().position.get();
    drop(writer);
    assert_eq!(Ledger::open(cli.ledger()).unwrap().head().unwrap().position.get(), count);
    cli.ok(&["verify"]);
}

#[test]
fn a_decision_uses_a_feed_that_cannot_be_recorded() {
    let cli = cli();
    let place = cli.dir().join("closed");
    fs::create_dir(&place).unwrap();
    let ledger = place.join("usage.db");
    empty_log(&cli);
    fs::copy(cli.ledger(), &ledger).unwrap();
    let feed = cli.dir().join("feed.json");
    // The session is full until long after the time of the query.
    fs::write(&feed, r#"{"rate_limits":{"five_hour":{"used_percentage":99,"resets_at":1780325000}}}"#).unwrap();
    mode(&ledger, 0o444);
    mode(&place, 0o555);
    mode(cli.dir(), 0o755);
    let feed = format!("claude-statusline={}", feed.display());
    let Some(done) = ask(&cli, &ledger, &["gate", "anthropic", "--feed", &feed]) else { return };
    let stderr = text(&done.stderr);
    assert_eq!(done.status.code(), Some(75), "{stderr}{}", text(&done.stdout));
    assert!(stderr.contains("were not recorded"), "{stderr}");
    assert_eq!(
        cli.command().args(["--now", NOW, "gate", "anthropic", "--feed", &feed]).assert().code(75).get_output().stdout,
        done.stdout
    );
    mode(&place, 0o755);
}

/// `prove`, `checkpoint` and `doctor` need a key or report the state of the file, so each has its own expectation.
#[test]
fn proofs_checkpoints_and_the_doctor_answer_from_a_read_only_ledger() {
    let cli = cli();
    let place = cli.dir().join("closed");
    fs::create_dir(&place).unwrap();
    let ledger = place.join("usage.db");
    let key = place.join("key").display().to_string();
    let verifier = cli.ok(&["key", "generate", "--name", "a.example/log", &key]).trim().to_owned();
    let old = cli.dir().join("old.checkpoint").display().to_string();
    fs::write(&old, cli.ok(&["checkpoint", "--key", &key])).unwrap();
    cli.at("2026-06-01T11:10:00Z", &["record", "--provider", "openai", "--input", "3"]);
    let questions: [&[&str]; 6] = [
        &["prove", "inclusion", "1", "--key", &key],
        &["prove", "consistency", &old, "--key", &key],
        &["checkpoint", "--key", &key],
        &["--json", "verify", "--checkpoint", &old, "--verifier", &verifier],
        &["--json", "doctor", "--home", "/nonexistent"],
        &["doctor", "--home", "/nonexistent"],
    ];
    let answers: Vec<(String, Option<i32>)> = questions
        .iter()
        .map(|args| {
            let done = cli.command().args(["--now", NOW]).args(*args).output().unwrap();
            (text(&done.stdout), done.status.code())
        })
        .collect();
    empty_log(&cli);
    fs::copy(cli.ledger(), &ledger).unwrap();
    mode(cli.dir(), 0o755);
    mode(Path::new(&old), 0o644);
    if is_root() {
        std::os::unix::fs::chown(&key, Some(65_534), Some(65_534)).unwrap();
    }
    mode(&ledger, 0o444);
    mode(&place, 0o555);
    let before = names(&place);
    for (args, (answer, code)) in questions.iter().zip(&answers) {
        let Some(done) = ask(&cli, &ledger, args) else { return };
        let stderr = text(&done.stderr);
        let answer = answer.replace(&cli.ledger().display().to_string(), &ledger.display().to_string());
        assert_eq!((text(&done.stdout), done.status.code()), (answer, *code), "{args:?}: {stderr}");
        assert!(stderr.contains("read-only"), "{args:?}: {stderr}");
    }
    let refused = ask(&cli, &ledger, &["doctor", "--repair"]).unwrap();
    assert!(refused.status.code() == Some(3) || refused.status.success(), "{}", text(&refused.stderr));
    assert_eq!(names(&place), before, "something was left beside the ledger");
    mode(&place, 0o755);
}

/// A scan that cannot be recorded is still answered.
#[test]
fn a_scan_answers_though_its_finding_cannot_be_recorded() {
    let cli = cli();
    let place = cli.dir().join("closed");
    fs::create_dir(&place).unwrap();
    let ledger = place.join("usage.db");
    empty_log(&cli);
    fs::copy(cli.ledger(), &ledger).unwrap();
    let output = cli.dir().join("output");
    fs::write(&output, "You've hit your limit · resets 3pm (UTC)\n").unwrap();
    mode(cli.dir(), 0o755);
    mode(&output, 0o644);
    mode(&ledger, 0o444);
    mode(&place, 0o555);
    let file = output.display().to_string();
    let args = ["--json", "scan-output", "anthropic", "--stderr", &file, "--exit-code", "1", "--wait"];
    let Some(done) = ask(&cli, &ledger, &args) else { return };
    let stderr = text(&done.stderr);
    assert_eq!(done.status.code(), Some(75), "{stderr}");
    let answer: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&answer["exhausted"], &answer["position"]), (&true.into(), &serde_json::Value::Null), "{answer}");
    assert!(stderr.contains("was not recorded") && stderr.contains("cannot be written"), "{stderr}");
    mode(&place, 0o755);
}

/// Runs a script as root of a separate mount name space; `None` where that is not permitted.
fn in_own_mounts(script: &str, arguments: &[&Path]) -> Option<Output> {
    let permitted = Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|done| done.status.success());
    if !permitted {
        eprintln!("skipped: this machine permits no mounts");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-ec", script, env!("CARGO_BIN_EXE_usage-ledger")]).args(arguments);
    Some(command.env("TZ", "UTC").env("HOME", "/nonexistent").output().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn queries_work_on_a_read_only_mount_and_a_full_disk() {
    let cli = cli();
    let medium = cli.dir().join("medium");
    fs::create_dir(&medium).unwrap();
    let ask =
        QUESTIONS.map(|args| format!("\"$0\" --ledger \"$2/usage.db\" --now {NOW} '{}'", args.join("' '"))).join("\n");
    let answers: String = QUESTIONS.iter().map(|args| cli.at(NOW, args)).collect();
    empty_log(&cli);
    let read_only =
        format!("mount -t tmpfs tmpfs \"$2\"\ncp \"$1\" \"$2/usage.db\"\nmount -o remount,ro \"$2\"\n{ask}");
    let full = format!(
        "mount -t tmpfs -o size=2m tmpfs \"$2\"\ncp \"$1\" \"$2/usage.db\"\ncat /dev/zero > \"$2/filler\" 2>/dev/null || true\n{ask}"
    );
    for (script, why) in [(read_only, "mounted read-only"), (full, "read-only")] {
        let Some(done) = in_own_mounts(&script, &[&cli.ledger(), &medium]) else { return };
        let stderr = text(&done.stderr);
        assert_eq!((text(&done.stdout), done.status.code()), (answers.clone(), Some(0)), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
    let write = "mount -t tmpfs tmpfs \"$2\"\ncp \"$1\" \"$2/usage.db\"\nmount -o remount,ro \"$2\"\n\"$0\" --ledger \"$2/usage.db\" switch openai";
    let done = in_own_mounts(write, &[&cli.ledger(), &medium]).unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert!(text(&done.stderr).contains("mounted read-only"), "{}", text(&done.stderr));
    let write = "mount -t tmpfs -o size=2m tmpfs \"$2\"\ncp \"$1\" \"$2/usage.db\"\ncat /dev/zero > \"$2/filler\" 2>/dev/null || true\n\"$0\" --ledger \"$2/usage.db\" switch openai";
    let done = in_own_mounts(write, &[&cli.ledger(), &medium]).unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert!(text(&done.stderr).contains("the disk is full"), "{}", text(&done.stderr));
}

/// What prevents writing.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    Permission,
    ImmutableFile,
    ReadOnlyMount,
    FullDisk,
}

/// A command on a copy of a ledger that cannot be written to; `None` where the machine permits no such obstacle.
struct Hindered {
    obstacle: Obstacle,
    ledger: PathBuf,
    place: PathBuf,
}

impl Hindered {
    fn new(cli: &TestCli, obstacle: Obstacle) -> Option<Self> {
        let place = cli.dir().join(format!("{obstacle:?}"));
        fs::create_dir(&place).unwrap();
        let ledger = place.join("usage.db");
        let hindered = Self { obstacle, ledger, place };
        let permitted = match obstacle {
            Obstacle::ReadOnlyMount | Obstacle::FullDisk => in_own_mounts("true", &[]).is_some(),
            Obstacle::Permission => {
                fs::copy(cli.ledger(), &hindered.ledger).unwrap();
                mode(cli.dir(), 0o755);
                mode(&hindered.ledger, 0o444);
                mode(&hindered.place, 0o555);
                ask(cli, &hindered.ledger, &["--version"]).is_some()
            }
            Obstacle::ImmutableFile => {
                fs::copy(cli.ledger(), &hindered.ledger).unwrap();
                Command::new("chattr").arg("+i").arg(&hindered.ledger).output().is_ok_and(|done| done.status.success())
            }
        };
        if !permitted {
            eprintln!("skipped: this machine does not permit {obstacle:?}");
        }
        permitted.then_some(hindered)
    }

    fn command(&self, cli: &TestCli, args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_usage-ledger");
        let mounted = |prepare: &str| {
            let script = format!(
                "ledger=\"$1\" place=\"$2\"; shift 2; {prepare}; exec \"$0\" --ledger \"$place/usage.db\" \"$@\""
            );
            let mut command = Command::new("unshare");
            command.args(["-rm", "sh", "-ec", &script, program]).arg(cli.ledger()).arg(&self.place);
            command
        };
        let mut command = match self.obstacle {
            Obstacle::ReadOnlyMount => mounted(
                "mount -t tmpfs tmpfs \"$place\"; cp \"$ledger\" \"$place/usage.db\"; mount -o remount,ro \"$place\"",
            ),
            Obstacle::FullDisk => mounted(
                "mount -t tmpfs -o size=2m tmpfs \"$place\"; cp \"$ledger\" \"$place/usage.db\"; \
                 cat /dev/zero > \"$place/filler\" 2> /dev/null || true",
            ),
            Obstacle::ImmutableFile => Command::new(program),
            Obstacle::Permission if is_root() => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
                command
            }
            Obstacle::Permission => Command::new(program),
        };
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", cli.dir()).env("TZ", "UTC");
        command.env("USAGE_LEDGER", &self.ledger).args(["--now", NOW]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Hindered {
    fn drop(&mut self) {
        if matches!(self.obstacle, Obstacle::ImmutableFile) {
            let _ = Command::new("chattr").arg("-i").arg(&self.ledger).output();
        }
        mode(&self.place, 0o755);
    }
}

/// Calls a test with each obstacle that this machine permits.
fn with_each_obstacle(test: impl Fn(&TestCli, &Hindered)) {
    for obstacle in [Obstacle::Permission, Obstacle::ImmutableFile, Obstacle::ReadOnlyMount, Obstacle::FullDisk] {
        let cli = cli();
        empty_log(&cli);
        if let Some(hindered) = Hindered::new(&cli, obstacle) {
            test(&cli, &hindered);
        }
    }
}

fn is_refusal(text: &str) -> bool {
    text.contains("read-only") || text.contains("disk is full")
}

#[test]
fn rpc_answers_from_a_ledger_that_cannot_be_written_to() {
    with_each_obstacle(|cli, hindered| {
        let mut child = hindered.command(cli, &["rpc"]).spawn().unwrap();
        let requests = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n\
                        {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"record\",\"params\":{\"provider\":\"openai\",\"input\":1}}\n";
        child.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
        let answers: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((answers.len(), done.status.code()), (2, Some(0)), "{:?}: {stderr}", hindered.obstacle);
        assert_eq!(answers[0]["result"]["active_provider"], "anthropic", "{stdout}");
        assert!(is_refusal(&answers[1]["error"].to_string()), "{stdout}");
        assert!(stderr.contains("read-only here") && stderr.contains("start this command again"), "{stderr}");
    });
}

#[cfg(feature = "mcp")]
#[test]
fn mcp_answers_from_a_ledger_that_cannot_be_written_to() {
    with_each_obstacle(|cli, hindered| {
        let mut child = hindered.command(cli, &["mcp", "--allow-record"]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let call = |id: u32, name: &str, arguments: &str| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{name}\",\"arguments\":{arguments}}}}}\n"
            )
        };
        let start = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\
                     \"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}\n\
                     {\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";
        let mut answer = |request: &str| {
            input.write_all(request.as_bytes()).unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line
        };
        answer(start);
        let usage = answer(&call(1, "report", "{}"));
        assert!(usage.contains("anthropic") && usage.contains("\"result\""), "{:?}: {usage}", hindered.obstacle);
        let refused = answer(&call(2, "record", "{\"provider\":\"openai\",\"input\":1}"));
        assert!(is_refusal(&refused), "{:?}: {refused}", hindered.obstacle);
        drop(input);
        let done = child.wait_with_output().unwrap();
        assert!(text(&done.stderr).contains("read-only here"), "{}", text(&done.stderr));
    });
}

#[cfg(feature = "web")]
#[test]
fn serve_answers_from_a_ledger_that_cannot_be_written_to() {
    with_each_obstacle(|cli, hindered| {
        let arguments = ["--json", "serve", "--otlp", "--listen", "127.0.0.1:0"];
        let (mut child, address) = server::start(&mut hindered.command(cli, &arguments));
        let send = |request: &str, body: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            let (length, kind) = (body.len(), "application/json");
            let head =
                format!("host: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}");
            stream.write_all(format!("{request} HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let status = send("GET /api/v1/status", "");
        assert!(status.contains(" 200 ") && status.contains("\"active_provider\":\"anthropic\""), "{status}");
        let refused = send("POST /api/v1/record", "{\"provider\":\"openai\",\"input\":1}");
        assert!(refused.starts_with("HTTP/1.1 503") && is_refusal(&refused), "{:?}: {refused}", hindered.obstacle);
        child.kill().unwrap();
        let done = child.wait_with_output().unwrap();
        let stderr = text(&done.stderr);
        assert!(stderr.contains("read-only here") && stderr.contains("start this command again"), "{stderr}");
    });
}

#[test]
fn a_path_that_is_not_a_regular_file_is_refused_without_waiting() {
    for device in [true, false] {
        let cli = TestCli::new();
        if device {
            std::os::unix::fs::symlink("/dev/zero", cli.ledger()).unwrap();
        } else {
            assert!(Command::new("mkfifo").arg(cli.ledger()).status().unwrap().success());
        }
        for args in [&["status"][..], &["verify"], &["record", "--provider", "openai", "--input", "1"]] {
            let mut command = cli.command();
            let done = command.timeout(Duration::from_secs(20)).args(args).assert().code(3);
            let stderr = text(&done.get_output().stderr);
            assert!(stderr.contains("not a regular file"), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn an_unreadable_write_ahead_log_is_named() {
    let cli = cli();
    let log = cli.dir().join("usage.db-wal");
    mode(cli.dir(), 0o755);
    mode(&cli.ledger(), if is_root() { 0o644 } else { 0o444 });
    mode(&log, 0);
    assert!(fs::metadata(&log).unwrap().len() > 0);
    let Some(done) = ask(&cli, &cli.ledger(), &["status"]) else { return };
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && stderr.contains("usage.db-wal"), "{stderr}");
    mode(&log, 0o600);
}

#[test]
fn a_write_protected_ledger_is_kept_when_a_backup_replaces_it() {
    let cli = cli();
    empty_log(&cli);
    let (file, source) = (cli.dir().join("b.db"), cli.ledger());
    mode(cli.dir(), 0o777);
    let backup = ["--json", "backup", "--replace", file.to_str().unwrap()];
    let former = |done: Output| -> serde_json::Value {
        assert!(done.status.success(), "{}", text(&done.stderr));
        serde_json::from_slice::<serde_json::Value>(&done.stdout).unwrap()["former"].clone()
    };
    let write = |input: &str| {
        cli.at(NOW, &["--ledger", file.to_str().unwrap(), "record", "--provider", "openai", "--input", input]);
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap();
        drop(connection);
        mode(&file, 0o444);
    };
    write("7");
    mode(&source, 0o644);
    let theirs = fs::read(&file).unwrap();
    let Some(done) = ask(&cli, &source, &backup) else { return };
    let kept = former(done);
    assert_eq!(fs::read(kept.as_str().expect("it has other events")).unwrap(), theirs);
    // An earlier state is replaced.
    mode(&file, 0o444);
    assert!(former(ask(&cli, &source, &backup).unwrap()).is_null());
}
