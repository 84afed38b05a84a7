//! What a rule is: words or an event, and whose word on which stream counts.

/// Where a text comes from, which says how far it is trusted.
///
/// ```
/// use usage_ledger::exhaustion::{Stream, detect};
/// let quoted = "In the report we quoted 'out of extra usage' twice.";
/// assert!(detect("claude", Stream::Stderr, quoted).is_some());
/// assert!(detect("claude", Stream::StdoutOk, quoted).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The error stream: an agent's runtime writes it, not the model.
    Stderr,
    /// The output of a run that ended with exit code 0: what the model said, unless the whole of it is the client's message.
    StdoutOk,
    /// The output of a run that failed: what the model said, then what stopped it.
    StdoutFailed,
    /// Output that others may have shaped: only what a runtime emits about itself counts, as an event or as the last line.
    Transcript,
}

/// How far a rule is trusted on the streams of a provider's agent. On its error stream every rule of its own is.
///
/// ```
/// use usage_ledger::exhaustion::{Trust, rules};
/// let rate_limit = rules().iter().find(|rule| rule.id == "rate-limit").unwrap();
/// assert_eq!(rate_limit.trust("anthropic"), Some(Trust::Stderr));
/// assert_eq!(rate_limit.trust("fake"), None); // not a rule for it
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// On its error stream alone.
    Stderr,
    /// There, and on the output of a run that failed.
    Failed,
    /// There, and on a line of such an output that also holds one of these words (a regular expression).
    FailedBeside(&'static str),
    /// The same, where the line is not JSON: events have rules of their own.
    FailedPlainBeside(&'static str),
    /// On every stream, unless the words stand in quotation marks.
    Anywhere,
}

/// What a rule looks for.
///
/// ```
/// use usage_ledger::exhaustion::{TextPattern, rules};
/// assert!(rules().iter().any(|rule| rule.pattern == TextPattern::RefusedEvent));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextPattern {
    /// A regular expression, whatever the case of its letters; `^` and `$` are the ends of a line.
    Words(&'static str),
    /// A line of JSON that is a `rate_limit_event` whose own `status` is a refusal.
    RefusedEvent,
    /// A line that names `rate_limit_event`, in a text that names a refusal, on whichever line.
    RefusalNearEvent,
    /// An event in which the client reports a failure, whole or cut off, that matches the regular expression.
    ErrorEvent(&'static str),
}

/// Whose agents a rule holds for, and how far.
///
/// ```
/// use usage_ledger::exhaustion::rules;
/// assert!(rules().iter().all(|rule| rule.grants.iter().all(|grant| !grant.providers.is_empty())));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Ids of providers; `*` is every one that no rule names.
    pub providers: &'static [&'static str],
    /// How far.
    pub trust: Trust,
}

/// One way to say that a quota is used up.
///
/// ```
/// use usage_ledger::exhaustion::rules;
/// let first = rules().first().unwrap();
/// assert_eq!((first.id, first.runtime), ("rate-limit-event", true));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExhaustionRule {
    /// Its name, which stays.
    pub id: &'static str,
    /// The day on which a real message of this kind was seen last.
    pub seen: &'static str,
    /// What it looks for.
    pub pattern: TextPattern,
    /// Whether only a runtime says so about itself, so that it counts even where others may have shaped the text.
    pub runtime: bool,
    /// Whose agents it holds for.
    pub grants: &'static [Grant],
}

impl ExhaustionRule {
    /// How far the rule is trusted for a provider of the table, if it holds for it at all.
    ///
    /// ```
    /// use usage_ledger::exhaustion::{Trust, rules};
    /// let spend_cap = rules().iter().find(|rule| rule.id == "codex-spend-cap").unwrap();
    /// assert_eq!(spend_cap.trust("openai"), Some(Trust::Failed));
    /// assert_eq!(spend_cap.trust("anthropic"), None);
    /// ```
    pub fn trust(&self, provider: &str) -> Option<Trust> {
        self.grants.iter().find(|grant| grant.providers.contains(&provider)).map(|grant| grant.trust)
    }
}
