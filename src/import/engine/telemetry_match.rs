//! Matches the log and the telemetry of one call that share no key.
//!
//! They match if they name the same conversation and no different agent or model, state the same counts, and are at
//! most five minutes apart. Each record matches at most one other. So the number of calls is that of the feed that has
//! more.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::error::Result;
use crate::model::event::{Event, EventKind, Payload, Position, TokenRecord};
use crate::model::time::{MINUTE, Timestamp};
use crate::model::tokens::Tokens;
use crate::projection::{Totals, effective, file_states, uses_between};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::accounts;

/// The source of records from telemetry.
pub(in crate::import) const TELEMETRY: &str = "otlp";
/// Suffix of the normalisers of telemetry.
pub(in crate::import) const NORMALISER: &str = "-otlp/1";
/// Normaliser of an item that is presumably a call: it has counts and a model.
pub(in crate::import) const GUESSED: &str = "gen-ai-like-otlp/1";
/// Normaliser of calls from an instrumentation that counts tokens itself.
pub(in crate::import) const NAMED: &str = "gen-ai-otlp/1";
/// Normaliser of calls from a provider's own SDK.
pub(in crate::import) const OWN_SDK: &str = "sdk-otlp/1";
/// The normalisers of instrumentations.
pub(in crate::import) const INSTRUMENTED: [&str; 2] = [NAMED, GUESSED];
/// Prefix of generated keys, for calls without an id in telemetry.
pub(in crate::import) const KEY: &str = "otlp/";
/// Maximum difference in milliseconds between the times of an answer, its end and its telemetry.
const APART: i64 = 5 * MINUTE;
/// Positions per step of the search, which goes backwards from the end of the ledger because a match is mostly recent.
const STRETCH: u64 = 4_096;

/// Returns whether only telemetry has reported the call so far.
pub(in crate::import) fn is_telemetry(record: &TokenRecord) -> bool {
    record.normaliser.as_deref().is_some_and(|normaliser| normaliser.ends_with(NORMALISER))
}

/// Returns whether telemetry has reported the call.
pub(in crate::import) fn is_met(record: &TokenRecord) -> bool {
    is_telemetry(record) || record.keys.iter().any(|key| key.starts_with(KEY))
}

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
    wanted: &dyn Fn(&TokenRecord) -> bool,
) -> Result<Option<Position>> {
    if record.conversation.is_none() {
        return Ok(None);
    }
    let mut moments = moments(view, of_tokens(&record.tokens), at)?;
    let mut best: Option<(u64, Position)> = None;
    let mut end = view.head()?.position.get();
    while !moments.is_empty() && end > 0 {
        let start = end.saturating_sub(STRETCH);
        for position in counted_time(view, start, end, &moments)? {
            let Some(now) = effective(view, position, None)? else { continue };
            if let Some(left) = moments.get_mut(&now.at) {
                *left -= 1;
            }
            let apart = now.at.millis().abs_diff(at.millis());
            let nearer = best.is_none_or(|(least, first)| (apart, position) < (least, first));
            if nearer && apart <= APART as u64 && is_same(&now.record, record) && wanted(&now.record) {
                best = Some((apart, position));
            }
        }
        moments.retain(|_, left| *left > 0);
        end = start;
    }
    Ok(best.map(|(_, position)| position))
}

/// Returns the instants near `at` at which calls used exactly these counts, and the number of calls at each.
fn moments(view: &dyn ReadView, used: CountVector, at: Timestamp) -> Result<BTreeMap<Timestamp, i64>> {
    let mut found = BTreeMap::new();
    for account in accounts(view)? {
        for (millis, totals) in uses_between(view, &account.key(), at.plus(-APART), at.plus(APART + 1))? {
            if may_be(&totals, used)? {
                *found.entry(Timestamp::from_millis(millis)).or_default() += totals.requests;
            }
        }
    }
    Ok(found)
}

fn may_be(totals: &Totals, used: CountVector) -> Result<bool> {
    let there = sums(totals.counts()?);
    Ok(if totals.requests == 1 { there == used } else { there.iter().zip(used).all(|(there, used)| *there >= used) })
}

/// Returns the records between two positions that count at one of these instants.
fn counted_time(
    view: &dyn ReadView,
    start: u64,
    end: u64,
    moments: &BTreeMap<Timestamp, i64>,
) -> Result<Vec<Position>> {
    let (recorded, amended) = (EventKind::TokensRecorded.code(), EventKind::TokensAmended.code());
    let (mut found, mut targets) = (BTreeSet::new(), Vec::new());
    view.rows(Position::new(start + 1), &mut |position, row| {
        if position.get() > end {
            return STOP;
        }
        if row.kind == recorded && moments.contains_key(&row.occurred_at) {
            found.insert(position);
        } else if row.kind == amended
            && let Payload::TokensAmended(amend) = Event::from_line(position, row.body)?.payload
            && amend.at.is_some_and(|at| moments.contains_key(&at))
        {
            targets.push(amend.target);
        }
        GO_ON
    })?;
    for target in targets {
        found.extend(view.position_of(target)?);
    }
    Ok(found.into_iter().collect())
}

fn is_same(a: &TokenRecord, b: &TokenRecord) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    a.conversation == b.conversation
        && agree(&a.agent, &b.agent)
        && agree(&a.model, &b.model)
        && of_tokens(&a.tokens) == of_tokens(&b.tokens)
}
