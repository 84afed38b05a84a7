//! Where a ledger is: its row in `heads` can name another cluster, and then takes no commits.
//!
//! A move changes the rows of both clusters in steps, each of which is one statement that checks what was there before. The
//! row of the cluster that the ledger leaves decides: `leaving` can be undone, `moved` cannot.

use tokio_postgres::Row;

use super::address::PostgresAddress;
use super::failure::RequestFailure;
use crate::model::error::{Error, Result};

/// What a row in `heads` says of its ledger. As JSON, because tables of an earlier schema lack the columns.
pub(super) const PLACE: &str =
    "to_jsonb(h) ->> 'moved_state', to_jsonb(h) ->> 'moved_to', to_jsonb(h) ->> 'moved_address'";

/// Why a ledger takes no commits here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveState {
    /// A copy that is being made of the ledger, which is on the other cluster.
    Incoming,
    /// The ledger is complete here and takes no more events. Its copy on the other cluster may not be complete yet.
    Leaving,
    /// The ledger is on the other cluster.
    Moved,
}

#[cfg(feature = "cli")]
impl MoveState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Leaving => "leaving",
            Self::Moved => "moved",
        }
    }
}

/// A cluster: its name in the map of clusters, and the address of the ledger there for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherCluster {
    pub name: String,
    pub address: String,
}

/// The other cluster that a row in `heads` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerRedirect {
    pub state: MoveState,
    pub to: OtherCluster,
}

impl LedgerRedirect {
    /// Reads the columns [`PLACE`], which begin at a number.
    pub(super) fn of(row: &Row, first: usize) -> Result<Option<Self>, RequestFailure> {
        let text = |column: usize| -> Result<Option<String>, RequestFailure> {
            let damaged = || Error::damaged(None, "the place of the ledger in the table heads is unreadable");
            row.try_get(first + column).map_err(|_| RequestFailure::Other(damaged()))
        };
        let Some(state) = text(0)? else { return Ok(None) };
        let state = match state.as_str() {
            "incoming" => MoveState::Incoming,
            "leaving" => MoveState::Leaving,
            "moved" => MoveState::Moved,
            other => {
                let what = format!("the table heads has the state `{other}`, which this build does not know");
                return Err(RequestFailure::Other(Error::damaged(None, what)));
            }
        };
        let named = |column: usize| {
            text(column)?.ok_or_else(|| {
                let what = "the row of the ledger in the table heads names no other cluster";
                RequestFailure::Other(Error::damaged(None, what))
            })
        };
        let to = OtherCluster { name: named(1)?, address: named(2)? };
        Ok(Some(Self { state, to }))
    }

    /// The error for a caller that does not follow.
    pub(super) fn refusal(self, address: &PostgresAddress) -> Error {
        Error::Moved {
            path: address.as_path(),
            cluster: self.to.name,
            address: self.to.address,
            is_complete: self.state != MoveState::Leaving,
        }
    }
}
