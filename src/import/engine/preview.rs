//! Previews an import on a copy of the ledger.

use serde::Serialize;

use crate::import::{ImportOptions, ImportReport, Progress, run};
use crate::ledger::Ledger;
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, EventKind, Payload, Position, TokenRecord};
use crate::model::time::Timestamp;
use crate::projection::effective;
use crate::store::GO_ON;

/// The effect of an import.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The report of each importer.
    #[serde(flatten)]
    pub report: ImportReport,
    /// Records that would be amended, in the order of the amendments.
    pub amendments: Vec<Amendment>,
    /// Records that would be withdrawn.
    pub withdrawals: Vec<Withdrawal>,
}

/// A record that an import would amend.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Amendment {
    /// The event of the record.
    pub target: EventId,
    /// The reason.
    pub reason: String,
    /// Its current value. `None` if the same import would append it first.
    pub before: Option<TokenRecord>,
    /// Its value after the import.
    pub after: TokenRecord,
}

/// A record that an import would withdraw.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Withdrawal {
    /// The event of the record.
    pub target: EventId,
    /// The reason.
    pub reason: String,
}

/// Runs an import on a copy of the ledger, or on an empty ledger. The ledger itself is not changed.
///
/// The copy is in the system's temporary directory, readable by this user only, until the function returns.
///
/// # Errors
/// Those of [`run`], and [`Error::Io`](crate::Error::Io) if no copy can be made.
pub fn preview(
    ledger: Option<&Ledger>,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Preview> {
    let Some(ledger) = ledger else {
        let trial = Ledger::in_memory()?;
        return tried(&trial, &Ledger::in_memory()?, options, now.into(), progress);
    };
    let io = |source| Error::Io { path: std::env::temp_dir(), source };
    let directory = tempfile::tempdir().map_err(io)?;
    let path = directory.path().join("trial.db");
    ledger.copy_for_trial(&path)?;
    let trial = Ledger::open(&path)?;
    let preview = tried(&trial, ledger, options, now.into(), progress);
    drop(trial);
    directory.close().map_err(io)?;
    preview
}

fn tried(
    trial: &Ledger,
    ledger: &Ledger,
    options: &ImportOptions,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<Preview> {
    let head = trial.head()?.position;
    let report = run(trial, options, now, progress)?;
    let mut preview = Preview { report, ..Preview::default() };
    let snapshot = trial.snapshot()?;
    let view = snapshot.view();
    view.rows(head.next(), &mut |position, row| {
        if !row.is_kind(EventKind::TokensAmended) && !row.is_kind(EventKind::EventVoided) {
            return GO_ON;
        }
        match Event::from_line(position, row.body)?.payload {
            Payload::TokensAmended(amend) => preview.amendments.push(Amendment {
                target: amend.target,
                reason: amend.reason,
                before: None,
                after: amend.replacement,
            }),
            Payload::EventVoided(void) => {
                preview.withdrawals.push(Withdrawal { target: void.target, reason: void.reason });
            }
            _ => {}
        }
        GO_ON
    })?;
    let snapshot = ledger.snapshot()?;
    let before = snapshot.view();
    for amendment in &mut preview.amendments {
        let position: Option<Position> = before.position_of(amendment.target)?;
        if let Some(position) = position {
            amendment.before = effective(before, position, None)?.map(|counted| counted.record);
        }
    }
    Ok(preview)
}
