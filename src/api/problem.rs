//! A failure as a JSON object (RFC 9457), the same in every interface.

use serde::Serialize;

use super::fault::Fault;
use crate::model::time::Timestamp;

/// The description of a failure for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub r#type: String,
    pub title: &'static str,
    /// The HTTP status with the same meaning.
    pub status: u16,
    pub detail: String,
    pub remedy: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumes_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let entry = fault.kind.entry();
        Self {
            r#type: urn(entry.name),
            title: entry.title,
            status: entry.status,
            detail: fault.detail.into(),
            remedy: fault.remedy.into(),
            candidates: fault.candidates,
            position: fault.position,
            resumes_at: fault.resumes_at,
            record: fault.record,
        }
    }
}

impl Problem {
    /// Returns the object as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| format!("{{\"status\":{}}}", self.status))
    }
}

/// Returns the type of a problem.
fn urn(name: &str) -> String {
    format!("urn:usage-ledger:problem:{name}")
}
