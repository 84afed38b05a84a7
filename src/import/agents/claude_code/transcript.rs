//! Parses the lines of one log into calls.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use xxhash_rust::xxh3::xxh3_64;

use super::AGENT;
use super::counted_reply::CountedReply;
use super::identity::{AnswerSpan, OpenAnswer};
use super::line::{TranscriptLine, TranscriptMessage};
use super::origin::CallOrigin;
use crate::import::engine::attribution::{self, ANTHROPIC};
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::resume;
use crate::import::engine::source::LineParser;
use crate::import::health::missing_usage::{LogEnd, WITHOUT_COUNTS};
use crate::model::event::{Raw, ServerKey, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::readers::normalise::{self, NestedUsage};

/// Occurs near the start of every answer, and elsewhere only in copies of answers. Within a string its quotes would be
/// escaped.
/// The id of answers whose server states none.
const NAMELESS: &str = "without-id";

static ANSWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"assistant\""));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

/// A call, with the data needed to compare further lines of the same call.
struct LoggedCall {
    parsed: ParsedCall,
    /// Time of the first line with this total.
    counted: Timestamp,
    total: u64,
    usage: String,
    span: AnswerSpan,
    /// Index of an earlier call with the same id.
    earlier: Option<usize>,
    /// Calls of other models within it, such as those of an advisor.
    nested: Vec<NestedUsage>,
}

#[derive(Default)]
pub(super) struct TranscriptParser {
    origin: CallOrigin,
    /// Calls in the order of their first line.
    calls: Vec<LoggedCall>,
    /// Number of user lines so far.
    turn: u64,
    /// Number of user lines before `origin.open`.
    open_turn: u64,
    /// Whether that call is in `calls`.
    open_is_here: bool,
    /// Number of answers with all counts 0 that are not reported yet.
    zeros: u64,
    /// Index in `calls` of the last message with an id, by a hash of the id. After a hash collision the second call is
    /// emitted in parts, which the writer joins.
    places: HashMap<u64, usize>,
}

impl TranscriptParser {
    /// Creates a parser that continues from this state.
    pub fn new(origin: CallOrigin) -> Self {
        Self { origin, ..Self::default() }
    }
}

impl LineParser for TranscriptParser {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        if !self.may_matter(line) {
            if !self.origin.is_known() {
                self.origin.learn(line);
            }
            return Ok(());
        }
        let read = TranscriptLine::parse(line)?;
        if !self.origin.is_known() {
            self.origin.learn_from(&read);
        }
        if let Some(message) = answer(&read)? {
            jsonl::utf8(line)?;
            self.call(&read, message)
        } else {
            self.turn += u64::from(read.kind.as_deref() == Some("user"));
            Ok(())
        }
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        self.weigh_zeros(false);
        self.open_is_here = false;
        self.places.clear();
        let mut calls = Vec::with_capacity(self.calls.len());
        for LoggedCall { parsed: mut call, counted, usage, nested, .. } in self.calls.drain(..) {
            call.count_at(counted);
            for nested in nested {
                // Cannot fail: this part of the usage object was parsed as JSON before.
                let Ok(record) = nested.record(&call.record) else { continue };
                let mut nested = ParsedCall { at: call.at, record }.counted(counted);
                attribution::settle(&mut nested.record);
                calls.push(nested);
            }
            call.record.raw = Some(Raw::read(usage));
            attribution::settle(&mut call.record);
            calls.push(call);
        }
        calls
    }

    fn end(&mut self, settled: bool) -> LogEnd {
        self.weigh_zeros(settled);
        let new = std::mem::take(&mut self.zeros);
        self.origin.zeros += new;
        match new {
            0 if self.origin.open.as_ref().is_some_and(|open| open.zero) => LogEnd::Open,
            0 => LogEnd::Plain,
            new => LogEnd::Silent(format!("{WITHOUT_COUNTS}: {new}, whose counts are all 0")),
        }
    }

    fn is_missing_usage(&self) -> bool {
        self.origin.zeros > 0
    }

    fn pending(&self) -> usize {
        self.calls.len()
    }

    fn conversation(&self) -> Option<&str> {
        self.origin.conversation.as_deref()
    }

    fn began(&self) -> Option<Timestamp> {
        self.origin.began.into_iter().chain(self.origin.parent).min()
    }

    fn resume(&self) -> Option<serde_json::Value> {
        Some(resume::store(&self.origin))
    }
}

/// Returns whether lines of this type have no counts. Most bytes of a log are in such lines.
fn is_other(kind: &[u8]) -> bool {
    const OTHERS: [&[u8]; 6] = [
        b"\"progress\"",
        b"\"system\"",
        b"\"summary\"",
        b"\"attachment\"",
        b"\"file-history-snapshot\"",
        b"\"queue-operation\"",
    ];
    OTHERS.contains(&kind)
}

