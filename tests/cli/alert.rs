//! Alerts: each fires once per window, and reaches each target once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::cli_support::TestCli;

/// A cli whose alerts go where a file says.
struct Watched {
    cli: TestCli,
    config: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let cli = TestCli::new();
        let config = cli.dir().join("config.toml");
        std::fs::write(&config, "# mine\nzone = \"UTC\"\n").unwrap();
        let price = ["price", "set", "anthropic", "claude-opus-4-5", "--input", "1", "--output", "1"];
        cli.at("2026-06-01T00:00:00Z", &price);
        Self { cli, config }
    }

    fn run(&self, now: &str, words: &[&str]) -> Output {
        let mut command = self.cli.command();
        command.env("USAGE_LEDGER_CONFIG", &self.config).args(["--now", now]).args(words).output().unwrap()
    }

    fn ok(&self, now: &str, words: &[&str]) -> String {
        let done = self.run(now, words);
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Deliveries go to a file, one line each.
    fn inbox(&self) -> PathBuf {
        self.cli.dir().join("inbox.jsonl")
    }

    fn arrived(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.inbox()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn used(&self, now: &str, percent: &str) {
        self.ok(now, &["override", "anthropic", "--window", "weekly", "--used", percent, "--author", "me"]);
    }

    fn kinds(&self, kind: &str) -> usize {
        self.cli.ok(&["log", "--kind", kind]).lines().count()
    }
}

#[cfg(unix)]
#[test]
fn a_rule_fires_once_per_window_and_again_in_the_next_one() {
    let watched = Watched::new();
    let command = format!("cat >> '{}'; echo >> '{}'", watched.inbox().display(), watched.inbox().display());
    watched.ok("2026-06-10T08:00:00Z", &["alert", "set", "--weekly", "80", "--command", &command]);
    watched.ok("2026-06-10T08:00:00Z", &["record", "--provider", "anthropic", "--input", "5"]);
    watched.used("2026-06-10T08:01:00Z", "79");
    watched.ok("2026-06-10T08:02:00Z", &["alert", "check"]);
    assert_eq!(watched.arrived().len(), 0);
    watched.used("2026-06-10T08:03:00Z", "81");
    for minute in 4..8 {
        watched.ok(&format!("2026-06-10T08:0{minute}:00Z"), &["alert", "check"]);
    }
    let arrived = watched.arrived();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert_eq!((&arrived[0]["condition"], &arrived[0]["percent"]), (&Value::from("weekly"), &Value::from(81)));
    assert_eq!((&arrived[0]["limit_percent"], &arrived[0]["provider"]), (&Value::from(80), &Value::from("anthropic")));
    assert!(
        arrived[0]["message"].as_str().unwrap().starts_with("anthropic: the weekly window is at 81 %; it resets at ")
    );
    // The week of ISO ends; the next one is another window.
    watched.ok("2026-06-16T08:00:00Z", &["record", "--provider", "anthropic", "--input", "5"]);
    watched.used("2026-06-16T08:01:00Z", "95");
    watched.ok("2026-06-16T08:02:00Z", &["alert", "check"]);
    assert_eq!(watched.arrived().len(), 2);
    assert_eq!((watched.kinds("alert_fired"), watched.kinds("alert_delivery")), (2, 4));
    let text = std::fs::read_to_string(&watched.config).unwrap();
    assert!(text.starts_with("# mine\nzone = \"UTC\"\n"), "the file of the user stays: {text}");
    watched.cli.ok(&["verify"]);
}

#[cfg(unix)]
#[test]
fn what_failed_is_repeated_after_a_pause_and_what_arrived_never_is() {
    let watched = Watched::new();
    let flag = watched.cli.dir().join("up");
    let command = format!("test -e '{}' && cat >> '{}'", flag.display(), watched.inbox().display());
    watched.ok("2026-06-10T08:00:00Z", &["alert", "set", "--usd-day", "3", "--command", &command]);
    let call = ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "4000000"];
    watched.ok("2026-06-10T08:01:00Z", &call);
    let failed = watched.run("2026-06-10T08:02:00Z", &["alert", "check"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("did not reach the command: the command exits 1"));
    watched.ok("2026-06-10T08:02:30Z", &["alert", "check"]); // within the pause of a minute
    assert_eq!(watched.kinds("alert_delivery"), 2);
    std::fs::write(&flag, "").unwrap();
    for minute in 4..9 {
        watched.ok(&format!("2026-06-10T08:0{minute}:00Z"), &["alert", "check"]);
    }
    let arrived = watched.arrived();
    assert_eq!((arrived.len(), &arrived[0]["usd"]), (1, &Value::from("4")));
    let list: Value = serde_json::from_str(&watched.ok("2026-06-10T09:00:00Z", &["--json", "alert", "list"])).unwrap();
    let delivery = &list["fired"][0]["deliveries"][0];
    assert_eq!((&delivery["attempts"], &delivery["state"]), (&Value::from(2), &Value::from("delivered")));
}

#[cfg(unix)]
#[test]
fn processes_that_check_at_once_deliver_once() {
    let watched = Watched::new();
    let command = format!("cat >> '{}'; echo >> '{}'", watched.inbox().display(), watched.inbox().display());
    watched.ok("2026-06-10T08:00:00Z", &["alert", "set", "--usd-day", "3", "--command", &command]);
    let call = ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "4000000"];
    watched.ok("2026-06-10T08:01:00Z", &call);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| watched.ok("2026-06-10T08:02:00Z", &["alert", "check"]));
        }
    });
    assert_eq!((watched.kinds("alert_fired"), watched.arrived().len()), (1, 1));
}

