//! `status` and `switch`: a switch is a marker, and past states do not change.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::{TestCli, provider};
use serde_json::Value;

/// 400,000 tokens of a limit of 500,000; a switch away and back; 1,000 more.
fn switched() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-06-10T08:00:00Z", &["limit", "set", "anthropic", "--session", "500000"]);
    cli.at("2026-06-10T09:00:00Z", &["record", "--provider", "anthropic", "--input", "300000", "--output", "100000"]);
    cli.at("2026-06-10T09:10:00Z", &["switch", "ollama", "--reason", "rate limited"]);
    cli.at("2026-06-10T09:20:00Z", &["record", "--provider", "ollama", "--input", "50000"]);
    cli.at("2026-06-10T09:30:00Z", &["switch", "anthropic"]);
    cli.at("2026-06-10T09:40:00Z", &["record", "--provider", "anthropic", "--input", "1000"]);
    cli
}

fn session(status: &Value, name: &str) -> Value {
    provider(status, name)["session"]["tokens"]["total"].clone()
}

#[test]
fn a_switch_resets_no_counter() {
    let cli = switched();
    let status = cli.json(&["--now", "2026-06-10T09:50:00Z", "status"]);
    assert_eq!((&status["schema"], &status["active_provider"]), (&1.into(), &"anthropic".into()));
    assert_eq!((session(&status, "anthropic"), session(&status, "ollama")), (401_000.into(), 50_000.into()));
    let anthropic = provider(&status, "anthropic");
    assert_eq!((&anthropic["session"]["percent"], &anthropic["session"]["limit"]), (&80.into(), &500_000.into()));
    assert_eq!(anthropic["session"]["started_at"], "2026-06-10T09:00:00.000Z");
    assert_eq!(anthropic["session"]["resets_at"], "2026-06-10T14:00:00.000Z");
    assert_eq!(anthropic["session"]["basis"], "estimated");
    assert_eq!(anthropic["weekly"]["percent"], Value::Null);
    assert_eq!((&anthropic["metered"], &anthropic["budget"]["gated"]), (&true.into(), &true.into()));
    assert_eq!(anthropic["budget"]["mode"], "wait");
    let ollama = provider(&status, "ollama");
    assert_eq!((&ollama["metered"], &ollama["session"]["percent"]), (&false.into(), &Value::Null));
    assert_eq!((&ollama["weekly"]["basis"], &ollama["budget"]["gated"]), (&"unmetered".into(), &false.into()));
    assert_eq!(status["switches"], 2);
    assert_eq!(status["timeline"].as_array().unwrap().len(), 2);
}

#[test]
fn a_past_status_uses_only_events_of_that_time() {
    let cli = switched();
    for (position, active, anthropic, ollama, percent, switches) in [
        (1, Some("anthropic"), Some(0), None, Some(0), 0),
        (2, Some("anthropic"), Some(400_000), None, Some(80), 0),
        (3, Some("ollama"), Some(400_000), Some(0), Some(80), 1),
        (4, Some("ollama"), Some(400_000), Some(50_000), Some(80), 1),
        (5, Some("anthropic"), Some(400_000), Some(50_000), Some(80), 2),
        (6, Some("anthropic"), Some(401_000), Some(50_000), Some(80), 2),
    ] {
        let status = cli.json(&["--as-of", &position.to_string(), "status"]);
        let total = |name| {
            let provider_status = status["providers"].as_array().unwrap().iter().find(|one| one["provider"] == name);
            provider_status.map(|one| one["session"]["tokens"]["total"].as_u64().unwrap())
        };
        assert_eq!((total("anthropic"), total("ollama")), (anthropic, ollama), "as of {position}");
        // Before any usage there is no active provider.
        let expected = active.filter(|_| position > 1);
        assert_eq!(status["active_provider"].as_str(), expected, "as of {position}");
        assert_eq!(provider(&status, "anthropic")["session"]["percent"].as_u64(), percent, "as of {position}");
        assert_eq!(status["switches"], switches, "as of {position}");
        assert_eq!(status["position"], position);
    }
    let by_time = cli.json(&["--as-of", "2026-06-10T09:25:00Z", "status"]);
    assert_eq!((&by_time["active_provider"], &by_time["switches"]), (&"ollama".into(), &1.into()));
    assert_eq!(by_time["now"], "2026-06-10T09:25:00.000Z");
    let empty = cli.json(&["--as-of", "0", "status"]);
    assert_eq!(empty["providers"], serde_json::json!([]));
    // `--now` takes precedence over the clock of the environment.
    let mut later = cli.command();
    later.env("USAGE_LEDGER_NOW", "2027-01-01T00:00:00Z").args(["--as-of", "4", "--json", "status"]);
    let later: Value = serde_json::from_slice(&later.assert().success().get_output().stdout).unwrap();
    assert_eq!(session(&later, "anthropic"), 400_000);
    let next_day = cli.json(&["--as-of", "4", "--now", "2026-06-11T00:00:00Z", "status"]);
    assert_eq!(session(&next_day, "anthropic"), 0);
}

