//! Computes the windows of one account from its usage instants and observations.

use super::account_sums::sum_between;
use super::limits::Limits;
use super::observations::{self, Overridden, RecentObservation};
use super::signals::{WITHOUT_RECORDS, WindowSignal, add_counters, adopt, drop_counted};
use super::{AccountAt, Basis, ProviderSignal, Speaker, Usage, WindowUsage};
use crate::model::error::Result;
use crate::model::event::{AccountRef, EventKind, Payload, Percent, Subject, WindowKind};
use crate::model::time::{DAY, HOUR, QUARTER, Timestamp};
use crate::model::window::{Border, Policy, Timeline, Window, kind_of, place_observed};
use crate::projection::{Level, STORED_POLICY, Totals, collect_events, first_from, last_start, next_start, scan_days};
use crate::store::{GO_ON, ReadView};

/// The number of days that are searched for a pause in use, before the time line is walked from its beginning.
const LOOK_BACK_DAYS: i64 = 8;

/// Older statements do not affect current windows, in milliseconds.
const SIGNAL_DAYS: i64 = 16 * DAY;

/// The windows of a provider account, as known at a time.
pub(crate) struct AccountWindows<'a> {
    view: &'a dyn ReadView,
    account: AccountRef<'a>,
    key: Vec<u8>,
    now: Timestamp,
    limits: Limits,
    signals: Vec<WindowSignal>,
    observations: Vec<RecentObservation>,
}

impl<'a> AccountWindows<'a> {
    /// The windows as of `now`.
    pub fn new(at: AccountAt<'a>) -> Result<Self> {
        Self::read(at, at.now.plus(-SIGNAL_DAYS), |limits, overridden| observations::recent(at, limits, overridden))
    }

    /// The windows of all time.
    pub fn ever(view: &'a dyn ReadView, account: &'a AccountRef<'a>) -> Result<Self> {
        let at = AccountAt::new(view, account, Timestamp::MAX);
        Self::read(at, Timestamp::MIN, |limits, overridden| observations::ever(view, account, limits, overridden))
    }

    /// Reads what providers and people stated since a time.
    fn read(
        at: AccountAt<'a>,
        since: Timestamp,
        observations: impl FnOnce(&Limits, Overridden<'_>) -> Result<Vec<RecentObservation>>,
    ) -> Result<Self> {
        let AccountAt { view, account, now } = at;
        let limits = Limits::at(at)?;
        let subject = Subject::Account(account.clone());
        // A person may state a reset that is further away than a window is long.
        let all = (Timestamp::MIN, now);
        let mut signals = collect_events(view, EventKind::UsageOverridden, &subject, all, |indexed| {
            let Payload::UsageOverridden(signal) = indexed.event.payload else { return None };
            let counts = indexed.event.occurred_at >= since || signal.resets_at.is_some_and(|end| end > now);
            counts.then_some(WindowSignal {
                at: indexed.event.occurred_at,
                id: indexed.event.id,
                kind: signal.window,
                minutes: 0,
                resets_at: signal.resets_at,
                used: Some(signal.used_percent),
                weak: false,
                beside: false,
                adopted: false,
                statement: ProviderSignal {
                    percent: Some(signal.used_percent),
                    at: indexed.event.occurred_at,
                    by: Speaker::Person,
                    source: signal.author,
                    stale: false,
                    position: indexed.position,
                    stated_reset: None,
                },
            })
        })?;
        let overridden: Vec<_> = signals.iter().map(|signal| (signal.kind, signal.at)).collect();
        let observations = observations(&limits, &overridden)?;
        for one in observations.iter().filter(|one| one.at >= since) {
            let seen = &one.seen;
            if let Some(kind) = kind_of(seen.window_minutes)
                && seen.scope.is_none()
                && limits.trusts(&seen.feed)
            {
                signals.push(WindowSignal {
                    at: one.at,
                    id: one.id,
                    kind,
                    minutes: seen.window_minutes,
                    resets_at: seen.resets_at,
                    used: seen.used_percent,
                    weak: one.is_weak(),
                    beside: one.is_weak() && seen.status.as_deref() == Some(WITHOUT_RECORDS),
                    adopted: false,
                    statement: ProviderSignal {
                        percent: seen.used_percent,
                        at: one.at,
                        by: Speaker::Provider,
                        source: seen.feed.clone(),
                        // A counter includes all usage up to its time, however old, and records since are added.
                        stale: !one.is_weak() && now.millis() - one.at.millis() > limits.stale_after(),
                        position: one.position,
                        stated_reset: one.stated_reset,
                    },
                });
            }
        }
        adopt(&mut signals);
        drop_counted(at, &limits, &mut signals)?;
        add_counters(&mut signals);
        Ok(Self { view, account: account.clone(), key: account.key(), now, limits, signals, observations })
    }

    /// The view that the windows are read from.
    pub(super) const fn view(&self) -> &dyn ReadView {
        self.view
    }

    /// The account of the windows.
    pub(super) const fn account(&self) -> &AccountRef<'a> {
        &self.account
    }

