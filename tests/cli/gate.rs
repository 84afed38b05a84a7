//! `gate`: exit codes, messages, and explanations of decisions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;
use serde_json::{Value, json};

const NOON: &str = "2026-06-10T12:00:00Z";

fn at_80() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-06-10T08:00:00Z", &["limit", "set", "anthropic", "--session", "500000"]);
    cli.at("2026-06-10T11:00:00Z", &["record", "--provider", "anthropic", "--input", "400000"]);
    cli
}

/// The answer and the exit code.
fn gate(cli: &TestCli, now: &str, args: &[&str]) -> (Value, i32) {
    let done = cli.command().args(["--now", now, "--json", "gate"]).args(args).output().unwrap();
    (serde_json::from_slice(&done.stdout).unwrap(), done.status.code().unwrap())
}

#[test]
fn gate_exits_75_on_wait_and_0_otherwise() {
    let cli = at_80();
    let (verdict, code) = gate(&cli, NOON, &["anthropic"]);
    assert_eq!(code, 75);
    for (key, value) in [
        ("schema", json!(1)),
        ("provider", json!("anthropic")),
        ("metered", json!(true)),
        ("mode", json!("wait")),
        ("available_percent", json!(10)),
        ("gated", json!(true)),
        ("basis", json!("estimated")),
        ("evidence", json!([1, 2])),
        ("budget_mode", json!("session_only")),
        ("resumes_at", json!("2026-06-10T16:10:00.000Z")),
    ] {
        assert_eq!(verdict[key], value, "{key}");
    }
    let (verdict, code) = gate(&cli, "2026-06-10T16:00:01Z", &[]); // the active provider, in a new window
    assert_eq!((&verdict["provider"], &verdict["mode"], code), (&json!("anthropic"), &json!("deep"), 0));
    let (verdict, code) = gate(&cli, NOON, &["ollama"]);
    assert_eq!((&verdict["metered"], &verdict["gated"], code), (&json!(false), &json!(false), 0));
}

#[test]
fn gate_accepts_a_required_mode() {
    let cli = TestCli::new();
    cli.at(NOON, &["override", "anthropic", "--used", "65"]);
    assert_eq!(gate(&cli, NOON, &["anthropic"]).1, 0);
    for need in ["implement", "deep"] {
        let (verdict, code) = gate(&cli, NOON, &["anthropic", "--need", need]);
        // The exit code and the answer agree.
        assert_eq!((&verdict["mode"], &verdict["gated"], code), (&json!("review"), &json!(true), 75));
        let reason = verdict["reason"].as_str().unwrap();
        assert!(reason.starts_with(&format!("{need} is needed and review is the most")), "{reason}");
        assert!(verdict["resumes_at"].is_string(), "{verdict}");
    }
    assert_eq!(gate(&cli, NOON, &["ollama", "--need", "deep"]).1, 0, "no quota is never gated");
}

#[test]
fn the_cost_of_one_run_lowers_the_mode_of_its_tier() {
    for (tokens, modes) in [
        (300_000, ["review", "wait", "wait"]),
        (225_000, ["implement", "review", "review"]),
        (200_000, ["implement", "review", "review"]),
        (150_000, ["deep", "implement", "implement"]),
    ] {
        let cli = TestCli::new();
        cli.at("2026-06-10T08:00:00Z", &["limit", "set", "anthropic", "--session", "500000"]);
        cli.at(NOON, &["record", "--provider", "anthropic", "--input", &tokens.to_string()]);
        for (tier, mode) in ["medium", "complex", "critical"].into_iter().zip(modes) {
            let (verdict, code) = gate(&cli, NOON, &["anthropic", "--tier", tier]);
            assert_eq!(verdict["mode"], mode, "{tokens} tokens, {tier}: {verdict}");
            assert_eq!(code, if mode == "wait" { 75 } else { 0 });
        }
    }
}

