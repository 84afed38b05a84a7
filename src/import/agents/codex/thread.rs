//! The state of a thread, and the calls that increases of its counter represent.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::calls::ThreadCalls;
use super::limits::RolloutLimits;
use super::line::{ResponseRecord, RolloutLine, SessionMeta, ThreadSettings, TokenCountInfo, TurnContext, read};
use super::parents::Parents;
use super::turn_line::TurnLine;
use super::vector::Vector;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names::provider_id;
use crate::import::engine::service_tiers;
use crate::import::health::missing_usage::MissingUsage;
use crate::model::event::{Quality, Raw, ServerKey, TokenRecord, is_special};
use crate::model::time::Timestamp;
use crate::readers::normalise::{self, UsageFormat};

/// Maximum number of ancestors to search.
const MAX_PARENTS: usize = 8;

/// Provider of a thread that does not name one.
const DEFAULT_PROVIDER: &str = "openai";

/// Milliseconds after the start of a fork in which calls count as repeated without a check of the parents' rollouts.
const REPLAY: i64 = 2_000;

/// State of one rollout, from which a later run continues.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RolloutState {
    /// From the first `session_meta`. A fork repeats those of its parents after its own.
    id: Option<String>,
    /// The id in the file name, used until then.
    file: String,
    /// Threads whose history may be repeated here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parents: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    /// The service tier in the thread's settings, if it has its own prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    pub began: Option<Timestamp>,
    /// The last value of the counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Vector>,
    /// The response id of the last recorded call, and the key of the total at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<(String, String)>,
    /// Whether a call of this thread itself was recorded, which ends the repetition of its parents.
    #[serde(rename = "own")]
    is_own: bool,
    /// Whether the counter last increased as a parent's did.
    #[serde(skip)]
    repeats: bool,
    /// Web searches of the provider since the last call.
    #[serde(skip_serializing_if = "is_zero")]
    searches: u64,
    /// Those of the last recorded call, until the counter shows it.
    #[serde(skip_serializing_if = "is_zero")]
    recorded_searches: u64,
    pub calls: ThreadCalls,
    #[serde(skip_serializing_if = "RolloutLimits::is_empty")]
    pub limits: RolloutLimits,
    /// Answers since the last call.
    #[serde(default = "MissingUsage::counted", rename = "silence")]
    pub missing_usage: MissingUsage,
}

/// The counts of a call and their origin.
struct Used<'a> {
    vector: Vector,
    /// The usage object to normalise.
    usage: &'a str,
    /// The client's usage object; the same one unless the counts are derived.
    raw: &'a RawValue,
    /// Why the counts are derived rather than reported.
    derived: Option<String>,
}

impl<'a> Used<'a> {
    fn reported(raw: &'a RawValue, vector: Vector) -> Self {
        Self { vector, usage: raw.get(), raw, derived: None }
    }
}

