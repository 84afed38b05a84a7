//! The queries of a ledger: present and past snapshots, single events, and audits.

use super::as_of;
use super::{AsOf, Ledger, Snapshot, Verification, verify};
use crate::merkle::Hash;
use crate::model::error::Result;
use crate::model::event::{Event, Position};
use crate::model::time::Timestamp;
use crate::store::Head;
use crate::usage::ProviderUsage;

impl Ledger {
    /// A consistent snapshot of the present state, for several queries.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let snapshot = ledger.snapshot()?; // both answers are about the same state
    /// assert_eq!(snapshot.head()?.position.get(), snapshot.provider("openai", now)?.all_time.requests);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<Snapshot<'_>> {
        Ok(Snapshot::new(self.store().read()?))
    }

    /// A consistent snapshot of a past state: as of a position, or as of a time.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) for a position beyond the head.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// let then = ledger.as_of(AsOf::Position(1.into()))?;
    /// assert_eq!(then.provider("openai", now)?.all_time.tokens.total(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn as_of(&self, when: AsOf) -> Result<Snapshot<'_>> {
        as_of::open(self.store(), when)
    }

    /// The usage of a provider: session, weekly, all time, and since the last switch.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(30).output(12), now)?;
    /// let usage = ledger.provider("openai", now)?;
    /// assert_eq!((usage.metered, usage.weekly.usage.tokens.total()), (true, 42));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn provider(&self, provider: &str, now: impl Into<Timestamp>) -> Result<ProviderUsage> {
        self.snapshot()?.provider(provider, now)
    }

    /// The event at a position; for a shredded one, the remaining event.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) for a missing position, [`Error::Damaged`](crate::Error::Damaged) or
    /// [`Error::UnknownEvent`](crate::Error::UnknownEvent) for an unreadable line, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(ledger.event(1)?.occurred_at, now);
    /// assert!(matches!(ledger.event(2), Err(Error::NotFound { .. })));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn event(&self, position: impl Into<Position>) -> Result<Event> {
        self.snapshot()?.event(position.into())
    }

    /// The position and time of the last event.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!((ledger.head()?.position.get(), ledger.head()?.recorded_at), (1, now));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn head(&self) -> Result<Head> {
        self.snapshot()?.head()
    }

    /// The root of the Merkle tree over all lines (RFC 6962 §2.1). A copy kept elsewhere protects every line up to the
    /// head.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if nodes of the tree are missing.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let noted = ledger.root()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// assert_ne!(ledger.root()?, noted);
    /// assert_eq!(ledger.as_of(AsOf::Position(1.into()))?.root()?, noted); // the first line is as it was
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn root(&self) -> Result<Hash> {
        self.snapshot()?.root()
    }

    /// Recomputes everything: positions, ids, leaf hashes, the tree, the projections and the cached past states; and
    /// checks seals against the events that they cover.
    ///
    /// # Errors
    /// The store's own errors, if it cannot be read at all. Inconsistencies are findings, not errors.
    ///
    /// ```
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// use usage_ledger::{Ledger, TokenRecord};
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert!(ledger.verify()?.ok);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self) -> Result<Verification> {
        verify::verify(&*self.store().read()?, verify::AuditScope::Everything, &[])
    }

    /// Folds all events again from position 1, checks every leaf hash, and compares the result with the stored
    /// projections.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let replay = ledger.replay()?;
    /// assert_eq!((replay.ok, replay.size), (true, 1));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn replay(&self) -> Result<Verification> {
        verify::verify(&*self.store().read()?, verify::AuditScope::Replay, &[])
    }
}
