//! An output as its rules see it: without what the model wrote, and each line with its voice.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::event::{self, Author};
use super::excerpt::printed;
use super::rule::Stream;

/// Who is heard on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// A line of text, by whomever.
    Plain,
    /// A line of JSON, by whomever.
    Json,
    /// An event in which the client or the server reports a failure.
    Client,
    /// An event in which the client reports a quota window.
    Window,
}

/// A line of an output.
#[derive(Clone, Debug)]
struct Line {
    range: Range<usize>,
    voice: Voice,
    /// When its event says that it happened.
    at: Option<String>,
}

/// An output without what its model wrote.
#[derive(Debug)]
pub(super) struct Output {
    pub text: String,
    lines: Vec<Line>,
}

impl Output {
    /// Reads an output. Whatever was reported before a run ended well, or before the model answered again, is over.
    pub fn read(text: &str, stream: Stream) -> Self {
        let text = printed(text);
        let mut kept: Vec<(Cow<'_, str>, Voice, Option<String>)> = Vec::new();
        for line in lines_of(&text) {
            let trimmed = line.trim();
            if !trimmed.starts_with('{') {
                kept.push((line, Voice::Plain, None));
                continue;
            }
            let Some(value) = event::parse(trimmed) else {
                kept.push((line, Voice::Json, None));
                continue;
            };
            let at = event::timestamp(&value).map(str::to_owned);
            match event::author(&value) {
                Author::Client => kept.push((whole_numbers(line), Voice::Client, at)),
                Author::Window => kept.push((whole_numbers(line), Voice::Window, at)),
                Author::Unknown => kept.push((line, Voice::Json, at)),
                Author::Ended => kept.retain(|(line, voice, _)| *voice == Voice::Window || line.starts_with("[cli] ")),
                // In a transcript the model only answers when it is not refused.
                Author::Model if stream == Stream::Transcript && answers(&value) => {
                    kept.retain(|(_, voice, _)| *voice != Voice::Client);
                }
                Author::Model => {}
            }
        }
        let mut output = Self { text: String::new(), lines: Vec::with_capacity(kept.len()) };
        for (line, voice, at) in kept {
            let start = output.text.len();
            output.text.push_str(&line);
            output.lines.push(Line { range: start..output.text.len(), voice, at });
            output.text.push('\n');
        }
        if ends_otherwise(&output.text) {
            output.keep(&|line| line.voice != Voice::Plain);
        }
        output.trust(stream);
        output
    }

    /// Leaves out the lines that the stream does not vouch for.
    fn trust(&mut self, stream: Stream) {
        match stream {
            Stream::StdoutOk => {
                let (events, others): (Vec<&Line>, Vec<&Line>) =
                    self.lines.iter().filter(|line| !self.is_blank(line)).partition(|line| line.voice != Voice::Plain);
                let is_stream = events.len() > others.len();
                // Of a text, the whole is the client's message, or all of it is the model's.
                let is_message = others.iter().all(|line| is_message(self.of(line)) || is_help(self.of(line)));
                if is_stream {
                    self.keep(&|line| line.voice != Voice::Plain);
                } else if !is_message {
                    self.lines.clear();
                }
            }
            Stream::Transcript => {
                // The client's last word stands at the end; anything in front of it may be a quotation.
                let last =
                    self.lines.iter().rev().filter(|line| !self.is_blank(line)).find(|line| !is_help(self.of(line)));
                let last = last.filter(|line| line.voice != Voice::Plain || is_message(self.of(line)));
                let last = last.map(|line| line.range.start);
                self.keep(&|line| line.voice != Voice::Plain || Some(line.range.start) == last);
            }
            Stream::Stderr | Stream::StdoutFailed => {}
        }
    }

    fn keep(&mut self, keeps: &dyn Fn(&Line) -> bool) {
        self.lines.retain(keeps);
    }

    fn of(&self, line: &Line) -> &str {
        self.text.get(line.range.clone()).unwrap_or_default()
    }

    fn is_blank(&self, line: &Line) -> bool {
        self.of(line).trim().is_empty()
    }

    fn at(&self, place: &Range<usize>) -> Option<&Line> {
        // A pattern may begin with the white space of lines before.
        let hit = self.text.get(place.clone()).unwrap_or_default();
        let start = place.start + (hit.len() - hit.trim_start().len());
        let after = self.lines.partition_point(|line| line.range.start <= start);
        self.lines.get(after.checked_sub(1)?).filter(|line| start < line.range.end.max(line.range.start + 1))
    }

    /// Who is heard at a place; nobody where the line was left out.
    pub fn voice(&self, place: &Range<usize>) -> Option<Voice> {
        self.at(place).map(|line| line.voice)
    }

    /// When the event at a place says that it happened.
    pub fn said_at(&self, place: &Range<usize>) -> Option<&str> {
        self.at(place)?.at.as_deref()
    }

    /// The lines that count.
    pub fn lines(&self) -> impl Iterator<Item = (Range<usize>, &str, Voice)> {
        self.lines.iter().map(|line| (line.range.clone(), self.of(line), line.voice))
    }
}

/// The lines of an output. One JSON document that is spread over lines, or an array of events, gives a line for each event.
fn lines_of(text: &str) -> Vec<Cow<'_, str>> {
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(trimmed)
    {
        let line = |value: &Value| Cow::Owned(value.to_string());
        match &value {
            Value::Array(events) => return events.iter().map(line).collect(),
            Value::Object(_) if trimmed.contains('\n') => return vec![line(&value)],
            _ => {}
        }
    }
    // Server-sent events carry JSON behind a name.
    text.lines().map(|line| Cow::Borrowed(line.strip_prefix("data: ").unwrap_or(line))).collect()
}

