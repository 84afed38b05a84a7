//! Checks that printed answers in the documentation are those of this build, and that every command line parses.
//!
//! `UPDATE_DOCS=1 cargo test --test cli documentation` writes the answers of this build into the pages.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_support::TestCli;

/// The time of the commands in the pages.
const NOW: &str = "2026-06-12T16:20:00Z";

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// The ledger of the examples: six days of calls, a limit, two switches.
fn example() -> TestCli {
    let cli = TestCli::new();
    let calls = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures/calls.jsonl");
    let calls = std::fs::read_to_string(calls).unwrap();
    let early: String = calls
        .lines()
        .filter(|line| {
            let call: serde_json::Value = serde_json::from_str(line).unwrap();
            &call["occurred_at"].as_str().unwrap()[..16] < "2026-06-12T15:00"
        })
        .fold(String::new(), |lines, line| lines + line + "\n");
    cli.at("2026-06-06T07:00:00Z", &["limit", "set", "anthropic", "--session", "60000", "--weekly", "900000"]);
    cli.ok_with_input(early, &["--now", "2026-06-12T15:00:00Z", "record", "--jsonl", "-"]);
    cli.at("2026-06-12T15:00:00Z", &["switch", "openai", "--reason", "session at 70 %"]);
    cli.at("2026-06-12T15:40:00Z", &["switch", "anthropic", "--reason", "back to work"]);
    cli.ok_with_input(calls, &["--now", NOW, "record", "--jsonl", "-"]);
    cli
}

/// The output of a command line, both streams in order.
fn run(cli: &TestCli, line: &str) -> String {
    let program = assert_cmd::cargo::cargo_bin("usage-ledger");
    let mut path = std::ffi::OsString::from(program.parent().unwrap());
    path.push(":/usr/bin:/bin");
    let done = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; my_agent() {{ :; }}; {}", line.replace("my-agent", "my_agent"))])
        .current_dir(cli.dir())
        .env_clear()
        .envs([("HOME", cli.dir().as_os_str()), ("USAGE_LEDGER", cli.ledger().as_os_str()), ("PATH", &path)])
        .envs([("TZ", "UTC"), ("USAGE_LEDGER_NOW", NOW)])
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap()
}

/// Hashes depend on random ids, so they differ in each run.
fn without_hashes(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for character in text.chars().chain(['\n']) {
        if character.is_ascii_hexdigit() {
            word.push(character);
        } else {
            out.push_str(if word.len() == 64 { "HASH" } else { &word });
            word.clear();
            out.push(character);
        }
    }
    out
}

/// Whether the printed answer equals the real one. A line `…` truncates a longer answer.
fn agrees(printed: &str, real: &str) -> bool {
    let (printed, real) = (without_hashes(printed.trim_end()), without_hashes(real.trim_end()));
    match printed.trim_end().strip_suffix("…") {
        Some(beginning) if beginning.ends_with('\n') || beginning.is_empty() => real.starts_with(beginning),
        _ => printed.trim_end() == real.trim_end(),
    }
}

/// A page with the answers of this build, and its errors.
fn checked(page: &Path, cli: &TestCli) -> (String, Vec<String>) {
    let text = std::fs::read_to_string(page).unwrap();
    let (mut out, mut faults) = (String::new(), Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        if line != "```console" {
            continue;
        }
        let mut block = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            match line.strip_prefix("$ ") {
                Some(command) => block.push((command.to_owned(), String::new())),
                None => {
                    let last: &mut (String, String) = block.last_mut().expect("an answer follows a command");
                    last.1.push_str(line);
                    last.1.push('\n');
                }
            }
        }
        let has_answers = block.iter().any(|(_, answer)| !answer.is_empty());
        for (command, answer) in block {
            let _ = writeln!(out, "$ {command}");
            if !has_answers {
                faults.extend(parses(&command));
                continue;
            }
            let real = run(cli, &command);
            if agrees(&answer, &real) {
                out.push_str(&answer);
            } else {
                faults.push(format!("{}: `{command}` prints\n{real}\nnot\n{answer}", page.display()));
                out.push_str(&shortened(&answer, &real));
            }
        }
        out.push_str("```\n");
    }
    (out, faults)
}

/// The real answer, truncated like the printed one.
fn shortened(printed: &str, real: &str) -> String {
    match printed.trim_end().strip_suffix('…') {
        Some(beginning) => {
            let lines = beginning.lines().count();
            real.lines().take(lines).fold(String::new(), |text, line| text + line + "\n") + "…\n"
        }
        None => real.to_owned(),
    }
}

/// The parser's error for a command line, if any. Nothing runs.
fn parses(line: &str) -> Option<String> {
    // An id that a script has in a variable.
    let line = line.replace("$id", "018c3f6e-0000-7000-8000-000000000000");
    let mut words = shlex::split(&line).unwrap().into_iter().skip_while(|word| !word.ends_with("usage-ledger"));
    words.next()?;
    let is_shell = |word: &String| word.starts_with(['|', '&', ';', '>', '<', '#']) || word.starts_with("2>");
    let arguments: Vec<String> = words
        .take_while(|word| !is_shell(word))
        .map(|word| word.trim_end_matches([';', ')']).to_owned())
        .chain(["--help".to_owned()])
        .collect();
    let program = assert_cmd::cargo::cargo_bin("usage-ledger");
    let done = Command::new(program).args(&arguments).output().unwrap();
    (!done.status.success()).then(|| format!("`{line}`: {}", String::from_utf8_lossy(&done.stderr)))
}

#[test]
fn every_page_prints_what_this_build_prints() {
    let mut faults = Vec::new();
    for page in pages() {
        let (text, found) = checked(&page, &example());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&page, text).unwrap();
        }
        faults.extend(found);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
