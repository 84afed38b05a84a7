//! Spans and log records of one trace that tell of the same call, without an id of it that both know.
//!
//! A call may be told of by the span of a framework, by the client's span below it, and by a log record within either.
//! Where one stands in the other and both state the same counts, they are one call. Each span has one twin below it and one
//! log record, so as many calls stay as the lower ones tell of. A span that states what several below it state together
//! is their sum. So that what comes later finds what came before, a record keeps a key of its place: `trace/span/c1`
//! is the first call below a span, `trace/span/e1` the first log record in it.
//!
//! An instrumentation may also open its span beside that of the provider's SDK instead of around it. Two spans side by side
//! are one call when kinds of instrumentations differ, and model and counts agree and their times overlap.

use std::collections::{BTreeSet, HashMap};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::attributes::{flat, span_id};
use super::counts::is_counted;
use crate::import::engine::feed_counts;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::telemetry_match::{GUESSED, KEY, OWN_SDK, is_telemetry};
use crate::model::error::Result;
use crate::model::event::{Position, TokenRecord};
use crate::model::time::Timestamp;
use crate::projection::{effective, positions_of_key};
use crate::store::ReadView;
use crate::usage::accounts;

/// How many calls are looked at below one span. A sum of more has to be known by its name.
const BELOW: usize = 16;

/// Where in a trace something is told; spans are written `trace/span`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NestPlace {
    /// The span that tells.
    pub own: Option<String>,
    /// The span it stands in.
    pub within: Option<String>,
}

impl NestPlace {
    /// How its key in the span it stands in begins.
    fn prefix(&self) -> Option<String> {
        let kind = if self.own.is_some() { CALL } else { LOG };
        self.within.as_ref().map(|within| format!("{within}/{kind}"))
    }
}

/// The spans of one message.
pub(super) struct Spans(HashMap<String, (Option<String>, bool)>);

impl Spans {
    pub fn of(request: &ExportTraceServiceRequest) -> Self {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let known = scopes.flat_map(|scope| &scope.spans).filter_map(|span| {
            let parent = span_id(&span.trace_id, &span.parent_span_id);
            Some((span_id(&span.trace_id, &span.span_id)?, (parent, is_counted(&flat(&span.attributes)))))
        });
        Self(known.collect())
    }

    /// The span that a span stands in: the nearest around it that counts tokens, or of which this message does not tell,
    /// else the outermost.
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

/// What is known in the same place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kin {
    /// Records of the same call.
    pub same: Vec<Position>,
    /// A record that turns out to be a sum of calls.
    pub sum: Option<Position>,
    /// Whether the call itself is a sum of calls that are known.
    pub is_sum: bool,
    /// The key of the call's place, unless it has one.
    pub key: Option<String>,
    /// A key that says that two instrumentations told of the call side by side.
    pub pair: Option<String>,
}

struct NestedCall {
    position: Position,
    at: Timestamp,
    record: TokenRecord,
}

/// Looks around the place of a call; `known` are the records that its own keys find, `named` providers whose records may
/// not be counted yet.
pub(super) fn look(
    view: &dyn ReadView,
    place: &NestPlace,
    named: &BTreeSet<String>,
    found: &ParsedCall,
    known: &[Position],
) -> Result<Kin> {
    let record = &found.record;
    let mut kin = Kin::default();
    let trace = Trace::new(view, named)?;
    let is_same = |told: &NestedCall| states_the_same(&told.record, record) && !differ(&told.record, record);
    if let Some(own) = &place.own {
        let below = [trace.below(own, CALL)?.0, trace.below(own, LOG)?.0];
        kin.same
            .extend(below.iter().filter_map(|told| told.iter().find(|told| is_same(told))).map(|told| told.position));
        if known.is_empty() && kin.same.is_empty() {
            let like = is_like(record) && below.iter().any(|told| !told.is_empty());
            kin.is_sum = like || below.iter().any(|told| told.len() > 1 && sum(told) == gross(record));
        }
    }
    let Some((within, prefix)) = place.within.as_ref().zip(place.prefix()) else { return Ok(kin) };
    let kind = if place.own.is_some() { CALL } else { LOG };
    let has_place = |record: &TokenRecord| record.keys.iter().any(|key| key.starts_with(&prefix));
    let (mut beside, next) = trace.below(within, kind)?;
    if let Some(upper) =
        trace.told(within)?.filter(|upper| !has_place(&upper.record) && !known.contains(&upper.position))
    {
        if is_same(&upper) {
            kin.same.push(upper.position);
        } else if known.is_empty() && kin.same.is_empty() && is_telemetry(&upper.record) {
            let all = sum(&beside).zip(gross(record)).map(|(a, b)| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)));
            let is_sum = is_like(&upper.record) || (!beside.is_empty() && all == gross(&upper.record));
            kin.sum = is_sum.then_some(upper.position);
        }
    }
    let mut key = next.map(|next| format!("{prefix}{next}"));
    if key.is_none() {
        let (alike, next) = trace.alike(&prefix, record)?;
        beside.extend(alike);
        key = next;
    }
    if let Some(own) = place.own.as_ref().filter(|_| known.is_empty() && kin.same.is_empty())
        && let Some(sibling) = beside.iter().filter(|told| is_same(told)).find(|told| are_siblings(told, found))
    {
        kin.same.push(sibling.position);
        kin.pair = Some(format!("{own}{PAIR}"));
    }
    let mut has_key = false;
    for position in known.iter().chain(&kin.same) {
        has_key |= effective(view, *position, None)?.is_some_and(|told| has_place(&told.record));
    }
    kin.key = key.filter(|_| !has_key);
    Ok(kin)
}

