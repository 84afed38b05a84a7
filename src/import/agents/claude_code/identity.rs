//! Which lines tell of one answer, where its only name is an id that may be another answer's too.
//!
//! Anthropic's ids are unique, and the client logs a request id beside them. Relays send no request id, and some of them
//! send the same message id with every answer. Then time, prompt and what stands between the lines decide.

use serde::{Deserialize, Serialize};

use crate::model::time::{MINUTE, Timestamp};

/// How long the lines of one streamed answer may be apart, if its prompt is the same.
const STREAMED: i64 = 10 * MINUTE;
/// The same of an answer that came as a whole: its blocks are written at once.
const AT_ONCE: i64 = 2_000;

/// How far an answer has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerSpan {
    pub first: Timestamp,
    pub last: Timestamp,
    /// Tokens of its prompt; 0 while they are not known.
    pub prompt: u64,
    /// Whether a line says why it ended.
    pub ended: bool,
    /// How many lines of the user stand before it.
    pub turn: u64,
}

impl AnswerSpan {
    /// Whether a further line with the same id is of the same answer.
    pub fn includes(&self, line: &Self) -> bool {
        let same_prompt = self.prompt == line.prompt || self.prompt == 0 || line.prompt == 0;
        let same_turn = self.turn == line.turn;
        let since = |at: Timestamp| line.first.millis().saturating_sub(at.millis());
        // A log may repeat what it says.
        let repeated = self.first <= line.first && line.first <= self.last;
        match self.ended {
            _ if repeated => same_prompt,
            // While an answer is streamed, tools may run and their results be written.
            false => same_turn || (same_prompt && since(self.first) <= STREAMED),
            true => same_turn && same_prompt && since(self.last).abs() <= AT_ONCE,
        }
    }

    /// Takes in a further line.
    pub fn extend(&mut self, line: &Self) {
        self.first = self.first.min(line.first);
        self.last = self.last.max(line.last);
        self.prompt = self.prompt.max(line.prompt);
        self.ended |= line.ended;
        self.turn = line.turn;
    }
}

/// The last answer of a log, as long as it may go on behind what was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenAnswer {
    pub id: String,
    /// Its first time.
    pub at: Timestamp,
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Whether all its counts are 0 so far.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zero: bool,
}

impl OpenAnswer {
    /// Whether a line of the user's same turn, or of the same prompt soon after, goes on with it.
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
    fn the_lines_of_one_answer_are_told_from_those_of_the_next() {
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
