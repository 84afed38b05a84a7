//! The store: its contract, concurrency, crashes, damage, full disks.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod concurrency;
mod crash;
mod damage;
mod disk_full;
mod file_identity;
mod golden;
mod handle;
mod mutations;
mod store_contract;
mod tail;
