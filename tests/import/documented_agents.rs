//! Agents whose formats are known from documentation: the homes are invented, in the shapes that the descriptors name.

#![cfg(feature = "import")]

use usage_ledger::Ledger;
use usage_ledger::import::ImportOptions;
use usage_ledger::internals;

use super::agents::{Home, check, counted, lines};

const AGENTS: [&str; 7] = ["aider", "antigravity", "codebuff", "grok-cli", "openhands", "zcode", "zed"];

#[test]
fn aider() {
    check(
        "aider",
        &[
            ("anthropic anthropic/claude-sonnet-4-5", 2, [16_400, 0, 0, 620, 0]),
            ("unknown o4-mini", 1, [100, 0, 0, 5, 0]),
        ],
        &["unknown shape: a message without token counts"],
    );
}

#[test]
fn antigravity() {
    check(
        "antigravity",
        &[("google gemini-3.8-flash-high", 3, [200, 900, 0, 53, 20])],
        &["unknown shape: a call of a step without an id", "unknown shape: a message that cannot be read"],
    );
}

#[test]
fn codebuff() {
    check(
        "codebuff",
        &[
            ("codebuff anthropic/claude-sonnet-4.5", 1, [40, 900, 100, 60, 0]),
            ("codebuff openai/gpt-5", 1, [200, 800, 0, 20, 0]),
        ],
        &["answers that state credits and no token counts: 1"],
    );
}

#[test]
fn grok_cli() {
    check(
        "grok-cli",
        &[("xai grok-4-fast", 1, [1_000, 0, 0, 100, 0]), ("xai grok-4.5-build", 2, [3_100, 8_400, 0, 540, 310])],
        &["unknown usage: a turn without token counts"],
    );
    let (home, ledger) = (Home::of(&["grok-cli"]), Ledger::in_memory().unwrap());
    home.one(&ledger, "grok-cli");
    assert!(lines(&ledger).iter().any(|line| line.contains(r#""cost":"0.012""#)), "{:?}", lines(&ledger));
}

#[test]
fn openhands() {
    check(
        "openhands",
        &[
            ("anthropic anthropic/claude-sonnet-4-5", 2, [200, 2_900, 3_100, 130, 20]),
            ("openai openai/gpt-5-mini", 1, [900, 0, 0, 70, 0]),
        ],
        &["unknown usage: all counts of a call are 0"],
    );
}

#[test]
fn zcode() {
    check("zcode", &[("zai GLM-5.2", 2, [1_300, 1_700, 0, 400, 40])], &["unknown usage: all counts of a call are 0"]);
}

#[test]
fn zed() {
    check(
        "zed",
        &[
            ("anthropic claude-sonnet-4-5", 2, [22, 3_000, 3_000, 290, 0]),
            ("zed.dev claude-opus-4-6", 1, [7, 0, 0, 8, 0]),
        ],
        &["unknown usage: a thread that states a sum and no requests"],
    );
}

#[test]
fn requests_of_a_thread_that_goes_on_stay_at_their_first_time() {
    let (home, ledger) = (Home::of(&["zed"]), Ledger::in_memory().unwrap());
    home.one(&ledger, "zed");
    let later = "UPDATE threads SET updated_at = '2026-11-23T10:00:00+00:00', data = CAST(\
        '{\"model\":{\"provider\":\"zed.dev\",\"model\":\"claude-opus-4-6\"},\"request_token_usage\":\
        {\"r9\":{\"input_tokens\":7,\"output_tokens\":8},\"r10\":{\"input_tokens\":1,\"output_tokens\":2}}}' AS BLOB) \
        WHERE id = 't2'";
    home.sql(".local/share/zed/threads/threads.db", later);
    let report = home.one(&ledger, "zed");
    assert_eq!((report.recorded, report.amended), (1, 0));
    assert_eq!(counted(&ledger)[1], ("zed.dev claude-opus-4-6".to_owned(), 2, [8, 0, 0, 10, 0]));
}

#[test]
fn a_session_of_grok_cli_is_read_when_its_summary_can_be_read() {
    let (home, ledger) = (Home::of(&["grok-cli"]), Ledger::in_memory().unwrap());
    let summary = home.file(".grok/sessions/%2Fhome%2Fdev%2Facme/019fa1b1-0000-7000-8000-000000000001/summary.json");
    let whole = std::fs::read(&summary).unwrap();
    std::fs::write(&summary, "{").unwrap();
    let report = home.one(&ledger, "grok-cli");
    assert_eq!((report.recorded, report.unreadable), (0, 1), "{report:?}");
    assert!(report.skipped[0].why.contains("`summary.json`"), "{report:?}");
    std::fs::write(&summary, whole).unwrap();
    assert_eq!(home.one(&ledger, "grok-cli").recorded, 3);
}

#[test]
fn a_thread_of_zed_with_another_form_of_requests_is_reported() {
    let (home, ledger) = (Home::of(&["zed"]), Ledger::in_memory().unwrap());
    let other = "UPDATE threads SET data_type = 'json', data = CAST('{\"request_token_usage\":[1]}' AS BLOB)";
    home.sql(".local/share/zed/threads/threads.db", other);
    let report = home.one(&ledger, "zed");
    assert_eq!(report.recorded, 0);
    assert!(
        report.skipped.iter().any(|skipped| skipped.why.contains("`request_token_usage` is no object")),
        "{report:?}"
    );
}

#[test]
fn no_text_of_a_conversation_is_stored() {
    for agent in AGENTS {
        let (home, ledger) = (Home::of(&[agent]), Ledger::in_memory().unwrap());
        assert!(home.one(&ledger, agent).recorded > 0, "{agent}");
        assert!(lines(&ledger).iter().all(|line| !line.contains("SECRET")), "{agent}");
    }
}

#[test]
fn a_database_of_an_unknown_shape_is_refused() {
    for (agent, file, sql) in [
        ("zcode", ".zcode/cli/db/db.sqlite", "DROP TABLE model_usage"),
        ("zcode", ".zcode/cli/db/db.sqlite", "ALTER TABLE model_usage RENAME COLUMN input_tokens TO tokens_in"),
        ("zed", ".local/share/zed/threads/threads.db", "ALTER TABLE threads RENAME COLUMN data TO blob"),
        (
            "antigravity",
            ".gemini/antigravity/conversations/adf2fd49-0000-4000-8000-000000000001.db",
            "DROP TABLE gen_metadata; DROP TABLE steps",
        ),
    ] {
        let (home, ledger) = (Home::of(&[agent]), Ledger::in_memory().unwrap());
        home.sql(file, sql);
        let report = home.one(&ledger, agent);
        assert!(report.recorded == 0 && report.skipped[0].why.starts_with("unknown shape"), "{agent}: {report:?}");
    }
}

#[test]
fn agents_without_counts_are_named_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    for directory in [".kiro/sessions", ".local/share/crush", ".local/state/warp-terminal"] {
        std::fs::create_dir_all(home.path().join(directory)).unwrap();
    }
    let options = ImportOptions::new().homes([home.path().to_owned()]);
    let unread = internals::import::unread_agents(&options);
    let named: Vec<_> = unread
        .iter()
        .map(|unread| (unread.agent, unread.why.contains("counts") || unread.why.contains("total")))
        .collect();
    assert_eq!(named, [("crush", true), ("kiro", true), ("warp", true)]);
}
