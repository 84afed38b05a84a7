use std::fmt::{Display, Write as _};
use std::io::Write;

use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::{CorrectedCall, Snapshot};
use crate::model::error::Result;
use crate::model::event::{EventId, Position, Quality, TokenRecord};
use crate::model::invariant::bug;
use crate::model::spreadsheet::text_cell;
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

/// Passes every call of a provider, or of all, with its price through `work`, a batch at a time and on several threads, and the
/// results to `take` in the order of the log.
pub(super) fn map_calls<P: Send>(
    snapshot: &Snapshot<'_>,
    options: &ExportOptions,
    work: &(impl Fn(&mut dyn Iterator<Item = Result<ExportedCall>>) -> Result<P, ExportError> + Sync),
    take: &mut dyn FnMut(P) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let prices: Prices = snapshot.prices()?;
    let is_wanted = |call: &Result<CorrectedCall>| {
        call.as_ref()
            .map_or(true, |call| options.provider.as_ref().is_none_or(|name| *name == call.now.record.provider))
    };
    let with_price = |call: Result<CorrectedCall>| {
        let CorrectedCall { position, id, now } = call?;
        let usd = prices.cost(&now.record, now.at)?;
        Ok(ExportedCall { position, id, at: now.at, record: now.record, usd })
    };
    snapshot.map_calls(&|calls| work(&mut calls.filter(is_wanted).map(with_price)), take)
}

/// Visits every call of a provider, or of all, with its price.
#[cfg(feature = "cli")]
pub(crate) fn each_call(
    snapshot: &Snapshot<'_>,
    options: &ExportOptions,
    visit: &mut dyn FnMut(ExportedCall) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    map_calls(snapshot, options, &|calls| Ok(calls.collect::<Result<Vec<_>>>()?), &mut |calls| {
        calls.into_iter().try_for_each(&mut *visit)
    })
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
        let mut header = csv::Writer::from_writer(&mut *out);
        header.write_record(CALL_COLUMNS)?;
        header.flush()?;
        drop(header);
        let rows = |calls: &mut dyn Iterator<Item = Result<ExportedCall>>| {
            let mut rows = CallLines::default();
            for call in calls {
                rows.add(&call?)?;
            }
            rows.finish()
        };
        map_calls(snapshot, options, &rows, &mut |rows| Ok(out.write_all(&rows)?))?;
        Ok(out.flush()?)
    }
}

/// The labels of a record as a JSON object; `None` where it has none.
pub(super) fn labels(record: &TokenRecord) -> Result<Option<String>> {
    let json = |labels| serde_json::to_string(labels).map_err(|error| bug!("labels as JSON: {error}"));
    Some(&record.labels).filter(|labels| !labels.is_empty()).map(json).transpose()
}

/// Lines of CSV.
struct CallLines {
    writer: csv::Writer<Vec<u8>>,
    /// The digits of the number that is written.
    digits: String,
}

impl Default for CallLines {
    fn default() -> Self {
        Self { writer: csv::Writer::from_writer(Vec::new()), digits: String::new() }
    }
}

impl CallLines {
    fn add(&mut self, call: &ExportedCall) -> Result<(), ExportError> {
        let record = &call.record;
        self.number(Some(call.position))?;
        self.writer.write_field(call.id.hyphenated(&mut [0; 36]))?;
        self.writer.write_field(call.at.rfc3339())?;
        self.text(Some(&record.provider))?;
        for text in [&record.account, &record.model, &record.agent, &record.conversation, &record.project] {
            self.text(text.as_deref())?;
        }
        self.writer.write_field(labels(record)?.unwrap_or_default())?;
        for class in TokenClass::ALL {
            self.number(record.tokens.get(class))?;
        }
        self.number(Some(record.tokens.total()?))?;
        self.number(record.cost)?;
        self.number(call.usd)?;
        self.number(record.duration_ms)?;
        self.writer.write_field(quality(record.quality))?;
        self.text(record.residual.as_deref())?;
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    /// A foreign text.
    fn text(&mut self, text: Option<&str>) -> Result<(), ExportError> {
        Ok(self.writer.write_field(&*text_cell(text.unwrap_or_default()))?)
    }

    /// A number; an empty field if it is unknown.
    fn number(&mut self, number: Option<impl Display>) -> Result<(), ExportError> {
        self.digits.clear();
        if let Some(number) = number {
            // Writing to a `String` cannot fail.
            let _ = write!(self.digits, "{number}");
        }
        Ok(self.writer.write_field(&self.digits)?)
    }

    fn finish(self) -> Result<Vec<u8>, ExportError> {
        Ok(self.writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }
}
