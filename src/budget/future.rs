//! Names the events of the future that a decision will rest on.

use super::RunRequest;
use crate::ledger::{FutureEvents, KINDS_OF_ACCOUNTS, Snapshot};
use crate::model::error::Result;
use crate::model::event::{EventKind, Subject};
use crate::model::provider::local_program_of;
use crate::model::time::Timestamp;
use crate::usage::accounts;

/// Kinds of events about the whole ledger that open or close gates.
const OF_LEDGER: [EventKind; 2] = [EventKind::Paused, EventKind::Resumed];

/// Warnings about events that state a time in the future: the decision leaves them out, and counts them from then on.
pub(super) fn future_warnings(snapshot: &Snapshot<'_>, request: &RunRequest, now: Timestamp) -> Result<Vec<String>> {
    let provider = request.provider.as_str();
    let program = local_program_of(provider);
    let mut subjects = Vec::new();
    for account in accounts(snapshot.view())? {
        let is_own = account.provider == provider || program.is_some_and(|program| account.provider == program);
        // A setting without an account concerns every account.
        let is_meant = request.account.is_none()
            || account.account.is_none()
            || account.account.as_deref() == request.account.as_deref();
        if is_own && is_meant {
            subjects.push(Subject::Account(account));
        }
    }
    let mut warnings = Vec::new();
    for kind in KINDS_OF_ACCOUNTS {
        warnings.extend(snapshot.ahead(kind, &subjects, now)?.map(|events| warning(kind, &events)));
    }
    for kind in OF_LEDGER {
        warnings.extend(snapshot.ahead(kind, &[Subject::Ledger], now)?.map(|events| warning(kind, &events)));
    }
    if let Some(at) = snapshot.first_call_ahead(&subjects, now)? {
        warnings.push(format!("calls of {provider} state the time {at} or a later one, and count only from then on"));
    }
    Ok(warnings)
}

fn warning(kind: EventKind, FutureEvents { position, occurred_at, events }: &FutureEvents) -> String {
    let others = match events.saturating_sub(1) {
        0 => String::new(),
        others => format!(" (so {} {others} more)", if others == 1 { "does" } else { "do" }),
    };
    format!(
        "position {position} ({}) states the time {occurred_at}, which is in the future, and counts only from then on{others}; \
         if it is wrong: usage-ledger void {position} --reason TEXT",
        kind.name()
    )
}
