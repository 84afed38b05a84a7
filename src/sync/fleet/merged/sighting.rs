//! A call as one ledger has it, and which of several ledgers counts.

use serde::{Deserialize, Serialize};

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{Position, TokenRecord};
use crate::model::time::Timestamp;

/// Labels that the merged ledger sets.
pub(crate) const LABELS: [&str; 4] = ["ledger", "machine", "person", "team"];

/// Whose ledger it is, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LedgerOwner {
    pub machine: String,
    pub person: Option<String>,
    pub team: Option<String>,
    /// The first position that counts. Earlier ones are events of another ledger.
    pub from: u64,
}

/// A record as one ledger has it now.
#[derive(Clone)]
pub(super) struct Sighting {
    pub at: Timestamp,
    pub record: TokenRecord,
}

/// Whether a sighting counts rather than another one.
pub(super) fn is_better(one: &Sighting, other: &Sighting) -> bool {
    // A total that overflows is the largest.
    let rank = |sighting: &Sighting| {
        let record = &sighting.record;
        let name = record.labels.get("ledger").cloned();
        (std::cmp::Reverse(record.tokens.total().unwrap_or(u64::MAX)), record.account.is_none(), name)
    };
    rank(one) < rank(other)
}

/// A record as a ledger has it now, with the names of its owner; `None` if the ledger does not count it.
pub(super) fn sighting(
    snapshot: &Snapshot<'_>,
    position: Position,
    ledger: &str,
    owner: &LedgerOwner,
) -> Result<Option<Sighting>> {
    let Some(now) = snapshot.effective(position)? else { return Ok(None) };
    let mut record = now.record;
    let names = [Some(ledger), Some(owner.machine.as_str()), owner.person.as_deref(), owner.team.as_deref()];
    for (label, name) in LABELS.into_iter().zip(names) {
        match name {
            Some(name) => record.labels.insert(label.to_owned(), name.to_owned()),
            None => record.labels.remove(label),
        };
    }
    Ok(Some(Sighting { at: now.at, record }))
}
