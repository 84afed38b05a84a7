//! Pure parts: events, windows, folds, normalisers, prices, the gate.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../naive/mod.rs"]
mod naive;

mod agent_names;
mod circles;
mod clock;
mod counted_at;
mod exhaustion;
mod fold_properties;
mod gate;
mod layers;
mod normalise;
mod priced_reports;
mod prices;
mod quota;
mod reservations;
mod type_names;
mod voids;
