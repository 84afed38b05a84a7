//! Finds the usage, the model and the id in the responses of each API.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::secrets;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::fields::Fields;
use crate::readers::normalise::{UsageFormat, ollama, parse, server_tools};

/// Substrings of the names of fields with token counts.
const COUNTS: [&str; 4] = ["tokens", "Tokens", "TokenCount", "eval_count"];

/// The relevant content of a response.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub usage: String,
    pub id: Option<String>,
    pub model: Option<String>,
    pub duration_ms: Option<u64>,
    /// The service tier, if the API states it outside of its usage.
    pub service_tier: Option<String>,
    /// Uses of the provider's own tools that are visible in the reply but not in the usage.
    pub server_tools: BTreeMap<String, u64>,
    /// What did not add up.
    pub notes: Vec<String>,
}

/// The fields of all APIs' bodies and events on the way to the usage. Their values are not parsed, so an odd value
/// elsewhere in a response does not matter.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReplyEnvelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// Gemini.
    #[serde(borrow)]
    response_id: Option<&'a RawValue>,
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    /// Anthropic's `message_start`, and lines of Claude Code's logs.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    /// Events of the Responses API, and Gemini Code Assist.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    /// The last event of Bedrock's `ConverseStream`.
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    /// Groq's last chunk.
    #[serde(borrow, rename = "x_groq")]
    groq: Option<&'a RawValue>,
    /// Added by the AWS SDKs: `RequestId`.
    #[serde(borrow, rename = "ResponseMetadata")]
    aws: Option<&'a RawValue>,
    /// Bedrock: `latencyMs`.
    #[serde(borrow)]
    metrics: Option<&'a RawValue>,
    #[serde(borrow, rename = "service_tier")]
    service_tier: Option<&'a RawValue>,
    /// Moonshot and some local servers state the usage in the last choice.
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    /// The items of a Responses reply.
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    /// Gemini's candidates.
    #[serde(borrow)]
    candidates: Option<&'a RawValue>,
}

impl<'a> ReplyEnvelope<'a> {
    /// The usage object of this envelope itself.
    const fn own_usage(&self, format: UsageFormat) -> Option<&'a RawValue> {
        match format {
            UsageFormat::Gemini => self.usage_metadata,
            _ => self.usage,
        }
    }

    /// The field in which this format wraps a body or a part of it.
    const fn inner(&self, format: UsageFormat) -> Option<&'a RawValue> {
        match format {
            UsageFormat::Anthropic | UsageFormat::ClaudeCode => self.message,
            UsageFormat::OpenaiResponses | UsageFormat::Xai | UsageFormat::Gemini => self.response,
            UsageFormat::Bedrock => self.metadata,
            UsageFormat::OpenaiChat => self.groq,
            UsageFormat::Ollama
            | UsageFormat::Mistral
            | UsageFormat::Deepseek
            | UsageFormat::Codex
            | UsageFormat::GeminiCli
            | UsageFormat::QwenCode
            | UsageFormat::Opencode => None,
        }
    }

    /// The usage object in the last choice that has one.
    fn usage_of_choices(&self, format: UsageFormat) -> Option<&'a RawValue> {
        #[derive(Deserialize)]
        struct Choice<'a> {
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
        }
        let chat = [UsageFormat::OpenaiChat, UsageFormat::Mistral, UsageFormat::Deepseek, UsageFormat::Xai];
        if !chat.contains(&format) {
            return None;
        }
        let choices: Vec<Choice<'_>> = serde_json::from_str(self.choices?.get()).ok()?;
        choices.into_iter().rev().find_map(|choice| choice.usage.filter(|usage| usage.get().starts_with('{')))
    }

    fn id(&self) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Aws<'a> {
            #[serde(borrow)]
            request_id: Option<&'a RawValue>,
        }
        let request = || object::<Aws>(self.aws).and_then(|aws| text(aws.request_id));
        text(self.id).or_else(|| text(self.response_id)).or_else(request)
    }

    fn model(&self) -> Option<String> {
        text(self.model).or_else(|| text(self.model_version))
    }

    fn latency(&self) -> Option<u64> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Metrics {
            latency_ms: Count,
        }
        object::<Metrics>(self.metrics).and_then(|metrics| metrics.latency_ms.whole())
    }

    fn is(&self, kind: &str) -> bool {
        text(self.kind).is_some_and(|it| it == kind)
    }
}

/// A non-empty string.
fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str::<String>(value?.get()).ok().filter(|text| !text.is_empty())
}

fn object<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    let json = value?.get();
    if json.starts_with('{') { serde_json::from_str(json).ok() } else { None }
}

