//! Reads the observations of an account once, for all queries about them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{AccountAt, Limits};
use crate::model::error::Result;
use crate::model::event::{AccountRef, EventId, EventKind, Payload, Position, QuotaObserved, Subject, WindowKind};
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::model::window::{believed_reset, kind_of};
use crate::projection::{IndexedLine, each_line_between};
use crate::readers::quota::Lead;
use crate::store::{GO_ON, Order, ReadView, STOP};

/// The longest time for which a reading holds, in milliseconds: a month, and how much further away its reset may be.
const LOOK_BACK: i64 = 35 * DAY;
/// So far back all readings are read, however many: every week has ended within it, with its remainder.
const WEEKS: i64 = 15 * DAY;
/// Of older ones only as many are read that this number is reached with them. They matter for windows of a month.
const ENOUGH: usize = 1_024;
/// The number of latest readings of one window that count.
const MOST: usize = 512;
/// How far the stated reset varies within one window, in milliseconds.
const JITTER: i64 = 5 * MINUTE;
/// The feed of counters that an agent maintains itself. A provider's statement takes precedence.
pub(crate) const COUNTED_BY_AGENT: &str = "koan-usage-state";
/// The agent of these counters.
pub(super) const COUNTING_AGENT: &str = "koan";

/// One observation. Its reset is the stated one as far as that can be true.
#[derive(Clone, Debug)]
pub(super) struct RecentObservation {
    pub at: Timestamp,
    pub id: EventId,
    pub position: Position,
    pub seen: QuotaObserved,
    /// The reset that it states, if that cannot be true.
    pub stated_reset: Option<Timestamp>,
}

impl RecentObservation {
    fn read(view: &dyn ReadView, line: &IndexedLine) -> Result<Option<Self>> {
        let Some(indexed) = line.event(view)? else { return Ok(None) };
        let Payload::QuotaObserved(seen) = indexed.event.payload else { return Ok(None) };
        let (at, id, position) = (indexed.event.occurred_at, indexed.event.id, indexed.position);
        Ok(Some(Self { at, id, position, seen, stated_reset: None }))
    }

    /// The observation with the reset that can be true.
    fn believed(mut self) -> Self {
        let stated = self.seen.resets_at;
        self.seen.resets_at = stated.map(|reset| believed_reset(self.at, self.seen.window_minutes, reset));
        self.stated_reset = stated.filter(|_| self.seen.resets_at != stated);
        self
    }

    /// Whether it is an agent's count and not the provider's statement.
    pub fn is_weak(&self) -> bool {
        self.seen.feed == COUNTED_BY_AGENT
    }
}

/// The overridden windows, earliest first.
pub(super) type Overridden<'o> = &'o [(WindowKind, Timestamp)];

/// Removes old readings of idle feeds: lower percentages of a window, and windows that a later one replaced. An override
/// restarts the comparison.
fn settled(
    observations: Vec<RecentObservation>,
    limits: &Limits,
    overridden: Overridden<'_>,
) -> Vec<RecentObservation> {
    let mut leads: BTreeMap<(u32, Option<String>), (Timestamp, Option<Lead>)> = BTreeMap::new();
    let mut counts = |one: &RecentObservation| {
        if one.is_weak() || !limits.trusts(&one.seen.feed) {
            return true;
        }
        let kind = kind_of(one.seen.window_minutes);
        let (then, lead) =
            leads.entry((one.seen.window_minutes, one.seen.scope.clone())).or_insert((Timestamp::MIN, None));
        if overridden.iter().any(|(window, at)| Some(*window) == kind && *at > *then && *at <= one.at) {
            *lead = None;
        }
        *then = one.at;
        Lead::follow(lead, &one.seen, one.at)
    };
    // The stated resets are compared. A reset that cannot be true would otherwise replace one that can.
    observations.into_iter().filter(|one| counts(one)).map(RecentObservation::believed).collect()
}

/// The fields of a stored reading that tell when its window ends.
#[derive(Deserialize)]
struct ReadingLine<'l> {
    #[serde(borrow)]
    data: ReadingData<'l>,
}

