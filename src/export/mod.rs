//! A ledger in formats that other programs read.

mod events;

use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::ledger::Sight;

/// A format to export.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, export};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let mut lines = Vec::new();
/// export::find("events")?.export(&ledger.sight()?, &mut lines)?;
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

    /// Writes what a sight sees.
    ///
    /// # Errors
    /// [`ExportError::Output`] when `out` fails, [`ExportError::Ledger`] when the ledger does.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, export};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let mut out = Vec::new();
    /// export::find("events")?.export(&ledger.sight()?, &mut out)?;
    /// assert_eq!(String::from_utf8(out)?, format!("{}\n", ledger.event(1)?.to_line())); // to the letter
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn export(&self, sight: &Sight<'_>, out: &mut dyn Write) -> Result<(), ExportError>;
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
    /// The ledger could not be read. Do as its error says.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// What was exported could not be written. Check the place it goes to.
    #[error("the export could not be written: {0}")]
    Output(#[from] io::Error),
}

/// Every format.
const ALL: [&dyn Exporter; 1] = [&events::Events];

/// The names of the formats.
///
/// ```
/// assert!(usage_ledger::export::names().contains(&"events"));
/// ```
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|exporter| exporter.name()).collect()
}

/// The exporter of a format.
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
    ALL.into_iter()
        .find(|exporter| exporter.name() == name)
        .ok_or_else(|| Error::invalid(format!("`{name}` is not a format to export: use one of {}", names().join(", "))))
}
