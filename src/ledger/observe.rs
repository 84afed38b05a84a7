//! Records observations of a provider's windows if they are new.

use super::{Ledger, Outcome, Snapshot};
use crate::model::error::Result;
use crate::model::event::{AccountRef, EventKind, Payload, QuotaObserved, Subject};
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, Timestamp};
use crate::model::window::kind_of;
use crate::projection::{each_event_between, latest_event};
use crate::readers::quota::{self, Lead, is_same_window};
use crate::store::{GO_ON, Order, ReadView, STOP};
use crate::usage::account_meant;

/// No open window has an older reading, in milliseconds.
const LOOK_BACK: i64 = 32 * DAY;

/// The maximal number of readings of one window that are compared. Only this module records feeds that repeat readings.
const MOST: usize = 64;

/// The leading reading of an observation's window.
fn lead(view: &dyn ReadView, seen: &QuotaObserved, at: Timestamp) -> Result<Option<Lead>> {
    let subject = Subject::Account(AccountRef::new(seen.provider.as_str(), seen.account.as_deref()));
    // An override of the window restarts the comparison.
    let overridden =
        latest_event(view, EventKind::UsageOverridden, &subject, at, |indexed| match indexed.event.payload {
            Payload::UsageOverridden(overridden) if Some(overridden.window) == kind_of(seen.window_minutes) => {
                Some(indexed.event.occurred_at)
            }
            _ => None,
        })?;
    let earliest = at.plus(-LOOK_BACK);
    let (from, mut known) = (overridden.unwrap_or(earliest).max(earliest), Vec::new());
    each_event_between(view, EventKind::QuotaObserved, &subject, (from, at), Order::Descending, &mut |indexed| {
        let then = indexed.event.occurred_at;
        if let Payload::QuotaObserved(reading) = indexed.event.payload
            && is_same_window(&reading, seen)
        {
            // Usually the latest reading already shows that there is nothing new.
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

impl Snapshot<'_> {
    /// The account of a statement, which need not name it.
    pub(crate) fn account_of(&self, provider: &ProviderId, named: Option<String>) -> Result<Option<String>> {
        account_meant(self.view(), provider.as_str(), named)
    }

    /// The accounts of a provider with a name, if a statement without an account may be about any of several.
    #[cfg(feature = "cli")]
    pub(crate) fn several_accounts(&self, provider: &ProviderId) -> Result<Option<Vec<String>>> {
        let accounts = crate::usage::named_accounts_meant(self.view(), provider.as_str())?;
        Ok((accounts.len() > 1).then_some(accounts))
    }
}

impl Ledger {
    /// Records an observation if it is new: a higher percentage, a later reset or another status than reported for the
    /// window, or the same value after five minutes, which confirms it. A lower percentage of the same window comes
    /// from an idle feed and is dropped. Use this for feeds that repeat readings many times a minute, from several
    /// processes.
    ///
    /// # Errors
    /// The store's own errors.
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
        // Most readings of such feeds are not new. This is determined without the write lock.
        let news = {
            let snapshot = self.snapshot()?;
            let mut news = Vec::new();
            for mut one in seen {
                one.account = snapshot.account_of(&one.provider, one.account)?;
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
