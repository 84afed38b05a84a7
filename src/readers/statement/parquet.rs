//! Reads the rows of a Parquet file as records. AWS and other clouds write exports as Parquet.
//!
//! A value becomes the text that CSV would have. A column of maps or structures becomes one column for each name in it:
//! `product.region`. A row's line is its number.

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::data_type::Decimal;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::record::{Record, Records};
use super::unpack::LONGEST;
use crate::model::error::{Error, Result};
use crate::model::time::{DAY, Timestamp};

/// Reads all rows.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Records> {
    let fault = |e: &ParquetError| Error::invalid(format!("{name}: unreadable Parquet ({e}): download the file again"));
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(|e| fault(&e))?;
    let sizes = reader.metadata().row_groups().iter().map(RowGroupMetaData::total_byte_size);
    if sizes.map(i64::unsigned_abs).map(u128::from).sum::<u128>() > u128::from(LONGEST) {
        return Err(Error::invalid(format!("{name} unpacks to more than {LONGEST} bytes: export a shorter period")));
    }
    let mut records = Records { rows: Vec::new(), columns: BTreeMap::new(), more_pages: None };
    for (number, row) in (1_u64..).zip(reader.get_row_iter(None).map_err(|e| fault(&e))?) {
        let row = row.map_err(|e| fault(&e))?;
        let mut values = BTreeMap::new();
        flatten("", &row, &mut values).map_err(|e| Error::invalid(format!("{name}:{number}: {e}")))?;
        for column in values.keys() {
            records.columns.entry(column.clone()).or_insert(number);
        }
        records.rows.push(Record { line: number, values });
    }
    Ok(records)
}

fn flatten(prefix: &str, row: &Row, values: &mut BTreeMap<String, String>) -> std::result::Result<(), String> {
    for (name, field) in row.get_column_iter() {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        put(name, field, values)?;
    }
    Ok(())
}

fn put(name: String, field: &Field, values: &mut BTreeMap<String, String>) -> std::result::Result<(), String> {
    let text = match field {
        Field::Group(row) => return flatten(&name, row, values),
        Field::MapInternal(map) => {
            for (key, value) in map.entries() {
                let key = match key {
                    Field::Str(key) => key.clone(),
                    other => other.to_string(),
                };
                put(format!("{name}.{key}"), value, values)?;
            }
            return Ok(());
        }
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes.data());
            text.map_err(|_| format!("column `{name}`: the bytes are no text"))?.to_owned()
        }
        Field::Float(value) if !value.is_finite() => String::new(),
        Field::Double(value) if !value.is_finite() => String::new(),
        // The shortest decimal number that is this float.
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Decimal(value) => decimal(value).ok_or_else(|| format!("column `{name}`: the number is too large"))?,
        Field::Date(days) => Timestamp::from_millis(i64::from(*days) * DAY).to_string(),
        Field::TimestampMillis(millis) => Timestamp::from_millis(*millis).to_string(),
        Field::TimestampMicros(micros) => Timestamp::from_millis(micros.div_euclid(1_000)).to_string(),
        other => other.to_string(),
    };
    values.insert(name, text.trim().to_owned());
    Ok(())
}

/// A decimal number: a big-endian whole number and its number of decimal places.
fn decimal(value: &Decimal) -> Option<String> {
    let (bytes, scale) = (value.data(), usize::try_from(value.scale()).ok()?);
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if is_negative { 0xff } else { 0 };
    let mut whole = [filler; 16];
    let place = whole.len().checked_sub(bytes.len())?;
    whole.get_mut(place..)?.copy_from_slice(bytes);
    let number = i128::from_be_bytes(whole);
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    Some(if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") })
}
