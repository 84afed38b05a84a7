//! Seals: a seal closes a period, and later events about it are a restatement.

use serde::Serialize;

use super::restatement::{self, Restatement};
use super::sealed_rows;
use super::{Report, ReportKey};
use crate::ledger::{AsOf, Ledger, Outcome, Snapshot, current_seals, refuse_overlap};
use crate::merkle::Signer;
use crate::model::error::{Error, Result};
use crate::model::event::{NamedStatement, NewEvent, PeriodSealed, Position};
use crate::model::time::Timestamp;
use crate::model::tokens::TokenClass;
use crate::readers::price::Prices;

/// A seal and the restatement of its period.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, merkle::Signer, event::NewEvent};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(10), now)?;
/// ledger.seal(None, now.plus(1), &signer, now.plus(1))?;
/// ledger.append([NewEvent::new(TokenRecord::new("openai", "gpt-5").input(3), now)], now.plus(2))?;
/// let (seal, _) = ledger.sealed(now.plus(2))?.unwrap();
/// assert_eq!((seal.sealed.requests, seal.restatement.requests), (1, 1)); // what came late stands beside
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Seal {
    /// The position of the seal.
    pub position: Position,
    /// When it was sealed.
    pub at: Timestamp,
    /// Its content.
    #[serde(flatten)]
    pub sealed: PeriodSealed,
    /// The changes since the seal.
    pub restatement: Restatement,
}

/// A report of the whole period without filters.
pub(super) fn of_period(since: Option<Timestamp>, until: Timestamp) -> Report {
    let report = Report::by(ReportKey::Provider).prices(Prices::none()).until(until);
    match since {
        Some(since) => report.since(since),
        None => report,
    }
}

/// The statements that hold for a part of a period.
pub(super) fn sealed_statements(
    snapshot: &Snapshot<'_>,
    since: Option<Timestamp>,
    until: Timestamp,
) -> Result<Vec<NamedStatement>> {
    let mut named = Vec::new();
    for received in snapshot.statements(Timestamp::MAX)? {
        if received.holds_between(since.unwrap_or(Timestamp::MIN), until) {
            named.push(NamedStatement::new(received.position()?, received.content.provider, received.content.file));
        }
    }
    Ok(named)
}

impl Snapshot<'_> {
    /// The last seal, with its restatement.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn last_seal(&self, now: impl Into<Timestamp>) -> Result<Option<Seal>> {
        let last = current_seals(self.view(), now.into())?.pop();
        Ok(self.restated(last.into_iter().collect())?.pop())
    }

    /// All seals that are not voided, in order, with their restatements.
    ///
    /// # Errors
    /// The store's own errors.
    #[cfg(feature = "cli")]
    pub(crate) fn seals(&self, now: impl Into<Timestamp>) -> Result<Vec<Seal>> {
        self.restated(current_seals(self.view(), now.into())?)
    }

    fn restated(&self, current_seals: Vec<(Position, Timestamp, PeriodSealed)>) -> Result<Vec<Seal>> {
        let periods: Vec<&PeriodSealed> = current_seals.iter().map(|(_, _, sealed)| sealed).collect();
        let restatements = restatement::events(self.view(), &periods)?;
        current_seals
            .into_iter()
            .zip(restatements)
            .map(|((position, at, sealed), mut restatement)| {
                let total = self.report(&of_period(sealed.since, sealed.until))?.total;
                restatement.count(&sealed, &total)?;
                Ok(Seal { position, at, sealed, restatement })
            })
            .collect()
    }
}

impl Ledger {
    /// Closes a period: computes its totals over all events so far, signs the statement, and appends it as an event.
    /// Without a beginning the period starts where the latest sealed one ended.
    ///
    /// It names the provider statements that hold for a part of the period. The signed text is a C2SP checkpoint with extension lines, so every program that verifies checkpoints can verify
    /// it. It also signs the root of a tree of blinded totals, one for each project: see
    /// [`prove_total`](Self::prove_total).
    ///
    /// # Errors
    /// [`Error::Invalid`] if the period is not over, ends before it begins or overlaps a sealed one, or if the ledger
    /// is empty; and the store's own errors. Nothing is written then.
    ///
    /// ```
    /// use usage_ledger::{Ledger, merkle::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// assert!(ledger.seal(None, now.plus(1), &signer, now).is_err()); // it is not over
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn seal(
        &self,
        since: Option<Timestamp>,
        until: impl Into<Timestamp>,
        signer: &Signer,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        self.seal_by(&ReportKey::Project, since, until, signer, now)
    }

