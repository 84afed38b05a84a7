//! Witnesses: a second party that cosigns each checkpoint of a log, once it is proved to continue the last one.
//!
//! The protocol is `c2sp.org/tlog-witness`, so logs and witnesses of other programs take part. [`WitnessLog`] is the
//! state of a witness, without the network. [`submit`] is the side of the log.

mod log;
mod submit;

#[cfg(feature = "cli")]
pub use log::{WitnessAnswer, WitnessLog};
pub use submit::{Submission, WitnessResponse, submit};
