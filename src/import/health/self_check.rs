//! Reports how the importers of this build read some logs, without names or content, for a bug report.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use serde::Serialize;

use crate::import::engine::agent::Agent;
use crate::import::engine::discover::{FoundLogs, absolute, logs};
use crate::import::engine::log_file::LogFile;
use crate::import::engine::reader;
use crate::import::engine::source::LogFormat;
use crate::import::health::skip_reasons::loses_counts;
use crate::model::error::{Error, Result};
use crate::model::time::Zone;

/// How importers read one log. The log has a number instead of its path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckedLog {
    /// The number of the log, from 1.
    pub file: u64,
    /// The agent of the log, if an importer recognises it.
    pub agent: Option<String>,
    /// The version of that importer.
    pub importer: Option<u32>,
    /// Its format: `lines`, `document` or `database`.
    pub form: Option<&'static str>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Number of lines; 0 for documents and databases.
    pub lines: u64,
    /// Number of calls, before duplicates are joined.
    pub calls: u64,
    /// Number of quota observations.
    pub observations: u64,
    /// Reasons for skipped lines or entries, the most frequent first.
    pub skipped: Vec<SkipCount>,
    /// Whether it cannot be read completely.
    pub unreadable: bool,
}

/// A reason for skipping, and how often it occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkipCount {
    /// The reason.
    pub why: String,
    /// Number of occurrences.
    pub count: u64,
    /// Line of the first occurrence; 0 for the whole file.
    pub line: u64,
}

impl CheckedLog {
    /// Returns whether counts may be missing: no importer recognises the log, it cannot be read, or a skipped part may
    /// have counts.
    pub fn is_problem(&self) -> bool {
        self.agent.is_none() || self.unreadable || self.skipped.iter().any(|skip| loses_counts(&skip.why))
    }
}

/// Parses logs of any agent, or directories and homes that contain logs, and imports nothing.
///
/// # Errors
/// [`Error::Io`] for a path that does not exist.
pub fn self_check(paths: &[PathBuf], zone: Option<Zone>) -> Result<Vec<CheckedLog>> {
    let zone = zone.unwrap_or(Zone::UTC);
    let mut checked = Vec::new();
    for path in absolute(paths.to_vec()) {
        let meta = fs::metadata(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        if meta.is_dir() {
            directory(&path, zone, &mut checked)?;
        } else {
            checked.push(file(&path, meta.len(), zone));
        }
    }
    for (log, number) in checked.iter_mut().zip(1..) {
        log.file = number;
    }
    Ok(checked)
}

/// Checks the logs below a home or below an agent's log directory, otherwise all files that an importer may accept.
fn directory(path: &Path, zone: Zone, checked: &mut Vec<CheckedLog>) -> Result<()> {
    let all = crate::import::agents::ALL;
    let of_home = |agent: &&'static Agent| (*agent, logs(agent.source, &agent.roots(path)));
    let of_place = |agent: &&'static Agent| {
        let here = located(agent, path).is_some();
        (*agent, if here { logs(agent.source, &[path.to_owned()]) } else { FoundLogs::default() })
    };
    for logs_of in [all.iter().map(of_home).collect::<Vec<_>>(), all.iter().map(of_place).collect()] {
        let before = checked.len();
        for (agent, logs) in logs_of {
            checked.extend(logs.files.iter().map(|file| read(agent, file, zone)));
            checked.extend(logs.unreadable.iter().map(|(_, error)| unreadable(agent, error)));
        }
        if checked.len() > before {
            return Ok(());
        }
    }
    let mut left = vec![path.to_owned()];
    while let Some(directory) = left.pop() {
        let io = |source: io::Error| Error::Io { path: directory.clone(), source };
        let mut entries = fs::read_dir(&directory).map_err(io)?.collect::<io::Result<Vec<_>>>().map_err(io)?;
        entries.sort_by_key(fs::DirEntry::path);
        for entry in entries {
            let kind = entry.file_type().map_err(io)?;
            let path = entry.path();
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() && all.iter().any(|agent| agent.source.wants(&path)) {
                checked.push(file(&path, entry.metadata().map_err(io)?.len(), zone));
            }
        }
    }
    Ok(())
}

