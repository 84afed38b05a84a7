//! `report`: usage and cost by any keys.

mod bill;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::context::Context;
use super::record_flags::label;
use super::{csv, import as import_command, markdown, report_table};
use crate::api::report::{self, FullReport};
use crate::api::report_rows::{self, RowOrder};
use crate::export::{self, CcusageOptions};
use crate::import;
use crate::ledger::Snapshot;
use crate::model::error::Error;
use crate::model::event::Position;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::chart;
use crate::present::clock::{Moment, range};
use crate::present::failure::{Failure, print_message};
use crate::present::output;
use crate::present::tint::colours;
use crate::readers::price::Prices;
use crate::report::{Efficiency, Report, ReportKey, ReportRow, ReportTable, Seal};
use crate::usage::active_provider;

/// Report requests, tokens and cost, grouped by any keys
///
/// Keys: provider, account, model, agent, project, conversation, machine, person, team, label:NAME, hour, day, week, month,
/// window. The keys machine, person and team are the labels of these names.
/// Filters apply to rows and total. Several values of one filter are alternatives.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger report --by day,model --provider openai --since 2026-06-01\n  \
    usage-ledger report --by label:mission --until 2026-07 --csv\n  \
    usage-ledger report --by day --days 30 --fill\n  \
    usage-ledger report --by model --no-cost\n  \
    usage-ledger report --by day,model --since 30d --chart\n  \
    usage-ledger report --by hour --svg hours.svg\n  \
    usage-ledger report --bill --since 2026-05 --svg bill.svg\n  \
    usage-ledger report --by day --format ccusage\n  \
    usage-ledger --tz Europe/Paris report --by week --json")]
#[allow(clippy::struct_excessive_bools)] // flags that do not depend on each other
pub(crate) struct ReportArgs {
    /// The keys to group by [default: `report` in config.toml, else provider,day]
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = key)]
    by: Option<Vec<ReportKey>>,
    /// Only calls at or after this time, date or month
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only calls before this time, date or month
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only this provider; every filter may be repeated
    #[arg(long)]
    provider: Vec<ProviderId>,
    /// Only this account
    #[arg(long)]
    account: Vec<String>,
    /// Only this model
    #[arg(long)]
    model: Vec<String>,
    /// Only this agent
    #[arg(long)]
    agent: Vec<String>,
    /// Only this project
    #[arg(long)]
    project: Vec<String>,
    /// Only this conversation
    #[arg(long)]
    conversation: Vec<String>,
    /// Only records with this label
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Only the last N days including today [with --back: 7, and at most 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_525), conflicts_with_all = ["since", "until"])]
    days: Option<u32>,
    /// End N steps before today: a step is the number of --days, or a week or month in a report by week or month
    #[arg(long, value_name = "N", conflicts_with_all = ["since", "until"])]
    back: Option<u32>,
    /// Include days without calls, in a report by day only
    #[arg(long)]
    fill: bool,
    /// Compute costs only from the prices in this file, in US dollars per million tokens
    #[arg(
        long,
        value_name = "FILE",
        long_help = "Compute costs only from the prices in this file, in US dollars per million tokens\n\n\
            {\"opus\": {\"input\": 15, \"output\": 75, \"cache_read\": 1.5, \"cache_write_5m\": 18.75}}: a price applies to every model whose name contains its fragment; the longest fragment wins. Without a price of their own, tokens \
            read from a cache cost 0.1 and tokens written to one 1.25 times the input's price; a model without one is \
            unpriced."
    )]
    prices: Option<PathBuf>,
    /// Compute no costs; this makes a report by window faster
    #[arg(long, conflicts_with = "prices")]
    no_cost: bool,
    /// Report the period of the last seal, or of the seal at a position, from the events that it covers, and list later
    /// restatements
    #[arg(long, value_name = "POSITION", num_args = 0..=1, require_equals = true, conflicts_with_all = ["since", "until", "days", "back", "csv", "outcomes"])]
    #[allow(clippy::option_option)] // absent, without a position, with one
    sealed: Option<Option<u64>>,
    /// Also report the outcomes of sessions: records with the label outcome (productive, empty or blocked)
    #[arg(long, conflicts_with = "csv")]
    outcomes: bool,
    /// The order of rows [default: key; with --top: cost, or tokens if a call has no price]
    #[arg(long, value_enum, conflicts_with = "format")]
    sort: Option<RowOrder>,
    /// Only the first N rows; the total still includes all rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "format")]
    top: Option<u32>,
    /// Add each row's share of the total cost, or of the tokens if a call has no price
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    share: bool,
    /// Whole names of projects and models, and every digit, however wide the terminal is
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    wide: bool,
    /// Draw the answer in the terminal: columns of a time by a name (day,model), a matrix (project,model), bars (model), or
    /// a heat map of weekdays (hour), or how full the windows of a provider were (window)
    #[arg(long, conflicts_with_all = ["csv", "format", "share", "outcomes"])]
    chart: bool,
    /// Write the same figure to an SVG file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format"])]
    svg: Option<PathBuf>,
    /// Write the same figure to a PNG file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format"])]
    png: Option<PathBuf>,
    /// Report what recorded statements of providers confirm, by UTC day: with --chart, --svg and --png as a figure
    #[arg(long, conflicts_with_all = ["by", "account", "model", "agent", "project", "conversation", "label", "back", "fill", "prices", "no_cost", "sealed", "outcomes", "sort", "top", "share", "wide", "format"])]
    bill: bool,
    /// Print the answer as CSV
    #[arg(long)]
    csv: bool,
    /// Print a Markdown table, or the JSON of another program by day, week, month, conversation (its session) or window (its
    /// blocks)
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with_all = ["csv", "sealed", "outcomes", "fill"])]
    format: Option<ReportFormat>,
}

