//! The one door to a ledger: open, append, query, replay, verify.

mod append;
mod observe;
mod past;
mod pause;
mod prove;
mod revise;
mod shred;
mod sight;
mod snapshot;
mod verify;

use std::borrow::Cow;
use std::path::Path;

pub use append::Outcome;
pub use past::AsOf;
pub use shred::{Shred, Shredding};
pub use sight::Sight;
pub use verify::{Finding, Verification};

pub(crate) use append::Appender;
#[cfg(feature = "import")]
pub(crate) use append::Ready;

use crate::audit::Hash;
use crate::error::{Error, Result};
use crate::event::{
    Event, EventId, EventVoided, LimitSet, NewEvent, Payload, Position, PriceSet, ProviderDeclared, ProviderSwitched,
    TokenRecord, TokensAmended,
};
use crate::projection::void_of;
use crate::store::{EventStore, Head, MemoryStore, SqliteStore};
use crate::time::Timestamp;
use crate::usage::{ProviderUsage, active_provider, last_switch};

/// A ledger of token usage.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey::{Day, Provider}, TokenRecord};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("usage.db");
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::open(&path)?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(120).output(40).project("acme"), now)?;
/// ledger.switch_provider("ollama", "rate limited", now)?;
///
/// let usage = ledger.provider("anthropic", now)?;
/// assert_eq!(usage.session.usage.tokens.total(), 160); // a switch is a marker: nothing was wiped
/// let table = ledger.report(&Report::by(Day).and(Provider))?;
/// assert_eq!(table.total.requests, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ledger {
    store: Box<dyn EventStore>,
    pub(crate) source: Cow<'static, str>,
    ids: uuid::ContextV7,
    snapshots_every: u64,
}

