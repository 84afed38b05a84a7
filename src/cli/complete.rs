//! Values that a shell completes: names that the ledger knows.

use clap_complete::CompletionCandidate;

use super::context::{Context, Globals};
use crate::present::output::EscapedText;
use crate::report::ReportKey;

/// The values of a key. A shell shows nothing where they cannot be read: there is no place for a message.
fn known(key: &ReportKey) -> Vec<CompletionCandidate> {
    let read = || -> Option<Vec<String>> {
        let context = Context::new(Globals::default()).ok()?;
        let (ledger, _) = context.read_with_reason().ok()?;
        ledger.snapshot().ok()?.names(key).ok()
    };
    // A name with hidden characters would steer the terminal.
    let is_plain = |value: &String| EscapedText(value).to_string() == *value;
    read().unwrap_or_default().into_iter().filter(is_plain).map(CompletionCandidate::new).collect()
}

/// Providers of the ledger, then those of the catalogue.
pub(crate) fn providers() -> Vec<CompletionCandidate> {
    let mut found = known(&ReportKey::Provider);
    for provider in crate::model::provider::CATALOGUE.iter().map(|known| known.id) {
        let candidate = CompletionCandidate::new(provider);
        if !found.iter().any(|known| known.get_value() == candidate.get_value()) {
            found.push(candidate);
        }
    }
    found
}

pub(crate) fn accounts() -> Vec<CompletionCandidate> {
    known(&ReportKey::Account)
}

pub(crate) fn models() -> Vec<CompletionCandidate> {
    known(&ReportKey::Model)
}

pub(crate) fn agents() -> Vec<CompletionCandidate> {
    known(&ReportKey::Agent)
}

pub(crate) fn projects() -> Vec<CompletionCandidate> {
    known(&ReportKey::Project)
}

pub(crate) fn conversations() -> Vec<CompletionCandidate> {
    known(&ReportKey::Conversation)
}
