//! The windows of one account, cut from its uses.

use super::limits::Limits;
use super::{Basis, Usage, WindowUsage};
use crate::error::Result;
use crate::event::{Payload, Percent, Position, WindowKind};
use crate::projection::{AccountRef, Level, Subject, Totals, facts, first_from, scan_days, sum_uses};
use crate::time::{DAY, HOUR, QUARTER, Timestamp};
use crate::view::{GO_ON, Order, View};
use crate::window::{Border, Observation, Policy, Timeline, Window, kind_of, lay};

/// How many days back a pause is looked for before the time line is walked from its beginning.
const LOOK_BACK_DAYS: i64 = 8;

/// The windows of a provider account, known up to a time.
pub(crate) struct AccountWindows<'a> {
    view: &'a dyn View,
    account: AccountRef<'a>,
    key: Vec<u8>,
    now: Timestamp,
    limits: Limits,
    observations: Vec<(Observation, Position)>,
}

impl<'a> AccountWindows<'a> {
    pub fn new(view: &'a dyn View, account: &AccountRef<'a>, now: Timestamp) -> Result<Self> {
        let mut observations = Vec::new();
        let subject = Subject::Account(account.clone());
        facts(view, "quota_observed", &subject, now, Order::Ascending, &mut |fact| {
            if let Payload::QuotaObserved(seen) = &fact.event.payload
                && let Some(resets_at) = seen.resets_at
                && seen.scope.is_none()
            {
                let observation = Observation {
                    at: fact.event.occurred_at,
                    id: fact.event.id,
                    minutes: seen.window_minutes,
                    resets_at,
                    used: seen.used_percent,
                };
                observations.push((observation, fact.position));
            }
            GO_ON
        })?;
        Ok(Self {
            view,
            account: account.clone(),
            key: account.key(),
            now,
            limits: Limits::at(view, account, now)?,
            observations,
        })
    }

    fn of_kind(&self, kind: WindowKind) -> impl Iterator<Item = &(Observation, Position)> {
        self.observations.iter().filter(move |(seen, _)| kind_of(seen.minutes) == Some(kind))
    }

    const fn policy(&self, kind: WindowKind) -> Policy {
        match kind {
            WindowKind::Session => Policy::Session(self.limits.session_policy),
            WindowKind::Weekly => Policy::Weekly(self.limits.weekly_policy),
        }
    }

    /// Every window of a kind in which something was used, earliest first.
    pub fn all(&self, kind: WindowKind) -> Result<Vec<Window>> {
        let observed = lay(self.of_kind(kind).map(|(seen, _)| *seen).collect());
        let mut found = Vec::new();
        self.timeline(kind, &observed, &mut |timeline| {
            timeline.each(Timestamp::MIN, &mut |window| {
                found.push(window);
                true
            })
        })?;
        Ok(found)
    }

