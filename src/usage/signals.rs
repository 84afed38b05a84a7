//! Statements of providers and people about windows: which hold, and which window each belongs to.

use std::collections::BTreeMap;

use super::account_sums::sum_between;
use super::limits::Limits;
use super::observations::COUNTING_AGENT;
use super::{AccountAt, ProviderSignal, Speaker};
use crate::model::error::Result;
use crate::model::event::{EventId, Percent, WindowKind};
use crate::model::time::{DAY, MINUTE, QUARTER, Timestamp};
use crate::model::window::Observation;
use crate::projection::{Level, Totals, first_from, scan_days};
use crate::store::GO_ON;

/// How long after its counter an agent writes the record of the same run, in milliseconds.
const RECORD_FOLLOWS: i64 = 10 * MINUTE;

/// The status of a counter whose agent's instance has no records in its window, although the account has.
pub(crate) const WITHOUT_RECORDS: &str = "of an instance without records";

/// A statement about a window: its end, how much of it is used, or both.
#[derive(Clone, Debug)]
pub(super) struct WindowSignal {
    pub at: Timestamp,
    pub id: EventId,
    pub kind: WindowKind,
    pub minutes: u32,
    pub resets_at: Option<Timestamp>,
    pub used: Option<Percent>,
    /// Whether a provider's statement takes precedence.
    pub weak: bool,
    /// Whether it is a counter beside the records of other instances, which it does not include.
    pub beside: bool,
    /// Whether its end comes from a provider's observation, so that it defines no window itself.
    pub adopted: bool,
    pub statement: ProviderSignal,
}

impl WindowSignal {
    /// The window that it places on the time line, if any.
    pub fn observation(&self, session_minutes: u32) -> Option<Observation> {
        let (minutes, resets_at) = match self.statement.by {
            Speaker::Provider => {
                let end = self.resets_at?;
                (self.minutes.max(minutes_between(self.at, end)), end)
            }
            // An override without an end starts a new session; the week has its own calendar.
            Speaker::Person => match (self.kind, self.resets_at) {
                (WindowKind::Session, None) => (session_minutes, self.at.plus(i64::from(session_minutes) * MINUTE)),
                (WindowKind::Session, Some(end)) => (self.reaching(session_minutes, end), end),
                (WindowKind::Weekly, Some(end)) => (self.reaching(7 * 24 * 60, end), end),
                (WindowKind::Weekly, None) => return None,
            },
        };
        let firm = self.statement.by == Speaker::Person;
        Some(Observation { at: self.at, id: self.id, minutes, resets_at, firm, weak: self.weak })
    }

    /// The length of a window with this end that contains the statement: a person may know of a longer one.
    fn reaching(&self, usual: u32, end: Timestamp) -> u32 {
        let needed = (end.millis() - self.at.millis()).div_euclid(MINUTE) + 1;
        usual.max(u32::try_from(needed).unwrap_or(usual))
    }

    /// The order in which later statements win.
    pub const fn rank(&self) -> (bool, Timestamp, EventId) {
        (!self.weak, self.at, self.id)
    }
}

/// The length of a window that contains both times. A window contains the statement about it, even if a clock is wrong.
fn minutes_between(at: Timestamp, end: Timestamp) -> u32 {
    let minutes = end.millis().saturating_sub(at.millis()).saturating_add(MINUTE - 1).div_euclid(MINUTE);
    u32::try_from(minutes).unwrap_or_default()
}

/// An override of a window whose end the provider reported applies to that window. A reset, however, opens a new one.
pub(super) fn adopt(signals: &mut [WindowSignal]) {
    let ends: Vec<(WindowKind, Timestamp, Timestamp)> = signals
        .iter()
        .filter(|signal| signal.statement.by == Speaker::Provider && !signal.weak)
        .filter_map(|signal| Some((signal.kind, signal.at, signal.resets_at?)))
        .collect();
    let person = |signal: &&mut WindowSignal| signal.statement.by == Speaker::Person && signal.resets_at.is_none();
    for signal in signals.iter_mut().filter(person).filter(|signal| signal.used > Some(Percent::default())) {
        let reported =
            ends.iter().filter(|(kind, at, end)| *kind == signal.kind && *at <= signal.at && *end > signal.at);
        if let Some((.., end)) = reported.max_by_key(|(_, at, _)| *at) {
            (signal.resets_at, signal.adopted) = (Some(*end), true);
        }
    }
}

