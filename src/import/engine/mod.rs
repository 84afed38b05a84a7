//! The importer: it finds logs, reads them, reconciles their calls with the ledger and writes.

pub(in crate::import) mod attribution;
pub(in crate::import) mod background;
pub(in crate::import) mod backpressure;
pub(in crate::import) mod batcher;
pub(in crate::import) mod compression;
pub(in crate::import) mod data_dirs;
pub(in crate::import) mod discover;
pub(in crate::import) mod document;
pub(in crate::import) mod fields;
pub(in crate::import) mod file_calls;
pub(in crate::import) mod first;
pub(in crate::import) mod follow;
pub(in crate::import) mod jsonl;
pub(in crate::import) mod merge;
pub(in crate::import) mod partial_lines;
pub(in crate::import) mod platform_dirs;
pub(in crate::import) mod provider_names;
pub(in crate::import) mod reader;
pub(in crate::import) mod reconcile;
pub(in crate::import) mod redacted_logs;
pub(in crate::import) mod run;
pub(in crate::import) mod seen_keys;
pub(in crate::import) mod source;
pub(in crate::import) mod telemetry_match;
pub(in crate::import) mod watched_dirs;
pub(in crate::import) mod writer;
