//! `limit`: token limits, class weights and window policies of a provider account.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::amend_void::answer;
use super::context::Context;
use super::limit_show;
use super::plans;
use super::record::hint;
use super::record_flags::count;
use crate::budget::{BudgetSettings, Marks};
use crate::ledger::Snapshot;
use crate::model::error::Error;
use crate::model::event::{AccountRef, BudgetMode, EventData, LimitSet, Thresholds, Weights, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::present::failure::{Failure, print_message};
use crate::present::money::dollars;
use crate::present::output::grouped;
use crate::present::policy::{ResettableSetting, SessionOpens, WeeklyOpens};
use crate::readers::quota::QuotaFormat;
use crate::report::ReportKey;
use crate::report::names::{CompletedName, project_name, taken_for};
use crate::usage::{AccountAt, Limits};
use clap::{Args, Subcommand};

/// Set or show the limits of providers
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger limit set anthropic --session 500000 --weekly 5000000")]
pub(crate) struct LimitArgs {
    #[command(subcommand)]
    command: LimitCommand,
}

#[derive(Debug, Subcommand)]
enum LimitCommand {
    Set(Box<LimitSetArgs>),
    Show(limit_show::LimitShowArgs),
}

/// Set limits; options that you do not give are unchanged
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger limit set anthropic --session 500000 --weekly-opens \"mon 09:00 Europe/Paris\"\n  \
    usage-ledger limit set openai --weight cache_read=0.1 --weight output=4\n  \
    usage-ledger limit set anthropic --warn 70 --stop 90\n  \
    usage-ledger limit set anthropic --usd-day 20 --usd-month 400\n  \
    usage-ledger limit set anthropic --project acme --usd-month 50\n  \
    usage-ledger limit set anthropic --from-observations\n  \
    yq -o json config.yaml | usage-ledger limit set anthropic --settings -\n  \
    usage-ledger limit set anthropic --unset weekly")]
struct LimitSetArgs {
    /// The provider
    provider: ProviderId,
    /// The account [default: every account without its own limit]
    #[arg(long)]
    account: Option<String>,
    /// Weighted tokens in a session window
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    session: Option<u64>,
    /// Weighted tokens in a weekly window
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    weekly: Option<u64>,
    /// Set the session and weekly limits that fit the provider's observed percentages, as `doctor` computes them
    #[arg(long, conflicts_with_all = ["session", "weekly"])]
    from_observations: bool,
    /// Set the money limit of a plan that its provider documents: github-copilot pro, pro-plus, max; cursor pro, pro-plus, ultra
    #[arg(long, value_name = "NAME", conflicts_with = "usd_month")]
    plan: Option<String>,
    #[command(flatten)]
    money: MoneyArgs,
    /// The weight of a token class; may be repeated; other classes keep their default weight
    #[arg(long, value_name = "CLASS=W")]
    weight: Vec<String>,
    /// How session windows open if the provider does not report it
    #[arg(long, value_name = "POLICY")]
    session_policy: Option<SessionOpens>,
    /// Length of session windows in minutes
    #[arg(long, value_name = "N", default_value_t = 300, requires = "session_policy")]
    session_minutes: u32,
    /// When weekly windows open: first-use, or a weekday, time and zone
    #[arg(long, value_name = "WHEN")]
    weekly_opens: Option<WeeklyOpens>,
    #[arg(
        long,
        value_name = "MODE",
        help = "The windows that gate this provider: full (session and week), session_only or disabled"
    )]
    budget_mode: Option<BudgetMode>,
    /// From this percentage used, the mode is implement; below it, deep [default: 51]
    #[arg(long, value_name = "PERCENT")]
    implement: Option<u8>,
    /// From this percentage used, the mode is review [default: 61]
    #[arg(long, value_name = "PERCENT")]
    warn: Option<u8>,
    /// From this percentage used, runs wait [default: 76]
    #[arg(long, value_name = "PERCENT")]
    stop: Option<u8>,
    /// Begin each mode this many percentage points earlier
    ///
    /// Without --margin, --implement, --warn and --stop are the percentages used at which their modes begin. With a margin,
    /// a mode begins when use plus margin exceeds its percentage: --warn 70 --stop 85 --margin 10 begins review at 61 % and
    /// wait at 76 %, which is the default. The margin also reduces what a run may cost.
    #[arg(long, value_name = "POINTS")]
    margin: Option<u8>,
    /// Seconds for which a reading of the provider counts as fresh
    #[arg(long, value_name = "SECONDS")]
    stale_after: Option<u32>,
    /// The feeds whose observations count: any, none, or the name of one feed
    #[arg(long, value_name = "FEED", value_parser = feed)]
    feeds: Option<String>,
    /// Read the settings of an agent from a JSON file with Koan's keys `usage` and `budget`; - is stdin
    ///
    /// Other options take precedence over the file. The command names values that it cannot use, and keeps their defaults.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["implement", "warn", "stop", "margin"])]
    settings: Option<PathBuf>,
    /// Restore the default of a setting; may be repeated
    #[arg(long, value_name = "SETTING")]
    unset: Vec<ResettableSetting>,
}

