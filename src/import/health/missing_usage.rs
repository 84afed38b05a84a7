//! Logs of answers that tell no token counts, or none any more: they are told of, for nothing of them would be seen otherwise.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::import::engine::compression::is_packed;
use crate::import::engine::log_file::LogFile;

/// How long nobody has written to a log in which nothing is under way any more. A tool may run for long, or wait for a
/// person's word, before the counts of the answer that called it are written.
const SETTLED: Duration = Duration::from_secs(60 * 60);
/// How many answers in a row lack counts, of a log that has counts, before it is told of. One that was broken off has none.
const SEVERAL: u64 = 3;

/// What is said of answers that no count stands for.
pub(in crate::import) const WITHOUT_COUNTS: &str = "answers without token counts";

/// What is to be said of a log at its end, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing that was not said before.
    Plain,
    /// Why nothing counts in it.
    Silent(String),
    /// Its counts may be on their way. It is looked at again.
    Open,
}

/// What a log says before it tells its first count, or behind the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::import) struct Silence {
    /// Who writes it: the program and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// There was a count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    counted: bool,
    /// Since then the model answered so often, and so long ago that the counts would be there.
    #[serde(skip_serializing_if = "is_zero")]
    over: u64,
    /// It answered once more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    answered: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    told: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Silence {
    /// Who writes the log, if that is a plain version.
    pub fn by(&mut self, program: &str, version: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        if self.writer.is_none() && version.len() <= 64 && version.chars().all(plain) && !version.is_empty() {
            self.writer = Some(format!("{program} {version}"));
        }
    }

    /// The model answered. Counts may follow.
    pub const fn answer(&mut self) {
        self.answered = true;
    }

    /// What is written behind the counts of an answer was written.
    pub const fn go_on(&mut self) {
        self.over += self.answered as u64;
        self.answered = false;
    }

    /// There is a count, or one that cannot be read, which is told of as such.
    pub fn count(&mut self) {
        *self = Self { writer: self.writer.take(), counted: true, ..Self::default() };
    }

    /// What is known of a log by someone who only knows that there were counts.
    pub fn counted() -> Self {
        Self { counted: true, ..Self::default() }
    }

    /// Whether there is one that was told of.
    pub const fn is_told(&self) -> bool {
        self.told
    }

    /// What is to be said at the end of the log as it stands, once.
    pub fn end(&mut self, settled: bool) -> Ending {
        let least = if self.counted { SEVERAL } else { 1 };
        let answers = self.over + u64::from(self.answered);
        if answers < least || self.told {
            return Ending::Plain;
        }
        if self.over < least && !settled {
            return Ending::Open;
        }
        self.told = true;
        let by = self.writer.as_ref().map(|writer| format!(", written by {writer}")).unwrap_or_default();
        Ending::Silent(if self.counted {
            format!("{answers} {WITHOUT_COUNTS} behind the last count{by}")
        } else {
            format!("{WITHOUT_COUNTS}{by}")
        })
    }
}

/// Whether nobody will write more about the answers that stand in a log.
pub(in crate::import) fn is_settled(file: &LogFile) -> bool {
    let modified = Duration::from_nanos(u64::try_from(file.modified).unwrap_or_default());
    // Agents compress logs that nobody has written to for days.
    is_packed(&file.path)
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + modified).is_ok_and(|since| since >= SETTLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_of_once_and_when_that_is_certain() {
        let mut silence = Silence::default();
        silence.go_on();
        assert_eq!(silence.end(true), Ending::Plain);
        silence.answer();
        assert_eq!((silence.end(false), silence.is_told()), (Ending::Open, false));
        silence.go_on();
        silence.by("Agent", "0.12.0\nand a text");
        silence.by("Agent", "0.12.0");
        let why = "answers without token counts, written by Agent 0.12.0".to_owned();
        assert_eq!((silence.end(false), silence.is_told()), (Ending::Silent(why), true));
        assert_eq!(silence.end(true), Ending::Plain);
        let mut resumed = Silence::default();
        resumed.count();
        for _ in 0..2 {
            resumed.answer();
            resumed.go_on();
        }
        assert_eq!(resumed.end(true), Ending::Plain);
        resumed.answer();
        assert_eq!(resumed.clone().end(false), Ending::Open);
        let why = "3 answers without token counts behind the last count".to_owned();
        assert_eq!((resumed.end(true), resumed.is_told()), (Ending::Silent(why), true));
        resumed.count();
        assert_eq!((resumed.end(true), resumed.is_told()), (Ending::Plain, false));
        let mut quiet = Silence::default();
        quiet.answer();
        assert_eq!(quiet.end(true), Ending::Silent("answers without token counts".to_owned()));
    }
}
