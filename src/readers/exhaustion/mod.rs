//! Whether an agent's output says that a quota is used up, and until when.
//!
//! The rules are data: each has a stable id, the words or the event it looks for, the day on which a real message of its
//! kind was seen, and how far it is trusted on which stream of which provider's agent. An agent's error stream is its
//! runtime's. Its output is mostly the model's, who may quote any of these words. Events of JSON tell the two apart: what
//! the model, its tools and its user say is left out, and a failure that the client reports counts as on the error stream.
//! Text of a run that ended well counts only if it is the client's message as a whole. Exceptions are data, too: a server's
//! own load and a warning about a part of a quota are no refusals.
//!
//! ```
//! use usage_ledger::Zone;
//! use usage_ledger::exhaustion::{Stream, detect};
//! let now = "2026-02-04T08:00:00Z".parse()?;
//! let found = detect("claude", Stream::StdoutFailed, "You've hit your session limit · resets 3pm (UTC)").unwrap();
//! assert_eq!(found.rule, "session-limit");
//! assert_eq!(found.reset(now, Zone::UTC).and_then(|reset| reset.at), Some("2026-02-04T15:00:00Z".parse()?));
//! assert_eq!(detect("claude", Stream::StdoutOk, "the pool hit the limit on max connections"), None);
//! # Ok::<(), usage_ledger::Error>(())
//! ```

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
pub use rule::{ExhaustionRule, Grant, Stream, TextPattern, Trust};

use output::Output;
use reset::{Place, Reset};

/// All rules, from the surest to the vaguest.
///
/// ```
/// use usage_ledger::exhaustion::rules;
/// assert!(rules().iter().any(|rule| rule.id == "out-of-credits"));
/// ```
pub const fn rules() -> &'static [ExhaustionRule] {
    table::RULES
}

/// A quota that is used up, as a text says.
///
/// ```
/// use usage_ledger::exhaustion::{Stream, detect};
/// let found = detect("codex", Stream::Stderr, "line 1\n\u{1b}[31mstream error: 429 Too Many Requests\u{1b}[0m\n").unwrap();
/// assert_eq!(found.rule, "http-429");
/// assert_eq!(found.excerpt, "stream error: 429 Too Many Requests");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhaustion {
    /// Id of the rule that recognised it.
    pub rule: &'static str,
    /// The words it was recognised by, with what is around them on their line; no control characters.
    pub excerpt: String,
    /// The model or model family that the refusal is about, such as `opus`; `None` when it is about every model.
    pub model: Option<String>,
    /// Whether the message is about the model that the run used, without naming it.
    pub of_its_model: bool,
    /// When the refusal happened, if its event says so.
    pub at: Option<Timestamp>,
    /// The line, and the text around it, where the reset is looked for.
    line: String,
    vicinity: String,
    /// Where clocks hang that name no zone, if the provider is known to mean one.
    place: Option<Place>,
}

impl Exhaustion {
    /// When the quota comes back, if the same line or the text around it says so. `host` is the zone of times without one.
    ///
    /// ```
    /// use usage_ledger::Zone;
    /// use usage_ledger::exhaustion::{Stream, detect};
    /// let now = "2026-02-04T08:00:00Z".parse()?;
    /// let found = detect("copilot", Stream::Stderr, "HTTP 429 Too Many Requests\nRetry-After: 60").unwrap();
    /// assert_eq!(found.reset(now, Zone::UTC).unwrap().display, "resets in 1m");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reset(&self, now: Timestamp, host: Zone) -> Option<Reset> {
        let host = self.place.unwrap_or(Place::Zone(host));
        // Beside words about a quota, a number of seconds in a header is the time to its reset.
        let bare = if self.rule == "retry-after" { reset::BACK_OFF } else { i64::MAX };
        let near = reset::read(&self.line, now, host, bare);
        if near.as_ref().is_some_and(|reset| reset.at.is_some()) {
            return near;
        }
        let around = reset::read(&self.vicinity, now, host, bare);
        around.filter(|reset| near.is_none() || reset.at.is_some()).or(near)
    }
}

/// Looks for the surest sign that a provider's quota is used up.
///
/// The provider goes by its id or an alias; one that no rule names is treated as Claude Code is.
///
/// ```
/// use usage_ledger::exhaustion::{Stream, detect};
/// assert!(detect("gemini", Stream::Stderr, "429 RESOURCE_EXHAUSTED").is_some());
/// assert!(detect("claude", Stream::StdoutFailed, "rate limit exceeded").is_none());
/// assert!(detect("someone", Stream::Stderr, "rate limit exceeded").is_some());
/// ```
pub fn detect(provider: &str, stream: Stream, text: &str) -> Option<Exhaustion> {
    let resolved = ProviderId::resolve(&provider.trim().to_ascii_lowercase()).ok();
    let id = resolved.as_ref().map_or(table::OTHERS, ProviderId::as_str);
    if table::SILENT.contains(&id) {
        return None;
    }
    let named = table::RULES.iter().any(|rule| rule.trust(id).is_some());
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
            at: output.said_at(&place).and_then(|at| at.parse().ok()),
            line: line.to_owned(),
            vicinity: vicinity.to_owned(),
            place: table::place(id, compiled.rule.id),
        })
    })
}

/// What a finished run's two streams say together.
///
/// ```
/// use usage_ledger::exhaustion::{ScanVerdict, judge};
/// assert_eq!(judge("claude", None, None, 1), ScanVerdict::Unreliable);
/// assert_eq!(judge("claude", Some("done"), Some(""), 0), ScanVerdict::NotExhausted);
/// assert!(matches!(judge("claude", None, Some("rate limit exceeded"), 1), ScanVerdict::Exhausted(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanVerdict {
    /// The quota is used up.
    Exhausted(Exhaustion),
    /// Nothing says so.
    NotExhausted,
    /// Neither stream could be read, so nothing is known.
    Unreliable,
}

/// Judges a finished run by its streams, either of which may have been unreadable.
///
/// ```
/// use usage_ledger::exhaustion::{ScanVerdict, judge};
/// let stdout = "Error: 429, your quota has been reached";
/// assert!(matches!(judge("haze", Some(stdout), None, 1), ScanVerdict::Exhausted(_)));
/// assert_eq!(judge("haze", Some(stdout), None, 0), ScanVerdict::NotExhausted);
/// ```
pub fn judge(provider: &str, stdout: Option<&str>, stderr: Option<&str>, exit_code: i32) -> ScanVerdict {
    if stdout.is_none() && stderr.is_none() {
        return ScanVerdict::Unreliable;
    }
    let output = if exit_code == 0 { Stream::StdoutOk } else { Stream::StdoutFailed };
    let errors = stderr.and_then(|text| detect(provider, Stream::Stderr, text));
    errors
        .or_else(|| stdout.and_then(|text| detect(provider, output, text)))
        .map_or(ScanVerdict::NotExhausted, ScanVerdict::Exhausted)
}