    /// As [`seal`](Self::seal), with totals by another key.
    ///
    /// # Errors
    /// As [`seal`](Self::seal); also [`Error::Invalid`] for a key of times or windows.
    pub(crate) fn seal_by(
        &self,
        by: &ReportKey,
        since: Option<Timestamp>,
        until: impl Into<Timestamp>,
        signer: &Signer,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        sealed_rows::check_key(by)?;
        let (until, now) = (until.into(), now.into());
        if until > now {
            return Err(Error::invalid(format!("the period until {until} is not over: seal it then")));
        }
        let (sealed, last) = {
            let snapshot = self.snapshot()?;
            if snapshot.head()?.position == Position::START {
                return Err(Error::invalid("the ledger is empty, so there is nothing to seal: record or import first"));
            }
            let seals = current_seals(snapshot.view(), Timestamp::MAX)?;
            let since = since.or_else(|| seals.iter().map(|(_, _, sealed)| sealed.until).max());
            if since.is_some_and(|since| since >= until) {
                return Err(Error::invalid(format!(
                    "the period ends at {until}, before it begins: give a later end, or an earlier beginning"
                )));
            }
            refuse_overlap(&seals, since, until)?;
            snapshot.expect_whole()?;
            let (head, root) = (snapshot.head()?, snapshot.root()?);
            let before = seals.last().map_or(Position::START, |(_, _, before)| before.size);
            let total = snapshot.report(&of_period(since, until))?.total;
            let sealed = PeriodSealed {
                since,
                until,
                first: before.next(),
                size: head.position,
                root: root.to_string(),
                requests: total.requests,
                tokens: TokenClass::ALL.map(|class| total.tokens.get(class)),
                reported_usd: total.cost.reported_usd,
                statements: sealed_statements(&snapshot, since, until)?,
                rows: None,
                statement: String::new(),
            };
            let totals = sealed_rows::of_seal(&snapshot, &sealed, by, signer)?;
            (PeriodSealed { rows: Some(totals.sealed()), ..sealed }, seals.last().map(|(position, ..)| *position))
        };
        let statement = signer.sign(&sealed_rows::statement(&sealed, signer.verifier().name())?)?;
        let sealed = PeriodSealed { statement, ..sealed };
        self.transact(now, |appender| {
            // Another process may have sealed since the snapshot. The seal states the events since the one before it.
            let seals = current_seals(appender.view()?, Timestamp::MAX)?;
            refuse_overlap(&seals, sealed.since, sealed.until)?;
            if seals.last().map(|(position, ..)| *position) != last {
                return Err(Error::invalid("another program sealed a period meanwhile: repeat the command"));
            }
            appender.push(NewEvent::new(sealed, now))
        })
    }

    /// The ledger as of the last seal, with that seal; `None` without a seal.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord, merkle::Signer};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(10), now)?;
    /// ledger.seal(None, now.plus(1), &signer, now.plus(1))?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(3), now.plus(2))?;
    /// let (seal, snapshot) = ledger.sealed(now.plus(2))?.unwrap();
    /// assert_eq!(snapshot.report(&Report::by(ReportKey::Model))?.total.tokens.total(), 10);
    /// assert_eq!(seal.restatement.requests, 0); // the call came after the period
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn sealed(&self, now: impl Into<Timestamp>) -> Result<Option<(Seal, Snapshot<'_>)>> {
        let Some(seal) = self.snapshot()?.last_seal(now)? else { return Ok(None) };
        let size = seal.sealed.size;
        Ok(Some((seal, self.as_of(AsOf::Position(size))?)))
    }

    /// The ledger as of the seal at a position, with that seal; `None` if there is no valid seal.
    ///
    /// # Errors
    /// The store's own errors.
    #[cfg(feature = "cli")]
    pub(crate) fn sealed_at(
        &self,
        position: Position,
        now: impl Into<Timestamp>,
    ) -> Result<Option<(Seal, Snapshot<'_>)>> {
        let seal = {
            let snapshot = self.snapshot()?;
            let named = current_seals(snapshot.view(), now.into())?.into_iter().find(|(at, ..)| *at == position);
            snapshot.restated(named.into_iter().collect())?.pop()
        };
        let Some(seal) = seal else { return Ok(None) };
        let size = seal.sealed.size;
        Ok(Some((seal, self.as_of(AsOf::Position(size))?)))
    }
}
