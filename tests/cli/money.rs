//! Money budgets, and costs beside decisions.

use serde_json::{Value, json};

use crate::cli_support::{TestCli, provider};
use crate::rpc::Session;

/// A dollar is a million tokens.
fn cli() -> TestCli {
    let cli = TestCli::new();
    let price = ["price", "set", "anthropic", "claude-opus-4-5", "--input", "1", "--output", "1"];
    cli.at("2026-06-01T00:00:00Z", &price);
    cli
}

fn spend(cli: &TestCli, now: &str, dollars: u32, project: &str) {
    let tokens = format!("{}", dollars * 1_000_000);
    let call = ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", &tokens];
    cli.at(now, &[&call[..], &["--project", project]].concat());
}

fn gate(cli: &TestCli, now: &str, more: &[&str]) -> Value {
    let words = ["--json", "--now", now, "gate", "anthropic"];
    let done = cli.command().args(words).args(more).output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_day_of_money_shuts_the_gate_until_midnight_of_the_zone() {
    let cli = cli();
    let set = ["--tz", "Europe/Paris", "limit", "set", "anthropic", "--usd-day", "20", "--usd-month", "400"];
    cli.at("2026-06-10T08:00:00Z", &set);
    spend(&cli, "2026-06-10T09:00:00Z", 10, "/home/me/acme");
    let half = gate(&cli, "2026-06-10T09:01:00Z", &[]);
    assert_eq!((&half["gated"], &half["mode"]), (&Value::from(false), &Value::from("deep")), "{half}");
    assert_eq!(half["money"][0]["percent"], 50);
    assert_eq!((&half["money"][1]["period"], &half["money"][1]["percent"]), (&Value::from("month"), &Value::from(2.5)));
    assert_eq!(half["cost"]["usd"], "10");
    assert_eq!(half["cost_today"]["usd"], "10");
    spend(&cli, "2026-06-10T09:10:00Z", 6, "/home/me/acme");
    let full = gate(&cli, "2026-06-10T09:11:00Z", &[]);
    assert_eq!((&full["gated"], &full["mode"]), (&Value::from(true), &Value::from("wait")), "{full}");
    assert_eq!(full["resumes_at"].as_str().unwrap()[..16], *"2026-06-10T22:10", "ten minutes after midnight in Paris");
    let reason = full["reason"].as_str().unwrap();
    assert!(reason.contains("day budget at 80 % used"), "{reason}");
    cli.command().args(["--now", "2026-06-10T09:11:00Z", "gate", "anthropic"]).assert().code(75);
    cli.fails(75, &["--now", "2026-06-10T09:11:00Z", "reserve", "anthropic", "5"]);
    let next = gate(&cli, "2026-06-10T22:00:01Z", &[]);
    assert_eq!((&next["gated"], &next["money"][0]["cost"]["usd"]), (&Value::from(false), &Value::Null), "{next}");
    let text = cli.ok(&["--now", "2026-06-10T09:11:00Z", "--tz", "UTC", "status"]);
    assert!(text.contains("  day      [################----]   80 %  resets in 12h 49m"), "{text}");
    assert!(text.contains("$16.00 of $20.00 (80 %)"), "{text}");
}

#[test]
fn a_project_has_a_budget_of_its_own() {
    let cli = cli();
    for project in ["/home/me/acme", "/home/me/other"] {
        spend(&cli, "2026-06-10T09:00:00Z", 4, project);
    }
    let set = ["limit", "set", "anthropic", "--project", "acme", "--usd-day", "5"];
    cli.at("2026-06-10T09:00:30Z", &set);
    let now = "2026-06-10T09:01:00Z";
    assert_eq!(gate(&cli, now, &[])["gated"], false);
    assert_eq!(gate(&cli, now, &["--project", "/home/me/other"])["gated"], false);
    let acme = gate(&cli, now, &["--project", "acme"]);
    assert_eq!((&acme["gated"], &acme["money"][0]["project"]), (&Value::from(true), &Value::from("/home/me/acme")));
    let status = cli.json(&["--now", now, "status"]);
    assert_eq!(provider(&status, "anthropic")["money"][0]["percent"], 80);
    assert_eq!(provider(&status, "anthropic")["session"]["limit"], Value::Null, "a project sets no token limit");
    let shown = cli.ok(&["--now", now, "limit", "show", "anthropic"]);
    assert!(shown.contains("money    $5.00 a day of UTC for /home/me/acme (position "), "{shown}");
    cli.at("2026-06-10T09:02:00Z", &["limit", "set", "anthropic", "--project", "acme", "--unset", "usd-day"]);
    assert_eq!(gate(&cli, "2026-06-10T09:03:00Z", &["--project", "acme"])["gated"], false);
}

#[test]
fn a_call_without_a_price_counts_nothing_and_is_named() {
    let cli = cli();
    cli.at("2026-06-10T08:00:00Z", &["limit", "set", "anthropic", "--usd-day", "20"]);
    let call = ["record", "--provider", "anthropic", "--model", "no-such-model", "--input", "9000000"];
    cli.at("2026-06-10T08:00:00Z", &call);
    let told = gate(&cli, "2026-06-10T08:01:00Z", &[]);
    assert_eq!((&told["money"][0]["percent"], &told["money"][0]["cost"]["usd"]), (&Value::from(0), &Value::Null));
    assert!(told["warnings"].to_string().contains("1 calls in the day budget have no known price"), "{told}");
}

#[test]
fn wrong_money_limits_change_nothing() {
    let cli = cli();
    let before = cli.bytes();
    for (words, part) in [
        (&["--usd-day", "0"][..], "must be above 0"),
        (&["--usd-day", "-5"][..], ""),
        (&["--usd-day", "much"][..], "much"),
        (&["--project", "acme"][..], "nothing to set"),
        (&["--project", "acme", "--session", "5"][..], "a project has money limits alone"),
        (&["--project", "acme", "--unset", "session"][..], "a project has money limits alone"),
    ] {
        let told = cli.fails(2, &[&["limit", "set", "anthropic"][..], words].concat());
        assert!(told.contains(part), "{words:?}: {told}");
    }
    assert_eq!(cli.bytes(), before);
}

#[test]
fn every_interface_resolves_the_name_of_a_project() {
    let cli = cli();
    let now = "2026-06-10T09:01:00Z";
    spend(&cli, "2026-06-10T09:00:00Z", 4, "/home/me/acme");
    cli.at("2026-06-10T09:00:30Z", &["limit", "set", "anthropic", "--project", "acme/", "--usd-day", "5"]);
    let mut session = Session::start(&cli, &["--now", now]);
    for name in ["acme", "me/acme", "/home/me/acme", "/home/me/acme/", "acme/"] {
        let asked = gate(&cli, now, &["--project", name]);
        assert_eq!(
            (&asked["gated"], asked["money"][0]["project"].as_str()),
            (&true.into(), Some("/home/me/acme")),
            "{name}"
        );
        let same = session.result("gate", &json!({"provider": "anthropic", "project": name}));
        assert_eq!(same, asked, "{name}");
    }
    let report = json!({"by": ["project"], "project": ["acme/"]});
    assert_eq!(session.result("report", &report)["rows"][0]["project"], "/home/me/acme");
    assert_eq!(cli.json(&["report", "--by", "project", "--project", "acme/"])["total"]["requests"], 1);
}

#[test]
fn a_name_of_no_project_or_of_several_is_said() {
    let cli = cli();
    let now = "2026-06-10T09:01:00Z";
    spend(&cli, "2026-06-10T09:00:00Z", 4, "/home/me/acme");
    assert_eq!(gate(&cli, now, &["--project", "nope"])["warnings"].to_string().matches("nope").count(), 0, "no limit");
    cli.at("2026-06-10T09:00:30Z", &["limit", "set", "anthropic", "--project", "acme", "--usd-day", "5"]);
    let none = gate(&cli, now, &["--project", "nope"]);
    let warned = none["warnings"].to_string();
    assert!(none["gated"] == false && warned.contains("no call has the project `nope`"), "{none}");
    spend(&cli, "2026-06-10T09:00:40Z", 1, "/srv/acme");
    let several = gate(&cli, now, &["--project", "acme"]);
    let warned = several["warnings"].to_string();
    assert!(several["gated"] == true && warned.contains("did you mean `/home/me/acme`, `/srv/acme`?"), "{several}");
    assert_eq!(gate(&cli, now, &["--project", "/srv/acme"])["gated"], false);
    let told = cli.command().args(["--now", now, "gate", "anthropic", "--project", "nope", "--line"]).output().unwrap();
    assert!(String::from_utf8(told.stderr).unwrap().contains("no call has the project `nope`"));
    // A limit of a project without calls says so, and counts from its first call on.
    for (name, part) in [("acme", "did you mean `/home/me/acme`, `/srv/acme`?"), ("/home/me/new/", "`/home/me/new/`")] {
        let set = ["--now", now, "limit", "set", "anthropic", "--project", name, "--usd-day", "5"];
        let told = cli.command().args(set).output().unwrap();
        let told = String::from_utf8(told.stderr).unwrap();
        assert!(told.contains("no call has the project") && told.contains(part), "{told}");
    }
    let new = gate(&cli, now, &["--project", "new"]);
    assert!(new["money"][0]["project"] == "/home/me/new" && !new["warnings"].to_string().contains("project"), "{new}");
}
