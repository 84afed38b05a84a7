//! Allocations for other programs and for people: CSV for invoices, FOCUS with tags, and a page to print.

mod csv;
mod focus;
mod html;

use std::io::Write;

use super::ExportError;
use crate::model::error::{Error, Result};
use crate::model::tokens::Usd;
use crate::report::AllocationTable;

/// A format of allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocationFormat {
    /// A line for each receiver, rule, provider, account and model.
    Csv,
    /// The columns of FOCUS 1.4, with the receiver as a tag.
    Focus,
    /// One HTML page without scripts, to read or to print.
    Html,
}

impl std::str::FromStr for AllocationFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "csv" => Ok(Self::Csv),
            "focus" => Ok(Self::Focus),
            "html" => Ok(Self::Html),
            _ => Err(Error::invalid(format!("`{name}` is no format of allocations: use csv, focus or html"))),
        }
    }
}

/// Writes an allocation in a format.
///
/// # Errors
/// [`ExportError::Output`] when `out` fails, [`ExportError::Ledger`] for times beyond the calendar.
pub fn allocation(
    table: &AllocationTable,
    format: AllocationFormat,
    out: &mut dyn Write,
) -> std::result::Result<(), ExportError> {
    match format {
        AllocationFormat::Csv => csv::write(table, out),
        AllocationFormat::Focus => focus::write(table, out),
        AllocationFormat::Html => html::write(table, out),
    }
}

/// An amount with all decimals of the unit, such as `12.50` in cents. The ledger's own unit has no fixed decimals.
fn amount(usd: Usd, unit: Usd) -> String {
    let text = usd.to_string();
    let decimals = unit.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals == 0 || decimals >= 12 {
        return text;
    }
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}.{rest:0<decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_unit() {
        let written = |usd: &str, unit: &str| amount(usd.parse().unwrap(), unit.parse().unwrap());
        assert_eq!(written("12.5", "0.01"), "12.50");
        assert_eq!(written("-12", "0.01"), "-12.00");
        assert_eq!(written("0", "0.01"), "0.00");
        assert_eq!(written("7", "1"), "7");
        assert_eq!(written("0.000000000001", "0.000000000001"), "0.000000000001");
        assert_eq!(written("0.5", "0.000000000001"), "0.5");
    }
}