#[test]
fn switching_to_the_active_provider_appends_nothing() {
    let cli = switched();
    let before = cli.bytes();
    assert!(cli.ok(&["switch", "claude"]).contains("already at position 5"));
    assert_eq!(cli.bytes(), before);
    cli.at("2026-06-10T10:00:00Z", &["switch", "openai", "--occurred-at", "2026-06-10T09:15:00Z"]);
    let line = cli.json(&["show", "7"]);
    assert_eq!(line["event"]["occurred_at"], "2026-06-10T09:15:00.000Z");
    assert_eq!(line["event"]["data"]["from"], "ollama");
}

#[test]
fn status_prints_bars() {
    let cli = switched();
    let text = cli.ok(&["--now", "2026-06-10T09:50:00Z", "--tz", "Europe/Paris", "status"]);
    for part in [
        "anthropic, active\n",
        "[################----]   80 %  resets in 4h 10m (2026-06-10 16:00)",
        "401,000 of 500,000 (estimated), 401,000 tokens in 2 requests",
        "mode     wait (gated)",
        "ollama\n  session  no API quota\n           50,000 tokens, 1 request\n",
        "2 switches; the last 2026-06-10 11:30, ollama -> anthropic\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn status_prints_the_numbers_of_the_seed_system() {
    let cli = switched();
    let text = cli.ok(&["--now", "2026-06-10T09:50:00Z", "status", "--since-switch"]);
    assert!(text.contains("anthropic, active\n    1,000 tokens, 1 request since 2026-06-10 09:30"), "{text}");
    assert!(text.contains("ollama\n    50,000 tokens, 1 request since 2026-06-10 09:10"), "{text}");
    let status = cli.json(&["--now", "2026-06-10T09:50:00Z", "status"]);
    assert_eq!(provider(&status, "anthropic")["since_switch"]["tokens"]["total"], 1_000);
}

#[test]
fn an_undeclared_provider_is_marked_until_it_is_declared() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "my-gateway", "--input", "5"]);
    assert!(cli.ok(&["status"]).contains("my-gateway, active, undeclared"));
    cli.ok(&["provider", "declare", "my-gateway", "--unmetered"]);
    let text = cli.ok(&["status"]);
    assert!(text.contains("my-gateway, active\n  session  no API quota"), "{text}");
    let listed = cli.json(&["provider", "list"]);
    let own = provider(&listed, "my-gateway");
    assert_eq!((&own["metered"], &own["declared"], &own["catalogue"]), (&false.into(), &true.into(), &false.into()));
}