#[test]
fn each_threshold_is_the_percentage_at_which_its_mode_begins() {
    let cli = TestCli::new();
    cli.at(NOON, &["limit", "set", "anthropic", "--stop", "85"]);
    let mode = |used: u32| {
        let cli = &cli;
        cli.at(NOON, &["override", "anthropic", "--used", &used.to_string()]);
        let (verdict, _) = gate(cli, NOON, &["anthropic"]);
        let reason = verdict["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(&format!("{used} % used (implement from 51 %, review from 61 %, wait from 85 %)")));
        verdict["mode"].as_str().unwrap().to_owned()
    };
    let modes = [50, 51, 60, 61, 76, 84, 85].map(mode);
    assert_eq!(modes, ["deep", "implement", "implement", "review", "review", "review", "wait"]);
    // The threshold is explicit, so the cost of a run does not move it.
    cli.at(NOON, &["limit", "set", "openai", "--session", "100", "--stop", "85"]);
    cli.at(NOON, &["record", "--provider", "openai", "--input", "84"]);
    let (verdict, _) = gate(&cli, NOON, &["openai"]);
    assert_eq!((&verdict["mode"], &verdict["run_cost"]), (&json!("review"), &json!(84)));
    assert!(verdict["trail"].to_string().contains("cost lowers to review at most"), "{verdict}");
    // An override says nothing about the cost of recorded runs.
    cli.at(NOON, &["limit", "set", "xai", "--session", "100"]);
    cli.at(NOON, &["record", "--provider", "xai", "--input", "2"]);
    cli.at(NOON, &["override", "xai", "--used", "65"]);
    assert_eq!(gate(&cli, NOON, &["xai"]).0["mode"], "review");
    let shown = cli.json(&["--now", NOON, "limit", "show", "openai"]);
    assert_eq!(shown["limits"][0]["begins"], json!({"implement": 51, "review": 61, "wait": 85}));
    // A lower stop also lowers the warning.
    cli.at(NOON, &["limit", "set", "openai", "--stop", "40"]);
    let shown = cli.json(&["--now", NOON, "limit", "show", "openai"]);
    assert_eq!(
        (&shown["limits"][0]["begins"]["review"], &shown["limits"][0]["begins"]["wait"]),
        (&json!(40), &json!(40))
    );
}

#[test]
fn gate_refuses_an_unknown_provider() {
    let cli = at_80();
    let before = cli.bytes();
    let stderr = cli.fails(2, &["--now", NOON, "gate", "antropic"]);
    assert!(stderr.contains("did you mean `anthropic`?") && stderr.contains("--allow-undeclared"), "{stderr}");
    cli.fails(2, &["--now", NOON, "gate", "my-gateway"]);
    cli.fails(2, &["--now", NOON, "gate", "antropic", "--feed", "claude-statusline=/dev/null"]);
    assert_eq!(cli.bytes(), before);
    assert_eq!(gate(&cli, NOON, &["my-gateway", "--allow-undeclared"]).1, 0);
    // A declaration, or any event that names it, makes it known.
    cli.at(NOON, &["provider", "declare", "my-gateway", "--metered"]);
    assert_eq!(gate(&cli, NOON, &["my-gateway"]).1, 0);
    cli.at(NOON, &["switch", "other-gateway"]);
    assert_eq!(gate(&cli, NOON, &["other-gateway"]).1, 0);
    cli.at(NOON, &["record", "--provider", "third-gateway", "--input", "1"]);
    assert_eq!(gate(&cli, NOON, &["third-gateway"]).1, 0);
    let stderr = cli.fails(2, &["--now", NOON, "gate", "third-gatway"]);
    assert!(stderr.contains("did you mean `third-gateway`?"), "{stderr}");
}

#[test]
fn aliases_of_local_programs_are_unmetered() {
    let cli = TestCli::new();
    for name in ["local", "LM Studio", "lm_studio", "llama-cpp", "llamafile", "localai", "jan", "koboldcpp", "mlx"] {
        let (verdict, code) = gate(&cli, NOON, &[name]);
        assert_eq!((&verdict["metered"], code), (&json!(false), 0), "{name}");
    }
}

#[test]
fn a_refusal_by_ollama_cloud_does_not_gate_local_ollama() {
    let cli = TestCli::new();
    let refused = "Error: 429 you've reached your weekly usage limit, please upgrade: https://ollama.com/upgrade";
    cli.ok_with_input(
        refused.to_owned(),
        &["--now", NOON, "scan-output", "ollama", "--stream", "stderr", "--exit-code", "1"],
    );
    assert_eq!(gate(&cli, NOON, &["ollama-cloud"]).1, 75);
    for model in ["qwen3.5:cloud", "gpt-oss:120b-cloud", "GPT-OSS:120b-Cloud", "kimi-k2-cloud"] {
        let (verdict, code) = gate(&cli, NOON, &["ollama", "--model", model]);
        assert_eq!((&verdict["provider"], code), (&json!("ollama-cloud"), 75), "{model}");
    }
    for local in [&["ollama"][..], &["ollama", "--model", "qwen3:8b"]] {
        assert_eq!(gate(&cli, NOON, local).1, 0, "{local:?}");
    }
    let warnings = gate(&cli, NOON, &["ollama"]).0["warnings"].to_string();
    assert!(warnings.contains("its paid cloud is refused"), "{warnings}");
    let status = cli.json(&["--now", NOON, "status"]);
    let clouds = status["providers"].as_array().unwrap().iter().filter(|one| one["provider"] == "ollama-cloud");
    assert_eq!(clouds.map(|one| one["budget"]["gated"].clone()).collect::<Vec<_>>(), [json!(true)]);
}

#[test]
fn cloud_models_of_ollama_count_for_ollama_cloud() {
    let cli = TestCli::new();
    let record = |model: &str| {
        cli.at(NOON, &["record", "--provider", "ollama", "--model", model, "--input", "400"]);
    };
    record("qwen3.5:cloud");
    record("qwen3:8b");
    let line = r#"{"provider":"ollama-launch","model":"kimi-k2-cloud","input":100}"#;
    cli.ok_with_input(line, &["--now", NOON, "record", "--jsonl", "-"]);
    let response = json!({"model": "gpt-oss:120b-cloud", "prompt_eval_count": 50, "eval_count": 5, "done": true});
    cli.ok_with_input(response.to_string(), &["--now", NOON, "record", "--format", "ollama"]);
    let report = cli.json(&["report", "--by", "provider"]);
    let rows = report["rows"].as_array().unwrap().iter();
    let totals: Vec<_> = rows.map(|row| (row["provider"].clone(), row["tokens"]["total"].clone())).collect();
    assert_eq!(totals, [(json!("ollama"), json!(400)), (json!("ollama-cloud"), json!(555))]);
    cli.at(NOON, &["limit", "set", "ollama-cloud", "--session", "600"]);
    assert_eq!(gate(&cli, NOON, &["ollama", "--model", "qwen3.5:cloud"]).1, 75);
}

#[test]
fn gate_prints_one_line_for_scripts() {
    let cli = at_80();
    let done = cli.command().args(["--now", NOON, "gate", "anthropic", "--line"]).output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "wait:10:Budget exhausted (10% remaining)\n");
    let open = cli.at(NOON, &["gate", "ollama", "--line"]);
    assert_eq!(open, "deep:90:Ample budget (90% remaining) - full capability\n");
}

