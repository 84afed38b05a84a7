//! Observations of a provider's windows, kept when they are news.

use super::{Appender, Ledger, Outcome, Snapshot};
use crate::model::error::Result;
use crate::model::event::{Payload, QuotaObserved};
use crate::model::time::{DAY, Timestamp};
use crate::projection::{AccountRef, Subject, facts_between};
use crate::readers::quota::{self, is_news, is_same_window};
use crate::store::{GO_ON, Order, Overlay, ReadView, STOP};

/// Longer ago nothing was said of a window that is open.
const LOOK_BACK: i64 = 32 * DAY;

/// What was said last of the same window, and when.
fn latest(view: &dyn ReadView, seen: &QuotaObserved, at: Timestamp) -> Result<Option<(QuotaObserved, Timestamp)>> {
    let account = AccountRef::new(seen.provider.as_str(), seen.account.as_deref());
    let (span, mut latest) = ((at.plus(-LOOK_BACK), at), None);
    let subject = Subject::Account(account);
    facts_between(view, "quota_observed", &subject, span, Order::Descending, &mut |fact| match fact.event.payload {
        Payload::QuotaObserved(known) if is_same_window(&known, seen) => {
            latest = Some((known, fact.event.occurred_at));
            STOP
        }
        _ => GO_ON,
    })?;
    Ok(latest)
}

impl Ledger {
    /// Answers a question as if these observations were kept.
    pub(crate) fn suppose<T>(
        &mut self,
        seen: Vec<QuotaObserved>,
        now: Timestamp,
        ask: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.source.clone();
        let trial = Overlay::new(self.store.read()?)?;
        let mut appender = Appender::new(Box::new(trial), now, &self.ids)?;
        for one in seen {
            appender.push(quota::event(one, now).source(source.clone()))?;
        }
        let view: &dyn ReadView = appender.sink()?;
        ask(&Snapshot::new(Box::new(view)))
    }

    /// Keeps what was observed at a time, as far as it is news: another percentage, reset or status than was said last of
    /// the window, or the same again after five minutes, which says that it still holds. For feeds that repeat
    /// themselves many times a minute.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, quota::{self, QuotaFormat}, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
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
        &mut self,
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
                let known = latest(snapshot.view(), &one, at)?;
                if is_news(known.as_ref().map(|(known, then)| (known, *then)), &one, at) {
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
