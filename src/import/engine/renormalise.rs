//! Normalises the stored usage objects again after the importer changed, for records whose logs were deleted.

use std::path::Path;

use crate::import::engine::agent::Agent;
use crate::import::engine::fields;
use crate::import::engine::read_again::again_reason;
use crate::import::engine::reconcile::correction_time;
use crate::import::engine::source::Source;
use crate::import::engine::telemetry_match::is_telemetry;
use crate::import::engine::unmet::{MetRecords, visit_unmet};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{Event, Imported, ImportedFile, NewEvent, Payload, Quality, TokenRecord, TokensAmended};
use crate::model::time::Timestamp;
use crate::projection::Effective;
use crate::readers::normalise::{self, Normalised, UsageFormat};

/// Returns whether the log does not exist any more. A path that cannot be examined counts as existing.
pub(in crate::import) fn is_deleted(path: &str) -> bool {
    Path::new(path).symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Counts the records of a source again, except those that this import met in a log. Marks the
/// deleted logs as done. Returns the number of amended records.
pub(in crate::import) fn run(
    ledger: &Ledger,
    agent: &Agent,
    deleted: &[ImportedFile],
    met: MetRecords<'_>,
    now: Timestamp,
) -> Result<u64> {
    let amends = amends(ledger, agent, met, now)?;
    let mut run = Imported { version: agent.source.version(), ..Imported::new(agent.name) };
    run.amended = amends.len() as u64;
    run.files = deleted.iter().map(|file| ImportedFile { version: agent.source.version(), ..file.clone() }).collect();
    run.files.sort_by(|a, b| a.path.cmp(&b.path));
    let amended = run.amended;
    ledger.transact(now, |appender| {
        for amend in amends {
            appender.push(amend.source(agent.name))?;
        }
        for part in run.in_parts() {
            appender.push(NewEvent::new(part, now).source(agent.name))?;
        }
        Ok(())
    })?;
    Ok(amended)
}

fn amends(ledger: &Ledger, agent: &Agent, met: MetRecords<'_>, now: Timestamp) -> Result<Vec<NewEvent>> {
    let snapshot = ledger.snapshot()?;
    let view = snapshot.view();
    let mut amends = Vec::new();
    visit_unmet(view, agent.name, met, &mut |position, recorded| {
        if is_telemetry(&recorded.record) {
            return Ok(());
        }
        let Some(replacement) = counted_anew(&recorded, agent.source) else { return Ok(()) };
        let target = Event::from_line(position, &view.expect_line(position)?)?.id;
        let reason =
            format!("{}: its log is gone, its usage object is counted anew", again_reason(agent.source.version()));
        let amend = TokensAmended { target, reason, at: Some(recorded.at), replacement };
        amends.push(NewEvent::new(Payload::from(amend), correction_time(now, recorded.amended_at)));
        Ok(())
    })?;
    Ok(amends)
}

/// Returns the name of a normaliser without its version.
fn family(normaliser: &str) -> &str {
    normaliser.split('/').next().unwrap_or(normaliser)
}

/// Returns the counts of a record's usage object by the rules of this build: those of an API's format, or those of the agent.
fn recount(record: &TokenRecord, source: &dyn Source) -> Option<Normalised> {
    let raw = record.raw.as_ref()?;
    let name = family(record.normaliser.as_deref()?);
    let of_source = source.usage_format().filter(|format| family(format.normaliser()) == name);
    let format = of_source.or_else(|| UsageFormat::ALL.into_iter().find(|format| family(format.normaliser()) == name));
    if let Some(format) = format {
        return normalise::usage(format, raw.get()).ok();
    }
    let logged = source.logged(&fields::parse(raw.get().as_bytes()).ok()?)?.ok()?;
    logged.settle().ok().filter(|counted| family(counted.normaliser) == name)
}

/// Returns the record with the counts that its usage object gives now, if they differ. Counts that were derived from
/// more than the object remain.
fn counted_anew(recorded: &Effective, source: &dyn Source) -> Option<TokenRecord> {
    let record = &recorded.record;
    let counted = recount(record, source)?;
    counted.tokens.validate().ok()?;
    let is_derived = record.quality != Quality::Reported && counted.quality == Quality::Reported;
    if is_derived || counted.tokens.total().ok()? == 0 {
        return None;
    }
    let mut replacement = record.clone();
    counted.set_tariff(&mut replacement);
    if counted.tokens == record.tokens && replacement == *record {
        return None;
    }
    replacement.tokens = counted.tokens;
    replacement.normaliser = Some(counted.normaliser.into());
    replacement.quality = counted.quality;
    replacement.residual = counted.residual;
    Some(replacement)
}
