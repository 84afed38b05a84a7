//! Crashes, power cuts, failing disks and random histories: after each, the ledger opens, verifies, and contains every
//! acknowledged event. `RELIABILITY.md` lists the promises.
//!
//! `RELIABILITY_SEED` repeats a run. `RELIABILITY_KILLS`, `RELIABILITY_CUTS`, `RELIABILITY_FAULTS` and
//! `RELIABILITY_HISTORIES` set how much is tried; `RELIABILITY_FAULTS=all` tries every call. `RELIABILITY_CROWD_SECONDS` sets
//! how long many processes record together.

#![cfg(all(target_os = "linux", feature = "cli"))]
#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[cfg(feature = "web")]
mod corpora;
#[path = "../corpus/mod.rs"]
mod corpus;
mod crowd;
mod directories;
mod faults;
mod kills;
#[allow(dead_code)] // the simulator asks less than the properties do
#[path = "../naive/mod.rs"]
mod naive;
mod power_cuts;
mod scenario;
mod schemas;
mod shim;
mod simulator;
mod survey;
#[cfg(feature = "web")]
mod targets;
mod threads;
mod worker;

use corpus::rng::Rng;

/// The program under test: that of this build, or the one in `RELIABILITY_PROGRAM`.
fn program() -> std::ffi::OsString {
    std::env::var_os("RELIABILITY_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_usage-ledger").into())
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The generator of a test. It prints the seed that repeats a failure.
fn seeded(test: &str) -> (u64, Rng) {
    let fresh = u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().unwrap());
    let seed = setting("RELIABILITY_SEED", fresh);
    eprintln!("{test}: RELIABILITY_SEED={seed}");
    (seed, Rng::new(seed))
}
