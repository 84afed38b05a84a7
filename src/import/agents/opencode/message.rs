//! Parses the call of a message, which is a database row or a file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Number;
use serde_json::value::RawValue;

use super::AGENT;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names::{UNKNOWN, provider_id};
use crate::model::event::{Quality, Raw, ServerKey, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Tokens, Usd};
use crate::readers::normalise::{self, Normalised, UsageFormat};

/// The relevant fields of a message.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct MessageRow<'a> {
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "sessionID")]
    pub session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub role: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "modelID")]
    model_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "providerID")]
    provider_id: Option<Cow<'a, str>>,
    /// Provider and model in one object, as in the second generation.
    #[serde(borrow)]
    model: Option<ModelName<'a>>,
    #[serde(borrow)]
    agent: Option<Cow<'a, str>>,
    /// The former name of the agent.
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    path: Option<Directory<'a>>,
    time: Times,
    #[serde(borrow)]
    tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    /// The finish reason, once the answer has ended.
    #[serde(borrow)]
    finish: Option<Cow<'a, str>>,
    error: Option<IgnoredAny>,
    /// Contains all of this in the first clients' messages.
    metadata: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ModelName<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "providerID")]
    provider: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Directory<'a> {
    #[serde(borrow)]
    cwd: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Times {
    created: Option<Number>,
    completed: Option<Number>,
}

/// Facts about a message from outside the message.
#[derive(Clone, Copy, Default)]
pub(super) struct MessageFacts<'a> {
    pub id: &'a str,
    pub session: Option<&'a str>,
    pub directory: Option<&'a str>,
    /// Milliseconds since the epoch.
    pub created: Option<i64>,
    /// Whether the second generation of the client wrote it.
    pub second: bool,
    /// The counts of its steps, as far as they are stored.
    pub steps: &'a [String],
    /// Whether it is a summary of the conversation: a separate call, which names no model.
    pub summary: bool,
    /// The preceding answer.
    pub before: Option<&'a str>,
}

impl<'a> MessageRow<'a> {
    pub fn parse(json: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| jsonl::refusal(&error))
    }

    /// Returns when it began, in milliseconds since the epoch.
    pub fn created(&self) -> Option<i64> {
        self.time.created.as_ref().and_then(millis)
    }

    /// Returns whether it has the role of an answer.
    pub fn is_answer(&self) -> Result<bool, String> {
        match self.role.as_deref() {
            Some("assistant") => Ok(true),
            Some("user") => Ok(false),
            Some(_) if self.tokens.is_some() => Err("unknown shape: token counts of an unknown role".to_owned()),
            Some(_) => Ok(false),
            None => Err("unknown shape: a message without a role".to_owned()),
        }
    }

    /// Returns whether it has the form of the first clients, whose counts are elsewhere.
    pub fn is_of_the_first_clients(&self) -> bool {
        self.metadata.is_some() && self.tokens.is_none()
    }

    /// Returns whether the answer is in progress.
    pub fn is_under_way(&self) -> bool {
        self.time.completed.is_none() && self.finish.is_none() && self.error.is_none()
    }

    /// Returns the call of this answer. `None` while it is in progress, and if it failed or was aborted before the
    /// provider stated counts.
    pub fn call(&self, facts: MessageFacts<'_>) -> Result<Option<ParsedCall>, String> {
        let unknown = |error: crate::Error| format!("unknown shape: {error}");
        let (mut model, mut provider) = (&self.model_id, &self.provider_id);
        if let Some(both) = &self.model {
            model = if model.is_some() { model } else { &both.id };
            provider = if provider.is_some() { provider } else { &both.provider };
        }
        let before = facts.before.and_then(|before| MessageRow::parse(before.as_bytes()).ok());
        let guessed = facts.summary && model.is_none() && provider.is_none();
        if let Some(before) = before.as_ref().and_then(|before| before.model.as_ref()).filter(|_| guessed) {
            (model, provider) = (&before.id, &before.provider);
        }
        let provider = provider.as_deref().and_then(|name| provider_id(name, model.as_deref()));
        let counts = match self.tokens {
            Some(tokens) => Some(self::counts(tokens.get(), facts, provider.as_deref()).map_err(unknown)?),
            None => None,
        };
        let Some(counts) = counts.filter(|counts| counts.tokens.total().is_ok_and(|total| total > 0)) else {
            // Older clients store when an answer ended, but no reason.
            let completed = self.time.completed.is_some();
            let has_ended = self.finish.as_deref().map_or(completed, |why| !matches!(why, "error" | "unknown"));
            let has_failed = self.error.is_some();
            return if has_ended && !has_failed {
                Err("unknown usage: an answer that ended without counts".to_owned())
            } else {
                Ok(None)
            };
        };
        let provider = match provider {
            None if facts.summary => UNKNOWN.into(),
            provider => provider.ok_or("unknown shape: an answer without a provider")?,
        };
        let created = self.created().or(facts.created).ok_or("unknown shape: an answer without a time")?;
        let text = |text: Option<&str>| text.and_then(jsonl::name).map(str::to_owned);
        let model = text(model.as_deref());
        let mode = text(self.agent.as_deref()).or_else(|| text(self.mode.as_deref()));
        let cwd = self.path.as_ref().and_then(|path| path.cwd.as_deref());
        // A summary has a start time and no end time.
        let completed = self.time.completed.as_ref().and_then(millis).or(facts.summary.then_some(created));
        let same = completed.filter(|_| made_at(facts.id, created).is_some());
        let mut keys = vec![facts.id.to_owned()];
        keys.extend(same.map(|completed| likeness(created, completed, model.as_deref(), &counts.tokens)));
        let mut record = TokenRecord {
            provider: provider.into(),
            account: None,
            model,
            agent: Some(AGENT.to_owned()),
            conversation: text(facts.session),
            project: text(cwd).or_else(|| text(facts.directory)),
            labels: mode.map(|mode| ("mode".to_owned(), mode)).into_iter().collect::<BTreeMap<_, _>>(),
            tokens: counts.tokens,
            modalities: counts.modalities,
            server_tools: counts.server_tools,
            cost: self.cost.and_then(|cost| cost.get().parse::<Usd>().ok()).filter(|cost| *cost > Usd::default()),
            duration_ms: None,
            counted_at: None,
            keys,
            key_ids: Vec::new(),
            server_key: ServerKey::default(),
            normaliser: Some(counts.normaliser.into()),
            quality: counts.quality,
            residual: counts.residual,
            raw: self.tokens.map(Raw::from),
        };
        if facts.summary {
            record.labels.insert("purpose".to_owned(), "compaction".to_owned());
        }
        if guessed && record.model.is_some() {
            let note = "took the model of the answer before it: a summary names none";
            record.residual =
                Some(record.residual.map_or_else(|| note.to_owned(), |residual| format!("{residual}; {note}")));
            record.quality = Quality::Derived;
        }
        Ok(Some(ParsedCall { at: Timestamp::from_millis(created), record }))
    }
}

