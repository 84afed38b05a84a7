//! `alert`: sets rules, lists firings, and delivers notifications.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::alert_delivery::{self, DeliveryAttempt, FiredAnswer, fired_since};
use super::amend_void::answer;
use super::config_file::webhook;
use super::context::Context;
use super::record::hint;
use crate::budget::{AlertRule, Threshold, alert_rules};
use crate::ledger::Ledger;
use crate::model::event::{AlertCondition, AlertSet, EventData};
use crate::model::provider::ProviderId;
use crate::model::threads::Stop;
use crate::model::time::{DAY, Zone};
use crate::model::tokens::Usd;
use crate::present::clock::short;
use crate::present::failure::{Failure, print_message};
use crate::present::money::dollars;
use crate::present::output::{EscapedText, JsonAnswer, wrapped};

/// The age up to which `alert list` shows firings.
const SHOWN: i64 = 31 * DAY;

/// Watch windows and costs, and notify a command, the desktop or a webhook
///
/// Rules and firings are events. Each rule fires once per window. Conditions are checked after every import, while `watch`,
/// `serve` or `import --watch` runs, and by `alert check`. The targets of deliveries are in the table `alerts` of
/// config.toml, because the address of a webhook may be a secret. Each attempt is recorded. A failed attempt is repeated
/// after a minute, then after longer pauses, for up to a day.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger alert set --weekly 80 --usd-day 20 --forecast\n  \
    usage-ledger alert set anthropic --session 90 --command 'mail -s usage me'\n  \
    usage-ledger alert list")]
pub(crate) struct AlertArgs {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    Set(Box<AlertSetArgs>),
    /// List the rules, and the firings of the last month
    #[command(after_help = "Example:\n  usage-ledger alert list --json")]
    List,
    /// Check every rule now, and deliver pending alerts
    #[command(after_help = "Example:\n  usage-ledger alert check")]
    Check,
}

/// Set alert rules; options that you do not give are unchanged
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger alert set --weekly 80 --usd-day 20 --forecast\n  \
    usage-ledger alert set --desktop --webhook https://hooks.example.com/usage\n  \
    usage-ledger alert set anthropic --unset session")]
struct AlertSetArgs {
    /// Only this provider [default: every provider; for costs, all of them together]
    provider: Option<ProviderId>,
    /// Only this account of the provider
    #[arg(long, requires = "provider", value_parser = super::record_flags::text)]
    account: Option<String>,
    /// Alert when at least this much of a session window is used
    #[arg(long, value_name = "PERCENT")]
    session: Option<u8>,
    /// Alert when at least this much of a weekly window is used
    #[arg(long, value_name = "PERCENT")]
    weekly: Option<u8>,
    /// Alert when a day costs at least this many US dollars; days begin at midnight in --tz
    #[arg(long, value_name = "USD")]
    usd_day: Option<Usd>,
    /// Alert when a week costs at least this many US dollars
    #[arg(long, value_name = "USD")]
    usd_week: Option<Usd>,
    /// Alert when a calendar month costs at least this many US dollars
    #[arg(long, value_name = "USD")]
    usd_month: Option<Usd>,
    /// Alert when a window is forecast to be used up before it resets
    #[arg(long)]
    forecast: bool,
    /// Remove a condition: session, weekly, usd-day, usd-week, usd-month or forecast; may be repeated
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    unset: Vec<AlertCondition>,
    /// Run this shell command for each alert, with the alert as JSON on standard input
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// Send each alert as JSON to this address: HTTP POST with curl
    #[arg(long, value_name = "URL", value_parser = address)]
    webhook: Option<String>,
    /// Show each alert as a desktop notification
    #[arg(long)]
    desktop: bool,
}

fn condition(name: &str) -> Result<AlertCondition, String> {
    let name = name.replace('-', "_");
    AlertCondition::ALL
        .into_iter()
        .find(|condition| condition.name() == name)
        .ok_or_else(|| "write session, weekly, usd-day, usd-week, usd-month or forecast".to_owned())
}

fn address(text: &str) -> Result<String, String> {
    webhook(text).map(str::to_owned)
}

pub(crate) fn run(args: AlertArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        AlertCommand::Set(args) => set(*args, context, out),
        AlertCommand::List => list(context, out),
        AlertCommand::Check => check(context, out),
    }
}

