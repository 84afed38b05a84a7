//! Importers and telemetry: exact, incremental, idempotent.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../cli_support/mod.rs"]
mod cli_support;
#[path = "../corpus/mod.rs"]
mod corpus;

mod agents;
mod attribution;
mod bounds;
mod clients;
mod corpus_import;
mod documented_agents;
mod first_import;
mod importer_versions;
mod incremental;
mod missing_usage;
mod observations;
mod real_agents;
mod schema_drift;
mod secrets;
mod shred_imports;
mod telemetry;
mod uncounted;
