//! Extracts the call from a log record or span.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use uuid::Uuid;

use super::attributes::{flat, instant, span_id, text};
use super::counts::is_counted;
use super::trace::TracePlace;
use crate::import::agents;
use crate::import::engine::attribution;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::service_tiers;
use crate::import::engine::telemetry_vocabulary::{CallNames, TelemetryVocabulary};
use crate::model::event::{INFERENCE_GEO, SERVICE_TIER};
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::model::tokens::Tokens;
use crate::readers::normalise::logged::{Field, Logged};

/// Label with the purpose of a call.
const PURPOSE: &str = "purpose";

/// Labels that tell the calls of a bill apart, and the attributes that state them: of the call, or of its resource. Senders
/// add them with `OTEL_RESOURCE_ATTRIBUTES`.
const CALLER: [(&str, &[&str]); 5] = [
    ("machine", &["host.name", "host.id"]),
    ("api_key_id", &["api_key_id", "api_key.id"]),
    ("workspace", &["workspace.id", "workspace_id"]),
    ("context_window", &["context_window"]),
    (INFERENCE_GEO, &["inference_geo"]),
];

const NO_FIELDS: [Field; 2] = [("", None); 2];

/// Meaning of a name in an agent's vocabulary.
enum NameMeaning {
    Call,
    /// It repeats a call that another item states.
    Repetition,
    Other,
}

/// A log record or span.
pub(super) struct TelemetryItem<'r> {
    /// Name of the event or span.
    pub name: String,
    at: Option<Timestamp>,
    duration_ms: Option<u64>,
    pub attributes: Value,
    resource: &'r Value,
    /// Name of the instrumentation scope.
    scope: &'r str,
    pub place: TracePlace,
    /// Cache writes that live five minutes and one hour.
    pub lives: [Field; 2],
}

pub(super) type ParsedItem = Result<Option<ParsedCall>, String>;

impl<'r> TelemetryItem<'r> {
    pub fn of_log(record: &LogRecord, resource: &'r Value, scope: &'r str) -> Self {
        let attributes = flat(&record.attributes);
        let name =
            [Some(record.event_name.as_str()), fields::text(&attributes, "event.name"), text(record.body.as_ref())];
        // The body may have the full name of an agent's event, and the attribute only its end.
        let name = name.into_iter().flatten().max_by_key(|name| (is_known(name), name.len().min(64)));
        let at = instant(record.time_unix_nano)
            .or_else(|| fields::time(attributes.get("event.timestamp")))
            .or_else(|| instant(record.observed_time_unix_nano));
        let lasted = fields::worded_count(&attributes, "duration_ms").ok().flatten();
        let duration_ms = lasted.and_then(|millis| u64::try_from(millis).ok());
        let place = TracePlace { own: None, within: span_id(&record.trace_id, &record.span_id) };
        let name = name.unwrap_or_default().to_owned();
        Self { name, at, duration_ms, attributes, resource, scope, place, lives: NO_FIELDS }
    }

    /// `within` is the parent span.
    pub fn of_span(span: &Span, within: Option<String>, resource: &'r Value, scope: &'r str) -> Self {
        let (started, ended) = (instant(span.start_time_unix_nano), instant(span.end_time_unix_nano));
        let lasted = started.zip(ended).map(|(started, ended)| ended.millis() - started.millis());
        Self {
            name: span.name.clone(),
            at: ended.or(started),
            duration_ms: lasted.and_then(|millis| u64::try_from(millis).ok()),
            attributes: flat(&span.attributes),
            resource,
            scope,
            place: TracePlace { own: span_id(&span.trace_id, &span.span_id), within },
            lives: NO_FIELDS,
        }
    }

    /// Returns the call of this item. `None` if it has no tokens or repeats another item.
    ///
    /// An error states why an item with tokens cannot be used.
    pub fn call(self) -> ParsedItem {
        let service = self.text("service.name").unwrap_or_default().to_lowercase();
        let agents_with_telemetry = || agents::ALL.iter().filter_map(|agent| Some((agent.name, agent.telemetry?)));
        if agents_with_telemetry().any(|(_, names)| self.is_sum(names, &service)) {
            return Ok(None);
        }
        for (agent, names) in agents_with_telemetry() {
            if let Some(calls) = names.calls.as_ref() {
                match self.matches(names, calls, &service) {
                    NameMeaning::Call => return self.own_names(agent, calls),
                    NameMeaning::Repetition => return Ok(None),
                    NameMeaning::Other => {}
                }
            }
        }
        if !is_counted(&self.attributes) {
            return self.other();
        }
        // These agents also report each call in their own vocabulary.
        let mut services = agents::ALL.iter().filter_map(|agent| agent.telemetry?.service);
        if services.any(|name| service.starts_with(name)) { Ok(None) } else { self.gen_ai() }
    }

