//! `report --bill`: what recorded statements confirm, by day.

use std::io::Write;

use super::{ReportArgs, write_figure};
use crate::api::bill::{self, BillAnswerNumbers};
use crate::bill::Spend;
use crate::cli::context::Context;
use crate::ledger::Snapshot;
use crate::model::time::Zone;
use crate::present::chart;
use crate::present::clock::{Moment, range};
use crate::present::failure::Failure;
use crate::present::output::{self, counted};

/// Reports what recorded statements confirm.
pub(super) fn run(
    args: &ReportArgs,
    snapshot: &Snapshot<'_>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let now = context.query_time(snapshot);
    // `--days 1` is today.
    let since = args.days.map(|days| Moment::DaysAgo(u64::from(days.saturating_sub(1)))).or(args.since);
    let span = range(since, args.until, Zone::UTC, now)?;
    let provider = match &args.provider[..] {
        [] => None,
        [only] => Some(only.as_str()),
        _ => return Err(Failure::usage("--bill reports one provider or all: give --provider once")),
    };
    let answer = bill::of_range(snapshot, span, provider, now)?;
    if args.svg.is_some() || args.png.is_some() || args.chart {
        let figure = chart::billed(&answer.days)?;
        if write_figure(args, &figure, context, out)? {
            return Ok(());
        }
    }
    if context.json {
        return output::JsonAnswer::new(&answer).write(out);
    }
    write(&answer, args.csv, out)
}

/// Prints the days and their sum.
fn write(answer: &BillAnswerNumbers, is_csv: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if is_csv {
        writeln!(out, "day,confirmed,explained,unexplained,provisional,rows_without_amount")?;
        for day in &answer.days {
            let Spend { confirmed, explained, unexplained, provisional, rows_without_amount } = day.spend;
            writeln!(out, "{},{confirmed},{explained},{unexplained},{provisional},{rows_without_amount}", day.day)?;
        }
        return Ok(());
    }
    if answer.days.is_empty() {
        return Ok(writeln!(out, "no statement covers these days: `usage-ledger reconcile FILE` records one")?);
    }
    for day in &answer.days {
        writeln!(out, "{}: {}", day.day, words(&day.spend))?;
    }
    Ok(writeln!(out, "total: {}", words(&answer.total))?)
}

fn words(spend: &Spend) -> String {
    let rows = match spend.rows_without_amount {
        0 => String::new(),
        rows => format!(", {} without a known amount", counted(rows, "row")),
    };
    spend.text() + &rows
}
