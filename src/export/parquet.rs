//! Exports the columns of the CSV as a Parquet file, with types.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::calls::{ExportedCall, each_call, labels, quality};
use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result as LedgerResult};
use crate::model::invariant::bug;
use crate::model::tokens::{TokenClass, Usd};

/// Exports the current state of every record, one row each, in the order of the log.
///
/// Times are UTC with milliseconds, amounts decimals with twelve places, labels JSON. Unknown values are null.
pub(super) struct Parquet;

/// Rows per group, which is the number in memory at once.
const GROUP: usize = 1 << 16;
/// Digits of an amount, and how many of them are decimal places.
const DIGITS: (i32, i32) = (38, 12);

impl Exporter for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
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
        let shared = SharedBuffer::default();
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer =
            SerializedFileWriter::new(shared.clone(), schema().map_err(export_error)?, Arc::new(properties))
                .map_err(export_error)?;
        let mut group = Vec::new();
        each_call(snapshot, options, &mut |call| {
            group.push(call);
            if group.len() == GROUP {
                write(&mut writer, &group)?;
                group.clear();
                shared.drain(out)?;
            }
            Ok(())
        })?;
        if !group.is_empty() {
            write(&mut writer, &group)?;
        }
        writer.close().map_err(export_error)?;
        Ok(shared.drain(out)?)
    }
}

fn export_error(error: ParquetError) -> ExportError {
    match error {
        ParquetError::External(error) => io::Error::other(error).into(),
        other => Error::invalid(format!("the records do not fit into Parquet ({other})")).into(),
    }
}

/// Buffer between the Parquet writer, which requires `Send`, and the output.
#[derive(Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    fn drain(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&bytes)?;
        bytes.clear();
        out.flush()
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The values of a column. Nullable columns have options.
enum Values {
    Number(fn(&ExportedCall) -> LedgerResult<Option<i64>>),
    Time(fn(&ExportedCall) -> LedgerResult<Option<i64>>),
    Text(fn(&ExportedCall) -> LedgerResult<Option<String>>),
    Json(fn(&ExportedCall) -> LedgerResult<Option<String>>),
    Amount(fn(&ExportedCall) -> Option<Usd>),
}

struct ParquetColumn {
    name: &'static str,
    always: bool,
    values: Values,
}

const fn always(name: &'static str, values: Values) -> ParquetColumn {
    ParquetColumn { name, always: true, values }
}

const fn maybe(name: &'static str, values: Values) -> ParquetColumn {
    ParquetColumn { name, always: false, values }
}

/// A count. None is larger than 2^53; the sum of the classes is not larger than seven times that.
fn number(count: u64) -> LedgerResult<Option<i64>> {
    i64::try_from(count).map(Some).map_err(|_| bug!("a count of {count}"))
}

fn class(call: &ExportedCall, class: TokenClass) -> LedgerResult<Option<i64>> {
    call.record.tokens.get(class).map_or(Ok(None), number)
}

/// Returns the columns, which are those of the CSV in the same order.
fn columns() -> [ParquetColumn; 23] {
    use Values::{Amount, Json, Number, Text, Time};
    [
        always("position", Number(|call| number(call.position.get()))),
        always("id", Text(|call| Ok(Some(call.id.to_string())))),
        always("occurred_at", Time(|call| Ok(Some(call.at.millis())))),
        always("provider", Text(|call| Ok(Some(call.record.provider.to_string())))),
        maybe("account", Text(|call| Ok(call.record.account.clone()))),
        maybe("model", Text(|call| Ok(call.record.model.clone()))),
        maybe("agent", Text(|call| Ok(call.record.agent.clone()))),
        maybe("conversation", Text(|call| Ok(call.record.conversation.clone()))),
        maybe("project", Text(|call| Ok(call.record.project.clone()))),
        maybe("labels", Json(|call| labels(&call.record))),
        maybe("input", Number(|call| class(call, TokenClass::Input))),
        maybe("cache_read", Number(|call| class(call, TokenClass::CacheRead))),
        maybe("cache_write_5m", Number(|call| class(call, TokenClass::CacheWrite5m))),
        maybe("cache_write_1h", Number(|call| class(call, TokenClass::CacheWrite1h))),
        maybe("cache_write", Number(|call| class(call, TokenClass::CacheWrite))),
        maybe("output", Number(|call| class(call, TokenClass::Output))),
        maybe("reasoning", Number(|call| class(call, TokenClass::Reasoning))),
        maybe("total", Number(|call| number(call.record.tokens.total()?))),
        maybe("reported_usd", Amount(|call| call.record.cost)),
        maybe("usd", Amount(|call| call.usd)),
        maybe("duration_ms", Number(|call| call.record.duration_ms.map_or(Ok(None), number))),
        always("quality", Text(|call| Ok(Some(quality(call.record.quality).to_owned())))),
        maybe("residual", Text(|call| Ok(call.record.residual.clone()))),
    ]
}

