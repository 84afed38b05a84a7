//! What providers said about their windows lately: read once, for all that is asked of it.

use std::collections::BTreeMap;

use super::Limits;
use crate::model::error::Result;
use crate::model::event::{EventId, EventKind, Payload, Position, QuotaObserved, WindowKind};
use crate::model::time::{DAY, Timestamp};
use crate::model::window::kind_of;
use crate::projection::{AccountRef, Subject, facts_between};
use crate::readers::quota::Lead;
use crate::store::{GO_ON, Order, ReadView, STOP};

/// No quota window is longer than a month.
const LOOK_BACK: i64 = 32 * DAY;
/// So many of the latest words count; older ones are about windows that are long over.
const MOST: usize = 512;
/// The feed of counters that an agent kept itself: what a provider says goes before it.
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
    /// Whether it is no provider's word but an agent's count.
    pub fn is_weak(&self) -> bool {
        self.seen.feed == COUNTED_BY_AGENT
    }
}

/// Leaves out the old readings of idle feeds: lower percentages of a window, and windows that a later one has replaced.
/// `overridden` names the windows that a person spoke of, earliest first, which starts the comparison anew.
pub(super) fn settled(
    heard: Vec<RecentObservation>,
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
    heard.into_iter().filter(|one| counts(one)).collect()
}

/// What is heard of an account up to `now`, earliest first.
pub(super) fn lately(view: &dyn ReadView, account: &AccountRef<'_>, now: Timestamp) -> Result<Vec<RecentObservation>> {
    listen(view, account, (now.plus(-LOOK_BACK), now), MOST)
}

/// All that was ever heard of an account, earliest first.
pub(super) fn ever(view: &dyn ReadView, account: &AccountRef<'_>) -> Result<Vec<RecentObservation>> {
    listen(view, account, (Timestamp::MIN, Timestamp::MAX), usize::MAX)
}

fn listen(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    span: (Timestamp, Timestamp),
    most: usize,
) -> Result<Vec<RecentObservation>> {
    let mut heard = Vec::new();
    let subject = Subject::Account(account.clone());
    facts_between(view, EventKind::QuotaObserved, &subject, span, Order::Descending, &mut |fact| {
        if let Payload::QuotaObserved(seen) = fact.event.payload {
            let (at, id, position) = (fact.event.occurred_at, fact.event.id, fact.position);
            heard.push(RecentObservation { at, id, position, seen });
        }
        if heard.len() < most { GO_ON } else { STOP }
    })?;
    heard.reverse();
    Ok(heard)
}
