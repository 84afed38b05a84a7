//! Problems in events: implausible records, and times of a clock that was ahead.

use super::doctor_problem::{Diagnosis, Topic};
use crate::ledger::{Snapshot, Suspicion};
use crate::model::time::Timestamp;
use crate::present::clock::duration;
use crate::present::decision_text::withdrawal;
use crate::present::failure::Failure;
use crate::present::output::grouped;

/// Maximum number of records to list.
const NAMED: usize = 100;

pub(crate) fn findings(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Vec<Diagnosis>, Failure> {
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
    let suspects = snapshot.suspects()?;
    for suspect in suspects.iter().take(NAMED) {
        let what = match suspect.why {
            Suspicion::Count { class, count } => {
                format!("{} {} tokens in one call of {} are implausible", grouped(count), class.name(), suspect.source)
            }
            _ => format!("{} states the time {}, outside the years 2000 to 2199", suspect.source, suspect.occurred_at),
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
