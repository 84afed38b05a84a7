//! Sums and reports.

use std::collections::BTreeMap;

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

/// Tokens by class; the total is the sum of all classes.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenCounts {
    /// Uncached input
    input: u64,
    /// Input read from a cache
    cache_read: u64,
    /// Input written to a cache, of any lifetime
    cache_write: u64,
    /// Visible output
    output: u64,
    /// Reasoning output
    reasoning: u64,
    /// The sum
    total: u64,
    /// The part of `cache_write` with a lifetime of five minutes
    cache_write_5m: u64,
    /// The part of `cache_write` with a lifetime of an hour
    cache_write_1h: u64,
}

/// Money in US dollars, as decimal strings; null is unknown, never 0.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct CostSums {
    /// Computed from a price table
    #[schema(required)]
    usd: Option<String>,
    /// Reported by agents and providers
    #[schema(required)]
    reported_usd: Option<String>,
    /// Number of requests without a known price
    unpriced_requests: u64,
}

/// Requests, tokens and cost.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageSums {
    requests: u64,
    tokens: TokenCounts,
    cost: CostSums,
}

/// The state that an answer is based on.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadAnswer {
    position: u64,
    /// Root hash of the Merkle tree, in hexadecimal
    root: String,
}

/// A row of a report: the value of each key under its name, and the sums.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
pub(crate) struct RowAnswer {
    requests: u64,
    tokens: TokenCounts,
    cost: CostSums,
}

/// Origin of computed costs.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct PricesAnswer {
    #[schema(required)]
    table: Option<String>,
    #[schema(required)]
    published: Option<String>,
    #[schema(required)]
    sha256: Option<String>,
    /// Positions of the events with the user's own prices
    own: Vec<u64>,
}

/// Outcomes of sessions.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomesAnswer {
    productive: u64,
    empty: u64,
    blocked: u64,
    tokens: u64,
    #[schema(required)]
    tokens_per_productive: Option<f64>,
    /// Share of tokens or sessions without a result
    waste: f64,
    #[schema(required)]
    trend: Option<String>,
}

/// The answer of `report`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    head: HeadAnswer,
    rows: Vec<RowAnswer>,
    total: UsageSums,
    prices: PricesAnswer,
    #[schema(nullable = false)]
    outcomes: Option<OutcomesAnswer>,
    /// Over all machines: for each ledger the position up to which its events count. `server` is the server's own ledger
    #[schema(nullable = false)]
    heads: Option<BTreeMap<String, u64>>,
}

/// The share of the spend of a provider, or of one of its accounts, that statements confirm.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmedAnswer {
    provider: String,
    /// Absent for statements about all accounts
    #[schema(nullable = false)]
    account: Option<String>,
    /// How many statements hold
    statements: u64,
    /// The first instant that they cover
    #[schema(format = DateTime)]
    since: String,
    /// The first instant after them
    #[schema(format = DateTime)]
    until: String,
    /// The computed cost of all calls, in US dollars
    usd: String,
    /// The computed cost of the days and models on which ledger and statements agree
    confirmed_usd: String,
    /// Confirmed cost as a percentage of all cost; null without cost
    #[schema(required)]
    percent: Option<f64>,
}
