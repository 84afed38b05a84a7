//! The program without a command: imports new calls, then shows periods, windows and a next step.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::context::Context;
use super::{import, status};
use crate::api::overview::{self, Overview};
use crate::budget::{ProviderStatus, Status};
use crate::import::ImportReport;
use crate::model::error::Error;
use crate::model::humanize::number::scaled;
use crate::model::time::{Timestamp, Zone};
use crate::present::bars;
use crate::present::decision_text;
use crate::present::failure::{Failure, print_message};
use crate::present::money;
use crate::present::output::{self, EscapedText, counted, grouped};
use crate::present::periods::Periods;
use crate::usage::{Basis, Usage};

/// The answer in JSON: the overview, and the import that preceded it.
#[derive(Serialize)]
struct OverviewAndImport {
    #[serde(flatten)]
    overview: Overview,
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<ImportReport>,
}

pub(crate) fn run(no_import: bool, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let imported = if no_import || context.is_past() { None } else { import_new(context)? };
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let (now, zone) = (context.query_time(&snapshot), context.zone());
    let overview = overview::answer(&snapshot, zone, now)?;
    let unreadable = imported.as_ref().is_some_and(|report| report.sources.iter().any(|source| source.unreadable > 0));
    if context.json {
        output::JsonAnswer::new(OverviewAndImport { overview, imported }).write(out)?;
    } else {
        let Overview { status, periods, .. } = overview;
        status::warn_about_clock(&status.state);
        let status = status.state.status;
        if let Some(report) = &imported {
            announce(report, out)?;
        }
        if status.providers.is_empty() {
            return nothing_yet(imported.as_ref(), out);
        }
        table(&periods, out)?;
        if let Some(pause) = &status.paused {
            writeln!(out, "\n{}", decision_text::pause(pause, now, zone))?;
        }
        for provider in &status.providers {
            account(provider, &status, now, zone, out)?;
        }
        writeln!(out, "\nNext: {}", next(&status))?;
    }
    if unreadable { Err(Failure::Finding) } else { Ok(()) }
}

