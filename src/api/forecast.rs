//! `forecast`: how long each window lasts at the present rate.

use serde::Serialize;

use super::input::{ForecastInput, named};
use crate::budget::ProviderStatus;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{Percent, Position};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::costs;
use crate::usage::Forecast;

/// The forecast for each provider account in the input.
#[derive(Serialize)]
pub(crate) struct ForecastReport {
    now: Timestamp,
    position: Position,
    providers: Vec<SessionForecast>,
}

/// The session window of a provider account, extrapolated from the use of the last hours.
#[derive(Serialize)]
struct SessionForecast {
    provider: String,
    account: Option<String>,
    metered: bool,
    percent: Option<Percent>,
    resets_at: Option<Timestamp>,
    percent_per_hour: Option<Percent>,
    runs_out_at: Option<Timestamp>,
    /// Whether the window resets before it is exhausted; `None` if either time is unknown.
    lasts: Option<bool>,
    /// The forecast of the session in full: with an interval, and what it rests on.
    session: Option<Forecast>,
    /// The forecast of the week.
    weekly: Option<Forecast>,
    gated: bool,
    resumes_at: Option<Timestamp>,
}

impl SessionForecast {
    fn new(status: ProviderStatus) -> Self {
        let ProviderStatus { usage, budget, .. } = status;
        let (session, weekly) = (usage.session.forecast, usage.weekly.forecast);
        Self {
            metered: usage.metered,
            percent: usage.session.used(),
            resets_at: usage.session.resets_at,
            percent_per_hour: session.map(|forecast| forecast.percent_per_hour),
            runs_out_at: session.and_then(|forecast| forecast.used_up_at),
            lasts: session.and_then(|forecast| forecast.before_reset).map(|before| !before),
            session,
            weekly,
            gated: budget.gated,
            resumes_at: budget.resumes_at,
            provider: usage.provider,
            account: usage.account,
        }
    }
}

/// Computes the forecast at a time.
pub(crate) fn answer(snapshot: &Snapshot<'_>, input: &ForecastInput, now: Timestamp) -> Result<ForecastReport> {
    let only = named("provider", input.provider.as_deref())?.map(ProviderId::resolve).transpose()?;
    let all = costs::status(snapshot, now)?.providers.into_iter();
    let meant = all.filter(|status| only.as_ref().is_none_or(|only| status.usage.provider == only.as_str()));
    let providers = meant.map(SessionForecast::new).collect();
    Ok(ForecastReport { now, position: snapshot.head()?.position, providers })
}