#[cfg(unix)]
#[test]
fn a_probe_runs_unless_a_recent_one_succeeded_and_its_refusal_closes_the_gate() {
    let cli = TestCli::new();
    let calls = cli.dir().join("calls");
    let probe = |now: &str, answer: &str, code: i32| {
        let command = format!("echo call >> '{}'; {answer}", calls.display());
        let done = cli.command().args(["--now", now, "gate", "openai", "--probe", &command]).output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read_to_string(&calls).map_or(0, |text| text.lines().count())
    };
    assert_eq!(probe("2026-06-10T12:00:00Z", "echo ok", 0), 1);
    assert_eq!(probe("2026-06-10T12:09:00Z", "echo ok", 0), 1, "it is known");
    assert_eq!(probe("2026-06-10T12:11:00Z", "exit 3", 0), 2, "a probe that fails says nothing");
    let refused = "echo \"You've hit your usage limit. Try again in 2 hours.\" >&2; exit 1";
    assert_eq!(probe("2026-06-10T12:12:00Z", refused, 75), 3);
    assert_eq!(gate(&cli, "2026-06-10T13:00:00Z", &["openai"]).1, 75, "the refusal is recorded");
    assert_eq!(gate(&cli, "2026-06-10T15:00:00Z", &["openai"]).1, 0);
}

