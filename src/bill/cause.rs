//! The causes of a difference.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::model::time::Timestamp;

/// Why ledger and statement differ. A cause explains the whole difference of its row, to the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Telemetry alone reports these calls.
    OnlyInTelemetry {
        requests: usize,
    },
    /// The agent made these calls for itself.
    BackgroundCall {
        requests: usize,
    },
    /// A machine whose calls are recorded up to a time, and not since.
    AnotherMachine {
        machine: String,
        last_call: Timestamp,
    },
    /// The calls of a key, workspace or user that the ledger does not record.
    AnotherKey {
        name: String,
    },
    /// The provider counts these calls in the neighbouring bucket.
    DayBorder {
        requests: usize,
    },
    /// The tokens are equal, and the money is the list price times a factor.
    Price {
        #[serde(serialize_with = "as_text")]
        factor: Decimal,
    },
    /// The tokens are equal, and the row has a tier, speed, region or context window with a price of its own.
    Tier {
        name: String,
        #[serde(serialize_with = "as_text")]
        factor: Decimal,
    },
    /// The cache writes are equal, and their lifetimes differ.
    CacheWriteLifetime,
    Unknown,
}

fn as_text<S: Serializer>(factor: &Decimal, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(factor)
}

impl Cause {
    /// The words of the cause.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::OnlyInTelemetry { requests } => format!("only in telemetry: {requests} calls"),
            Self::BackgroundCall { requests } => format!("background calls: {requests}"),
            Self::AnotherMachine { machine, last_call } => {
                format!("another machine has not pushed: {machine}, last call at {last_call}")
            }
            Self::AnotherKey { name } => format!("another key or workspace: {name}"),
            Self::DayBorder { requests } => format!("border of the bucket: {requests} calls"),
            Self::Price { factor } => format!("price: {factor} of the list price"),
            Self::Tier { name, factor } => format!("tier, speed or geography: {name}, {factor} of the list price"),
            Self::CacheWriteLifetime => "lifetime of cache writes".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}
