//! `allocate`: splits shared spend by rules that are events.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::amend_void::answer;
use super::checkpoint;
use super::context::Context;
use super::prove_total::period;
use crate::export::{self, AllocationFormat};
use crate::ledger::Snapshot;
use crate::model::event::{
    AllocationCondition, AllocationMeasure, AllocationRest, AllocationSet, AllocationShare, EventId, Position,
};
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::present::clock::short;
use crate::present::failure::{Failure, print_message};
use crate::present::money::exact_dollars;
use crate::present::output::{EscapedText, JsonAnswer, counted};
use crate::report::{Allocation, AllocationRule, AllocationTable, ReportKey};

/// Split shared spend between projects or the values of a label, exactly
///
/// The parts sum to the bill: the computed cost of the period, --amount, or a recorded --statement. Rules are events, so `--as-of` answers with the
/// rules of that time, and `void` withdraws a rule. Without a command, print what each receiver pays.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    usage-ledger allocate set platform --of project=platform --rest usage\n  \
    usage-ledger allocate --period 2026-05\n  \
    usage-ledger allocate --period 2026-05 --amount 837.20 --format csv > may.csv\n  \
    usage-ledger allocate --statement 120 --format focus --output may.csv\n  \
    usage-ledger allocate --period 2026-05 --by label:customer --format html --output may.html"
)]
pub(crate) struct AllocateArgs {
    #[command(subcommand)]
    command: Option<AllocateCommand>,
    #[command(flatten)]
    query: AllocateQuery,
}

impl AllocateArgs {
    /// Returns whether the answer is a file whose exact bytes count.
    pub fn is_for_programs(&self) -> bool {
        self.query.format != AllocateFormat::Table
    }
}

#[derive(Args, Debug)]
struct AllocateQuery {
    /// The period: a month (2026-05), a day, or two times (2026-05-01..2026-06-01) [default: this month]
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
    /// The key whose values are the receivers: project, account, provider, model, agent, conversation, machine, person,
    /// team or label:NAME
    #[arg(long, value_name = "KEY", default_value = "project")]
    by: String,
    /// The amount of the bill in US dollars [default: the computed cost]
    #[arg(long, value_name = "USD", value_parser = Usd::exact, allow_negative_numbers = true)]
    amount: Option<Usd>,
    /// Split the amounts of the recorded statement at this position, over the calls of its provider and account [default
    /// period: that of the statement]
    #[arg(long, value_name = "POSITION", conflicts_with = "amount")]
    statement: Option<u64>,
    /// The smallest unit of a part [default: 0.01 with --amount, otherwise 0.000000000001]
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    unit: Option<Usd>,
    /// The format: a table, CSV for invoices, FOCUS 1.4 with tags, or a page to print
    #[arg(long, value_enum, default_value_t = AllocateFormat::Table)]
    format: AllocateFormat,
    /// The file to write, completely or not at all [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AllocateFormat {
    Table,
    Csv,
    Focus,
    Html,
}

#[derive(Debug, Subcommand)]
enum AllocateCommand {
    Set(AllocateSetArgs),
    End(AllocateEndArgs),
    /// List the rules in force
    #[command(after_help = "Example:\n  usage-ledger allocate list --json")]
    List,
}

/// Set a rule; it replaces the rule of the same name
///
/// A rule takes the calls that meet its conditions, and gives their cost to receivers: first fixed shares, then the rest by
/// usage, in equal parts, or to one receiver. What a rule gives is not split again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger allocate set platform --of project=platform --rest usage\n  \
    usage-ledger allocate set platform --of project=platform --share acme=30 --share globex=20.5 --rest to:internal\n  \
    usage-ledger allocate set idle --of project= --rest equal:acme,globex,initech\n  \
    usage-ledger allocate set ci --of label:purpose=ci --of provider=openai --rest usage:tokens:acme,globex")]
struct AllocateSetArgs {
    /// The name of the rule
    name: String,
    /// The calls whose cost is shared, such as project=platform; an empty value means calls without one. Different keys must
    /// all match, values of one key are alternatives [default: every call]
    #[arg(long, value_name = "KEY=VALUE")]
    of: Vec<String>,
    /// The key whose values are the receivers
    #[arg(long, value_name = "KEY", default_value = "project")]
    by: String,
    /// A fixed share in percent, with up to six decimals
    #[arg(long, value_name = "NAME=PERCENT")]
    share: Vec<String>,
    /// Who receives the rest: usage, usage:cost, usage:tokens or usage:requests, each with :NAME,NAME to limit the receivers;
    /// equal:NAME,NAME; or to:NAME
    #[arg(long, value_name = "RULE")]
    rest: Option<String>,
}