/// Checks one file as a log of the agent in whose directory it is, otherwise of the agent that finds most in it.
fn file(path: &Path, bytes: u64, zone: Zone) -> CheckedLog {
    let all = crate::import::agents::ALL;
    let located = all.iter().filter_map(|agent| Some((located(agent, path)?, *agent)));
    let mut candidates: Vec<_> = located.max_by_key(|(depth, _)| *depth).map(|(_, agent)| agent).into_iter().collect();
    if candidates.is_empty() {
        candidates.extend(all.iter().copied().filter(|agent| agent.source.wants(path)));
    }
    let tried = candidates.into_iter().flat_map(|agent| {
        let logs = logs(agent.source, &[path.to_owned()]);
        let files: Vec<_> = logs.files.iter().map(|file| read(agent, file, zone)).collect();
        files.into_iter().chain(logs.unreadable.into_iter().map(move |(_, error)| unreadable(agent, &error)))
    });
    let skips = |log: &CheckedLog| log.skipped.iter().map(|skip| skip.count).sum::<u64>();
    // On a tie the first importer wins.
    let best = tried.reduce(|best, other| {
        let better = (other.calls, std::cmp::Reverse(skips(&other))) > (best.calls, std::cmp::Reverse(skips(&best)));
        if better { other } else { best }
    });
    best.unwrap_or_else(|| CheckedLog { bytes, ..CheckedLog::default() })
}

/// Returns how many components of an agent's directory occur in a path, if the path is below such a directory.
fn located(agent: &Agent, path: &Path) -> Option<usize> {
    fn names(path: &Path) -> Vec<&str> {
        let normal = path.components().filter(|part| matches!(part, Component::Normal(_)));
        normal.filter_map(|part| part.as_os_str().to_str()).collect()
    }
    let within = names(path);
    let roots = agent.roots(Path::new(""));
    let lengths = roots
        .iter()
        .map(|root| names(root))
        .filter(|root| !root.is_empty() && within.windows(root.len()).any(|window| window == root.as_slice()));
    lengths.map(|root| root.len()).max()
}

fn named(agent: &Agent, form: Option<&LogFormat<'_>>) -> CheckedLog {
    let form = form.map(|form| match form {
        LogFormat::Lines(_) => "lines",
        LogFormat::Document(_) => "document",
        LogFormat::Database(_) => "database",
    });
    CheckedLog {
        agent: Some(agent.name.to_owned()),
        importer: Some(agent.source.version()),
        form,
        ..CheckedLog::default()
    }
}

fn unreadable(agent: &Agent, error: &io::Error) -> CheckedLog {
    let why = anonymous(&format!("it cannot be read: {}", error.kind()));
    let skipped = vec![SkipCount { why, count: 1, line: 0 }];
    CheckedLog { skipped, unreadable: true, ..named(agent, None) }
}

fn read(agent: &Agent, file: &LogFile, zone: Zone) -> CheckedLog {
    let mut log = CheckedLog { bytes: file.size, ..named(agent, Some(&agent.source.format(&file.path))) };
    let mut reasons: BTreeMap<String, SkipCount> = BTreeMap::new();
    reader::read(agent.source, zone, file, None, &mut |chunk| {
        log.calls += chunk.calls.len() as u64;
        log.observations += chunk.observed.len() as u64;
        log.unreadable |= chunk.unreadable > 0;
        log.lines = chunk.state.map_or(log.lines, |state| state.lines);
        for skipped in chunk.skipped {
            let why = anonymous(&skipped.why);
            let new = SkipCount { why: why.clone(), count: 0, line: skipped.line };
            reasons.entry(why).or_insert(new).count += 1;
        }
        true
    });
    log.skipped = reasons.into_values().collect();
    log.skipped.sort_by_key(|skip| std::cmp::Reverse(skip.count));
    log
}