/// A program whose output format a report can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// ccusage 20
    Ccusage,
    /// A table in Markdown
    Markdown,
}

impl ReportArgs {
    /// Returns whether the answer is CSV.
    pub(crate) const fn is_csv(&self) -> bool {
        self.csv
    }

    /// Returns whether the answer is JSON of another program.
    pub(crate) const fn is_foreign_json(&self) -> bool {
        matches!(self.format, Some(ReportFormat::Ccusage))
    }

    fn filters(&self) -> impl Iterator<Item = (ReportKey, String)> {
        let named = |key: ReportKey, values: &[String]| -> Vec<_> {
            values.iter().map(|value| (key.clone(), value.clone())).collect()
        };
        let providers = self.provider.iter().map(|provider| (ReportKey::Provider, provider.as_str().to_owned()));
        providers
            .chain(named(ReportKey::Account, &self.account))
            .chain(named(ReportKey::Model, &self.model))
            .chain(named(ReportKey::Agent, &self.agent))
            .chain(named(ReportKey::Project, &self.project))
            .chain(named(ReportKey::Conversation, &self.conversation))
            .chain(self.label.iter().map(|(name, value)| (ReportKey::Label(name.clone()), value.clone())))
    }
}

/// Reads a key; `session` and `block` are the names of other programs.
fn key(text: &str) -> Result<ReportKey, Error> {
    match text {
        "session" => Ok(ReportKey::Conversation),
        "block" => Ok(ReportKey::Window),
        _ => text.parse(),
    }
}

