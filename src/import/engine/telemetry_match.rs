//! Matches the log and the telemetry of one call that share no key.
//!
//! They match if they name the same conversation and no different agent or model, state the same counts, and are at
//! most five minutes apart. Each record matches at most one other. So the number of calls is that of the feed that has
//! more.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::engine::feed_counts::{START, repeats_start};
use crate::import::engine::parsed_call::ParsedCall;
pub(in crate::import) use crate::import::engine::telemetry_names::{
    GUESSED, KEY, NAMED, OWN_SDK, is_instrumented, is_reported_by_telemetry, is_telemetry,
};
use crate::model::error::Result;
use crate::model::event::{Event, EventKind, Payload, Position, TELEMETRY, TokenRecord};
use crate::model::time::{MINUTE, Timestamp};
use crate::model::tokens::Tokens;
use crate::projection::{Totals, effective, file_states, uses_between};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::accounts;

/// Maximum difference in milliseconds between the times of an answer, its end and its telemetry.
const APART: i64 = 5 * MINUTE;
/// Positions per step of the search, which goes backwards from the end of the ledger because a match is mostly recent.
const STRETCH: u64 = 4_096;

/// Conversations that telemetry has reported. Calls of other conversations need no search.
#[derive(Debug, Default)]
pub(in crate::import) struct SeenConversations(BTreeSet<String>);

impl SeenConversations {
    pub fn read(view: &dyn ReadView) -> Result<Self> {
        let states = file_states(view, TELEMETRY)?;
        Ok(Self(states.into_values().filter_map(|state| state.conversation).collect()))
    }

    pub fn of(&self, record: &TokenRecord) -> bool {
        record.conversation.as_ref().is_some_and(|conversation| self.0.contains(conversation))
    }

    /// Adds a conversation. Returns whether it is new.
    #[cfg(feature = "web")]
    pub fn add(&mut self, conversation: &str) -> bool {
        self.0.insert(conversation.to_owned())
    }
}

/// The counts that both feeds state: uncached input, cache reads, cache writes, output.
type CountVector = [u128; 4];

fn sums([input, read, five, hour, written, output, reasoning]: [u128; 7]) -> CountVector {
    let add = u128::saturating_add;
    [input, read, add(add(five, hour), written), add(output, reasoning)]
}

fn of_tokens(tokens: &Tokens) -> CountVector {
    sums(tokens.counts().map(u128::from))
}

/// Finds the record of the same call among those that `wanted` accepts; if there are several, the nearest in time.
pub(in crate::import) fn find(
    view: &dyn ReadView,
    record: &TokenRecord,
    at: Timestamp,
    wanted: &dyn Fn(&ParsedCall) -> bool,
) -> Result<Option<Position>> {
    if record.conversation.is_none() && trace(record).is_none() {
        return Ok(None);
    }
    let mut moments = moments(view, of_tokens(&record.tokens), at)?;
    let mut best: Option<(u64, Position)> = None;
    let mut end = view.head()?.position.get();
    while !moments.is_empty() && end > 0 {
        let start = end.saturating_sub(STRETCH);
        for position in records_at(view, start, end, &moments)? {
            let Some(now) = effective(view, position, None)? else { continue };
            if let Some(left) = moments.get_mut(&now.at) {
                *left -= 1;
            }
            let apart = now.at.millis().abs_diff(at.millis());
            let nearer = best.is_none_or(|(least, first)| (apart, position) < (least, first));
            if nearer && apart <= APART as u64 && is_same(&now.record, record) {
                let call = ParsedCall { at: now.at, record: now.record };
                best = if wanted(&call) { Some((apart, position)) } else { best };
            }
        }
        moments.retain(|_, left| *left > 0);
        end = start;
    }
    Ok(best.map(|(_, position)| position))
}

/// Returns the instants near `at` at which calls used exactly these counts, and the number of calls at each.
fn moments(view: &dyn ReadView, used: CountVector, at: Timestamp) -> Result<BTreeMap<Timestamp, i64>> {
    let mut calls = BTreeMap::new();
    for account in accounts(view)? {
        for (millis, totals) in uses_between(view, &account.key(), at.plus(-APART), at.plus(APART + 1))? {
            if may_be(&totals, used)? {
                *calls.entry(Timestamp::from_millis(millis)).or_default() += totals.requests;
            }
        }
    }
    Ok(calls)
}

fn may_be(totals: &Totals, used: CountVector) -> Result<bool> {
    let there = sums(totals.counts()?);
    // An instrumentation may count the start of a stream twice.
    let ([went_in @ .., out], [used_in @ .., used_out]) = (there, used);
    let start = u128::from(START);
    Ok(if totals.requests == 1 {
        went_in == used_in && out.abs_diff(used_out) <= start
    } else {
        went_in.iter().zip(used_in).all(|(there, used)| *there >= used) && out.saturating_add(start) >= used_out
    })
}

/// Returns the records between two positions that count at one of these instants.
fn records_at(view: &dyn ReadView, start: u64, end: u64, moments: &BTreeMap<Timestamp, i64>) -> Result<Vec<Position>> {
    let (recorded, amended) = (EventKind::TokensRecorded.code(), EventKind::TokensAmended.code());
    let (mut positions, mut targets) = (BTreeSet::new(), Vec::new());
    view.rows(Position::new(start + 1), &mut |position, row| {
        if position.get() > end {
            return STOP;
        }
        if row.kind == recorded && moments.contains_key(&row.occurred_at) {
            positions.insert(position);
        } else if row.kind == amended
            && let Payload::TokensAmended(amend) = Event::from_line(position, row.body)?.payload
            && amend.at.is_some_and(|at| moments.contains_key(&at))
        {
            targets.push(amend.target);
        }
        GO_ON
    })?;
    for target in targets {
        positions.extend(view.position_of(target)?);
    }
    Ok(positions.into_iter().collect())
}

fn is_same(a: &TokenRecord, b: &TokenRecord) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    let same_place = (a.conversation.is_some() && a.conversation == b.conversation)
        || (agree(&a.conversation, &b.conversation) && trace(a).is_some() && trace(a) == trace(b));
    let same_counts = of_tokens(&a.tokens) == of_tokens(&b.tokens) || repeats_start(a, b) || repeats_start(b, a);
    // An instrumentation names the program that contains it, not the agent.
    let same_agent = agree(&a.agent, &b.agent) || is_instrumented(a) || is_instrumented(b);
    same_place && same_agent && agree(&a.model, &b.model) && same_counts
}

/// Returns the keys of spans, `trace/span`, in two parts.
fn spans(record: &TokenRecord) -> impl Iterator<Item = (&str, &str)> {
    fn is_hex(text: &str, length: usize) -> bool {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
    let parts = record.keys.iter().filter_map(|key| key.split_once('/'));
    parts.filter(|(trace, span)| is_hex(trace, 32) && is_hex(span, 16))
}

/// Returns the trace of a call.
fn trace(record: &TokenRecord) -> Option<&str> {
    spans(record).next().map(|(trace, _)| trace)
}

/// Returns whether an instrumentation reported one of two overlapping calls, and the provider's SDK or the agent the other one,
/// and neither was joined with a further span before.
pub(in crate::import) fn are_of_two_feeds(a: &ParsedCall, b: &ParsedCall) -> bool {
    let overlap = a.began() <= b.at && b.began() <= a.at;
    let is_single = |call: &ParsedCall| spans(&call.record).count() <= 1;
    overlap && is_instrumented(&a.record) != is_instrumented(&b.record) && is_single(a) && is_single(b)
}
