//! What a ledger is asked: as it stands, as it stood, and whether it is whole.

use super::as_of;
use super::{AsOf, Ledger, Snapshot, Verification, verify};
use crate::merkle::Hash;
use crate::model::error::Result;
use crate::model::event::{Event, Position};
use crate::model::time::Timestamp;
use crate::store::Head;
use crate::usage::ProviderUsage;

impl Ledger {
    /// The ledger as it stands: a consistent snapshot for several questions.
    ///
    /// # Errors
    /// The store's own.
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

    /// The ledger as it stood: at a position, or at a time it had learned things up to.
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
        as_of::open(self.store(), when, self.past_states_every)
    }

    /// What a provider has used: session, weekly, all time, and since the last switch.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id, and the store's own.
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

    /// The event at a position; of a shredded one, what stays of it.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when there is none, [`Error::Damaged`](crate::Error::Damaged) or
    /// [`Error::UnknownEvent`](crate::Error::UnknownEvent) when its line cannot be read, and the store's own.
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

    /// The last event's position and time.
    ///
    /// # Errors
    /// The store's own.
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

    /// The root of the Merkle tree over all lines (RFC 6962 §2.1). Note it elsewhere: it stands for every line up to
    /// the head.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) when the tree has holes.
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

    /// Recomputes everything: positions, ids, line hashes, the tree, the projections from the events and what is kept of
    /// past ones; and holds seals against the events that they stand on.
    ///
    /// # Errors
    /// The store's own, when it cannot be read at all; what does not fit is a finding, not an error.
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
        verify::verify(&*self.store().read()?, verify::Scope::Everything, &[])
    }

    /// Folds all events again from position 1 and compares with what is stored, every line's hash checked on the way.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
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
        verify::verify(&*self.store().read()?, verify::Scope::Replay, &[])
    }
}
