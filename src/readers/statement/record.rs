//! The records of a statement: rows of CSV, or the innermost objects of JSON with the values of the objects around them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::invariant::bug;
use crate::model::spreadsheet::undone;

/// One record: its line in the file, and its values by column. A column of JSON is a path: `usage.output_tokens`.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub line: u64,
    pub values: BTreeMap<String, String>,
}

/// All records of a file, with every column that occurs and the line of its first occurrence.
#[derive(Debug)]
pub(super) struct Records {
    pub rows: Vec<Record>,
    pub columns: BTreeMap<String, u64>,
    /// The line of the last page, if it states that further pages exist.
    pub more_pages: Option<u64>,
}

/// Reads CSV or JSON. A byte order mark and empty rows are ignored.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Records> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::invalid(format!("{name}: not UTF-8 at byte {}: export it as UTF-8", e.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) { json(name, text) } else { csv(name, text) }
}

fn csv(name: &str, text: &str) -> Result<Records> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let fault = |e: csv::Error| {
        let line = e.position().map_or(1, csv::Position::line);
        Error::invalid(format!("{name}:{line}: {e}: export the file again"))
    };
    let header: Vec<String> = reader.headers().map_err(fault)?.iter().map(|column| column.trim().to_owned()).collect();
    let mut columns = BTreeMap::new();
    for column in &header {
        if columns.insert(column.clone(), 1).is_some() {
            return Err(Error::invalid(format!("{name}:1: column `{column}` occurs twice: export the file again")));
        }
    }
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(fault)?;
        if row.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        // An export of this program, among others, marks what begins like a formula.
        let values = header.iter().cloned().zip(row.iter().map(|cell| undone(cell.trim()).to_owned())).collect();
        rows.push(Record { line: row.position().map_or(1, csv::Position::line), values });
    }
    Ok(Records { rows, columns, more_pages: None })
}

/// The fields of an object. A name that occurs twice is an error: one of its values would be lost.
struct JsonFields<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = BTreeMap<String, &'de RawValue>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("`{name}` occurs twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

/// Arrays that contain records, or objects around records.
const LISTS: [&str; 6] = ["data", "results", "usageEvents", "usageEventsDisplay", "logs", "model_breakdown"];

struct Walk<'a> {
    name: &'a str,
    text: &'a str,
    records: Records,
}

/// Reads one document, several in a row, or a list of pages. Each page of an API is a document.
fn json(name: &str, text: &str) -> Result<Records> {
    let records = Records { rows: Vec::new(), columns: BTreeMap::new(), more_pages: None };
    let mut walk = Walk { name, text, records };
    for root in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let root =
            root.map_err(|e| Error::invalid(format!("{name}:{}: not JSON ({e}): export the file again", e.line())))?;
        walk.document(root)?;
    }
    Ok(walk.records)
}

/// The fields of a page that tell it from a record.
#[derive(serde::Deserialize)]
struct Page {
    has_more: Option<bool>,
    next_page: Option<serde::de::IgnoredAny>,
}

impl<'a> Walk<'a> {
    /// The line of a value, which borrows from the text.
    fn line(&self, value: &RawValue) -> Result<u64> {
        let offset = (value.get().as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        let before = offset.and_then(|offset| self.text.as_bytes().get(..offset));
        let before = before.ok_or_else(|| bug!("a value of {} does not borrow from its text", self.name))?;
        Ok(1 + memchr::memchr_iter(b'\n', before).count() as u64)
    }

    fn parse<T: serde::Deserialize<'a>>(&self, value: &'a RawValue) -> Result<T> {
        let line = self.line(value)?;
        serde_json::from_str(value.get())
            .map_err(|e| Error::invalid(format!("{}:{line}: unreadable ({e}): export the file again", self.name)))
    }

    /// Visits a document: a page, a list of pages, or a list of records.
    fn document(&mut self, root: &'a RawValue) -> Result<()> {
        if !root.get().starts_with('[') {
            return self.page(root);
        }
        let items: Vec<&'a RawValue> = self.parse(root)?;
        for item in items {
            let page = serde_json::from_str::<Page>(item.get());
            if page.is_ok_and(|page| page.has_more.is_some() || page.next_page.is_some()) {
                self.page(item)?;
            } else {
                self.value(item, &BTreeMap::new(), true)?;
            }
        }
        Ok(())
    }

    fn page(&mut self, page: &'a RawValue) -> Result<()> {
        let has_more = serde_json::from_str::<Page>(page.get()).is_ok_and(|page| page.has_more == Some(true));
        self.records.more_pages = if has_more { Some(self.line(page)?) } else { None };
        self.value(page, &BTreeMap::new(), false)
    }

    /// Visits a list of records, or one object with such a list. `around` has the values of outer objects.
    fn value(&mut self, value: &'a RawValue, around: &BTreeMap<String, String>, inner: bool) -> Result<()> {
        if value.get().starts_with('[') {
            let items: Vec<&'a RawValue> = self.parse(value)?;
            // A bucket without results is a record of its time alone.
            if items.is_empty() && inner && !around.is_empty() {
                return self.push(value, around.clone());
            }
            for item in items {
                self.value(item, around, true)?;
            }
            return Ok(());
        }
        let JsonFields(mut fields) = self.parse(value)?;
        let list = LISTS.iter().find(|list| {
            let held = fields.get(**list).map(|held| held.get());
            held.is_some_and(|held| held.starts_with('[') || (!inner && held.starts_with('{')))
        });
        let held = list.and_then(|list| fields.remove(*list));
        let mut values = around.clone();
        // The values of the outermost object of a list describe the page, not its records.
        if inner || held.is_none() {
            for (name, field) in fields {
                self.flatten(&name, field, &mut values)?;
            }
        }
        if let Some(held) = held {
            return self.value(held, &values, inner || held.get().starts_with('{'));
        }
        self.push(value, values)
    }

    fn push(&mut self, value: &'a RawValue, values: BTreeMap<String, String>) -> Result<()> {
        let line = self.line(value)?;
        for column in values.keys() {
            self.records.columns.entry(column.clone()).or_insert(line);
        }
        self.records.rows.push(Record { line, values });
        Ok(())
    }

    fn flatten(&self, name: &str, value: &'a RawValue, values: &mut BTreeMap<String, String>) -> Result<()> {
        match value.get().as_bytes().first() {
            Some(b'{') => {
                for (inner, field) in self.parse::<JsonFields<'a>>(value)?.0 {
                    self.flatten(&format!("{name}.{inner}"), field, values)?;
                }
            }
            Some(b'"') => {
                let text: String = self.parse(value)?;
                values.insert(name.to_owned(), text);
            }
            Some(b'n') => {
                values.insert(name.to_owned(), String::new());
            }
            _ => {
                values.insert(name.to_owned(), value.get().to_owned());
            }
        }
        Ok(())
    }
}
