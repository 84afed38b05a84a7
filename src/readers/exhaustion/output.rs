//! Prepares an output for the rules: removes what the model wrote, and determines the author of each line.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::event::{self, Author};
use super::excerpt::printed;
use super::rule::Stream;

/// The author of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineAuthor {
    /// A line of text by an unknown author.
    Plain,
    /// A line of JSON by an unknown author.
    Json,
    /// An event in which the client or the server reports a failure.
    Client,
    /// An event in which the client reports a quota window.
    Window,
}

/// A line of an output.
#[derive(Clone, Debug)]
struct OutputLine {
    range: Range<usize>,
    voice: LineAuthor,
    /// The time that its event states.
    at: Option<String>,
}

/// An output without the content of its model.
#[derive(Debug)]
pub(super) struct Output {
    pub text: String,
    lines: Vec<OutputLine>,
}

impl Output {
    /// Parses an output. Failures before a successful end, or before a later reply of the model, are dropped.
    pub fn read(text: &str, stream: Stream) -> Self {
        let text = printed(text);
        let mut retained: Vec<(Cow<'_, str>, LineAuthor, Option<String>)> = Vec::new();
        for line in lines_of(&text) {
            let trimmed = line.trim();
            if !trimmed.starts_with('{') {
                retained.push((line, LineAuthor::Plain, None));
                continue;
            }
            let Some(value) = event::parse(trimmed) else {
                retained.push((line, LineAuthor::Json, None));
                continue;
            };
            let at = event::timestamp(&value).map(str::to_owned);
            match event::author(&value) {
                Author::Client => retained.push((whole_numbers(line), LineAuthor::Client, at)),
                Author::Window => retained.push((whole_numbers(line), LineAuthor::Window, at)),
                Author::Unknown => retained.push((line, LineAuthor::Json, at)),
                Author::Ended => {
                    retained.retain(|(line, voice, _)| *voice == LineAuthor::Window || line.starts_with("[cli] "));
                }
                // In a transcript the model replies only when it is not refused.
                Author::Model if stream == Stream::Transcript && answers(&value) => {
                    retained.retain(|(_, voice, _)| *voice != LineAuthor::Client);
                }
                Author::Model => {}
            }
        }
        let mut output = Self { text: String::new(), lines: Vec::with_capacity(retained.len()) };
        for (line, voice, at) in retained {
            let start = output.text.len();
            output.text.push_str(&line);
            output.lines.push(OutputLine { range: start..output.text.len(), voice, at });
            output.text.push('\n');
        }
        if ends_otherwise(&output.text) {
            output.keep(&|line| line.voice != LineAuthor::Plain);
        }
        output.trust(stream);
        output
    }

    /// Removes the lines that are not trusted on this stream.
    fn trust(&mut self, stream: Stream) {
        match stream {
            Stream::StdoutOk => {
                let (events, others): (Vec<&OutputLine>, Vec<&OutputLine>) = self
                    .lines
                    .iter()
                    .filter(|line| !self.is_blank(line))
                    .partition(|line| line.voice != LineAuthor::Plain);
                let is_stream = events.len() > others.len();
                // Text is either entirely the client's message, or entirely the model's.
                let is_message = others.iter().all(|line| is_message(self.of(line)) || is_help(self.of(line)));
                if is_stream {
                    self.keep(&|line| line.voice != LineAuthor::Plain);
                } else if !is_message {
                    self.lines.clear();
                }
            }
            Stream::Transcript => {
                // The client's last message is at the end. Earlier text may be a quotation.
                let last =
                    self.lines.iter().rev().filter(|line| !self.is_blank(line)).find(|line| !is_help(self.of(line)));
                let last = last.filter(|line| line.voice != LineAuthor::Plain || is_message(self.of(line)));
                let last = last.map(|line| line.range.start);
                // An event of an unknown kind may quote any text.
                self.keep(&|line| match line.voice {
                    LineAuthor::Client | LineAuthor::Window => true,
                    LineAuthor::Json => false,
                    LineAuthor::Plain => Some(line.range.start) == last,
                });
            }
            Stream::StderrOk => {
                let text = std::mem::take(&mut self.text);
                let of = |line: &OutputLine| text.get(line.range.clone()).unwrap_or_default();
                self.keep(&|line| line.voice != LineAuthor::Plain || !is_prose(of(line)));
                self.text = text;
            }
            Stream::Stderr | Stream::StdoutFailed => {}
        }
    }

    fn keep(&mut self, keeps: &dyn Fn(&OutputLine) -> bool) {
        self.lines.retain(keeps);
    }

    fn of(&self, line: &OutputLine) -> &str {
        self.text.get(line.range.clone()).unwrap_or_default()
    }

    fn is_blank(&self, line: &OutputLine) -> bool {
        self.of(line).trim().is_empty()
    }

    fn at(&self, place: &Range<usize>) -> Option<&OutputLine> {
        // A pattern may begin with white space of the preceding lines.
        let hit = self.text.get(place.clone()).unwrap_or_default();
        let start = place.start + (hit.len() - hit.trim_start().len());
        let after = self.lines.partition_point(|line| line.range.start <= start);
        self.lines.get(after.checked_sub(1)?).filter(|line| start < line.range.end.max(line.range.start + 1))
    }

    /// The author of the line at a place; `None` if the line was removed.
    pub fn voice(&self, place: &Range<usize>) -> Option<LineAuthor> {
        self.at(place).map(|line| line.voice)
    }

    /// The time that the event at a place states.
    pub fn time_at(&self, place: &Range<usize>) -> Option<&str> {
        self.at(place)?.at.as_deref()
    }

    /// The remaining lines.
    pub fn lines(&self) -> impl Iterator<Item = (Range<usize>, &str, LineAuthor)> {
        self.lines.iter().map(|line| (line.range.clone(), self.of(line), line.voice))
    }
}

/// The lines of an output. A JSON document that spans lines, or an array of events, gives one line per event.
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
    // Server-sent events have a prefix before the JSON.
    text.lines().map(|line| Cow::Borrowed(line.strip_prefix("data: ").unwrap_or(line))).collect()
}