/// End a rule
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger allocate end platform")]
struct AllocateEndArgs {
    /// The name of the rule
    name: String,
}

pub(crate) fn run(args: &AllocateArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        None => query(&args.query, context, out),
        Some(AllocateCommand::List) => list(context, out),
        Some(AllocateCommand::Set(args)) => {
            let set = rule(args)?;
            let now = context.now();
            let ledger = context.write()?;
            let outcome = ledger.set_allocation(set, now)?;
            answer(&ledger, outcome, context, out)
        }
        Some(AllocateCommand::End(args)) => {
            let now = context.now();
            let ledger = context.write()?;
            let rules = ledger.snapshot()?.allocation_rules(now)?;
            let by = rules.into_iter().find(|rule| rule.set.name == args.name).map(|rule| rule.set.by);
            // An unknown name is refused by the ledger, with its remedy.
            let set = AllocationSet::end(&args.name, by.unwrap_or_else(|| ReportKey::Project.name()));
            let outcome = ledger.set_allocation(set, now)?;
            answer(&ledger, outcome, context, out)
        }
    }
}

fn rule(args: &AllocateSetArgs) -> Result<AllocationSet, Failure> {
    let mut set = AllocationSet::new(&args.name, &args.by);
    for text in &args.of {
        // A label's name may have a `=` in its value, but not before it.
        let (key, value) = pair(text, "--of", "KEY=VALUE")?;
        set.of.push(AllocationCondition::new(key, Some(value).filter(|value| !value.is_empty())));
    }
    for text in &args.share {
        let (name, percent) = text
            .rsplit_once('=')
            .ok_or_else(|| Failure::usage(format!("--share is written NAME=PERCENT, not `{text}`")))?;
        set.shares.push(AllocationShare::new(name, percent.parse()?));
    }
    set.rest = args.rest.as_deref().map(rest).transpose()?;
    Ok(set)
}

fn pair<'t>(text: &'t str, flag: &str, form: &str) -> Result<(&'t str, &'t str), Failure> {
    text.split_once('=').ok_or_else(|| Failure::usage(format!("{flag} is written {form}, not `{text}`")))
}

fn rest(text: &str) -> Result<AllocationRest, Failure> {
    let names = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<_>>();
    let bad = || {
        Failure::usage(format!(
            "`{text}` is no rule for the rest: write usage, usage:tokens, usage:cost:NAME,NAME, equal:NAME,NAME or to:NAME"
        ))
    };
    let (how, more) = text.split_once(':').unwrap_or((text, ""));
    match how {
        "to" if !more.is_empty() => Ok(AllocationRest::To { name: more.to_owned() }),
        "equal" if !more.is_empty() => Ok(AllocationRest::Equal { names: names(more) }),
        "usage" => {
            let (measure, list) = more.split_once(':').unwrap_or((more, ""));
            let measure = match measure {
                "" | "cost" => AllocationMeasure::Cost,
                "tokens" => AllocationMeasure::Tokens,
                "requests" => AllocationMeasure::Requests,
                _ => return Err(bad()),
            };
            let names = if list.is_empty() { Vec::new() } else { names(list) };
            Ok(AllocationRest::Usage { measure, names })
        }
        _ => Err(bad()),
    }
}

fn query(args: &AllocateQuery, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let by: ReportKey = args.by.parse()?;
    if args.output.is_some() && args.format == AllocateFormat::Table {
        return Err(Failure::usage("--output is for a file of --format csv, focus or html"));
    }
    let ledger = context.read_with_warning()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    let zone = context.zone();
    let span = args.period.as_deref().map(|text| period(text, zone, now)).transpose()?;
    let mut request = if let Some(position) = args.statement {
        of_statement(by, position.into(), span, &snapshot, now)?
    } else {
        let this_month = || period(&zone.day(now).format("%Y-%m").to_string(), zone, now);
        Allocation::by(by, span.map_or_else(this_month, Ok)?)
    };
    if let Some(amount) = args.amount {
        request = request.bill(amount).unit("0.01".parse()?);
    }
    if let Some(unit) = args.unit {
        request = request.unit(unit);
    }
    let table = snapshot.allocate(&request, now)?;
    explain(&table);
    let format = match args.format {
        AllocateFormat::Csv => AllocationFormat::Csv,
        AllocateFormat::Focus => AllocationFormat::Focus,
        AllocateFormat::Html => AllocationFormat::Html,
        AllocateFormat::Table if context.json => return JsonAnswer::new(&table).write(out),
        AllocateFormat::Table => return print(&table, context.zone(), out),
    };
    let mut written = Vec::new();
    export::allocation(&table, format, &mut written)?;
    match &args.output {
        Some(path) => checkpoint::replace(path, &written, context),
        None => Ok(out.write_all(&written)?),
    }
}

