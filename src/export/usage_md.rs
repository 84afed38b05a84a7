use std::io::Write;

use super::{ExportError, ExportOptions, Exporter};
use crate::budget::ProviderStatus;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::humanize::duration::countdown;
use crate::model::humanize::number;
use crate::model::time::{HOUR, Timestamp, Zone};
use crate::model::tokens::TokenClass;
use crate::readers::price::Prices;
use crate::report::{DateWindow, Granularity, Report, ReportKey};
use crate::usage::{Basis, TokenSums, WindowUsage};

/// Exports the page through which Koan's parts share percentages, for the active provider: two lines of percentages,
/// and comments with their origin.
///
/// Its reader accepts whole percentages only, and assumes 75 % if it finds neither line. So an unknown percentage is
/// written as 0, with a comment.
pub(super) struct UsageMdExport;

impl Exporter for UsageMdExport {
    fn name(&self) -> &'static str {
        "usage-md"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        self.export_with(snapshot, &ExportOptions::default(), out)
    }

    fn export_with(
        &self,
        snapshot: &Snapshot<'_>,
        options: &ExportOptions,
        out: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let now = options.now(snapshot)?;
        let status = snapshot.status(now)?;
        let provider = options.provider.clone().or(status.active_provider);
        // Of several accounts, use the most restrictive one.
        let account = status
            .providers
            .into_iter()
            .filter(|one| Some(&one.usage.provider) == provider.as_ref())
            .max_by_key(|one| one.usage.session.used());
        let cache = match &provider {
            None => TokenSums::default(),
            Some(provider) => today(snapshot, provider, now, options.zone)?,
        };
        write!(out, "{}", page(account.as_ref(), provider.as_deref(), &cache, now, options.zone))?;
        Ok(())
    }
}

/// Returns the tokens of the local day.
fn today(snapshot: &Snapshot<'_>, provider: &str, now: Timestamp, zone: Zone) -> Result<TokenSums> {
    let day = DateWindow::ending(zone.day(now), 1, 0, Granularity::Day);
    let report = Report::by_all([]).prices(Prices::none()).tz(zone).days(day).only(ReportKey::Provider, provider)?;
    Ok(snapshot.report(&report)?.total.tokens)
}

fn page(
    account: Option<&ProviderStatus>,
    provider: Option<&str>,
    cache: &TokenSums,
    now: Timestamp,
    zone: Zone,
) -> String {
    let windows = account.map(|account| (&account.usage.session, &account.usage.weekly));
    let (session, weekly) = (windows.map(|(session, _)| session), windows.map(|(_, weekly)| weekly));
    let mut page = String::from("# Usage\n\n");
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("Session (5hr) : ~{}% (reset in {})", percent(session), session_left(session, now)));
    line(format!("Weekly (7 day) : ~{}% (Resets in {})", percent(weekly), weekly_left(weekly, now, zone)));
    let (read, created) = (cache.get(TokenClass::CacheRead), cache.cache_write());
    if read > 0 || created > 0 {
        line(format!(
            "Cache: {:.0}% hit rate ({} read / {} created)",
            cache.cache_hit_rate() * 100.0,
            number::tokens(read),
            number::tokens(created)
        ));
    }
    line(String::new());
    line(format!("<!-- Generated: {} -->", zone.local(now).format("%Y-%m-%dT%H:%M:%S")));
    let source =
        if session.is_some_and(is_observed) || weekly.is_some_and(is_observed) { "oauth_usage" } else { "heuristic" };
    line(format!("<!-- Usage source: {source} -->"));
    for (name, window) in [("Session", session), ("Weekly", weekly)] {
        let used = number::grouped(window.map_or(0, |window| window.weighted));
        let limit = window.and_then(|window| window.limit).map_or_else(|| "unknown".to_owned(), number::grouped);
        line(format!("<!-- {name} tokens: {used} / {limit} -->"));
    }
    line(format!("<!-- Runs this session: {} -->", session.map_or(0, |window| window.usage.requests)));
    if let Some(provider) = provider {
        line(format!("<!-- Provider: {provider} -->"));
    }
    if account.is_some_and(|account| !account.usage.metered) {
        line("<!-- No API quota: the percentages above are 0 for lack of one -->".to_owned());
    } else if [session, weekly].iter().any(|window| window.is_none_or(|window| window.used().is_none())) {
        line("<!-- A percentage that is not known is written as 0 -->".to_owned());
    }
    page
}

const fn is_observed(window: &WindowUsage) -> bool {
    matches!(window.basis, Basis::Observed | Basis::ObservedAndDelta)
}

/// Rounds to whole percent: half to even for a provider's percentage. An estimate is whole already.
fn percent(window: Option<&WindowUsage>) -> u32 {
    let Some(percent) = window.and_then(WindowUsage::used) else { return 0 };
    let (whole, rest) = (percent.whole(), percent.hundredths() % 100);
    if rest > 50 || (rest == 50 && whole % 2 == 1) { whole + 1 } else { whole }
}

fn left(window: Option<&WindowUsage>, now: Timestamp) -> Option<i64> {
    window.and_then(|window| window.resets_at).map(|at| at.millis().saturating_sub(now.millis()).max(0))
}

fn session_left(window: Option<&WindowUsage>, now: Timestamp) -> String {
    // A window that is not open yet has its full five hours left.
    countdown(Some(left(window, now).unwrap_or(5 * HOUR)))
}

fn weekly_left(window: Option<&WindowUsage>, now: Timestamp, zone: Zone) -> String {
    match window {
        Some(seen) if is_observed(seen) => countdown(left(window, now)),
        // The reset of an estimated window is shown in days; midnight belongs to the day that it begins.
        _ => match window.and_then(|window| window.resets_at) {
            Some(at) => format!("{}d", (zone.day(at) - zone.day(now)).num_days().max(0)),
            None => format!("{}d", (Zone::monday(zone.day(now)) - zone.day(now)).num_days() + 7),
        },
    }
}
