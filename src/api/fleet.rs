//! The operations over the ledgers of all machines.

use std::sync::Arc;

use serde::Serialize;

use super::fault::{Fault, FaultKind};
use super::input::{GateInput, ReportInput, StatusInput, limit};
use super::view_inputs::MachinesInput;
use super::{gate, report, status};
use crate::ledger::Snapshot;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::present::output::JsonAnswer;
use crate::sync::fleet::{FleetServer, HeadVector, LedgerOverview, MachineOverview, MergeFailure, RefusedPush};
use crate::sync::protocol::{LedgerFork, PushObstacle};

/// Default and maximum number of machines in an answer.
const MACHINES: usize = 100;
const MOST_MACHINES: usize = 1_000;
/// A machine that pushed nothing for so long may have stopped to push.
const SILENT: i64 = 7 * DAY;

/// The operations over the ledgers of all machines.
pub(crate) struct FleetOperations {
    fleet: Arc<FleetServer>,
    zone: Zone,
}

/// An answer over the ledgers of all machines.
#[derive(Serialize)]
struct HeadedAnswer<'h, T> {
    #[serde(flatten)]
    answer: T,
    /// The position of each ledger up to which its events count in the answer.
    heads: &'h HeadVector,
}

/// Some machines of a fleet, with their ledgers.
#[derive(Serialize)]
struct MachineList {
    now: Timestamp,
    machines: Vec<MachineWithHeads>,
    /// The number of all machines.
    total: usize,
    /// Value of `after` for the next call; null at the last machine.
    next: Option<String>,
    /// The server's own ledger.
    server: Option<OwnLedger>,
    warnings: Vec<FleetWarning>,
}

#[derive(Serialize)]
struct MachineWithHeads {
    machine: String,
    person: Option<String>,
    team: Option<String>,
    enrolled_at: Timestamp,
    revoked_at: Option<Timestamp>,
    /// When the server cosigned the last push.
    pushed_at: Option<Timestamp>,
    ledgers: Vec<ListedLedger>,
}

#[derive(Serialize)]
struct ListedLedger {
    ledger: String,
    position: u64,
    /// The position up to which its events count in sums.
    merged: u64,
    pushed_at: Option<Timestamp>,
    continues: Option<LedgerFork>,
}

#[derive(Serialize)]
struct OwnLedger {
    position: u64,
    merged: u64,
}

/// Something that needs a person.
#[derive(Serialize)]
struct FleetWarning {
    machine: Option<String>,
    ledger: Option<String>,
    what: String,
    remedy: String,
    at: Timestamp,
}

impl FleetOperations {
    pub const fn new(fleet: Arc<FleetServer>, zone: Zone) -> Self {
        Self { fleet, zone }
    }

    /// The server of the pushed ledgers.
    pub const fn server(&self) -> &Arc<FleetServer> {
        &self.fleet
    }

    /// Reports usage and cost.
    pub fn report(&self, input: &ReportInput, now: Timestamp) -> Result<String, Fault> {
        refuse_as_of(input.as_of.is_some())?;
        let query = input.query(self.zone, now)?;
        self.ask(now, |snapshot| Ok(report::answer(snapshot, query, input)?))
    }

    /// Windows and cost of every provider account. An account that several machines use has one set of windows.
    pub fn status(&self, input: &StatusInput, now: Timestamp) -> Result<String, Fault> {
        refuse_as_of(input.as_of.is_some())?;
        self.ask(now, |snapshot| Ok(JsonAnswer::new(status::answer(snapshot, now)?)))
    }

    /// Decides whether a run may start, from the usage of all machines.
    pub fn gate(&self, input: &GateInput, now: Timestamp) -> Result<String, Fault> {
        refuse_as_of(input.as_of.is_some())?;
        self.ask(now, |snapshot| {
            let verdict = snapshot.gate(&input.request(snapshot, now)?, now)?;
            Ok(JsonAnswer::new(gate::priced(snapshot, verdict, self.zone, now)?))
        })
    }