fn schema() -> Result<TypePtr, ParquetError> {
    let fields: Result<Vec<_>, _> = columns().iter().map(ParquetColumn::field).collect();
    Ok(Arc::new(Type::group_type_builder("calls").with_fields(fields?).build()?))
}

impl ParquetColumn {
    fn field(&self) -> Result<TypePtr, ParquetError> {
        let repetition = if self.always { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let of = |physical| Type::primitive_type_builder(self.name, physical).with_repetition(repetition);
        let field = match self.values {
            Values::Number(_) => of(Physical::INT64),
            Values::Time(_) => {
                of(Physical::INT64).with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MILLIS)))
            }
            Values::Text(_) => of(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)),
            Values::Json(_) => of(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::Json)),
            Values::Amount(_) => of(Physical::FIXED_LEN_BYTE_ARRAY)
                .with_length(16)
                .with_precision(DIGITS.0)
                .with_scale(DIGITS.1)
                .with_logical_type(Some(LogicalType::decimal(DIGITS.1, DIGITS.0))),
        };
        Ok(Arc::new(field.build()?))
    }

    fn write(&self, writer: &mut ColumnWriter<'_>, calls: &[ExportedCall]) -> Result<(), ExportError> {
        let levels =
            |is_known: Vec<bool>| (!self.always).then(|| is_known.into_iter().map(i16::from).collect::<Vec<_>>());
        let written = match (&self.values, writer) {
            (Values::Number(of) | Values::Time(of), ColumnWriter::Int64ColumnWriter(writer)) => {
                let (values, is_known) = split(calls, of)?;
                writer.write_batch(&values, levels(is_known).as_deref(), None)
            }
            (Values::Text(of) | Values::Json(of), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let bytes = |text: String| ByteArray::from(text.into_bytes());
                let (values, is_known) = split(calls, |call| Ok(of(call)?.map(bytes)))?;
                writer.write_batch(&values, levels(is_known).as_deref(), None)
            }
            (Values::Amount(of), ColumnWriter::FixedLenByteArrayColumnWriter(writer)) => {
                let picos: Vec<_> = calls.iter().map(|call| of(call).map(Usd::picos)).collect();
                let is_known = picos.iter().map(Option::is_some).collect();
                let bytes = |picos: i128| FixedLenByteArray::from(picos.to_be_bytes().to_vec());
                let values: Vec<_> = picos.into_iter().flatten().map(bytes).collect();
                writer.write_batch(&values, levels(is_known).as_deref(), None)
            }
            _ => Err(ParquetError::General(format!("the column {} has another type", self.name))),
        };
        written.map(|_| ()).map_err(export_error)
    }
}

/// Returns the known values, and a mask of the calls that have one.
fn split<T>(
    calls: &[ExportedCall],
    of: impl Fn(&ExportedCall) -> LedgerResult<Option<T>>,
) -> LedgerResult<(Vec<T>, Vec<bool>)> {
    let values: Vec<Option<T>> = calls.iter().map(of).collect::<LedgerResult<_>>()?;
    let is_known = values.iter().map(Option::is_some).collect();
    Ok((values.into_iter().flatten().collect(), is_known))
}

fn write(writer: &mut SerializedFileWriter<SharedBuffer>, calls: &[ExportedCall]) -> Result<(), ExportError> {
    let mut group = writer.next_row_group().map_err(export_error)?;
    for column in columns() {
        let next = group.next_column().map_err(export_error)?;
        let mut writer = next.ok_or_else(|| bug!("no column `{}` in the schema", column.name))?;
        column.write(writer.untyped(), calls)?;
        writer.close().map_err(export_error)?;
    }
    group.close().map_err(export_error)?;
    Ok(())
}
