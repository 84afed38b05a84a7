//! `status`: windows, cost and decision of every provider account.

use serde::Serialize;

use super::confirmed::{self, ConfirmedSpend};
use crate::budget::Status;
use crate::ledger::{FutureEvents, Snapshot};
use crate::model::error::Result;
use crate::model::event::{Position, WindowKind};
use crate::model::time::Timestamp;
use crate::present::costs;

/// The status and its time.
#[derive(Serialize)]
pub(crate) struct TimedStatus {
    pub now: Timestamp,
    #[serde(flatten)]
    pub state: StatusState,
}

/// The part of the status that changes only with events.
#[derive(Serialize)]
pub(crate) struct StatusState {
    position: Position,
    /// The first event with a recording time in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_ahead: Option<FutureEvent>,
    /// Events that state a time in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_ahead: Option<FutureEvents>,
    #[serde(flatten)]
    pub status: Status,
    /// Limits that observations speak for, of windows without a limit.
    pub suggested_limits: Vec<SuggestedLimit>,
    /// The share of spend that recorded statements confirm, of each account with statements.
    pub confirmed: Vec<ConfirmedSpend>,
}

/// The limit that a provider's percentages speak for.
#[derive(Serialize)]
pub(crate) struct SuggestedLimit {
    pub provider: String,
    pub account: Option<String>,
    pub window: WindowKind,
    /// In weighted tokens.
    pub limit: u64,
    /// With 95 % confidence the limit is no less than this …
    pub low: u64,
    /// … and no more than this.
    pub high: u64,
    pub observations: usize,
    /// The command that sets it.
    pub command: String,
}

/// An event with a recording time in the future.
#[derive(Serialize)]
pub(crate) struct FutureEvent {
    pub position: Position,
    pub recorded_at: Timestamp,
}

/// Computes the status at a time.
pub(crate) fn answer(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<TimedStatus> {
    let ahead = snapshot.recorded_ahead_of(now)?;
    let recorded_ahead = ahead.map(|(position, recorded_at)| FutureEvent { position, recorded_at });
    let occurred_ahead = snapshot.occurred_ahead_of(now)?;
    let status = costs::status(snapshot, now)?;
    let suggested_limits = suggested_limits(snapshot, &status, now)?;
    let confirmed = confirmed::confirmed(snapshot, None, now)?;
    let position = snapshot.head()?.position;
    let state = StatusState { position, recorded_ahead, occurred_ahead, status, suggested_limits, confirmed };
    Ok(TimedStatus { now, state })
}

/// The fitted limits of observed windows without a limit, where the fit bounds them.
fn suggested_limits(snapshot: &Snapshot<'_>, status: &Status, now: Timestamp) -> Result<Vec<SuggestedLimit>> {
    let mut found = Vec::new();
    for usage in status.providers.iter().map(|provider| &provider.usage).filter(|usage| usage.metered) {
        for (kind, window) in [(WindowKind::Session, &usage.session), (WindowKind::Weekly, &usage.weekly)] {
            if window.limit.is_some() || window.observed.is_none() {
                continue;
            }
            let fit = snapshot.calibration(&usage.provider, usage.account.as_deref(), kind, now)?;
            let Some(fit) = fit.filter(|fit| fit.high < u64::MAX) else { continue };
            let account = usage.account.as_ref().map(|account| format!(" --account {}", shell_word(account)));
            let account = account.unwrap_or_default();
            let command = format!("usage-ledger limit set {}{account} --from-observations", usage.provider);
            found.push(SuggestedLimit {
                provider: usage.provider.clone(),
                account: usage.account.clone(),
                window: kind,
                limit: fit.limit,
                low: fit.low,
                high: fit.high,
                observations: fit.observations,
                command,
            });
        }
    }
    Ok(found)
}

/// A word as a POSIX shell reads it back.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@/".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
