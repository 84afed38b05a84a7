//! Statements of providers: exports of usage or costs for a period. One file per source.
//!
//! A source is recognised by the columns of its file, never by the file's name. A column that the source does not
//! define is an error, because it may change the meaning of the others.

mod anthropic;
mod aws_cur;
mod cursor;
mod field;
mod focus;
mod github;
mod litellm;
mod openai;
mod openrouter;
#[cfg(feature = "parquet")]
mod parquet;
mod record;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use record::Record;

/// A set of token classes that a statement counts together, such as visible and reasoning output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Input,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
    /// Cache writes of any lifetime.
    CacheWrites,
    /// Visible output and reasoning.
    Output,
    /// All input classes.
    Prompt,
}

impl Class {
    /// Every class.
    pub(crate) const ALL: [Self; 7] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::CacheWrites,
        Self::Output,
        Self::Prompt,
    ];

    /// The token classes of the set.
    pub(crate) const fn parts(self) -> &'static [TokenClass] {
        use TokenClass as T;
        match self {
            Self::Input => &[T::Input],
            Self::CacheRead => &[T::CacheRead],
            Self::CacheWrite5m => &[T::CacheWrite5m],
            Self::CacheWrite1h => &[T::CacheWrite1h],
            Self::CacheWrites => &[T::CacheWrite5m, T::CacheWrite1h, T::CacheWrite],
            Self::Output => &[T::Output, T::Reasoning],
            Self::Prompt => &[T::Input, T::CacheRead, T::CacheWrite5m, T::CacheWrite1h, T::CacheWrite],
        }
    }

    /// The name in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::CacheWrites => "cache_write",
            Self::Output => "output",
            Self::Prompt => "prompt",
        }
    }

    /// The class with a name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The class that a text names: `input, cached`, `cache-write-input-token-count`, `ephemeral_5m_input_tokens`.
    fn named(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has = |part: &str| text.contains(part);
        Some(if has("cache") && (has("write") || has("creation")) || has("ephemeral") {
            if has("5m") {
                Self::CacheWrite5m
            } else if has("1h") {
                Self::CacheWrite1h
            } else {
                Self::CacheWrites
            }
        } else if has("uncached") {
            Self::Input
        } else if has("cache") {
            Self::CacheRead
        } else if has("outp") || has("completion") {
            Self::Output
        } else if has("inp") || has("prompt") {
            Self::Input
        } else {
            return None;
        })
    }
}

/// A name that a row of a statement has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Account,
    Context,
    Geography,
    Id,
    Key,
    KeyId,
    Model,
    Organisation,
    Provider,
    Speed,
    Tier,
    User,
    Workspace,
}

impl Name {
    /// Every kind of name.
    const ALL: [Self; 13] = [
        Self::Account,
        Self::Context,
        Self::Geography,
        Self::Id,
        Self::Key,
        Self::KeyId,
        Self::Model,
        Self::Organisation,
        Self::Provider,
        Self::Speed,
        Self::Tier,
        Self::User,
        Self::Workspace,
    ];

    /// The word in events.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Context => "context",
            Self::Geography => "geography",
            Self::Id => "id",
            Self::Key => "key",
            Self::KeyId => "key_id",
            Self::Model => "model",
            Self::Organisation => "organisation",
            Self::Provider => "provider",
            Self::Speed => "speed",
            Self::Tier => "tier",
            Self::User => "user",
            Self::Workspace => "workspace",
        }
    }

    /// The name with a word of events.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word() == word)
    }
}

/// What a column of a source contains.
#[derive(Clone, Copy, Debug)]
enum Role {
    Start,
    End,
    Name(Name),
    Count(Class),
    /// A count that the source's own rule combines with others.
    Raw(&'static str),
    /// A text that the source's own rule reads.
    Text(&'static str),
    Requests,
    /// Money in dollars, or in parts of a dollar.
    Cost(u32),
    ListCost(u32),
    Currency,
    Ignored,
    /// A value makes the row unusable, for this reason.
    Refused(&'static str),
}

/// The definition of a source: its columns, and the columns that identify it.
struct StatementSource {
    name: &'static str,
    provider: Option<&'static str>,
    signature: &'static [&'static str],
    /// A name that ends in `*` stands for all columns with that beginning.
    columns: &'static [(&'static str, Role)],
    /// The rounding step of an amount, in 10^-12 dollars; 0 for exact amounts.
    step: i128,
    /// Combines the values of a row. `false` leaves the row out, because it bills something else.
    finish: fn(&mut Draft) -> std::result::Result<bool, String>,
}

