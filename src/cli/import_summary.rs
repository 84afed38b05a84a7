//! The summary of an import, for people.

use std::io::Write;

use crate::IMPLAUSIBLE_COUNT;
use crate::import::{ImportReport, SourceReport};
use crate::present::failure::{Failure, print_message};
use crate::present::output::{counted, grouped, skipped};

/// Maximum number of skipped lines to list for people. JSON lists all.
pub(super) const SKIPPED: usize = 20;

/// Prints signs that counts are missing.
fn print_drift(source: &SourceReport) {
    let (drift, all) = (&source.drift, source.recorded);
    let of = |number: u64| format!("{}: {} of {}", source.source, grouped(number), counted(all, "new record"));
    let version = "its logs may be of a version that is not known";
    for (number, class) in [(drift.without_input, "input"), (drift.without_output, "output")] {
        if number > 0 {
            print_message(&format!("{} without a count of {class}: {version}", of(number)));
        }
    }
    for class in &drift.absent {
        print_message(&format!("{} with a count of {class}: {version}", of(0)));
    }
    if drift.implausible > 0 {
        let of = of(drift.implausible);
        print_message(&format!(
            "{of} with a count above {}: usage-ledger doctor names them",
            grouped(IMPLAUSIBLE_COUNT)
        ));
    }
    if drift.not_adding_up > 0 {
        let shown = "usage-ledger export --format csv shows them, by their `residual`";
        print_message(&format!("{} with counts that do not add up: {shown}", of(drift.not_adding_up)));
    }
}

/// Prints the result. If no source was named, sources without files are listed in one line.
pub(super) fn human(report: &ImportReport, all: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let (without, with): (Vec<_>, Vec<_>) =
        report.sources.iter().partition(|source| all && source.files == 0 && source.skipped.is_empty());
    for source in with {
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
        source.skipped.iter().take(SKIPPED).for_each(|line| print_message(&format!("skipped {}", skipped(line))));
        print_drift(source);
        if source.other_labels > 0 {
            let (logs, verb) =
                (counted(source.other_labels, "log"), if source.other_labels == 1 { "keeps" } else { "keep" });
            print_message(&format!(
                "{}: {logs} {verb} the labels of an earlier import: `usage-ledger import --relabel` with the same labels \
                 amends their calls, and --dry-run shows them before",
                source.source
            ));
        }
        if let Some(more) = source.skipped.len().checked_sub(SKIPPED).filter(|more| *more > 0) {
            print_message(&format!("skipped {more} more lines of {}: --json lists them all", source.source));
        }
    }
    if !without.is_empty() {
        let names: Vec<_> = without.iter().map(|source| source.source.as_str()).collect();
        writeln!(out, "no logs of {}", names.join(", "))?;
    }
    Ok(())
}