/// The records of a trace. Those who tell may name its provider differently, or not at all.
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

    /// The records that a key finds, those that were withdrawn too.
    fn positions(&self, key: &str) -> Result<BTreeSet<Position>> {
        let mut found = BTreeSet::new();
        for provider in &self.providers {
            found.extend(positions_of_key(self.view, provider, key)?);
        }
        Ok(found)
    }

    fn first(&self, positions: &BTreeSet<Position>) -> Result<Option<NestedCall>> {
        for position in positions {
            if let Some(now) = effective(self.view, *position, None)? {
                return Ok(Some(NestedCall { position: *position, at: now.at, record: now.record }));
            }
        }
        Ok(None)
    }

    fn told(&self, key: &str) -> Result<Option<NestedCall>> {
        self.first(&self.positions(key)?)
    }

    /// What is known to stand in a span, and the number of the next; `None` when there are too many.
    fn below(&self, span: &str, kind: char) -> Result<(Vec<NestedCall>, Option<usize>)> {
        self.numbered(&format!("{span}/{kind}"))
    }

    /// Of the many calls in a span those that state what this one does, and the key of the next.
    fn alike(&self, prefix: &str, record: &TokenRecord) -> Result<(Vec<NestedCall>, Option<String>)> {
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

    /// The calls whose keys begin so and end with a number, and the next number.
    fn numbered(&self, prefix: &str) -> Result<(Vec<NestedCall>, Option<usize>)> {
        let mut all: Vec<NestedCall> = Vec::new();
        for number in 1..=BELOW {
            let positions = self.positions(&format!("{prefix}{number}"))?;
            if positions.is_empty() {
                return Ok((all, Some(number)));
            }
            let told = self.first(&positions)?;
            all.extend(told.filter(|told| all.iter().all(|known| known.position != told.position)));
        }
        Ok((all, None))
    }
}

/// Taken for a call because of its counts, not of its name.
fn is_like(record: &TokenRecord) -> bool {
    record.normaliser.as_deref() == Some(GUESSED)
}

/// All that went in and all that came out.
fn gross(record: &TokenRecord) -> Option<(u64, u64)> {
    feed_counts::gross(&record.tokens)
}

/// Whether two may state the counts of one call.
fn states_the_same(a: &TokenRecord, b: &TokenRecord) -> bool {
    gross(a) == gross(b) || feed_counts::repeats_start(a, b) || feed_counts::repeats_start(b, a)
}

/// Ends the key of a record that two instrumentations told of side by side.
const PAIR: &str = "/s";

/// Whether two spans that stand side by side are of one call: instrumentations of two kinds tell of the same model at the same
/// time, and no other has told of the call beside the first.
fn are_siblings(told: &NestedCall, found: &ParsedCall) -> bool {
    let (a, b) = (&told.record, &found.record);
    let agree = a.model.is_none() || b.model.is_none() || a.model == b.model;
    let began = |record: &TokenRecord, at: Timestamp| {
        let lasted = record.duration_ms.and_then(|millis| i64::try_from(millis).ok()).unwrap_or_default();
        at.plus(-lasted)
    };
    let overlap = began(a, told.at) <= found.at && began(b, found.at) <= told.at;
    agree && overlap && convention(a) != convention(b) && !a.keys.iter().any(|key| key.ends_with(PAIR))
}

/// The kind of instrumentation that stated the counts.
fn convention(record: &TokenRecord) -> (bool, bool) {
    let is_openinference = record.raw.as_ref().is_some_and(|raw| raw.get().contains("\"llm.token_count."));
    (is_openinference, record.normaliser.as_deref() == Some(OWN_SDK))
}

fn sum(told: &[NestedCall]) -> Option<(u64, u64)> {
    told.iter().try_fold((0_u64, 0_u64), |(input, output), told| {
        let more = gross(&told.record)?;
        Some((input.checked_add(more.0)?, output.checked_add(more.1)?))
    })
}

/// Whether both have ids that the API gave, and none in common.
fn differ(a: &TokenRecord, b: &TokenRecord) -> bool {
    let given = |record: &TokenRecord| -> BTreeSet<String> {
        record.keys.iter().filter(|key| !key.starts_with(KEY) && !is_place(key)).cloned().collect()
    };
    let (a, b) = (given(a), given(b));
    !a.is_empty() && !b.is_empty() && a.is_disjoint(&b)
}

/// `trace/span`, or a place in it.
fn is_place(key: &str) -> bool {
    let mut parts = key.split('/');
    let hex = |part: Option<&str>, length| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    hex(parts.next(), 32) && hex(parts.next(), 16)
}