/// A row while it is read.
#[derive(Debug, Default)]
struct Draft {
    row: StatementRow,
    raw: BTreeMap<&'static str, u64>,
    texts: BTreeMap<&'static str, String>,
}

impl Draft {
    /// Compares the sum of the counts with a column that states it. A difference means that a column has another meaning.
    fn expect_total(&self, column: &str) -> std::result::Result<(), String> {
        let Some(total) = self.raw.get("total") else { return Ok(()) };
        let sum: u128 = self.row.counts.values().map(|count| u128::from(*count)).sum();
        if u128::from(*total) == sum {
            return Ok(());
        }
        Err(format!(
            "column `{column}`: {total} is not the sum {sum} of the counts: the meaning of a column changed; update \
             usage-ledger"
        ))
    }
}

/// One row of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatementRow {
    pub line: u64,
    pub start: Timestamp,
    pub end: Timestamp,
    pub names: BTreeMap<Name, String>,
    pub counts: BTreeMap<Class, u64>,
    pub requests: Option<u64>,
    pub cost: Option<Usd>,
    pub list_cost: Option<Usd>,
    /// How many lines the amount is a sum of. Each of them may be rounded.
    pub amounts: u64,
}

/// What a record of the file is.
enum StatementRecord {
    Usage(StatementRow),
    /// A bucket without usage. Its time belongs to the period.
    Empty(Timestamp, Timestamp),
    /// It bills something other than tokens.
    Other,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub source: String,
    /// The provider of rows that name none.
    pub provider: Option<String>,
    /// The period that all its buckets cover, also those without usage.
    pub period: Option<(Timestamp, Timestamp)>,
    /// The parts of the period that a later statement replaces.
    pub superseded: Vec<(Timestamp, Timestamp)>,
    pub rows: Vec<StatementRow>,
    /// Lines that repeat an earlier row value for value. They are not counted again.
    pub duplicates: Vec<u64>,
    /// How many rows bill something other than tokens.
    pub other_rows: u64,
    pub step: Usd,
}

const SOURCES: [&StatementSource; 17] = [
    &anthropic::USAGE_CSV,
    &anthropic::COST_CSV,
    &anthropic::ACTORS,
    &anthropic::USAGE_JSON,
    &anthropic::COST_JSON,
    &openai::USAGE,
    &openai::COST_CSV,
    &openai::COST_JSON,
    &github::USAGE,
    &cursor::CSV,
    &cursor::JSON,
    &openrouter::CSV,
    &openrouter::ACTIVITY,
    &openrouter::GENERATION,
    &aws_cur::CUR,
    &focus::FOCUS,
    &litellm::SPEND_LOGS,
];

impl StatementSource {
    fn role(&self, column: &str) -> Option<Role> {
        let is = |name: &str| name.strip_suffix('*').map_or(name == column, |begin| column.starts_with(begin));
        self.columns.iter().find(|(name, _)| is(name)).map(|(_, role)| *role)
    }

