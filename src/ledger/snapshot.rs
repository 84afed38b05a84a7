//! Queries of one consistent state of a ledger.

use crate::merkle::Hash;
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, Event, EventId, Position, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::projection::{Effective, effective, is_void, position_of_key};
use crate::store::{GO_ON, Head, ReadView, STOP};
use crate::usage::{AccountAt, Calibration, ProviderUsage, calibration, provider_usage, switches};
#[cfg(feature = "cli")]
use crate::usage::{Drift, drift};

/// A consistent snapshot of a ledger, present or past.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let snapshot = ledger.snapshot()?;
/// assert_eq!(snapshot.head()?.position.get(), 1);
/// assert_eq!(snapshot.status(now)?.active_provider.as_deref(), Some("openai"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub struct Snapshot<'a> {
    view: Box<dyn ReadView + 'a>,
    then: Option<Timestamp>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(view: Box<dyn ReadView + 'a>) -> Self {
        Self { view, then: None }
    }

    /// What a transaction reads, so that a decision and the event that it allows are one step.
    pub(crate) fn of_transaction(view: &'a dyn ReadView) -> Self {
        Self::new(Box::new(view))
    }

    pub(super) fn then(mut self, then: Option<Timestamp>) -> Self {
        self.then = then;
        self
    }

    /// The time of a past snapshot; `None` for the present.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// assert_eq!(ledger.snapshot()?.moment(), None);
    /// assert_eq!(ledger.as_of(AsOf::Time(now))?.moment(), Some(now));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn moment(&self) -> Option<Timestamp> {
        self.then
    }

    pub(crate) fn view(&self) -> &dyn ReadView {
        &*self.view
    }

    /// The position and time of the last event.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// assert_eq!(Ledger::in_memory()?.snapshot()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn head(&self) -> Result<Head> {
        self.view.head()
    }

    /// The root of the Merkle tree over all lines up to the head.
    ///
    /// # Errors
    /// [`Error::Damaged`] if nodes of the tree are missing.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, merkle::Hash};
    /// assert_eq!(Ledger::in_memory()?.snapshot()?.root()?, Hash::EMPTY);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn root(&self) -> Result<Hash> {
        let size = self.head()?.position.get();
        // The tree may be longer than a past snapshot, so the root is computed for its size.
        if self.then.is_some() {
            crate::projection::root_at(&*self.view, size)
        } else {
            crate::projection::tree_root(&*self.view, size)
        }
    }

    /// The usage of a provider without an account.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(1), now)?;
    /// assert_eq!(ledger.snapshot()?.provider("claude", now)?.all_time.requests, 1); // aliases do as well
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn provider(&self, provider: &str, now: impl Into<Timestamp>) -> Result<ProviderUsage> {
        self.account(provider, None, now)
    }

    /// The usage of a provider's account.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).account("team"), now)?;
    /// let snapshot = ledger.snapshot()?;
    /// assert_eq!(snapshot.account("openai", Some("team"), now)?.all_time.requests, 1);
    /// assert_eq!(snapshot.account("openai", None, now)?.all_time.requests, 0); // another account
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn account(&self, provider: &str, account: Option<&str>, now: impl Into<Timestamp>) -> Result<ProviderUsage> {
        let id = ProviderId::resolve(provider)?;
        let now = now.into();
        provider_usage(
            AccountAt::new(self.view(), &AccountRef::new(id.as_str(), account), now),
            &switches(self.view(), now)?,
        )
    }

    /// The limit that fits the provider's own percentages of the last 30 days, with an error bar.
    ///
    /// It is a fit, and only as good as the records are complete: usage on other machines makes the limit look smaller
    /// than it is.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::WindowKind};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let fit = ledger.snapshot()?.calibration("anthropic", None, WindowKind::Weekly, now)?;
    /// assert_eq!(fit, None); // nothing was observed
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn calibration(
        &self,
        provider: &str,
        account: Option<&str>,
        window: WindowKind,
        now: impl Into<Timestamp>,
    ) -> Result<Option<Calibration>> {
        let id = ProviderId::resolve(provider)?;
        calibration(AccountAt::new(self.view(), &AccountRef::new(id.as_str(), account), now.into()), window)
    }

    /// The difference between the estimate of a window and the provider's last reading; `None` without a reading.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own errors.
    #[cfg(feature = "cli")]
    pub(crate) fn drift(
        &self,
        provider: &str,
        account: Option<&str>,
        window: WindowKind,
        now: impl Into<Timestamp>,
    ) -> Result<Option<Drift>> {
        let id = ProviderId::resolve(provider)?;
        drift(AccountAt::new(self.view(), &AccountRef::new(id.as_str(), account), now.into()), window)
    }

    /// The event at a position; for a shredded one, the remaining event.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing position, [`Error::Damaged`] or [`Error::UnknownEvent`] for an unreadable
    /// line, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(ledger.snapshot()?.event(1.into())?.payload.kind(), "tokens_recorded");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn event(&self, position: Position) -> Result<Event> {
        Event::from_line(position, &self.stored(position)?)
    }

    /// The stored text at a position: a line, or a tombstone.
    pub(crate) fn stored(&self, position: Position) -> Result<String> {
        let line = self.view.line(position)?;
        Ok(line.ok_or_else(|| Error::NotFound { what: format!("at position {position}") })?.1)
    }

    /// The position of an event.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing event.
    ///
    /// ```
    /// use usage_ledger::{EventId, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1"), now)?;
    /// assert_eq!(ledger.snapshot()?.position(EventId::from_key("openai", "resp_1"))?.get(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn position(&self, id: EventId) -> Result<Position> {
        self.view.position_of(id)?.ok_or_else(|| Error::NotFound { what: format!("with id {id}") })
    }

    /// The record with a natural key.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1").key("req_1"), now)?;
    /// let snapshot = ledger.snapshot()?;
    /// assert_eq!(snapshot.find("openai", "req_1")?, Some(1.into()));
    /// assert_eq!(snapshot.find("openai", "req_2")?, None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn find(&self, provider: &str, key: &str) -> Result<Option<Position>> {
        position_of_key(self.view(), ProviderId::resolve(provider)?.as_str(), key)
    }

    /// The token record at a position with its corrections; `None` if it is voided or not a record.
    pub(crate) fn effective(&self, position: Position) -> Result<Option<Effective>> {
        effective(self.view(), position, None)
    }

    /// Whether an event is voided.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let id = ledger.event(1)?.id;
    /// ledger.void(id, "a test call", now)?;
    /// assert!(ledger.snapshot()?.is_void(id)?);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn is_void(&self, id: EventId) -> Result<bool> {
        match self.view.position_of(id)? {
            Some(position) => is_void(self.view(), &self.event(position)?),
            None => Ok(false),
        }
    }

    /// Visits stored lines from a position on, until the visitor returns false. A shredded event has a tombstone in
    /// place of its line: an object that begins with `{"shredded":`.
    ///
    /// # Errors
    /// The store's own errors, and the visitor's.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let mut lines = Vec::new();
    /// ledger.snapshot()?.lines(1.into(), &mut |_, line| {
    ///     lines.push(line.to_owned());
    ///     Ok(true)
    /// })?;
    /// assert_eq!(lines.len(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn lines(&self, from: Position, visit: &mut dyn FnMut(Position, &str) -> Result<bool>) -> Result<()> {
        self.view.rows(from, &mut |position, row| if visit(position, row.body)? { GO_ON } else { STOP })
    }
}
