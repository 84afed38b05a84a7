//! A call as one ledger has it, and which of several ledgers counts.

use serde::{Deserialize, Serialize};

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{Position, TokenRecord};
use crate::model::time::Timestamp;
use crate::report::ReportKey;

/// The label with the id of the ledger that a call comes from.
pub(super) const LEDGER: &str = "ledger";

/// Whose ledger it is, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LedgerOwner {
    /// The machine that pushes it; `None` for the server's own ledger, whose records name their machines themselves.
    pub machine: Option<String>,
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
        let name = record.labels.get(LEDGER).cloned();
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
    record.labels.insert(LEDGER.to_owned(), ledger.to_owned());
    if let Some(machine) = &owner.machine {
        // A machine that pushes has the names of its enrolment, whatever its records say.
        let names = [Some(machine), owner.person.as_ref(), owner.team.as_ref()];
        for (label, name) in [ReportKey::MACHINE, ReportKey::PERSON, ReportKey::TEAM].into_iter().zip(names) {
            match name {
                Some(name) => record.labels.insert(label.to_owned(), name.clone()),
                None => record.labels.remove(label),
            };
        }
    }
    Ok(Some(Sighting { at: now.at, record }))
}
