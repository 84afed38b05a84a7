//! Droid: `~/.factory/sessions/**/<id>.settings.json`, the sums of a session.
//!
//! Supported: `tokenUsage` with `inputTokens`, `outputTokens`, `cacheCreationTokens`, `cacheReadTokens` and
//! `thinkingTokens`, all disjoint. Single calls have no counts, so a session is one record that grows, dated at its
//! start (the first time in the `<id>.jsonl` next to it, otherwise `providerLockTimestamp`), with the quality
//! `derived`. The model is the last one of the session. Factory serves and meters all calls, so it is the provider; the
//! maker of the model, `providerLock`, is a label.
//!
//! Skipped with a reason: settings that are no object, sums that are no counts, a session without a time. Sessions
//! without sums are counted.

mod descriptor;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::import::engine::source::{DocumentLog, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Droid's sessions.
pub(crate) struct Droid;

const AGENT: &str = "droid";
const PROVIDER: &str = "factory";
const SUFFIX: &str = ".settings.json";
const COUNTS: [&str; 5] = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheCreationTokens", "thinkingTokens"];

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for Droid {
    fn version(&self) -> u32 {
        VERSION
    }

    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX))
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Document(self)
    }
}

impl DocumentLog for Droid {
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        let settings = fields::parse(text)?;
        if !settings.is_object() {
            return Err("unknown shape: settings that are no object".into());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let id = name.strip_suffix(SUFFIX).unwrap_or(&name).to_owned();
        let mut document = Document { conversation: Some(id.clone()), ..Document::default() };
        let usage = settings.get("tokenUsage").unwrap_or(&Value::Null);
        if !usage.is_object() && !usage.is_null() {
            return Err("unknown shape: a session whose sums are no object".into());
        }
        let logged = logged(usage)?;
        if logged.is_nothing() {
            document.skipped.push((0, "a session without token counts".to_owned()));
            return Ok(document);
        }
        let log = SettingsLog::beside(&path.with_file_name(format!("{id}.jsonl")));
        let at = log.began.or_else(|| fields::time(settings.get("providerLockTimestamp")));
        let at = at.ok_or("unknown shape: a session without a time")?;
        document.began = Some(at);
        let mut record = fields::record(PROVIDER, AGENT, logged)?;
        record = record.conversation(id.as_str()).key(format!("droid/{id}"));
        record.quality = Quality::Derived;
        record.model = fields::text(&settings, "model").map(str::to_owned);
        record.project = log.directory;
        if let Some(whose) = fields::text(&settings, "providerLock") {
            record = record.label("model_provider", whose);
        }
        record.raw = fields::raw_of(usage, &COUNTS);
        document.calls.push(fields::checked(at, record)?);
        Ok(document)
    }
}

fn logged(usage: &Value) -> Result<Logged, String> {
    let field = |name| fields::field(usage, name);
    let [input, output, read, written, thought] = COUNTS;
    let mut logged = Logged::new(AGENT, "droid/1", field(input)?, field(output)?);
    logged.cache_read = field(read)?;
    logged.cache_write = field(written)?;
    logged.reasoning = field(thought)?;
    logged.cache_inside = false;
    logged.reasoning_inside = false;
    Ok(logged)
}

/// Data from the log of a session.
#[derive(Default)]
struct SettingsLog {
    began: Option<Timestamp>,
    directory: Option<String>,
}

impl SettingsLog {
    /// Reads the start of the log, if it exists.
    fn beside(path: &Path) -> Self {
        const BEGINNING: u64 = 4 << 20;
        let mut log = Self::default();
        let Ok(file) = regular::open(path) else { return log };
        for line in BufReader::new(file.take(BEGINNING)).split(b'\n').map_while(Result::ok) {
            let Ok(entry) = fields::parse(&line) else { continue };
            log.directory = log.directory.or_else(|| fields::text(&entry, "cwd").map(str::to_owned));
            log.began = fields::time(entry.get("timestamp"));
            if log.began.is_some() {
                break;
            }
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Value, log: Option<&str>) -> Result<Document, Refusal> {
        let home = tempfile::tempdir().unwrap();
        if let Some(log) = log {
            std::fs::write(home.path().join("s1.jsonl"), log).unwrap();
        }
        Droid.document(&home.path().join("s1.settings.json"), settings.to_string().as_bytes(), Zone::UTC, None)
    }

    #[test]
    fn a_session_is_one_record_dated_at_its_start() {
        let settings = json!({"model": "claude-opus-4-5", "providerLock": "anthropic", "providerLockTimestamp": "2026-06-01T08:30:00Z",
            "tokenUsage": {"inputTokens": 10, "outputTokens": 20, "cacheCreationTokens": 40, "cacheReadTokens": 30, "thinkingTokens": 5}});
        let log = "{\"type\":\"session_start\",\"id\":\"s1\",\"cwd\":\"/w\"}\n{\"type\":\"message\",\"timestamp\":\"2026-06-01T08:00:00.000Z\"}\n";
        let document = read(&settings, Some(log)).unwrap();
        let call = &document.calls[0];
        assert_eq!((call.record.tokens.counts(), call.record.quality), ([10, 30, 0, 0, 40, 20, 5], Quality::Derived));
        assert_eq!((&*call.record.provider, call.record.project.as_deref()), ("factory", Some("/w")));
        assert_eq!(call.at.to_string(), "2026-06-01T08:00:00.000Z");
        assert_eq!(read(&settings, None).unwrap().calls[0].at.to_string(), "2026-06-01T08:30:00.000Z");
    }

    #[test]
    fn unknown_content_is_reported() {
        assert_eq!(
            read(&json!({"model": "m"}), None).unwrap().skipped,
            [(0, "a session without token counts".to_owned())]
        );
        assert!(read(&json!([]), None).unwrap_err().to_string().contains("no object"));
        assert!(read(&json!({"tokenUsage": 5}), None).unwrap_err().to_string().contains("no object"));
        assert!(
            read(&json!({"tokenUsage": {"inputTokens": "5"}}), None).unwrap_err().to_string().contains("`inputTokens`")
        );
        assert!(
            read(&json!({"tokenUsage": {"inputTokens": 5}}), None).unwrap_err().to_string().contains("without a time")
        );
    }
}