#[cfg(unix)]
#[test]
fn a_probe_keeps_the_model_that_its_refusal_is_about() {
    let cli = TestCli::new();
    let refused = "echo \"You've hit your Opus limit · resets Jun 12, 5pm (UTC)\"; exit 1";
    let probed = ["anthropic", "--model", "claude-sonnet-4-5", "--probe", refused];
    assert_eq!(gate(&cli, NOON, &probed).1, 0, "another model is refused");
    for (model, code) in [("claude-opus-4-8", 75), ("claude-sonnet-4-5", 0)] {
        assert_eq!(gate(&cli, NOON, &["anthropic", "--model", model]).1, code, "{model}");
    }
    assert_eq!(gate(&cli, NOON, &probed).1, 0);
    assert_eq!(cli.ok(&["log"]).lines().count(), 1, "the refusal holds, so it is recorded once");
    // The probe stands for a run that names no model.
    assert_eq!(gate(&cli, NOON, &["anthropic", "--probe", refused]).1, 75);
    let own = "echo \"You've hit the limit for this model · resets 3pm (UTC)\"; exit 1";
    let cli = TestCli::new();
    assert_eq!(gate(&cli, NOON, &["anthropic", "--model", "m-one-1", "--probe", own]).1, 75);
    assert_eq!(gate(&cli, NOON, &["anthropic", "--model", "m-two-2"]).1, 0);
}

#[test]
fn events_of_the_future_are_named() {
    let cli = TestCli::new();
    cli.at("2026-06-10T13:00:00Z", &["pause"]);
    let refusal = "You've hit your limit · resets 5pm (UTC)";
    cli.ok_with_input(refusal, &["--now", "2026-06-10T13:00:00Z", "scan-output", "claude"]);
    cli.at("2026-06-10T13:00:00Z", &["record", "--provider", "anthropic", "--input", "1"]);
    cli.at("2026-06-10T13:00:00Z", &["record", "--provider", "openai", "--input", "1"]);
    let (verdict, code) = gate(&cli, NOON, &["anthropic"]);
    let warned = verdict["warnings"].to_string();
    assert_eq!(code, 0, "{verdict}");
    for part in
        ["position 1 (paused) states the time", "position 2 (quota_exhausted) states", "calls of anthropic state"]
    {
        assert!(warned.contains(part), "{part}: {warned}");
    }
    let text = cli.command().args(["--now", NOON, "gate", "anthropic"]).output().unwrap();
    assert!(String::from_utf8(text.stderr).unwrap().contains("position 2 (quota_exhausted) states the time"));
    let (other, _) = gate(&cli, NOON, &["ollama"]);
    assert!(!other["warnings"].to_string().contains("quota_exhausted"), "{other}");
    let (now, code) = gate(&cli, "2026-06-10T13:00:00Z", &["anthropic"]);
    assert!(code == 75 && !now["warnings"].to_string().contains("future"), "{now}");
}

