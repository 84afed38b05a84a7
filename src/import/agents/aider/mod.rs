//! aider: the analytics log of `--analytics-log FILE` or `AIDER_ANALYTICS_LOG`, and files `*.jsonl` in `~/.aider`.
//!
//! From documentation: see the descriptor. The event `message_send` has the counts of one message. A message may have
//! several calls, and aider counts tokens itself if the answer has no counts, so records are `derived`. `prompt_tokens`
//! includes cached input, which has no separate count. `cost` is aider's estimate, so no cost is recorded. Model names are
//! those of `LiteLLM` and begin with the provider.

mod descriptor;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::provider_names::{UNKNOWN, before_model};
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of aider's log of analytics.
pub(crate) struct Aider;

const AGENT: &str = "aider";

impl Source for Aider {
    fn wants(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "jsonl")
    }

    fn enters(&self, _directory: &Path) -> bool {
        false
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for Aider {
    fn parser(&self, _path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        Ok(Box::new(JsonLines::new(resume, AnalyticsLog::default())?))
    }
}

/// A log of several sessions. No line names its session.
#[derive(Default, Serialize, Deserialize)]
struct AnalyticsLog {
    began: Option<Timestamp>,
}

impl JsonLineState for AnalyticsLog {
    fn matters(&self, line: &[u8]) -> bool {
        self.began.is_none() || memchr::memmem::find(line, b"\"message_send\"").is_some()
    }

    fn read(&mut self, line: &Value, calls: &mut FileCalls) -> Result<(), String> {
        let at = fields::time(line.get("time"));
        self.began = self.began.or(at);
        if fields::text(line, "event") != Some("message_send") {
            return Ok(());
        }
        let properties = line.get("properties").unwrap_or(&Value::Null);
        let field = |name| fields::field(properties, name);
        let logged = Logged::new(AGENT, "aider/1", field("prompt_tokens")?, field("completion_tokens")?);
        if logged.input.1.is_none() && logged.output.1.is_none() {
            return Err("unknown shape: a message without token counts".to_owned());
        }
        if logged.is_nothing() {
            return Err("unknown usage: all counts of a message are 0".to_owned());
        }
        let at = at.ok_or("unknown shape: a message without a time")?;
        let model = fields::text(properties, "main_model");
        let provider = before_model(model, model);
        let mut record = fields::record(provider.as_deref().unwrap_or(UNKNOWN), AGENT, logged)?;
        // The sum of costs grows with every message, so it distinguishes two messages within one second.
        let sum = properties.get("total_cost").map(ToString::to_string).unwrap_or_default();
        let [input, .., output, _] = record.tokens.counts();
        record = record.key(format!("aider/{}/{input}/{output}/{sum}", at.millis()));
        record.quality = Quality::Derived;
        record.model = model.map(str::to_owned);
        record.raw = fields::raw_of(properties, &["prompt_tokens", "completion_tokens", "total_tokens"]);
        calls.add(fields::checked(at, record)?);
        Ok(())
    }

    fn conversation(&self) -> Option<&str> {
        None
    }

    fn began(&self) -> Option<Timestamp> {
        self.began
    }
}
