//! Applies a rule to an output.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::excerpt::line_range;
use super::output::{LineAuthor, Output};
use super::rule::{ExhaustionRule, Stream, TextPattern, Trust};
use super::table::{OWN_MESSAGES, RULES};
use super::{event, exception};

/// A rule with compiled expressions.
pub(super) struct Compiled {
    pub rule: &'static ExhaustionRule,
    expression: Option<Regex>,
    /// For each grant, the words that must be on the same line.
    beside: Vec<Option<Regex>>,
}

pub(super) static COMPILED: LazyLock<Vec<Compiled>> = LazyLock::new(|| RULES.iter().map(Compiled::new).collect());

static REFUSAL: LazyLock<Option<Regex>> = LazyLock::new(|| compile(r"\b(?:rejected|exceeded|blocked|throttled)\b"));

/// Compiles an expression of the table. A test compiles each of them.
fn compile(pattern: &str) -> Option<Regex> {
    // Unicode word borders are slow on text that is not ASCII. In a JSON string a word may also follow an escaped line
    // break.
    let pattern = pattern.replace(r"\b", r"(?:(?-u:\b)|\\[nrt])");
    RegexBuilder::new(&pattern).case_insensitive(true).multi_line(true).build().ok()
}

impl Compiled {
    fn new(rule: &'static ExhaustionRule) -> Self {
        let expression = match rule.pattern {
            TextPattern::Words(expression) | TextPattern::ErrorEvent(expression) => compile(expression),
            TextPattern::RefusedEvent | TextPattern::RefusalNearEvent => None,
        };
        let beside = rule.grants.iter().map(|grant| match grant.trust {
            Trust::FailedBeside(expression) | Trust::FailedPlainBeside(expression) => compile(expression),
            _ => None,
        });
        Self { rule, expression, beside: beside.collect() }
    }

    /// The last match of the rule, because the latest message has the current reset.
    pub fn find(&self, provider: &str, stream: Stream, output: &Output) -> Option<Range<usize>> {
        let index = self.rule.grants.iter().position(|grant| grant.providers.contains(&provider));
        let trust = index.and_then(|index| self.rule.grants.get(index)).map(|grant| grant.trust);
        let beside = |line: &str| {
            let expression = index.and_then(|index| self.beside.get(index)).and_then(Option::as_ref);
            expression.is_some_and(|expression| expression.is_match(line))
        };
        let counts = |place: &Range<usize>| {
            let text = output.text.as_str();
            let line = line(text, place);
            match (trust, stream, output.voice(place)) {
                (_, _, None) => false,
                (_, Stream::StdoutOk, _) if OWN_MESSAGES.contains(&provider) && is_bare_error(line) => false,
                // A failure that a client reports counts like its error stream.
                (Some(_), _, Some(LineAuthor::Client)) => true,
                (_, Stream::Transcript, voice) => {
                    self.rule.runtime && !(voice == Some(LineAuthor::Plain) && is_in_sentence(text, place))
                }
                (None, ..) => false,
                (_, Stream::Stderr | Stream::StderrOk, _) => true,
                (Some(Trust::Failed), Stream::StdoutFailed, voice) => {
                    voice != Some(LineAuthor::Plain) || !is_cited(text, place)
                }
                (Some(Trust::Anywhere), Stream::StdoutOk, Some(LineAuthor::Plain)) => {
                    !quoted(text, place) && !is_in_sentence(text, place)
                }
                (Some(Trust::Anywhere), ..) => !quoted(text, place),
                (Some(Trust::FailedBeside(_)), Stream::StdoutFailed, _) => beside(line),
                (Some(Trust::FailedPlainBeside(_)), Stream::StdoutFailed, _) => beside(line) && !is_object(line),
                _ => false,
            }
        };
        self.places(output, counts)
    }

    fn places(&self, output: &Output, counts: impl Fn(&Range<usize>) -> bool) -> Option<Range<usize>> {
        let text = output.text.as_str();
        let counts = |place: &Range<usize>| {
            let lines = line_range(text, place);
            let within = place.start.saturating_sub(lines.start)..place.end.min(lines.end).saturating_sub(lines.start);
            counts(place) && !exception::excepts(line(text, place), &within)
        };
        match (self.rule.pattern, &self.expression) {
            (TextPattern::Words(_), Some(expression)) => {
                expression.find_iter(text).map(|matched| matched.range()).filter(|place| counts(place)).last()
            }
            (TextPattern::ErrorEvent(_), Some(expression)) => output
                .lines()
                .filter(|(range, line, voice)| {
                    *voice == LineAuthor::Client && expression.is_match(line) && counts(range)
                })
                .map(|(range, ..)| range)
                .last(),
            (TextPattern::RefusedEvent, _) => output
                .lines()
                .filter(|(range, line, _)| is_refused_event(line) && counts(range))
                .map(|(range, ..)| range)
                .last(),
            (TextPattern::RefusalNearEvent, _)
                if REFUSAL.as_ref().is_some_and(|expression| expression.is_match(text)) =>
            {
                output
                    .lines()
                    .filter(|(range, line, _)| line.contains(EVENT) && counts(range))
                    .map(|(range, ..)| range)
                    .last()
            }
            _ => None,
        }
    }
}

