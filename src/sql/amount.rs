//! Exact sums of amounts of money in SQL.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

use crate::model::tokens::Usd;

/// `sum_usd(amount)`: the exact sum of decimal texts. The built-in `sum` rounds them to binary fractions.
struct SumUsd;

/// Adds `sum_usd` to a connection.
pub(super) fn register(database: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    database.create_aggregate_function("sum_usd", 1, flags, SumUsd)
}

fn other(error: crate::Error) -> Error {
    Error::UserFunctionError(Box::new(error))
}

impl Aggregate<Option<Usd>, Option<String>> for SumUsd {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<Usd>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<Usd>) -> Result<()> {
        let amount = match context.get_raw(0) {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(whole) => whole.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Real(_) | ValueRef::Blob(_) => {
                let what = "sum_usd adds the texts of amounts, such as the columns usd and reported_usd";
                return Err(other(crate::Error::invalid(what)));
            }
        };
        let amount = Usd::exact(&amount).map_err(other)?;
        *sum = Some(match *sum {
            Some(sum) => sum.checked_add(amount).map_err(other)?,
            None => amount,
        });
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Option<Usd>>) -> Result<Option<String>> {
        Ok(sum.flatten().map(|sum| sum.to_string()))
    }
}
