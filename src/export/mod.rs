//! Exports a ledger in formats of other programs.

#[cfg(feature = "cli")]
pub(crate) mod activity;
#[cfg(feature = "cli")]
mod allocation;
mod calls;
#[cfg(feature = "cli")]
pub(crate) mod ccusage;
#[cfg(feature = "import")]
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // only its format reads them
mod ccusage_agents;
mod cloudevents;
mod events;
mod focus;
mod hledger;
mod koan_jsonl;
#[cfg(feature = "parquet")]
mod parquet;
mod prometheus;
mod usage_md;

use std::io::{self, Write};

use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;
use crate::model::time::{Timestamp, Zone};
use crate::report::ReportRow;

#[cfg(feature = "cli")]
pub(crate) use crate::model::spreadsheet::text_cell;
#[cfg(feature = "cli")]
pub(crate) use activity::activity;
#[cfg(feature = "cli")]
pub(crate) use allocation::{AllocationFormat, allocation};
#[cfg(all(test, feature = "cli"))]
pub(crate) use calls::CALL_COLUMNS;
#[cfg(feature = "cli")]
pub(crate) use calls::{ExportedCall, each_call, quality};
#[cfg(feature = "cli")]
pub(crate) use ccusage::{CcusageOptions, ccusage};
#[cfg(feature = "import")]
pub(crate) use ccusage_agents::CcusageAgent;

/// An export format.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, export};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let mut lines = Vec::new();
/// export::find("events")?.export(&ledger.snapshot()?, &mut lines)?;
/// assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Exporter: Sync {
    /// Its name on the command line.
    ///
    /// ```
    /// # use usage_ledger::export;
    /// assert_eq!(export::find("events")?.name(), "events");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn name(&self) -> &'static str;

    /// Writes the content of a snapshot.
    ///
    /// # Errors
    /// [`ExportError::Output`] when `out` fails, [`ExportError::Ledger`] when the ledger does.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, export};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let mut out = Vec::new();
    /// export::find("events")?.export(&ledger.snapshot()?, &mut out)?;
    /// assert_eq!(String::from_utf8(out)?, format!("{}\n", ledger.event(1)?.to_line()?)); // to the letter
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError>;

    /// As [`export`](Self::export), for a time, a zone and a provider, if the format depends on them.
    ///
    /// # Errors
    /// As of [`export`](Self::export).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, export::{self, ExportOptions}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let mut options = ExportOptions::default();
    /// (options.now, options.provider) = (Some(now), Some("openai".to_owned()));
    /// let mut page = Vec::new();
    /// export::find("usage-md")?.export_with(&ledger.snapshot()?, &options, &mut page)?;
    /// assert!(String::from_utf8(page)?.contains("Session (5hr) : ~0% (reset in 5h00m)"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn export_with(
        &self,
        snapshot: &Snapshot<'_>,
        _options: &ExportOptions,
        out: &mut dyn Write,
    ) -> Result<(), ExportError> {
        self.export(snapshot, out)
    }
}

/// Parameters of some formats.
///
/// ```
/// use usage_ledger::{Zone, export::ExportOptions};
/// assert_eq!(ExportOptions::default().zone, Zone::UTC);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExportOptions {
    /// The time of windows; default: that of the last event.
    pub now: Option<Timestamp>,
    /// The zone of days and of times without an offset.
    pub zone: Zone,
    /// Export this provider only. A format about a single provider defaults to the active one.
    pub provider: Option<String>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { now: None, zone: Zone::UTC, provider: None }
    }
}

impl ExportOptions {
    fn now(&self, snapshot: &Snapshot<'_>) -> Result<Timestamp> {
        match self.now.or(snapshot.moment()) {
            Some(now) => Ok(now),
            None => Ok(snapshot.head()?.recorded_at),
        }
    }
}

/// Why an export stopped.
///
/// ```
/// use usage_ledger::export::ExportError;
/// let full = ExportError::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
/// assert!(matches!(full, ExportError::Output(_)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The ledger could not be read. See the remedy in the error.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// The output could not be written. Check its destination.
    #[error("the export could not be written: {0}")]
    Output(#[from] io::Error),
}

impl From<csv::Error> for ExportError {
    /// Keeps the kind of I/O errors, because a closed pipe is not a failure.
    fn from(error: csv::Error) -> Self {
        Self::Output(match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })
    }
}

/// The keys of a row of a report by `N` keys; an empty text if a record has no such key.
fn named<const KEYS: usize>(row: &ReportRow) -> Result<[&str; KEYS]> {
    let keys: &[Option<String>; KEYS] =
        row.keys.as_slice().try_into().map_err(|_| bug!("a row of {} keys instead of {KEYS}", row.keys.len()))?;
    Ok(keys.each_ref().map(|key| key.as_deref().unwrap_or_default()))
}

/// Every format.
const ALL: &[&dyn Exporter] = &[
    &events::Events,
    &cloudevents::CloudEvents,
    &calls::ExportedCalls,
    #[cfg(feature = "parquet")]
    &parquet::Parquet,
    &focus::Focus,
    &prometheus::Prometheus,
    &hledger::Hledger,
    &koan_jsonl::KoanJsonl,
    &usage_md::UsageMdExport,
];

/// Lists the names of the formats.
///
/// ```
/// assert!(usage_ledger::export::names().contains(&"events"));
/// ```
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|exporter| exporter.name()).collect()
}

/// Returns the exporter of a format.
///
/// # Errors
/// [`Error::Invalid`] for a format this build does not know.
///
/// ```
/// use usage_ledger::export;
/// assert_eq!(export::find("events")?.name(), "events");
/// assert!(export::find("pdf").is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn find(name: &str) -> Result<&'static dyn Exporter> {
    ALL.iter()
        .copied()
        .find(|exporter| exporter.name() == name)
        .ok_or_else(|| Error::invalid(format!("`{name}` is not a format to export: use one of {}", names().join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ledger, TokenRecord};

    /// A closed pipe.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn every_format_reports_its_write_error() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        for number in 0..300 {
            let model = format!("model-{number}");
            ledger.record(TokenRecord::new("openai", model).input(1).key(number.to_string()), now).unwrap();
        }
        let snapshot = ledger.snapshot().unwrap();
        for exporter in ALL {
            let error = exporter.export(&snapshot, &mut Closed).unwrap_err();
            let ExportError::Output(error) = error else { panic!("{}: {error}", exporter.name()) };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{}", exporter.name());
        }
    }
}
