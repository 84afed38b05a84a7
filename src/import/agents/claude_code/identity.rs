//! Groups the lines of one answer where the message id is not unique.
//!
//! Anthropic's ids are unique, and the client also logs a request id. Relays send no request id, and some send the same
//! message id with every answer. Then time, prompt size and the lines in between decide.

use serde::{Deserialize, Serialize};

use crate::model::time::{MINUTE, Timestamp};

/// Maximum time in milliseconds between the lines of one streamed answer with the same prompt.
const STREAMED: i64 = 10 * MINUTE;
/// The same for an answer that arrives as a whole: the client writes its blocks at once.
const AT_ONCE: i64 = 2_000;

/// The part of an answer read so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerSpan {
    pub first: Timestamp,
    pub last: Timestamp,
    /// Tokens of its prompt; 0 while unknown.
    pub prompt: u64,
    /// Whether a line has a stop reason.
    pub ended: bool,
    /// Number of user lines before it.
    pub turn: u64,
}

impl AnswerSpan {
    /// Returns whether another line with the same id belongs to this answer.
    pub fn includes(&self, line: &Self) -> bool {
        let same_prompt = self.prompt == line.prompt || self.prompt == 0 || line.prompt == 0;
        let same_turn = self.turn == line.turn;
        let since = |at: Timestamp| line.first.millis().saturating_sub(at.millis());
        // A log may contain copies of its lines.
        let repeated = self.first <= line.first && line.first <= self.last;
        match self.ended {
            _ if repeated => same_prompt,
            // Tools may run, and their results be logged, while an answer is streamed.
            false => same_turn || (same_prompt && since(self.first) <= STREAMED),
            true => same_turn && same_prompt && since(self.last).abs() <= AT_ONCE,
        }
    }

    /// Adds another line.
    pub fn extend(&mut self, line: &Self) {
        self.first = self.first.min(line.first);
        self.last = self.last.max(line.last);
        self.prompt = self.prompt.max(line.prompt);
        self.ended |= line.ended;
        self.turn = line.turn;
    }
}

/// The last answer of a log, while lines may still follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenAnswer {
    pub id: String,
    /// Time of its first line.
    pub at: Timestamp,
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Whether all its counts are 0 so far.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zero: bool,
}

impl OpenAnswer {
    /// Returns whether a line continues the answer: in the same turn of the user, or with the same prompt shortly
    /// after.
    pub fn continues(&self, id: &str, line: &AnswerSpan, same_turn: bool) -> bool {
        let since = line.first.millis().saturating_sub(self.at.millis());
        self.id == id && (same_turn || since == 0 || (self.prompt == line.prompt && (0..=STREAMED).contains(&since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: i64, last: i64, prompt: u64, ended: bool, turn: u64) -> AnswerSpan {
        let at = Timestamp::from_millis;
        AnswerSpan { first: at(first), last: at(last), prompt, ended, turn }
    }

    #[test]
    fn the_lines_of_consecutive_answers_are_distinguished() {
        let line = |at, prompt, turn| span(at, at, prompt, false, turn);
        let streamed = span(0, 1_000, 100, false, 1);
        assert!(streamed.includes(&line(5_000, 100, 1)));
        assert!(streamed.includes(&line(5_000, 9_100, 1)), "the prompt may be known in full only at the end");
        assert!(streamed.includes(&line(60_000, 100, 2)), "a tool ran in between");
        assert!(!streamed.includes(&line(60_000, 250, 2)), "the next prompt is longer");
        assert!(!streamed.includes(&line(3_600_000, 100, 2)));
        let whole = span(0, 1_000, 100, true, 1);
        assert!(whole.includes(&line(1_005, 100, 1)), "its blocks are written at once");
        assert!(!whole.includes(&line(60_000, 100, 1)) && !whole.includes(&line(1_005, 100, 2)));
        assert!(whole.includes(&line(500, 100, 7)), "a log that repeats itself");
        assert!(!whole.includes(&line(500, 250, 7)));
    }
}
