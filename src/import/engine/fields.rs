//! Lenient access to fields of JSON documents and database rows: names, counts, times and costs.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::{self, Refusal, RowAction};
use crate::model::event::{EventData, Raw, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::readers::normalise::Normalised;
use crate::readers::normalise::logged::{Field, Logged};

/// Parses a document. A partial one is an error, because an agent may be writing it.
pub(in crate::import) fn parse(text: &[u8]) -> Result<Value, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    serde_json::from_slice(text).map_err(|error| jsonl::refusal(&error))
}

/// Returns the text of a field that is neither absent nor empty.
pub(in crate::import) fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str().map(str::trim).and_then(jsonl::name)
}

/// Returns a count, if there is one. A negative number is treated as absent and left to the normaliser, which flags it.
/// So the other counts of the call are kept.
pub(in crate::import) fn count(object: &Value, name: &str) -> Result<Option<i64>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().or_else(|| value.as_f64().and_then(whole)) {
            Some(count) => Ok(Some(count)),
            None => Err(format!("unknown shape: `{name}` is no whole number from 0")),
        },
    }
}

/// Returns a count with the name of its field, for [`Logged`].
pub(in crate::import) fn field(object: &Value, name: &'static str) -> Result<Field, String> {
    Ok((name, count(object, name)?))
}

/// Returns a number that is not negative.
pub(in crate::import) fn unsigned(object: &Value, name: &str) -> Result<Option<u64>, String> {
    let number = count(object, name)?.map(u64::try_from).transpose();
    number.map_err(|_| format!("unknown shape: `{name}` is no whole number from 0"))
}

/// Returns a count that may be written as a string, as some exporters do.
pub(in crate::import) fn worded_count(object: &Value, name: &str) -> Result<Option<i64>, String> {
    match object.get(name).and_then(Value::as_str) {
        Some(text) => {
            text.trim().parse().map(Some).map_err(|_| format!("unknown shape: `{name}` is no whole number from 0"))
        }
        None => count(object, name),
    }
}

/// Converts a whole number with a decimal point.
pub(in crate::import) fn whole(number: f64) -> Option<i64> {
    let exact = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    exact.then_some(number as i64)
}

/// Sets the cost that a log states. An amount that is unreadable or negative is left out, and the record says so.
pub(in crate::import) fn set_cost(record: &mut TokenRecord, name: &str, value: Option<&Value>) {
    record.cost = cost(value);
    if record.cost.is_none() && value.is_some_and(|value| !value.is_null()) {
        let note = format!("`{name}` is no amount from 0: left out");
        record.residual = Some(match record.residual.take() {
            Some(before) => format!("{before}; {note}"),
            None => note,
        });
    }
}

/// Returns an amount in US dollars. Anything else, and a negative amount, is treated as absent.
fn cost(value: Option<&Value>) -> Option<Usd> {
    let number = value?.as_number()?;
    number.as_f64().filter(|amount| *amount >= 0.0)?;
    number.to_string().parse().ok()
}

/// Parses a time: RFC 3339, seconds or milliseconds since 1970, or SQLite's format, which is UTC without an offset.
pub(in crate::import) fn time(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::String(text) => time_text(text),
        number => epoch(number.as_i64().or_else(|| number.as_f64().map(|float| float as i64))?),
    }
}

/// Parses a time given as text.
pub(in crate::import) fn time_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let text = text.replacen(' ', "T", 1);
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|at| at.and_utc().into())
}

/// Converts seconds or milliseconds since 1970. Values before 2001 are rejected.
pub(in crate::import) const fn epoch(number: i64) -> Option<Timestamp> {
    const FIRST: i64 = 1_000_000_000;
    match number {
        FIRST..100_000_000_000 => Some(Timestamp::from_millis(number * 1_000)),
        1_000_000_000_000..100_000_000_000_000 => Some(Timestamp::from_millis(number)),
        _ => None,
    }
}

/// Builds the record of a logged call, without keys and names.
pub(in crate::import) fn record(provider: &str, agent: &str, logged: Logged) -> Result<TokenRecord, String> {
    let Normalised { tokens, normaliser, quality, residual, cost, .. } =
        logged.settle().map_err(|error| format!("unknown shape: {error}"))?;
    let mut record = TokenRecord::new(provider, "").agent(agent);
    record.tokens = tokens;
    record.normaliser = Some(normaliser.into());
    record.quality = quality;
    record.residual = residual;
    record.cost = cost;
    Ok(record)
}

