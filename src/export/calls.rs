use std::io::Write;

use super::cells::text_cell;
use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{EventId, Position, Quality, TokenRecord};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use crate::readers::price::Prices;

/// Exports the current state of every record, one CSV line each, in the order of the log (RFC 4180, with a plain
/// newline at the end of a line).
///
/// A count that was not reported is empty, and so is an unknown cost. Labels are a JSON object.
pub(super) struct ExportedCalls;

/// The columns.
pub(crate) const CALL_COLUMNS: [&str; 23] = [
    "position",
    "id",
    "occurred_at",
    "provider",
    "account",
    "model",
    "agent",
    "conversation",
    "project",
    "labels",
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
    "duration_ms",
    "quality",
    "residual",
];

/// The current state of a call.
pub(crate) struct ExportedCall {
    pub position: Position,
    pub id: EventId,
    pub at: Timestamp,
    pub record: TokenRecord,
    /// Its cost by the ledger's prices.
    pub usd: Option<Usd>,
}

/// Visits every call of a provider, or of all, with its price.
pub(crate) fn each_call(
    snapshot: &Snapshot<'_>,
    options: &ExportOptions,
    visit: &mut dyn FnMut(ExportedCall) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let prices: Prices = snapshot.prices()?;
    let mut failed = Ok(());
    let done = snapshot.each_call(&mut |position, call| {
        if options.provider.as_ref().is_some_and(|provider| *provider != call.record.provider) {
            return Ok(());
        }
        let usd = prices.cost(&call.record, call.at)?;
        let id = snapshot.event(position)?.id;
        failed = visit(ExportedCall { position, id, at: call.at, record: call.record, usd });
        // If writing fails, stop the scan. The scan's own error is a placeholder; the write error in `failed` is
        // returned.
        if failed.is_ok() { Ok(()) } else { Err(crate::Error::invalid("the export could not be written")) }
    });
    failed?;
    Ok(done?)
}

/// Names the quality of a record's counts.
pub(crate) const fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Reported => "reported",
        Quality::Derived => "derived",
        Quality::Estimated => "estimated",
    }
}

impl Exporter for ExportedCalls {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        self.export_with(snapshot, &ExportOptions::default(), out)
    }

    fn export_with(
        &self,
        snapshot: &Snapshot<'_>,
        options: &ExportOptions,
        out: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(CALL_COLUMNS)?;
        each_call(snapshot, options, &mut |call| Ok(writer.write_record(fields(&call)?)?))?;
        Ok(writer.flush()?)
    }
}

/// The labels of a record as a JSON object; `None` where it has none.
pub(super) fn labels(record: &TokenRecord) -> Result<Option<String>> {
    let json = |labels| serde_json::to_string(labels).map_err(|error| bug!("labels as JSON: {error}"));
    Some(&record.labels).filter(|labels| !labels.is_empty()).map(json).transpose()
}

fn fields(call: &ExportedCall) -> Result<Vec<String>> {
    let record = &call.record;
    let text = |text: &Option<String>| text_cell(text.as_deref().unwrap_or_default()).into_owned();
    let labels = labels(record)?.unwrap_or_default();
    let mut fields = vec![
        call.position.to_string(),
        call.id.to_string(),
        call.at.to_string(),
        text_cell(&record.provider).into_owned(),
        text(&record.account),
        text(&record.model),
        text(&record.agent),
        text(&record.conversation),
        text(&record.project),
        labels,
    ];
    fields.extend(
        TokenClass::ALL.map(|class| record.tokens.get(class).map(|count| count.to_string()).unwrap_or_default()),
    );
    fields.push(record.tokens.total()?.to_string());
    fields.extend([record.cost, call.usd].map(|usd| usd.map(|usd| usd.to_string()).unwrap_or_default()));
    fields.push(record.duration_ms.map(|millis| millis.to_string()).unwrap_or_default());
    fields.push(quality(record.quality).to_owned());
    fields.push(text(&record.residual));
    Ok(fields)
}
