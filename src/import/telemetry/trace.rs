//! Matches the spans and log records of one call within a trace, where they share no id of the call.
//!
//! A framework's span, the client's span below it, and a log record within either may report the same call. If one is
//! inside the other and both state the same counts, they are one call. A span matches at most one span below it and one
//! log record, so the number of calls is that of the lower items. A span that states the sum of several spans below it
//! is their sum. A record keeps a key for its place in the trace, so that later items find it: `trace/span/c1` is the
//! first call below a span, `trace/span/e1` the first log record in it.
//!
//! An instrumentation may also open its span next to that of the provider's SDK instead of around it. Two sibling spans
//! are one call if they come from different kinds of instrumentation, overlap in time, and agree in model and counts.

use std::collections::{BTreeSet, HashMap};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::attributes::{flat, span_id};
use super::counts::is_counted;
use crate::import::engine::feed_counts;
use crate::import::engine::parsed_call::{ParsedCall, began};
use crate::import::engine::telemetry_match::{GUESSED, KEY, OWN_SDK, is_telemetry};
use crate::model::error::Result;
use crate::model::event::{Position, TokenRecord};
use crate::model::time::Timestamp;
use crate::projection::{effective, positions_of_key};
use crate::store::ReadView;
use crate::usage::accounts;

/// Maximum number of calls to examine below one span. A sum of more calls must be recognised by its name.
const BELOW: usize = 16;

/// Place of an item in a trace. Spans are written `trace/span`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TracePlace {
    /// The span itself.
    pub own: Option<String>,
    /// The parent span.
    pub within: Option<String>,
}

impl TracePlace {
    /// Returns the prefix of its key in the parent span.
    fn prefix(&self) -> Option<String> {
        let kind = if self.own.is_some() { CALL } else { LOG };
        self.within.as_ref().map(|within| format!("{within}/{kind}"))
    }
}

/// The spans of one message, with their parent and whether they count tokens.
pub(super) struct Spans(HashMap<String, (Option<String>, bool)>);

impl Spans {
    pub fn of(request: &ExportTraceServiceRequest) -> Self {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let recorded_positions = scopes.flat_map(|scope| &scope.spans).filter_map(|span| {
            let parent = span_id(&span.trace_id, &span.parent_span_id);
            Some((span_id(&span.trace_id, &span.span_id)?, (parent, is_counted(&flat(&span.attributes)))))
        });
        Self(recorded_positions.collect())
    }

    /// Returns the nearest ancestor that counts tokens or is outside this message, otherwise the outermost ancestor.
    pub fn within(&self, span: &Span) -> Option<String> {
        let mut around = span_id(&span.trace_id, &span.parent_span_id)?;
        for _ in 0..self.0.len() {
            match self.0.get(&around) {
                Some((Some(parent), false)) => around.clone_from(parent),
                _ => return Some(around),
            }
        }
        None // they stand in each other
    }
}

const CALL: char = 'c';
const LOG: char = 'e';

/// Recorded calls around a place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RelatedCalls {
    /// Records of the same call.
    pub same: Vec<Position>,
    /// A record that is a sum of calls.
    pub sum: Option<Position>,
    /// Whether the new item is a sum of recorded calls.
    pub is_sum: bool,
    /// The key for the place of the call, unless the call has one.
    pub key: Option<String>,
    /// A key that marks a call reported by two sibling spans.
    pub pair: Option<String>,
}

struct PlacedCall {
    position: Position,
    at: Timestamp,
    record: TokenRecord,
}

