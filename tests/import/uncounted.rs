//! Calls that are easily missed: of relays with one id, of advisors, of streams with an incomplete last event.

#![cfg(feature = "import")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::internals;
use usage_ledger::{Ledger, Report, ReportKey, Timestamp, TokenClass};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

/// A reply in a session's log, without a request id.
fn line(session: &str, time: &str, id: &str, stop: &str, usage: &str) -> String {
    format!(
        r#"{{"sessionId":"{session}","cwd":"/srv/app","type":"assistant","message":{{"model":"glm-4.7","id":"{id}","type":"message","role":"assistant","content":[],"stop_reason":{stop},"usage":{usage}}},"timestamp":"2026-09-{time}Z"}}"#
    ) + "\n"
}

fn prompt(session: &str, time: &str) -> String {
    format!(
        r#"{{"sessionId":"{session}","type":"user","message":{{"role":"user","content":"go on"}},"timestamp":"2026-09-{time}Z"}}"#
    ) + "\n"
}

fn usage(input: u64, output: u64) -> String {
    format!(r#"{{"input_tokens":{input},"cache_read_input_tokens":0,"output_tokens":{output}}}"#)
}

fn write(home: &Path, name: &str, text: &str) {
    let directory = home.join(".claude/projects/-srv-app");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(format!("{name}.jsonl")), text).unwrap();
}

fn import(ledger: &mut Ledger, home: &Path) -> SourceReport {
    let options = ImportOptions::new().sources(["claude-code".to_owned()]).homes([home.to_owned()]);
    import::run(ledger, &options, now(), &mut |_| {}).unwrap().sources.remove(0)
}

/// Requests, what went in, what came out.
fn total(ledger: &mut Ledger) -> (u64, u128, u128) {
    let usage = ledger.report(&Report::by_all([])).unwrap().total;
    (usage.requests, usage.tokens.get(TokenClass::Input), usage.tokens.get(TokenClass::Output))
}

#[test]
fn equal_ids_of_a_relay_are_several_calls() {
    const END: &str = "\"end_turn\"";
    let sessions = [
        ("a", prompt("a", "01T10:00:00") + &line("a", "01T10:00:05", "relay", END, &usage(100, 10))),
        // The same prompt as in the first session, a day later.
        ("b", prompt("b", "02T10:00:00") + &line("b", "02T10:00:05", "relay", END, &usage(100, 10))),
        // Several in one session: with and without a user message between them, and one with a repeated prompt.
        (
            "c",
            line("c", "03T10:00:05", "relay", END, &usage(300, 30))
                + &line("c", "03T10:01:05", "relay", END, &usage(330, 30))
                + &prompt("c", "03T10:02:00")
                + &line("c", "03T10:02:05", "relay", END, &usage(360, 30))
                + &line("c", "03T10:09:05", "relay", END, &usage(360, 30)),
        ),
    ];
    let expected = (6, 100 + 100 + 300 + 330 + 360 + 360, 140);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        // One after the other, and each seen again by every later import.
        let home = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::in_memory().unwrap();
        for place in order {
            write(home.path(), sessions[place].0, &sessions[place].1);
            import(&mut ledger, home.path());
        }
        assert_eq!(total(&mut ledger), expected, "{order:?}");
        assert_eq!(import(&mut ledger, home.path()).recorded, 0);
        // A resumed session copies earlier lines under its own name.
        let copy = sessions[2].1.replace("\"c\"", "\"d\"") + &line("d", "04T10:00:05", "relay", END, &usage(7, 1));
        write(home.path(), "d", &copy);
        import(&mut ledger, home.path());
        assert_eq!(total(&mut ledger), (7, expected.1 + 7, expected.2 + 1), "{order:?}");
        // All at once give the same result.
        let mut fresh = Ledger::in_memory().unwrap();
        import(&mut fresh, home.path());
        assert_eq!(total(&mut fresh), total(&mut ledger));
    }
}

#[test]
fn the_lines_of_one_streamed_answer_are_one_call_whenever_they_are_read() {
    let whole = prompt("a", "01T10:00:00")
        + &line("a", "01T10:00:05", "relay", "null", &usage(100, 1))
        + &line("a", "01T10:00:09", "relay", "null", &usage(100, 40))
        + &prompt("a", "01T10:00:20")
        + &line("a", "01T10:00:30", "relay", "\"tool_use\"", &usage(100, 90));
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for cut in 1..=lines.len() {
        let home = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::in_memory().unwrap();
        write(home.path(), "a", &lines[..cut].concat());
        import(&mut ledger, home.path());
        write(home.path(), "a", &whole);
        import(&mut ledger, home.path());
        assert_eq!(total(&mut ledger), (1, 100, 90), "cut behind line {cut}");
    }
}

