//! What a decision rests on, gathered from the projections.

use super::{Ask, Mode, Rate, burn};
use crate::model::error::Result;
use crate::model::event::{BudgetMode, Event, Payload, Percent, Position, Thresholds};
use crate::model::time::Timestamp;
use crate::projection::{AccountRef, DayRow, Level, first_from, last_before, scan_account_day};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::{Limits, Pause, ProviderUsage, Switch, WindowUsage, paused, sum_between, usage_now};

/// Fewer runs say nothing about what a run costs.
const FEWEST_RUNS: usize = 5;
/// So many rows of runs are enough to tell what one costs.
const MOST_ROWS: usize = 2_000;
/// So many records a decision names, the heaviest first …
const RECORDS_NAMED: usize = 32;
/// … of so many that are looked at.
const RECORDS_SEEN: usize = 5_000;

/// What ordinary runs cost, in percent of a session window.
pub(super) struct RunCosts {
    /// The middle one of all runs.
    pub median: Percent,
    /// The middle one of the runs of a mode, where enough of them say which it was.
    of_mode: Vec<(Mode, Percent)>,
    pub runs: usize,
}

impl RunCosts {
    /// What a run of a mode costs, before its tier.
    pub fn of(&self, mode: Mode) -> Percent {
        let known = self.of_mode.iter().find(|(known, _)| *known == mode).map(|(_, cost)| *cost);
        known.unwrap_or_else(|| {
            let cost = u64::from(self.median.hundredths()) * u64::from(mode.cost_percent()) / 100;
            Percent::from_hundredths(u32::try_from(cost).unwrap_or(u32::MAX))
        })
    }
}

/// Everything that a decision about one account looks at.
pub(super) struct Evidence {
    /// Without the sums over all time, which no decision looks at.
    pub usage: ProviderUsage,
    pub budget_mode: Option<(BudgetMode, Position)>,
    pub thresholds: Option<(Thresholds, Position)>,
    pub paused: Option<Pause>,
    /// How fast the session is being used.
    pub rate: Option<Rate>,
    pub costs: Option<RunCosts>,
    pub now: Timestamp,
}

impl Evidence {
    pub fn gather(view: &dyn ReadView, account: &AccountRef<'_>, timeline: &[Switch], now: Timestamp) -> Result<Self> {
        let limits = Limits::at(view, account, now)?;
        let usage = usage_now(view, account, now, timeline)?;
        let (mut rate, mut costs) = (None, None);
        if usage.metered
            && let Some(limit) = usage.session.limit
        {
            rate = burn_rate(view, account, &limits, &usage.session, limit, now)?;
            costs = run_costs(view, account, &limits, limit, now)?;
        }
        let paused = paused(view, now)?;
        let (budget_mode, thresholds) = (limits.budget_mode, limits.thresholds);
        Ok(Self { usage, budget_mode, thresholds, paused, rate, costs, now })
    }
}

/// The share of a limit, in percentage points.
fn points(weighted: u64, limit: u64) -> f64 {
    weighted as f64 / limit.max(1) as f64 * 100.0
}

/// How fast the session's window is used, from its uses of the last five hours.
fn burn_rate(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    limits: &Limits,
    session: &WindowUsage,
    limit: u64,
    now: Timestamp,
) -> Result<Option<Rate>> {
    let Some(opened) = session.started_at else { return Ok(None) };
    let key = account.key();
    let from = opened.max(now.plus(-burn::LOOK_BACK));
    let until = now.plus(1);
    let Some(first) = first_from(view, &key, from)?.filter(|first| *first < until) else { return Ok(None) };
    let Some(last) = last_before(view, &key, until)? else { return Ok(None) };
    let sum = sum_between(view, account, first, until)?;
    let count = u64::try_from(sum.requests).unwrap_or(0);
    Ok(burn::rate(count, points(limits.weights.weigh(sum.counts()), limit), (first, last), now))
}