    fn timeline<T>(
        &self,
        kind: WindowKind,
        observed: &[Window],
        ask: &mut dyn FnMut(&Timeline<'_>) -> Result<T>,
    ) -> Result<T> {
        let next_use = |from| first_from(self.view, &self.key, from);
        ask(&Timeline { observed, policy: self.policy(kind), next_use: &next_use })
    }

    /// The window of a kind as it stands now.
    pub fn now(&self, kind: WindowKind) -> Result<WindowUsage> {
        let observed = lay(self.of_kind(kind).map(|(seen, _)| *seen).collect());
        let policy = self.policy(kind);
        let anchor = if policy.is_calendar() { Timestamp::MIN } else { self.anchor(policy.length())? };
        let window = self.timeline(kind, &observed, &mut |timeline| timeline.current(self.now, anchor))?;
        let limit = self.limits.of(kind);
        let totals = match window {
            Some(window) => sum_between(self.view, &self.account, window.start, window.end.min(self.now.plus(1)))?,
            None => Totals::default(),
        };
        let weighted = self.limits.weights.weigh(totals.counts());
        let mut usage = WindowUsage {
            usage: Usage::from_totals(&totals)?,
            weighted,
            limit: limit.map(|(tokens, _)| tokens),
            percent: limit.map(|(limit, _)| share(weighted, limit)),
            started_at: window.map(|window| window.start),
            resets_at: window.map(|window| window.resets_at),
            basis: if limit.is_some() { Basis::Estimated } else { Basis::Unknown },
            evidence: limit.map(|(_, position)| position).into_iter().collect(),
        };
        if let Some(window) = window.filter(|window| window.border == Border::Observed) {
            self.anchor_percent(kind, window, &mut usage)?;
        }
        Ok(usage)
    }

    /// Percent = what the provider said last in this window + what was used since.
    fn anchor_percent(&self, kind: WindowKind, window: Window, usage: &mut WindowUsage) -> Result<()> {
        let latest = self
            .of_kind(kind)
            .filter(|(seen, _)| seen.resets_at > window.start && seen.at >= window.start)
            .max_by_key(|(seen, _)| (seen.at, seen.id));
        let Some((seen, position)) = latest else { return Ok(()) };
        usage.evidence.push(*position);
        let Some(used) = seen.used else { return Ok(()) };
        let since = sum_between(self.view, &self.account, seen.at.plus(1), window.end.min(self.now.plus(1)))?;
        let weighted = self.limits.weights.weigh(since.counts());
        usage.percent = Some(used);
        usage.basis = Basis::Observed;
        if weighted > 0
            && let Some(limit) = usage.limit
        {
            let sum = used.hundredths().saturating_add(hundredths(weighted, limit));
            usage.percent = Some(Percent::from_hundredths(sum.min(100 * 100)));
            usage.basis = Basis::ObservedAndDelta;
        }
        Ok(())
    }

    /// An instant near now that no window spans, so that the time line need not be walked from its beginning:
    /// the end of a pause in use that is longer than a window.
    fn anchor(&self, length: i64) -> Result<Timestamp> {
        let today = self.now.utc_day();
        let mut active: Vec<i64> = Vec::new();
        let days = LOOK_BACK_DAYS + length / DAY;
        scan_days(self.view, Level::Model, Some(today - days), Some(today), &mut |row| {
            if row.series.provider == self.account.provider && row.series.account == self.account.account.as_deref() {
                let quarters = row.quarters()?.into_keys().map(|quarter| row.day * 96 + i64::from(quarter));
                active.extend(quarters.filter(|quarter| *quarter <= self.now.millis().div_euclid(QUARTER)));
            }
            GO_ON
        })?;
        active.sort_unstable();
        active.dedup();
        // A window may begin up to an hour before the use that opens it.
        let wide = (length + HOUR) / QUARTER + 2;
        let mut pairs = active.windows(2).rev();
        let after_pause = pairs.find_map(|pair| match pair {
            [before, after] if after - before >= wide => Some(*after),
            _ => None,
        });
        Ok(after_pause.map_or(Timestamp::MIN, |quarter| Timestamp::from_millis(quarter * QUARTER)))
    }
}

/// Hundredths of a percent, truncated.
fn hundredths(weighted: u64, limit: u64) -> u32 {
    let share = u128::from(weighted) * 10_000 / u128::from(limit.max(1));
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// Whole percent of a limit, truncated and at most 100: an estimate has no more digits than that.
fn share(weighted: u64, limit: u64) -> Percent {
    Percent::from_hundredths((hundredths(weighted, limit) / 100 * 100).min(100 * 100))
}

/// The sum of an account over `[from, to)`: whole quarters from the rollup, the edges use by use.
pub(crate) fn sum_between(view: &dyn View, account: &AccountRef<'_>, from: Timestamp, to: Timestamp) -> Result<Totals> {
    let key = account.key();
    let first = from.millis().div_euclid(QUARTER) + i64::from(from.millis().rem_euclid(QUARTER) != 0);
    let last = to.millis().div_euclid(QUARTER);
    if first >= last {
        return sum_uses(view, &key, from, to);
    }
    let border = |quarter: i64| Timestamp::from_millis(quarter * QUARTER);
    let mut totals = sum_uses(view, &key, from, border(first))?;
    totals.add(&sum_uses(view, &key, border(last), to)?)?;
    let (first_day, last_day) = (first.div_euclid(96), (last - 1).div_euclid(96));
    scan_days(view, Level::Model, Some(first_day), Some(last_day), &mut |row| {
        if row.series.provider != account.provider || row.series.account != account.account.as_deref() {
            return GO_ON;
        }
        if row.day * 96 >= first && (row.day + 1) * 96 <= last {
            totals.add(&row.sum()?)?;
        } else {
            for (quarter, sum) in row.quarters()? {
                if (first..last).contains(&(row.day * 96 + i64::from(quarter))) {
                    totals.add(&sum)?;
                }
            }
        }
        GO_ON
    })?;
    Ok(totals)
}
