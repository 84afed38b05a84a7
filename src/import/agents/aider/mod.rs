//! aider: the log of analytics, which a person asks for with `--analytics-log FILE` or `AIDER_ANALYTICS_LOG`; also files
//! `*.jsonl` in `~/.aider`.
//!
//! From documentation: see the descriptor. The event `message_send` has the counts of one message, which may be several calls
//! and which aider counts itself if the answer states none: a record is `derived`. Cached input is part of `prompt_tokens` and is
//! not stated. `cost` is aider's own estimate, so no cost is recorded. Models are named as `LiteLLM` does, with the provider in front.

mod descriptor;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::provider_names::{UNKNOWN, provider_id};
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::{Field, Logged};

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

/// A log of many sessions; no line names its session.
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
        let said = line.get("properties").unwrap_or(&Value::Null);
        let field = |name: &'static str| Ok::<Field, String>((name, fields::count(said, name)?));
        let logged = Logged::new(AGENT, "aider/1", field("prompt_tokens")?, field("completion_tokens")?);
        if logged.input.1.is_none() && logged.output.1.is_none() {
            return Err("unknown shape: a message without token counts".to_owned());
        }
        if logged.is_nothing() {
            return Err("unknown usage: all counts of a message are 0".to_owned());
        }
        let at = at.ok_or("unknown shape: a message without a time")?;
        let model = fields::text(said, "main_model");
        let named = model.and_then(|model| model.split_once('/')).and_then(|(maker, _)| provider_id(maker, model));
        let named = named.filter(|id| ProviderId::new(id).is_ok_and(|id| id.known().is_some()));
        let mut record = fields::record(named.as_deref().unwrap_or(UNKNOWN), AGENT, logged)?;
        // The sum of costs grows with every message, so it tells apart two in one second.
        let sum = said.get("total_cost").map(ToString::to_string).unwrap_or_default();
        let counts = record.tokens.counts();
        record = record.key(format!("aider/{}/{}/{}/{sum}", at.millis(), counts[0], counts[5]));
        record.quality = Quality::Derived;
        record.model = model.map(str::to_owned);
        let counters = ["prompt_tokens", "completion_tokens", "total_tokens"];
        let raw: BTreeMap<_, _> = counters.iter().filter_map(|name| Some((*name, said.get(*name)?.clone()))).collect();
        record.raw = fields::raw(&raw);
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
