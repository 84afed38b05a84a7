//! Help, completions, short names and figures: what people look at.

use serde_json::Value;

use crate::cli_support::TestCli;

fn records(cli: &TestCli) {
    for (project, model, day) in [
        ("/home/me/acme", "claude-opus-4-5-20251101", "09"),
        ("/home/me/tool", "claude-opus-4-5-20251101", "10"),
        ("/srv/x/tool", "gpt-5", "11"),
    ] {
        let provider = if model == "gpt-5" { "openai" } else { "anthropic" };
        let call = ["record", "--provider", provider, "--model", model, "--project", project, "--input", "1000"];
        cli.at(&format!("2026-06-{day}T08:00:00Z"), &call);
    }
}

#[test]
fn completions_offer_what_the_ledger_knows() {
    let cli = TestCli::new();
    records(&cli);
    let script = cli.ok(&["completions", "bash"]);
    assert!(script.contains("COMPLETE") && script.contains("usage-ledger"), "{script}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(!cli.ok(&["completions", shell]).is_empty(), "{shell}");
    }
    let asked = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut command = cli.command();
        command.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", index);
        command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
        String::from_utf8(command.arg("--").args(words).output().unwrap().stdout).unwrap()
    };
    assert!(asked(&["usage-ledger", "report", "--model", ""]).contains("gpt-5"));
    assert!(asked(&["usage-ledger", "report", "--project", "/home"]).contains("/home/me/acme"));
    assert!(asked(&["usage-ledger", "gate", "anth"]).contains("anthropic"));
    assert!(asked(&["usage-ledger", "sta"]).contains("status"));
}

