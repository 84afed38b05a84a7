//! `status`: windows, cost and decision of every provider account.

use std::io::Write;

use clap::Args;

use super::context::Context;
use super::import;
use crate::api::confirmed::ConfirmedSpend;
use crate::api::{
    self,
    status::{FutureEvent, StatusState, SuggestedLimit},
};
use crate::budget::{ProviderStatus, Status};
use crate::ledger::FutureEvents;
use crate::model::humanize::number::scaled;
use crate::model::provider::{ProviderId, similar_to};
use crate::model::time::{Timestamp, Zone};
use crate::present::bars;
use crate::present::clock::short;
use crate::present::decision_text;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer, counted, used, wrapped};

/// Show the active provider and the quota windows of every provider
///
/// A switch changes no counter. --since-switch shows the tokens of each provider since the last switch to it.
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:\n  \
    usage-ledger status\n  \
    usage-ledger status anthropic\n  \
    usage-ledger --as-of 2026-06-01T12:00:00Z status --json")]
pub(crate) struct StatusArgs {
    /// Show only this provider
    provider: Option<ProviderId>,
    /// Show the tokens of each provider since the last switch to it
    #[arg(long)]
    since_switch: bool,
}

/// Warns about events with a recording time or a stated time in the future.
pub(crate) fn warn_about_clock(state: &StatusState) {
    if let Some(FutureEvent { position, recorded_at }) = &state.recorded_ahead {
        print_message(&format!(
            "position {position} is recorded at {recorded_at}, which is in the future: a clock was ahead; \
             `usage-ledger doctor` explains the effect"
        ));
    }
    if let Some(FutureEvents { position, occurred_at, events }) = &state.occurred_ahead {
        print_message(&format!(
            "{} at a time in the future, which will count from then on; the first is position {position} at {occurred_at}: \
             `usage-ledger doctor` names a remedy",
            if *events == 1 { "1 event is".to_owned() } else { format!("{} are", counted(*events, "event")) },
        ));
    }
}