    /// Matches the item with an agent's vocabulary.
    fn matches(&self, names: &TelemetryVocabulary, calls: &CallNames, service: &str) -> NameMeaning {
        let name = self.name.as_str();
        let is_service = names.service.is_some_and(|name| service.starts_with(name));
        if calls.events.contains(&name) || (is_service && calls.short_events.contains(&name)) {
            return NameMeaning::Call;
        }
        if calls.events_with_id.contains(&name) {
            let has_id = calls.id.is_some_and(|id| self.text(id).is_some());
            return if has_id { NameMeaning::Call } else { NameMeaning::Repetition };
        }
        let is_own = names.prefixes.iter().any(|prefix| name.starts_with(prefix));
        let is_counted = calls.counted_by.is_some_and(|count| self.has(count));
        if is_own && is_counted { NameMeaning::Call } else { NameMeaning::Other }
    }

    /// Returns whether it is a sum of calls that the agent also reports one by one.
    fn is_sum(&self, names: &TelemetryVocabulary, service: &str) -> bool {
        let is_service = names.service.is_some_and(|name| service.starts_with(name));
        let of_prefix = names.prefixes.iter().find_map(|prefix| self.name.strip_prefix(prefix));
        let name = of_prefix.or(is_service.then_some(self.name.as_str()));
        let is_of_sum = |attribute: &String| names.sums.attributes.iter().any(|of| attribute.starts_with(of));
        name.is_some_and(|name| names.sums.events.contains(&name))
            || (names.sums.spans && is_service && self.place.own.is_some())
            || self.attributes.as_object().is_some_and(|all| all.keys().any(is_of_sum))
    }

    /// Returns whether the scope is the SDK of a provider, which states the provider's own counts.
    pub fn is_of_own_sdk(&self) -> bool {
        self.scope.starts_with("com.") && self.scope.contains(".sdk")
    }

    /// Returns whether this scope, or a part of it, sent the item.
    pub fn is_of_scope(&self, scope: &str) -> bool {
        self.scope == scope
    }