impl RolloutState {
    pub fn new(file: String) -> Self {
        Self { file, ..Self::default() }
    }

    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.file)
    }

    pub fn meta(&mut self, meta: &SessionMeta<'_>) {
        let id = meta.id.as_deref().and_then(jsonl::name);
        if self.id.is_none() {
            self.id = id.map(str::to_owned);
            self.provider = meta.model_provider.as_deref().and_then(|name| provider_id(name, None));
            self.project = meta.cwd.as_deref().and_then(jsonl::name).map(str::to_owned);
        } else if let Some(other) = id {
            self.parent(other);
        }
        for parent in meta.parents() {
            self.parent(&parent);
        }
        if let Some(version) = &meta.cli_version {
            self.missing_usage.by("Codex", version);
        }
    }

    fn parent(&mut self, id: &str) {
        let may_be_own = self.id() == id || self.parents.iter().any(|parent| parent == id);
        if !may_be_own && self.parents.len() < MAX_PARENTS && jsonl::name(id).is_some() {
            self.parents.push(id.to_owned());
        }
    }

    pub fn context(&mut self, context: &TurnContext<'_>) {
        if let Some(model) = context.model.as_deref().and_then(jsonl::name) {
            model.clone_into(self.model.get_or_insert_default());
        }
        if let Some(project) = context.cwd.as_deref().and_then(jsonl::name) {
            project.clone_into(self.project.get_or_insert_default());
        }
    }

    /// Applies settings to the turns that follow.
    pub fn settings(&mut self, settings: &ThreadSettings<'_>) {
        self.context(&TurnContext { model: settings.model.clone(), cwd: settings.cwd.clone() });
        let tier = settings.service_tier.as_deref().filter(|tier| is_special(tier));
        // The client's name for the provider's priority processing is `fast`.
        let tier = tier.map(|tier| if tier == "fast" { "priority" } else { tier });
        self.tier = tier.and_then(jsonl::name).map(str::to_owned);
    }

    /// Handles a counter line. The line is repeated often: it is a call only if the counter increased.
    pub fn count(&mut self, at: Timestamp, info: &TokenCountInfo<'_>, parents: &mut Parents) -> Result<(), String> {
        let Some(shown) = info.total_token_usage else {
            return Err("unknown shape: a token_count without total_token_usage".to_owned());
        };
        let total = Vector::parse(shown)?;
        let last = info.last_token_usage.map(|usage| Ok::<_, String>((usage, Vector::parse(usage)?))).transpose()?;
        let before = self.total.replace(total);
        if before == Some(total) || total.is_synthetic() {
            return Ok(());
        }
        // `None` for the first total, and for a counter that decreased because it restarted.
        let moved = before.and_then(|before| total.since(&before));
        let written;
        let used = match (last, moved) {
            (Some((_, last)), None) if last.is_synthetic() => return Ok(()),
            (Some((usage, last)), moved) if !last.is_synthetic() => {
                let mut used = Used::reported(usage, last);
                if let (Some(moved), Some(before)) = (moved.filter(|moved| *moved != last), before) {
                    let what = format!("the total went from {before} to {total}, by {moved}; the call says {last}");
                    used.derived = Some(what);
                }
                used
            }
            (_, Some(moved)) if moved.is_synthetic() => return Ok(()),
            (_, Some(moved)) => {
                written = moved.to_json();
                let derived = before.map(|before| format!("the total went from {before} to {total}"));
                Used { vector: moved, usage: &written, raw: shown, derived }
            }
            (_, None) => {
                let mut used = Used::reported(shown, total);
                if before.is_none() && !self.parents.is_empty() {
                    used.derived = Some("a fork's first total: its parent's calls may be in it".to_owned());
                }
                used
            }
        };
        let mut keys = vec![key(self.id(), &total)];
        self.repeats = self.is_repetition(at, &total, parents);
        if self.repeats {
            keys.extend(self.parents.iter().map(|parent| key(parent, &total)));
        }
        let mut call = self.parse(at, keys, &used)?;
        let searches = std::mem::take(&mut self.searches) + std::mem::take(&mut self.recorded_searches);
        set_searches(&mut call, searches);
        self.missing_usage.count();
        self.calls.counted(used.vector, call);
        Ok(())
    }

    /// Returns whether a parent's counter may have had this total.
    ///
    /// A fork repeats its parents' calls at its start: with their times, at the moment of the fork, or when the file is
    /// first written. Later, an equal total of two forks is a coincidence and not a call of the parent.
    fn is_repetition(&mut self, at: Timestamp, total: &Vector, parents: &mut Parents) -> bool {
        if self.is_own || self.parents.is_empty() {
            return false;
        }
        if self.began.is_none_or(|began| at <= began.plus(REPLAY)) {
            return true;
        }
        let showed = parents.showed(&self.parents, total, at);
        if showed == Some(false) {
            self.is_own = true;
            parents.forget();
        }
        showed == Some(true)
    }

    /// Handles a line without counts.
    pub fn without_counts(&mut self, line: &[u8]) {
        let line_kind = TurnLine::of(line);
        if line_kind == TurnLine::Search && is_search(line) {
            self.searches += 1;
        }
        // Repeated answers belong to its parents.
        let repeats = |began: Timestamp| super::first_time(line).is_none_or(|at| at <= began.plus(REPLAY));
        if line_kind == TurnLine::Nothing || (!self.parents.is_empty() && self.began.is_none_or(repeats)) {
            return;
        }
        if line_kind != TurnLine::Over {
            self.missing_usage.answer();
        }
        if !matches!(line_kind, TurnLine::Answer | TurnLine::Search) {
            self.missing_usage.go_on();
        }
    }

    /// Handles the quota windows of a line.
    pub fn limits(&mut self, at: Timestamp, limits: &RawValue) {
        // A fork may repeat its parents' lines with its own time, but their readings are older.
        let is_repeated = !self.is_own
            && !self.parents.is_empty()
            && (self.repeats || self.began.is_some_and(|began| (began..=began.plus(REPLAY)).contains(&at)));
        if !is_repeated {
            self.limits.observe(limits, at, self.provider.as_deref().unwrap_or(DEFAULT_PROVIDER));
        }
    }

    /// Handles a line with one call.
    pub fn record(&mut self, at: Timestamp, record: &ResponseRecord<'_>) -> Result<(), String> {
        let Some(usage) = record.usage else {
            return Err("unknown shape: a token_usage_record without usage".to_owned());
        };
        let vector = Vector::parse(usage)?;
        let thread = record.thread_id.as_deref().and_then(jsonl::name).unwrap_or_else(|| self.id());
        let is_own = thread == self.id();
        let total = record.thread_token_usage.map(Vector::parse).transpose()?.map(|total| key(thread, &total));
        let mut response = record.response_id.as_deref().and_then(jsonl::name).map(str::to_owned);
        if let Some((response_id, total)) = response.clone().zip(total.clone()) {
            // A relay may answer with the same id every time: then the total alone tells the calls apart.
            if self.response.as_ref().is_some_and(|(last, at)| *last == response_id && *at != total) {
                response = None;
            }
            self.response = Some((response_id, total));
        }
        let keys: Vec<String> = response.into_iter().chain(total).collect();
        if keys.is_empty() {
            return Err("unknown shape: a token_usage_record without response_id and thread_token_usage".to_owned());
        }
        // The record names its own thread, so it needs no parent's key, which could match a sibling's call.
        self.is_own |= is_own;
        let mut call = self.parse(at, keys, &Used::reported(usage, vector))?;
        if let Some(tier) = record.service_tier.as_deref() {
            service_tiers::set_stated(&mut call.record, tier);
        }
        self.recorded_searches = std::mem::take(&mut self.searches);
        set_searches(&mut call, self.recorded_searches);
        self.missing_usage.count();
        self.calls.recorded(vector, call);
        Ok(())
    }

    /// Returns the provider of a call. A model of a paid service is attributed to that service and not to the local
    /// program.
    fn provider_of_call(&self) -> Option<String> {
        let model = self.model.as_deref().filter(|model| model.contains("cloud"));
        match (&self.provider, model) {
            (Some(provider), Some(model)) => provider_id(provider, Some(model)),
            (provider, _) => provider.clone(),
        }
    }

    fn parse(&self, at: Timestamp, keys: Vec<String>, used: &Used<'_>) -> Result<ParsedCall, String> {
        let unknown = |error: crate::Error| format!("unknown shape: {error}");
        let counted = normalise::usage(UsageFormat::Codex, used.usage).map_err(unknown)?;
        counted.tokens.validate().map_err(unknown)?;
        counted.tokens.total().map_err(unknown)?;
        let quality = if used.derived.is_some() { Quality::Derived } else { counted.quality };
        let residual = match (&used.derived, counted.residual) {
            (Some(derived), Some(residual)) => Some(format!("{derived}; {residual}")),
            (derived, residual) => derived.clone().or(residual),
        };
        let mut record = TokenRecord {
            provider: self.provider_of_call().map_or(DEFAULT_PROVIDER.into(), Into::into),
            account: None,
            model: self.model.clone(),
            agent: Some(super::AGENT.to_owned()),
            conversation: Some(self.id().to_owned()),
            project: self.project.clone(),
            labels: std::collections::BTreeMap::new(),
            tokens: counted.tokens,
            modalities: counted.modalities,
            server_tools: counted.server_tools,
            cost: counted.cost,
            duration_ms: None,
            counted_at: None,
            keys,
            key_ids: Vec::new(),
            server_key: ServerKey::default(),
            normaliser: Some(counted.normaliser.into()),
            quality,
            residual,
            raw: Some(Raw::from(used.raw)),
        };
        if let Some(tier) = &self.tier {
            service_tiers::set_requested(&mut record, tier);
        }
        Ok(ParsedCall { at, record })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Sets the number of web searches that the provider made during a call.
fn set_searches(call: &mut ParsedCall, searches: u64) {
    if searches > 0 {
        call.record.server_tools.insert("web_search".to_owned(), searches);
    }
}

/// Whether an item is a search. The model may also open a page of the results, which the provider does not charge.
fn is_search(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct SearchItem {
        action: Option<SearchAction>,
    }
    #[derive(Deserialize)]
    struct SearchAction {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let item = read::<RolloutLine<'_, SearchItem>>(line).ok().and_then(|line| line.payload);
    let action = item.and_then(|item| item.action);
    action.is_none_or(|action| action.kind.is_none_or(|kind| kind == "search"))
}

/// Builds the key of a call without an id: the total identifies it within the thread.
fn key(thread: &str, total: &Vector) -> String {
    format!("{thread}/{total}")
}
