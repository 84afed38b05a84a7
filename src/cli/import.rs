//! `import`: imports agents' logs.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::alert;
#[cfg(any(feature = "tui", feature = "web"))]
use super::alert_delivery;
use super::context::Context;
use super::import_preview;
use super::import_summary::{SKIPPED, human};
use super::record_flags::label;
use crate::import::koan::{self, Backfill};
use crate::import::{self, Follower, ImportOptions, ImportReport, Progress};
use crate::ledger::{Ledger, Snapshot};
use crate::model::error::Error;
#[cfg(any(feature = "tui", feature = "web"))]
use crate::model::threads::Stop;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{JsonAnswer, counted, grouped, skipped};

/// Maximum wait for a change before the next check.
const WAIT: Duration = Duration::from_secs(1);

/// Seconds that an import in the background waits for another process that writes.
#[cfg(any(feature = "tui", feature = "web"))]
const PATIENCE: u64 = 3;

/// Import new calls from the logs of agents
///
/// A repeated import counts nothing twice. The command skips lines that it cannot read, and reports them. Exits 1 if a file
/// or directory cannot be read completely; it imports the rest. Times without an offset, as in the rows of Koan, are in the
/// zone --tz. The rows of Koan and the logs of the agents that Koan runs contain the same calls: import only one of them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger import\n  \
    usage-ledger import claude-code --home /mnt/backup/home\n  \
    usage-ledger import --home ~ --home /mnt/laptop/home\n  \
    usage-ledger import --home /mnt/laptop/home --label machine=laptop --label api_key_id=apikey_01\n  \
    usage-ledger --tz Europe/Paris import koan --home ~/koan\n  \
    usage-ledger import --dry-run\n  \
    usage-ledger import --watch\n  \
    usage-ledger import koan --backfill")]
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
pub(crate) struct ImportArgs {
    /// The agents [default: all that are found, except koan, whose calls are also in the logs of the agents that it runs]
    #[arg(value_name = "SOURCE", value_parser = PossibleValuesParser::new(import::names()))]
    sources: Vec<String>,
    /// The home directory to search; may be repeated [default: your home directory, and the directories in the agents'
    /// environment variables]
    #[arg(long = "home", value_name = "DIR")]
    homes: Vec<PathBuf>,
    /// A label of each call, such as the machine or the API key, which logs do not name; may be repeated. It replaces the
    /// same label of config.toml; a label that a log states stays
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Also amend the calls of logs that were imported before with other labels
    #[arg(long, conflicts_with = "watch")]
    relabel: bool,
    /// Show what would be appended and amended, and write nothing. The command tries the import on a temporary copy of the
    /// ledger
    #[arg(long, conflicts_with_all = ["watch", "backfill"])]
    dry_run: bool,
    /// Keep running and import calls while agents write them
    #[arg(long, conflicts_with = "backfill")]
    watch: bool,
    /// Also list the sessions of Koan that have an outcome but no usage row
    #[arg(long)]
    backfill: bool,
    /// Record the sessions that --backfill lists
    #[arg(long, requires = "backfill")]
    apply: bool,
}

/// The result of an import and a backfill.
#[derive(Serialize)]
struct ImportAnswer {
    #[serde(flatten)]
    imported: ImportReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill: Option<Backfill>,
}

