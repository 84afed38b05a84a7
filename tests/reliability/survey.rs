//! Checks the files after a crash or a failure.

use std::path::Path;

use usage_ledger::merkle::Hash;
use usage_ledger::{Ledger, Report};

/// An acknowledged state: the number of events, and the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acknowledged {
    pub size: u64,
    pub root: Hash,
}

/// Opens a ledger and checks that it verifies and continues every acknowledged state.
pub fn survey(path: &Path, acknowledged: impl IntoIterator<Item = Acknowledged>) -> Result<Acknowledged, String> {
    let words = |error: usage_ledger::Error| error.to_string();
    let ledger = Ledger::open(path).map_err(words)?;
    let verified = ledger.verify().map_err(words)?;
    if !verified.ok {
        return Err(format!("verify finds {:?}", verified.findings));
    }
    let current = state(&ledger).map_err(words)?;
    let snapshot = ledger.snapshot().map_err(words)?;
    for state in acknowledged {
        if state.size > current.size {
            return Err(format!("{} events are there, {} were acknowledged", current.size, state.size));
        }
        if snapshot.root_at(state.size).map_err(words)? != state.root {
            return Err(format!("the first {} events are not those that were acknowledged", state.size));
        }
    }
    Ok(current)
}

/// The current state of a ledger.
pub fn state(ledger: &Ledger) -> usage_ledger::Result<Acknowledged> {
    let snapshot = ledger.snapshot()?;
    Ok(Acknowledged { size: snapshot.head()?.position.get(), root: snapshot.root()? })
}

/// The number of counting records.
pub fn requests(ledger: &Ledger) -> u64 {
    ledger.report(&Report::by_all(vec![])).unwrap().total.requests
}