pub(crate) fn run(args: &StatusArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    let mut answer = api::status::answer(&snapshot, now)?;
    if let Some(provider) = &args.provider {
        only(provider, &mut answer.state.status)?;
        answer.state.suggested_limits.retain(|one| one.provider == provider.as_str());
        answer.state.confirmed.retain(|one| one.provider == provider.as_str());
    }
    if context.json {
        return JsonAnswer::new(answer).write(out);
    }
    warn_about_clock(&answer.state);
    import::warn_of_outdated(&snapshot, context);
    let (status, suggested, confirmed) = (answer.state.status, answer.state.suggested_limits, answer.state.confirmed);
    let zone = context.zone();
    if status.providers.is_empty() {
        return Ok(writeln!(
            out,
            "nothing recorded yet: `usage-ledger import` reads agents' logs, `usage-ledger record` takes one call"
        )?);
    }
    if args.since_switch {
        return since_switch(&status, zone, out);
    }
    if let Some(pause) = &status.paused {
        for line in wrapped(&decision_text::pause(pause, now, zone), 80) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    for provider in &status.providers {
        one(provider, &status, now, zone, out)?;
    }
    confirmations(&confirmed, out)?;
    offers(&suggested, out)?;
    switches(&status, zone, out)
}

/// The share of spend that statements confirm.
fn confirmations(confirmed: &[ConfirmedSpend], out: &mut dyn Write) -> Result<(), Failure> {
    for one in confirmed {
        let account = one.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        writeln!(out, "confirmed of {}{account}: {}", one.provider, one.text())?;
    }
    Ok(())
}

/// The limits that observations suggest, and the command that sets them.
fn offers(suggested: &[SuggestedLimit], out: &mut dyn Write) -> Result<(), Failure> {
    for one in suggested {
        let account = one.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        let text = format!(
            "{} observations suggest a {} limit of about {} weighted tokens ({} to {}) for {}{account}. `{}` sets it.",
            one.observations,
            one.window.name(),
            scaled(one.limit.into()),
            scaled(one.low.into()),
            scaled(one.high.into()),
            one.provider,
            EscapedText(&one.command)
        );
        for line in wrapped(&text, 80) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Removes the accounts of other providers.
fn only(provider: &ProviderId, status: &mut Status) -> Result<(), Failure> {
    let known: Vec<String> = status.providers.iter().map(|one| one.usage.provider.clone()).collect();
    status.providers.retain(|one| one.usage.provider == provider.as_str());
    if status.providers.is_empty() {
        let near = similar_to(provider.as_str(), known.iter().map(String::as_str));
        let near = near.into_iter().find(|near| known.contains(near));
        let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        return Err(Failure::usage(format!("the ledger has nothing about the provider `{provider}`{hint}")));
    }
    Ok(())
}

/// Formats `* anthropic (work)  undeclared`.
pub(crate) fn title(provider: &ProviderStatus, status: &Status) -> String {
    let usage = &provider.usage;
    let active = status.active_provider.as_deref() == Some(&usage.provider);
    let account = usage.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
    let undeclared = if usage.declared { "" } else { ", undeclared" };
    let active = if active { ", active" } else { "" };
    format!("{}{account}{active}{undeclared}", usage.provider)
}

fn one(
    provider: &ProviderStatus,
    status: &Status,
    now: Timestamp,
    zone: Zone,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (usage, verdict) = (&provider.usage, &provider.budget);
    writeln!(out, "{}", title(provider, status))?;
    for (name, window) in [("session", &usage.session), ("weekly", &usage.weekly)] {
        let [first, second] = bars::lines(name, window, now, zone);
        writeln!(out, "{first}\n{second}")?;
        if let Some(reading) = decision_text::reading(window, now).filter(|_| usage.metered) {
            print_named("", &reading, out)?;
        }
    }
    for pool in &usage.pools {
        writeln!(out, "{}", bars::pool(pool, now, zone))?;
    }
    for money in &provider.money {
        writeln!(out, "{}", bars::money(money, now, zone))?;
    }
    if usage.reserved > 0 {
        writeln!(out, "  reserved {} for calls in progress", counted(usage.reserved, "limit token"))?;
    }
    writeln!(out, "  all time {}", used(&usage.all_time))?;
    for refused in usage.exhausted.iter().chain(&usage.exhausted_models) {
        print_named("refused", &decision_text::refusal(refused, now, zone), out)?;
    }
    if let Some(forecast) = &usage.session.forecast {
        let outlook = decision_text::outlook(forecast, usage.session.resets_at, now, zone);
        let parts = [Some(decision_text::rate(forecast)), outlook].into_iter().flatten().collect::<Vec<_>>();
        print_named("burn", &parts.join(", "), out)?;
    }
    if let Some(risk) = usage
        .weekly
        .forecast
        .and_then(|print_named| decision_text::risk(&print_named, usage.weekly.resets_at, now, zone))
    {
        print_named("", &format!("week: {risk}"), out)?;
    }
    let gate = if verdict.gated { " (gated)" } else { "" };
    writeln!(out, "  mode     {}{gate}", verdict.mode.name())?;
    for line in wrapped(&EscapedText(&verdict.reason).to_string(), 69) {
        writeln!(out, "           {line}")?;
    }
    if !verdict.warnings.is_empty() {
        let count = counted(verdict.warnings.len() as u64, "warning");
        writeln!(out, "  {count}: see `usage-ledger gate {} --explain`", usage.provider)?;
    }
    Ok(writeln!(out)?)
}

/// Prints a text after its name, with further lines indented.
fn print_named(name: &str, text: &str, out: &mut dyn Write) -> Result<(), Failure> {
    for (number, line) in wrapped(text, 69).into_iter().enumerate() {
        writeln!(out, "  {:<9}{line}", if number == 0 { name } else { "" })?;
    }
    Ok(())
}

fn switches(status: &Status, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(last) = status.timeline.last() else { return Ok(writeln!(out, "no switch yet")?) };
    let from = last.switch.from.as_ref().map(|from| format!("{from} -> ")).unwrap_or_default();
    let why = last.switch.reason.as_ref().map(|reason| format!(": {}", EscapedText(reason))).unwrap_or_default();
    let count = u64::try_from(status.switches).unwrap_or(u64::MAX);
    Ok(writeln!(
        out,
        "{}; the last {}, {from}{}{why}",
        match count {
            1 => "1 switch".to_owned(),
            _ => format!("{count} switches"),
        },
        short(last.at, zone),
        last.switch.to
    )?)
}

fn since_switch(status: &Status, zone: Zone, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "used since work last switched to each provider")?;
    for provider in &status.providers {
        let since = match &provider.usage.since_switch {
            None => format!("never switched to; all time {}", used(&provider.usage.all_time)),
            Some(usage) => {
                let arrived =
                    status.timeline.iter().rev().find(|switch| switch.switch.to.as_str() == provider.usage.provider);
                let since = arrived.map(|switch| format!(" since {}", short(switch.at, zone))).unwrap_or_default();
                format!("{}{since}", used(usage))
            }
        };
        writeln!(out, "  {}\n    {since}", title(provider, status))?;
    }
    Ok(())
}