/// Finds the recorded calls around the place of a call. `recorded_positions` are records with one of its keys; `named` are providers
/// whose records may not be counted yet.
pub(super) fn find_related(
    view: &dyn ReadView,
    place: &TracePlace,
    named: &BTreeSet<String>,
    call: &ParsedCall,
    recorded_positions: &[Position],
) -> Result<RelatedCalls> {
    let record = &call.record;
    let mut related = RelatedCalls::default();
    let trace = Trace::new(view, named)?;
    let is_same =
        |recorded: &PlacedCall| states_the_same(&recorded.record, record) && !differ(&recorded.record, record);
    if let Some(own) = &place.own {
        let below = [trace.below(own, CALL)?.0, trace.below(own, LOG)?.0];
        related.same.extend(
            below
                .iter()
                .filter_map(|recorded| recorded.iter().find(|recorded| is_same(recorded)))
                .map(|recorded| recorded.position),
        );
        if recorded_positions.is_empty() && related.same.is_empty() {
            let like = is_like(record) && below.iter().any(|recorded| !recorded.is_empty());
            related.is_sum = like || below.iter().any(|recorded| recorded.len() > 1 && sum(recorded) == gross(record));
        }
    }
    let Some((within, prefix)) = place.within.as_ref().zip(place.prefix()) else { return Ok(related) };
    let kind = if place.own.is_some() { CALL } else { LOG };
    let has_place = |record: &TokenRecord| record.keys.iter().any(|key| key.starts_with(&prefix));
    let (mut beside, next) = trace.below(within, kind)?;
    if let Some(upper) = trace
        .recorded(within)?
        .filter(|upper| !has_place(&upper.record) && !recorded_positions.contains(&upper.position))
    {
        if is_same(&upper) {
            related.same.push(upper.position);
        } else if recorded_positions.is_empty() && related.same.is_empty() && is_telemetry(&upper.record) {
            let all = sum(&beside).zip(gross(record)).map(|(a, b)| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)));
            let is_sum = is_like(&upper.record) || (!beside.is_empty() && all == gross(&upper.record));
            related.sum = is_sum.then_some(upper.position);
        }
    }
    let mut key = next.map(|next| format!("{prefix}{next}"));
    if key.is_none() {
        let (alike, next) = trace.alike(&prefix, record)?;
        beside.extend(alike);
        key = next;
    }
    if let Some(own) = place.own.as_ref().filter(|_| recorded_positions.is_empty() && related.same.is_empty())
        && let Some(sibling) =
            beside.iter().filter(|recorded| is_same(recorded)).find(|recorded| are_siblings(recorded, call))
    {
        related.same.push(sibling.position);
        related.pair = Some(format!("{own}{PAIR}"));
    }
    let mut has_key = false;
    for position in recorded_positions.iter().chain(&related.same) {
        has_key |= effective(view, *position, None)?.is_some_and(|recorded| has_place(&recorded.record));
    }
    related.key = key.filter(|_| !has_key);
    Ok(related)
}

/// The records of a trace. Their senders may name different providers, or none.
struct Trace<'v> {
    view: &'v dyn ReadView,
    providers: BTreeSet<String>,
}

impl<'v> Trace<'v> {
    fn new(view: &'v dyn ReadView, named: &BTreeSet<String>) -> Result<Self> {
        let mut providers: BTreeSet<String> =
            accounts(view)?.into_iter().map(|account| account.provider.to_string()).collect();
        providers.extend(named.iter().cloned());
        Ok(Self { view, providers })
    }

    /// Returns the records with a key, including withdrawn ones.
    fn positions(&self, key: &str) -> Result<BTreeSet<Position>> {
        let mut call = BTreeSet::new();
        for provider in &self.providers {
            call.extend(positions_of_key(self.view, provider, key)?);
        }
        Ok(call)
    }

    fn first(&self, positions: &BTreeSet<Position>) -> Result<Option<PlacedCall>> {
        for position in positions {
            if let Some(now) = effective(self.view, *position, None)? {
                return Ok(Some(PlacedCall { position: *position, at: now.at, record: now.record }));
            }
        }
        Ok(None)
    }

    fn recorded(&self, key: &str) -> Result<Option<PlacedCall>> {
        self.first(&self.positions(key)?)
    }

    /// Returns the recorded calls below a span and the next number; `None` if there are too many.
    fn below(&self, span: &str, kind: char) -> Result<(Vec<PlacedCall>, Option<usize>)> {
        self.numbered(&format!("{span}/{kind}"))
    }

