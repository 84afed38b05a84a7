//! A report as comma-separated values (RFC 4180, with a plain newline at the end of a line).

use std::io::Write;

use crate::export::{ExportError, text_cell};
use crate::model::tokens::{TokenClass, Usd};
use crate::present::failure::Failure;
use crate::report::ReportTable;

/// Columns after the keys. `cache_write` is the sum of all cache writes, as in JSON.
const COLUMNS: [&str; 11] = [
    "requests",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "cache_write",
    "output",
    "reasoning",
    "total",
    "reported_usd",
    "usd",
];

/// Writes the rows without the total, which readers can compute.
pub(super) fn write(table: &ReportTable, out: &mut dyn Write) -> Result<(), Failure> {
    rows(table, out).map_err(Failure::from)
}

fn rows(table: &ReportTable, out: &mut dyn Write) -> Result<(), ExportError> {
    let mut writer = csv::Writer::from_writer(out);
    for key in &table.keys {
        writer.write_field(&*text_cell(&key.name()))?;
    }
    writer.write_record(COLUMNS)?;
    for row in &table.rows {
        for key in &row.keys {
            writer.write_field(&*text_cell(key.as_deref().unwrap_or_default()))?;
        }
        let tokens = &row.usage.tokens;
        let counts = [
            u128::from(row.usage.requests),
            tokens.get(TokenClass::Input),
            tokens.get(TokenClass::CacheRead),
            tokens.get(TokenClass::CacheWrite5m),
            tokens.get(TokenClass::CacheWrite1h),
            // As in JSON: the sum of the three write classes.
            tokens.cache_write(),
            tokens.get(TokenClass::Output),
            tokens.get(TokenClass::Reasoning),
            tokens.total(),
        ];
        for count in counts {
            writer.write_field(count.to_string())?;
        }
        let amount = |usd: Option<Usd>| usd.map(|usd| usd.to_string()).unwrap_or_default();
        let cost = &row.usage.cost;
        writer.write_record([amount(cost.reported_usd), amount(cost.usd)])?;
    }
    Ok(writer.flush()?)
}