/// Adds the counts of all steps. Older clients copied the counts of their SDK; for Google's models these exclude
/// reasoning from the output.
fn counts(tokens: &str, facts: MessageFacts<'_>, provider: Option<&str>) -> crate::Result<Normalised> {
    let beside = facts.second || matches!(provider, Some("google" | "google-vertex"));
    let read = |tokens: &str| {
        if beside { normalise::opencode_beside(tokens) } else { normalise::usage(UsageFormat::Opencode, tokens) }
    };
    let mut counts = read(tokens)?;
    if facts.steps.len() > 1 {
        let mut all = Tokens::default();
        for step in facts.steps {
            all = sum(all, read(step)?.tokens)?;
        }
        let note = format!("the sum of {} steps, of which the message states the last", facts.steps.len());
        counts.residual = Some(counts.residual.map_or_else(|| note.clone(), |residual| format!("{residual}; {note}")));
        counts.quality = Quality::Derived;
        counts.tokens = all;
    }
    counts.tokens.validate()?;
    Ok(counts)
}

/// Adds two counts. A class that neither states remains unknown.
fn sum(one: Tokens, other: Tokens) -> crate::Result<Tokens> {
    let mut all = Tokens::default();
    for class in TokenClass::ALL {
        let stated = [one.get(class), other.get(class)];
        let count = stated.iter().flatten().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        let count = count.ok_or_else(|| crate::Error::invalid("the steps of the message overflow"))?;
        all.set(class, stated.iter().any(Option::is_some).then_some(count));
    }
    Ok(all)
}

/// Returns a second key of a call, because a forked session copies messages under new ids. Two different calls do not
/// begin and end in the same milliseconds with the same counts.
fn likeness(created: i64, completed: i64, model: Option<&str>, tokens: &Tokens) -> String {
    let counts = tokens.counts().map(|count| count.to_string()).join("-");
    format!("{}/{created}/{completed}/{counts}", model.unwrap_or_default())
}

fn millis(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().filter(|millis| millis.is_finite()).map(|millis| millis as i64))
}

/// Returns the time in an id, which begins with the low bits of the milliseconds and a counter of 12 bits. The id of a
/// copy is later than the `created` time of the original. Ids from other sources contain no time.
pub(super) fn made_at(id: &str, created: i64) -> Option<i64> {
    const BITS: u32 = 36;
    let hex = id.strip_prefix("msg_")?.get(..12)?;
    let low = i64::from_str_radix(hex, 16).ok().filter(|_| !hex.contains(['+', '-']))? >> 12;
    let span = 1_i64 << BITS;
    let ahead = low.checked_sub(created)?.rem_euclid(span);
    // The client creates the id slightly before the time.
    if ahead > span / 2 { created.checked_sub(span - ahead) } else { created.checked_add(ahead) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_contains_its_creation_time() {
        assert_eq!(made_at("msg_20a0159f2001dIKjgYkSV6AIAq", 1_795_464_190_451), Some(1_795_464_190_450));
        let year = 365 * 86_400_000;
        assert_eq!(made_at("msg_20a0159f2001dIKjgYkSV6AIAq", 1_795_464_190_450 - year), Some(1_795_464_190_450));
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(made_at("msg_20a0159f2001dIKjgYkSV6AIAq", extreme), None);
        }
        for other in ["msg_test001", "msg_", "x", "msg_20a0159f200é", "20a0159f2001"] {
            assert_eq!(made_at(other, 0), None, "{other}");
        }
    }
}