const EVENT: &str = "rate_limit_event";

/// The line on which a match begins.
pub(super) fn line<'t>(text: &'t str, place: &Range<usize>) -> &'t str {
    text.get(line_range(text, place)).unwrap_or_default()
}

/// Whether the words are in quotation marks of prose. Double quotes do not count, because JSON uses them.
fn quoted(text: &str, place: &Range<usize>) -> bool {
    let before = text.get(..place.start).and_then(|head| head.chars().next_back());
    let after = text.get(place.end..).and_then(|tail| tail.chars().next());
    before.is_some_and(|mark| "'‘“`«".contains(mark)) && after.is_some_and(|mark| "'’”`»".contains(mark))
}

/// Whether a sentence cites the words: words stand before the opening quotation mark and after the closing one.
fn is_cited(text: &str, place: &Range<usize>) -> bool {
    let line = line_range(text, place);
    let before = text.get(line.start..place.start).unwrap_or_default();
    let after = text.get(place.end..line.end.max(place.end)).unwrap_or_default();
    [('"', '"'), ('“', '”'), ('`', '`')].into_iter().any(|(opening, closing)| {
        let is_open = if opening == closing {
            before.matches(opening).count() % 2 == 1
        } else {
            before.rfind(opening).is_some_and(|at| !before.get(at..).unwrap_or_default().contains(closing))
        };
        let is_word = |text: &str| text.trim_end().ends_with(char::is_alphanumeric);
        let goes_on = |tail: &str| tail.trim_start().starts_with(char::is_alphabetic);
        is_open
            && before.rsplit_once(opening).is_some_and(|(head, _)| is_word(head))
            && after.split_once(closing).is_some_and(|(_, tail)| goes_on(tail))
    })
}

/// How a client's message goes on after its words: with a reset, a reason, or advice.
static CONTINUATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(concat!(
        r"^\s+(?:\d|(?:resets?|will|for|until|on|in|at|and|or|to|please|contact|upgrade|increase|raise|try|your|you|ask",
        r"|switch|run|visit|add|wait|again|today|tomorrow|this|before|after|next|now|using|limit",
        r"|(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\b",
        r"|(?:is|was|are|were|has been|have been) (?:[$-]?\d|(?:too low|low|insufficient|exhausted|reached|exceeded|used up",
        r"|depleted|empty|zero|negative|over|below|at|not|now|currently)\b))",
    ))
});

/// Whether the words are the subject of a sentence: "You've hit your limit was the wrong message".
fn is_in_sentence(text: &str, place: &Range<usize>) -> bool {
    let after = text.get(place.end..line_range(text, place).end.max(place.end)).unwrap_or_default();
    let goes_on = after.starts_with(char::is_whitespace) && after.trim_start().starts_with(char::is_alphabetic);
    goes_on && !CONTINUATION.as_ref().is_some_and(|continuation| continuation.is_match(after))
}

fn is_object(line: &str) -> bool {
    line.trim_start().starts_with('{')
}

/// The JSON of a line, which may have a prefix such as a time, and may be truncated.
fn object(line: &str) -> Option<Value> {
    event::parse(line.get(line.find('{')?..)?)
}

/// Whether a line is an error event as APIs send it.
fn is_bare_error(line: &str) -> bool {
    object(line).is_some_and(|event| event.get("type").and_then(Value::as_str) == Some("error"))
}

fn is_refused_event(line: &str) -> bool {
    line.contains(EVENT) && object(line).is_some_and(|value| is_event(&value, 2) && refuses(&value, 3))
}

/// Whether this object, or one that it wraps, is such an event. Texts within it do not count.
fn is_event(value: &Value, depth: u8) -> bool {
    let wrapped = || ["event", "payload", "msg", "data"].iter().filter_map(|key| value.get(key));
    value.get("type").and_then(Value::as_str) == Some(EVENT)
        || depth > 0 && wrapped().any(|inner| is_event(inner, depth - 1))
}

fn refuses(value: &Value, depth: u8) -> bool {
    let Some(object) = value.as_object() else { return false };
    let refused =
        |word: &str| ["rejected", "exceeded", "blocked", "throttled"].iter().any(|no| word.eq_ignore_ascii_case(no));
    object.get("status").and_then(Value::as_str).is_some_and(refused)
        || depth > 0 && object.values().any(|inner| refuses(inner, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_of_the_table_compiles() {
        assert!(REFUSAL.is_some() && CONTINUATION.is_some());
        for compiled in COMPILED.iter() {
            let rule = compiled.rule;
            let has_expression = matches!(rule.pattern, TextPattern::Words(_) | TextPattern::ErrorEvent(_));
            assert_eq!(compiled.expression.is_some(), has_expression, "{}", rule.id);
            for (grant, beside) in rule.grants.iter().zip(&compiled.beside) {
                let needs = matches!(grant.trust, Trust::FailedBeside(_) | Trust::FailedPlainBeside(_));
                assert_eq!(beside.is_some(), needs, "{} for {:?}", rule.id, grant.providers);
            }
        }
    }
}
