//! Problems in agents' logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use indicatif::HumanBytes;

use crate::api::findings::{Diagnosis, Topic};
use crate::import::{self, ExpiringLog, ImportOptions, LogInventory, UnreadAgent};
use crate::ledger::Snapshot;
use crate::model::time::{Timestamp, Zone};
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, counted, grouped, skipped};

/// Maximum number of files to list for people. JSON lists all.
const NAMED: usize = 5;

/// Lists the agents with logs on this machine, now or earlier.
pub(crate) fn inventories(
    snapshot: &Snapshot<'_>,
    homes: Vec<PathBuf>,
    now: Timestamp,
) -> Result<Vec<LogInventory>, Failure> {
    let options = ImportOptions { homes, ..ImportOptions::default() };
    let mut inventories = import::inventory(snapshot, &options, now)?;
    inventories.retain(|agent| agent.files + agent.deleted + agent.skipped > 0 || !agent.unreadable.is_empty());
    Ok(inventories)
}

/// Lists the directories of agents without an importer.
pub(crate) fn unread(homes: Vec<PathBuf>) -> Vec<UnreadAgent> {
    import::unread_agents(&ImportOptions { homes, ..ImportOptions::default() })
}

pub(crate) fn print_unread(unread: &[UnreadAgent], out: &mut dyn Write) -> Result<(), Failure> {
    if !unread.is_empty() {
        writeln!(out, "\nagents whose calls this build cannot count")?;
    }
    for UnreadAgent { agent, directory, why, .. } in unread {
        writeln!(out, "  {agent:<12} {}: {why}", EscapedText(&directory.to_string_lossy()))?;
    }
    Ok(())
}

pub(crate) fn findings(logs: &[LogInventory]) -> Vec<Diagnosis> {
    let mut findings = Vec::new();
    for agent in logs {
        let mut add = |what: String, remedy: String| {
            findings.push(Diagnosis { about: Topic::Source(agent.source.clone()), what, remedy });
        };
        let lost = agent.expiring.iter().filter(|log| !log.safe).count();
        if lost > 0 {
            add(
                format!("{} that it deletes within a week are not in the ledger yet", counted(lost as u64, "log")),
                format!("usage-ledger import {}", agent.source),
            );
        }
        let mut causes: BTreeMap<&str, Vec<&_>> = BTreeMap::new();
        for place in &agent.unreadable {
            causes.entry(remedy(&place.why)).or_default().push(place);
        }
        for (remedy, places) in causes {
            if let Some(first) = places.first() {
                add(
                    format!(
                        "{} cannot be read, {} ({})",
                        counted(places.len() as u64, "place"),
                        EscapedText(&first.file.to_string_lossy()),
                        EscapedText(&first.why)
                    ),
                    remedy.to_owned(),
                );
            }
        }
        let lost: Vec<_> = agent.reasons.iter().filter(|skipped| import::loses_counts(&skipped.why)).collect();
        if let Some(first) = lost.first() {
            add(
                format!(
                    "{} may contain tokens that are in no report: {}",
                    counted(lost.len() as u64, "skipped line"),
                    skipped(first)
                ),
                "a newer usage-ledger may know more; usage-ledger record adds what is known otherwise".to_owned(),
            );
        }
    }
    findings
}

/// What helps against the reason why a place cannot be read.
fn remedy(why: &str) -> &'static str {
    let why = why.to_ascii_lowercase();
    let is_refused = ["permission denied", "access is denied", "not permitted", "unable to open"];
    if is_refused.iter().any(|part| why.contains(part)) {
        "let this user read it, or import as the user who may, into the same ledger"
    } else if why.contains("unknown ") {
        "a newer usage-ledger may know this form; usage-ledger record adds what is known otherwise"
    } else {
        "import it again when the agent is closed; if that fails too, the file may be damaged"
    }
}

pub(crate) fn print(logs: &[LogInventory], zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    if logs.is_empty() {
        return Ok(writeln!(out, "\nno logs of an agent were found: name a home directory with --home")?);
    }
    writeln!(out, "\nlogs")?;
    for agent in logs {
        let mut parts = vec![format!("{}, {}", counted(agent.files, "file"), HumanBytes(agent.bytes))];
        parts.push(if agent.unread == 0 {
            "all read".to_owned()
        } else {
            format!("{} to read", grouped(agent.unread))
        });
        if agent.deleted > 0 {
            parts.push(format!("{} that the agent deleted are in the ledger", grouped(agent.deleted)));
        }
        writeln!(out, "  {:<12} {}", agent.source, parts.join("; "))?;
        print_expiring(agent, zone, out)?;
        if !agent.never_logged.is_empty() {
            writeln!(out, "{INDENT}its logs never contain {}", agent.never_logged.join("; "))?;
        }
        if agent.skipped > 0 {
            let of = counted(agent.skipped_in.len() as u64, "file");
            let what = counted(agent.skipped, "line");
            writeln!(out, "{INDENT}not understood: {what} of {of}")?;
            if agent.reasons.is_empty() {
                files(agent.skipped_in.iter().map(|file| file.to_string_lossy().into_owned()), out)?;
            }
            files(agent.reasons.iter().map(skipped), out)?;
        }
    }
    Ok(())
}

const INDENT: &str = "               ";

fn print_expiring(agent: &LogInventory, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(days) = agent.deleted_after_days else { return Ok(()) };
    let safe = agent.expiring.iter().filter(|log| log.safe).count();
    let of = match (agent.expiring.len(), safe) {
        (0, _) => "none within a week".to_owned(),
        (all, safe) if all == safe => format!("{} within a week, all safe here", grouped(all as u64)),
        (all, safe) => format!("{} within a week, {} safe here", grouped(all as u64), grouped(safe as u64)),
    };
    writeln!(out, "{INDENT}deletes logs after {days} days: {of}")?;
    let line = |log: &ExpiringLog| {
        let safe = if log.safe { "safe    " } else { "not read" };
        format!("{} {safe} {}", zone.day(log.from), log.file.to_string_lossy())
    };
    files(agent.expiring.iter().map(line), out)
}

fn files(names: impl ExactSizeIterator<Item = String>, out: &mut dyn Write) -> Result<(), Failure> {
    let more = names.len().saturating_sub(NAMED);
    for name in names.take(NAMED) {
        writeln!(out, "{INDENT}  {}", EscapedText(&name))?;
    }
    if more > 0 {
        writeln!(out, "{INDENT}  and {} more; --json names all", grouped(more as u64))?;
    }
    Ok(())
}
