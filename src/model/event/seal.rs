use serde::{Deserialize, Serialize};

use super::event_data::EventData;
use super::{NameKind, Position, SealedRows, Subject};
use crate::model::error::Result;
use crate::model::humanize::number::counted;
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};

/// A statement of a provider that a seal names.
///
/// ```
/// use usage_ledger::event::NamedStatement;
/// let named: NamedStatement = serde_json::from_str(r#"{"position":4,"provider":"openai","file":"ab"}"#).unwrap();
/// assert_eq!(named.position.get(), 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedStatement {
    /// The position of its first event.
    pub position: Position,
    /// The provider.
    pub provider: String,
    /// The SHA-256 of its file, in hex.
    pub file: String,
}

impl NamedStatement {
    /// Names a statement.
    pub(crate) const fn new(position: Position, provider: String, file: String) -> Self {
        Self { position, provider, file }
    }
}

/// A period was closed: its totals, the events they cover, and a signed statement.
///
/// Later events of the period are accepted and shown as a restatement beside the sealed totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeriodSealed {
    /// The period's first instant; `None` means that it has no beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The first instant after the period.
    pub until: Timestamp,
    /// The first position that no earlier seal covers.
    pub first: Position,
    /// The last position that the seal covers.
    pub size: Position,
    /// The root of the tree at that position, in hex.
    pub root: String,
    /// Calls in the period.
    pub requests: u64,
    /// Their tokens, in the order of [`TokenClass::ALL`].
    pub tokens: [u128; 7],
    /// The sum of the reported costs, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_usd: Option<Usd>,
    /// The statements of providers that the period was compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<NamedStatement>,
    /// The blinded rows, so that one of them can be proved alone. Seals of earlier builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<SealedRows>,
    /// The same as a signed note: a checkpoint with extension lines for the period and its totals.
    pub statement: String,
}

impl PeriodSealed {
    /// The period as text: `from the beginning until 2026-06-01T00:00:00.000Z`.
    pub(crate) fn period(&self) -> String {
        let since = self.since.map_or_else(|| "the beginning".to_owned(), |since| since.to_string());
        format!("from {since} until {}", self.until)
    }

    /// The extension lines of the statement.
    ///
    /// ```
    /// # use usage_ledger::event::PeriodSealed;
    /// let sealed: PeriodSealed = serde_json::from_str(r#"{"until":"2026-06-01T00:00:00Z","first":1,"size":9,
    ///     "root":"ab","requests":4,"tokens":[12,0,0,0,0,30,0],"statement":""}"#).unwrap();
    /// assert_eq!(sealed.lines(), "seal from the beginning until 2026-06-01T00:00:00.000Z\npositions 1 to 9\n\
    ///     requests 4\ntokens input 12, output 30\n");
    /// ```
    pub fn lines(&self) -> String {
        let counts: Vec<String> = TokenClass::ALL
            .iter()
            .zip(self.tokens)
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{} {count}", class.name()))
            .collect();
        let tokens = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        let cost = self.reported_usd.map(|cost| format!("reported {cost} USD\n")).unwrap_or_default();
        let line = |one: &NamedStatement| format!("statement {} {} {}\n", one.position, one.provider, one.file);
        let statements: String = self.statements.iter().map(line).collect();
        let rows = self.rows.as_ref().map(SealedRows::lines).unwrap_or_default();
        format!(
            "seal {}\npositions {} to {}\nrequests {}\ntokens {tokens}\n{cost}{statements}{rows}",
            self.period(),
            self.first,
            self.size,
            self.requests
        )
    }
}

impl EventData for PeriodSealed {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        Err("it is a signed statement of totals")
    }

    fn summary(&self) -> String {
        format!(
            "until {}, up to position {}: {}, {}",
            self.until,
            self.size,
            counted(self.requests, "request"),
            counted(self.tokens.iter().sum::<u128>(), "token")
        )
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}