#[test]
fn a_newline_that_arrives_later_is_no_further_line() {
    let lines = ["msg_1", "msg_2", "msg_3"].map(|id| line("a", "01T10:00:05", id, "\"end_turn\"", &usage(1, 1)));
    let [first, second, third] = &lines;
    let home = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::in_memory().unwrap();
    let open = first.clone() + second.trim_end();
    // Nothing new arrives, then the newline does.
    for text in [open.clone(), open.clone(), format!("{open}\n{third}{{\"usage\" bad\n")] {
        write(home.path(), "a", &text);
        let skipped = import(&mut ledger, home.path()).skipped;
        let expected: &[u64] = if text == open { &[] } else { &[4] };
        assert_eq!(skipped.iter().map(|skipped| skipped.line).collect::<Vec<_>>(), expected, "{skipped:?}");
    }
    assert_eq!(total(&mut ledger).0, 3);
}

#[test]
fn a_last_line_without_input_takes_it_from_an_earlier_one() {
    let lines = [
        line("a", "01T10:00:05", "msg_1", "null", &usage(271, 1)),
        line("a", "01T10:00:09", "msg_1", "\"end_turn\"", &usage(0, 90)),
    ];
    for together in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::in_memory().unwrap();
        if !together {
            write(home.path(), "a", &lines[0]);
            import(&mut ledger, home.path());
        }
        write(home.path(), "a", &lines.concat());
        import(&mut ledger, home.path());
        assert_eq!(total(&mut ledger), (1, 271, 90), "together: {together}");
    }
    // The last line alone, with more output than the whole first one.
    let home = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::in_memory().unwrap();
    write(home.path(), "a", &(lines[0].clone() + &line("a", "01T10:00:09", "msg_1", "null", &usage(0, 900))));
    import(&mut ledger, home.path());
    assert_eq!(total(&mut ledger), (1, 271, 900));
}

#[test]
fn replies_with_only_zeros_are_reported_and_not_recorded() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::in_memory().unwrap();
    let zero = |time: &str, id: &str, stop: &str| line("a", time, id, stop, &usage(0, 0));
    let text = prompt("a", "01T10:00:00")
        + &zero("01T10:00:05", "msg_1", "\"end_turn\"")
        + &prompt("a", "01T10:01:00")
        + &zero("01T10:01:05", "msg_2", "\"end_turn\"")
        + &line("a", "01T10:02:05", "msg_3", "\"end_turn\"", &usage(5, 1));
    write(home.path(), "a", &text);
    let report = import(&mut ledger, home.path());
    let why: Vec<_> = report.skipped.iter().map(|skipped| skipped.why.as_str()).collect();
    assert_eq!(why, ["answers without token counts: 2, whose counts are all 0"]);
    assert!(internals::import::loses_counts(why[0]));
    assert_eq!(total(&mut ledger), (1, 5, 1));
    assert!(import(&mut ledger, home.path()).skipped.is_empty());
    // A first line of zeros whose reply continues is not such a reply.
    let more = zero("01T10:03:05", "msg_4", "null");
    write(home.path(), "a", &(text.clone() + &more));
    assert!(import(&mut ledger, home.path()).skipped.is_empty());
    let counted = line("a", "01T10:03:09", "msg_4", "\"end_turn\"", &usage(7, 2));
    write(home.path(), "a", &(text + &more + &counted));
    assert!(import(&mut ledger, home.path()).skipped.is_empty());
    assert_eq!(total(&mut ledger), (2, 12, 3));
}

#[test]
fn advisor_tokens_are_a_call_of_the_advisor_model() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::in_memory().unwrap();
    let iterations = r#"[{"type":"message","input_tokens":10,"output_tokens":500},
        {"type":"advisor_message","model":"claude-opus-4-7","input_tokens":150000,"output_tokens":8000},
        {"type":"advisor_message","input_tokens":1000,"output_tokens":10}]"#
        .replace('\n', "");
    let usage = format!(r#"{{"input_tokens":10,"output_tokens":500,"iterations":{iterations}}}"#);
    let answer =
        line("a", "01T10:00:05", "msg_01AdvisorX", "\"end_turn\"", &usage).replace("glm-4.7", "claude-sonnet-4-6");
    let answer = answer.replace("\"cwd\"", r#""requestId":"req_1","advisorModel":"claude-opus-4-8","cwd""#);
    write(home.path(), "a", &answer);
    assert_eq!(import(&mut ledger, home.path()).recorded, 3);
    // The copy in a resumed session adds nothing.
    write(home.path(), "b", &answer.replace("\"a\"", "\"b\""));
    assert_eq!(import(&mut ledger, home.path()).recorded, 0);
    let rows = ledger.report(&Report::by(ReportKey::Model)).unwrap().rows;
    let rows: Vec<_> = rows.iter().map(|row| (row.keys[0].clone().unwrap(), row.usage.tokens.total())).collect();
    let expected = [("claude-opus-4-7", 158_000), ("claude-opus-4-8", 1_010), ("claude-sonnet-4-6", 510)];
    assert_eq!(rows, expected.map(|(model, tokens)| (model.to_owned(), tokens)));
    let purposes = ledger.report(&Report::by(ReportKey::Label("purpose".to_owned()))).unwrap().rows;
    assert_eq!(purposes.len(), 2);
}
