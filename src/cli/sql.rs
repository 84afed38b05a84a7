//! `sql`: answers an SQL query over read-only tables.

use std::io::{Read, Write};

use clap::Args;
use comfy_table::CellAlignment;
use rusqlite::types::Value;
use serde_json::{Map, Value as Json};

use super::context::Context;
use crate::export::text_cell;
use crate::model::error::{Error, Result};
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer, counted, table, write_table};
use crate::sql::{RowVisitor, TABLES, query};

/// Query the calls, switches, windows, observations, decisions, prices and events in SQL
///
/// The tables are read-only and hold the ledger as currently corrected, or as of --as-of. The query is one SELECT statement of
/// SQLite. Times are UTC texts, which SQLite's date functions read. Amounts are exact decimal texts: `sum_usd(usd)` adds them exactly.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger sql 'select provider, sum(total) from calls group by 1'\n  \
    usage-ledger sql --csv 'select date(occurred_at) day, sum_usd(usd) usd from calls group by 1'\n  \
    usage-ledger sql --tables")]
pub(crate) struct SqlArgs {
    /// The SELECT statement; - reads it from stdin
    #[arg(value_name = "QUERY", required_unless_present = "tables")]
    query: Option<String>,
    /// List the tables and their columns
    #[arg(long, conflicts_with_all = ["query", "csv"])]
    tables: bool,
    /// Print comma-separated values
    #[arg(long)]
    csv: bool,
}

impl SqlArgs {
    pub const fn is_csv(&self) -> bool {
        self.csv
    }
}

pub(crate) fn run(args: &SqlArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(given) = args.query.as_deref() else { return list(context, out) };
    let mut statement = given.to_owned();
    if given == "-" {
        statement.clear();
        std::io::stdin().read_to_string(&mut statement)?;
    }
    if args.csv && context.json {
        return Err(Failure::usage("give --csv or --json, not both"));
    }
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    if args.csv {
        let mut lines = CsvRows(csv::Writer::from_writer(out));
        query(&snapshot, now, &statement, &mut lines)?;
        return Ok(lines.0.flush()?);
    }
    let mut rows = CollectedRows::default();
    query(&snapshot, now, &statement, &mut rows)?;
    if context.json { rows.write_json(out) } else { rows.write_table(out) }
}

/// Prints the tables with their columns.
fn list(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if context.json {
        let tables = TABLES.iter().map(|table| {
            let columns = table.columns.iter().map(|(name, kind)| serde_json::json!({"name": name, "type": kind}));
            serde_json::json!({"name": table.name, "about": table.about, "columns": columns.collect::<Vec<_>>()})
        });
        return JsonAnswer::new(serde_json::json!({ "tables": tables.collect::<Vec<_>>() })).write(out);
    }
    for (index, table) in TABLES.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}: {}", table.name, table.about)?;
        for (name, kind) in table.columns {
            writeln!(out, "  {name:<16} {}", kind.to_lowercase())?;
        }
    }
    Ok(())
}

/// The rows of an answer that is printed at once.
#[derive(Default)]
struct CollectedRows {
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl RowVisitor for CollectedRows {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.names = names.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Value]) -> Result<()> {
        self.rows.push(values.to_vec());
        Ok(())
    }
}

impl CollectedRows {
    fn write_json(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut names = self.names.clone();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            let name = pair.first().map(String::as_str).unwrap_or_default();
            return Err(Failure::usage(format!("two columns are named `{name}`: name one of them with AS")));
        }
        let object = |row: Vec<Value>| self.names.iter().cloned().zip(row.into_iter().map(json)).collect::<Map<_, _>>();
        let rows: Vec<Map<String, Json>> = self.rows.into_iter().map(object).collect();
        JsonAnswer::new(serde_json::json!({ "columns": self.names, "rows": rows })).write(out)
    }

    fn write_table(self, out: &mut dyn Write) -> Result<(), Failure> {
        let is_number = |index: usize| {
            let mut values = self.rows.iter().filter_map(|row| row.get(index)).filter(|value| **value != Value::Null);
            self.rows.len() > 1 && values.all(|value| matches!(value, Value::Integer(_) | Value::Real(_)))
        };
        let right: Vec<bool> = (0..self.names.len()).map(is_number).collect();
        let cells = self.rows.iter().map(|row| row.iter().map(|value| EscapedText(&cell(value)).to_string()).collect());
        let names = self.names.iter().map(|name| EscapedText(name).to_string()).collect();
        let mut table = table(names, self.names.len(), cells);
        for (column, right) in table.column_iter_mut().zip(right) {
            if right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        write_table(out, &table)?;
        Ok(writeln!(out, "{}", counted(self.rows.len() as u64, "row"))?)
    }
}

/// Rows that are printed as they come.
struct CsvRows<W: Write>(csv::Writer<W>);

impl<W: Write> CsvRows<W> {
    fn write(&mut self, cells: impl Iterator<Item = String>) -> Result<()> {
        let cells = cells.map(|cell| text_cell(&cell).into_owned());
        self.0.write_record(cells).map_err(|error| Error::Io { path: "standard output".into(), source: error.into() })
    }
}

impl<W: Write> RowVisitor for CsvRows<W> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.write(names.iter().cloned())
    }

    fn row(&mut self, values: &[Value]) -> Result<()> {
        self.write(values.iter().map(cell))
    }
}

fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) => number.into(),
        Value::Real(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Blob(bytes) => hexadecimal(&bytes).into(),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