/// Money limits. Costs are those of the price list; days begin at midnight in --tz.
#[derive(Args, Debug)]
struct MoneyArgs {
    /// Maximal cost of the calls of a day, in US dollars
    #[arg(long, value_name = "USD")]
    usd_day: Option<Usd>,
    /// Maximal cost of the calls of a week, which begins on Monday
    #[arg(long, value_name = "USD")]
    usd_week: Option<Usd>,
    /// Maximal cost of the calls of a calendar month
    #[arg(long, value_name = "USD")]
    usd_month: Option<Usd>,
    /// The project to which these money limits apply; the end of its path is enough
    #[arg(long, value_parser = super::record_flags::text)]
    project: Option<String>,
}

impl MoneyArgs {
    const fn is_given(&self) -> bool {
        self.usd_day.is_some() || self.usd_week.is_some() || self.usd_month.is_some()
    }
}

/// Parses a feed: a format of `quota observe`, or a feed of an importer.
fn feed(name: &str) -> Result<String, String> {
    let formats = QuotaFormat::ALL.iter().map(|format| format.name());
    if ["any", "none", "probe"].into_iter().chain(crate::import::feeds()).chain(formats).any(|feed| feed == name) {
        Ok(name.to_owned())
    } else {
        Err("it is no feed: write any, none or a format of `quota observe`".to_owned())
    }
}

pub(crate) fn run(args: LimitArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        LimitCommand::Set(args) => set(*args, context, out),
        LimitCommand::Show(args) => limit_show::show(&args, context, out),
    }
}

fn set(args: LimitSetArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let weights = (!args.weight.is_empty()).then(|| Weights::parse(args.weight.iter().map(String::as_str)));
    let provider = args.provider.as_str().to_owned();
    let agents = match &args.settings {
        Some(path) => agents_settings(path, &provider, context)?,
        None => LimitSet::new(&provider)?,
    };
    let mut limit = LimitSet {
        provider: args.provider,
        account: args.account,
        session: args.session.or(agents.session),
        weekly: args.weekly.or(agents.weekly),
        weights: weights.transpose()?,
        session_policy: args.session_policy.map(|opens| opens.policy(args.session_minutes)),
        weekly_policy: args.weekly_opens.map(|opens| opens.policy(|| context.zone())).transpose()?,
        budget_mode: args.budget_mode.or(agents.budget_mode),
        thresholds: agents.thresholds,
        stale_after_seconds: args.stale_after.or(agents.stale_after_seconds),
        feeds: args.feeds.or(agents.feeds),
        usd_zone: args.money.is_given().then(|| context.zone()),
        project: args.money.project,
        usd_day: args.money.usd_day,
        usd_week: args.money.usd_week,
        usd_month: args.money.usd_month,
        unset: args.unset.into_iter().map(Into::into).collect(),
    };
    let now = context.now();
    if let Some(plan) = &args.plan {
        let (usd, source) = plans::find(&provider, plan)?;
        print_message(&format!("the plan {plan} of {provider} includes {} a month ({source})", dollars(usd)));
        (limit.usd_month, limit.usd_zone) = (Some(usd), limit.usd_zone.or(Some(Zone::UTC)));
    }
    if args.from_observations {
        fit(&mut limit, context, now)?;
    }
    if let Some(project) = limit.project.take() {
        let ledger = context.read()?;
        limit.project = Some(project_of(&project, &ledger.snapshot()?)?);
    }
    let given = ThresholdArgs { implement: args.implement, warn: args.warn, stop: args.stop, margin: args.margin };
    if given.is_empty() {
        limit.validate()?;
    } else {
        // Refuse limits that are invalid with any earlier setting, before a ledger is created.
        LimitSet { thresholds: Some(given.most_permissive()?), ..limit.clone() }.validate()?;
    }
    let ledger = context.write()?;
    if !given.is_empty() {
        let account = AccountRef::new(&provider, limit.account.as_deref()).into_owned();
        let snapshot = ledger.snapshot()?;
        let limits = Limits::at(AccountAt::new(snapshot.view(), &account, now))?;
        let earlier = limits.thresholds.map(|(at, _)| at).unwrap_or_default();
        limit.thresholds = Some(given.applied_to(earlier)?);
    }
    let outcome = ledger.set_limit(limit, now)?;
    hint(&provider, &ledger, now)?;
    answer(&ledger, outcome, context, out)
}