    /// Returns the purpose of a call, as the agent states it.
    fn purpose(&self, names: &[&str]) -> Option<(String, String)> {
        let purpose = names.iter().find_map(|name| fields::text(&self.attributes, name))?;
        Some((PURPOSE.to_owned(), purpose.to_owned()))
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.get(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        fields::text(&self.attributes, name).or_else(|| fields::text(self.resource, name))
    }

    pub fn field(&self, name: &'static str) -> Result<Field, String> {
        Ok((name, fields::worded_count(&self.attributes, name)?))
    }

    /// Parses a call in an agent's own vocabulary.
    fn own_names(self, agent: &'static str, names: &CallNames) -> ParsedItem {
        let mut logged = Logged::new(agent, names.normaliser, self.field(names.input)?, self.field(names.output)?);
        logged.cache_read = self.field(names.cache_read)?;
        let optional = |name: Option<&'static str>| name.map_or(Ok(NO_FIELDS[0]), |name| self.field(name));
        logged.more_input = optional(names.tool_input)?;
        logged.cache_write = optional(names.cache_write)?;
        logged.reasoning = optional(names.reasoning)?;
        logged.cache_inside = names.cache_inside;
        logged.reasoning_inside = names.reasoning_inside;
        let tier = names.tier.and_then(|(name, usual)| self.text(name).filter(|tier| !usual.contains(tier)));
        let tier = tier.map(str::to_owned);
        let purpose = self.purpose(names.purposes);
        let keys = names.id.and_then(|id| self.text(id)).map(str::to_owned).into_iter().collect();
        let call = self.parsed_call(names.provider, agent, &logged, &[names.conversation], names.models, keys)?;
        Ok(call.map(|mut call| {
            call.record.labels.extend(tier.map(|tier| (SERVICE_TIER.to_owned(), tier)));
            if let Some(tier) = names.answered_tier.and_then(|name| fields::text(&self.attributes, name)) {
                service_tiers::set_stated(&mut call.record, tier);
            }
            call.record.labels.extend(purpose);
            attribution::settle(&mut call.record);
            call
        }))
    }

    /// Classifies an item of unknown form: with tokens or without.
    fn other(self) -> ParsedItem {
        let named = self.attributes.as_object().and_then(|all| all.iter().find(|(name, value)| is_count(name, value)));
        match named {
            Some((name, _)) => {
                let (what, name) = (secrets::quoted(&self.name), secrets::quoted(name));
                Err(format!("{what} tells of tokens ({name}) and is of no known form"))
            }
            None => Ok(None),
        }
    }

    pub fn parsed_call(
        &self,
        provider: &str,
        agent: &str,
        logged: &Logged,
        conversations: &[&str],
        models: &[&str],
        keys: Vec<String>,
    ) -> ParsedItem {
        if logged.is_nothing() {
            // A failed call used nothing. A successful call without any count has an unknown form.
            let stated = [logged.input, logged.output].iter().any(|(_, count)| count.is_some());
            return if stated {
                Ok(None)
            } else {
                Err(format!("{} without token counts", secrets::quoted(&self.name)))
            };
        }
        let at = self.at.ok_or_else(|| format!("{} without a time", secrets::quoted(&self.name)))?;
        let mut record = fields::record(provider, agent, *logged)?;
        self.split_lifetimes(&mut record.tokens)?;
        record.agent = record.agent.filter(|agent| !agent.is_empty());
        record.keys = keys;
        let first = |names: &[&str]| names.iter().find_map(|name| self.text(name)).map(str::to_owned);
        (record.conversation, record.model) = (first(conversations), first(models));
        let cost = self.attributes.get("cost_usd").or_else(|| self.resource.get("cost_usd"));
        let worded = cost.and_then(Value::as_str).and_then(|text| text.trim().parse().ok()).map(Value::Number);
        fields::set_cost(&mut record, "cost_usd", worded.as_ref().or(cost));
        record.duration_ms = self.duration_ms;
        let caller = CALLER.iter().filter_map(|(label, names)| Some(((*label).to_owned(), first(names)?)));
        record.labels.extend(caller.filter(|(_, value)| !value.is_empty()));
        // Many senders give each process a random id, which names no machine.
        let instance = self.text("service.instance.id").filter(|id| !id.is_empty() && id.parse::<Uuid>().is_err());
        if let Some(instance) = instance {
            record.labels.entry("machine".to_owned()).or_insert_with(|| instance.to_owned());
        }
        let fields =
            [logged.input, logged.more_input, logged.cache_read, logged.cache_write, logged.output, logged.reasoning];
        let fields = fields.into_iter().chain(self.lives);
        let stated = fields.filter(|(name, _)| self.has(name));
        let stated = stated.filter_map(|(name, count)| Some((name, Value::from(count?))));
        record.raw = fields::raw(&stated.collect::<BTreeMap<_, _>>());
        fields::checked(at, record).map(Some)
    }

    /// Splits cache writes by lifetime. The remainder has an unknown lifetime.
    fn split_lifetimes(&self, tokens: &mut Tokens) -> Result<(), String> {
        let [five_minutes, hour] = self.lives.map(|(_, count)| count.and_then(|count| u64::try_from(count).ok()));
        if five_minutes.is_none() && hour.is_none() {
            return Ok(());
        }
        let by_lifetime = five_minutes.unwrap_or(0).checked_add(hour.unwrap_or(0));
        let remainder = by_lifetime.and_then(|by_lifetime| tokens.cache_write.unwrap_or(0).checked_sub(by_lifetime));
        let remainder = remainder.ok_or_else(|| {
            format!("{} states more cache writes by lifetime than in total", secrets::quoted(&self.name))
        })?;
        (tokens.cache_write_5m, tokens.cache_write_1h) = (five_minutes, hour);
        tokens.cache_write = Some(remainder).filter(|remainder| *remainder > 0);
        Ok(())
    }
}

/// Returns whether an event name belongs to an agent or to the convention.
fn is_known(name: &str) -> bool {
    let mut prefixes = agents::ALL.iter().filter_map(|agent| agent.telemetry).flat_map(|names| names.prefixes);
    name.starts_with("gen_ai.") || prefixes.any(|prefix| name.starts_with(prefix))
}

/// Returns whether an unknown attribute looks like a count of used tokens, as opposed to a limit.
fn is_count(name: &str, value: &Value) -> bool {
    let name = name.to_lowercase();
    let allowed = ["max", "limit", "budget", "request.", "threshold"].iter().any(|word| name.contains(word));
    let counted = value.is_number() || value.as_str().is_some_and(|text| text.parse::<i64>().is_ok());
    let names_tokens = name.contains("tokens") || name.contains("token_count") || name.contains("tokencount");
    counted && names_tokens && !allowed
}
