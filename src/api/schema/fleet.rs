//! The machines of a fleet.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

/// Where a ledger leaves the history of another one.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ForkAnswer {
    ledger: String,
    /// The first position that is not in the other ledger
    position: u64,
}

/// A pushed ledger.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct PushedAnswer {
    ledger: String,
    /// The last position that the server cosigned
    position: u64,
    /// The position up to which its events count in sums
    merged: u64,
    /// When the server cosigned its last push
    #[schema(required, format = DateTime)]
    pushed_at: Option<String>,
    #[schema(required)]
    continues: Option<ForkAnswer>,
}

/// A machine that may push.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct MachineAnswer {
    machine: String,
    #[schema(required)]
    person: Option<String>,
    #[schema(required)]
    team: Option<String>,
    #[schema(format = DateTime)]
    enrolled_at: String,
    /// When its token ended
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
    #[schema(required, format = DateTime)]
    pushed_at: Option<String>,
    ledgers: Vec<PushedAnswer>,
}

/// The server's own ledger: telemetry, and records that reached it by its API.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnLedgerAnswer {
    position: u64,
    /// The position up to which its events count in sums
    merged: u64,
}

/// Something that needs a person.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetWarningAnswer {
    #[schema(required)]
    machine: Option<String>,
    #[schema(required)]
    ledger: Option<String>,
    what: String,
    remedy: String,
    #[schema(format = DateTime)]
    at: String,
}

/// Some machines, in the order of their names.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetMachinesAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Time of the answer
    #[schema(format = DateTime)]
    now: String,
    machines: Vec<MachineAnswer>,
    /// The number of all machines
    total: u64,
    /// Value of `after` for the next call; null at the last machine
    #[schema(required)]
    next: Option<String>,
    #[schema(required)]
    server: Option<OwnLedgerAnswer>,
    /// Of the machines of this answer
    warnings: Vec<FleetWarningAnswer>,
}