#[test]
fn every_command_has_a_manual_page() {
    let cli = TestCli::new();
    let pages = cli.dir().join("man");
    cli.ok(&["man", "--dir", pages.to_str().unwrap()]);
    for page in ["usage-ledger.1", "usage-ledger-report.1", "usage-ledger-limit-set.1", "usage-ledger-install-codex.1"]
    {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(cli.ok(&["man", "limit", "set"]).contains("usd\\-month"));
    assert!(cli.fails(2, &["man", "limit", "sat"]).contains("`limit sat` is not a command"));
}

#[test]
fn tables_show_short_names_unless_whole_ones_are_asked_for() {
    let cli = TestCli::new();
    records(&cli);
    let short = cli.ok(&["report", "--by", "project,model"]);
    assert!(short.contains("acme ") && short.contains("me/tool ") && short.contains("x/tool "), "{short}");
    assert!(short.contains(" claude-opus-4-5 ") && !short.contains("20251101"), "{short}");
    let wide = cli.ok(&["report", "--by", "project,model", "--wide"]);
    assert!(wide.contains("/home/me/acme ") && wide.contains("claude-opus-4-5-20251101"), "{wide}");
    let rows = cli.json(&["report", "--by", "project"]);
    assert_eq!(rows["rows"][0]["project"], "/home/me/acme", "JSON has whole names");
}

#[test]
fn the_use_of_windows_is_drawn_with_limit_and_resets() {
    let cli = TestCli::new();
    cli.at("2026-06-10T08:00:00Z", &["limit", "set", "anthropic", "--session", "1000"]);
    for (hour, tokens) in [("08", "300"), ("11", "400"), ("16", "100")] {
        let call = ["record", "--provider", "anthropic", "--input", tokens];
        cli.at(&format!("2026-06-10T{hour}:00:00Z"), &call);
    }
    let asked = ["--now", "2026-06-10T18:00:00Z", "report", "--by", "window", "--since", "2026-06-10"];
    let drawn = cli.ok(&[&asked[..], &["--chart"]].concat());
    assert!(drawn.starts_with("window use of anthropic\n\nsession, limit 1,000\n"), "{drawn}");
    assert_eq!(drawn.matches('▲').count(), 1, "one session was reset:\n{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    let file = cli.dir().join("use.svg");
    cli.ok(&[&asked[..], &["--svg", file.to_str().unwrap()]].concat());
    let svg = std::fs::read_to_string(file).unwrap();
    assert!(svg.contains("session, limit 1,000") && svg.contains("reset at 06-10 13:"), "{svg}");
    assert!(svg.contains(": 70 %</title>"));
    let file = cli.dir().join("use.png");
    cli.ok(&[&asked[..], &["--png", file.to_str().unwrap()]].concat());
    assert!(std::fs::read(file).unwrap().starts_with(b"\x89PNG\r\n"));
}

#[test]
fn a_documented_plan_sets_its_monthly_budget() {
    let cli = TestCli::new();
    cli.at("2026-06-10T08:00:00Z", &["limit", "set", "github-copilot", "--plan", "pro-plus"]);
    let limits = cli.json(&["limit", "show", "github-copilot"]);
    let money = &limits["limits"][0]["money"][0];
    assert_eq!((&money["period"], &money["limit_usd"]), (&Value::from("month"), &Value::from("70")));
    let told = cli.fails(2, &["limit", "set", "anthropic", "--plan", "max"]);
    assert!(told.contains("anthropic documents no limit of a plan") && told.contains("--from-observations"), "{told}");
}

#[test]
fn a_report_is_a_table_in_markdown() {
    let cli = TestCli::new();
    let call = ["record", "--provider", "openai", "--model", "a|b_@me", "--input", "1234"];
    cli.at("2026-06-10T08:00:00Z", &call);
    assert_eq!(
        cli.ok(&["report", "--by", "provider,model", "--format", "markdown"]),
        "| provider | model | requests | tokens | cost |\n| --- | --- | ---: | ---: | ---: |\n\
         | openai | a\\|b\\_&#64;me | 1 | 1,234 | unpriced |\n| **total** |  | 1 | 1,234 | unpriced |\n"
    );
}

#[test]
fn an_answer_that_is_outdated_says_so() {
    let cli = TestCli::new();
    let logs = cli.dir().join(".claude/projects/acme");
    std::fs::create_dir_all(&logs).unwrap();
    let line = |id: &str| {
        format!(
            r#"{{"type":"assistant","timestamp":"2026-06-10T08:00:00Z","sessionId":"s","requestId":"{id}","message":{{"id":"{id}","model":"claude-opus-4-5","usage":{{"input_tokens":5,"output_tokens":7}}}}}}"#
        ) + "\n"
    };
    std::fs::write(logs.join("a.jsonl"), line("1")).unwrap();
    cli.ok(&["import"]);
    let told = |words: &[&str]| String::from_utf8(cli.command().args(words).output().unwrap().stderr).unwrap();
    assert_eq!(told(&["status"]), "");
    std::fs::write(logs.join("a.jsonl"), line("1") + &line("2")).unwrap();
    std::fs::write(logs.join("b.jsonl"), line("3")).unwrap();
    for words in [&["status"][..], &["report"]] {
        let said = told(words);
        assert!(said.contains("2 logs changed since the last import: `usage-ledger import` reads them"), "{said}");
    }
    assert_eq!(told(&["report", "--json"]), "");
    cli.ok(&["import"]);
    assert_eq!(told(&["status"]), "");
}

#[test]
fn a_date_as_of_which_a_question_is_asked_ends_in_the_zone_of_the_user() {
    let cli = TestCli::new();
    let record = |now: &str| cli.at(now, &["record", "--provider", "openai", "--input", "5"]);
    // Before and after midnight in Paris.
    record("2026-06-10T21:30:00Z");
    record("2026-06-10T22:30:00Z");
    let requests = |zone: &str, as_of: &str| {
        let now = "2026-06-11T10:00:00Z";
        cli.json(&["--now", now, "--tz", zone, "--as-of", as_of, "report"])["total"]["requests"].as_u64().unwrap()
    };
    assert_eq!((requests("Europe/Paris", "2026-06-10"), requests("UTC", "2026-06-10")), (1, 2));
    assert_eq!((requests("Europe/Paris", "yesterday"), requests("Europe/Paris", "today")), (1, 2));
    assert_eq!((requests("UTC", "12h"), requests("UTC", "1"), requests("UTC", "2026-06")), (1, 1, 2));
    let refused = cli.fails(2, &["--as-of", "someday", "status"]);
    assert!(refused.contains("a date (2026-06-01)") && refused.contains("a position such as 120"), "{refused}");
}

#[test]
fn a_report_without_a_call_says_why_on_standard_error() {
    let cli = TestCli::new();
    let note = |args: &[&str]| {
        let done = cli.command().args(args).assert().success();
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    };
    cli.ok(&["limit", "set", "openai", "--session", "5k"]);
    for alias in ["daily", "weekly", "monthly", "session", "blocks", "report"] {
        assert!(note(&[alias]).contains("the ledger has no call yet: `usage-ledger import`"), "{alias}");
    }
    for day in ["2026-06-09", "2026-06-10"] {
        cli.at(&format!("{day}T09:00:00Z"), &["record", "--provider", "openai", "--input", "5"]);
    }
    let range = note(&["daily", "--until", "2026-06-01"]);
    assert!(
        range.contains("no call is in this range: the calls of the ledger are from 2026-06-09 to 2026-06-10"),
        "{range}"
    );
    assert_eq!((note(&["daily"]), note(&["--json", "daily", "--until", "2026-06-01"])), (String::new(), String::new()));
}