/// Returns the message of a line that is a response of the API.
fn answer<'l, 'a>(line: &'l TranscriptLine<'a>) -> Result<Option<&'l TranscriptMessage<'a>>, String> {
    let unknown = |what: &str| Err(format!("unknown shape: {what}"));
    let Some(message) = &line.message else {
        return if line.kind.as_deref() == Some("assistant") {
            unknown("an assistant line without a message")
        } else {
            Ok(None)
        };
    };
    match line.kind.as_deref() {
        Some("assistant") => {}
        None if message.usage.is_some() && message.role.as_deref().is_none_or(|role| role == "assistant") => {}
        // These types are copies and prompts.
        None | Some("user" | "progress" | "system") => return Ok(None),
        Some(_) if message.usage.is_some() && message.role.as_deref() != Some("user") => {
            return unknown("an answer with usage in a line of another type than `assistant`");
        }
        Some(_) => return Ok(None),
    }
    if message.model.as_deref() == Some("<synthetic>") {
        return Ok(None);
    }
    if message.usage.is_none() {
        return unknown("an assistant message without usage");
    }
    Ok(Some(message))
}

impl TranscriptParser {
    /// Returns whether a line may be an answer. Most other lines show their type early.
    fn may_matter(&mut self, line: &[u8]) -> bool {
        if ANSWER.find(line).is_some() {
            return true;
        }
        match jsonl::kind(line) {
            Ok(Some(b"\"user\"")) => {
                self.turn += 1;
                false
            }
            Ok(Some(kind)) if is_other(kind) => false,
            _ => USAGE.find(line).is_some(),
        }
    }

    fn call(&mut self, line: &TranscriptLine<'_>, message: &TranscriptMessage<'_>) -> Result<(), String> {
        let ids = [&message.id, &line.request].map(|id| id.as_deref().and_then(jsonl::name));
        let (ids, id) = match ids {
            [Some(id), _] | [None, Some(id)] => (ids, id),
            // Such answers are separated like those of a relay that gives all of them one id.
            [None, None] => ([Some(NAMELESS), None], NAMELESS),
        };
        let usage = message.usage.unwrap_or_default();
        let mut at = jsonl::time(line.timestamp.as_deref())?;
        let hash = xxh3_64(id.as_bytes());
        let latest = self.places.get(&hash).copied();
        // An identical usage object need not be parsed again.
        let same = latest.and_then(|place| self.calls.get(place)).filter(|call| call.usage == usage);
        let counted = match same {
            Some(_) => None,
            None => Some(CountedReply::new(usage)?),
        };
        let prompt = counted.as_ref().map_or_else(|| same.map_or(0, |call| call.span.prompt), CountedReply::prompt);
        let ended = message.stop.is_some();
        let span = AnswerSpan { first: at, last: at, prompt, ended, turn: self.turn };
        let only = ids.into_iter().flatten().count() == 1;
        let place = self.place(latest, id, only, &span);
        if let Some(place) = place {
            self.keep_open(id, place, only);
            return self.further(place, ids, &span, counted, (line, message));
        }
        let counted = match counted {
            Some(counted) => counted,
            None => CountedReply::new(usage)?,
        };
        // It may continue the answer of an earlier run.
        if let Some(open) = self.origin.open.take() {
            if open.continues(id, &span, self.turn == self.open_turn) {
                at = open.at;
            } else {
                // An answer in `calls` is counted when the calls are taken.
                self.zeros += u64::from(open.zero && !self.open_is_here);
            }
        }
        let keys = ids.into_iter().flatten().map(str::to_owned).collect();
        self.places.insert(hash, self.calls.len());
        let mut call = self.made(at, keys, line, message, counted, usage);
        (call.span, call.earlier, call.counted) = (span, latest, span.first);
        self.calls.push(call);
        self.keep_open(id, self.calls.len() - 1, only);
        Ok(())
    }

    /// Returns the index of the call that a line belongs to. A call with a request id is matched by its ids alone.
    fn place(&self, latest: Option<usize>, id: &str, only: bool, span: &AnswerSpan) -> Option<usize> {
        let mut next = latest;
        while let Some(place) = next {
            let call = self.calls.get(place)?;
            let keys = &call.parsed.record.keys;
            let is_named = keys.first().is_some_and(|key| key == id);
            if is_named && (!only || keys.len() > 1 || call.span.includes(span)) {
                return Some(place);
            }
            next = call.earlier;
        }
        None
    }

    /// Remembers the last answer while later lines may continue it and its id is ambiguous.
    fn keep_open(&mut self, id: &str, place: usize, only: bool) {
        let Some(call) = self.calls.get(place) else { return };
        let zero = call.total == 0;
        let may_go_on = (only || zero) && !call.span.ended;
        self.origin.open =
            may_go_on.then(|| OpenAnswer { id: id.to_owned(), at: call.parsed.at, prompt: call.span.prompt, zero });
        (self.open_turn, self.open_is_here) = (self.turn, true);
    }

