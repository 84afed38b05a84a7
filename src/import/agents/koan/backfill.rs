//! Backfills activity without tokens: sessions that ended without a row.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};

use super::mission::mission_type;
use super::outcome::{SessionOutcome, read};
use super::{AGENT, DESCRIPTOR};
use crate::import::ImportOptions;
use crate::import::engine::discover;
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::regular;
use crate::ledger::Ledger;
use crate::model::error::{Error, Result};
use crate::model::event::{NewEvent, Payload, Quality, SkippedLine, TokenRecord};
use crate::model::time::{MINUTE, Timestamp, Zone};

/// Maximum time in milliseconds between a row and its session.
const NEAR: i64 = 10 * MINUTE;

/// The result of a backfill, or of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backfill {
    /// Local days with outcomes.
    pub days: Vec<BackfillDay>,
    /// Number of records to write on all days.
    pub planned: u64,
    /// Number of records written; 0 in a dry run.
    pub written: u64,
    /// Outcomes that could not be read, with reasons.
    pub skipped: Vec<SkippedLine>,
}

/// One local day of a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackfillDay {
    /// The day.
    #[serde(serialize_with = "date")]
    pub day: NaiveDate,
    /// Number of sessions that ended on it.
    pub outcomes: u64,
    /// Number of rows with tokens.
    pub real: u64,
    /// Number of rows from an earlier backfill.
    pub synthetic: u64,
    /// Number of records to write.
    pub planned: u64,
    /// Number of backfilled rows beyond those needed. They remain; a user may void them.
    pub surplus: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn date<S: Serializer>(day: &NaiveDate, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// A row of Koan in the ledger.
struct HistoryRow {
    at: Timestamp,
    mission_id: Option<String>,
    project: Option<String>,
}

/// The rows of one day.
#[derive(Default)]
struct HistoryRows {
    real: Vec<HistoryRow>,
    synthetic: u64,
}

/// Writes a record without tokens for each session in `session_outcomes.json` that has no row. With `apply` false it
/// only reports what it would write.
///
/// A day with at least as many rows as sessions is complete. Otherwise a session has a row if they share a mission id,
/// or if they share a project and their times differ by at most ten minutes. Rows without such a session stand for the
/// earliest sessions. Import the rows first: rows that are not in the ledger count as missing.
pub fn backfill(ledger: &Ledger, options: &ImportOptions, apply: bool, now: impl Into<Timestamp>) -> Result<Backfill> {
    let zone = options.zone.unwrap_or(Zone::UTC);
    let mut done = Backfill::default();
    let mut by_day: BTreeMap<NaiveDate, Vec<SessionOutcome>> = BTreeMap::new();
    for file in files(options)? {
        let bytes =
            regular::read(&file, LONGEST_LINE as u64).map_err(|source| Error::Io { path: file.clone(), source })?;
        let text = String::from_utf8_lossy(&bytes);
        let (outcomes, skipped) = read(&text, &file.to_string_lossy(), zone);
        done.skipped.extend(skipped);
        for outcome in outcomes {
            by_day.entry(zone.day(outcome.at)).or_default().push(outcome);
        }
    }
    let mut rows = if by_day.is_empty() { HashMap::new() } else { rows(ledger, zone)? };
    let mut events = Vec::new();
    for (day, outcomes) in by_day {
        let rows = rows.remove(&day).unwrap_or_default();
        let (outcome_count, real) = (outcomes.len() as u64, rows.real.len() as u64);
        let target = outcome_count.saturating_sub(real);
        let planned = target.saturating_sub(rows.synthetic);
        let surplus = rows.synthetic.saturating_sub(target);
        done.days.push(BackfillDay { day, outcomes: outcome_count, real, synthetic: rows.synthetic, planned, surplus });
        done.planned += planned;
        events.extend(missing(outcomes, rows, planned).into_iter().map(event));
    }
    if apply {
        let written = ledger.append(events, now)?;
        done.written = written.iter().filter(|one| one.is_new()).count() as u64;
    }
    Ok(done)
}

/// Finds the outcome files of all instances.
fn files(options: &ImportOptions) -> Result<Vec<PathBuf>> {
    let roots = discover::roots(&DESCRIPTOR, &options.homes)?;
    let mut files: Vec<PathBuf> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for file in roots.iter().filter_map(|root| root.parent()).map(|root| root.join("session_outcomes.json")) {
        if let Ok(real) = std::fs::canonicalize(&file)
            && seen.insert(real)
        {
            files.push(file);
        }
    }
    Ok(files)
}

/// Returns Koan's rows in the ledger by local day.
fn rows(ledger: &Ledger, zone: Zone) -> Result<HashMap<NaiveDate, HistoryRows>> {
    let snapshot = ledger.snapshot()?;
    let mut rows: HashMap<NaiveDate, HistoryRows> = HashMap::new();
    snapshot.each_call(&mut |_, counted| {
        if counted.record.agent.as_deref() != Some(AGENT) {
            return Ok(());
        }
        let day = rows.entry(zone.day(counted.at)).or_default();
        if counted.record.labels.contains_key("backfill") {
            day.synthetic += 1;
        } else {
            let mission_id = counted.record.labels.get("mission_id").cloned();
            day.real.push(HistoryRow { at: counted.at, mission_id, project: counted.record.project });
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Returns the latest sessions of a day without a row, at most `planned`.
fn missing(mut outcomes: Vec<SessionOutcome>, mut rows: HistoryRows, planned: u64) -> Vec<SessionOutcome> {
    outcomes.sort_by_key(|outcome| (outcome.at, outcome.content));
    let mut take = |fits: &dyn Fn(&HistoryRow) -> bool| match rows.real.iter().position(fits) {
        Some(index) => {
            rows.real.swap_remove(index);
            true
        }
        None => false,
    };
    outcomes.retain(|outcome| {
        outcome.id.is_none() || !take(&|row| row.mission_id.is_some() && row.mission_id == outcome.id)
    });
    outcomes.retain(|outcome| {
        !take(&|row| {
            let both = row.mission_id.is_some() && outcome.id.is_some();
            let apart = row.at.millis().abs_diff(outcome.at.millis());
            !both && row.project.as_deref() == Some(&outcome.project) && apart <= NEAR.unsigned_abs()
        })
    });
    let surplus = outcomes.len().saturating_sub(usize::try_from(planned).unwrap_or(usize::MAX));
    outcomes.split_off(surplus)
}

fn event(outcome: SessionOutcome) -> NewEvent {
    let kind = mission_type(&outcome.mission);
    let mut record = TokenRecord::new("unknown", "unknown").input(0).output(0).agent(AGENT).project(outcome.project);
    record = record.label("mode", outcome.mode.as_deref().unwrap_or("unknown")).label("type", kind);
    record = record.label("backfill", "true");
    if let Some(how) = &outcome.end {
        record = record.label("outcome", how);
    }
    if let Some(id) = &outcome.id {
        record = record.label("mission_id", id);
    }
    record.quality = Quality::Estimated;
    record.duration_ms = outcome.duration_ms;
    record.keys.push(format!("koan/outcome/{}/{:016x}", outcome.at, outcome.content));
    NewEvent::new(Payload::from(record), outcome.at).source(AGENT)
}