/// Removes the counters of an agent if the ledger has records of the same usage.
///
/// A counter restarts at zero whenever its agent resets it, and is written before the record of the last run that it
/// includes. Records are more precise, so a counter only replaces them for a window without any. The records of other
/// instances of the agent are other usage; those of other agents may be the same.
pub(super) fn drop_counted(at: AccountAt<'_>, limits: &Limits, signals: &mut Vec<WindowSignal>) -> Result<()> {
    let mut kept = Vec::with_capacity(signals.len());
    for signal in signals.drain(..) {
        let written = at.with_now(signal.at);
        if !signal.weak
            || !is_recorded(written, limits, signal.kind)?
            || (signal.beside && !is_recorded_by_another(written, limits, signal.kind)?)
        {
            kept.push(signal);
        }
    }
    *signals = kept;
    Ok(())
}

/// Lets the counters of an agent only grow within a window.
///
/// An agent restarts its counter when its provider changes or its user resumes it, which changes nothing about the
/// provider's window. A session counter states its start by its end: one that starts in the window of an earlier one
/// counts other calls of that window, so both are added. A week has the same end whenever its counter started, so the
/// highest reading counts.
pub(super) fn add_counters(signals: &mut [WindowSignal]) {
    for kind in [WindowKind::Session, WindowKind::Weekly] {
        let mut counters: Vec<&mut WindowSignal> =
            signals.iter_mut().filter(|signal| signal.weak && signal.kind == kind).collect();
        counters.sort_by_key(|signal| signal.rank());
        let mut open: Option<(Timestamp, BTreeMap<Timestamp, Percent>)> = None;
        for signal in counters {
            let (Some(resets_at), Some(used)) = (signal.resets_at, signal.used) else { continue };
            let start = resets_at.plus(-i64::from(signal.minutes) * MINUTE);
            let (end, parts) = match open.take().filter(|(end, _)| start < *end) {
                Some(open) => open,
                None => (resets_at, BTreeMap::new()),
            };
            let (_, parts) = open.insert((end, parts));
            let part = parts.entry(start).or_insert(used);
            *part = used.max(*part);
            let sum = parts.values().fold(0, |sum: u32, part| sum.saturating_add(part.hundredths()));
            let used = Percent::from_hundredths(sum.min(100 * 100));
            (signal.resets_at, signal.used, signal.statement.percent) = (Some(end), Some(used), Some(used));
        }
    }
}

/// The first and the last time of records of the usage in a counter that was written at a time.
///
/// A window that is open then may have begun up to its length earlier.
pub(crate) const fn counted_span(written: Timestamp, limits: &Limits, kind: WindowKind) -> (Timestamp, Timestamp) {
    let length = match kind {
        WindowKind::Weekly => 7 * DAY,
        WindowKind::Session => limits.session_policy.length(),
    };
    (written.plus(1 - length), written.plus(RECORD_FOLLOWS))
}

/// Whether agents other than the one of the counters have records in the span of a counter, to the quarter of an hour.
fn is_recorded_by_another(at: AccountAt<'_>, limits: &Limits, kind: WindowKind) -> Result<bool> {
    let (from, to) = counted_span(at.now, limits, kind);
    let span = from.millis().div_euclid(QUARTER)..=to.millis().div_euclid(QUARTER);
    let (days, mut totals) = ((from.utc_day(), to.utc_day()), Totals::default());
    scan_days(at.view, Level::Model, Some(days.0), Some(days.1), &mut |row| {
        let series = &row.series;
        let is_other = series.provider == at.account.provider
            && series.account == at.account.account.as_deref()
            && series.agent != Some(COUNTING_AGENT);
        if is_other {
            for (quarter, sum) in row.quarters()? {
                if span.contains(&(row.day * 96 + i64::from(quarter))) {
                    totals.add(&sum)?;
                }
            }
        }
        GO_ON
    })?;
    Ok(limits.weights.weigh(totals.counts()?) > 0)
}

/// Whether the ledger has records of the usage in a counter that was written at this time. Records without tokens do not
/// count.
pub(crate) fn is_recorded(
    AccountAt { view, account, now: written }: AccountAt<'_>,
    limits: &Limits,
    kind: WindowKind,
) -> Result<bool> {
    let (from, to) = counted_span(written, limits, kind);
    if first_from(view, &account.key(), from)?.is_none_or(|at| at > to) {
        return Ok(false);
    }
    Ok(limits.weights.weigh(sum_between(view, account, from, to.plus(1))?.counts()?) > 0)
}