    /// Lists machines with the heads of their ledgers, and what needs a person.
    pub fn machines(&self, input: &MachinesInput, now: Timestamp) -> Result<String, Fault> {
        let overview = self.fleet.overview(input.after.as_deref(), limit(input.limit, MACHINES, MOST_MACHINES)?)?;
        let mut warnings: Vec<FleetWarning> =
            overview.failure.iter().map(|failure| unmerged(None, None, failure)).collect();
        for machine in &overview.machines {
            warn(machine, now, &mut warnings);
        }
        let last = overview.machines.last().map(|machine| machine.machine.clone());
        let answer = MachineList {
            now,
            total: overview.total,
            next: last.filter(|_| overview.is_cut),
            server: overview.own.map(|(position, merged)| OwnLedger { position, merged }),
            machines: overview.machines.into_iter().map(MachineWithHeads::from).collect(),
            warnings,
        };
        to_json(&JsonAnswer::new(answer))
    }

    fn ask<T: Serialize>(
        &self,
        now: Timestamp,
        ask: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault>,
    ) -> Result<String, Fault> {
        self.fleet.ask_merged(now, |snapshot, heads| to_json(&HeadedAnswer { answer: ask(snapshot)?, heads }))?
    }
}

impl From<MachineOverview> for MachineWithHeads {
    fn from(machine: MachineOverview) -> Self {
        let pushed_at = machine.ledgers.iter().filter_map(|ledger| ledger.pushed_at).max();
        let listed = |ledger: LedgerOverview| ListedLedger {
            ledger: ledger.ledger,
            position: ledger.size,
            merged: ledger.merged,
            pushed_at: ledger.pushed_at,
            continues: ledger.continues,
        };
        Self {
            machine: machine.machine,
            person: machine.person,
            team: machine.team,
            enrolled_at: machine.enrolled_at,
            revoked_at: machine.revoked_at,
            pushed_at,
            ledgers: machine.ledgers.into_iter().map(listed).collect(),
        }
    }
}

fn unmerged(machine: Option<&str>, ledger: Option<&str>, failure: &MergeFailure) -> FleetWarning {
    FleetWarning {
        machine: machine.map(str::to_owned),
        ledger: ledger.map(str::to_owned),
        what: format!("new events do not count in sums: {}", failure.message),
        remedy: "the server tries again; its log has the reason".to_owned(),
        at: failure.at,
    }
}

fn refused(machine: &MachineOverview, refused: &RefusedPush) -> FleetWarning {
    let remedy = match refused.title {
        PushObstacle::Fork => format!(
            "two machines use one ledger: on this one run `usage-ledger push --as-new-ledger --from {}`",
            refused.position.map_or_else(|| "POSITION".to_owned(), |position| position.to_string())
        ),
        PushObstacle::Forbidden => {
            "give the machine its own ledger, or push with the token of the other machine".to_owned()
        }
        _ => "run `usage-ledger push` on the machine and follow its message".to_owned(),
    };
    FleetWarning {
        machine: Some(machine.machine.clone()),
        ledger: Some(refused.ledger.clone()),
        what: format!("a push was refused: {}", refused.detail),
        remedy,
        at: refused.at,
    }
}

/// Adds what needs a person at a machine.
fn warn(machine: &MachineOverview, now: Timestamp, warnings: &mut Vec<FleetWarning>) {
    warnings.extend(machine.refused.iter().map(|push| refused(machine, push)));
    for ledger in &machine.ledgers {
        let failure = ledger.failure.as_ref();
        warnings.extend(failure.map(|failure| unmerged(Some(&machine.machine), Some(&ledger.ledger), failure)));
    }
    let last = machine.ledgers.iter().filter_map(|ledger| ledger.pushed_at).max();
    let since = last.unwrap_or(machine.enrolled_at);
    if machine.revoked_at.is_none() && now.millis().saturating_sub(since.millis()) > SILENT {
        warnings.push(FleetWarning {
            machine: Some(machine.machine.clone()),
            ledger: None,
            what: if last.is_some() { "it pushed nothing for a week" } else { "it has pushed nothing yet" }.to_owned(),
            remedy: "check that `usage-ledger push` runs in a timer, or revoke the token of a machine that is gone"
                .to_owned(),
            at: since,
        });
    }
}

fn to_json(answer: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(answer).map_err(|error| Fault::new(FaultKind::Bug, error.to_string(), "report this message"))
}

/// A position belongs to one ledger, and each ledger has its own times of recording.
fn refuse_as_of(is_given: bool) -> Result<(), Fault> {
    if is_given { Err(Fault::input("`as_of` names a position of one ledger: leave it out")) } else { Ok(()) }
}