#[test]
fn options_that_append_refuse_the_past() {
    let cli = at_80();
    let feed = cli.dir().join("feed.json");
    std::fs::write(&feed, r#"{"rate_limits":{"five_hour":{"used_percentage":5,"resets_at":1781103600}}}"#).unwrap();
    let before = cli.bytes();
    for (option, value) in [("--feed", format!("claude-statusline={}", feed.display())), ("--probe", "true".to_owned())]
    {
        let told = cli.fails(2, &["--as-of", "1", "gate", "anthropic", option, &value]);
        assert!(told.contains(option), "{told}");
    }
    assert_eq!(cli.bytes(), before);
}

#[test]
fn a_full_minute_without_a_reset_is_over_after_a_minute_and_names_no_model() {
    let cli = TestCli::new();
    let headers = "anthropic-ratelimit-requests-limit: 50\nanthropic-ratelimit-requests-remaining: 0\n";
    cli.ok_with_input(headers, &["--now", NOON, "quota", "observe", "--format", "anthropic-headers"]);
    let warned = |now: &str| gate(&cli, now, &["anthropic"]).0["warnings"].to_string();
    let full = warned(NOON);
    assert!(
        full.contains("requests is refused until 2026-06-10T12:01:00") && !full.contains("name the model"),
        "{full}"
    );
    assert!(!warned("2026-06-10T12:01:00Z").contains("refused"));
}

#[test]
fn limits_can_be_read_from_an_agents_settings() {
    let cli = TestCli::new();
    let settings = json!({"usage": {"session_token_limit": 400_000, "weekly_token_limit": "x", "budget_mode": "FULL"},
        "budget": {"warn_at_percent": 50, "stop_at_percent": 80}});
    let file = cli.dir().join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    let set = ["--now", NOON, "limit", "set", "anthropic", "--weekly", "9000000", "--settings"];
    let done = cli.command().args(set).arg(&file).output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{stderr}");
    assert!(stderr.contains("`FULL` is no budget mode") && stderr.contains("usage.weekly_token_limit"), "{stderr}");
    let shown = &cli.json(&["--now", NOON, "limit", "show", "anthropic"])["limits"][0];
    assert_eq!((&shown["session"]["limit"], &shown["weekly"]["limit"]), (&json!(400_000), &json!(9_000_000)));
    assert_eq!(shown["budget_mode"], "session_only");
    assert_eq!(shown["thresholds"], json!({"warn": 50, "stop": 80, "margin": 10}));
}

#[test]
fn gate_explains_past_and_present_decisions() {
    let cli = at_80();
    cli.at("2026-06-10T12:30:00Z", &["override", "anthropic", "--used", "3", "--reason", "read it", "--author", "me"]);
    let story = |extra: &[&str]| {
        let done = cli.command().args(["--now", NOON]).args(extra).args(["gate", "anthropic", "--explain"]).output();
        let done = done.unwrap();
        (String::from_utf8(done.stdout).unwrap(), done.status.code().unwrap())
    };
    let (then, code) = story(&["--as-of", "2"]);
    assert_eq!(code, 75);
    for part in ["anthropic: wait", "how it was decided", "what it rests on", "limit_set", "tokens_recorded"] {
        assert!(then.contains(part), "{part} is missing: {then}");
    }
    let done =
        cli.command().args(["--now", "2026-06-10T12:31:00Z", "gate", "anthropic", "--explain"]).output().unwrap();
    let now = String::from_utf8(done.stdout).unwrap();
    assert!(now.contains("anthropic: deep") && now.contains("stated by me; read it"), "{now}");
}

#[test]
fn warnings_are_printed_on_stderr() {
    let cli = at_80();
    let done = cli.command().args(["--now", NOON, "gate", "anthropic"]).output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(
        stderr.contains("usage-ledger: warning: ")
            && !stderr.contains("basis=")
            && stderr.contains("has not reported the session window"),
        "{stderr}"
    );
}

#[test]
fn invalid_settings_are_refused() {
    let cli = at_80();
    let before = cli.bytes();
    for args in [
        &["limit", "set", "anthropic", "--budget-mode", "sesion_only"][..],
        &["limit", "set", "anthropic", "--warn", "20", "--stop", "5"],
        &["limit", "set", "anthropic", "--warn", "101"],
        &["limit", "set", "anthropic", "--stop", "0"],
        &["limit", "set", "anthropic", "--warn", "90", "--stop", "80"],
        &["limit", "set", "anthropic", "--stop", "10", "--margin", "20"],
        &["limit", "set", "anthropic", "--implement", "101"],
        &["limit", "set", "anthropic", "--stale-after", "0"],
        &["override", "anthropic", "--used", "101"],
        &["override", "anthropic", "--used", "abc"],
        &["override", "anthropic"],
        &["pause", "--for", "1d"],
        &["pause", "--until", "2020-01-01T00:00:00Z"],
        &["gate", "anthropic", "--tier", "huge"],
        &["reserve", "anthropic", "0"],
        &["resume"],
    ] {
        cli.fails(2, &[&["--now", NOON], args].concat());
    }
    assert_eq!(cli.bytes(), before);
    assert!(cli.fails(2, &["--ledger", "/nowhere/none.db", "gate"]).contains("name one"));
}

#[test]
fn thresholds_are_set_one_by_one() {
    let cli = TestCli::new();
    cli.at(NOON, &["override", "anthropic", "--used", "80"]);
    cli.at(NOON, &["limit", "set", "anthropic", "--stop", "95", "--budget-mode", "full"]);
    cli.at(NOON, &["limit", "set", "anthropic", "--warn", "90", "--margin", "5"]);
    let shown = cli.json(&["--now", NOON, "limit", "show", "anthropic"]);
    assert_eq!(shown["limits"][0]["thresholds"], json!({"warn": 90, "stop": 95, "margin": 5}));
    assert_eq!(shown["limits"][0]["begins"], json!({"implement": 56, "review": 86, "wait": 91}));
    assert_eq!(gate(&cli, NOON, &["anthropic"]).0["mode"], "implement");
}

#[test]
fn pauses_and_resumes_are_events() {
    let cli = at_80();
    cli.at(NOON, &["pause", "--for", "30m", "--note", "lunch"]);
    let status = cli.json(&["--now", "2026-06-10T12:10:00Z", "status"]);
    assert_eq!((&status["paused"]["reason"], &status["paused"]["note"]), (&json!("timed"), &json!("lunch")));
    cli.at("2026-06-10T12:11:00Z", &["resume", "--quota-verified", "anthropic"]);
    assert_eq!(gate(&cli, "2026-06-10T12:12:00Z", &["anthropic"]).0["basis"], "overridden");
    let paused = |now: &str| cli.json(&["--now", now, "status"])["paused"]["reason"].clone();
    assert_eq!(paused("2026-06-10T12:12:00Z"), "timed", "only quota pauses are lifted by it");
    cli.at("2026-06-10T12:13:00Z", &["resume"]);
    assert_eq!(paused("2026-06-10T12:14:00Z"), Value::Null);
    assert!(cli.fails(2, &["--now", NOON, "pause", "--reason", "lunch", "--for", "30m"]).contains("--note"));
}

#[test]
fn reservations_can_be_made_settled_and_released() {
    let cli = at_80();
    let shut = cli.fails(75, &["--now", NOON, "reserve", "anthropic", "1"]);
    assert!(shut.contains("anthropic is gated: budget exhausted"), "{shut}");
    cli.at(NOON, &["limit", "set", "anthropic", "--stop", "95"]);
    let held = cli.json(&["--now", NOON, "reserve", "anthropic", "60000"]);
    let id = held["id"].as_str().unwrap();
    assert_eq!(held["expires_at"], "2026-06-10T12:10:00.000Z");
    let refused = cli.fails(75, &["--now", NOON, "reserve", "anthropic", "60000"]);
    assert!(refused.contains("40000 are left of anthropic's session window"), "{refused}");
    cli.at("2026-06-10T12:05:00Z", &["settle", id, "--model", "m", "--input", "1000", "--output", "500"]);
    let again = ["settle", id, "--model", "m", "--input", "1000", "--output", "500"];
    assert!(cli.at("2026-06-10T12:06:00Z", &again).contains("already"), "settling is idempotent");
    let other = cli.fails(2, &["--now", "2026-06-10T12:06:00Z", "settle", id, "--model", "m", "--input", "1"]);
    assert!(other.contains("with other content"), "{other}");
    cli.fails(2, &["--now", "2026-06-10T12:06:00Z", "release", id]);
    let other = cli.json(&["--now", "2026-06-10T12:06:00Z", "reserve", "anthropic", "10"]);
    let release = ["release", other["id"].as_str().unwrap()];
    cli.at("2026-06-10T12:06:00Z", &release);
    assert!(cli.at("2026-06-10T12:06:00Z", &release).contains("already"), "releasing is idempotent");
    let status = cli.json(&["--now", "2026-06-10T12:06:00Z", "status"]);
    assert_eq!(status["providers"][0]["session"]["tokens"]["total"], 401_500);
    assert_eq!(status["providers"][0]["reserved"], 0);
}

#[test]
fn settle_accepts_the_options_of_record() {
    let cli = TestCli::new();
    cli.fails(2, &["--now", NOON, "reserve", "antropic", "10"]);
    let reserve = |args: &[&str]| {
        let held = cli.json(&[&["--now", NOON, "reserve"][..], args].concat());
        held["id"].as_str().unwrap().to_owned()
    };
    let id = reserve(&["aws-bedrock", "5000", "--account", "work"]);
    let response = json!({"id": "msg_1", "model": "claude-opus-4-5", "usage": {"input_tokens": 7, "output_tokens": 5}});
    let args = [
        "--now",
        "2026-06-10T12:05:00Z",
        "--json",
        "settle",
        &id,
        "--format",
        "anthropic",
        "--project",
        "acme",
        "--agent",
        "bot",
        "--conversation",
        "c1",
        "--label",
        "mission=m1",
        "--cost",
        "0.25",
        "--duration-ms",
        "900",
        "--key",
        "k1",
        "--occurred-at",
        "2026-06-10T12:04:00Z",
        "--source",
        "my-agent",
    ];
    cli.ok_with_input(response.to_string(), &args);
    cli.ok_with_input(response.to_string(), &args);
    let rows = cli.json(&["report", "--by", "provider,account,model,agent,project,conversation,label:mission"]);
    let row = &rows["rows"][0];
    for (key, value) in [
        ("provider", "aws-bedrock"),
        ("account", "work"),
        ("model", "claude-opus-4-5"),
        ("agent", "bot"),
        ("project", "acme"),
        ("conversation", "c1"),
        ("label:mission", "m1"),
    ] {
        assert_eq!(row[key], value, "{key}: {row}");
    }
    assert_eq!((&row["requests"], &row["tokens"]["total"]), (&json!(1), &json!(12)));
    assert_eq!(row["cost"]["reported_usd"], "0.25");
    let id = reserve(&["ollama", "10", "--model", "qwen3.5:cloud"]);
    cli.at(NOON, &["settle", &id, "--model", "qwen3.5:cloud", "--input", "3"]);
    assert_eq!(cli.json(&["report", "--by", "provider", "--provider", "ollama-cloud"])["total"]["tokens"]["total"], 3);
    let id = reserve(&["openai", "10"]);
    let wrong = cli.fails(2, &["--now", NOON, "settle", &id, "--provider", "anthropic", "--input", "1"]);
    assert!(wrong.contains("the reservation is for openai, the record for anthropic"), "{wrong}");
}

#[test]
fn doctor_finds_a_limit_that_the_provider_contradicts() {
    let cli = at_80();
    cli.at(NOON, &["doctor"]);
    let line = json!({"rate_limits": {"five_hour": {"used_percentage": 40, "resets_at": 1_781_107_200}}}).to_string();
    cli.ok_with_input(line, &["--now", NOON, "quota", "observe", "--format", "claude-statusline"]);
    let done = cli.command().args(["--now", NOON, "--json", "doctor"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["accounts"][0]["windows"][0]["points"], json!(40.0));
    assert_eq!(report["findings"][0]["remedy"], "usage-ledger limit set anthropic --session 1000000");
}

#[test]
fn an_unreadable_feed_is_a_warning() {
    let cli = at_80();
    let path = cli.dir().join("feed.json");
    let feed = format!("claude-statusline={}", path.display());
    let missing = gate(&cli, NOON, &["anthropic", "--feed", &feed]);
    assert_eq!((&missing.0["basis"], missing.1), (&json!("estimated"), 75));
    assert!(missing.0["warnings"][0].as_str().unwrap().contains("could not be read"), "{missing:?}");
    std::fs::write(&path, r#"{"rate_limits":{"five_hour":{"used_percentage":12,"resets_at":1781100000}}}"#).unwrap();
    let answer = gate(&cli, NOON, &["anthropic", "--feed", &feed]);
    assert_eq!((&answer.0["basis"], answer.1), (&json!("observed"), 0));
    cli.fails(2, &["gate", "anthropic", "--feed", "nothing=x"]);
}

#[test]
fn a_money_budget_does_not_hide_the_cost_of_a_run() {
    let cli = TestCli::new();
    cli.at("2026-06-10T11:00:00Z", &["limit", "set", "anthropic", "--session", "100000"]);
    cli.at("2026-06-10T11:00:00Z", &["price", "set", "anthropic", "", "--input", "10", "--output", "10"]);
    cli.at("2026-06-10T11:30:00Z", &["record", "--provider", "anthropic", "--model", "m", "--input", "50000"]);
    let critical = ["anthropic", "--tier", "critical"];
    let (alone, code) = gate(&cli, NOON, &critical);
    assert_eq!((&alone["mode"], code), (&json!("wait"), 75), "{alone}");
    // The money budget is fuller than the session, and allows more.
    cli.at("2026-06-10T11:40:00Z", &["limit", "set", "anthropic", "--usd-day", "0.98"]);
    let (beside, code) = gate(&cli, NOON, &critical);
    assert_eq!((&beside["mode"], code), (&json!("wait"), 75), "{beside}");
    assert!(beside["reason"].as_str().unwrap().contains("session window"), "{beside}");
}

#[test]
fn the_key_of_a_reservation_that_holds_nothing_reserves_nothing() {
    let cli = TestCli::new();
    let reserve = |now: &str| cli.command().args(["--now", now, "reserve", "openai", "500", "--key", "k"]).output();
    let first = reserve(NOON).unwrap();
    assert!(first.status.success());
    assert_eq!(reserve("2026-06-10T12:05:00Z").unwrap().stdout, first.stdout, "a repeated call finds the first one");
    let late = reserve("2026-06-10T13:00:00Z").unwrap();
    assert!(!late.status.success());
    let said = String::from_utf8(late.stderr).unwrap();
    assert!(said.contains("expired at 2026-06-10T12:10:00.000Z"), "{said}");
}

#[test]
fn settings_that_are_no_object_are_refused() {
    for text in ["[]", "\"x\"", "null", "5"] {
        let cli = TestCli::new();
        let done =
            cli.command().args(["limit", "set", "claude", "--settings", "-"]).write_stdin(text).output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{text}");
        assert!(!cli.ledger().exists(), "{text}");
    }
}

#[test]
fn servers_of_local_programs_have_no_quota() {
    let cli = TestCli::new();
    for name in ["ollama_chat", "ollama-server", "vllm-local", "LM-Studio-Server"] {
        let (verdict, code) = gate(&cli, NOON, &[name]);
        assert_eq!((&verdict["metered"], code), (&json!(false), 0), "{name}");
    }
}