#[test]
fn limits_can_be_set_and_removed() {
    let cli = TestCli::new();
    let opens =
        ["--weekly-opens", "wed 09:30 Europe/Paris", "--session-policy", "hour-floor", "--session-minutes", "60"];
    let limits = ["limit", "set", "claude", "--session", "1000", "--weekly", "9000", "--weight", "cache_read=0.1"];
    cli.at("2026-06-10T08:00:00Z", &[&limits[..], &opens].concat());
    cli.at("2026-06-10T08:20:00Z", &["record", "--provider", "claude", "--input", "90", "--cache-read", "1000"]);
    let status = cli.json(&["--now", "2026-06-10T08:30:00Z", "status"]);
    let (session, weekly) = (&provider(&status, "anthropic")["session"], &provider(&status, "anthropic")["weekly"]);
    assert_eq!((&session["weighted"], &session["percent"]), (&190.into(), &19.into()));
    assert_eq!(session["started_at"], "2026-06-10T08:00:00.000Z");
    assert_eq!(session["resets_at"], "2026-06-10T09:00:00.000Z");
    assert_eq!(weekly["started_at"], "2026-06-10T07:30:00.000Z");
    let shown = cli.json(&["--now", "2026-06-10T08:30:00Z", "limit", "show", "anthropic"]);
    assert_eq!(shown["limits"][0]["session"]["limit"], 1_000);
    assert_eq!(shown["limits"][0]["weights"]["cache_read"], "0.1");
    assert!(cli.ok(&["limit", "show"]).contains("weeks open Wed 09:30 Europe/Paris"));
    cli.at("2026-06-10T08:40:00Z", &["limit", "set", "claude", "--unset", "session", "--unset", "weights"]);
    let shown = cli.json(&["--now", "2026-06-10T08:50:00Z", "limit", "show"]);
    assert_eq!(shown["limits"][0]["session"]["limit"], Value::Null);
    assert_eq!(shown["limits"][0]["weekly"]["limit"], 9_000);
    let then = cli.json(&["--as-of", "1", "limit", "show"]);
    assert_eq!(then["limits"][0]["session"]["limit"], 1_000);
}

#[test]
fn json_has_everything_that_the_dashboard_shows() {
    let cli = TestCli::new();
    cli.at("2026-06-10T08:00:00Z", &["limit", "set", "anthropic", "--session", "1000000"]);
    for minute in ["00", "06", "12", "18", "24"] {
        let now = format!("2026-06-10T09:{minute}:00Z");
        cli.at(&now, &["record", "--provider", "anthropic", "--input", "20000"]);
    }
    let document = r#"{"rate_limits":{"five_hour":{"used_percentage":70,"resets_at":1781100000},
        "seven_day_opus":{"used_percentage":7,"resets_at":1781352000}}}"#;
    let observe = ["--now", "2026-06-10T09:25:00Z", "quota", "observe", "--format", "claude-statusline"];
    cli.ok_with_input(document, &observe);
    cli.at("2026-06-10T09:26:00Z", &["reserve", "anthropic", "20000", "--for", "30m"]);
    cli.at("2026-06-10T09:27:00Z", &["pause", "--for", "1h", "--note", "lunch"]);
    let text = cli.ok(&["--now", "2026-06-10T09:30:00Z", "status"]);
    for part in [
        "paused since 2026-06-10 09:27 (timed, lunch), goes on in 57m (2026-06-10 10:27)\n\n",
        "  seven_day_opus 7d\n           [#-------------------]    7 %  resets in 3d 2h (2026-06-13 12:00)\n",
        "  reserved 20,000 limit tokens for calls in progress\n",
        "  burn     0.33%/min, used up in 1h 30m (11:00, ",
        "  mode     wait (gated)\n           work is paused (timed)",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    cli.at("2026-06-10T09:40:00Z", &["override", "anthropic", "--used", "32", "--author", "me"]);
    let text = cli.ok(&["--now", "2026-06-10T09:45:00Z", "status"]);
    assert!(text.contains("           me reported 32 % 5m ago; the provider reported 70 % 20m ago (old)\n"), "{text}");
    let lone = TestCli::new();
    lone.ok(&["record", "--provider", "anthropic", "--input", "1"]);
    let text = lone.ok(&["status"]);
    assert!(text.contains("  1 warning: see `usage-ledger gate anthropic --explain`\n"), "{text}");
}
