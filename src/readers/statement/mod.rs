//! Statements of providers: exports of usage or costs for a period. One file per source.
//!
//! A source is recognised by the columns of its file, never by the file's name. A column that the source does not
//! define is an error, because it may change the meaning of the others.

mod anthropic;
mod aws_cur;
mod class;
mod cursor;
#[cfg(test)]
mod export_tests;
mod field;
mod focus;
mod github;
mod litellm;
mod name;
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
use crate::model::tokens::Usd;
pub(crate) use class::Class;
pub(crate) use name::Name;
use record::Record;

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
    /// What stands for an absent name, if other rows of the file have a name of this kind.
    unnamed: &'static [(Name, &'static str)],
    /// Combines the values of a row. `false` leaves the row out, because it bills something else.
    finish: fn(&mut Draft) -> std::result::Result<bool, String>,
}

/// A row while it is read.
#[derive(Debug, Default)]
struct Draft {
    row: StatementRow,
    raw: BTreeMap<&'static str, u64>,
    /// Raw counts whose columns have no value in this row.
    absent: BTreeSet<&'static str>,
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
    /// The precision of the start, in milliseconds, of a row that states no end.
    pub precision: Option<i64>,
}

/// What a record of the file is.
enum StatementRecord {
    Usage(StatementRow),
    /// A bucket without usage. Its time belongs to the period.
    Empty(StatementRow),
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
    pub measures: Measures,
    /// The line of a page that states that further pages exist.
    pub more_pages: Option<u64>,
}

/// The model of rows that bill web searches.
pub(crate) const WEB_SEARCH: &str = "web search";

/// What the rows of a statement state. It includes rows that a later statement replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measures {
    pub classes: BTreeSet<Class>,
    /// Whether any row has an amount.
    pub has_money: bool,
    /// Whether any row names a model. Other statements sum all models.
    pub has_models: bool,
    /// Whether rows bill web searches apart from the model that made them.
    pub has_web_searches: bool,
}

impl Measures {
    pub fn of(rows: &[StatementRow]) -> Self {
        let mut measures = Self::default();
        for row in rows {
            let model = row.names.get(&Name::Model);
            measures.classes.extend(row.counts.keys());
            measures.has_money |= row.cost.is_some();
            measures.has_models |= model.is_some();
            measures.has_web_searches |= model.is_some_and(|model| model == WEB_SEARCH);
        }
        measures
    }
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

    /// Whether JSON has an object of this name, whose fields are columns. Null stands for it in a record without one.
    fn is_object(&self, column: &str) -> bool {
        let is_field = |name: &str| name.strip_prefix(column).is_some_and(|field| field.starts_with('.'));
        self.columns.iter().any(|(name, _)| is_field(name))
    }

    fn unknown_column(&self, column: &str) -> String {
        format!(
            "column `{column}` is unknown in {}: its meaning may change the others; export without it, or update \
             usage-ledger",
            self.name
        )
    }

