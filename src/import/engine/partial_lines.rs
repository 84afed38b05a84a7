//! Tracks files that end in a partial line. When following logs we report a partial line only if it remains for a
//! minute.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::import::engine::reader::INCOMPLETE;
use crate::import::engine::regular;
use crate::import::outcome::{ImportReport, SourceReport};
use crate::model::event::SkippedLine;

/// Age at which a partial last line is reported. Agents write a whole line at once.
const STUCK: Duration = Duration::from_secs(60);

/// Files with a partial last line.
#[derive(Debug, Default)]
pub(in crate::import) struct PartialLines(BTreeMap<String, PartialLine>);

#[derive(Debug)]
struct PartialLine {
    source: String,
    skipped: SkippedLine,
    /// Size of the file at that time.
    size: u64,
    since: Instant,
    is_reported: bool,
}

impl PartialLines {
    /// Removes partial lines from a report and remembers them.
    pub fn take_partial(&mut self, report: &mut ImportReport, now: Instant) {
        for source in &mut report.sources {
            let name = &source.source;
            source.skipped.retain(|skipped| {
                let is_partial = skipped.why == INCOMPLETE;
                if is_partial {
                    self.note(name, skipped, now);
                }
                !is_partial
            });
        }
    }

    fn note(&mut self, source: &str, skipped: &SkippedLine, now: Instant) {
        let size = size(&skipped.file);
        if self.0.get(&skipped.file).is_none_or(|stored| stored.size != size) {
            let (source, skipped) = (source.to_owned(), skipped.clone());
            self.0.insert(skipped.file.clone(), PartialLine { source, skipped, size, since: now, is_reported: false });
        }
    }

    /// Adds the lines that remained partial to a report, each once.
    pub fn add_stuck(&mut self, report: &mut Option<ImportReport>, now: Instant) {
        for (source, skipped) in self.stuck(now) {
            let sources = &mut report.get_or_insert_default().sources;
            match sources.iter_mut().find(|report| report.source == source) {
                Some(report) => report.skipped.push(skipped),
                None => sources.push(SourceReport { source, skipped: vec![skipped], ..SourceReport::default() }),
            }
        }
    }

    fn stuck(&mut self, now: Instant) -> Vec<(String, SkippedLine)> {
        let mut stuck = Vec::new();
        self.0.retain(|file, line| {
            if line.is_reported || now.saturating_duration_since(line.since) < STUCK {
                return true;
            }
            // The file has grown, so an import has reported it since.
            if size(file) != line.size || is_ended(file) {
                return false;
            }
            line.is_reported = true;
            stuck.push((line.source.clone(), line.skipped.clone()));
            true
        });
        stuck
    }
}

/// Returns the size of a file, or 0 if it does not exist. A file with a line is never empty.
fn size(file: &str) -> u64 {
    std::fs::metadata(file).map_or(0, |meta| meta.len())
}

/// Returns whether a file ends with a whole line, which may have been completed while the file was read.
fn is_ended(file: &str) -> bool {
    let last = || {
        let (mut file, mut last) = (regular::open(Path::new(file))?, [0]);
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok::<_, std::io::Error>(last)
    };
    last().is_ok_and(|last| last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_line_is_reported_once_and_only_if_it_remains_partial() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.jsonl").to_string_lossy().into_owned();
        let report = || {
            let skipped = |line, why: &str| SkippedLine { file: file.clone(), line, why: why.to_owned() };
            let skipped = vec![skipped(1, "unknown shape"), skipped(2, INCOMPLETE)];
            ImportReport {
                sources: vec![SourceReport { source: "my-agent".to_owned(), skipped, ..SourceReport::default() }],
            }
        };
        let (mut partial_lines, begin) = (PartialLines::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        let take_partial = |partial_lines: &mut PartialLines, seconds| {
            let mut report = report();
            partial_lines.take_partial(&mut report, after(seconds));
            assert_eq!(report.sources[0].skipped.iter().map(|skipped| skipped.line).collect::<Vec<_>>(), [1]);
        };
        std::fs::write(&file, "{}\n{").unwrap();
        take_partial(&mut partial_lines, 0);
        std::fs::write(&file, "{}\n{\"a").unwrap();
        take_partial(&mut partial_lines, 50);
        let add_stuck = |partial_lines: &mut PartialLines, seconds| {
            let mut report = None;
            partial_lines.add_stuck(&mut report, after(seconds));
            report.map(|report| report.sources)
        };
        assert_eq!(add_stuck(&mut partial_lines, 70), None);
        // A periodic full scan reads the unchanged line again.
        take_partial(&mut partial_lines, 100);
        let reported = add_stuck(&mut partial_lines, 110).unwrap();
        assert_eq!((reported.len(), reported[0].source.as_str(), reported[0].skipped[0].line), (1, "my-agent", 2));
        take_partial(&mut partial_lines, 160);
        assert_eq!(add_stuck(&mut partial_lines, 300), None);
        // The agent completes the line.
        std::fs::write(&file, "{}\n{\"ab").unwrap();
        take_partial(&mut partial_lines, 310);
        std::fs::write(&file, "{}\n{\"ab\":1}\n").unwrap();
        assert_eq!((add_stuck(&mut partial_lines, 400), partial_lines.0.len()), (None, 0));
        // The line was completed while it was read.
        take_partial(&mut partial_lines, 410);
        assert_eq!((add_stuck(&mut partial_lines, 500), partial_lines.0.len()), (None, 0));
    }
}
