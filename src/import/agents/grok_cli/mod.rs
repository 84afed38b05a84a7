//! Grok CLI: `~/.grok/sessions/<directory>/<session>/updates.jsonl`.
//!
//! From documentation: see the descriptor. A line with `params.update.sessionUpdate` `turn_completed` has the sums of a
//! turn for each model (`usage.modelUsage`), or one sum for the model of the session (`current_model_id` in
//! `summary.json`). A turn has several calls, so a record is `derived`. `inputTokens` includes cache reads and cache
//! writes, and `outputTokens` includes reasoning. `costUsdTicks` is the amount that xAI charged, in units of 10^-10 US
//! dollars.

mod descriptor;

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Grok CLI's sessions.
pub(crate) struct GrokCli;

const AGENT: &str = "grok-cli";
const PROVIDER: &str = "xai";
/// Maximal length of a session's summary, in bytes.
const LONGEST_SUMMARY: u64 = 1 << 20;
const COUNTS: [&str; 5] = ["inputTokens", "outputTokens", "cachedReadTokens", "cacheCreationTokens", "reasoningTokens"];

impl Source for GrokCli {
    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "updates.jsonl")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for GrokCli {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        Ok(Box::new(JsonLines::new(resume, GrokSession::beside(path)?)?))
    }
}

/// The session of a log.
#[derive(Default, Serialize, Deserialize)]
struct GrokSession {
    id: Option<String>,
    directory: Option<String>,
    model: Option<String>,
    began: Option<Timestamp>,
}

impl GrokSession {
    /// Reads the session from the directory of a log and the summary in it, if there is one.
    ///
    /// A summary that cannot be read is an error, because its session would have no model. A later import tries again.
    fn beside(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |why: String| Refusal::Unreadable(format!("`summary.json` beside it: {why}"));
        let summary = match regular::read(&path.with_file_name("summary.json"), LONGEST_SUMMARY) {
            Ok(text) => fields::parse(&text).map_err(unreadable)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let info = summary.get("info").unwrap_or(&Value::Null);
        let named = |value: &Value, name: &str| fields::text(value, name).map(str::to_owned);
        Ok(Self {
            id: named(info, "id").or_else(|| above(path, 1).map(str::to_owned)),
            directory: named(info, "cwd").or_else(|| named(&summary, "git_root_dir")),
            model: named(&summary, "current_model_id"),
            began: None,
        })
    }

    fn call(
        &self,
        usage: &Value,
        model: Option<&str>,
        turn: &str,
        at: Timestamp,
    ) -> Result<Option<ParsedCall>, String> {
        let field = |name| fields::field(usage, name);
        let [input, output, read, written, reasoning] = COUNTS;
        let mut logged = Logged::new(AGENT, "grok-cli/1", field(input)?, field(output)?);
        (logged.cache_read, logged.cache_write, logged.reasoning) = (field(read)?, field(written)?, field(reasoning)?);
        if logged.is_nothing() {
            return Ok(None);
        }
        let session = self.id.as_deref().ok_or("unknown shape: a turn without a session")?;
        let mut record = fields::record(PROVIDER, AGENT, logged)?;
        record = record.key(format!("grok-cli/{session}/{turn}/{}", model.unwrap_or_default()));
        record.quality = Quality::Derived;
        record.model = model.map(str::to_owned);
        record.conversation.clone_from(&self.id);
        record.project.clone_from(&self.directory);
        record.cost = fields::unsigned(usage, "costUsdTicks")?.filter(|ticks| *ticks > 0).and_then(dollars);
        record.raw = fields::raw_of(usage, &[input, output, read, written, reasoning, "costUsdTicks"]);
        fields::checked(at, record).map(Some)
    }
}

/// An amount in units of 10^-10 US dollars.
fn dollars(ticks: u64) -> Option<Usd> {
    const PER_DOLLAR: u64 = 10_000_000_000;
    format!("{}.{:010}", ticks / PER_DOLLAR, ticks % PER_DOLLAR).parse().ok()
}

impl JsonLineState for GrokSession {
    fn matters(&self, line: &[u8]) -> bool {
        self.began.is_none() || memchr::memmem::find(line, b"\"turn_completed\"").is_some()
    }

    fn read(&mut self, line: &Value, calls: &mut FileCalls) -> Result<(), String> {
        let none = Value::Null;
        let params = line.get("params").unwrap_or(&none);
        let meta = params.get("_meta").unwrap_or(&none);
        let at = fields::time(meta.get("agentTimestampMs")).or_else(|| fields::time(line.get("timestamp")));
        self.began = self.began.or(at);
        if let Some(id) = fields::text(params, "sessionId") {
            self.id = Some(id.to_owned());
        }
        let update = params.get("update").unwrap_or(&none);
        if fields::text(update, "sessionUpdate") != Some("turn_completed") {
            return Ok(());
        }
        let usage = update.get("usage").filter(|usage| usage.is_object());
        let usage = usage.ok_or("unknown usage: a turn without token counts")?;
        let at = at.ok_or("unknown shape: a turn without a time")?;
        let millis = at.millis().to_string();
        let turn = fields::text(meta, "eventId").unwrap_or(&millis);
        let models = usage.get("modelUsage").and_then(Value::as_object).filter(|models| !models.is_empty());
        let of_models: Vec<(Option<&str>, &Value)> = match models {
            Some(models) => models.iter().map(|(model, usage)| (Some(model.as_str()), usage)).collect(),
            None => vec![(self.model.as_deref(), usage)],
        };
        let (mut has_any, mut wrong) = (false, None);
        for (model, usage) in of_models {
            // A model whose counts cannot be read hides no other.
            match self.call(usage, model, turn, at) {
                Ok(Some(call)) => {
                    has_any = true;
                    calls.add(call);
                }
                Ok(None) => {}
                Err(why) => wrong = wrong.or(Some(why)),
            }
        }
        match wrong {
            Some(why) => Err(why),
            None if has_any => Ok(()),
            None => Err("unknown usage: all counts of a turn are 0".to_owned()),
        }
    }

    fn conversation(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn began(&self) -> Option<Timestamp> {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_cannot_be_read_hides_no_other() {
        let mut session =
            GrokSession { id: Some("s".to_owned()), ..GrokSession::beside(Path::new("/none/x")).unwrap() };
        let models = serde_json::json!({"a": {"inputTokens": "x"}, "b": {"inputTokens": 5, "outputTokens": 1}});
        let line = serde_json::json!({"timestamp": 1_780_308_000, "params": {"update": {
            "sessionUpdate": "turn_completed", "usage": {"modelUsage": models}}}});
        let mut calls = FileCalls::default();
        let why = session.read(&line, &mut calls).unwrap_err();
        assert!(why.contains("is no whole number from 0"), "{why}");
        assert_eq!(calls.take().len(), 1);
    }
}
