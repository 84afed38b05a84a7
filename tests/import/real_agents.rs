//! Homes that real agents wrote in November 2026 against a local server with fixed counts:
//! `tests/fixtures/agents/README.md`.

#![cfg(feature = "import")]

use rusqlite::Connection;
use usage_ledger::Ledger;

use super::agents::{Home, check, counted, lines};

const AGENTS: [&str; 6] = ["pi", "openclaw", "kimi-code", "hermes", "mistral-vibe", "llm"];

#[test]
fn pi() {
    check(
        "pi",
        &[
            ("mock mock-1", 7, [292_774, 223_250, 0, 1_060, 1_611]),
            ("mockant claude-sonnet-4-5", 2, [263, 41_942, 1_049, 567, 566]),
            ("mockresp gpt-5.2", 2, [18_728, 5_460, 0, 493, 67]),
        ],
        &[],
    );
}

#[test]
fn openclaw() {
    check("openclaw", &[("mock mock-1", 4, [25_698, 13_419, 0, 558, 1_109])], &[]);
}

#[test]
fn kimi_code() {
    check(
        "kimi-code",
        &[
            ("anthropic claude-sonnet-4-5", 2, [137, 31_852, 2_121, 125, 0]),
            ("openai kimi-k2", 7, [47_221, 36_305, 0, 4_241, 0]),
        ],
        &[],
    );
}

/// The server answered eight calls with 66,017 tokens. The parent ended while the subagent's call with 14,355 was under way: its
/// session states no counts, and the import says so.
#[test]
fn hermes() {
    check(
        "hermes",
        &[("unknown mock-1", 2, [15_908, 33_307, 0, 1_617, 830])],
        &["sessions that ended without the token counts of their calls: 1"],
    );
}

/// The server answered five calls with 58,048 tokens; a checkpoint stores only their sum.
#[test]
fn mistral_vibe() {
    check("mistral-vibe", &[("mistral devstral-2", 1, [31_178, 24_271, 0, 2_599, 0])], &[]);
}

#[test]
fn llm() {
    check("llm", &[("unknown mock-1", 3, [3_528, 30_432, 0, 1_066, 339])], &[]);
}

#[test]
fn no_text_of_a_conversation_is_stored() {
    for agent in AGENTS {
        let (home, ledger) = (Home::of(&[agent]), Ledger::in_memory().unwrap());
        home.one(&ledger, agent);
        for line in lines(&ledger) {
            for text in ["echo hi", "(text of", "Done.", "@@tools", "http://"] {
                assert!(!line.contains(text), "{agent}: {line}");
            }
        }
    }
}

#[test]
fn an_event_that_openclaw_has_compressed_still_counts() {
    let (home, ledger) = (Home::of(&["openclaw"]), Ledger::in_memory().unwrap());
    let file = ".openclaw/agents/main/agent/openclaw-agent.sqlite";
    let database = Connection::open(home.file(file)).unwrap();
    let sql = "SELECT event_json FROM transcript_events WHERE seq = 5";
    let text: String = database.query_row(sql, [], |row| row.get(0)).unwrap();
    let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let sql = "UPDATE transcript_events SET event_json = NULL, event_zstd = ?1 WHERE seq = 5";
    assert_eq!(database.execute(sql, [packed]).unwrap(), 1);
    drop(database);
    let report = home.one(&ledger, "openclaw");
    assert_eq!((report.recorded, report.skipped.len()), (4, 0));
    assert_eq!(counted(&ledger), [("mock mock-1".to_owned(), 4, [25_698, 13_419, 0, 558, 1_109])]);
}

#[test]
fn sums_of_hermes_that_grow_amend_one_record() {
    let (home, ledger) = (Home::of(&["hermes"]), Ledger::in_memory().unwrap());
    home.one(&ledger, "hermes");
    let grown =
        "UPDATE session_model_usage SET input_tokens = input_tokens + 5 WHERE session_id = '20261128_115531_359a92'";
    home.sql(".hermes/state.db", grown);
    let report = home.one(&ledger, "hermes");
    assert_eq!((report.recorded, report.amended), (0, 1));
    assert_eq!(counted(&ledger), [("unknown mock-1".to_owned(), 2, [15_913, 33_307, 0, 1_617, 830])]);
}

#[test]
fn sessions_of_hermes_with_calls_but_only_zeros_are_reported() {
    let (home, ledger) = (Home::of(&["hermes"]), Ledger::in_memory().unwrap());
    let zeros = "UPDATE session_model_usage SET input_tokens = 0, output_tokens = 0, cache_read_tokens = 0, \
                 cache_write_tokens = 0, reasoning_tokens = 0";
    home.sql(".hermes/state.db", zeros);
    let report = home.one(&ledger, "hermes");
    let unknown = report.skipped.iter().filter(|skip| skip.why == "unknown usage: all counts of a session are 0");
    assert_eq!((report.recorded, unknown.count()), (0, 2));
}

#[test]
fn an_alias_names_an_agent() {
    let (home, ledger) = (Home::of(&["kimi-code"]), Ledger::in_memory().unwrap());
    let report = home.one(&ledger, "kimi");
    assert_eq!((report.source.as_str(), report.recorded), ("kimi-code", 9));
}
