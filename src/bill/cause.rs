//! The causes of a difference.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::model::time::Timestamp;
use crate::model::tokens::Usd;

/// Why ledger and statement differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Telemetry alone reports these calls, and the statement does not have them.
    OnlyInTelemetry {
        requests: usize,
    },
    /// The agent made these calls for itself, and the statement does not have them.
    BackgroundCall {
        requests: usize,
    },
    /// A machine that the ledger or the statement names.
    AnotherMachine {
        machine: String,
        /// The last call of the machine in the ledger.
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
        /// How many rows have the same factor.
        rows: usize,
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

/// A cause with its part of the difference: statement minus ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NamedCause {
    #[serde(flatten)]
    pub cause: Cause,
    /// Tokens by class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<&'static str, i128>,
    /// Money; null if it is not known.
    pub usd: Option<Usd>,
}

fn as_text<S: Serializer>(factor: &Decimal, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(factor)
}

impl Cause {
    /// The place in the order in which causes are tried.
    pub(super) const fn order(&self) -> u8 {
        match self {
            Self::OnlyInTelemetry { .. } => 0,
            Self::BackgroundCall { .. } => 1,
            Self::AnotherMachine { .. } => 2,
            Self::AnotherKey { .. } => 3,
            Self::DayBorder { .. } => 4,
            Self::Price { .. } => 5,
            Self::Tier { .. } => 6,
            Self::CacheWriteLifetime => 7,
            Self::Unknown => 8,
        }
    }

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
            Self::Price { factor, rows } => format!("price: {factor} of the list price, as in {rows} rows"),
            Self::Tier { name, factor } => format!("tier, speed or geography: {name}, {factor} of the list price"),
            Self::CacheWriteLifetime => "lifetime of cache writes".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}
