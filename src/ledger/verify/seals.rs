//! Checks the seals in the ledger against the events that they cover: each is a checkpoint inside the ledger.

use super::Findings;
use super::lines::VerifiedLog;
use crate::merkle::{Checkpoint, Hash, Note, Verifier, root_of};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, Payload, PeriodSealed, Position};
use crate::projection::root_at;
use crate::store::ReadView;

/// Checks every seal; with verifiers, also that one of them signed it.
pub(super) fn check(
    view: &dyn ReadView,
    seen: &VerifiedLog,
    verifiers: &[Verifier],
    findings: &mut Findings,
) -> Result<()> {
    for (position, line) in seen.others.iter().filter(|(_, line)| line.contains("\"period_sealed\"")) {
        let Payload::PeriodSealed(sealed) = Event::from_line(*position, line)?.payload else { continue };
        match wrong(view, *position, &sealed, verifiers) {
            Ok(None) => {}
            Ok(Some(what)) => findings.add(*position, what),
            Err(Error::Damaged { what, .. }) => findings.add(*position, format!("this seal cannot be checked: {what}")),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// The fault of a seal; `None` for a valid one.
fn wrong(
    view: &dyn ReadView,
    position: Position,
    sealed: &PeriodSealed,
    verifiers: &[Verifier],
) -> Result<Option<String>> {
    let size = sealed.size;
    if size >= position {
        return Ok(Some(format!("this seal covers {size} events, but fewer precede it")));
    }
    if sealed.root.parse::<Hash>().ok() != Some(root_at(view, size.get())?) {
        return Ok(Some(format!(
            "the first {size} events are not those that this seal was signed over: one of them was changed, moved, added \
             or left out"
        )));
    }
    if let Some(rows) = &sealed.rows {
        let leaves = rows.leaves.iter().map(|leaf| leaf.parse()).collect::<Result<Vec<Hash>>>();
        if leaves.is_err() || leaves.is_ok_and(|leaves| root_of(&leaves).to_string() != rows.root) {
            return Ok(Some("the root of its rows is not that of its leaves".to_owned()));
        }
    }
    let note: Note = match sealed.statement.parse() {
        Ok(note) => note,
        Err(error) => return Ok(Some(format!("its signed statement cannot be read: {error}"))),
    };
    let states = |checkpoint: &Checkpoint| note.text() == format!("{checkpoint}{}", sealed.lines());
    match note.text().parse::<Checkpoint>() {
        Ok(checkpoint)
            if checkpoint.size() == size.get()
                && checkpoint.root().to_string() == sealed.root
                && states(&checkpoint) => {}
        _ => return Ok(Some("its signed statement differs from the event".to_owned())),
    }
    let mut why = None;
    for verifier in verifiers {
        match Checkpoint::open(&note, verifier) {
            Ok(_) => return Ok(None),
            Err(Error::Unproven { what } | Error::Invalid { what }) => why = Some(what),
            Err(other) => return Err(other),
        }
    }
    Ok(why.map(|why| format!("the seal proves nothing: {why}; give the verifier of the key that signed it too")))
}