/// Removes quoted content from a reason, except names of fields and types.
fn anonymous(why: &str) -> String {
    let mut plain = String::new();
    for (at, part) in why.split('`').enumerate() {
        let before = plain.trim_end().rsplit(' ').next().unwrap_or_default();
        if at % 2 == 0 {
            plain.push_str(&without_content(part));
        } else if is_of_the_format(before, part) {
            plain.extend(["`", part, "`"]);
        } else {
            plain.push('…');
        }
    }
    // The key of a call is an id.
    if let Some(call) = plain.find(" (call ") {
        plain.truncate(call);
    }
    plain
}

/// Returns whether a word is part of the format rather than content.
fn is_of_the_format(before: &str, word: &str) -> bool {
    const AFTER: [&str; 8] = ["type", "kind", "event", "column", "columns", "table", "operation", "without"];
    const COUNTS: [&str; 8] = ["token", "usage", "input", "output", "cache", "count", "time", "reasoning"];
    let is_word = word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    is_word && (AFTER.contains(&before) || COUNTS.iter().any(|count| word.to_ascii_lowercase().contains(count)))
}

/// Removes paths, addresses and long words.
fn without_content(text: &str) -> String {
    let hides = |word: &str| word.len() > 40 || (word.len() > 1 && word.contains(['/', '\\', '@']));
    let without_content = text.split(' ').map(|word| if hides(word) { "…" } else { word });
    without_content.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_formats_and_quotes_nothing_from_the_log() {
        for (why, expected) in [
            (
                "unknown shape: a token_count without total_token_usage",
                "unknown shape: a token_count without total_token_usage",
            ),
            (
                "unknown shape: a line of type `turn_delta` that tells of tokens",
                "unknown shape: a line of type `turn_delta` that tells of tokens",
            ),
            ("unknown shape: a count `input_tokens` of 1e9", "unknown shape: a count `input_tokens` of 1e9"),
            ("the log of session `anna_work` may say it", "the log of session … may say it"),
            ("the file cannot be read: /home/anna/x: denied", "the file cannot be read: … denied"),
            (r"cannot open C:\Users\anna", "cannot open …"),
            ("unknown shape: too long (call msg_01 anna)", "unknown shape: too long"),
            ("written by anna@example.com", "written by …"),
            (
                "unknown shape: the table `message` has no column data, `anna-1`",
                "unknown shape: the table `message` has no column data, …",
            ),
        ] {
            assert_eq!(anonymous(why), expected);
        }
    }

    #[test]
    fn a_log_is_recognised_by_its_path_or_content() {
        let home = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients");
        let codex = fs::read_dir(fixtures.join(".codex/sessions/2026/11/23")).unwrap().next().unwrap().unwrap().path();
        // A copy in another place with another name, as users send it.
        let sent = home.path().join("sent.jsonl");
        fs::copy(&codex, &sent).unwrap();
        for path in [codex, sent] {
            let checked = self_check(&[path], None).unwrap();
            assert_eq!(
                (checked.len(), checked[0].agent.as_deref(), checked[0].form),
                (1, Some("codex"), Some("lines"))
            );
            assert!(checked[0].calls > 0 && checked[0].lines > 5 && checked[0].skipped.is_empty());
        }
        let all = self_check(&[fixtures], None).unwrap();
        let agents: std::collections::BTreeSet<_> = all.iter().filter_map(|log| log.agent.as_deref()).collect();
        assert_eq!(agents.into_iter().collect::<Vec<_>>(), ["claude-code", "codex", "gemini-cli", "opencode"]);
        assert!(all.iter().all(|log| !log.is_problem()), "{all:?}");
        let text = home.path().join("notes.txt");
        fs::write(&text, "secret").unwrap();
        assert!(self_check(&[text], None).unwrap()[0].is_problem());
        assert!(self_check(&[home.path().join("none")], None).is_err());
    }
}