pub(crate) fn run(args: ImportArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let homes = context.homes(args.homes);
    for home in &homes {
        if let Err(source) = std::fs::read_dir(home) {
            // Fail before creating a ledger.
            return Err(Error::Io { path: home.clone(), source }.into());
        }
    }
    let all = args.sources.is_empty();
    let (labels, home_labels) = context.labels(&args.label);
    let relabel = args.relabel;
    let options =
        ImportOptions { sources: args.sources, homes, zone: Some(context.zone()), labels, home_labels, relabel };
    if args.watch {
        return follow(&options, &context.write()?, context, out);
    }
    let bar = progress_bar(context);
    let shown = &mut |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(counted(progress.records, "record"));
    };
    if args.dry_run {
        let ledger = if context.exists()? { Some(context.read()?) } else { None };
        let done = import::preview(ledger.as_ref(), &options, context.now(), shown);
        bar.finish_and_clear();
        return import_preview::write(&done?, all, context, out);
    }
    let done = into_ledger(&options, context, shown);
    bar.finish_and_clear();
    let imported = done?;
    // Import rows first. A session without an imported row would count as missing.
    let backfill = args.backfill.then(|| backfill(&options, args.apply, context)).transpose()?;
    let unreadable = imported.sources.iter().any(|source| source.unreadable > 0);
    if context.json {
        JsonAnswer::new(ImportAnswer { imported, backfill }).write(out)?;
    } else {
        human(&imported, all, out)?;
        warn_about_koan(&imported);
        backfill.map_or(Ok(()), |done| backfilled(&done, args.apply, out))?;
    }
    if unreadable { Err(Failure::Finding) } else { Ok(()) }
}

/// The logs of every agent, where the settings say.
pub(crate) fn everything(context: &Context) -> ImportOptions {
    let (labels, home_labels) = context.labels(&[]);
    let (homes, zone) = (context.homes(Vec::new()), Some(context.zone()));
    ImportOptions { homes, zone, labels, home_labels, ..ImportOptions::default() }
}

/// How many logs changed since the last import; `None` where that is no use to tell.
pub(crate) fn outdated(snapshot: &Snapshot<'_>, context: &Context) -> Option<u64> {
    if context.is_past() || context.fixed_now().is_some() {
        return None;
    }
    // The answer itself is right for what the ledger has: a directory that cannot be read is the import's to report.
    import::changed_logs(snapshot, &everything(context)).ok().filter(|changed| *changed > 0)
}

/// Says on stderr that logs changed since the last import.
pub(crate) fn warn_of_outdated(snapshot: &Snapshot<'_>, context: &Context) {
    if let Some(changed) = outdated(snapshot, context) {
        print_message(&format!(
            "{} changed since the last import: `usage-ledger import` reads them",
            counted(changed, "log")
        ));
    }
}

/// Imports new calls of every agent from the user's own logs, with a progress bar on a terminal.
pub(crate) fn new_calls(context: &Context) -> Result<ImportReport, Failure> {
    let options = everything(context);
    // Without a ledger and without logs there is nothing to create a ledger for.
    if !context.exists()? {
        let inventories = import::inventory(&Ledger::in_memory()?.snapshot()?, &options, context.now())?;
        if inventories.iter().all(|agent| agent.files == 0 && agent.unreadable.is_empty()) {
            return Ok(ImportReport::default());
        }
    }
    let bar = progress_bar(context);
    let done = into_ledger(&options, context, &mut |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(counted(progress.records, "record"));
    });
    bar.finish_and_clear();
    done
}

