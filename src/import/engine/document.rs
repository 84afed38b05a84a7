//! What an importer reads in a document or a database.

use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::model::time::Timestamp;

/// What a document or a database tells.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub found: Vec<ParsedCall>,
    /// Parts that cannot be taken in: which one, counted from 1 (0 for the whole), and why.
    pub skipped: Vec<(u64, String)>,
    /// The conversation the document is the log of, if it is of one.
    pub conversation: Option<String>,
    /// The first time that stands in it.
    pub began: Option<Timestamp>,
    /// When conversations began, of a database that holds many; told anew with every reading.
    pub conversations: Vec<(String, Timestamp)>,
    /// What a later reading needs to tell what is new.
    pub resume: Option<serde_json::Value>,
    /// Why the reading ended before all was read. A later import goes on from `resume`.
    pub cut: Option<Refusal>,
}
