//! The one-line summary of an event, as a terminal shows it.

use crate::model::event::{EventData, Payload, TokenRecord};
use crate::present::output::EscapedText;

/// Returns the summary of an event, on one line and without control characters.
pub(crate) fn summary(payload: &Payload) -> String {
    EscapedText(&payload.summary()).to_string()
}

/// Returns the summary of a token record, which may contain control characters.
pub(crate) fn record(record: &TokenRecord) -> String {
    record.summary()
}