/// Prints a report by the keys of `--by`; default: `default_by`.
pub(crate) fn run(
    args: &ReportArgs,
    default_by: &[ReportKey],
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let by = args.by.clone().unwrap_or_else(|| default_by.to_vec());
    if args.csv && context.json {
        return Err(Failure::usage("--csv and --json are two answers: give one of them"));
    }
    report::expect_distinct(&by)?;
    let ledger = context.read()?;
    if args.bill {
        return bill::run(args, &context.snapshot(&ledger)?, context, out);
    }
    let mut seal = None;
    let mut earlier = Vec::new();
    let snapshot = if let Some(which) = args.sealed {
        context.refuse_as_of("a seal is of a moment of its own")?;
        if which.is_none() {
            earlier = ledger.snapshot()?.seals(context.now())?;
            earlier.pop();
            earlier.retain(|seal| !seal.restatement.is_nothing());
        }
        let (sealed, snapshot) = super::seal::find(&ledger, which.map(Position::new), context.now())?;
        seal = Some(sealed);
        snapshot
    } else {
        context.snapshot(&ledger)?
    };
    let mut report = question(args, &by, seal.as_ref(), context, context.query_time(&snapshot))?;
    for (key, value) in args.filters() {
        report = report.only(key, value)?;
    }
    if args.format == Some(ReportFormat::Ccusage) {
        let at = CcusageOptions::at(context.query_time(&snapshot));
        let options = CcusageOptions { costs: !args.no_cost, ..at.agents(import::ccusage_agents()) };
        return Ok(export::ccusage(&snapshot, &report, options, out)?);
    }
    let (mut answer, report, notes) = snapshot.report_completed(report)?;
    for note in &notes {
        print_message(note);
    }
    let efficiency = args.outcomes.then(|| snapshot.efficiency(&report)).transpose()?;
    if draw(args, &answer, &snapshot, context, out)? {
        return if by == [ReportKey::Window] { Ok(()) } else { priced(&answer, out) };
    }
    let left_out = report_rows::arrange(&mut answer, args.sort, args.top);
    let is_table = !context.json && !args.csv && args.format.is_none();
    let times = (is_table && by.contains(&ReportKey::Conversation)).then(|| snapshot.conversation_times(&report));
    let times = times.transpose()?.map(|times| (times, context.zone()));
    let shown = report_table::TableOptions { times, share: args.share, wide: args.wide };
    if let Some(sealed) = &seal {
        if context.json {
            return output::json(out, &AsSealed { answer, sealed, restated_earlier: &earlier });
        }
        report_table::write(&answer, &shown, out)?;
        priced(&answer, out)?;
        return super::seal::print_basis(sealed, &earlier, out);
    }
    if is_table && answer.total.requests == 0 {
        explain_empty(&snapshot, args.filters().next().is_none(), context)?;
    }
    if context.json {
        return output::json(out, &FullReport { table: answer, outcomes: efficiency });
    }
    if args.csv {
        return csv::write(&answer, out);
    }
    if args.format == Some(ReportFormat::Markdown) {
        return markdown::write(&answer, out);
    }
    import_command::warn_of_outdated(&snapshot, context);
    report_table::write(&answer, &shown, out)?;
    if left_out > 0 {
        writeln!(out, "{} not shown; the total includes them", output::counted(left_out as u64, "row"))?;
    }
    priced(&answer, out)?;
    efficiency.map_or(Ok(()), |efficiency| outcomes(&efficiency, out))
}

/// Says on stderr why an answer has no call: the ledger has none, or none in this range.
fn explain_empty(snapshot: &Snapshot<'_>, is_unfiltered: bool, context: &Context) -> Result<(), Failure> {
    let days = snapshot.report(&Report::by(ReportKey::Day).tz(context.zone()).prices(Prices::none()))?;
    let day = |row: Option<&ReportRow>| row.and_then(|row| row.keys.first().cloned().flatten());
    match (day(days.rows.first()), day(days.rows.last())) {
        (Some(first), Some(last)) if is_unfiltered => {
            print_message(&format!("no call is in this range: the calls of the ledger are from {first} to {last}"));
        }
        (Some(_), _) => {}
        _ => print_message(
            "the ledger has no call yet: `usage-ledger import` reads the logs of agents, and `usage-ledger record` records a call",
        ),
    }
    Ok(())
}

/// Builds the query without filters: keys, range and prices.
fn question(
    args: &ReportArgs,
    by: &[ReportKey],
    seal: Option<&Seal>,
    context: &Context,
    now: Timestamp,
) -> Result<Report, Failure> {
    let zone = context.zone();
    let (since, until) = range(args.since, args.until, zone, now)?;
    let mut report = Report::by_all(by.to_vec()).tz(zone);
    if let Some(since) = since {
        report = report.since(since);
    }
    if let Some(until) = until {
        report = report.until(until);
    }
    if let Some(seal) = seal {
        report = report.until(seal.sealed.until);
        if let Some(since) = seal.sealed.since {
            report = report.since(since);
        }
    }
    if args.days.is_some() || args.back.is_some() {
        report = report.days(report::days(by, args.days, args.back, zone.day(now))?);
    }
    if args.fill {
        report = report.fill()?;
    }
    // ccusage omits costs from its answer but still sorts by them.
    if args.no_cost && args.format.is_none() {
        return Ok(report.prices(Prices::none()));
    }
    match args.prices.as_deref() {
        Some(file) => Ok(report.prices(price_list(file, context)?)),
        None => Ok(report),
    }
}

