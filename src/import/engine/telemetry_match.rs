//! Two feeds of one call that share no key: an agent's log, and its telemetry.
//!
//! They are one call when they name the same conversation, and no other agent or model, state the same counts, and are
//! at most some minutes apart. Each is the twin of one only, so as many calls stay as the fuller feed tells of.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::error::Result;
use crate::model::event::{Event, EventKind, Payload, Position, TokenRecord};
use crate::model::time::{MINUTE, Timestamp};
use crate::model::tokens::Tokens;
use crate::projection::{Totals, effective, file_states, uses_between};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::accounts;

/// The source of what telemetry tells.
pub(in crate::import) const TELEMETRY: &str = "otlp";
/// How the names of its normalisers end.
pub(in crate::import) const NORMALISER: &str = "-otlp/1";
/// The normaliser of what telemetry seems to tell of: a call because it has counts and a model.
pub(in crate::import) const GUESSED: &str = "gen-ai-like-otlp/1";
/// The normaliser of what an instrumentation tells of, which counts on its own.
pub(in crate::import) const NAMED: &str = "gen-ai-otlp/1";
/// The normaliser of what a provider's own SDK tells of.
pub(in crate::import) const OWN_SDK: &str = "sdk-otlp/1";
/// The normalisers of instrumentations.
pub(in crate::import) const INSTRUMENTED: [&str; 2] = [NAMED, GUESSED];
/// How the keys begin that are made for calls which telemetry names no id of.
pub(in crate::import) const KEY: &str = "otlp/";
/// How far apart an agent's clock may put an answer, its end and the telemetry of it.
const APART: i64 = 5 * MINUTE;
/// Events that are looked at at a time, from the end of the ledger back: a twin is mostly young.
const STRETCH: u64 = 4_096;

/// Whether nothing but telemetry has told of a call yet.
pub(in crate::import) fn is_telemetry(record: &TokenRecord) -> bool {
    record.normaliser.as_deref().is_some_and(|normaliser| normaliser.ends_with(NORMALISER))
}

/// Whether telemetry was found to tell of a call, or told of it first.
pub(in crate::import) fn is_met(record: &TokenRecord) -> bool {
    is_telemetry(record) || record.keys.iter().any(|key| key.starts_with(KEY))
}

/// Conversations that telemetry has told of: only in those a log's call may have a twin.
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

    /// Whether it was not heard of before.
    #[cfg(feature = "web")]
    pub fn add(&mut self, conversation: &str) -> bool {
        self.0.insert(conversation.to_owned())
    }
}

/// What both feeds state: uncached input, read from a cache, written to one, and put out.
type CountVector = [u128; 4];

fn sums([input, read, five, hour, written, output, reasoning]: [u128; 7]) -> CountVector {
    let add = u128::saturating_add;
    [input, read, add(add(five, hour), written), add(output, reasoning)]
}

fn of_tokens(tokens: &Tokens) -> CountVector {
    sums(tokens.counts().map(u128::from))
}

/// The record, among those that are wanted, that tells of the same call; of several the nearest in time.
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
        for position in told_at(view, start, end, &moments)? {
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

/// The instants near a time at which a call may have used just that much, and how many calls there were.
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

/// The records in a stretch of the log that count at one of these instants.
fn told_at(view: &dyn ReadView, start: u64, end: u64, moments: &BTreeMap<Timestamp, i64>) -> Result<Vec<Position>> {
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