#[derive(Deserialize)]
struct ReadingData<'l> {
    window_minutes: u32,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    resets_at: Option<Timestamp>,
    #[serde(borrow)]
    feed: Cow<'l, str>,
}

impl ReadingData<'_> {
    fn end(&self, at: Timestamp) -> Timestamp {
        let stated = self.resets_at.map(|reset| believed_reset(at, self.window_minutes, reset));
        stated.unwrap_or_else(|| at.plus(i64::from(self.window_minutes) * MINUTE))
    }

    /// How long after its end a window may still matter, in milliseconds. A person's statement may be about the session
    /// before.
    fn rest(&self, limits: &Limits) -> i64 {
        let length = i64::from(self.window_minutes) * MINUTE;
        if self.scope.is_none() { length.max(limits.session_policy.length()) } else { length }
    }
}

/// The length and the scope of a window, and whether an agent counts it itself.
type WindowName = (u32, Option<String>, bool);

/// The observations of an account up to `now`, earliest first, without feeds that do not count: those of each window that
/// is open or ended lately, and one of the last window of each length and scope that ended before. So readings of one
/// window, however many, never take the place of those of another.
pub(super) fn recent(
    AccountAt { view, account, now }: AccountAt<'_>,
    limits: &Limits,
    overridden: Overridden<'_>,
) -> Result<Vec<RecentObservation>> {
    let mut lines: BTreeMap<usize, IndexedLine> = BTreeMap::new();
    let mut ended: BTreeMap<WindowName, (Timestamp, usize)> = BTreeMap::new();
    let subject = Subject::Account(account.clone());
    let (span, mut read) = ((now.plus(-LOOK_BACK), now), Vec::new());
    each_line_between(view, EventKind::QuotaObserved, &subject, span, Order::Descending, &mut |at, line| {
        if at < now.plus(-WEEKS) && read.len() >= ENOUGH {
            return STOP;
        }
        read.push((at, line));
        GO_ON
    })?;
    for (number, (at, line)) in read.into_iter().rev().enumerate() {
        // A line that is no reading becomes an error when it is parsed.
        if let Ok(ReadingLine { data }) = serde_json::from_str(&line.line) {
            if !limits.trusts(&data.feed) {
                continue;
            }
            let end = data.end(at);
            if end.plus(data.rest(limits)) <= now {
                let window = (data.window_minutes, data.scope, data.feed == COUNTED_BY_AGENT);
                let known = ended.get(&window).copied();
                // An idle feed repeats the reading of an earlier window.
                if known.is_some_and(|(known, _)| end.plus(JITTER) < known) {
                    continue;
                }
                if let Some((_, known)) = known {
                    lines.remove(&known);
                }
                ended.insert(window, (end, number));
            }
        }
        lines.insert(number, line);
    }
    let mut observations = Vec::with_capacity(lines.len());
    for line in lines.values() {
        observations.extend(RecentObservation::read(view, line)?);
    }
    let mut observations = settled(observations, limits, overridden);
    let mut counts: BTreeMap<WindowName, usize> = BTreeMap::new();
    observations.reverse();
    observations.retain(|one| {
        let count = counts.entry((one.seen.window_minutes, one.seen.scope.clone(), one.is_weak())).or_default();
        *count += 1;
        *count <= MOST
    });
    observations.reverse();
    Ok(observations)
}

/// All observations of an account, earliest first.
pub(super) fn ever(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    limits: &Limits,
    overridden: Overridden<'_>,
) -> Result<Vec<RecentObservation>> {
    let mut observations = Vec::new();
    let (subject, span) = (Subject::Account(account.clone()), (Timestamp::MIN, Timestamp::MAX));
    each_line_between(view, EventKind::QuotaObserved, &subject, span, Order::Ascending, &mut |_, line| {
        observations.extend(RecentObservation::read(view, &line)?);
        GO_ON
    })?;
    Ok(settled(observations, limits, overridden))
}
