//! Recomputes what seals state from the events that they cover.

use super::seal::{of_period, sealed_statements};
use super::{ReportKey, sealed_rows};
use crate::ledger::{AsOf, Finding, Ledger, Snapshot, current_seals};
use crate::merkle::{Note, Signer};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, Payload, PeriodSealed, Position, SealedRows, Subject};
use crate::model::time::Timestamp;
use crate::model::tokens::TokenClass;
use crate::projection::collect_events;

impl Ledger {
    /// Recomputes the totals of every seal from the events that it covers, and the blinded rows of the seals that one
    /// of the keys signed. Without its key a row cannot be recomputed, because nobody else can blind it.
    ///
    /// If names of sealed calls were shredded, rows that depend on them are not compared. The totals of the seal are.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Signer};
    /// # let now = "2026-06-01T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(3).project("acme"), now.plus(-1))?;
    /// ledger.seal(None, now, &signer, now)?;
    /// assert!(ledger.verify_seals(&[signer])?.is_empty());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify_seals(&self, signers: &[Signer]) -> Result<Vec<Finding>> {
        let snapshot = self.snapshot()?;
        let mut findings = Vec::new();
        for (position, _, sealed) in current_seals(snapshot.view(), Timestamp::MAX)? {
            if sealed.size >= position {
                // The audit of the log reports this.
                continue;
            }
            match wrong(self, &snapshot, &sealed, signers) {
                Ok(None) => {}
                Ok(Some(what)) => findings.push(Finding::new(position, what)),
                Err(Error::Damaged { what, .. }) => {
                    findings.push(Finding::new(position, format!("this seal cannot be recomputed: {what}")));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(findings)
    }
}

/// The fault of a seal; `None` for a valid one.
fn wrong(
    ledger: &Ledger,
    snapshot: &Snapshot<'_>,
    sealed: &PeriodSealed,
    signers: &[Signer],
) -> Result<Option<String>> {
    let past = ledger.as_of(AsOf::Position(sealed.size))?;
    let total = past.report(&of_period(sealed.since, sealed.until))?.total;
    let tokens = TokenClass::ALL.map(|class| total.tokens.get(class));
    if (total.requests, tokens, total.cost.reported_usd) != (sealed.requests, sealed.tokens, sealed.reported_usd) {
        return Ok(Some("the totals of this seal are not those of the events that it covers".to_owned()));
    }
    // Seals of earlier builds name no statements.
    if !sealed.statements.is_empty() && sealed_statements(&past, sealed.since, sealed.until)? != sealed.statements {
        return Ok(Some("the statements of this seal are not those that it covers".to_owned()));
    }
    let Some(kept) = &sealed.rows else { return Ok(None) };
    let note: Note = sealed.statement.parse()?;
    let Some(signer) = signers.iter().find(|signer| note.verify(signer.verifier()).is_ok()) else { return Ok(None) };
    let by: ReportKey = kept.by.parse()?;
    let totals = sealed_rows::of_seal(&past, sealed, &by, signer)?;
    if totals.sealed() == *kept {
        return Ok(None);
    }
    if has_shredded(snapshot, sealed.size)? {
        return Ok(None);
    }
    Ok(Some(changed_rows(&totals.sealed(), kept)))
}

fn changed_rows(found: &SealedRows, kept: &SealedRows) -> String {
    let missing = found.leaves.iter().filter(|leaf| !kept.leaves.contains(leaf)).count();
    format!(
        "the rows of this seal are not those of the events that it covers: {missing} of {} totals differ",
        found.leaves.len()
    )
}

/// Whether names of a call or of a correction up to a position were shredded.
fn has_shredded(snapshot: &Snapshot<'_>, size: Position) -> Result<bool> {
    let view = snapshot.view();
    let ever = (Timestamp::MIN, Timestamp::MAX);
    let positions = collect_events(view, EventKind::EventShredded, &Subject::Ledger, ever, |indexed| {
        let Payload::EventShredded(shredded) = indexed.event.payload else { return None };
        (shredded.position <= size).then_some(shredded.position)
    })?;
    for position in positions {
        let event = Event::from_line(position, &view.expect_line(position)?)?;
        if matches!(event.payload, Payload::TokensRecorded(_) | Payload::TokensAmended(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}
