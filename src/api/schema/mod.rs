//! The shapes of answers in the OpenAPI document.
//!
//! The types that produce the answers belong to lower layers, which do not know OpenAPI. A test parses real answers
//! with these types and refuses unknown and missing fields, so both stay equal.
#![allow(dead_code)] // the OpenAPI derive reads these types, and nothing constructs them

#[cfg(any(feature = "web", test))]
mod fleet;
mod inputs;
mod log;
mod status;
#[cfg(test)]
mod tests;
#[cfg(feature = "mcp")]
mod tools;
mod usage;
#[cfg(any(feature = "web", test))]
mod views;
mod windows;

#[cfg(any(feature = "web", test))]
pub(crate) use fleet::FleetMachinesAnswer;
pub(crate) use inputs::{RecordInput, RecordsInput, SettleInput};
pub(crate) use log::{
    CheckpointAnswer, ConsistencyAnswer, EventsAnswer, InclusionAnswer, ProblemAnswer, ReceiptAnswer,
    ReservationAnswer, ScanOutputAnswer, TallyAnswer,
};
pub(crate) use status::StatusAnswer;
#[cfg(feature = "mcp")]
pub(crate) use tools::{ExplainAnswer, ForecastAnswer};
pub(crate) use usage::ReportAnswer;
#[cfg(any(feature = "web", test))]
pub(crate) use views::{
    AboutAnswer, BillAnswer, EventSummariesAnswer, FigureAnswer, ImportsAnswer, LineAnswer, OverviewAnswer, ShowAnswer,
    WarningsAnswer,
};
pub(crate) use windows::GateAnswer;