fn set(args: AlertSetArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let mut alert = AlertSet::new();
    let money = args.usd_day.is_some() || args.usd_week.is_some() || args.usd_month.is_some();
    (alert.provider, alert.account) = (args.provider, args.account);
    (alert.session, alert.weekly, alert.forecast) = (args.session, args.weekly, args.forecast);
    (alert.usd_day, alert.usd_week, alert.usd_month) = (args.usd_day, args.usd_week, args.usd_month);
    alert.usd_zone = money.then(|| context.zone());
    alert.unset = args.unset;
    let mut targets: Vec<(&str, toml_edit::Value)> = Vec::new();
    targets.extend(args.command.map(|command| ("command", command.into())));
    targets.extend(args.webhook.map(|webhook| ("webhook", webhook.into())));
    targets.extend(args.desktop.then(|| ("desktop", true.into())));
    let watches = alert.validate();
    // Options may set targets without setting rules.
    if targets.is_empty() || watches.is_ok() {
        watches?;
        let now = context.now();
        let ledger = context.write()?;
        let provider = alert.provider.clone();
        let outcome = ledger.set_alert(alert, now)?;
        if let Some(provider) = provider {
            hint(provider.as_str(), &ledger, now)?;
        }
        save(&targets, context)?;
        if targets.is_empty() && !alert_delivery::is_configured(context) {
            print_message("alerts are recorded and delivered to nobody: name --command, --webhook or --desktop");
        }
        return answer(&ledger, outcome, context, out);
    }
    let path = save(&targets, context)?;
    Ok(path.map_or(Ok(()), |path| writeln!(out, "{} has the new targets", EscapedText(&path)))?)
}

/// Writes the targets to config.toml.
fn save(targets: &[(&str, toml_edit::Value)], context: &Context) -> Result<Option<String>, Failure> {
    if targets.is_empty() {
        return Ok(None);
    }
    Ok(Some(context.config().write_targets(targets, |path| context.refuse_ledger(path))?.display().to_string()))
}

#[derive(Serialize)]
struct AlertList {
    rules: Vec<AlertRule>,
    fired: Vec<FiredAnswer>,
}

fn list(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let (now, zone) = (context.query_time(&snapshot), context.zone());
    let rules = alert_rules(snapshot.view(), now)?;
    let fired = fired_since(&snapshot, now.plus(-SHOWN), now, zone)?;
    if context.json {
        return JsonAnswer::new(AlertList { rules, fired }).write(out);
    }
    if rules.is_empty() {
        writeln!(out, "no alert is set: `usage-ledger alert set --weekly 80 --usd-day 20 --forecast` sets three")?;
    }
    for rule in &rules {
        let of = rule.provider.as_ref().map_or("all providers", ProviderId::as_str);
        let account = rule.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        let from = match rule.threshold {
            Threshold::Percent(percent) => format!("from {percent} % used"),
            Threshold::Usd(usd) => format!("from {} on, days of {}", dollars(usd), rule.zone),
            Threshold::Forecast => "when it will be used up before it resets".to_owned(),
        };
        writeln!(
            out,
            "{:<10}{of}{account} {from} (position {})",
            rule.condition.name().replace('_', " "),
            rule.position
        )?;
    }
    for one in &fired {
        write_alert(one, zone, out)?;
    }
    Ok(())
}

fn write_alert(one: &FiredAnswer, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    let states: Vec<String> = one.deliveries.iter().map(DeliveryAttempt::in_words).collect();
    let states = if states.is_empty() { "not delivered".to_owned() } else { states.join(", ") };
    let text = format!("{}  {} [{states}]", short(one.at, zone), EscapedText(&one.message));
    for line in wrapped(&text, 80) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct CheckAnswer {
    fired: Vec<FiredAnswer>,
}

fn check(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a check writes")?;
    let ledger = context.write_existing()?;
    let before = ledger.snapshot()?.head()?.position;
    let failed = alert_delivery::run(&ledger, context, &Stop::default())?;
    for failure in &failed {
        print_message(failure);
    }
    let snapshot = ledger.snapshot()?;
    let (now, zone) = (context.now(), context.zone());
    let mut fired = fired_since(&snapshot, now.plus(-SHOWN), now, zone)?;
    fired.retain(|one| one.position > before);
    if context.json {
        JsonAnswer::new(CheckAnswer { fired }).write(out)?;
    } else if fired.is_empty() {
        writeln!(out, "no alert fired")?;
    } else {
        for one in &fired {
            write_alert(one, zone, out)?;
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Finding) }
}

/// Fires rules and delivers pending alerts. A failed delivery is only reported, because the caller has already done its
/// own work.
pub(crate) fn after(ledger: &Ledger, context: &Context) {
    after_until(ledger, context, &Stop::default());
}

/// As [`after`], until the process ends.
pub(crate) fn after_until(ledger: &Ledger, context: &Context, stop: &Stop) {
    if context.is_past() {
        return;
    }
    match alert_delivery::run(ledger, context, stop) {
        Ok(failed) => failed.iter().for_each(|failure| print_message(failure)),
        Err(failure) => {
            failure.message().iter().for_each(|message| print_message(&format!("alerts are not checked: {message}")));
        }
    }
}