/// Imports new calls. A ledger that cannot be written is still shown: the reason goes to stderr.
fn import_new(context: &Context) -> Result<Option<ImportReport>, Failure> {
    match import::new_calls(context) {
        Ok(report) => Ok(Some(report)),
        Err(Failure::Ledger(error @ (Error::ReadOnly { .. } | Error::DiskFull)) | Failure::Unreachable(error)) => {
            print_message(&format!("nothing is imported: {error}"));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// One line for the import, if it changed something or could not read something.
fn announce(report: &ImportReport, out: &mut dyn Write) -> Result<(), Failure> {
    let sum = |field: fn(&crate::import::SourceReport) -> u64| report.sources.iter().map(field).sum::<u64>();
    let (recorded, amended) = (sum(|source| source.recorded), sum(|source| source.amended));
    if recorded + amended > 0 {
        let corrected = if amended > 0 { format!(", {} corrected", grouped(amended)) } else { String::new() };
        let agents = report.sources.iter().filter(|source| source.recorded + source.amended > 0);
        let agents: Vec<&str> = agents.map(|source| source.source.as_str()).collect();
        writeln!(out, "imported {}{corrected} from {}\n", counted(recorded, "new call"), agents.join(", "))?;
    }
    let unreadable = sum(|source| source.unreadable);
    if unreadable > 0 {
        print_message(&format!("{} cannot be read: `usage-ledger import` names them", counted(unreadable, "log file")));
    }
    // A log that cannot be read is one of the skipped entries, too.
    let skipped = sum(|source| source.skipped.len() as u64).saturating_sub(unreadable);
    if skipped > 0 {
        print_message(&format!("{} skipped: `usage-ledger doctor` gives the reasons", counted(skipped, "log line")));
    }
    Ok(())
}

/// Without a record: where logs were searched, and how to begin.
fn nothing_yet(imported: Option<&ImportReport>, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "The ledger is empty.")?;
    if imported.is_some() {
        writeln!(out, "\nNo agent logs were found in:")?;
        for (agent, directories) in crate::import::searched()? {
            let Some((first, others)) = directories.split_first() else { continue };
            let more = match others.len() {
                0 => String::new(),
                number => format!(" and {number} more"),
            };
            writeln!(out, "  {agent:<12} {}{more}", EscapedText(&below_home(first)))?;
        }
    }
    Ok(writeln!(
        out,
        "\nNext: `usage-ledger import --home DIR` reads the logs of another home directory;\n      \
         `usage-ledger record --provider anthropic --model MODEL --input N --output N` records one call;\n      \
         `usage-ledger serve --otlp` receives telemetry"
    )?)
}

/// A path with `~` in place of the home directory.
fn below_home(path: &Path) -> String {
    let home = std::env::home_dir();
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

fn table(periods: &Periods, out: &mut dyn Write) -> Result<(), Failure> {
    let rows = [("today", &periods.today), ("this week", &periods.week), ("this month", &periods.month)];
    let row = |(name, usage): (&str, &Usage)| {
        vec![name.to_owned(), grouped(usage.requests), scaled(usage.tokens.total()), money::cost(&usage.cost)]
    };
    let header = ["", "requests", "tokens", "cost"].map(str::to_owned).to_vec();
    output::write_table(out, &output::table(header, 1, rows.map(row)))
}

/// The windows of one account: open windows, and closed ones with a limit.
fn account(
    provider: &ProviderStatus,
    status: &Status,
    now: Timestamp,
    zone: Zone,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let usage = &provider.usage;
    writeln!(out, "\n{}", status::title(provider, status))?;
    if !usage.metered {
        return Ok(writeln!(out, "  no API quota")?);
    }
    let windows = [("session", &usage.session), ("weekly", &usage.weekly)];
    let mut shown = false;
    for (name, window) in windows {
        if window.limit.is_none() && window.used().is_none() && window.resets_at.is_none() {
            continue;
        }
        shown = true;
        let [first, _] = bars::lines(name, window, now, zone);
        let limit = match window.limit {
            Some(limit) if window.basis != Basis::Unmetered => format!("  limit {}", scaled(u128::from(limit))),
            _ => String::new(),
        };
        writeln!(out, "{first}{limit}")?;
    }
    for pool in &usage.pools {
        shown = true;
        writeln!(out, "{}", bars::pool(pool, now, zone))?;
    }
    for money in &provider.money {
        shown = true;
        writeln!(out, "{}", bars::money(money, now, zone))?;
    }
    for refused in usage.exhausted.iter().chain(&usage.exhausted_models) {
        shown = true;
        writeln!(out, "  {}", decision_text::refusal(refused, now, zone))?;
    }
    if !shown {
        writeln!(out, "  no open window and no known limit")?;
    }
    let gated = if provider.budget.gated { " (gated)" } else { "" };
    Ok(writeln!(out, "  mode     {}{gated}", provider.budget.mode.name())?)
}

/// The command that helps most in this state.
fn next(status: &Status) -> String {
    let mut metered = status.providers.iter().filter(|provider| provider.usage.metered);
    if let Some(shut) = metered.clone().find(|provider| provider.budget.gated) {
        let provider = &shut.usage.provider;
        return format!("`usage-ledger gate {provider} --explain` shows why work on {provider} waits");
    }
    let unknown = |provider: &&ProviderStatus| {
        let usage = &provider.usage;
        [&usage.session, &usage.weekly].iter().all(|window| window.limit.is_none() && window.used().is_none())
    };
    if let Some(open) = metered.find(|provider| provider.usage.session.resets_at.is_some() && unknown(provider)) {
        let provider = &open.usage.provider;
        return format!("`usage-ledger limit set {provider} --session TOKENS` sets the limit");
    }
    "`usage-ledger report --by day,model` shows the details, `usage-ledger watch` a live view".to_owned()
}