/// The full name of a project. Says which name is taken, or that no call has it: the limit then waits for calls.
fn project_of(project: &str, snapshot: &Snapshot<'_>) -> Result<String, Failure> {
    let (full, note) = match snapshot.complete_project(project)? {
        CompletedName::Known => return Ok(project.to_owned()),
        CompletedName::Completed(full) => {
            let note = taken_for(&ReportKey::Project, project, &full);
            (full, note)
        }
        CompletedName::Unknown { note, .. } => (project_name(project).to_owned(), note),
    };
    print_message(&note);
    Ok(full)
}

/// Sets the limits that the provider's observed percentages suggest.
fn fit(limit: &mut LimitSet, context: &Context, now: Timestamp) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = ledger.snapshot()?;
    let (provider, account) = (limit.provider.as_str(), limit.account.as_deref());
    let fitted = |kind| -> Result<Option<u64>, Failure> {
        let fit = snapshot.calibration(provider, account, kind, now)?.filter(|fit| fit.high < u64::MAX);
        if let Some(fit) = &fit {
            print_message(&format!(
                "{} limit: {} weighted tokens ({} to {}, with 95 % confidence), fitted from {} observations",
                kind.name(),
                grouped(fit.limit),
                grouped(fit.low),
                grouped(fit.high),
                fit.observations
            ));
        }
        Ok(fit.map(|fit| fit.limit))
    };
    let (session, weekly) = (fitted(WindowKind::Session)?, fitted(WindowKind::Weekly)?);
    if session.is_none() && weekly.is_none() {
        let of = account.map(|account| format!(" ({account})")).unwrap_or_default();
        return Err(Failure::usage(format!(
            "too few observations of {provider}{of} lie beside recorded calls to fit a limit: `usage-ledger doctor` shows \
             what is known, `usage-ledger limit set {provider} --session N` states a limit"
        )));
    }
    (limit.session, limit.weekly) = (session, weekly);
    Ok(())
}

/// Reads the limits in an agent's settings. Invalid values are reported.
fn agents_settings(path: &Path, provider: &str, context: &Context) -> Result<LimitSet, Failure> {
    const LONGEST: u64 = 1 << 20;
    let mut text = String::new();
    let read = super::input_lines::open(path, context)?.take(LONGEST).read_to_string(&mut text);
    read.map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let settings: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}: --settings reads a JSON object", path.display())))?;
    if !settings.is_object() {
        return Err(Failure::usage(format!("{}: --settings reads a JSON object, and this is none", path.display())));
    }
    let settings = BudgetSettings::from_json(&settings);
    for warning in &settings.warnings {
        print_message(warning);
    }
    Ok(settings.limit_set(provider)?)
}

/// The thresholds on the command line.
#[derive(Clone, Copy, PartialEq)]
struct ThresholdArgs {
    implement: Option<u8>,
    warn: Option<u8>,
    stop: Option<u8>,
    margin: Option<u8>,
}

impl ThresholdArgs {
    const fn is_empty(self) -> bool {
        matches!(self, Self { implement: None, warn: None, stop: None, margin: None })
    }

    /// Returns the given thresholds, with every other one at its maximum.
    fn most_permissive(self) -> crate::Result<Thresholds> {
        let at = Thresholds::new(self.warn.unwrap_or(0), self.stop.unwrap_or(100), self.margin.unwrap_or(0))?;
        self.implement.map_or(Ok(at), |percent| at.implement_from(percent))
    }

    /// Applies these thresholds to earlier ones.
    ///
    /// With a margin, missing thresholds keep their stated values. Without one, every percentage is where its mode
    /// begins, so missing thresholds keep the begin of their mode.
    fn applied_to(self, earlier: Thresholds) -> crate::Result<Thresholds> {
        if let Some(margin) = self.margin {
            let at = Thresholds::new(self.warn.unwrap_or(earlier.warn), self.stop.unwrap_or(earlier.stop), margin)?;
            return self.implement.map_or(Ok(at), |percent| at.implement_from(percent));
        }
        let now = Marks::of(earlier);
        let stop = self.stop.or(now.wait).unwrap_or(100);
        // A mode that is not given yields to the given one.
        let warn = self.warn.unwrap_or_else(|| now.review.unwrap_or(100).min(stop));
        let implement = self.implement.unwrap_or_else(|| now.implement.unwrap_or(100));
        Thresholds::new(warn, stop, 0)?.implement_from(implement)
    }
}