    fn row(&self, record: &Record) -> std::result::Result<StatementRecord, String> {
        let mut draft =
            Draft { row: StatementRow { line: record.line, ..StatementRow::default() }, ..Draft::default() };
        let (mut start, mut end) = (None, None);
        for (column, text) in &record.values {
            let Some(role) = self.role(column) else { continue };
            if field::is_absent(text) {
                continue;
            }
            let named = |fault: String| format!("column `{column}`: {fault}");
            match role {
                Role::Start => start = Some((text.clone(), field::time(text).map_err(named)?)),
                Role::End => end = Some(field::time(text).map_err(named)?),
                Role::Name(name) => drop(draft.row.names.insert(name, text.clone())),
                Role::Count(class) => {
                    let sum = draft.row.counts.entry(class).or_default();
                    let count = field::count(text, 1).map_err(named)?;
                    *sum =
                        sum.checked_add(count).ok_or_else(|| named(format!("{sum} + {count} tokens are too many")))?;
                }
                Role::Raw(name) => drop(draft.raw.insert(name, field::count(text, 1).map_err(named)?)),
                Role::Text(name) => drop(draft.texts.insert(name, text.clone())),
                Role::Requests => draft.row.requests = Some(field::count(text, 1).map_err(named)?),
                Role::Cost(parts) => draft.row.cost = Some(field::money(text, parts).map_err(named)?),
                Role::ListCost(parts) => draft.row.list_cost = Some(field::money(text, parts).map_err(named)?),
                Role::Currency if text.eq_ignore_ascii_case("usd") => {}
                Role::Currency => return Err(named(format!("`{text}` is not USD: export the statement in USD"))),
                Role::Ignored => {}
                Role::Refused(why) => return Err(named(why.to_owned())),
            }
        }
        if !(self.finish)(&mut draft)? {
            return Ok(StatementRecord::Other);
        }
        let mut row = draft.row;
        let is_empty =
            row.counts.values().all(|count| *count == 0) && row.cost.is_none_or(|cost| cost == Usd::default());
        let Some((text, at)) = start else {
            return if is_empty {
                Ok(StatementRecord::Other)
            } else {
                Err("the row has no time: export the file again".to_owned())
            };
        };
        row.start = at;
        row.end = match end {
            Some(end) if end < at => return Err(format!("the row ends at {end}, before it starts at {at}")),
            Some(end) if end > at => end,
            _ => field::end_of(&text, at),
        };
        row.amounts = u64::from(row.cost.is_some());
        Ok(if is_empty { StatementRecord::Empty(row.start, row.end) } else { StatementRecord::Usage(row) })
    }
}

/// Reads the records of a file that is not packed.
fn records(name: &str, bytes: &[u8]) -> Result<record::Records> {
    if !bytes.starts_with(b"PAR1") {
        return record::read(name, bytes);
    }
    #[cfg(feature = "parquet")]
    return parquet::read(name, bytes);
    #[cfg(not(feature = "parquet"))]
    Err(Error::invalid(format!(
        "{name}: this build cannot read Parquet: export the statement as CSV, or build with the feature `parquet`"
    )))
}

/// Reads a statement.
///
/// # Errors
/// [`Error::Invalid`] with the file, the line and the column.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Statement> {
    let records = records(name, &unpack::unpacked(name, bytes)?)?;
    let has = |column: &&'static str| column.split('|').any(|column| records.columns.contains_key(column));
    let source = SOURCES.iter().find(|source| source.signature.iter().all(has)).ok_or_else(|| {
        let columns: Vec<&str> = records.columns.keys().take(12).map(String::as_str).collect();
        Error::invalid(format!(
            "{name}:1: no known statement has these columns ({}): docs/bill.md lists the exports that can be read",
            columns.join(", ")
        ))
    })?;
    if let Some((column, line)) = records.columns.iter().find(|(column, _)| source.role(column).is_none()) {
        return Err(Error::invalid(format!(
            "{name}:{line}: column `{column}` is unknown in {}: its meaning may change the others; export without it, \
             or update usage-ledger",
            source.name
        )));
    }
    let mut statement = Statement {
        source: source.name.to_owned(),
        provider: source.provider.map(str::to_owned),
        period: None,
        superseded: Vec::new(),
        rows: Vec::new(),
        duplicates: Vec::new(),
        other_rows: 0,
        step: Usd::from_picos(source.step),
    };
    let mut seen = BTreeSet::new();
    for record in &records.rows {
        let row = source.row(record).map_err(|fault| Error::invalid(format!("{name}:{}: {fault}", record.line)))?;
        let (start, end) = match row {
            StatementRecord::Other => {
                statement.other_rows += 1;
                continue;
            }
            StatementRecord::Empty(start, end) => (start, end),
            StatementRecord::Usage(row) => {
                let times = (row.start, row.end);
                if seen.insert(&record.values) {
                    statement.rows.push(row);
                } else {
                    statement.duplicates.push(record.line);
                }
                times
            }
        };
        let (first, last) = statement.period.unwrap_or((start, end));
        statement.period = Some((first.min(start), last.max(end)));
    }
    Ok(statement)
}
