//! `doctor --self-check`: reports how importers read some logs, for a bug report.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::context::Context;
use crate::import::{self, CheckedLog};
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, grouped};

/// The answer: the build, and each log with a number.
#[derive(Serialize)]
struct SelfCheck {
    build: &'static str,
    system: &'static str,
    files: Vec<CheckedLog>,
}

/// Runs the check. Exits 1 if counts may be missing.
pub(super) fn run(logs: &[PathBuf], context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    for log in logs {
        context.refuse_ledger(log)?;
    }
    let files = import::self_check(logs, Some(context.zone()))?;
    let is_sound = !files.is_empty() && files.iter().all(|log| !log.is_problem());
    let check = SelfCheck { build: env!("CARGO_PKG_VERSION"), system: std::env::consts::OS, files };
    if context.json {
        JsonAnswer::new(&check).write(out)?;
    } else {
        print(&check, out)?;
    }
    if is_sound { Ok(()) } else { Err(Failure::Finding) }
}

fn print(check: &SelfCheck, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "usage-ledger {} on {}", check.build, check.system)?;
    if check.files.is_empty() {
        writeln!(out, "no logs that an importer knows")?;
    }
    for log in &check.files {
        let Some((agent, form)) = log.agent.as_ref().zip(log.form) else {
            let agent = log.agent.as_deref().unwrap_or("no importer knows it");
            writeln!(out, "file {}: {agent}, {} bytes", log.file, grouped(log.bytes))?;
            reasons(log, out)?;
            continue;
        };
        let skipped = log.skipped.iter().map(|skip| skip.count).sum::<u64>();
        writeln!(
            out,
            "file {}: {agent} (importer {}), {form}, {} bytes, {} lines read, {} calls, {} observations, {} skipped{}",
            log.file,
            log.importer.unwrap_or_default(),
            grouped(log.bytes),
            grouped(log.lines),
            grouped(log.calls),
            grouped(log.observations),
            grouped(skipped),
            if log.unreadable { ", not readable to its end" } else { "" },
        )?;
        reasons(log, out)?;
    }
    Ok(())
}

fn reasons(log: &CheckedLog, out: &mut dyn Write) -> Result<(), Failure> {
    for skip in &log.skipped {
        let first = if skip.line > 0 { format!(" (first: line {})", grouped(skip.line)) } else { String::new() };
        writeln!(out, "  {} x {}{first}", grouped(skip.count), skip.why)?;
    }
    Ok(())
}