/// Imports into the ledger. A new ledger is created complete.
fn into_ledger(
    options: &ImportOptions,
    context: &Context,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, Failure> {
    if let Some(draft) = context.draft()?
        && let Some(report) = import::fill(draft, options, context.now(), progress)?
    {
        return Ok(report);
    }
    let ledger = context.write()?;
    let report = import::run(&ledger, options, context.now(), progress)?;
    alert::after(&ledger, context);
    Ok(report)
}

/// Imports one agent's new calls without a word on standard output.
pub(crate) fn from(source: &str, context: &Context) -> Result<(), Failure> {
    let options = ImportOptions { sources: vec![source.to_owned()], ..everything(context) };
    into_ledger(&options, context, &mut |_| {}).map(drop)
}

/// Imports new calls into the ledger while a dashboard or server runs, and prints nothing. Alerts that do not arrive are
/// recorded as such. A request to stop ends it between two transactions.
#[cfg(any(feature = "tui", feature = "web"))]
pub(crate) fn quietly(context: &Context, stop: &Stop) -> Result<(), Failure> {
    if !context.exists()? {
        return Ok(());
    }
    // A short wait for another process that writes: a wait cannot be interrupted.
    let ledger = context.write_within(PATIENCE)?;
    import::run_until(&ledger, &everything(context), context.now(), stop)?;
    alert_delivery::run(&ledger, context, stop)?;
    Ok(())
}

fn backfill(options: &ImportOptions, apply: bool, context: &Context) -> Result<Backfill, Failure> {
    Ok(koan::backfill(&context.write()?, options, apply, context.now())?)
}

/// Imports until the process ends. Every transaction is complete, so an interruption loses nothing.
fn follow(options: &ImportOptions, ledger: &Ledger, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let mut follower = Follower::new(options.clone())?;
    let (mut first, mut is_lost) = (true, false);
    loop {
        let mut report = match follower.next(ledger, || context.now(), WAIT) {
            Ok(Some(report)) => report,
            Ok(None) => continue,
            Err(error @ Error::Replaced { .. }) => {
                if !is_lost {
                    print_message(&format!("{error}; waiting for a ledger at that path"));
                }
                is_lost = true;
                std::thread::sleep(WAIT);
                // The new ledger may contain less than the old one, so read all logs again.
                follower = Follower::new(options.clone())?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if std::mem::take(&mut is_lost) {
            print_message("there is a ledger again: following");
        }
        alert::after(ledger, context);
        if !first {
            report.sources.iter_mut().for_each(|source| source.other_labels = 0);
        }
        report
            .sources
            .retain(|source| source.recorded + source.amended + source.observed > 0 || !source.skipped.is_empty());
        if report.sources.is_empty() && !first {
            continue;
        }
        if context.json {
            JsonAnswer::new(&report).write(out)?;
        } else {
            human(&report, false, out)?;
            if first {
                writeln!(out, "following; what agents write from now on is imported as they write it")?;
            }
        }
        out.flush()?;
        first = false;
    }
}

/// Warns about calls that are recorded twice: Koan runs other agents, and their logs contain its calls without a common
/// key.
fn warn_about_koan(report: &ImportReport) {
    let (own, others): (Vec<_>, Vec<_>) =
        report.sources.iter().partition(|source| import::repeats_other_logs(&source.source));
    let new = report.sources.iter().any(|source| source.recorded > 0);
    if new && own.iter().any(|source| source.files > 0) && others.iter().any(|source| source.files > 0) {
        print_message(
            "hint: Koan's rows and the logs of the agents that it runs may contain the same calls, and nothing in a row \
             identifies them: to count them once, import only one of the two, or filter with --agent",
        );
    }
}

fn backfilled(done: &Backfill, apply: bool, out: &mut dyn Write) -> Result<(), Failure> {
    for day in done.days.iter().filter(|day| day.planned > 0) {
        writeln!(
            out,
            "{}: {}, {} with a row, {} backfilled before, {} to write",
            day.day,
            counted(day.outcomes, "session"),
            grouped(day.real),
            grouped(day.synthetic),
            grouped(day.planned)
        )?;
    }
    for day in done.days.iter().filter(|day| day.surplus > 0) {
        print_message(&format!(
            "{}: {} backfilled beyond its sessions, left alone",
            day.day,
            counted(day.surplus, "row")
        ));
    }
    done.skipped.iter().take(SKIPPED).for_each(|line| print_message(&format!("skipped {}", skipped(line))));
    let dry = if apply || done.planned == 0 { "" } else { "; --apply writes them" };
    Ok(writeln!(out, "backfill: {} to write, {} written{dry}", counted(done.planned, "record"), grouped(done.written))?)
}

/// A progress bar on stderr, shown only on a terminal.
fn progress_bar(context: &Context) -> ProgressBar {
    if context.json {
        return ProgressBar::hidden();
    }
    // Ten updates per second are enough for a reader.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    match ProgressStyle::with_template("{bar:30.##-} {bytes}/{total_bytes} {msg} {eta}") {
        Ok(style) => bar.with_style(style.progress_chars("##-")),
        Err(_) => bar,
    }
}
