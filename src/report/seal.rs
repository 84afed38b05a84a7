//! Seals: a period is closed, and what is learned of it later is a restatement.

use serde::Serialize;

use super::{Report, ReportKey};
use crate::audit::{Checkpoint, Hash, Signer};
use crate::error::{Error, Result};
use crate::event::{NewEvent, Payload, PeriodSealed, Position};
use crate::ledger::{AsOf, Ledger, Outcome, Sight};
use crate::price::Prices;
use crate::projection::{Subject, facts};
use crate::store::View;
use crate::time::Timestamp;
use crate::tokens::TokenClass;
use crate::usage::Usage;
use crate::view::{Order, STOP};

/// What a period has come to differently since it was sealed.
///
/// ```
/// use usage_ledger::report::Restatement;
/// assert!(Restatement::default().is_nothing());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restatement {
    /// Calls more, or fewer, than were sealed.
    pub requests: i64,
    /// Tokens more, or fewer, in the order of [`TokenClass::ALL`].
    pub tokens: [i64; 7],
}

impl Restatement {
    /// Whether the period is as it was sealed.
    ///
    /// ```
    /// # use usage_ledger::report::Restatement;
    /// assert!(!Restatement { requests: 1, ..Restatement::default() }.is_nothing());
    /// ```
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn between(sealed: &PeriodSealed, now: &Usage) -> Self {
        let less = |now: u64, then: u64| i64::try_from(i128::from(now) - i128::from(then)).unwrap_or(i64::MAX);
        let mut tokens = [0; 7];
        for ((slot, class), then) in tokens.iter_mut().zip(TokenClass::ALL).zip(sealed.tokens) {
            *slot = less(now.tokens.get(class), then);
        }
        Self { requests: less(now.requests, sealed.requests), tokens }
    }
}

/// A seal and what became of its period since.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, audit::Signer, event::NewEvent};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let (mut ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(10), now)?;
/// ledger.seal(None, now.plus(1), &signer, now.plus(1))?;
/// ledger.append([NewEvent::new(TokenRecord::new("openai", "gpt-5").input(3), now)], now.plus(2))?;
/// let seal = ledger.sight()?.last_seal(now.plus(2))?.unwrap();
/// assert_eq!((seal.sealed.requests, seal.restatement.requests), (1, 1)); // what came late stands beside
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seal {
    /// The event that seals.
    pub position: Position,
    /// When it was sealed.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub sealed: PeriodSealed,
    /// What the period has come to differently since.
    pub restatement: Restatement,
}

/// The whole period, told apart by nothing that could leave something out.
fn of_period(since: Option<Timestamp>, until: Timestamp) -> Report {
    let report = Report::by(ReportKey::Provider).prices(Prices::none()).until(until);
    match since {
        Some(since) => report.since(since),
        None => report,
    }
}

/// The last seal that holds at a time.
fn last(view: &dyn View, now: Timestamp) -> Result<Option<(Position, Timestamp, PeriodSealed)>> {
    let mut found = None;
    facts(view, "period_sealed", &Subject::Ledger, now, Order::Descending, &mut |fact| {
        if let Payload::PeriodSealed(sealed) = fact.event.payload {
            found = Some((fact.position, fact.event.occurred_at, sealed));
        }
        STOP
    })?;
    Ok(found)
}

impl Sight<'_> {
    /// The last seal, and what became of its period since.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::Ledger;
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// assert_eq!(Ledger::in_memory()?.sight()?.last_seal(now)?, None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn last_seal(&self, now: impl Into<Timestamp>) -> Result<Option<Seal>> {
        let Some((position, at, sealed)) = last(self.view(), now.into())? else { return Ok(None) };
        let total = self.report(&of_period(sealed.since, sealed.until))?.total;
        let restatement = Restatement::between(&sealed, &total);
        Ok(Some(Seal { position, at, sealed, restatement }))
    }
}

impl Ledger {
    /// Closes a period: states what it came to over all events so far, signs the statement, and keeps it as an event.
    /// Without a beginning it goes on where the last seal ended.
    ///
    /// The statement is a checkpoint of C2SP with further lines, so whoever can check a checkpoint can check it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the period is not over or ends before it begins, and the store's own. Then nothing is
    /// written.
    ///
    /// ```
    /// use usage_ledger::{Ledger, audit::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (mut ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// assert!(ledger.seal(None, now.plus(1), &signer, now).is_err()); // it is not over
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn seal(
        &mut self,
        since: Option<Timestamp>,
        until: impl Into<Timestamp>,
        signer: &Signer,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        let (until, now) = (until.into(), now.into());
        if until > now {
            return Err(Error::invalid(format!("the period until {until} is not over: seal it then")));
        }
        let sealed = {
            let sight = self.sight()?;
            let before = last(sight.view(), now)?.map(|(_, _, sealed)| sealed);
            let since = since.or_else(|| before.as_ref().map(|before| before.until));
            if since.is_some_and(|since| since >= until) {
                return Err(Error::invalid(format!(
                    "the period ends at {until}, before it begins: give a later end, or an earlier beginning"
                )));
            }
            let (head, root) = (sight.head()?, sight.root()?);
            let total = sight.report(&of_period(since, until))?.total;
            PeriodSealed {
                since,
                until,
                first: before.map_or(Position::START, |before| before.size).next(),
                size: head.position,
                root: root.to_string(),
                requests: total.requests,
                tokens: TokenClass::ALL.map(|class| total.tokens.get(class)),
                reported_usd: total.cost.reported_usd,
                statement: String::new(),
            }
        };
        let root: Hash = sealed.root.parse()?;
        let checkpoint = Checkpoint::new(signer.verifier().name(), sealed.size.get(), root)?;
        let statement = signer.sign(&format!("{checkpoint}{}", sealed.lines()))?;
        let sealed = PeriodSealed { statement, ..sealed };
        self.append([NewEvent::new(sealed, now)], now)?.into_iter().next().ok_or_else(|| Error::invalid("no seal"))
    }

    /// The ledger as the last seal stands on it, with that seal; `None` when nothing was sealed.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord, audit::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (mut ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(10), now)?;
    /// ledger.seal(None, now.plus(1), &signer, now.plus(1))?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(3), now.plus(2))?;
    /// let (seal, sight) = ledger.sealed(now.plus(2))?.unwrap();
    /// assert_eq!(sight.report(&Report::by(ReportKey::Model))?.total.tokens.total(), 10);
    /// assert!(seal.restatement.is_nothing()); // the call came after the period
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn sealed(&mut self, now: impl Into<Timestamp>) -> Result<Option<(Seal, Sight<'_>)>> {
        let Some(seal) = self.sight()?.last_seal(now)? else { return Ok(None) };
        let size = seal.sealed.size;
        Ok(Some((seal, self.as_of(AsOf::Position(size))?)))
    }
}