/// The request that splits the amounts of a recorded statement.
fn of_statement(
    by: ReportKey,
    position: Position,
    span: Option<(Timestamp, Timestamp)>,
    snapshot: &Snapshot<'_>,
    now: Timestamp,
) -> Result<Allocation, Failure> {
    let found = snapshot.statements(now)?.into_iter().find(|one| one.positions.contains(&position));
    let received = found.ok_or_else(|| {
        Failure::usage(format!(
            "there is no statement that holds at position {position}: `usage-ledger log --kind statement_received` lists them"
        ))
    })?;
    let content = &received.content;
    let (since, until) = span.unwrap_or((content.since, content.until));
    if !received.superseded.is_empty() {
        return Err(Failure::usage(format!(
            "a later statement replaces the one at position {position}: give the position of that one"
        )));
    }
    let is_in = |start: Timestamp| start >= since && start < until;
    let amounts = content.buckets.iter().filter(|bucket| is_in(bucket.start)).filter_map(|bucket| bucket.usd);
    let mut bill: Option<Usd> = None;
    for amount in amounts {
        bill = Some(bill.unwrap_or_default().checked_add(amount)?);
    }
    let bill = bill.ok_or_else(|| {
        Failure::usage(format!("the statement at position {position} states no amount in the period: use one of costs"))
    })?;
    let cent: Usd = "0.01".parse()?;
    let mut request = Allocation::by(by, (since, until)).bill(bill).only(ReportKey::Provider, &content.provider);
    if bill.picos() % cent.picos() == 0 {
        request = request.unit(cent);
    }
    if let Some(account) = &content.account {
        request = request.only(ReportKey::Account, account);
    }
    Ok(request)
}

/// Tells what the reader of a part should know.
fn explain(table: &AllocationTable) {
    if table.unpriced_requests > 0 {
        print_message(&format!(
            "{} without a known price: they weigh nothing; set prices with `usage-ledger price set`",
            counted(table.unpriced_requests, "call")
        ));
    }
    for rule in table.rules.iter().filter(|rule| rule.rest_stayed) {
        print_message(&format!(
            "the rest of the rule {} stayed where it was, because no receiver has usage in the period",
            EscapedText(&rule.name)
        ));
    }
}

fn print(table: &AllocationTable, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{} to {}, by {}", short(table.since, zone), short(table.until, zone), EscapedText(&table.by))?;
    for receiver in &table.receivers {
        writeln!(
            out,
            "{}: {}",
            EscapedText(receiver.name.as_deref().unwrap_or("(no value)")),
            exact_dollars(receiver.usd)
        )?;
        for line in &receiver.lines {
            let source = line.rule.as_ref().map_or_else(|| "own usage".to_owned(), |rule| format!("rule {rule}"));
            let names = [Some(line.provider.as_str()), line.account.as_deref(), line.model.as_deref()];
            let names: Vec<&str> = names.into_iter().flatten().collect();
            writeln!(
                out,
                "  {}, {}: {}",
                EscapedText(&source),
                EscapedText(&names.join(" ")),
                exact_dollars(line.usd)
            )?;
        }
    }
    Ok(writeln!(out, "total: {}", exact_dollars(table.bill))?)
}

/// The rules in force.
#[derive(Serialize)]
struct AllocationRuleList {
    rules: Vec<ListedAllocationRule>,
}

#[derive(Serialize)]
struct ListedAllocationRule {
    position: Position,
    id: EventId,
    #[serde(flatten)]
    set: AllocationSet,
}

fn list(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read_with_warning()?;
    let snapshot = context.snapshot(&ledger)?;
    let rules = snapshot.allocation_rules(context.query_time(&snapshot))?;
    if context.json {
        let listed =
            |rule: AllocationRule| ListedAllocationRule { position: rule.position, id: rule.id, set: rule.set };
        return JsonAnswer::new(AllocationRuleList { rules: rules.into_iter().map(listed).collect() }).write(out);
    }
    if rules.is_empty() {
        print_message("no rule is in force: `usage-ledger allocate set` makes one");
    }
    for rule in &rules {
        writeln!(out, "{} (position {})", EscapedText(&rule.set.describe()), rule.position)?;
    }
    Ok(())
}
