//! Lines for invoices.

use std::io::Write;

use super::amount;
use crate::export::ExportError;
use crate::model::spreadsheet::text_cell;
use crate::report::AllocationTable;

pub(super) fn write(table: &AllocationTable, out: &mut dyn Write) -> Result<(), ExportError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "period_start",
        "period_end",
        table.by.as_str(),
        "rule",
        "provider",
        "account",
        "model",
        "currency",
        "amount",
    ])?;
    let (since, until) = (table.since.to_string(), table.until.to_string());
    for receiver in &table.receivers {
        for line in &receiver.lines {
            let text = |value: Option<&str>| text_cell(value.unwrap_or_default()).into_owned();
            writer.write_record([
                since.clone(),
                until.clone(),
                text(receiver.name.as_deref()),
                text(line.rule.as_deref()),
                text(Some(&line.provider)),
                text(line.account.as_deref()),
                text(line.model.as_deref()),
                "USD".to_owned(),
                amount(line.usd, table.unit),
            ])?;
        }
    }
    Ok(writer.flush()?)
}