/// Keeps the counts as they are written in the log.
pub(in crate::import) fn raw(counts: &BTreeMap<&str, Value>) -> Option<Raw> {
    serde_json::to_string(counts).ok().and_then(|json| Raw::parse(&json).ok())
}

/// Keeps the members of a usage object that have one of these names, as they are written in the log.
pub(in crate::import) fn raw_of(object: &Value, names: &[&'static str]) -> Option<Raw> {
    raw(&names.iter().filter_map(|name| Some((*name, object.get(*name)?.clone()))).collect())
}

/// Validates a record, so that a record that the ledger would refuse is a skip and does not end the import.
pub(in crate::import) fn checked(at: Timestamp, record: TokenRecord) -> Result<ParsedCall, String> {
    record.validate().map_err(|error| format!("unknown shape: {error}"))?;
    Ok(ParsedCall { at, record })
}

/// Skip reasons with their number of occurrences.
#[derive(Debug, Default)]
pub(in crate::import) struct SkipTally(BTreeMap<&'static str, u64>);

impl SkipTally {
    pub fn add(&mut self, reason: &'static str) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// Returns one line for each reason: `requests without token counts: 3`.
    pub fn skipped(self) -> Vec<(u64, String)> {
        self.0.into_iter().map(|(reason, count)| (0, format!("{reason}: {count}"))).collect()
    }
}

/// Returns the names of the stored columns of a table, or none if it does not exist. An importer names only these columns in
/// its queries.
///
/// A view or a virtual table is an error because it may be endless. Generated columns are left out, because SQLite computes
/// them within one step, which no time limit ends. A column that takes the place of the row number may be generated too, and
/// is an error.
pub(in crate::import) fn columns(database: &rusqlite::Connection, table: &str) -> Result<Vec<String>, Refusal> {
    const ROW_NUMBERS: [&str; 3] = ["rowid", "oid", "_rowid_"];
    let refused = |what: &str| Refusal::Unreadable(format!("the database cannot be read: `{table}` {what}"));
    // SQLite also refuses a view, with a less helpful message.
    let kind = "SELECT iif(type = 'view', 'is a view, not a table', 'is a virtual table') FROM sqlite_schema \
                WHERE name = ?1 COLLATE NOCASE AND (type = 'view' OR sql LIKE 'CREATE VIRTUAL%')";
    let mut why = None;
    query::rows(database, kind, [table], &mut |row| {
        why = Some(row.get::<_, String>(0)?);
        Ok(RowAction::Row)
    })?;
    let mut names = Vec::new();
    query::rows(database, "SELECT name, hidden FROM pragma_table_xinfo(?1)", [table], &mut |row| {
        let name: String = row.get(0)?;
        match row.get::<_, i64>(1)? {
            _ if ROW_NUMBERS.iter().any(|number| name.eq_ignore_ascii_case(number)) => {
                why = Some(format!("has a column `{name}`"));
            }
            0 => names.push(name),
            // Only virtual tables have hidden columns.
            1 if why.is_none() => why = Some("is a virtual table".to_owned()),
            _ => {}
        }
        Ok(RowAction::Row)
    })?;
    why.map_or(Ok(names), |why| Err(refused(&why)))
}

/// Selects those of the wanted columns that the table has, without values above the limit. Fails with the name of the first
/// required column that is missing.
pub(in crate::import) fn choose(
    have: &[String],
    table: &str,
    needed: &[&str],
    optional: &[&str],
) -> Result<String, String> {
    let has = |name: &str| have.iter().any(|column| column == name);
    if let Some(missing) = needed.iter().find(|name| !has(name)) {
        return Err(format!("unknown shape: the table `{table}` has no column `{missing}`"));
    }
    let chosen = needed.iter().chain(optional.iter().filter(|name| has(name)));
    let bounded = |name: &&str| format!("{} AS {name}", query::bounded(&format!("{table}.{name}")));
    Ok(chosen.map(bounded).collect::<Vec<_>>().join(", "))
}

/// Visits the rows of a query as JSON objects. An error states why the query ended early; earlier rows were visited.
pub(in crate::import) fn visit(
    database: &rusqlite::Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    each: &mut dyn FnMut(Value),
) -> Result<(), Refusal> {
    query::rows(database, sql, parameters, &mut |row| {
        each(object(row)?);
        Ok(RowAction::Row)
    })
}

/// Converts a row to a JSON object. Blobs are read as text.
pub(in crate::import) fn object(row: &rusqlite::Row<'_>) -> rusqlite::Result<Value> {
    let mut object = serde_json::Map::new();
    for (at, name) in row.as_ref().column_names().enumerate() {
        let value = match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
        };
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_every_form_are_the_same_instant() {
        for value in [
            json!("2026-11-23T19:00:00Z"),
            json!("2026-11-23T20:00:00+01:00"),
            json!("2026-11-23 19:00:00"),
            json!("2026-11-23 20:00:00+01:00"),
            json!("2026-11-23T19:00:00.000"),
            json!(1_795_460_400_000_i64),
            json!(1_795_460_400),
        ] {
            assert_eq!(time(Some(&value)).unwrap().to_string(), "2026-11-23T19:00:00.000Z", "{value}");
        }
        for wrong in [json!("yesterday"), json!(12), json!(null), json!({})] {
            assert_eq!(time(Some(&wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn only_stored_columns_of_tables_are_read() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE plain (id, made AS (id + 1), kept AS (id + 1) STORED);
            CREATE TABLE numbered (id, Rowid AS (id + 1));
            CREATE TABLE named (id, oid);
            CREATE VIRTUAL TABLE searched USING fts5 (id);
            CREATE VIRTUAL TABLE placed USING rtree (id, low, high);
            CREATE VIEW seen AS SELECT id FROM plain;";
        database.execute_batch(tables).unwrap();
        assert_eq!(columns(&database, "plain").unwrap(), ["id"]);
        assert_eq!(columns(&database, "absent").unwrap(), [""; 0]);
        for (table, what) in [
            ("numbered", "`numbered` has a column `Rowid`"),
            ("named", "`named` has a column `oid`"),
            ("searched", "`searched` is a virtual table"),
            ("placed", "`placed` is a virtual table"),
            ("seen", "`seen` is a view"),
        ] {
            let why = columns(&database, table).unwrap_err();
            assert!(why.is_unreadable() && why.to_string().contains(what), "{why}");
        }
    }

    #[test]
    fn a_value_above_the_limit_hides_no_other_value() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let long = format!("zeroblob({} + 1)", query::LONGEST_VALUE);
        let table = format!(
            "CREATE TABLE t (id, input, name); INSERT INTO t VALUES (1, {long}, 'a'), (2, 5, {long}), (3, NULL, 'c');"
        );
        database.execute_batch(&table).unwrap();
        database.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH, query::LONGEST_VALUE).unwrap();
        let chosen = choose(&columns(&database, "t").unwrap(), "t", &["id"], &["input", "name", "none"]).unwrap();
        let mut seen = Vec::new();
        visit(&database, &format!("SELECT {chosen} FROM t ORDER BY rowid"), [], &mut |row| seen.push(row)).unwrap();
        let read: Vec<_> = seen.iter().map(|row| (count(row, "input").ok(), text(row, "name"))).collect();
        assert_eq!(read, [(None, Some("a")), (Some(Some(5)), None), (Some(None), Some("c"))]);
    }

    #[test]
    fn counts_are_whole_numbers_and_costs_are_not_negative() {
        let value = json!({"a": 3, "b": 3.0, "c": null, "d": "3", "e": -1, "f": 1.5, "cost": 0.0123, "debt": -1});
        assert_eq!(count(&value, "a"), Ok(Some(3)));
        assert_eq!(count(&value, "b"), Ok(Some(3)));
        assert_eq!(count(&value, "c"), Ok(None));
        assert_eq!(count(&value, "z"), Ok(None));
        assert_eq!(count(&value, "e"), Ok(Some(-1)));
        for wrong in ["d", "f"] {
            assert!(count(&value, wrong).is_err(), "{wrong}");
        }
        assert_eq!(cost(value.get("cost")).unwrap().to_string(), "0.0123");
        assert_eq!(cost(value.get("debt")), None);
        assert_eq!(cost(value.get("d")), None);
    }
}
