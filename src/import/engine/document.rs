//! The result of parsing a document or a database.

use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::model::time::Timestamp;

/// The result of parsing a document or a database.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub calls: Vec<ParsedCall>,
    /// Entries that cannot be used: the number of the entry from 1 (0 for the whole file), and the reason.
    pub skipped: Vec<(u64, String)>,
    /// The conversation of the document, if it belongs to one.
    pub conversation: Option<String>,
    /// The earliest time in it.
    pub began: Option<Timestamp>,
    /// Start times of conversations in a database that contains several. Each reading reports all of them.
    pub conversations: Vec<(String, Timestamp)>,
    /// State from which a later reading continues.
    pub resume: Option<serde_json::Value>,
    /// Reason why the reading ended early. A later import continues from `resume`.
    pub cut: Option<Refusal>,
}
