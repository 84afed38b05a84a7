//! `quota show`: the windows of a provider, and who used its tokens in the last seven days.

use std::io::Write;

use serde::Serialize;

use super::context::Context;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::humanize::number;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::duration;
use crate::present::decision_text;
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer};
use crate::readers::price::Prices;
use crate::report::{DateWindow, Granularity, Report, ReportKey, ReportRow};
use crate::usage::{Basis, Pool, ProviderUsage, Usage, WindowUsage};

/// Maximum number of projects and models to list.
const PROJECTS: usize = 3;
const MODELS: usize = 2;

/// A project or model, and its usage.
#[derive(Serialize)]
struct PoolShare {
    name: String,
    #[serde(flatten)]
    usage: Usage,
}

/// The content of the page.
#[derive(Serialize)]
struct QuotaPage {
    now: Timestamp,
    provider: String,
    accounts: Vec<ProviderUsage>,
    /// Of the last seven days.
    top_projects: Vec<PoolShare>,
    top_models: Vec<PoolShare>,
    today: Usage,
    cache_hit_rate_today: f64,
}

/// Prints a provider's quota; by default that of the active provider.
pub(crate) fn show(
    provider: Option<&ProviderId>,
    context: &Context,
    out: &mut dyn Write,
) -> std::result::Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let (now, zone) = (context.query_time(&snapshot), context.zone());
    let Some(page) = gather(&snapshot, provider, now, zone)? else {
        return Err(Failure::usage(
            "no provider is worked with yet: name one, as in `usage-ledger quota show anthropic`",
        ));
    };
    if context.json { JsonAnswer::new(page).write(out) } else { human(&page, now, zone, out) }
}

fn gather(
    snapshot: &Snapshot<'_>,
    provider: Option<&ProviderId>,
    now: Timestamp,
    zone: Zone,
) -> Result<Option<QuotaPage>> {
    let status = snapshot.status(now)?;
    let Some(provider) = provider.map(|id| id.as_str().to_owned()).or(status.active_provider) else { return Ok(None) };
    let mut accounts: Vec<_> = status.providers.into_iter().map(|one| one.usage).collect();
    accounts.retain(|account| account.provider == provider);
    if accounts.is_empty() {
        accounts.push(snapshot.provider(&provider, now)?);
    }
    let today = zone.day(now);
    let report = |days: i64, keys: Option<ReportKey>| {
        let report = Report::by_all(keys).prices(Prices::none()).tz(zone).days(DateWindow::ending(
            today,
            days,
            0,
            Granularity::Day,
        ));
        snapshot.report(&report.only(ReportKey::Provider, &*provider)?)
    };
    let top_projects = report(7, Some(ReportKey::Project))?.top(PROJECTS).into_iter().map(pool_share).collect();
    let top_models = report(7, Some(ReportKey::Model))?.top(MODELS).into_iter().map(pool_share).collect();
    let today = report(1, None)?.total;
    let cache_hit_rate_today = today.tokens.cache_hit_rate();
    Ok(Some(QuotaPage { now, provider, accounts, top_projects, top_models, today, cache_hit_rate_today }))
}

fn pool_share(row: &ReportRow) -> PoolShare {
    let name = row.keys.first().and_then(Option::as_deref).unwrap_or("-");
    PoolShare { name: name.to_owned(), usage: row.usage }
}