/// Draws the requested figures. Returns whether one was printed to the terminal.
fn draw(
    args: &ReportArgs,
    answer: &ReportTable,
    snapshot: &Snapshot<'_>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<bool, Failure> {
    if args.svg.is_none() && args.png.is_none() && (!args.chart || context.json) {
        return Ok(false);
    }
    let of_use = match answer.keys[..] {
        [ReportKey::Window] => use_of_windows(args, snapshot, context)?,
        _ => None,
    };
    let figure = of_use.map_or_else(|| chart::Figure::of(answer), Ok)?;
    write_figure(args, &figure, context, out)
}

/// Writes a figure to the requested files. Returns whether it was printed to the terminal.
fn write_figure(
    args: &ReportArgs,
    figure: &chart::Figure,
    context: &Context,
    out: &mut dyn Write,
) -> Result<bool, Failure> {
    let in_terminal = args.chart && !context.json;
    if let Some(file) = &args.svg {
        super::checkpoint::replace(file, chart::svg(figure), context)?;
        print_message(&format!("wrote {}", file.display()));
    }
    if let Some(file) = &args.png {
        super::checkpoint::replace(file, chart::png(figure)?, context)?;
        print_message(&format!("wrote {}", file.display()));
    }
    if in_terminal {
        let drawn = chart::text(figure, output::width(), colours(!io::stdout().is_terminal()));
        out.write_all(drawn.as_bytes())?;
    }
    Ok(in_terminal)
}

/// The figure of a report by window alone: how full the windows of one account were, in the last week by default. `None`
/// where that is not known, or several providers are named.
fn use_of_windows(
    args: &ReportArgs,
    snapshot: &Snapshot<'_>,
    context: &Context,
) -> Result<Option<chart::Figure>, Failure> {
    let (now, zone) = (context.query_time(snapshot), context.zone());
    let provider = match &args.provider[..] {
        [only] => only.as_str().to_owned(),
        [] => match active_provider(snapshot.view(), now)? {
            Some(active) => active,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let range = chart::window_range(range(args.since, args.until, zone, now)?, args.days, now);
    let account = args.account.first().map(String::as_str);
    Ok(chart::window_use(snapshot, (&provider, account), range, zone)?)
}

/// Prints the origin of the prices, and the number of requests without a price.
fn priced(answer: &ReportTable, out: &mut dyn Write) -> Result<(), Failure> {
    let (cost, source) = (&answer.total.cost, &answer.prices);
    if cost.usd.is_some() {
        let own = match source.custom.len() {
            0 => String::new(),
            _ if source.table.is_none() => String::new(),
            number => format!(", and {} of your own", output::counted(number as u64, "price")),
        };
        writeln!(out, "computed by {}{own}", super::price::source_text(source))?;
    }
    if cost.unpriced_requests > 0 && (cost.usd.is_some() || source.table.is_some()) {
        writeln!(
            out,
            "{} without a known price: `usage-ledger price set` states one",
            output::counted(cost.unpriced_requests, "request")
        )?;
    }
    Ok(())
}

/// A report and its seal.
#[derive(Serialize)]
struct AsSealed<'s> {
    #[serde(flatten)]
    answer: ReportTable,
    sealed: &'s Seal,
    /// Earlier seals whose periods were restated.
    restated_earlier: &'s [Seal],
}

fn outcomes(efficiency: &Efficiency, out: &mut dyn Write) -> Result<(), Failure> {
    if efficiency.productive + efficiency.empty + efficiency.blocked == 0 {
        return Ok(writeln!(out, "no record has the label outcome: `record --label outcome=productive` states one")?);
    }
    writeln!(
        out,
        "sessions: {} productive, {} empty, {} blocked",
        efficiency.productive, efficiency.empty, efficiency.blocked
    )?;
    if let Some(tokens) = efficiency.tokens_per_productive {
        writeln!(out, "tokens for each productive session: {tokens:.0}")?;
    }
    let trend = efficiency.trend.map(|trend| format!(", {}", trend.name())).unwrap_or_default();
    Ok(writeln!(out, "wasted: {:.0} % of the sessions{trend}", efficiency.waste * 100.0)?)
}

fn price_list(path: &Path, context: &Context) -> Result<Prices, Failure> {
    let text = super::key_file::text(path, context)?;
    Ok(Prices::from_json(&text)?)
}