impl Ledger {
    /// Opens a ledger file, and makes it when it is missing.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("usage.db");
    /// Ledger::open(&path)?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(Ledger::open(&path)?.head()?.position.get(), 1); // it is still there
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::with_store(Box::new(SqliteStore::open(path.as_ref())?)))
    }

    /// A ledger in memory, gone when it is dropped.
    ///
    /// # Errors
    /// None today; the signature leaves room.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// assert_eq!(Ledger::in_memory()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn in_memory() -> Result<Self> {
        Ok(Self::with_store(Box::new(MemoryStore::new())))
    }

    /// A ledger on a store of the caller's.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, store::MemoryStore};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let store = MemoryStore::new();
    /// let mut one = Ledger::with_store(Box::new(store.clone()));
    /// let mut other = Ledger::with_store(Box::new(store));
    /// one.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(other.head()?.position.get(), 1); // two doors to one store
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn with_store(store: Box<dyn EventStore>) -> Self {
        Self { store, source: "library".into(), ids: uuid::ContextV7::new(), snapshots_every: snapshot::EVERY }
    }

    /// How many events a question about the past may have to fold before the state it came to is kept for the next such
    /// question: 50,000 unless this says otherwise. Of these states, which `verify` checks too, a few are kept.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, TokenRecord, store::{EventStore, GO_ON, MemoryStore, Order, Space}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut store = MemoryStore::new();
    /// let mut ledger = Ledger::with_store(Box::new(store.clone())).snapshots_every(2);
    /// for n in 0..5 {
    ///     ledger.record(TokenRecord::new("openai", "gpt-5").input(n), now)?;
    /// }
    /// ledger.as_of(AsOf::Position(3.into()))?;
    /// let mut kept = 0;
    /// store.read()?.scan(Space::Snapshots, b"", b"", Order::Ascending, &mut |_, _| {
    ///     kept += 1;
    ///     GO_ON
    /// })?;
    /// assert_eq!(kept, 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn snapshots_every(mut self, events: u64) -> Self {
        self.snapshots_every = events;
        self
    }

    /// Names who tells this ledger things; it stands in every event appended from here on.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?.source("my-agent");
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(ledger.event(1)?.source, "my-agent");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn source(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = source.into();
        self
    }

    /// Runs `work` in one write transaction. When it fails nothing is written.
    pub(crate) fn transact<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Appender<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut appender = Appender::new(self.store.write()?, now, &self.ids)?;
        let done = work(&mut appender)?;
        appender.commit()?;
        Ok(done)
    }

    /// Prepares for much to be appended: [`EventStore::housekeeping`](crate::store::EventStore::housekeeping).
    #[cfg(feature = "import")]
    pub(crate) fn housekeeping(&mut self) -> Result<Option<crate::store::Housekeeping>> {
        self.store.housekeeping()
    }

    /// Makes durable what was appended since then.
    #[cfg(feature = "import")]
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.store.sync()
    }

    /// Appends events, all or none of them. An event that is there already is found, not added.
    ///
    /// `now` is the clock; what is recorded is never earlier than what was recorded before.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::InvalidProvider`] for a malformed event, [`Error::Conflict`] when an id or
    /// key is taken by another content, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Outcome, TokenRecord, event::NewEvent};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// let call = || NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1"), now);
    /// let outcomes = ledger.append([call(), call()], now)?;
    /// assert_eq!(outcomes, [Outcome::Appended(1.into()), Outcome::Existing(1.into())]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn append(
        &mut self,
        events: impl IntoIterator<Item = NewEvent>,
        now: impl Into<Timestamp>,
    ) -> Result<Vec<Outcome>> {
        self.try_append(events.into_iter().map(Ok), now.into())
    }

    /// [`append`](Self::append) for a stream of events that may fail on the way: then nothing is written.
    pub(crate) fn try_append(
        &mut self,
        events: impl IntoIterator<Item = Result<NewEvent>>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.transact(now, |appender| events.into_iter().map(|event| appender.push(event?)).collect())
    }

    fn append_one(&mut self, payload: impl Into<Payload>, now: Timestamp) -> Result<Outcome> {
        let event = NewEvent::new(payload, now).source(self.source.clone());
        self.transact(now, |appender| appender.push(event))
    }

    /// Records the tokens of a call that ended now.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// ```
    /// use usage_ledger::{Ledger, Outcome, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// let outcome = ledger.record(TokenRecord::new("openai", "gpt-5").input(30).output(12), now)?;
    /// assert_eq!(outcome, Outcome::Appended(1.into()));
    /// assert_eq!(ledger.provider("openai", now)?.all_time.tokens.total(), 42);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn record(&mut self, record: TokenRecord, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(record, now.into())
    }

    /// Marks that work moves to another provider. No counter changes.
    ///
    /// Switching to the provider that the last switch named already adds nothing.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(100), now)?;
    /// ledger.switch_provider("ollama", "rate limited", now)?;
    /// assert_eq!(ledger.status(now)?.active_provider.as_deref(), Some("ollama"));
    /// assert_eq!(ledger.provider("anthropic", now)?.session.usage.tokens.total(), 100); // not reset
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn switch_provider(&mut self, to: &str, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        self.switch_provider_at(to, reason, now, now)
    }

    /// Marks that work moved to another provider at a time other than now.
    ///
    /// # Errors
    /// As [`switch_provider`](Self::switch_provider).
    ///
    /// ```
    /// use usage_ledger::{Ledger, time::HOUR};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.switch_provider_at("ollama", "rate limited", now.plus(-HOUR), now)?;
    /// let event = ledger.event(1)?;
    /// assert_eq!((event.occurred_at, event.recorded_at), (now.plus(-HOUR), now));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn switch_provider_at(
        &mut self,
        to: &str,
        reason: &str,
        at: impl Into<Timestamp>,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        let mut switch = ProviderSwitched::to(to)?.because(reason);
        let at = at.into();
        let source = self.source.clone();
        self.transact(now.into(), |appender| {
            let view = appender.view()?;
            if let Some(last) = last_switch(view, at)?
                && last.switch.to == switch.to
            {
                return Ok(Outcome::Existing(last.position));
            }
            let from = active_provider(view, at)?.filter(|from| from != switch.to.as_str());
            switch.from = from.map(|from| crate::ProviderId::new(&from)).transpose()?;
            appender.push(NewEvent::new(switch, at).source(source))
        })
    }

    /// Replaces what a token record says; the record itself stays.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no such event is there, [`Error::Invalid`] when it is no token record.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(100), now)?;
    /// let wrong = ledger.event(1)?.id;
    /// ledger.amend(wrong, TokenRecord::new("openai", "gpt-5").input(10), "a typing error", now)?;
    /// assert_eq!(ledger.provider("openai", now)?.all_time.tokens.total(), 10);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn amend(
        &mut self,
        target: EventId,
        replacement: TokenRecord,
        reason: &str,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        let now = now.into();
        let source = self.source.clone();
        self.transact(now, |appender| {
            let event = find(appender.view()?, target)?;
            if !matches!(event.payload, Payload::TokensRecorded(_)) {
                return Err(Error::invalid(format!(
                    "event {target} is a {}: only tokens_recorded can be amended; void it and append it anew",
                    event.payload.kind()
                )));
            }
            let amend = TokensAmended { target, reason: reason.to_owned(), at: None, replacement };
            appender.push(NewEvent::new(amend, now).source(source))
        })
    }

    /// Withdraws an event of any kind; the event itself stays. Withdrawing a withdrawal restores;
    /// what is withdrawn already stays so without another event.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no such event is there, [`Error::Invalid`] for a shredding.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let call = ledger.event(1)?.id;
    /// ledger.void(call, "a test call", now)?;
    /// assert_eq!(ledger.provider("openai", now)?.all_time.requests, 0);
    /// let withdrawal = ledger.event(2)?.id;
    /// ledger.void(withdrawal, "it was real after all", now)?;
    /// assert_eq!(ledger.provider("openai", now.plus(1))?.all_time.requests, 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn void(&mut self, target: EventId, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        let source = self.source.clone();
        self.transact(now, |appender| {
            let event = find(appender.view()?, target)?;
            if matches!(event.payload, Payload::EventShredded(_)) {
                return Err(Error::invalid("what was shredded is gone: that cannot be withdrawn"));
            }
            if let Some(position) = void_of(appender.view()?, target)? {
                return Ok(Outcome::Existing(position));
            }
            // A correction must be later than what it corrects, whatever the clock says.
            let at = if event.payload.corrects().is_some() { now.max(event.occurred_at.plus(1)) } else { now };
            let void = EventVoided { target, reason: reason.to_owned() };
            appender.push(NewEvent::new(void, at).source(source))
        })
    }

    /// Sets limits, weights or window policies of a provider account.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a setting makes no sense.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::LimitSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
    /// assert_eq!(ledger.provider("openai", now)?.session.limit, Some(1_000));
    /// assert!(ledger.set_limit(LimitSet::new("openai")?.session(0), now).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn set_limit(&mut self, limit: LimitSet, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(limit, now.into())
    }

    /// States what a model's tokens cost.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative price, and for one that does not begin at a full quarter of an hour.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::PriceSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.set_price(PriceSet::new("openai", "gpt-5", "1.25".parse()?, "10".parse()?)?, now)?;
    /// assert!(ledger.set_price(PriceSet::new("openai", "gpt-5", "-1".parse()?, "10".parse()?)?, now).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn set_price(&mut self, price: PriceSet, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(price, now.into())
    }

    /// Declares whether a provider has a quota.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, ProviderId, event::ProviderDeclared};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// let provider = ProviderId::new("my-gateway")?;
    /// ledger.declare(ProviderDeclared { provider, account: None, metered: false }, now)?;
    /// assert!(!ledger.budget("my-gateway", now)?.metered);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn declare(&mut self, declaration: ProviderDeclared, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(declaration, now.into())
    }

    /// The ledger as it stands: a consistent sight for several questions.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let sight = ledger.sight()?; // both answers are about the same state
    /// assert_eq!(sight.head()?.position.get(), sight.provider("openai", now)?.all_time.requests);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn sight(&mut self) -> Result<Sight<'_>> {
        Ok(Sight::new(self.store.read()?))
    }

    /// The ledger as it stood: at a position, or at a time it had learned things up to.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a position beyond the head.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// let then = ledger.as_of(AsOf::Position(1.into()))?;
    /// assert_eq!(then.provider("openai", now)?.all_time.tokens.total(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn as_of(&mut self, when: AsOf) -> Result<Sight<'_>> {
        past::open(&mut *self.store, when, self.snapshots_every)
    }

    /// What a provider has used: session, weekly, all time, and since the last switch.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(30).output(12), now)?;
    /// let usage = ledger.provider("openai", now)?;
    /// assert_eq!((usage.metered, usage.weekly.usage.tokens.total()), (true, 42));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn provider(&mut self, provider: &str, now: impl Into<Timestamp>) -> Result<ProviderUsage> {
        self.sight()?.provider(provider, now)
    }

    /// The event at a position; of a shredded one, what stays of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Damaged`] or [`Error::UnknownEvent`] when its line cannot be
    /// read, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(ledger.event(1)?.occurred_at, now);
    /// assert!(matches!(ledger.event(2), Err(Error::NotFound { .. })));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn event(&mut self, position: impl Into<Position>) -> Result<Event> {
        self.sight()?.event(position.into())
    }

    /// The last event's position and time.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!((ledger.head()?.position.get(), ledger.head()?.recorded_at), (1, now));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn head(&mut self) -> Result<Head> {
        self.sight()?.head()
    }

    /// The root of the Merkle tree over all lines (RFC 6962 §2.1). Note it elsewhere: it stands for every line up to
    /// the head.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the tree has holes.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let noted = ledger.root()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// assert_ne!(ledger.root()?, noted);
    /// assert_eq!(ledger.as_of(AsOf::Position(1.into()))?.root()?, noted); // the first line is as it was
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn root(&mut self) -> Result<Hash> {
        self.sight()?.root()
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
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert!(ledger.verify()?.ok);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&mut self) -> Result<Verification> {
        verify::verify(&*self.store.read()?, verify::Scope::Everything, &[])
    }

    /// Folds all events again from position 1 and compares with what is stored, every line's hash checked on the way.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let replay = ledger.replay()?;
    /// assert_eq!((replay.ok, replay.size), (true, 1));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn replay(&mut self) -> Result<Verification> {
        verify::verify(&*self.store.read()?, verify::Scope::Replay, &[])
    }

    /// Folds all events again from position 1 and writes the projections anew. The log is not touched.
    ///
    /// # Errors
    /// [`Error::UnknownEvent`] or [`Error::Damaged`] at the event that cannot be folded; nothing is changed then.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let (usage, root) = (ledger.provider("openai", now)?, ledger.root()?);
    /// ledger.rebuild()?;
    /// assert_eq!((ledger.provider("openai", now)?, ledger.root()?), (usage, root)); // folds forget nothing
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn rebuild(&mut self) -> Result<()> {
        past::rebuild(&mut *self.store)
    }
}

fn find(view: &dyn crate::store::View, id: EventId) -> Result<Event> {
    let position = view.position_of(id)?.ok_or_else(|| Error::NotFound { what: format!("with id {id}") })?;
    Event::from_line(position, &view.expect_line(position)?)
}