    /// Returns those of many calls below a span that state the same counts, and the next key.
    fn alike(&self, prefix: &str, record: &TokenRecord) -> Result<(Vec<PlacedCall>, Option<String>)> {
        let Some((input, output)) = gross(record) else { return Ok((Vec::new(), None)) };
        let own = format!("{prefix}/{input}-{output}/");
        let (mut all, next) = self.numbered(&own)?;
        for more in 1..=feed_counts::START {
            for output in [output.checked_add(more), output.checked_sub(more)].into_iter().flatten() {
                all.extend(self.numbered(&format!("{prefix}/{input}-{output}/"))?.0);
            }
        }
        Ok((all, next.map(|next| format!("{own}{next}"))))
    }

    /// Returns the calls whose keys consist of this prefix and a number, and the next number.
    fn numbered(&self, prefix: &str) -> Result<(Vec<PlacedCall>, Option<usize>)> {
        let mut all: Vec<PlacedCall> = Vec::new();
        for number in 1..=BELOW {
            let positions = self.positions(&format!("{prefix}{number}"))?;
            if positions.is_empty() {
                return Ok((all, Some(number)));
            }
            let recorded = self.first(&positions)?;
            all.extend(recorded.filter(|recorded| {
                all.iter().all(|recorded_positions| recorded_positions.position != recorded.position)
            }));
        }
        Ok((all, None))
    }
}

/// Returns whether the record is a call only by its counts, not by its name.
fn is_like(record: &TokenRecord) -> bool {
    record.normaliser.as_deref() == Some(GUESSED)
}

/// Returns total input and total output.
fn gross(record: &TokenRecord) -> Option<(u64, u64)> {
    feed_counts::gross(&record.tokens)
}

/// Returns whether the counts of both may be those of one call.
fn states_the_same(a: &TokenRecord, b: &TokenRecord) -> bool {
    gross(a) == gross(b) || feed_counts::repeats_start(a, b) || feed_counts::repeats_start(b, a)
}

/// Suffix of the key of a record that two sibling spans reported.
const PAIR: &str = "/s";

/// Returns whether two sibling spans are one call: they come from different kinds of instrumentation, have the same
/// model at the same time, and the first one is not matched yet.
fn are_siblings(recorded: &PlacedCall, call: &ParsedCall) -> bool {
    let (a, b) = (&recorded.record, &call.record);
    let agree = a.model.as_deref().zip(b.model.as_deref()).is_none_or(|(a, b)| is_same_model(a, b));
    let overlap = began(a, recorded.at) <= call.at && call.began() <= recorded.at;
    agree && overlap && convention(a) != convention(b) && !a.keys.iter().any(|key| key.ends_with(PAIR))
}

/// Returns whether two names are of one model. A response may name the dated version of the requested model.
fn is_same_model(a: &str, b: &str) -> bool {
    let is_dated = |dated: &str, name: &str| {
        let date = dated.strip_prefix(name).and_then(|rest| rest.strip_prefix(['-', '@']));
        date.is_some_and(|date| date.len() >= 6 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
    };
    a == b || is_dated(a, b) || is_dated(b, a)
}

/// Returns the kind of instrumentation that stated the counts.
fn convention(record: &TokenRecord) -> (bool, bool) {
    let is_openinference = record.raw.as_ref().is_some_and(|raw| raw.get().contains("\"llm.token_count."));
    (is_openinference, record.normaliser.as_deref() == Some(OWN_SDK))
}

fn sum(recorded: &[PlacedCall]) -> Option<(u64, u64)> {
    recorded.iter().try_fold((0_u64, 0_u64), |(input, output), recorded| {
        let more = gross(&recorded.record)?;
        Some((input.checked_add(more.0)?, output.checked_add(more.1)?))
    })
}

/// Returns whether both have ids from the API, and none in common.
fn differ(a: &TokenRecord, b: &TokenRecord) -> bool {
    let given = |record: &TokenRecord| -> BTreeSet<String> {
        record.keys.iter().filter(|key| !key.starts_with(KEY) && !is_place(key)).cloned().collect()
    };
    let (a, b) = (given(a), given(b));
    !a.is_empty() && !b.is_empty() && a.is_disjoint(&b)
}

/// Returns whether a key is `trace/span` or a place below it.
fn is_place(key: &str) -> bool {
    let mut parts = key.split('/');
    let hex = |part: Option<&str>, length| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    hex(parts.next(), 32) && hex(parts.next(), 16)
}
