//! Detects in an agent's output that a quota is exhausted, and when it resets.
//!
//! The rules are data. Each has a stable id, the words or the event that it matches, the day on which a real message of
//! its kind was last seen, and how far it is trusted on which stream of which provider's agent. The runtime of an agent
//! writes its error stream. The model writes most of its output and may quote any message. JSON events distinguish the
//! two: content of the model, its tools and its user is ignored, and a failure that the client reports counts like the
//! error stream. The text of a successful run counts only if it is entirely a message of the client. Exceptions are
//! data, too: server overload and a warning about part of a quota are no refusals.

mod decode;
mod event;
mod exception;
mod excerpt;
mod output;
pub mod reset;
mod rule;
mod scan;
mod scope;
mod table;

use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};

pub use decode::decode;
pub use rule::Stream;

use output::Output;
use reset::{ClockZone, Reset, ResetReading};

/// All rules, the most reliable first.
#[cfg(any(test, feature = "internals"))]
pub const fn rules() -> &'static [rule::ExhaustionRule] {
    table::RULES
}

/// A detected refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhaustion {
    /// Id of the rule that recognised it.
    pub rule: &'static str,
    /// The matching text with its context on the line, without control characters.
    pub excerpt: String,
    /// The model or model family that the refusal concerns, such as `opus`; `None` if it concerns every model.
    pub model: Option<String>,
    /// Whether the message concerns the model of the run without naming it.
    pub of_its_model: bool,
    /// When the refusal happened, if its event states it.
    pub at: Option<Timestamp>,
    /// The matching line, and the text around it, which are searched for the reset.
    line: String,
    vicinity: String,
    /// The zone of times without a zone, if the provider is known to use one.
    place: Option<ClockZone>,
}

impl Exhaustion {
    /// When the quota resets, if the line or the text around it states it. `host` is the zone of times without a zone.
    pub fn reset(&self, now: Timestamp, host: Zone) -> Option<Reset> {
        let host = self.place.unwrap_or(ClockZone::Zone(host));
        // In text about a quota, a number of seconds in a header is the time to its reset.
        let bare = if self.rule == "retry-after" { reset::BACK_OFF } else { i64::MAX };
        let reading = ResetReading { now, host, bare, past: reset::REFUSAL_PAST };
        if let Some(reset) = reset::around_header(&self.line, &self.vicinity, reading) {
            return Some(reset);
        }
        let near = reset::read(&self.line, reading);
        if near.as_ref().is_some_and(|reset| reset.at.is_some()) {
            return near;
        }
        let around = reset::read(&self.vicinity, reading);
        around.filter(|reset| near.is_none() || reset.at.is_some()).or(near)
    }
}

/// Searches a text for the most reliable sign that a provider's quota is exhausted.
///
/// `provider` is an id or an alias. A provider without rules is treated like Claude Code.
pub fn detect(provider: &str, stream: Stream, text: &str) -> Option<Exhaustion> {
    let resolved = ProviderId::resolve(&provider.trim().to_ascii_lowercase()).ok();
    let id = resolved.as_ref().map_or(table::OTHERS, ProviderId::as_str);
    if table::SILENT.contains(&id) {
        return None;
    }
    let named = table::RULES.iter().any(|rule| rule.trust(id).is_some());
    let itself = id;
    let id = if named { id } else { table::OTHERS };
    let output = Output::read(text, stream);
    let text = output.text.as_str();
    scan::COMPILED.iter().find_map(|compiled| {
        let place = compiled.find(id, stream, &output)?;
        let (line, vicinity) = (excerpt::around_line(text, &place), excerpt::vicinity(text, &place));
        Some(Exhaustion {
            rule: compiled.rule.id,
            excerpt: excerpt::excerpt(text, &place),
            model: scope::model(id, line, vicinity),
            of_its_model: scope::is_of_its_model(line),
            at: output.time_at(&place).and_then(|at| at.parse().ok()),
            line: line.to_owned(),
            vicinity: vicinity.to_owned(),
            place: table::place(itself, compiled.rule.id, line),
        })
    })
}

/// The verdict on both streams of a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanVerdict {
    /// The quota is exhausted.
    Exhausted(Exhaustion),
    /// No sign of it was found.
    NotExhausted,
    /// Neither stream could be read, so the state is unknown.
    Unreliable,
}

/// Evaluates the streams of a finished run; either may have been unreadable.
pub fn judge(provider: &str, stdout: Option<&str>, stderr: Option<&str>, exit_code: i32) -> ScanVerdict {
    if stdout.is_none() && stderr.is_none() {
        return ScanVerdict::Unreliable;
    }
    let (errors, output) =
        if exit_code == 0 { (Stream::StderrOk, Stream::StdoutOk) } else { (Stream::Stderr, Stream::StdoutFailed) };
    let errors = stderr.and_then(|text| detect(provider, errors, text));
    errors
        .or_else(|| stdout.and_then(|text| detect(provider, output, text)))
        .map_or(ScanVerdict::NotExhausted, ScanVerdict::Exhausted)
}
