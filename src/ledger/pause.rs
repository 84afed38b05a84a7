//! Pauses, resumes and overrides.

use super::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{NewEvent, Paused, Percent, Resumed, UsageOverridden, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::usage::{last_resume, one_account_meant, resume_at, unresumed};

impl Ledger {
    /// Records that work stops. A quota pause without an end ends five hours from now.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty reason or an end in the past, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::Paused, time::HOUR};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.pause(Paused::new("quota"), now)?;
    /// assert_eq!(ledger.status(now)?.paused.unwrap().until, Some(now.plus(5 * HOUR)));
    /// assert!(ledger.status(now.plus(5 * HOUR))?.paused.is_none()); // a quota pause ends by itself
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn pause(&self, mut pause: Paused, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        if pause.reason.trim().is_empty() {
            return Err(Error::invalid("a pause has a reason: quota, timed, manual or a word of your own"));
        }
        if pause.until.is_some_and(|until| until <= now) {
            return Err(Error::invalid("a pause ends in the future: give a later time, or none"));
        }
        if pause.reason == "quota" && pause.until.is_none() {
            pause.until = Some(resume_at(None, now));
        }
        self.append_one(pause, now)
    }

    /// Records that work continues; no counter changes. Of several concurrent callers one succeeds.
    ///
    /// # Errors
    /// [`Error::NotPaused`] if nothing is paused, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::Paused};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.pause(Paused::new("manual"), now)?;
    /// assert!(ledger.resume("back from lunch", now.plus(1))?.is_new());
    /// assert!(!ledger.resume("me too", now.plus(2))?.is_new());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn resume(&self, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        let source = self.source.clone();
        self.transact(now, |appender| {
            let view = appender.view()?;
            if unresumed(view, now)?.is_empty() {
                let (_, position) = last_resume(view, None, now)?.ok_or(Error::NotPaused)?;
                return Outcome::existing(view, position);
            }
            let resumed = Resumed { reason: reason.to_owned(), only: None };
            appender.push(NewEvent::new(resumed, now).source(source))
        })
    }

    /// Overrides how much of a window is used, in percent; 0 is a reset. The override applies until the provider or a
    /// person states the window's use again, and later usage is added. It opens a session window.
    ///
    /// It also ends a quota pause, but no other pause.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, [`Error::Invalid`] for more than 100 %,
    /// [`Error::SeveralAccounts`] if several accounts may be meant, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, event::{LimitSet, WindowKind}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("anthropic")?.session(1_000), now)?;
    /// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(900), now)?;
    /// ledger.override_usage("anthropic", WindowKind::Session, "5".parse()?, "me", "the page says so", now.plus(1))?;
    /// let session = ledger.provider("anthropic", now.plus(1))?.session;
    /// assert_eq!(session.percent, Some("5".parse()?));
    /// let word = ledger.event(3)?.id;
    /// ledger.void(word, "misread", now.plus(2))?; // undone
    /// assert_eq!(ledger.provider("anthropic", now.plus(2))?.session.percent, Some("90".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn override_usage(
        &self,
        provider: &str,
        window: WindowKind,
        used: Percent,
        author: &str,
        reason: &str,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        let word = UsageOverridden {
            provider: ProviderId::resolve(provider)?,
            account: None,
            window,
            used_percent: used,
            resets_at: None,
            author: author.to_owned(),
            reason: reason.to_owned(),
        };
        self.override_with(word, now)
    }

    /// Like [`override_usage`](Self::override_usage), for an account, or with the window's end. Without an account it is
    /// about the provider's only account with a name, unless calls without an account are recorded. If it has several accounts
    /// with a name, the account must be named.
    ///
    /// # Errors
    /// The same, and [`Error::Invalid`] if the window ends in the past.
    ///
    /// ```
    /// use usage_ledger::{Ledger, ProviderId, event::{UsageOverridden, WindowKind}, time::HOUR};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let provider = ProviderId::new("anthropic")?;
    /// let word = UsageOverridden::new(provider, WindowKind::Session, "50".parse()?, "me", "read it on the web page");
    /// let word = word.account("work").resets_at(now.plus(HOUR));
    /// ledger.override_with(word, now)?;
    /// let session = ledger.snapshot()?.account("anthropic", Some("work"), now)?.session;
    /// assert_eq!(session.resets_at, Some(now.plus(HOUR)));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn override_with(&self, mut word: UsageOverridden, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        if word.used_percent > Percent::from_hundredths(100 * 100) {
            return Err(Error::invalid("a window is used from 0 to 100 %"));
        }
        if word.resets_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid("the window ends in the past: give the end of the one that is open"));
        }
        let source = self.source.clone();
        self.transact(now, |appender| {
            word.account = one_account_meant(appender.view()?, word.provider.as_str(), word.account)?;
            let paused = unresumed(appender.view()?, now)?;
            let outcome = appender.push(NewEvent::new(word, now).source(source.clone()))?;
            if paused.iter().any(crate::usage::Pause::is_quota) {
                let resumed = Resumed { reason: "usage overridden".to_owned(), only: Some("quota".to_owned()) };
                appender.push(NewEvent::new(resumed, now).source(source))?;
            }
            Ok(outcome)
        })
    }
}
