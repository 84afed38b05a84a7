//! Shared by the surfaces: bars, tables, numbers, clocks and wording.

pub(crate) mod alerts;
pub(crate) mod bars;
pub(crate) mod chart;
pub(crate) mod clock;
pub(crate) mod costs;
#[cfg_attr(not(feature = "tui"), allow(dead_code))] // the dashboard shows more than one line can
pub(crate) mod decision_text;
pub(crate) mod errors;
pub(crate) mod failure;
pub(crate) mod money;
pub(crate) mod output;
pub(crate) mod periods;
pub(crate) mod policy;
pub(crate) mod summary;
#[cfg_attr(not(feature = "tui"), allow(dead_code))] // its names are for users of the dashboard
pub(crate) mod tint;
pub(crate) mod visible;
