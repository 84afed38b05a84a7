//! An event-sourced, tamper-evident ledger of LLM token usage.
//!
//! Every token record and every provider switch is an event: one line of JSON, stored once and never changed. Counters
//! (a provider's session window, its week, all time) are folds over those events, kept up to date in the transaction
//! that appends them. A switch is a marker in the fold, never a reset. Corrections are events too, and an RFC 6962
//! Merkle tree over all lines shows whether anything was altered.
//!
//! ```
//! use usage_ledger::event::LimitSet;
//! use usage_ledger::{AsOf, Ledger, Report, ReportKey::{Day, Provider}, Timestamp, TokenRecord};
//!
//! let now: Timestamp = "2026-11-23T20:00:00Z".parse()?; // or Timestamp::now()
//! let ledger = Ledger::in_memory()?; // or Ledger::open("usage.db")
//! ledger.set_limit(LimitSet::new("anthropic")?.session(1_000), now)?;
//! let call = TokenRecord::new("anthropic", "claude-opus-4-5").input(620).output(140).project("acme").key("msg_1");
//! ledger.record(call.clone(), now)?;
//! ledger.record(call, now)?; // a retry: the same key is the same call, counted once
//!
//! let verdict = ledger.budget("anthropic", now)?; // may I run?
//! assert!(verdict.gated, "{}", verdict.reason); // 76 % used, 10 % are kept as a margin
//! ledger.switch_provider("ollama", &verdict.reason, now)?;
//! ledger.record(TokenRecord::new("ollama", "qwen3").input(50), now)?;
//!
//! let usage = ledger.provider("anthropic", now)?;
//! assert_eq!(usage.session.usage.tokens.total(), 760); // the switch wiped nothing
//! let table = ledger.report(&Report::by(Day).and(Provider))?;
//! assert_eq!((table.rows.len(), table.total.tokens.total()), (2, 810));
//! let before = ledger.as_of(AsOf::Position(2.into()))?.status(now)?; // what was known then?
//! assert_eq!(before.active_provider.as_deref(), Some("anthropic"));
//! assert!(ledger.verify()?.ok); // every hash, the tree and all counters, worked out again
//! # Ok::<(), usage_ledger::Error>(())
//! ```
//!
//! # Where to start
//!
//! * [`Ledger`] is the single entry point: it opens, appends, corrects, answers and verifies. A [`Snapshot`] answers
//!   several questions about one state.
//! * [`TokenRecord`] is the usage of one call; [`normalise`] makes it from a provider's response.
//! * [`Report`] answers who used how much; [`budget`] decides whether a run may start; [`usage`] describes windows.
//! * [`quota`] reads what providers say about their windows.
//! * [`event`] defines every kind of event, [`store`] the contract of a store, [`export`] the formats of other programs.
//! * [`merkle`] has signed checkpoints and proofs for a reader who does not trust the owner of the ledger.
//! * [`Error`] lists every failure and its remedy.
//!
//! No call reads the clock by itself: each one that depends on the time takes it as `now`, such as [`Timestamp::now`].
//!
//! # What it is not
//!
//! * Not a proxy: it knows what agents log and what you record, not your traffic. The library makes no network
//!   call, except to a store in PostgreSQL.
//! * Not an invoice: costs are worked out by a public price table of a known date and by what you [state](model::event::PriceSet),
//!   and stand beside what agents reported. A price that is not known is `None`, never 0.
//! * Not a guess at a subscription: a limit is what you set or what the provider said, else the percentage is `None`.
//! * Not proof against the owner of the file alone: who rewrites lines, tree and counters together is found only
//!   against a checkpoint kept elsewhere ([`Snapshot::checkpoint`], [`Ledger::verify_against`]).
//! * Not a store of prompts or completions: a record has counts, names and the provider's usage object.
//!
//! # Limits
//!
//! * A count is at most [`MAX_COUNT`] tokens (2^53 − 1); sums have 128 bits, so no ledger overflows them.
//! * Times are whole milliseconds in UTC, years 1 to 9999; rollups are by quarter of an hour; a report that cuts
//!   finer reads the records of the quarters that it cuts.
//! * A text field is at most 4096 bytes, a provider id at most 64 ([`ProviderId::MAX_LEN`]).
//! * Money is US dollars, exact to 12 decimals.
//! * One writer at a time: others wait, up to 60 s by default ([`store::Options::busy_timeout_seconds`]). Readers do
//!   not.
//! * [`store::MemoryStore`] copies the whole ledger on each write: it is for tests and short-lived ledgers.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `cli` | yes | the command `usage-ledger`, with `import` |
//! | `tui` | yes | the dashboard `usage-ledger watch` |
//! | `web` | yes | what `usage-ledger serve` listens with: the HTTP API, and telemetry over OTLP/HTTP |
//! | `mcp` | yes | `usage-ledger mcp`: tools for agents over the Model Context Protocol |
//! | `parquet` | yes | `export --format parquet` |
//! | `conformance` | no | `store::conformance`: rules that test a store of your own |
//! | `import` | by `cli` | `import`: the logs of coding agents, as `import::names` lists them, into a ledger |
//!
//! `default-features = false` leaves the library alone: events, stores, reports, budget, normalisers, export,
//! checkpoints and proofs.

#[cfg(feature = "cli")]
mod api;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod app;
#[cfg(feature = "cli")]
mod bill;
pub mod budget;
#[cfg(feature = "cli")]
mod cli;
#[cfg(all(test, feature = "cli"))]
mod cost_tests;
pub mod export;
#[cfg(feature = "import")]
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))] // the command also inspects logs
pub mod import;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod ledger;
#[cfg(feature = "mcp")]
mod mcp;
pub mod merkle;
mod model;
#[cfg(feature = "cli")]
mod present;
mod projection;
mod readers;
pub mod report;
#[cfg(feature = "cli")]
mod sql;
pub mod store;
#[cfg(feature = "cli")]
mod sync;
#[cfg(feature = "tui")]
mod tui;
pub mod usage;
#[cfg(feature = "web")]
mod web;

pub use budget::{ProviderStatus, Status};
pub use ledger::{
    AsOf, Backup, Finding, Ledger, Outcome, Repair, Restored, Shred, Shredding, Snapshot, Tail, TailStopper,
    Verification,
};
pub use model::error::{Error, Result};
pub use model::event::{EventId, Position, TokenRecord};
pub use model::provider::ProviderId;
pub use model::time::{Timestamp, Zone};
pub use model::tokens::{IMPLAUSIBLE_COUNT, MAX_COUNT, TokenClass, Tokens, Usd};
pub use model::{event, time};
pub use readers::{normalise, price, quota};
pub use report::{Report, ReportKey, ReportRow, ReportTable};
