//! Computes the cost of a run from recorded runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Mode, Tier, affordable, highest_affordable, run_cost};
use crate::model::error::{Error, Result};
use crate::model::event::Percent;
use crate::model::invariant::bug;
use crate::model::time::{DAY, QUARTER, Timestamp};
use crate::projection::{DayRow, Level, scan_account_day};
use crate::store::{GO_ON, STOP};
use crate::usage::{AccountAt, Limits, WindowUsage, exact_share};

/// The minimal number of runs for the median. With fewer, the cost is the mean of the runs of the session window.
const ENOUGH_RUNS: usize = 5;
/// The maximal number of rows that are read.
const MOST_ROWS: usize = 2_000;
const QUARTERS_A_DAY: i64 = DAY / QUARTER;
/// The maximal number of calls of one row that count as separate runs.
const MOST_CALLS: u64 = 100;

/// The cost of ordinary runs, in percent of a session window.
pub(super) struct RunCosts {
    /// The cost of an ordinary run.
    pub ordinary: Percent,
    /// The median cost of the runs of a mode, for modes with enough runs.
    of_mode: Vec<(Mode, Percent)>,
    pub runs: usize,
}

impl RunCosts {
    /// The cost of an ordinary run according to the runs of this mode, before the mode's own factor.
    fn base(&self, mode: Mode) -> Percent {
        let known = self.of_mode.iter().find(|(known, _)| *known == mode).map(|(_, cost)| *cost);
        known.map_or(self.ordinary, |cost| scaled(cost, 100, mode.cost_percent()))
    }

    /// The cost of a run of a mode and a tier.
    pub fn of(&self, mode: Mode, tier: Tier) -> Percent {
        scaled(scaled(self.base(mode), mode.cost_percent(), 100), tier.cost_percent(), 100)
    }

    /// Whether a run of a mode and a tier fits into the remaining percentage.
    pub fn fits(&self, mode: Mode, tier: Tier, left: Percent) -> bool {
        affordable(self.base(mode), mode, tier, left)
    }

    /// The highest mode up to `mode` that fits into the remaining percentage.
    pub fn highest(&self, mode: Mode, tier: Tier, left: Percent) -> Mode {
        highest_affordable(mode, |mode| self.base(mode), tier, left)
    }
}

fn scaled(cost: Percent, by: u32, of: u32) -> Percent {
    let cost = u64::from(cost.hundredths()) * u64::from(by) / u64::from(of.max(1));
    Percent::from_hundredths(u32::try_from(cost).unwrap_or(u32::MAX))
}

fn median(mut costs: Vec<u128>, limit: u64) -> Option<Percent> {
    costs.sort_unstable();
    costs.get(costs.len() / 2).map(|weighted| exact_share(*weighted, limit))
}

/// The runs of today and yesterday.
#[derive(Default)]
struct RecentRuns {
    /// The weighted tokens of each run, with its mode if the record names one. Each conversation is a run, and so is
    /// each call outside of one.
    all: Vec<(Option<Mode>, u128)>,
    /// The number of runs in the open session window.
    in_session: u64,
}

/// Reads the runs; `opened` is when the session window opened.
fn recorded(
    AccountAt { view, account, now }: AccountAt<'_>,
    limits: &Limits,
    opened: Option<Timestamp>,
) -> Result<RecentRuns> {
    let today = now.utc_day();
    let mut runs = RecentRuns::default();
    let mut conversations: BTreeMap<(String, Option<Mode>), u128> = BTreeMap::new();
    let mut in_session: BTreeSet<String> = BTreeSet::new();
    let first = opened.map(|opened| opened.millis().div_euclid(QUARTER));
    let mut seen = 0_usize;
    let mut take = |row: &DayRow<'_>| {
        seen += 1;
        let sum = row.sum()?;
        let weighted = limits.weights.weigh(sum.counts()?);
        let mode = row.series.label("mode").and_then(|name| Mode::ALL.into_iter().find(|mode| mode.name() == name));
        let mut recent = 0_i128;
        for (quarter, sum) in row.quarters()? {
            if first.is_some_and(|first| row.day * QUARTERS_A_DAY + i64::from(quarter) >= first) {
                recent += i128::from(sum.requests);
            }
        }
        if let Some(conversation) = row.series.conversation {
            let cost = conversations.entry((conversation.to_owned(), mode)).or_default();
            *cost = cost.checked_add(weighted).ok_or(Error::Overflow { what: "tokens of a conversation" })?;
            if recent > 0 {
                in_session.insert(conversation.to_owned());
            }
        } else {
            let count = sum.request_count()?.max(1);
            runs.all.extend((0..count.min(MOST_CALLS)).map(|_| (mode, weighted / u128::from(count))));
            runs.in_session += u64::try_from(recent).map_err(|_| bug!("a rollup counts {recent} requests"))?;
        }
        if seen < MOST_ROWS { GO_ON } else { STOP }
    };
    for day in [today, today - 1] {
        scan_account_day(view, Level::Conversation, account, day, &mut take)?;
    }
    runs.in_session += in_session.len() as u64;
    runs.all.extend(conversations.into_iter().map(|((_, mode), cost)| (mode, cost)));
    Ok(runs)
}

/// The cost of runs, if enough were recorded today or yesterday, or any in the open session window.
pub(super) fn run_costs(at: AccountAt<'_>, limits: &Limits, session: &WindowUsage) -> Result<Option<RunCosts>> {
    let Some(limit) = session.limit else { return Ok(None) };
    let RecentRuns { all, in_session } = recorded(at, limits, session.started_at)?;
    if all.len() < ENOUGH_RUNS {
        // Readings and overrides include the usage of other programs, so only recorded tokens count here.
        let cost = session.estimate.and_then(|used| run_cost(used, in_session));
        let runs = usize::try_from(in_session).map_err(|_| bug!("a session window has {in_session} runs"))?;
        return Ok(cost.map(|ordinary| RunCosts { ordinary, of_mode: Vec::new(), runs }));
    }
    let mut of_mode = Vec::new();
    for mode in Mode::ALL {
        let costs: Vec<u128> = all.iter().filter(|(of, _)| *of == Some(mode)).map(|(_, cost)| *cost).collect();
        if costs.len() >= ENOUGH_RUNS {
            of_mode.extend(median(costs, limit).map(|cost| (mode, cost)));
        }
    }
    let runs = all.len();
    let ordinary = median(all.into_iter().map(|(_, cost)| cost).collect(), limit);
    Ok(ordinary.map(|ordinary| RunCosts { ordinary, of_mode, runs }))
}