/// Whether the program that sends webhooks is there.
fn has_curl() -> bool {
    std::process::Command::new("curl").arg("--version").output().is_ok()
}

#[test]
fn a_webhook_gets_json_and_the_id_of_the_alert() {
    if !has_curl() {
        eprintln!("not tested: there is no curl");
        return;
    }
    let watched = Watched::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook?secret=\"s\\3", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        (head, serde_json::from_slice::<Value>(&body).unwrap())
    });
    watched.ok("2026-06-10T08:00:00Z", &["alert", "set", "--usd-day", "3", "--webhook", &address]);
    let call = ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "4000000"];
    watched.ok("2026-06-10T08:01:00Z", &call);
    watched.ok("2026-06-10T08:02:00Z", &["alert", "check"]);
    let (head, body) = server.join().unwrap();
    assert_eq!((&body["condition"], &body["limit_usd"]), (&Value::from("usd_day"), &Value::from("3")));
    assert!(head.contains(&format!("Idempotency-Key: {}", body["id"].as_str().unwrap())), "{head}");
    let log = watched.cli.ok(&["export", "--format", "events"]);
    assert!(!log.contains("secret"), "no event holds the address");
    assert!(!watched.ok("2026-06-10T08:03:00Z", &["config", "show"]).contains("secret"));
}

#[test]
fn a_forecast_alerts_and_wrong_rules_change_nothing() {
    let watched = Watched::new();
    watched.ok("2026-06-10T08:00:00Z", &["alert", "set", "--forecast"]);
    for (minute, used) in [(0, 10), (10, 30), (20, 50)] {
        let ends = 1_781_100_000; // 2026-06-10T14:00:00Z
        let document = format!(r#"{{"rate_limits":{{"five_hour":{{"used_percentage":{used},"resets_at":{ends}}}}}}}"#);
        let now = format!("2026-06-10T09:{minute:02}:00Z");
        watched.cli.ok_with_input(document, &["--now", &now, "quota", "observe", "--format", "claude-statusline"]);
    }
    let told = watched.ok("2026-06-10T09:21:00Z", &["alert", "check"]);
    assert!(told.contains("anthropic: the session window is at 50 % and will be used up at"), "{told}");
    assert_eq!(watched.ok("2026-06-10T09:22:00Z", &["alert", "check"]), "no alert fired\n");
    let before = watched.cli.bytes();
    for words in [
        &["alert", "set"][..],
        &["alert", "set", "--weekly", "0"],
        &["alert", "set", "--weekly", "101"],
        &["alert", "set", "--usd-day", "0"],
        &["alert", "set", "--webhook", "file:///etc/passwd"],
        &["alert", "set", "--unset", "monthly"],
    ] {
        let done = watched.run("2026-06-10T09:23:00Z", words);
        assert_eq!(done.status.code(), Some(2), "{words:?}");
    }
    assert_eq!(watched.cli.bytes(), before);
    watched.ok("2026-06-10T09:24:00Z", &["alert", "set", "--unset", "forecast"]);
    let list = watched.ok("2026-06-10T09:25:00Z", &["alert", "list"]);
    assert!(list.starts_with("no alert is set"), "{list}");
}

#[test]
fn no_forecast_is_told_where_no_window_closes_the_gate() {
    for (mode, fired) in [("disabled", 0), ("session_only", 1)] {
        let cli = TestCli::new();
        let limit = ["limit", "set", "anthropic", "--session", "100000", "--budget-mode", mode];
        cli.at("2026-06-10T11:00:00Z", &limit);
        for minute in 0..12 {
            let now = format!("2026-06-10T11:{:02}:00Z", 5 * minute);
            cli.at(&now, &["record", "--provider", "anthropic", "--input", "4000"]);
        }
        cli.at("2026-06-10T12:00:00Z", &["alert", "set", "--forecast"]);
        let told = cli.at("2026-06-10T12:00:00Z", &["alert", "check"]);
        assert_eq!(told.matches("will be used up").count(), fired, "{mode}: {told}");
    }
}
