//! Koan: the usage rows of an instance, its counters, and its page of percentages.
//!
//! Each row is a run, and the rows are the complete history, so they become records. The counters repeat the rows, so
//! they add no tokens: they become an observation, and only for a window without rows. The page of percentages is
//! recorded only where it quotes the provider.

mod backfill;
mod descriptor;
mod mission;
mod outcome;
mod quota_documents;
mod row;
mod rows;
mod state;
pub mod usage_md;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, QuotaDocuments, Source};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::time::{Timestamp, Zone};

pub use backfill::{Backfill, backfill};
#[cfg(feature = "internals")]
pub use mission::mission_type;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Koan's instances.
pub(crate) struct Koan;

const AGENT: &str = "koan";
/// Start of a row.
const HEAD: &[u8] = b"{\"ts\":";

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 1;

impl Source for Koan {
    fn version(&self) -> u32 {
        VERSION
    }

    fn wants(&self, path: &Path) -> bool {
        let day = path.file_stem().and_then(|stem| stem.to_str());
        path.extension().is_some_and(|extension| extension == "jsonl") && day.and_then(day_named).is_some()
    }

    fn quota_documents(
        &self,
        roots: &[PathBuf],
        zone: Zone,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<QuotaDocuments> {
        quota_documents::gather(roots, zone, ledger, now)
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for Koan {
    fn parser(
        &self,
        path: &Path,
        _resume: Option<&serde_json::Value>,
        zone: Zone,
    ) -> std::result::Result<Box<dyn LineParser>, Refusal> {
        parser(path, zone)
    }

    /// A file has the rows of a day. Numbering equal rows needs all of them, so the file is read as a whole.
    fn resumes(&self) -> bool {
        false
    }
}

fn parser(path: &Path, zone: Zone) -> std::result::Result<Box<dyn LineParser>, Refusal> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let day = path.file_stem().and_then(|stem| day_named(&stem.to_string_lossy()));
    // A row without a time of its own is of the day in the name of its file.
    let day = day.ok_or("unknown shape: a file of rows whose name is not a day")?;
    Ok(Box::new(KoanParser { file, day, zone, occurrences: HashMap::new(), calls: Vec::new() }))
}

/// Returns the day in a file name.
fn day_named(stem: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(stem, "%Y-%m-%d").ok()
}

/// Parses the rows of one day.
struct KoanParser {
    /// The file name, which is the day. It is part of the keys, because rows have no ids.
    file: String,
    day: NaiveDate,
    zone: Zone,
    /// Number of occurrences of each row so far.
    occurrences: HashMap<u64, u32>,
    calls: Vec<ParsedCall>,
}

impl KoanParser {
    fn row(&mut self, line: &[u8]) -> std::result::Result<(), String> {
        let (at, mut record, content) = row::read(line, self.day, self.zone)?;
        let times = self.occurrences.entry(content).or_insert(0);
        *times += 1;
        record.keys.push(format!("koan/{}/{content:016x}/{times}", self.file));
        self.calls.push(ParsedCall { at, record });
        Ok(())
    }
}

impl LineParser for KoanParser {
    fn line(&mut self, line: &[u8]) -> std::result::Result<(), String> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        jsonl::utf8(line)?;
        let Err(why) = self.row(line.trim_ascii()) else { return Ok(()) };
        // A row that was cut also lacks its newline, so the next row follows on the same line.
        let next = line.windows(HEAD.len()).rposition(|part| part == HEAD).filter(|at| *at > 0);
        if let Some(row) = next.and_then(|at| line.get(at..))
            && self.row(row.trim_ascii()).is_ok()
        {
            return Err(format!("torn row: {why}; the row behind it on the same line is taken in"));
        }
        Err(why)
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        std::mem::take(&mut self.calls)
    }

    fn pending(&self) -> usize {
        self.calls.len()
    }

    fn conversation(&self) -> Option<&str> {
        None
    }

    fn began(&self) -> Option<Timestamp> {
        None
    }

    fn resume(&self) -> Option<serde_json::Value> {
        None
    }
}

#[cfg(test)]
mod tests;
