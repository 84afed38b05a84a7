//! `overview`: today, this week and this month, and the windows of every account.

use serde::Serialize;

use super::status::{self, TimedStatus};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::time::{Timestamp, Zone};
use crate::present::periods::Periods;

/// Number of switches in an answer; `switches` counts all of them.
const SWITCHES: usize = 20;

/// The status, the periods, and the zone that the periods are of.
#[derive(Serialize)]
pub(crate) struct Overview {
    #[serde(flatten)]
    pub status: TimedStatus,
    pub periods: Periods,
    pub zone: Zone,
}

/// Computes the overview at a time.
pub(crate) fn answer(snapshot: &Snapshot<'_>, zone: Zone, now: Timestamp) -> Result<Overview> {
    Ok(Overview { status: status::answer(snapshot, now)?, periods: Periods::at(snapshot, zone, now)?, zone })
}

impl Overview {
    /// Leaves only the last switches, so that the size of the answer does not grow with the ledger.
    pub fn with_last_switches(mut self) -> Self {
        let timeline = &mut self.status.state.status.timeline;
        timeline.drain(..timeline.len().saturating_sub(SWITCHES));
        self
    }
}
