//! Numbers and durations as people read them.

pub mod duration;
pub mod number;
