//! Logs of answers that tell no token counts: they are told of, for nothing of them would be seen otherwise.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::discover::LogFile;
use super::packed::is_packed;

/// How long nobody has written to a log in which nothing is under way any more. A tool may run for long, or wait for a
/// person's word, before the counts of the answer that called it are written.
const SETTLED: Duration = Duration::from_secs(60 * 60);

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

/// What a log says before it tells its first count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Silence {
    /// Who writes it: the program and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// The model answered.
    answered: bool,
    /// So long ago that the counts would be there.
    over: bool,
    told: bool,
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
        self.over = self.answered;
    }

    /// Whether there is one that was told of.
    pub fn is_told(silence: Option<&Self>) -> bool {
        silence.is_some_and(|silence| silence.told)
    }

    /// What is to be said at the end of the log as it stands, once.
    pub fn end(&mut self, settled: bool) -> Ending {
        if !self.answered || self.told {
            return Ending::Plain;
        }
        if !self.over && !settled {
            return Ending::Open;
        }
        self.told = true;
        let by = self.writer.as_ref().map(|writer| format!(", written by {writer}")).unwrap_or_default();
        Ending::Silent(format!("answers without token counts{by}"))
    }
}

/// Whether nobody will write more about the answers that stand in a log.
pub(super) fn is_settled(file: &LogFile) -> bool {
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
        assert_eq!((silence.end(false), Silence::is_told(Some(&silence))), (Ending::Open, false));
        silence.go_on();
        silence.by("Codex", "0.12.0\nand a text");
        silence.by("Codex", "0.12.0");
        let why = "answers without token counts, written by Codex 0.12.0".to_owned();
        assert_eq!((silence.end(false), Silence::is_told(Some(&silence))), (Ending::Silent(why), true));
        assert_eq!(silence.end(true), Ending::Plain);
        let mut quiet = Silence::default();
        quiet.answer();
        assert_eq!(quiet.end(true), Ending::Silent("answers without token counts".to_owned()));
    }
}
