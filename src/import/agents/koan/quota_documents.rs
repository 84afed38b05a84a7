//! Reads the documents of an instance that state how much of a quota is used.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{state, usage_md};
use crate::import::engine::regular;
use crate::import::engine::source::QuotaDocuments;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{EventId, NewEvent, Payload, QuotaObserved, SkippedLine};
use crate::model::invariant::bug;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};

/// The feed of percentages on the page.
pub(super) const PAGE_FEED: &str = "koan-usage-md";

/// Maximum size of such a document in bytes.
const LARGEST: u64 = 1 << 20;

/// Reads the documents of every instance. Each root is a directory of an instance.
pub(super) fn gather(roots: &[PathBuf], zone: Zone, ledger: &Ledger, now: Timestamp) -> Result<QuotaDocuments> {
    let mut quota_documents = QuotaDocuments::default();
    let mut seen = BTreeSet::new();
    for (root, instance) in roots.iter().filter_map(|root| Some((root, root.parent()?))) {
        let Ok(real) = fs::canonicalize(instance) else { continue };
        if !seen.insert(real) {
            continue;
        }
        let counters = instance.join("usage_state.json");
        if let Some((text, modified)) = document(&counters, &mut quota_documents) {
            match state::observations((&text, root), modified, zone, ledger, now)? {
                Ok(observations) => {
                    for (payload, known_by) in observations {
                        let id = EventId::from_key(super::AGENT, &format!("usage_state {modified} {known_by}"));
                        // The same counters with a different limit are no news.
                        if ledger.snapshot()?.position(id).is_err() {
                            quota_documents.events.push(NewEvent::new(payload, modified).id(id));
                        }
                    }
                }
                Err(why) => quota_documents.skipped.push(skipped(&counters, why)),
            }
        }
        // A home directory may contain an unrelated page of that name, so the content must have Koan's form.
        let path = instance.join("usage.md");
        if let Some((text, modified)) = document(&path, &mut quota_documents) {
            let page = usage_md::parse(&text);
            if page.is_malformed() && text.to_ascii_lowercase().contains("usage source:") {
                quota_documents.skipped.push(skipped(&path, "neither line of percentages can be read".to_owned()));
            }
            let at = page.generated.as_deref().and_then(|text| super::row::local_time(text, zone).ok());
            let at = at.unwrap_or(modified);
            for payload in observed(&page, at)? {
                quota_documents.events.push(event(payload, at)?);
            }
        }
    }
    Ok(quota_documents)
}

fn skipped(path: &Path, why: String) -> SkippedLine {
    SkippedLine::new(path.to_string_lossy(), 0, why)
}

/// Reads a document and its modification time.
fn document(path: &Path, quota_documents: &mut QuotaDocuments) -> Option<(String, Timestamp)> {
    let meta = match fs::metadata(path) {
        Ok(meta) if meta.is_file() => meta,
        _ => return None,
    };
    quota_documents.files += 1;
    if meta.len() > LARGEST {
        quota_documents
            .skipped
            .push(skipped(path, format!("the file has over {LARGEST} bytes: it is no such document")));
        return None;
    }
    let age = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    // What a document states holds from its last change, so one without a time of change states nothing.
    let Some(modified) = age.and_then(|age| i64::try_from(age.as_millis()).ok()) else {
        quota_documents.skipped.push(skipped(path, "the file has no time of its last change after 1970".to_owned()));
        return None;
    };
    let text = regular::read(path, LARGEST)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error)));
    match text {
        Ok(text) => Some((text, Timestamp::from_millis(modified))),
        Err(error) => {
            let what =
                if error.kind() == ErrorKind::InvalidData { "not valid UTF-8".to_owned() } else { error.to_string() };
            quota_documents.skipped.push(skipped(path, format!("the file cannot be read: {what}")));
            None
        }
    }
}

/// Builds an event whose id is a hash of its content, so that a document is recorded once.
fn event(payload: Payload, at: Timestamp) -> Result<NewEvent> {
    let Payload::QuotaObserved(content) = &payload else {
        return Err(bug!("an event of a page that is no observation: {}", payload.kind()));
    };
    let content = serde_json::to_string(content).map_err(|error| bug!("an observation: {error}"))?;
    let id = EventId::from_key(super::AGENT, &format!("{} {content}", payload.kind()));
    Ok(NewEvent::new(payload, at).id(id))
}

/// Returns the provider's percentages on the page. A page that Koan computed itself has none.
fn observed(page: &usage_md::UsageMdFile, at: Timestamp) -> Result<Vec<Payload>> {
    if page.source.as_deref() != Some("oauth_usage") {
        return Ok(Vec::new());
    }
    let mut observations = Vec::new();
    for (minutes, reading) in [(300, &page.session), (10_080, &page.weekly)] {
        let Some(reading) = reading else { continue };
        observations.push(Payload::from(QuotaObserved {
            provider: ProviderId::new("anthropic")?,
            account: None,
            window_minutes: minutes,
            scope: None,
            used_percent: Some(reading.percent),
            resets_at: usage_md::duration(&reading.resets_in).map(|left| at.plus(left)),
            status: None,
            feed: PAGE_FEED.to_owned(),
        }));
    }
    Ok(observations)
}
