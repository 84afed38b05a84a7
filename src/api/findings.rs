//! Problems that the ledger itself shows: contradicted limits, implausible records, times of a clock that was ahead.

use serde::Serialize;

use crate::ledger::{FutureEvents, Snapshot, Suspicion};
use crate::model::error::Result;
use crate::model::event::{Position, WindowKind};
use crate::model::time::{MINUTE, Timestamp};
use crate::present::clock::duration;
use crate::present::decision_text::withdrawal;
use crate::present::output::grouped;
use crate::usage::{AccountAt, Drift, Misdated, accounts, is_metered, misdated};

/// Maximum number of records to list.
const NAMED: usize = 100;

/// One metered provider account.
#[derive(Serialize)]
pub(crate) struct CheckedAccount {
    pub provider: String,
    pub account: Option<String>,
    pub windows: Vec<Drift>,
}

/// A problem, and what to do about it.
#[derive(Serialize)]
pub(crate) struct Diagnosis {
    #[serde(flatten)]
    pub about: Topic,
    pub what: String,
    pub remedy: String,
}

/// The subject of a problem.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    Provider(String),
    Source(String),
    /// The event at this position.
    Event(Position),
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Provider(name) | Self::Source(name) => f.write_str(name),
            Self::Event(position) => write!(f, "position {position}"),
        }
    }
}

/// Examines the ledger. Returns the metered accounts with their readings, and the problems.
pub(crate) fn of_ledger(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<(Vec<CheckedAccount>, Vec<Diagnosis>)> {
    let (mut checked, mut findings) = (Vec::new(), Vec::new());
    for account in accounts(snapshot.view())? {
        if !is_metered(AccountAt::new(snapshot.view(), &account, now))?.0 {
            continue;
        }
        findings.extend(of_readings(AccountAt::new(snapshot.view(), &account, now))?);
        let (provider, account) = (account.provider.as_ref(), account.account.as_deref());
        let mut windows = Vec::new();
        for kind in [WindowKind::Session, WindowKind::Weekly] {
            windows.extend(snapshot.drift(provider, account, kind, now)?);
        }
        find(provider, account, &windows, snapshot, now, &mut findings)?;
        checked.push(CheckedAccount { provider: provider.to_owned(), account: account.map(str::to_owned), windows });
    }
    findings.extend(of_events(snapshot, now)?);
    Ok((checked, findings))
}

/// Readings whose resets cannot be true, of windows that have not ended.
fn of_readings(at: AccountAt<'_>) -> Result<impl Iterator<Item = Diagnosis>> {
    let provider = at.account.provider.to_string();
    Ok(misdated(at)?.into_iter().map(move |Misdated { position, minutes, at, resets_at }| {
        let length = duration(at, at.plus(i64::from(minutes) * MINUTE));
        Diagnosis {
            about: Topic::Event(position),
            what: format!(
                "{provider} reported at {at} that a window of {length} resets at {resets_at}, which is further away than \
                 the window is long: a clock is wrong. The reading counts for the length of a window"
            ),
            remedy: format!("correct the clock; if the reading is wrong: usage-ledger void {position} --reason TEXT"),
        }
    }))
}

/// Compares the limits of an account with what its provider reports.
fn find(
    provider: &str,
    account: Option<&str>,
    windows: &[Drift],
    snapshot: &Snapshot<'_>,
    now: Timestamp,
    findings: &mut Vec<Diagnosis>,
) -> Result<()> {
    let of = account.map(|account| format!(" --account {account}")).unwrap_or_default();
    let mut add = |what: String, remedy: String| {
        findings.push(Diagnosis { about: Topic::Provider(provider.to_owned()), what, remedy });
    };
    for drift in windows {
        let name = drift.window.name();
        let fitted = drift.calibration.as_ref().map(|fit| fit.limit);
        let Some(better) = fitted.or(drift.implied) else { continue };
        let set = format!("usage-ledger limit set {provider}{of} --{name} {better}");
        match drift.limit {
            None if fitted.is_some() => {
                add(format!("no {name} limit is set, but the observations suggest one"), set);
            }
            Some(limit) if drift.is_off() => {
                add(format!("the {name} limit of {} does not fit the provider's readings", grouped(limit)), set);
            }
            _ => {}
        }
    }
    let usage = snapshot.account(provider, account, now)?;
    let limitless = usage.session.limit.is_none() && usage.weekly.limit.is_none();
    let recent = usage.session.usage.requests > 0 || usage.weekly.usage.requests > 0;
    if windows.is_empty() && limitless && recent {
        add(
            "it is in use, but no limit or reading is known".to_owned(),
            format!("usage-ledger limit set {provider}{of} --session N, or usage-ledger quota observe --format …"),
        );
    }
    Ok(())
}

/// Problems in events: implausible records, and times of a clock that was ahead.
fn of_events(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Vec<Diagnosis>> {
    let mut findings = Vec::new();
    if let Some((position, recorded_at)) = snapshot.recorded_ahead_of(now)? {
        let before = position.get().saturating_sub(1);
        findings.push(Diagnosis {
            about: Topic::Event(position),
            what: format!(
                "it is recorded at {recorded_at}, {} ahead of the clock. Every later event is recorded no earlier, so \
                 --as-of TIME cannot tell positions from {position} on apart",
                duration(now, recorded_at)
            ),
            remedy: format!("correct the clock; ask --as-of {before} for the state before, or --as-of POSITION"),
        });
    }
    if let Some(ahead) = snapshot.occurred_ahead_of(now)? {
        let FutureEvents { position, occurred_at, events } = ahead;
        let others = match events.saturating_sub(1) {
            0 => String::new(),
            1 => " (so does 1 more)".to_owned(),
            others => format!(" (so do {} more)", grouped(others)),
        };
        findings.push(Diagnosis {
            about: Topic::Event(position),
            what: format!(
                "it states the time {occurred_at}, {} ahead of the clock, and counts only from then on{others}",
                duration(now, occurred_at)
            ),
            remedy: format!("if the clock is right: usage-ledger void {position} --reason TEXT"),
        });
    }
    let suspects = snapshot.suspects()?;
    for suspect in suspects.iter().take(NAMED) {
        let what = match suspect.why {
            Suspicion::Count { class, count } => {
                format!("{} {} tokens in one call of {} are implausible", grouped(count), class.name(), suspect.source)
            }
            Suspicion::Time => {
                format!("{} states the time {}, outside the years 2000 to 2199", suspect.source, suspect.occurred_at)
            }
        };
        findings.push(Diagnosis { about: Topic::Event(suspect.position), what, remedy: withdrawal(suspect.position) });
    }
    if let Some(suspect) = suspects.get(NAMED) {
        findings.push(Diagnosis {
            about: Topic::Event(suspect.position),
            what: format!("{} further records are implausible", grouped((suspects.len() - NAMED) as u64)),
            remedy: "correct those above, then run usage-ledger doctor again".to_owned(),
        });
    }
    Ok(findings)
}
