use std::io::Write;

use super::{ExportError, Exporter};
use crate::ledger::Snapshot;
use crate::model::event::{Position, exported};

/// Exports every stored line unchanged and in order. These are the hashed bytes, so anyone can verify them.
///
/// A shredded event is exported as its leaf hash, and a line with line breaks as a JSON string: see [`exported`].
pub(super) struct Events;

impl Exporter for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut failed = Ok(());
        snapshot.lines(Position::START.next(), &mut |position, line| {
            failed = writeln!(out, "{}", exported(position, line)?);
            Ok(failed.is_ok())
        })?;
        Ok(failed?)
    }
}
