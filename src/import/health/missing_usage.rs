//! Detects logs whose answers have no token counts, or no longer have them. Without a warning such usage would be
//! missing silently.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::import::engine::compression::is_packed;
use crate::import::engine::log_file::LogFile;
use crate::model::serde_skip::is_zero;

/// Time without a change after which a log is settled. A tool may run long, or wait for a person, before the agent
/// writes the counts of the answer that called it.
const SETTLED: Duration = Duration::from_secs(60 * 60);
/// Number of consecutive answers without counts before we warn about a log that had counts. A single one is normal: an
/// interrupted answer has none.
const SEVERAL: u64 = 3;

/// Skip reason of answers without counts.
pub(in crate::import) const WITHOUT_COUNTS: &str = "answers without token counts";

/// Result at the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogEnd {
    /// Nothing new to report.
    Plain,
    /// The log has no counts, with the reason.
    Silent(String),
    /// Counts may follow. A later import examines the log again.
    Open,
}

/// Tracks answers without counts in one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::import) struct MissingUsage {
    /// The program that writes the log, and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// Whether any count was read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    counted: bool,
    /// Number of answers since the last count that are complete, so their counts should be there.
    #[serde(skip_serializing_if = "is_zero")]
    over: u64,
    /// Whether one more answer followed, which may not be complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    answered: bool,
    /// Whether missing counts were reported.
    #[serde(rename = "told", skip_serializing_if = "std::ops::Not::not")]
    is_reported: bool,
}

impl MissingUsage {
    /// Sets the program that writes the log, if the version is a plain number.
    pub fn by(&mut self, program: &str, version: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        if self.writer.is_none() && version.len() <= 64 && version.chars().all(plain) && !version.is_empty() {
            self.writer = Some(format!("{program} {version}"));
        }
    }

    /// Notes an answer of the model. Its counts may follow.
    pub const fn answer(&mut self) {
        self.answered = true;
    }

    /// Notes an entry that is written only after the counts of an answer.
    pub const fn go_on(&mut self) {
        self.over += self.answered as u64;
        self.answered = false;
    }

    /// Notes a count, or a malformed count, which is reported elsewhere.
    pub fn count(&mut self) {
        *self = Self { writer: self.writer.take(), counted: true, ..Self::default() };
    }

    /// The state of a log of which only is known that it had counts.
    pub fn counted() -> Self {
        Self { counted: true, ..Self::default() }
    }

    /// Returns whether missing counts were reported.
    pub const fn has_reported(&self) -> bool {
        self.is_reported
    }

    /// Returns what to report at the end of the log, once.
    pub fn end(&mut self, settled: bool) -> LogEnd {
        let least = if self.counted { SEVERAL } else { 1 };
        let answers = self.over + u64::from(self.answered);
        if answers < least || self.is_reported {
            return LogEnd::Plain;
        }
        if self.over < least && !settled {
            return LogEnd::Open;
        }
        self.is_reported = true;
        let by = self.writer.as_ref().map(|writer| format!(", written by {writer}")).unwrap_or_default();
        LogEnd::Silent(if self.counted {
            format!("{answers} {WITHOUT_COUNTS} behind the last count{by}")
        } else {
            format!("{WITHOUT_COUNTS}{by}")
        })
    }
}

/// Returns whether the agent no longer writes to the log.
pub(in crate::import) fn is_settled(file: &LogFile) -> bool {
    let modified = Duration::from_nanos(u64::try_from(file.modified).unwrap_or_default());
    // Agents compress logs that have not changed for days.
    is_packed(&file.path)
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + modified).is_ok_and(|since| since >= SETTLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_usage_is_reported_once_and_only_when_certain() {
        let mut missing_usage = MissingUsage::default();
        missing_usage.go_on();
        assert_eq!(missing_usage.end(true), LogEnd::Plain);
        missing_usage.answer();
        assert_eq!((missing_usage.end(false), missing_usage.has_reported()), (LogEnd::Open, false));
        missing_usage.go_on();
        missing_usage.by("Agent", "0.12.0\nand a text");
        missing_usage.by("Agent", "0.12.0");
        let why = "answers without token counts, written by Agent 0.12.0".to_owned();
        assert_eq!((missing_usage.end(false), missing_usage.has_reported()), (LogEnd::Silent(why), true));
        assert_eq!(missing_usage.end(true), LogEnd::Plain);
        let mut resumed = MissingUsage::default();
        resumed.count();
        for _ in 0..2 {
            resumed.answer();
            resumed.go_on();
        }
        assert_eq!(resumed.end(true), LogEnd::Plain);
        resumed.answer();
        assert_eq!(resumed.clone().end(false), LogEnd::Open);
        let why = "3 answers without token counts behind the last count".to_owned();
        assert_eq!((resumed.end(true), resumed.has_reported()), (LogEnd::Silent(why), true));
        resumed.count();
        assert_eq!((resumed.end(true), resumed.has_reported()), (LogEnd::Plain, false));
        let mut quiet = MissingUsage::default();
        quiet.answer();
        assert_eq!(quiet.end(true), LogEnd::Silent("answers without token counts".to_owned()));
    }
}
