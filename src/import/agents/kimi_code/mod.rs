//! Kimi Code: `~/.kimi-code/sessions/<workspace>/<session>/agents/<agent>/wire.jsonl`.
//!
//! Supported: the wire log of protocol 1.5 (checked against a real 2.1.0 and the responses of its server). A line
//! `usage.record` states the counts of one call; the preceding `llm.request` names provider and model. `step.end` and
//! `agent.message.appended` repeat the counts and are not read. Reasoning is part of `output` and not stated
//! separately; `inputOther` excludes the cache.
//!
//! A call is identified by its time and counts, which remain the same in a copied session.

mod descriptor;

use std::path::Path;

use memchr::memmem::find;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::path_names::above;
use crate::import::engine::provider_names;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Kimi Code's wire logs.
pub(crate) struct KimiCode;

const AGENT: &str = "kimi-code";
const LOG: &str = "wire.jsonl";
const COUNTS: [&str; 4] = ["inputOther", "output", "inputCacheRead", "inputCacheCreation"];

impl Source for KimiCode {
    fn wants(&self, path: &Path) -> bool {
        above(path, 0) == Some(LOG)
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for KimiCode {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        // `<session>/agents/<agent>/wire.jsonl`
        let (session, agent) = (above(path, 3), above(path, 1));
        let new = WireLog {
            session: session.map(str::to_owned),
            subagent: agent.filter(|agent| *agent != "main").map(str::to_owned),
            ..WireLog::default()
        };
        Ok(Box::new(JsonLines::new(resume, new)?))
    }
}

/// State of a log so far.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct WireLog {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subagent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Purpose of the last request, unless it was a step of a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
}

impl JsonLineState for WireLog {
    fn matters(&self, line: &[u8]) -> bool {
        let kinds: [&[u8]; 3] = [b"\"usage.record\"", b"\"llm.request\"", b"\"profile.bind\""];
        self.began.is_none() || kinds.iter().any(|kind| find(line, kind).is_some())
    }

    fn read(&mut self, line: &Value, calls: &mut FileCalls) -> Result<(), String> {
        let text = |name: &str| fields::text(line, name).map(str::to_owned);
        let time = fields::time(line.get("time")).or_else(|| fields::time(line.get("created_at")));
        self.began = self.began.or(time);
        match line.get("type").and_then(Value::as_str) {
            Some("profile.bind") => {
                let named = line.get("environmentDisclosure").and_then(|about| fields::text(about, "cwd"));
                self.directory = named.map(str::to_owned).or(self.directory.take());
            }
            Some("llm.request") => {
                (self.provider, self.model) = (text("provider"), text("model"));
                self.purpose = text("kind").filter(|kind| kind != "loop");
            }
            Some("usage.record") => self.usage(line, time, calls)?,
            _ => {}
        }
        Ok(())
    }

    fn conversation(&self) -> Option<&str> {
        self.session.as_deref()
    }

    fn began(&self) -> Option<Timestamp> {
        self.began
    }
}

impl WireLog {
    fn usage(&self, line: &Value, time: Option<Timestamp>, calls: &mut FileCalls) -> Result<(), String> {
        let usage = line.get("usage").filter(|usage| usage.is_object());
        let usage = usage.ok_or("unknown shape: a usage.record without usage")?;
        let at = time.ok_or("unknown shape: a usage.record without a time")?;
        let field = |name| fields::field(usage, name);
        let [input, output, read, written] = COUNTS;
        let mut logged = Logged::new(AGENT, "kimi-code/1", field(input)?, field(output)?);
        (logged.cache_read, logged.cache_write) = (field(read)?, field(written)?);
        logged.cache_inside = false;
        if logged.input.1.is_none() && logged.output.1.is_none() {
            return Err("unknown shape: usage without `inputOther` and `output`".to_owned());
        }
        if logged.is_nothing() {
            return Err("unknown usage: all counts of a call are 0".to_owned());
        }
        // The model name in the record may be the name of a setting.
        let setting = fields::text(line, "model").filter(|name| !name.starts_with("__"));
        let model = self.model.as_deref().or(setting);
        let provider = provider_names::provider(self.provider.as_deref(), model, provider_names::UNKNOWN);
        let counts = COUNTS.map(|name| usage.get(name).map(ToString::to_string).unwrap_or_default()).join("/");
        let mut record = fields::record(&provider, AGENT, logged)?.key(format!("kimi-code/{}/{counts}", at.millis()));
        record.model = model.map(str::to_owned);
        record.conversation.clone_from(&self.session);
        record.project.clone_from(&self.directory);
        for (name, value) in [("subagent", &self.subagent), ("purpose", &self.purpose)] {
            if let Some(value) = value {
                record = record.label(name, value.as_str());
            }
        }
        record.raw = fields::raw_of(usage, &COUNTS);
        calls.add(fields::checked(at, record)?);
        Ok(())
    }
}