fn human(page: &QuotaPage, now: Timestamp, zone: Zone, out: &mut dyn Write) -> std::result::Result<(), Failure> {
    for account in &page.accounts {
        let name = account.account.as_ref().map(|name| format!(" ({})", EscapedText(name))).unwrap_or_default();
        writeln!(out, "{}{name}", account.provider)?;
        for (name, window) in [("session", &account.session), ("weekly", &account.weekly)] {
            writeln!(out, "  {name:<8} {}", line(window, now))?;
        }
        for pool in &account.pools {
            writeln!(out, "  {:<8} {}", decision_text::pool(pool), pool_line(pool, now))?;
        }
        for refused in account.exhausted.iter().chain(&account.exhausted_models) {
            writeln!(out, "  {}", decision_text::refusal(refused, now, zone))?;
        }
    }
    shares("projects, 7 days", &page.top_projects, &|name| EscapedText(name).to_string(), out)?;
    shares("models, 7 days", &page.top_models, &|name| EscapedText(number::family(name)).to_string(), out)?;
    let cost = page.today.cost.reported_usd.map(|usd| format!(", ${usd} reported")).unwrap_or_default();
    writeln!(
        out,
        "today: {} tokens{cost}, {:.0} % of the input from a cache",
        number::tokens(page.today.tokens.total()),
        page.cache_hit_rate_today * 100.0
    )?;
    let observed = |window: &WindowUsage| matches!(window.basis, Basis::Observed | Basis::ObservedAndDelta);
    if !page.accounts.iter().any(|account| observed(&account.session) || observed(&account.weekly)) {
        writeln!(out, "estimates: the provider reported nothing")?;
    }
    Ok(())
}

fn line(window: &WindowUsage, now: Timestamp) -> String {
    if window.basis == Basis::Unmetered {
        return format!("no API quota, {} tokens", number::tokens(window.weighted));
    }
    let of = window.limit.map(|limit| format!(" of {}", number::tokens(limit))).unwrap_or_default();
    let used = format!("{}{of}, {} runs", number::tokens(window.weighted), window.usage.requests);
    let left = window.resets_at.map(|at| format!(", {} left", duration(now, at))).unwrap_or_default();
    match window.used() {
        Some(percent) => format!("{} {percent} %  {used}{left}", number::bar(percent.whole())),
        None => format!("no limit known, {used}{left}"),
    }
}

/// Formats a window other than the session and weekly windows: of one model, or of another length.
fn pool_line(pool: &Pool, now: Timestamp) -> String {
    let used = pool
        .percent
        .map_or_else(|| "use not stated".to_owned(), |percent| format!("{} {percent} %", number::bar(percent.whole())));
    let left = pool.resets_at.map(|at| format!(", {} left", duration(now, at))).unwrap_or_default();
    format!("{used}{left}{}", if pool.stale { " (old)" } else { "" })
}

fn shares(
    title: &str,
    shares: &[PoolShare],
    name: &dyn Fn(&str) -> String,
    out: &mut dyn Write,
) -> std::result::Result<(), Failure> {
    if shares.is_empty() {
        return Ok(());
    }
    let named = |share: &PoolShare| format!("{} {}", name(&share.name), number::tokens(share.usage.tokens.total()));
    Ok(writeln!(out, "{title}: {}", shares.iter().map(named).collect::<Vec<_>>().join(", "))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::model::event::LimitSet;
    use crate::model::event::TokenRecord;
    use crate::model::tokens::TokenClass;

    #[test]
    fn the_page_names_the_largest_shares() {
        let now: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        ledger.set_limit(LimitSet::new("anthropic").unwrap().session(1_000), now.plus(-2)).unwrap();
        for (n, model) in
            ["claude-opus-4-5", "claude-haiku-4-5", "claude-sonnet-4", "claude-opus-4-5"].iter().enumerate()
        {
            let call = TokenRecord::new("anthropic", *model).project(format!("p{n}"));
            let call = call.input(100 + n as u64).count(TokenClass::CacheRead, 100 + n as u64);
            ledger.record(call, now.plus(-1)).unwrap();
        }
        let snapshot = ledger.snapshot().unwrap();
        let page = gather(&snapshot, None, now, Zone::UTC).unwrap().unwrap();
        assert_eq!((page.top_projects.len(), page.top_models.len()), (PROJECTS, MODELS));
        let mut out = Vec::new();
        assert!(human(&page, now, Zone::UTC, &mut out).is_ok());
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("anthropic\n  session  ●●●●○○○○○○ 40 %  406 of 1.0k, 4 runs, 4h 59m left\n"),
            "{text}"
        );
        assert!(text.contains("projects, 7 days: p3 206, p2 204, p1 202\n"), "{text}");
        assert!(text.contains("models, 7 days: Opus 406, Sonnet 204\n"), "{text}");
        assert!(text.contains("today: 812 tokens, 50 % of the input from a cache\n"), "{text}");
    }
}
