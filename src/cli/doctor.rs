//! `doctor`: finds contradictions between limits and providers' reports, and gaps between agents' logs and the ledger.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::verify;
use super::{doctor_logs, doctor_self_check};
use crate::api::findings::{self, CheckedAccount, Diagnosis};
use crate::import::{self, LogInventory};
use crate::model::event::Position;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::present::clock::{duration, short};
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer, counted, grouped, wrapped};
use crate::usage::Drift;

/// Find problems: contradicted limits, logs that expire or cannot be read, implausible records
///
/// The command compares limits with the percentages that providers report, and names accounts without observations. It
/// lists the logs of each agent: which logs the agent deletes soon, whether the ledger contains them, which logs cannot be
/// read, and why lines were skipped. Answers without counts and unknown formats are problems. It names records with
/// implausible counts or times, and events with a recording time in the future.
/// It imports nothing. Exits 1 if it finds a problem.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger doctor\n  \
    usage-ledger doctor --home /mnt/laptop/home\n  \
    usage-ledger doctor --self-check ~/sessions\n  \
    usage-ledger doctor --repair")]
pub(crate) struct DoctorArgs {
    /// Look for logs in this home directory; may be repeated [default: your home directory, and the directories in the
    /// agents' environment variables]
    #[arg(long = "home", value_name = "DIR")]
    homes: Vec<PathBuf>,
    /// Verify the ledger and rebuild what follows from its lines: projections and interior hashes. For any other damage,
    /// name the position and change nothing
    #[arg(long, conflicts_with = "homes")]
    repair: bool,
    /// Read these logs of any agent, or directories with logs, and report how many lines were read, skipped and why. The
    /// report contains no paths, prompts or names, so you can paste it into a bug report
    #[arg(long, value_name = "LOGS", num_args = 1.., conflicts_with_all = ["homes", "repair"])]
    self_check: Vec<PathBuf>,
}

#[derive(Serialize)]
struct DoctorReport {
    ledger: String,
    position: Position,
    accounts: Vec<CheckedAccount>,
    logs: Vec<LogInventory>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread_agents: Vec<import::UnreadAgent>,
    findings: Vec<Diagnosis>,
}

pub(crate) fn run(args: DoctorArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if args.repair {
        return repair(context, out);
    }
    if !args.self_check.is_empty() {
        return doctor_self_check::run(&args.self_check, context, out);
    }
    let ledger = context.read_with_warning()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    let homes = context.homes(args.homes);
    let (accounts, found) = findings::of_ledger(&snapshot, now)?;
    let mut report = DoctorReport {
        ledger: context.path()?.display().to_string(),
        position: snapshot.head()?.position,
        accounts,
        unread_agents: doctor_logs::unread(homes.clone()),
        logs: doctor_logs::inventories(&snapshot, homes, now)?,
        findings: found,
    };
    report.findings.extend(doctor_logs::findings(&report.logs));
    if context.json {
        JsonAnswer::new(&report).write(out)?;
    } else {
        print(&report, now, context.zone(), out)?;
    }
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::Finding) }
}

/// Rebuilds what the lines determine, or prints why it cannot.
fn repair(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.expect_existing()?;
    let repair = context.write()?.repair()?;
    if context.json {
        JsonAnswer::new(&repair).write(out)?;
    } else {
        verify::places(&repair.repaired, out)?;
        verify::places(&repair.refused, out)?;
        let size = counted(repair.size, "event");
        match (repair.refused.len() as u64, repair.repaired.len() as u64) {
            (0, 0) => writeln!(out, "nothing to repair: {size} verified, root {}", repair.root)?,
            (0, findings) => {
                writeln!(out, "repaired {}: {size} verified, root {}", counted(findings, "finding"), repair.root)?;
            }
            (findings, _) => writeln!(
                out,
                "{} that no repair can make right; nothing was changed: restore a backup with `usage-ledger restore`",
                counted(findings, "finding")
            )?,
        }
    }
    if repair.ok { Ok(()) } else { Err(Failure::Finding) }
}

fn print(report: &DoctorReport, now: Timestamp, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{} at position {}", EscapedText(&report.ledger), report.position)?;
    for account in &report.accounts {
        let of = account.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        writeln!(out, "\n{}{of}", account.provider)?;
        if account.windows.is_empty() {
            writeln!(out, "  nothing was observed of an open window")?;
        }
        for drift in &account.windows {
            window(drift, now, zone, out)?;
        }
    }
    doctor_logs::print(&report.logs, zone, out)?;
    doctor_logs::print_unread(&report.unread_agents, out)?;
    if report.findings.is_empty() {
        return Ok(writeln!(out, "\nno problem found")?);
    }
    writeln!(out)?;
    for finding in &report.findings {
        for line in wrapped(&format!("! {}: {}", finding.about, EscapedText(&finding.what)), 79) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "  {}", finding.remedy)?;
    }
    Ok(())
}

fn window(drift: &Drift, now: Timestamp, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    let reading = &drift.observed;
    let age =
        if now.millis() - reading.at.millis() < DAY { duration(reading.at, now) } else { short(reading.at, zone) };
    let percent = reading.percent.map(|percent| format!("{percent} %")).unwrap_or_default();
    let against = match (drift.estimated, drift.points) {
        (Some(estimated), Some(points)) => format!(", estimated {estimated} % ({points:+.1} points)"),
        _ => String::new(),
    };
    writeln!(
        out,
        "  {:<8} {} reported {percent} {age} ago{against}",
        drift.window.name(),
        EscapedText(&reading.source)
    )?;
    if let Some(fit) = &drift.calibration {
        writeln!(
            out,
            "           {} observations in {} windows suggest a limit of {} ({} to {})",
            fit.observations,
            fit.windows,
            grouped(fit.limit),
            grouped(fit.low),
            if fit.high == u64::MAX { "any".to_owned() } else { grouped(fit.high) }
        )?;
        for weight in &fit.weights {
            writeln!(
                out,
                "           a {} token counts {:.2} input tokens (+-{:.2})",
                weight.class.name(),
                weight.weight,
                weight.error
            )?;
        }
    }
    Ok(())
}
