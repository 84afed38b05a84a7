//! `limit show`: the limits in force.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use crate::budget::Marks;
use crate::ledger::Snapshot;
use crate::model::event::{AccountRef, BudgetMode, Position, SessionPolicy, Thresholds, WeeklyPolicy, Weights};
use crate::model::provider::ProviderId;
use crate::model::time::{SECOND, Timestamp};
use crate::model::tokens::{TokenClass, Usd};
use crate::present::failure::Failure;
use crate::present::money::dollars;
use crate::present::output::{EscapedText, JsonAnswer, grouped};
use crate::usage::{AccountAt, Limits, MoneyLimit, MoneyPeriod, accounts, money_limits};

/// Show the limits in force
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger limit show anthropic")]
pub(crate) struct LimitShowArgs {
    /// Only this provider
    provider: Option<ProviderId>,
}

/// The limits of one account.
#[derive(Serialize)]
struct LimitAnswer {
    provider: String,
    account: Option<String>,
    session: WindowLimit<SessionPolicy>,
    weekly: WindowLimit<WeeklyPolicy>,
    weights: Weights,
    budget_mode: BudgetMode,
    thresholds: Thresholds,
    /// The percentage used at which each mode begins.
    begins: Marks,
    stale_after_seconds: i64,
    feeds: String,
    money: Vec<MoneyLimitAnswer>,
}

/// A money limit.
#[derive(Serialize)]
struct MoneyLimitAnswer {
    period: MoneyPeriod,
    project: Option<String>,
    limit_usd: Usd,
    zone: String,
    /// The event that set the limit.
    position: Position,
}

impl From<MoneyLimit> for MoneyLimitAnswer {
    fn from(limit: MoneyLimit) -> Self {
        let MoneyLimit { period, project, usd, zone, position } = limit;
        Self { period, project, limit_usd: usd, zone: zone.to_string(), position }
    }
}

#[derive(Serialize)]
struct WindowLimit<P> {
    limit: Option<u64>,
    /// The event that set the limit.
    position: Option<Position>,
    policy: P,
}

#[derive(Serialize)]
struct LimitList {
    limits: Vec<LimitAnswer>,
}

pub(crate) fn show(args: &LimitShowArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let limits = gather(args.provider.as_ref(), &snapshot, context.query_time(&snapshot))?;
    if context.json {
        return JsonAnswer::new(LimitList { limits }).write(out);
    }
    if limits.is_empty() {
        return Ok(writeln!(
            out,
            "no provider is known yet: `usage-ledger limit set PROVIDER --session N` sets a limit"
        )?);
    }
    for shown in &limits {
        human(shown, out)?;
    }
    Ok(())
}

fn gather(provider: Option<&ProviderId>, snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Vec<LimitAnswer>, Failure> {
    let mut known = accounts(snapshot.view())?;
    if let Some(provider) = provider {
        known.retain(|account| account.provider == provider.as_str());
        if known.is_empty() {
            known.push(AccountRef::new(provider.as_str(), None).into_owned());
        }
    }
    let mut all = Vec::new();
    for account in known {
        let at = AccountAt::new(snapshot.view(), &account, now);
        let limits = Limits::at(at)?;
        let thresholds = limits.thresholds.map(|(at, _)| at).unwrap_or_default();
        let money = money_limits(at)?.into_iter().map(MoneyLimitAnswer::from).collect();
        all.push(LimitAnswer {
            provider: account.provider.into_owned(),
            account: account.account.map(std::borrow::Cow::into_owned),
            session: WindowLimit {
                limit: limits.session.map(|(tokens, _)| tokens),
                position: limits.session.map(|(_, position)| position),
                policy: limits.session_policy,
            },
            weekly: WindowLimit {
                limit: limits.weekly.map(|(tokens, _)| tokens),
                position: limits.weekly.map(|(_, position)| position),
                policy: limits.weekly_policy,
            },
            budget_mode: limits.budget_mode.map(|(mode, _)| mode).unwrap_or_default(),
            thresholds,
            begins: Marks::of(thresholds),
            stale_after_seconds: limits.stale_after() / SECOND,
            feeds: limits.feeds.unwrap_or_else(|| "any".to_owned()),
            weights: limits.weights,
            money,
        });
    }
    Ok(all)
}

fn human(shown: &LimitAnswer, out: &mut dyn Write) -> Result<(), Failure> {
    let account = shown.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
    writeln!(out, "{}{account}", shown.provider)?;
    let limit = |limit: Option<u64>, position: Option<Position>| match (limit, position) {
        (Some(tokens), Some(position)) => format!("{} weighted tokens (position {position})", grouped(tokens)),
        _ => "no limit".to_owned(),
    };
    let (session, weekly) = (&shown.session, &shown.weekly);
    writeln!(out, "  session  {}\n           {}", limit(session.limit, session.position), session.policy)?;
    writeln!(out, "  weekly   {}\n           {}", limit(weekly.limit, weekly.position), weekly.policy)?;
    for money in &shown.money {
        let project =
            money.project.as_ref().map(|project| format!(" for {}", EscapedText(project))).unwrap_or_default();
        let (period, usd, zone) = (money.period.name(), dollars(money.limit_usd), &money.zone);
        writeln!(out, "  money    {usd} a {period} of {zone}{project} (position {})", money.position)?;
    }
    let weights: Vec<String> =
        TokenClass::ALL.iter().map(|class| format!("{} {}", class.name(), shown.weights.get(*class))).collect();
    let (first, second) = weights.split_at(weights.len().div_ceil(2));
    writeln!(out, "  weights  {},\n           {}", first.join(", "), second.join(", "))?;
    writeln!(out, "  gate     {}: {}", shown.budget_mode.name(), shown.begins)?;
    let Thresholds { warn, stop, margin, .. } = shown.thresholds;
    if margin > 0 {
        writeln!(
            out,
            "           (warn {warn} %, stop {stop} %, each begins when use and a margin of {margin} % pass it)"
        )?;
    }
    Ok(writeln!(out, "  feeds    {}, fresh for {} s", EscapedText(&shown.feeds), shown.stale_after_seconds)?)
}