fn median(mut costs: Vec<u64>, limit: u64) -> Percent {
    costs.sort_unstable();
    let weighted = costs.get(costs.len() / 2).copied().unwrap_or(0);
    let share = u128::from(weighted) * 10_000 / u128::from(limit.max(1));
    Percent::from_hundredths(u32::try_from(share).unwrap_or(u32::MAX))
}

/// What the runs of today and yesterday cost: a conversation is a run, and so is a call outside of any.
fn run_costs(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    limits: &Limits,
    limit: u64,
    now: Timestamp,
) -> Result<Option<RunCosts>> {
    let today = now.utc_day();
    let mut runs: std::collections::BTreeMap<(String, Option<Mode>), u64> = std::collections::BTreeMap::new();
    let mut single: Vec<(Option<Mode>, u64)> = Vec::new();
    let mut seen = 0_usize;
    let mut take = |row: &DayRow<'_>| {
        seen += 1;
        let sum = row.sum()?;
        let weighted = limits.weights.weigh(sum.counts());
        let mode = row.series.label("mode").and_then(|name| Mode::ALL.into_iter().find(|mode| mode.name() == name));
        if let Some(conversation) = row.series.conversation {
            let cost = runs.entry((conversation.to_owned(), mode)).or_default();
            *cost = cost.saturating_add(weighted);
        } else {
            let count = u64::try_from(sum.requests).unwrap_or(0).max(1);
            single.extend((0..count.min(100)).map(|_| (mode, weighted / count)));
        }
        if seen < MOST_ROWS { GO_ON } else { STOP }
    };
    for day in [today, today - 1] {
        scan_account_day(view, Level::Conversation, account, day, &mut take)?;
    }
    let all: Vec<(Option<Mode>, u64)> = runs.into_iter().map(|((_, mode), cost)| (mode, cost)).chain(single).collect();
    if all.len() < FEWEST_RUNS {
        return Ok(None);
    }
    let mut of_mode = Vec::new();
    for mode in Mode::ALL {
        let costs: Vec<u64> = all.iter().filter(|(of, _)| *of == Some(mode)).map(|(_, cost)| *cost).collect();
        if costs.len() >= FEWEST_RUNS {
            of_mode.push((mode, median(costs, limit)));
        }
    }
    let runs = all.len();
    Ok(Some(RunCosts { median: median(all.into_iter().map(|(_, cost)| cost).collect(), limit), of_mode, runs }))
}

/// The records that an estimate of a window rests on: of many the heaviest, by position.
pub(super) fn records(view: &dyn ReadView, ask: &Ask, window: &WindowUsage, now: Timestamp) -> Result<Vec<Position>> {
    let Some(start) = window.started_at else { return Ok(Vec::new()) };
    let mut found: Vec<(u64, Position)> = Vec::new();
    let mut seen = 0_usize;
    view.rows(recorded_from(view, start)?, &mut |position, row| {
        seen += 1;
        if row.occurred_at >= start
            && row.occurred_at <= now
            && (row.is_kind("tokens_recorded") || row.is_kind("tokens_amended"))
        {
            let record = match Event::from_line(position, row.body)?.payload {
                Payload::TokensRecorded(record) => record,
                Payload::TokensAmended(amend) => amend.replacement,
                _ => return GO_ON,
            };
            if record.provider == ask.provider.as_str() && record.account == ask.account {
                found.push((record.tokens.total().unwrap_or(u64::MAX), position));
            }
        }
        if seen < RECORDS_SEEN { GO_ON } else { STOP }
    })?;
    found.sort_unstable_by_key(|(tokens, position)| (std::cmp::Reverse(*tokens), *position));
    let mut positions: Vec<Position> = found.into_iter().take(RECORDS_NAMED).map(|(_, position)| position).collect();
    positions.sort_unstable();
    Ok(positions)
}

/// The first position recorded at a time or later: positions are in the order of recording.
fn recorded_from(view: &dyn ReadView, at: Timestamp) -> Result<Position> {
    let (mut low, mut high) = (1, view.head()?.position.get() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut earlier = false;
        view.rows(Position::new(middle), &mut |_, row| {
            earlier = row.recorded_at < at;
            STOP
        })?;
        if earlier {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Position::new(low))
}