/// Drops a number at which the event was truncated, because its digits may be incomplete.
fn whole_numbers(line: Cow<'_, str>) -> Cow<'_, str> {
    if line.ends_with(|last: char| last.is_ascii_digit()) {
        return Cow::Owned(line.trim_end_matches(|last: char| last.is_ascii_digit()).to_owned());
    }
    line
}

/// Whether the model itself says something here, as opposed to its input.
fn answers(value: &Value) -> bool {
    let speaks = |value: &Value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        ["assistant", "agent", "gemini", "model"]
            .iter()
            .any(|who| text("type").starts_with(who) || text("role") == *who)
    };
    speaks(value) || ["message", "payload", "item", "msg"].iter().filter_map(|name| value.get(name)).any(speaks)
}

struct LinePatterns {
    /// The beginning of a client's message.
    opens: Regex,
    /// How a line begins that is an item of a list, a heading or a quotation.
    lists: Regex,
    /// Words of a text about a message.
    about: Regex,
    /// Hints that clients print next to a message.
    help: Regex,
    /// Signs that the run ended for another reason than a refusal.
    otherwise: Regex,
}

static SHAPES: LazyLock<Option<LinePatterns>> = LazyLock::new(|| {
    Some(LinePatterns {
        opens: Regex::new(concat!(
            r"(?i)^\W*(?:(?:api |stream |fatal |model call )?(?:error|failed|exception)\b|\w{1,40}(?:error|exception):|\[[^\]]{1,40}\]|http|status|429|402",
            r"|you\b|you['’]|your\b|claude\b|the\b|weekly|monthly|daily|hourly|session|opus|sonnet|haiku|fable|5[ -]hour|five|limit|usage",
            r"|out of|quota|credit|insufficient|billing|rate|resource|reached|hit)",
        ))
        .ok()?,
        lists: Regex::new(r#"^\s*(?:(?:[-*+>#|]+|\d{1,3}[.)])\s|["'“‘`«*_])"#).ok()?,
        about: Regex::new(concat!(
            r"(?i)\b(?:I|I['’]\w+|we|let['’]s|fixtures?|tests?|tested|strings?|regex|pattern|assert\w*|users?|messages?|text|prints?|shows?",
            r"|docs?|readme|code|function|helper|example|renamed|added|fixed|says?|quoted?|means?|when|banner|handl(?:ed|ing|er)|translated",
            r"|rendered|renders|retried|retries|caught|catch(?:es)?|detected|parsed|parser|returns|raises|throws|logged|lives|matches|because",
            r"|therefore|whenever|(?:is|are|it) now|now (?:\w+ed|[a-z]{2,}s))\b",
        ))
        .ok()?,
        help: Regex::new(r"(?i)^\s*(?:⎿\s*)?(?:/[a-z]|resets?\b|\(request id|request id|learn more|try again|https?://|$)").ok()?,
        otherwise: Regex::new(r"(?im)^\s*error: (?:reached max turns|exceeded usd budget|reached max(?:imum)? budget)").ok()?,
    })
});

/// Whether a line can be a whole message of a client, and not a sentence of a model about one.
fn is_message(line: &str) -> bool {
    // The client quotes the server's response after an opening brace.
    let own = line.split('{').next().unwrap_or_default();
    SHAPES
        .as_ref()
        .is_some_and(|shapes| shapes.opens.is_match(own) && !shapes.lists.is_match(own) && !shapes.about.is_match(own))
}

/// Whether a line is a sentence, an item of a list or a quotation of a model about a message.
fn is_prose(line: &str) -> bool {
    SHAPES.as_ref().is_some_and(|shapes| shapes.lists.is_match(line) || shapes.about.is_match(line))
}

/// Whether a line is a hint after a message: `/upgrade to increase your usage limit`.
fn is_help(line: &str) -> bool {
    SHAPES.as_ref().is_some_and(|shapes| shapes.help.is_match(line))
}

/// Whether a run states that something else than a refusal ended it.
fn ends_otherwise(text: &str) -> bool {
    SHAPES.as_ref().is_some_and(|shapes| shapes.otherwise.is_match(text))
}
