//! Proofs of one total of a seal.

use super::{ReportKey, sealed_rows};
use crate::ledger::{AsOf, Ledger, current_seals};
use crate::merkle::{SealedRow, Signer, TotalProofText};
use crate::model::error::{Error, Result};
use crate::model::event::{PeriodSealed, Position};
use crate::model::time::Timestamp;

/// Which total of which seal to prove, and which of its rows to show.
///
/// ```
/// use usage_ledger::{ReportKey, report::TotalRequest};
/// let may = ("2026-05-01T00:00:00Z".parse()?, "2026-06-01T00:00:00Z".parse()?);
/// let request = TotalRequest::of(ReportKey::Project, "acme").period(may).only(ReportKey::Model, "gpt-5")?;
/// # let _ = request;
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TotalRequest {
    by: ReportKey,
    name: String,
    period: Option<(Timestamp, Timestamp)>,
    only: Vec<(ReportKey, String)>,
    without_rows: bool,
}

impl TotalRequest {
    /// The total of a project, or of a value of another key, in the last seal, with all its rows.
    ///
    /// ```
    /// # use usage_ledger::{ReportKey, report::TotalRequest};
    /// let request = TotalRequest::of(ReportKey::Project, "acme");
    /// # let _ = request;
    /// ```
    pub fn of(by: ReportKey, name: impl Into<String>) -> Self {
        Self { by, name: name.into(), period: None, only: Vec::new(), without_rows: false }
    }

    /// In the seal that covers a period, from its first instant to the first instant after it.
    ///
    /// ```
    /// # use usage_ledger::{ReportKey, report::TotalRequest};
    /// let may = ("2026-05-01T00:00:00Z".parse()?, "2026-06-01T00:00:00Z".parse()?);
    /// let request = TotalRequest::of(ReportKey::Project, "acme").period(may);
    /// # let _ = request;
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn period(mut self, period: (Timestamp, Timestamp)) -> Self {
        self.period = Some(period);
        self
    }

    /// Shows only rows with this value of a key; several conditions must all hold.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that rows do not have.
    ///
    /// ```
    /// # use usage_ledger::{ReportKey, report::TotalRequest};
    /// assert!(TotalRequest::of(ReportKey::Project, "acme").only(ReportKey::Day, "2026-05-10").is_ok());
    /// assert!(TotalRequest::of(ReportKey::Project, "acme").only(ReportKey::Agent, "codex").is_err());
    /// ```
    pub fn only(mut self, key: ReportKey, value: impl Into<String>) -> Result<Self> {
        if !matches!(
            key,
            ReportKey::Day | ReportKey::Provider | ReportKey::Account | ReportKey::Model | ReportKey::Project
        ) {
            let name = key.name();
            return Err(Error::invalid(format!(
                "sealed rows have no {name}: use day, provider, account, model or project"
            )));
        }
        self.only.push((key, value.into()));
        Ok(self)
    }

    /// Shows the total alone, without its rows.
    ///
    /// ```
    /// # use usage_ledger::{ReportKey, report::TotalRequest};
    /// let request = TotalRequest::of(ReportKey::Project, "acme").without_rows();
    /// # let _ = request;
    /// ```
    pub const fn without_rows(mut self) -> Self {
        self.without_rows = true;
        self
    }

    fn shows(&self, row: &SealedRow) -> bool {
        let value = |key: &ReportKey| match key {
            ReportKey::Day => Some(row.day.as_str()),
            ReportKey::Provider => Some(row.provider.as_str()),
            ReportKey::Account => row.account.as_deref(),
            ReportKey::Model => row.model.as_deref(),
            ReportKey::Project => row.project.as_deref(),
            _ => None,
        };
        !self.without_rows && self.only.iter().all(|(key, wanted)| value(key) == Some(wanted.as_str()))
    }

    /// The seal that is meant.
    fn find(&self, seals: Vec<(Position, Timestamp, PeriodSealed)>) -> Result<PeriodSealed> {
        let covers = |sealed: &PeriodSealed| {
            self.period
                .is_none_or(|(from, until)| sealed.since.is_none_or(|since| since <= from) && until <= sealed.until)
        };
        let found = seals.into_iter().map(|(_, _, sealed)| sealed).rfind(covers);
        found.ok_or_else(|| match self.period {
            None => Error::invalid("nothing was sealed yet: `usage-ledger seal --until TIME` closes a period"),
            Some((from, until)) => Error::invalid(format!(
                "no seal covers the period from {from} until {until}: `usage-ledger seal --until {until}` closes it"
            )),
        })
    }
}

impl Ledger {
    /// Proves one total of a seal: its number of calls, its sums, and its rows. Other totals stay hidden.
    ///
    /// The signer must be the one that signed the seal: the salts of the leaves follow from its key.
    ///
    /// # Errors
    /// [`Error::Invalid`] without such a seal or total, or with another key; and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, ReportKey, TokenRecord, merkle::Signer, report::TotalRequest};
    /// # let now = "2026-06-01T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(3).project("acme"), now.plus(-1))?;
    /// ledger.seal(None, now, &signer, now)?;
    /// let acme = TotalRequest::of(ReportKey::Project, "acme");
    /// assert_eq!(ledger.prove_total(&acme, &signer, now)?.verify(signer.verifier())?.total.rows, 1);
    /// let globex = TotalRequest::of(ReportKey::Project, "globex");
    /// assert!(ledger.prove_total(&globex, &signer, now).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn prove_total(
        &self,
        request: &TotalRequest,
        signer: &Signer,
        now: impl Into<Timestamp>,
    ) -> Result<TotalProofText> {
        let now = now.into();
        let sealed = request.find(current_seals(self.snapshot()?.view(), now)?)?;
        let period = sealed.period();
        let Some(kept) = &sealed.rows else {
            return Err(Error::invalid(format!(
                "the seal of the period {period} has no rows, because an earlier build made it: void that seal, and \
                 seal the period again"
            )));
        };
        let by = request.by.name();
        if kept.by != by {
            return Err(Error::invalid(format!(
                "the seal of the period {period} has totals by {}, not by {by}: ask for one of those, or void that \
                 seal and seal again with --rows-by {by}",
                kept.by
            )));
        }
        let note: crate::merkle::Note = sealed.statement.parse()?;
        note.verify(signer.verifier()).map_err(|error| {
            Error::invalid(format!("this key did not sign the seal of the period {period} ({error}): name that key"))
        })?;
        let past = self.as_of(AsOf::Position(sealed.size))?;
        let totals = sealed_rows::of_seal(&past, &sealed, &request.by, signer)?;
        let named = totals.groups.iter().find(|group| group.total.name.as_deref() == Some(&*request.name));
        let group = named.ok_or_else(|| {
            let name = &request.name;
            Error::invalid(format!("no call of {by} {name} is in the sealed period {period}: check the name"))
        })?;
        let content = group.total.content()?;
        let show = |row: &SealedRow| request.shows(row);
        let stored = sealed_rows::stored(&totals.leaves, kept)?;
        let proof = TotalProofText::make(by, &content, &stored, &group.rows, &show, note)?;
        proof.ok_or_else(|| {
            Error::invalid(format!(
                "the seal of the period {period} has no such total of {}: names of its calls were shredded since",
                request.name
            ))
        })
    }
}