    fn row(&self, record: &Record) -> std::result::Result<StatementRecord, String> {
        let mut draft =
            Draft { row: StatementRow { line: record.line, ..StatementRow::default() }, ..Draft::default() };
        let (mut start, mut end, mut has_currency) = (None, None, false);
        for (column, text) in &record.values {
            let Some(role) = self.role(column) else {
                if text.is_empty() {
                    continue;
                }
                return Err(self.unknown_column(column));
            };
            if field::is_absent(text) {
                if let Role::Raw(name) = role {
                    draft.absent.insert(name);
                }
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
                Role::Currency if text.eq_ignore_ascii_case("usd") => has_currency = true,
                Role::Currency => return Err(named(format!("`{text}` is not USD: export the statement in USD"))),
                Role::Ignored => {}
                Role::Refused(why) => return Err(named(why.to_owned())),
            }
        }
        if !(self.finish)(&mut draft)? {
            return Ok(StatementRecord::Other);
        }
        let mut row = draft.row;
        // FOCUS requires the column. Other exports may leave it out, but not its value.
        let needs = |column: &str| column == focus::CURRENCY || record.values.contains_key(column);
        let currency = self.columns.iter().find(|(name, role)| matches!(role, Role::Currency) && needs(name));
        let is_amount = row.cost.is_some_and(|cost| cost != Usd::default());
        if let Some((column, _)) = currency.filter(|_| is_amount && !has_currency) {
            return Err(format!(
                "column `{column}` is missing or empty, so the amount may be in another currency: export the \
                 statement with it"
            ));
        }
        for (kind, name) in &mut row.names {
            *name = kind.scrubbed(name).into_owned();
        }
        // An amount of 0 can be less than half a unit of a rounded statement, so its row counts.
        let has_no_amount = row.cost.is_none_or(|cost| cost == Usd::default() && self.step == 0);
        let is_empty = row.counts.values().all(|count| *count == 0) && has_no_amount;
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
            _ => {
                row.precision = Some(field::precision(&text, at));
                at
            }
        };
        row.amounts = u64::from(row.cost.is_some());
        Ok(if is_empty { StatementRecord::Empty(row) } else { StatementRecord::Usage(row) })
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

/// Columns of buckets without results.
const TIME_COLUMNS: [&str; 5] = ["object", "starting_at", "ending_at", "start_time", "end_time"];

/// The source of a file with these columns.
fn source_of(name: &str, columns: &BTreeMap<String, u64>) -> Result<&'static StatementSource> {
    if columns.is_empty() {
        return Err(Error::invalid(format!("{name} has no columns and no results: export a period with usage")));
    }
    let has = |column: &&'static str| column.split('|').any(|column| columns.contains_key(column));
    if let Some(source) = SOURCES.iter().find(|source| source.signature.iter().all(has)) {
        return match columns.iter().find(|(column, _)| source.role(column).is_none() && !source.is_object(column)) {
            None => Ok(source),
            Some((column, line)) => Err(Error::invalid(format!("{name}:{line}: {}", source.unknown_column(column)))),
        };
    }
    if columns.keys().all(|column| TIME_COLUMNS.contains(&column.as_str())) {
        return Err(Error::invalid(format!("{name}: no bucket has results: export a period with usage")));
    }
    let named: Vec<&str> = columns.keys().take(12).map(String::as_str).collect();
    Err(Error::invalid(format!(
        "{name}:1: no known statement has these columns ({}): docs/bill.md lists the exports that can be read",
        named.join(", ")
    )))
}

/// Reads a statement.
///
/// # Errors
/// [`Error::Invalid`] with the file, the line and the column.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Statement> {
    let records = records(name, &unpack::unpacked(name, bytes)?)?;
    let source = source_of(name, &records.columns)?;
    let mut statement = Statement {
        source: source.name.to_owned(),
        provider: source.provider.map(str::to_owned),
        period: None,
        superseded: Vec::new(),
        rows: Vec::new(),
        duplicates: Vec::new(),
        other_rows: 0,
        step: Usd::from_picos(source.step),
        measures: Measures::default(),
        more_pages: records.more_pages,
    };
    let mut seen = BTreeSet::new();
    let mut empty = Vec::new();
    for record in &records.rows {
        let row = source.row(record).map_err(|fault| Error::invalid(format!("{name}:{}: {fault}", record.line)))?;
        match row {
            StatementRecord::Other => statement.other_rows += 1,
            StatementRecord::Empty(row) => empty.push(row),
            StatementRecord::Usage(row) if seen.insert(&record.values) => statement.rows.push(row),
            StatementRecord::Usage(_) => statement.duplicates.push(record.line),
        }
    }
    set_ends(&mut statement.rows, &mut empty);
    for row in statement.rows.iter().chain(&empty) {
        let (first, last) = statement.period.unwrap_or((row.start, row.end));
        statement.period = Some((first.min(row.start), last.max(row.end)));
    }
    for (kind, word) in source.unnamed {
        // If no row has such a name, the export does not separate them.
        if statement.rows.iter().any(|row| row.names.contains_key(kind)) {
            for row in &mut statement.rows {
                row.names.entry(*kind).or_insert_with(|| (*word).to_owned());
            }
        }
    }
    statement.measures = Measures::of(&statement.rows);
    Ok(statement)
}

/// Sets the ends of rows that state none. The finest start of the file shows the length of its buckets: `10:00` is an
/// hour, unless another row starts at `10:01`.
fn set_ends(rows: &mut [StatementRow], empty: &mut [StatementRow]) {
    let length = rows.iter().chain(empty.iter()).filter_map(|row| row.precision).min();
    for row in rows.iter_mut().chain(empty) {
        if let Some(length) = length.filter(|_| row.precision.take().is_some()) {
            row.end = row.start.plus(length);
        }
    }
}
