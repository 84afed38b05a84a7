//! Observations of a provider's windows, kept when they are news.

use super::{Appender, Ledger, Outcome, Snapshot};
use crate::model::error::Result;
use crate::model::event::{EventKind, Payload, QuotaObserved};
use crate::model::time::{DAY, Timestamp};
use crate::model::window::kind_of;
use crate::projection::{AccountRef, Subject, facts_between};
use crate::readers::quota::{self, Lead, is_same_window};
use crate::store::{GO_ON, Order, Overlay, ReadView, STOP};

/// Longer ago nothing was said of a window that is open.
const LOOK_BACK: i64 = 32 * DAY;

/// Readings of one window that are compared at most: feeds that repeat themselves are recorded by this module alone.
const MOST: usize = 64;

/// The leading reading of the window that an observation is about.
fn lead(view: &dyn ReadView, seen: &QuotaObserved, at: Timestamp) -> Result<Option<Lead>> {
    let subject = Subject::Account(AccountRef::new(seen.provider.as_str(), seen.account.as_deref()));
    // What a person says about the window starts the comparison anew.
    let (mut from, mut known) = (at.plus(-LOOK_BACK), Vec::new());
    facts_between(view, EventKind::UsageOverridden, &subject, (from, at), Order::Descending, &mut |fact| match fact
        .event
        .payload
    {
        Payload::UsageOverridden(word) if Some(word.window) == kind_of(seen.window_minutes) => {
            from = fact.event.occurred_at;
            STOP
        }
        _ => GO_ON,
    })?;
    facts_between(view, EventKind::QuotaObserved, &subject, (from, at), Order::Descending, &mut |fact| {
        let then = fact.event.occurred_at;
        if let Payload::QuotaObserved(reading) = fact.event.payload
            && is_same_window(&reading, seen)
        {
            // Mostly the latest reading settles that there is no news.
            let settled = known.is_empty() && !Lead::new(reading.clone(), then).is_news(seen, at);
            known.push((reading, then));
            return if settled || known.len() == MOST { STOP } else { GO_ON };
        }
        GO_ON
    })?;
    let mut lead = None;
    for (reading, then) in known.iter().rev() {
        Lead::follow(&mut lead, reading, *then);
    }
    Ok(lead)
}

impl Ledger {
    /// Answers a question as if these observations were kept.
    pub(crate) fn suppose<T>(
        &self,
        seen: Vec<QuotaObserved>,
        now: Timestamp,
        ask: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.source.clone();
        let trial = Overlay::new(self.store().read()?)?;
        let mut appender = Appender::new(Box::new(trial), now, &self.shared.ids)?;
        for one in seen {
            appender.push(quota::event(one, now).source(source.clone()))?;
        }
        let view: &dyn ReadView = appender.sink()?;
        ask(&Snapshot::new(Box::new(view)))
    }

    /// Records what was observed at a time, as far as it is news: a higher percentage, a later reset or another status
    /// than was reported of the window, or the same value again after five minutes, which confirms it. A lower
    /// percentage of the same window comes from an idle feed and is left out. For feeds that repeat themselves many times
    /// a minute, from several processes.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, quota::{self, QuotaFormat}, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let line = r#"{"rate_limits":{"five_hour":{"used_percentage":42,"resets_at":1795474800}}}"#;
    /// let mut tell = |minutes: i64| {
    ///     let at = now.plus(minutes * MINUTE);
    ///     let seen = quota::observe(QuotaFormat::ClaudeStatusline, line, at)?.observations;
    ///     Ok::<_, usage_ledger::Error>(ledger.observe(seen, at, at)?.len())
    /// };
    /// assert_eq!((tell(0)?, tell(1)?, tell(6)?), (1, 0, 1));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn observe(
        &self,
        seen: Vec<QuotaObserved>,
        at: impl Into<Timestamp>,
        now: impl Into<Timestamp>,
    ) -> Result<Vec<(QuotaObserved, Outcome)>> {
        let (at, source) = (at.into(), self.source.clone());
        // Most of what such feeds say is no news: that is found out without the write lock.
        let news = {
            let snapshot = self.snapshot()?;
            let mut news = Vec::new();
            for one in seen {
                if lead(snapshot.view(), &one, at)?.is_none_or(|lead| lead.is_news(&one, at)) {
                    news.push(one);
                }
            }
            news
        };
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let events = news.iter().map(|one| quota::event(one.clone(), at).source(source.clone()));
        let outcomes = self.append(events.collect::<Vec<_>>(), now)?;
        Ok(news.into_iter().zip(outcomes).collect())
    }
}