    /// The account as a key.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The time up to which they are known.
    pub(super) const fn at(&self) -> Timestamp {
        self.now
    }

    /// The readings of the open window of a kind, earliest first: a provider's, or a person's.
    pub(super) fn readings(&self, kind: WindowKind, opened: Timestamp) -> Vec<(Timestamp, Percent)> {
        let mut signals: Vec<&WindowSignal> = self
            .of_kind(kind)
            .filter(|signal| !signal.weak && signal.at >= opened && signal.at <= self.now)
            .filter(|signal| signal.resets_at.is_none_or(|end| end > self.now))
            .collect();
        signals.sort_by_key(|signal| signal.rank());
        signals.into_iter().filter_map(|signal| Some((signal.at, signal.used?))).collect()
    }

    /// The recent observations of the account.
    pub(super) fn observations(&self) -> &[RecentObservation] {
        &self.observations
    }

    /// The current settings.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn of_kind(&self, kind: WindowKind) -> impl Iterator<Item = &WindowSignal> {
        self.signals.iter().filter(move |signal| signal.kind == kind)
    }

    fn observed_windows(&self, kind: WindowKind) -> Vec<Window> {
        let minutes = self.limits.session_policy.minutes();
        place_observed(
            self.of_kind(kind)
                .filter(|signal| !signal.adopted)
                .filter_map(|signal| signal.observation(minutes))
                .collect(),
        )
    }

    const fn policy(&self, kind: WindowKind) -> Policy {
        match kind {
            WindowKind::Session => Policy::Session(self.limits.session_policy),
            WindowKind::Weekly => Policy::Weekly(self.limits.weekly_policy),
        }
    }

    /// Whether the projections contain the starts of windows of a kind without observations.
    fn follows(&self, kind: WindowKind) -> bool {
        self.policy(kind) == Policy::Session(STORED_POLICY)
    }

    /// Every window of a kind with usage, earliest first.
    pub fn all(&self, kind: WindowKind) -> Result<Vec<Window>> {
        let observed = self.observed_windows(kind);
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
        // Without observations, the next relevant instant is one that starts a session.
        let next = if self.follows(kind) && observed.is_empty() { next_start } else { first_from };
        let next_use = |from| next(self.view, &self.key, from);
        ask(&Timeline { observed, policy: self.policy(kind), next_use: &next_use })
    }

    /// The current window of a kind.
    pub fn now(&self, kind: WindowKind) -> Result<WindowUsage> {
        let observed = self.observed_windows(kind);
        let policy = self.policy(kind);
        let anchor = if policy.is_calendar() {
            Timestamp::MIN
        } else if self.follows(kind) && observed.iter().all(|window| window.end > self.now) {
            last_start(self.view, &self.key, self.now)?.unwrap_or(self.now)
        } else {
            self.anchor(policy.length())?
        };
        let window = self.timeline(kind, &observed, &mut |timeline| timeline.current(self.now, anchor))?;
        let limit = self.limits.of(kind);
        let totals = match window {
            Some(window) => sum_between(self.view, &self.account, window.start, window.end.min(self.now.plus(1)))?,
            None => Totals::default(),
        };
        let weighted = self.limits.weights.weigh(totals.counts()?);
        let mut usage = WindowUsage {
            usage: Usage::from_totals(&totals)?,
            weighted,
            limit: limit.map(|(tokens, _)| tokens),
            since: weighted,
            percent: limit.map(|(limit, _)| whole_share(weighted, limit)),
            started_at: window.map(|window| window.start),
            resets_at: window.map(|window| window.resets_at),
            at_least: None,
            estimate: limit.map(|(limit, _)| whole_share(weighted, limit)),
            observed: None,
            overridden: None,
            basis: if limit.is_some() { Basis::Estimated } else { Basis::Unknown },
            evidence: limit.map(|(_, position)| position).into_iter().collect(),
            forecast: None,
        };
        self.anchor_percent(kind, window, &mut usage)?;
        Ok(usage)
    }

    /// Percentage = the last statement about this window + the usage since.
    fn anchor_percent(&self, kind: WindowKind, window: Option<Window>, usage: &mut WindowUsage) -> Result<()> {
        let start = window.map_or_else(|| self.now.plus(-self.policy(kind).length()), |window| window.start);
        let in_it = || {
            self.of_kind(kind)
                .filter(|signal| signal.at >= start && signal.resets_at.is_none_or(|end| end > start))
                .filter(
                    // A statement that defines a window applies to that window alone.
                    |signal| {
                        signal.resets_at.is_none() || window.is_some_and(|window| window.border == Border::Observed)
                    },
                )
        };
        let open = |signal: &&WindowSignal| signal.at >= self.now.plus(-self.policy(kind).length());
        let last = |by| move |signal: &&WindowSignal| signal.statement.by == by && signal.used.is_some();
        let order = |signal: &&WindowSignal| signal.rank();
        let observed = self.of_kind(kind).filter(last(Speaker::Provider)).filter(open);
        // A statement without an end applies to the window in which it was made.
        let observed = observed.filter(|signal| signal.resets_at.map_or(signal.at >= start, |end| end > self.now));
        let observed = observed.max_by_key(order);
        usage.observed = observed.map(|signal| signal.statement.clone());
        usage.overridden =
            in_it().filter(last(Speaker::Person)).max_by_key(order).map(|signal| signal.statement.clone());
        let latest = in_it().max_by_key(order);
        let anchor = in_it().filter(|signal| signal.used.is_some()).max_by_key(order);
        usage.evidence.extend(latest.map(|signal| signal.statement.position));
        let Some(signal) = anchor else { return Ok(()) };
        if latest.is_some_and(|latest| latest.id != signal.id) {
            usage.evidence.push(signal.statement.position);
        }
        let Some(used) = signal.used else { return Ok(()) };
        if signal.statement.stale && usage.limit.is_some() {
            // Usage only grows within a window, so the reading is a lower bound.
            usage.at_least = Some(used);
            return Ok(());
        }
        let end = window.map_or(self.now.plus(1), |window| window.end.min(self.now.plus(1)));
        // A counter beside records includes none of them.
        let from = if signal.beside { start } else { signal.at.plus(1) };
        let since = sum_between(self.view, &self.account, from, end)?;
        let weighted = self.limits.weights.weigh(since.counts()?);
        usage.percent = Some(used);
        usage.since = weighted;
        usage.basis = match signal.statement.by {
            Speaker::Provider if signal.weak => Basis::Estimated,
            Speaker::Provider => Basis::Observed,
            Speaker::Person => Basis::Overridden,
        };
        if weighted > 0
            && let Some(limit) = usage.limit
        {
            let sum = used.hundredths().saturating_add(exact_share(weighted, limit).hundredths());
            usage.percent = Some(Percent::from_hundredths(sum.min(100 * 100).max(used.hundredths())));
            if usage.basis == Basis::Observed {
                usage.basis = Basis::ObservedAndDelta;
            }
        }
        Ok(())
    }

    /// An instant near now that no window spans, so that the time line need not be walked from its beginning: the end
    /// of a pause in use that is longer than a window.
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

/// The share of a limit, truncated to hundredths of a percent. A share above 400,000 times the limit becomes the
/// largest representable one.
pub(crate) fn exact_share(used: u128, limit: impl Into<u128>) -> Percent {
    let share = used.saturating_mul(10_000) / limit.into().max(1);
    Percent::from_hundredths(u32::try_from(share).unwrap_or(u32::MAX))
}

/// The share of a limit, truncated to whole percent and at most 100, because an estimate is not more precise.
pub(super) fn whole_share(weighted: u128, limit: u64) -> Percent {
    Percent::from_hundredths((exact_share(weighted, limit).whole() * 100).min(100 * 100))
}