impl Reply {
    /// Reads the documents of one response.
    pub(super) fn gather(format: UsageFormat, documents: &[Cow<'_, str>]) -> Result<Self> {
        let mut reply = Self::default();
        let mut usages: Vec<Cow<'_, str>> = Vec::new();
        let mut unfinished = false;
        for document in documents {
            let outer: ReplyEnvelope = parse(format, document)?;
            let inner: Option<ReplyEnvelope> = object(outer.inner(format));
            let inner_usage = inner.as_ref().and_then(|inner| inner.own_usage(format));
            let in_choice = outer.usage_of_choices(format);
            let usage_object = match outer.own_usage(format).or(inner_usage).or(in_choice) {
                _ if format == UsageFormat::Ollama => ollama::metrics(format, document)?.map(|(usage, duration_ms)| {
                    reply.duration_ms = duration_ms;
                    Cow::Owned(usage)
                }),
                Some(usage) => Some(Cow::Borrowed(usage.get())),
                // A bare usage object has nothing around it.
                None if documents.len() == 1 => Some(Cow::Borrowed(document.as_ref())),
                None => None,
            };
            let inside = inner.as_ref();
            let model = inside.and_then(ReplyEnvelope::model).or_else(|| outer.model());
            for envelope in inside.into_iter().chain([&outer]) {
                reply.see_tools(format, envelope, model.as_deref());
            }
            let Some(usage) = usage_object else {
                reply.model = reply.model.take().or(model);
                continue;
            };
            let ids = (inside.and_then(ReplyEnvelope::id), outer.id());
            // The id that Groq wraps is that of the request.
            reply.identify(if format == UsageFormat::OpenaiChat { ids.1.or(ids.0) } else { ids.0.or(ids.1) })?;
            reply.model = model.or_else(|| reply.model.take());
            reply.duration_ms =
                reply.duration_ms.or_else(|| inside.and_then(ReplyEnvelope::latency)).or_else(|| outer.latency());
            let tier = inside.and_then(|inside| text(inside.service_tier)).or_else(|| text(outer.service_tier));
            reply.service_tier = tier.or_else(|| reply.service_tier.take());
            unfinished = outer.is("message_start");
            if let Some(other) = in_choice.filter(|other| other.get() != usage) {
                usages.push(Cow::Borrowed(other.get()));
            }
            usages.push(usage);
        }
        if unfinished {
            reply
                .notes
                .push("the stream ends before `message_delta`: the output is what `message_start` foresaw".to_owned());
        }
        reply.usage = match (format, usages.as_slice()) {
            (_, []) => return Err(nothing(format, documents.len())),
            (UsageFormat::Ollama, [_, _, ..]) => return Err(several("final chunks")),
            // Logs state each turn separately, so the last one counts.
            (
                UsageFormat::Codex | UsageFormat::GeminiCli | UsageFormat::QwenCode | UsageFormat::Opencode,
                [.., last],
            )
            | (_, [last]) => last.trim().to_owned(),
            (_, [_, _, ..]) => reply.accumulate(format, &usages)?,
        };
        Ok(reply)
    }

    /// Counts the uses of tools that are visible in a reply. A stream may show them several times.
    fn see_tools(&mut self, format: UsageFormat, envelope: &ReplyEnvelope<'_>, model: Option<&str>) {
        let seen = match format {
            UsageFormat::OpenaiResponses | UsageFormat::Xai => server_tools::of_items(envelope.output),
            UsageFormat::OpenaiChat => server_tools::of_citations(envelope.choices, model),
            UsageFormat::Gemini => server_tools::of_grounding(envelope.candidates, model),
            _ => return,
        };
        for (tool, uses) in seen {
            let known = self.server_tools.entry(tool).or_default();
            *known = uses.max(*known);
        }
    }

    /// Sets the id of a document with usage, which must equal the previous one.
    fn identify(&mut self, id: Option<String>) -> Result<()> {
        match (&self.id, id) {
            (Some(known), Some(id)) if *known != id => {
                Err(several(&format!("ids, {} and {}", secrets::quoted(known), secrets::quoted(&id))))
            }
            (None, Some(id)) => {
                self.id = Some(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Merges the usage objects of a stream. Anthropic states some counts in `message_start` and the cumulative changes
    /// in each `message_delta`. Other APIs repeat the whole object, but some compatible servers omit counts of the last
    /// one, or write zeros.
    fn accumulate(&mut self, format: UsageFormat, usages: &[Cow<'_, str>]) -> Result<String> {
        let mut merged = Fields::default();
        let mut last = Fields::default();
        for usage in usages {
            last = parse(format, usage)?;
            for name in last.names().filter(|name| COUNTS.iter().any(|part| name.contains(part))) {
                let count = |fields: &Fields| fields.get(name).and_then(|value| value.get().parse::<u64>().ok());
                if let (Some(before), Some(after)) = (count(&merged), count(&last))
                    && after < before
                {
                    let kept = if after == 0 { format!(": kept {before}") } else { String::new() };
                    self.notes.push(format!("`{name}` fell from {before} to {after} in the stream{kept}"));
                }
            }
            merged.merge(&last);
        }
        // If the last object is complete, it is kept verbatim.
        match usages.last() {
            Some(whole) if last.contains_all_of(&merged) => Ok(whole.trim().to_owned()),
            _ => Ok(merged.compose()),
        }
    }
}

fn nothing(format: UsageFormat, documents: usize) -> Error {
    let hint = match format {
        UsageFormat::OpenaiChat => "; ask for it with `stream_options: {\"include_usage\": true}`",
        UsageFormat::Ollama => "; the chunk with `done: true` has it",
        _ => "",
    };
    let what = if documents == 1 { "response".to_owned() } else { format!("stream of {documents} events") };
    Error::invalid(format!("this {format} {what} states no usage{hint}"))
}

fn several(what: &str) -> Error {
    Error::invalid(format!("this is more than one response (there are several {what}): record them one by one"))
}
