//! Reads the recent observations of an account once, for all queries about them.

use std::collections::BTreeMap;

use super::{AccountAt, Limits};
use crate::model::error::Result;
use crate::model::event::{AccountRef, EventId, EventKind, Payload, Position, QuotaObserved, Subject, WindowKind};
use crate::model::time::{DAY, Timestamp};
use crate::model::window::kind_of;
use crate::projection::each_event_between;
use crate::readers::quota::Lead;
use crate::store::{GO_ON, Order, ReadView, STOP};

/// The maximal length of a quota window, in milliseconds.
const LOOK_BACK: i64 = 32 * DAY;
/// The number of latest observations that count; older ones concern windows that ended long ago.
const MOST: usize = 512;
/// The feed of counters that an agent maintains itself. A provider's statement takes precedence.
pub(crate) const COUNTED_BY_AGENT: &str = "koan-usage-state";

/// One observation.
#[derive(Clone, Debug)]
pub(super) struct RecentObservation {
    pub at: Timestamp,
    pub id: EventId,
    pub position: Position,
    pub seen: QuotaObserved,
}

impl RecentObservation {
    /// Whether it is an agent's count and not the provider's statement.
    pub fn is_weak(&self) -> bool {
        self.seen.feed == COUNTED_BY_AGENT
    }
}

/// Removes old readings of idle feeds: lower percentages of a window, and windows that a later one replaced.
/// `overridden` lists the overridden windows, earliest first; an override restarts the comparison.
pub(super) fn settled(
    observations: Vec<RecentObservation>,
    limits: &Limits,
    overridden: &[(WindowKind, Timestamp)],
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
    observations.into_iter().filter(|one| counts(one)).collect()
}

/// The observations of an account up to `now`, earliest first.
pub(super) fn recent(at: AccountAt<'_>) -> Result<Vec<RecentObservation>> {
    latest(at.view, at.account, (at.now.plus(-LOOK_BACK), at.now), MOST)
}

/// All observations of an account, earliest first.
pub(super) fn ever(view: &dyn ReadView, account: &AccountRef<'_>) -> Result<Vec<RecentObservation>> {
    latest(view, account, (Timestamp::MIN, Timestamp::MAX), usize::MAX)
}

/// The latest `most` observations of a span, earliest first.
fn latest(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    span: (Timestamp, Timestamp),
    most: usize,
) -> Result<Vec<RecentObservation>> {
    let mut observations = Vec::new();
    let subject = Subject::Account(account.clone());
    each_event_between(view, EventKind::QuotaObserved, &subject, span, Order::Descending, &mut |indexed| {
        if let Payload::QuotaObserved(seen) = indexed.event.payload {
            let (at, id, position) = (indexed.event.occurred_at, indexed.event.id, indexed.position);
            observations.push(RecentObservation { at, id, position, seen });
        }
        if observations.len() < most { GO_ON } else { STOP }
    })?;
    observations.reverse();
    Ok(observations)
}
