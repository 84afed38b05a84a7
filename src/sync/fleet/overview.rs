//! The machines with their ledgers: heads, times of the last pushes, refusals.

use std::collections::BTreeMap;

use super::merged::OWN;
use super::{FleetServer, HeadVector, MergeFailure, RefusedPush};
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::sync::protocol::LedgerFork;

/// A pushed ledger.
pub(crate) struct LedgerOverview {
    pub ledger: String,
    /// Events that the server cosigned.
    pub size: u64,
    /// Events that count in sums over all machines.
    pub merged: u64,
    /// When the server cosigned the last push.
    pub pushed_at: Option<Timestamp>,
    /// The ledger that it continues.
    pub continues: Option<LedgerFork>,
    pub failure: Option<MergeFailure>,
}

/// A machine with its ledgers.
pub(crate) struct MachineOverview {
    pub machine: String,
    pub person: Option<String>,
    pub team: Option<String>,
    pub enrolled_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub ledgers: Vec<LedgerOverview>,
    pub refused: Vec<RefusedPush>,
}

/// Some machines, in the order of their names.
pub(crate) struct FleetOverview {
    pub machines: Vec<MachineOverview>,
    /// The number of all machines.
    pub total: usize,
    /// Whether machines follow behind the last one.
    pub is_cut: bool,
    /// Events of the server's own ledger, and those of them that count in sums.
    pub own: Option<(u64, u64)>,
    /// Why nothing can be merged, or why the server's own ledger cannot.
    pub failure: Option<MergeFailure>,
}

impl FleetServer {
    /// Up to `most` machines whose names come after `after`.
    pub fn overview(&self, after: Option<&str>, most: usize) -> Result<FleetOverview> {
        let registry = self.registry()?;
        let heads = if self.merged_file().exists() { self.merged_heads()? } else { HeadVector::new() };
        let mut failures = self.merge_failures();
        let mut ledgers: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (id, entry) in registry.ledgers() {
            ledgers.entry(&entry.machine).or_default().push((id, entry));
        }
        let behind =
            registry.machines().iter().filter(|machine| after.is_none_or(|after| machine.name.as_str() > after));
        let mut machines = Vec::new();
        for machine in behind.clone().take(most) {
            let mut own = Vec::new();
            for (id, entry) in ledgers.remove(machine.name.as_str()).unwrap_or_default() {
                let (size, pushed_at) = self.last_push(&entry.origin)?;
                own.push(LedgerOverview {
                    ledger: id.clone(),
                    size,
                    merged: heads.get(id).copied().unwrap_or(0),
                    pushed_at,
                    continues: entry.continues.clone(),
                    failure: failures.ledgers.remove(id),
                });
            }
            machines.push(MachineOverview {
                machine: machine.name.clone(),
                person: machine.person.clone(),
                team: machine.team.clone(),
                enrolled_at: machine.enrolled_at,
                revoked_at: machine.revoked_at,
                ledgers: own,
                refused: self.refusals.of(&machine.name),
            });
        }
        let own = match &self.own {
            Some(own) => Some((own.head()?.position.get(), heads.get(OWN).copied().unwrap_or(0))),
            None => None,
        };
        Ok(FleetOverview {
            total: registry.machines().len(),
            is_cut: behind.count() > machines.len(),
            machines,
            own,
            failure: failures.whole.or_else(|| failures.ledgers.remove(OWN)),
        })
    }

    /// Size and time of the last checkpoint of an origin that this server cosigned.
    fn last_push(&self, origin: &str) -> Result<(u64, Option<Timestamp>)> {
        let Some((note, checkpoint)) = self.witness_log(Vec::new())?.last(origin)? else { return Ok((0, None)) };
        let seconds = self.cosigner()?.witness().cosigned(&note)?;
        let time = |seconds: u64| {
            let millis = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000));
            millis
                .map(Timestamp::from_millis)
                .ok_or_else(|| Error::invalid("a cosignature is dated outside of all years"))
        };
        Ok((checkpoint.size(), seconds.map(time).transpose()?))
    }
}
