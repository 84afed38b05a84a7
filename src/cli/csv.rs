//! A report as comma-separated values (RFC 4180, with a plain newline at the end of a line).

use std::io::Write;

use crate::model::tokens::{TokenClass, Usd};
use crate::present::failure::Failure;
use crate::report::ReportTable;

/// The columns behind the keys; `cache_write` is the sum of all cache writes, as in JSON.
const COLUMNS: &str =
    "requests,input,cache_read,cache_write_5m,cache_write_1h,cache_write,output,reasoning,total,reported_usd,usd";

/// A field, quoted where it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Writes the rows, without the total: who reads this can add.
pub(crate) fn write(table: &ReportTable, out: &mut dyn Write) -> Result<(), Failure> {
    for key in &table.keys {
        write!(out, "{},", field(&key.name()))?;
    }
    writeln!(out, "{COLUMNS}")?;
    for row in &table.rows {
        for key in &row.keys {
            write!(out, "{},", field(key.as_deref().unwrap_or_default()))?;
        }
        let tokens = &row.usage.tokens;
        write!(out, "{},", row.usage.requests)?;
        let counts = [
            tokens.get(TokenClass::Input),
            tokens.get(TokenClass::CacheRead),
            tokens.get(TokenClass::CacheWrite5m),
            tokens.get(TokenClass::CacheWrite1h),
            // As in JSON: all three write classes together.
            tokens.cache_write(),
            tokens.get(TokenClass::Output),
            tokens.get(TokenClass::Reasoning),
        ];
        for count in counts {
            write!(out, "{count},")?;
        }
        let amount = |usd: Option<Usd>| usd.map(|usd| usd.to_string()).unwrap_or_default();
        let cost = &row.usage.cost;
        writeln!(out, "{},{},{}", tokens.total(), amount(cost.reported_usd), amount(cost.usd))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(["a", "a,b", "say \"hi\"", "a\nb"].map(field), ["a", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"a\nb\""]);
    }
}
