//! `import`: agents' logs into the ledger.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::Context;
use super::failure::{Failure, say};
use super::output::{Answer, Plain, counted, grouped};
use crate::error::Error;
use crate::import::{self, ImportOptions, ImportReport};

/// Skipped lines that are listed for people; JSON has all of them.
const SKIPPED: usize = 20;

/// Import what is new in agents' logs
///
/// Importing again repeats nothing. Lines that cannot be read are skipped and told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger import\n  \
    usage-ledger import claude-code --home /mnt/backup/home")]
pub(super) struct ImportArgs {
    /// The agents [default: all that are found]
    #[arg(value_name = "SOURCE", value_parser = PossibleValuesParser::new(import::names()))]
    sources: Vec<String>,
    /// The home directory to look in [default: the user's own, and where the agents' environment variables point]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

pub(super) fn run(args: ImportArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(home) = &args.home
        && let Err(source) = std::fs::read_dir(home)
    {
        // Before a ledger is made for nothing.
        return Err(Error::Io { path: home.clone(), source }.into());
    }
    let options = ImportOptions { sources: args.sources, home: args.home };
    let mut ledger = context.write()?;
    let bar = progress_bar(context);
    let report = import::run(&mut ledger, &options, context.now(), &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(counted(progress.records, "record"));
    });
    bar.finish_and_clear();
    let report = report?;
    if context.json {
        return Answer::new(report).write(out);
    }
    human(&report, out)
}

/// A bar on stderr; where that is no terminal it draws nothing.
fn progress_bar(context: &Context) -> ProgressBar {
    if context.json {
        return ProgressBar::hidden();
    }
    // Ten times a second is as often as anybody looks.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    match ProgressStyle::with_template("{bar:30.##-} {bytes}/{total_bytes} {msg} {eta}") {
        Ok(style) => bar.with_style(style.progress_chars("##-")),
        Err(_) => bar,
    }
}

fn human(report: &ImportReport, out: &mut dyn Write) -> Result<(), Failure> {
    for source in &report.sources {
        let observed = match source.observed {
            0 => String::new(),
            number => format!(", {}", counted(number, "quota observation")),
        };
        writeln!(
            out,
            "{}: {}, {}, {} recorded, {} known, {} amended{observed}",
            source.source,
            counted(source.files, "file"),
            counted(source.bytes, "new byte"),
            grouped(source.recorded),
            grouped(source.duplicates),
            grouped(source.amended)
        )?;
        for skipped in source.skipped.iter().take(SKIPPED) {
            say(&format!("skipped {} line {}: {}", Plain(&skipped.file), skipped.line, Plain(&skipped.why)));
        }
        if let Some(more) = source.skipped.len().checked_sub(SKIPPED).filter(|more| *more > 0) {
            say(&format!("skipped {more} more lines of {}: --json lists them all", source.source));
        }
    }
    Ok(())
}
