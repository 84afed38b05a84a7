use std::io::Write;

use super::{ExportError, Exporter};
use crate::event::{Position, Stub};
use crate::ledger::Sight;

/// Every stored line to the letter, in order: what is hashed is what is printed, so anyone can check it. Of a shredded
/// event its leaf hash stands there; what stays of it is told by the `event_shredded`.
pub(super) struct Events;

impl Exporter for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn export(&self, sight: &Sight<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut failed = Ok(());
        sight.lines(Position::START.next(), &mut |position, line| {
            failed = match Stub::read(position, line)? {
                Some(stub) => writeln!(out, "{}", stub.exported()),
                None => writeln!(out, "{line}"),
            };
            Ok(failed.is_ok())
        })?;
        Ok(failed?)
    }
}
