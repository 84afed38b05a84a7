//! The definition of a rule: what it matches, and on which streams of which agents it is trusted.

/// The origin of a text, which determines how far it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The error stream, which the agent's runtime writes.
    Stderr,
    /// The error stream of a run with exit code 0. Some agents print the whole conversation there, so a line counts only
    /// if it is not about a message.
    StderrOk,
    /// The output of a run with exit code 0. The model wrote it, unless all of it is a message of the client.
    StdoutOk,
    /// The output of a failed run: first what the model wrote, then the failure.
    StdoutFailed,
    /// Output that others may influence. Only what a runtime reports itself counts: an event, or the last line.
    Transcript,
}

/// On which streams of a provider's agent a rule is trusted. Each is trusted on the error stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// On the error stream only.
    Stderr,
    /// Also on the output of a failed run.
    Failed,
    /// Also on a line of the output of a failed run that contains one of these words (a regular expression).
    FailedBeside(&'static str),
    /// The same, only if the line is not JSON: events have separate rules.
    FailedPlainBeside(&'static str),
    /// On every stream, unless the words are in quotation marks.
    Anywhere,
}

/// What a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextPattern {
    /// A case-insensitive regular expression; `^` and `$` match at line ends.
    Words(&'static str),
    /// A line of JSON that is a `rate_limit_event` with a refusing `status` of its own.
    RefusedEvent,
    /// A line that names `rate_limit_event`, in a text that names a refusal on any line.
    RefusalNearEvent,
    /// A failure event of the client, whole or truncated, that matches the regular expression.
    ErrorEvent(&'static str),
}

/// The providers a rule applies to, and how far it is trusted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Ids of providers; `*` denotes every provider without rules.
    pub providers: &'static [&'static str],
    /// The trusted streams.
    pub trust: Trust,
}

/// One form of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExhaustionRule {
    /// Its stable name.
    pub id: &'static str,
    /// The day on which a real message of this kind was last seen.
    pub seen: &'static str,
    /// The matched text.
    pub pattern: TextPattern,
    /// Whether only a runtime reports this about itself. Such a rule also counts in text that others may influence.
    pub runtime: bool,
    /// The providers it applies to.
    pub grants: &'static [Grant],
}

impl ExhaustionRule {
    /// How far the rule is trusted for a provider of the table; `None` if it does not apply.
    pub fn trust(&self, provider: &str) -> Option<Trust> {
        self.grants.iter().find(|grant| grant.providers.contains(&provider)).map(|grant| grant.trust)
    }
}