/// A line whose event was cut off within a number, which would be read as another one.
fn whole_numbers(line: Cow<'_, str>) -> Cow<'_, str> {
    if line.ends_with(|last: char| last.is_ascii_digit()) {
        return Cow::Owned(line.trim_end_matches(|last: char| last.is_ascii_digit()).to_owned());
    }
    line
}

/// Whether the model says something here, apart from what it was told.
fn answers(value: &Value) -> bool {
    let speaks = |value: &Value| {
        let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        ["assistant", "agent", "gemini", "model"]
            .iter()
            .any(|who| word("type").starts_with(who) || word("role") == *who)
    };
    speaks(value) || ["message", "payload", "item", "msg"].iter().filter_map(|name| value.get(name)).any(speaks)
}

struct Shapes {
    /// How a line begins that is a client's message.
    opens: Regex,
    /// Words of somebody who writes about a message.
    about: Regex,
    /// What clients print beside a message.
    help: Regex,
    /// Another end of a run than a refusal.
    otherwise: Regex,
}

static SHAPES: LazyLock<Option<Shapes>> = LazyLock::new(|| {
    Some(Shapes {
        opens: Regex::new(concat!(
            r"(?i)^\W*(?:(?:api |stream |fatal |model call )?(?:error|failed|exception)\b|\[[^\]]{1,40}\]|http|status|429|402",
            r"|you\b|you['’]|your\b|claude\b|the\b|weekly|monthly|daily|hourly|session|opus|sonnet|haiku|fable|5[ -]hour|five|limit|usage",
            r"|out of|quota|credit|insufficient|billing|rate|resource|reached|hit)",
        ))
        .ok()?,
        about: Regex::new(concat!(
            r"(?i)\b(?:I|I['’]\w+|we|let['’]s|fixtures?|tests?|tested|strings?|regex|pattern|assert\w*|users?|messages?|text|prints?|shows?",
            r"|docs?|readme|code|function|helper|example|renamed|added|fixed|says?|quoted?|means?|when)\b",
        ))
        .ok()?,
        help: Regex::new(r"(?i)^\s*(?:⎿\s*)?(?:/[a-z]|resets?\b|\(request id|request id|learn more|try again|https?://|$)").ok()?,
        otherwise: Regex::new(r"(?im)^\s*error: (?:reached max turns|exceeded usd budget|reached max(?:imum)? budget)").ok()?,
    })
});

/// Whether a line can be a message of a client as a whole, not a sentence of a model about one.
fn is_message(line: &str) -> bool {
    // What a server answered is quoted by the client, behind an opening brace.
    let own = line.split('{').next().unwrap_or_default();
    SHAPES.as_ref().is_some_and(|shapes| shapes.opens.is_match(own) && !shapes.about.is_match(own))
}

/// Whether a line helps to go on after a message: `/upgrade to increase your usage limit`.
fn is_help(line: &str) -> bool {
    SHAPES.as_ref().is_some_and(|shapes| shapes.help.is_match(line))
}

/// Whether a run says that something else than a refusal ended it.
fn ends_otherwise(text: &str) -> bool {
    SHAPES.as_ref().is_some_and(|shapes| shapes.otherwise.is_match(text))
}
