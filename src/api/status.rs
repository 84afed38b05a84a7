//! `status`: windows, cost and decision of every provider account.

use serde::Serialize;

use crate::budget::Status;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::present::costs;

/// The status and its time.
#[derive(Serialize)]
pub(crate) struct StatusAnswer {
    pub now: Timestamp,
    #[serde(flatten)]
    pub state: StatusState,
}

/// The part of the status that changes only with events.
#[derive(Serialize)]
pub(crate) struct StatusState {
    position: Position,
    /// The first event with a recording time in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_ahead: Option<Ahead>,
    #[serde(flatten)]
    pub status: Status,
}

/// An event with a recording time in the future.
#[derive(Serialize)]
pub(crate) struct Ahead {
    pub position: Position,
    pub recorded_at: Timestamp,
}

/// Computes the status at a time.
pub(crate) fn answer(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<StatusAnswer> {
    let ahead = snapshot.recorded_ahead_of(now)?;
    let recorded_ahead = ahead.map(|(position, recorded_at)| Ahead { position, recorded_at });
    let state =
        StatusState { position: snapshot.head()?.position, recorded_ahead, status: costs::status(snapshot, now)? };
    Ok(StatusAnswer { now, state })
}
