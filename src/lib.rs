//! An event-sourced, tamper-evident ledger of LLM token usage.

pub mod audit;
pub mod budget;
#[cfg(feature = "cli")]
pub mod cli;
mod error;
pub mod event;
pub mod export;
#[cfg(feature = "import")]
pub mod import;
mod ledger;
pub mod normalise;
mod projection;
pub mod provider;
mod report;
pub mod store;
pub mod time;
mod tokens;
pub mod usage;
mod view;
mod window;

pub use budget::{ProviderStatus, Status};
pub use error::{Error, Result};
pub use event::{EventId, Position, TokenRecord};
pub use ledger::{AsOf, Finding, Ledger, Outcome, Sight, Verification};
pub use provider::ProviderId;
pub use report::{Report, ReportKey, Table, TableRow};
pub use time::{Timestamp, Zone};
pub use tokens::{MAX_COUNT, TokenClass, Tokens, Usd};
