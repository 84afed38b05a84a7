//! The operations for programs, with the answers of `--json`.
//!
//! The command, the HTTP API and the interfaces on standard input and output share these functions, so all give the
//! same answers. An operation takes a typed input, uses a [`LedgerOperations`](service::LedgerOperations), and returns a
//! [`OperationReply`](service::OperationReply) or a [`Fault`](fault::Fault).

pub(crate) mod bill;
pub(crate) mod call;
pub(crate) mod confirmed;
pub(crate) mod events;
#[cfg(feature = "mcp")]
pub(crate) mod explain;
pub(crate) mod fault;
pub(crate) mod figure;
pub(crate) mod findings;
#[cfg(feature = "web")]
pub(crate) mod fleet;
#[cfg(feature = "mcp")]
pub(crate) mod forecast;
pub(crate) mod gate;
pub(crate) mod imports;
pub(crate) mod input;
pub(crate) mod json_line;
pub(crate) mod log;
pub(crate) mod operations;
pub(crate) mod overview;
pub(crate) mod problem;
pub(crate) mod proofs;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod report_rows;
pub(crate) mod reserve;
pub(crate) mod scan;
#[cfg(any(feature = "web", feature = "mcp", test))]
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod switch;
pub(crate) mod view_inputs;
pub(crate) mod views;
