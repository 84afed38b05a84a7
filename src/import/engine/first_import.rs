//! The first import, into a ledger that does not exist yet.

use crate::import::engine::run::run;
use crate::import::options::ImportOptions;
use crate::import::outcome::{ImportReport, Progress};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::store::DraftLedger;

/// Imports agents' logs into a ledger that does not exist yet. This is faster than creating it and then calling
/// [`run`].
///
/// The import writes a draft next to the final path and links it there when it is complete and durable. So other
/// processes see no ledger or a complete one. A killed process leaves only the draft, which a later import removes. If
/// several processes do this at once, one creates the ledger and the others wait. Returns `None` and changes nothing if
/// a ledger exists by then; then import into that ledger.
///
/// # Errors
/// Those of [`run`], and [`Error::Io`](crate::Error::Io) if the file cannot be created. In both cases no
/// ledger is created.
pub(crate) fn fill(
    draft: DraftLedger,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<ImportReport>> {
    let ledger = Ledger::with_store(Box::new(draft.open()?));
    let done = run(&ledger, options, now, progress);
    drop(ledger);
    let report = match done {
        Err(_) if draft.is_gone() => return Ok(None),
        done => done?,
    };
    Ok(draft.put_in_place()?.then_some(report))
}