    /// Joins another line to its call: the larger total wins.
    fn further(
        &mut self,
        place: usize,
        ids: [Option<&str>; 2],
        span: &AnswerSpan,
        counted: Option<CountedReply>,
        (line, message): (&TranscriptLine<'_>, &TranscriptMessage<'_>),
    ) -> Result<(), String> {
        let at = span.first;
        let Some(call) = self.calls.get_mut(place) else { return Ok(()) };
        call.parsed.at = call.parsed.at.min(at);
        for id in ids.into_iter().flatten() {
            if !call.parsed.record.keys.iter().any(|key| key == id) {
                call.parsed.record.keys.push(id.to_owned());
            }
        }
        let before = call.span.prompt;
        call.span.extend(span);
        let Some(mut counted) = counted.filter(|_| Some(call.usage.as_str()) != message.usage) else {
            call.counted = call.counted.min(at);
            return Ok(());
        };
        // The last event of a stream may state the output alone.
        let mut usage = message.usage.unwrap_or_default().to_owned();
        if (before == 0) != (counted.prompt() == 0) && call.total > 0 && counted.total > 0 {
            let (whole, part) = if before == 0 { (&usage, &call.usage) } else { (&call.usage, &usage) };
            if let Some(merged) = normalise::merged(whole, part) {
                counted = CountedReply::new(&merged)?;
                usage = merged;
            }
        }
        match counted.total.cmp(&call.total) {
            Ordering::Less => {}
            Ordering::Equal => call.counted = call.counted.min(at),
            Ordering::Greater => {
                let (first, keys) = (call.parsed.at, std::mem::take(&mut call.parsed.record.keys));
                let (span, earlier) = (call.span, call.earlier);
                let made = self.made(first, keys, line, message, counted, &usage);
                if let Some(call) = self.calls.get_mut(place) {
                    *call = LoggedCall { counted: at, span, earlier, ..made };
                }
            }
        }
        Ok(())
    }

    /// Removes answers whose counts are all 0: a server that states none has still used tokens. The last one is kept
    /// because later lines may have counts.
    fn weigh_zeros(&mut self, settled: bool) {
        let all = self.calls.len();
        self.calls.retain(|call| call.total > 0);
        let mut zeros = (all - self.calls.len()) as u64;
        if all > self.calls.len() {
            self.places.clear();
            self.calls.iter_mut().for_each(|call| call.earlier = None);
        }
        let waits = self.origin.open.as_ref().is_some_and(|open| open.zero);
        if waits && settled {
            // The agent no longer writes to the log.
            zeros += u64::from(!self.open_is_here);
            self.origin.open = None;
        } else if waits && self.open_is_here {
            zeros = zeros.saturating_sub(1);
        }
        self.zeros += zeros;
    }

    fn made(
        &self,
        at: Timestamp,
        keys: Vec<String>,
        line: &TranscriptLine<'_>,
        message: &TranscriptMessage<'_>,
        counted: CountedReply,
        usage: &str,
    ) -> LoggedCall {
        let CountedReply { mut counts, total } = counted;
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().and_then(jsonl::name).map(str::to_owned);
        let mut record = TokenRecord {
            provider: ANTHROPIC.into(),
            account: None,
            model: text(&message.model),
            agent: Some(AGENT.to_owned()),
            conversation: text(&line.session).or_else(|| self.origin.conversation.clone()),
            project: text(&line.cwd),
            labels: BTreeMap::new(),
            tokens: counts.tokens,
            modalities: BTreeMap::new(),
            server_tools: BTreeMap::new(),
            cost: line
                .cost
                .and_then(|cost| cost.parse::<Usd>().ok())
                .filter(|cost| *cost >= Usd::default())
                .or(counts.cost),
            duration_ms: None,
            counted_at: None,
            keys,
            key_ids: Vec::new(),
            server_key: ServerKey::default(),
            normaliser: Some(counts.normaliser.into()),
            quality: counts.quality,
            residual: counts.residual.clone(),
            raw: None,
        };
        counts.set_tariff(&mut record);
        if line.sidechain == Some(true) {
            record.labels.insert("sidechain".to_owned(), "true".to_owned());
        }
        LoggedCall {
            parsed: ParsedCall { at, record },
            counted: at,
            total,
            usage: usage.to_owned(),
            span: AnswerSpan { first: at, last: at, prompt: 0, ended: false, turn: self.turn },
            earlier: None,
            nested: advised_by(std::mem::take(&mut counts.nested), line),
        }
    }
}

/// Adds the advisor's model from the line to nested calls whose usage does not name one.
fn advised_by(mut nested: Vec<NestedUsage>, line: &TranscriptLine<'_>) -> Vec<NestedUsage> {
    for one in &mut nested {
        if one.model.is_none() && one.purpose == "advisor" {
            one.model = line.advisor.as_deref().and_then(jsonl::name).map(str::to_owned);
        }
    }
    nested
}
