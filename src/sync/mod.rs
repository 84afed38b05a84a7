//! Exchange with other machines.

pub mod witness;
