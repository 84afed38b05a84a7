//! `export`: writes the ledger in a format of other programs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use tempfile::NamedTempFile;

use super::context::Context;
use crate::export::{self, ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::error::Error;
use crate::model::event::{Position, Tombstone};
use crate::model::provider::ProviderId;
use crate::present::failure::{Failure, print_message};

/// Write the ledger in the format of another program
///
/// events: every stored line, byte for byte and in order. These bytes are the hashed bytes.
/// cloudevents: every event as a JSON line in the envelope of that standard, version 1.0.
/// csv: every record with its corrections applied, with reported and computed cost.
/// parquet: the same columns with types, if the build has the feature `parquet`.
/// focus: FOCUS 1.4 charges as CSV, one row for each day, model, token class, price and set of tags.
/// prometheus: counters and windows in the Prometheus text format.
/// hledger: a journal for plain-text accounting, with balance assertions.
/// usage-md: the usage.md file of Koan, with the percentage used of each window.
/// koan-jsonl: every record as a usage row of Koan. A row belongs to the file of the day in its ts.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger export --format events --output usage.jsonl\n  \
    usage-ledger export --format usage-md --output instance/usage.md\n  \
    usage-ledger --as-of 120 export --format events | sha256sum")]
pub(crate) struct ExportArgs {
    /// The format
    #[arg(long, value_parser = PossibleValuesParser::new(export::names()), default_value = "events")]
    format: String,
    /// Only this provider; not for the formats events and cloudevents [default: all; for usage-md, the active provider]
    #[arg(long)]
    provider: Option<ProviderId>,
    /// The file to write, completely or not at all [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ExportArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let exporter = export::find(&args.format)?;
    if args.provider.is_some() && ["events", "cloudevents"].contains(&args.format.as_str()) {
        return Err(Failure::usage("events are exported whole: leave out --provider"));
    }
    let ledger = context.read_with_warning()?;
    let snapshot = context.snapshot(&ledger)?;
    let options = ExportOptions {
        now: Some(context.query_time(&snapshot)),
        zone: context.zone(),
        provider: args.provider.as_ref().map(|provider| provider.as_str().to_owned()),
    };
    if args.format == "events" && context.is_past() {
        warn_about_later_shredding(&snapshot)?;
    }
    let Some(path) = args.output.as_deref().filter(|path| *path != Path::new("-")) else {
        return Ok(exporter.export_with(&snapshot, &options, out)?);
    };
    context.refuse_ledger(path)?;
    to_file(exporter, &snapshot, &options, path).map_err(|error| match error {
        ExportError::Output(source) => Failure::Ledger(Error::Io { path: path.to_owned(), source }),
        other => other.into(),
    })
}

/// Warns if an `event_shredded` follows the exported range. Shredded bodies are missing from the past too, so a check
/// of the export alone cannot explain them.
fn warn_about_later_shredding(snapshot: &Snapshot<'_>) -> Result<(), Failure> {
    let head = snapshot.head()?.position;
    let mut later = None;
    snapshot.lines(Position::START.next(), &mut |position, line| {
        later = Tombstone::read(position, line)?
            .filter(|tombstone| tombstone.by > head)
            .map(|tombstone| (position, tombstone.by));
        Ok(later.is_none())
    })?;
    if let Some((position, by)) = later {
        print_message(&format!(
            "position {position} was shredded later, by position {by}, which is not in this export: who is to check it \
             needs an export of the whole ledger"
        ));
    }
    Ok(())
}

/// Writes to a temporary file and renames it when complete. Pipes and devices are written directly.
fn to_file(
    exporter: &dyn Exporter,
    snapshot: &Snapshot<'_>,
    options: &ExportOptions,
    path: &Path,
) -> Result<(), ExportError> {
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        let mut writer = BufWriter::new(File::options().write(true).open(path)?);
        exporter.export_with(snapshot, options, &mut writer)?;
        return Ok(writer.flush()?);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut writer = BufWriter::new(NamedTempFile::new_in(directory)?);
    exporter.export_with(snapshot, options, &mut writer)?;
    let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
