//! Prints numbers and durations for people.

pub mod duration;
pub mod number;
