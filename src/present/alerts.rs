//! Alerts in words.

use crate::model::event::{AlertCondition, AlertFired};
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::present::clock::short;
use crate::present::money::dollars;

/// What happened, in one sentence.
pub(crate) fn message(alert: &AlertFired, zone: Zone) -> String {
    let provider = alert.provider.as_ref().map_or("all providers", |provider| provider.as_str());
    let account = alert.account.as_ref().map(|account| format!(" ({account})")).unwrap_or_default();
    let resets = format!("it resets at {}", short(alert.resets_at, zone));
    let percent = alert.percent.map(|percent| format!("{percent} %")).unwrap_or_default();
    let used_up = |at: Option<Timestamp>| at.map(|at| format!(" at {}", short(at, zone))).unwrap_or_default();
    match alert.condition {
        AlertCondition::Session | AlertCondition::Weekly => {
            format!("{provider}{account}: the {} window is at {percent}; {resets}", alert.condition.name())
        }
        AlertCondition::Forecast => format!(
            "{provider}{account}: the {} window is at {percent} and will be used up{}; {resets}",
            alert.window.map_or("open", |window| window.name()),
            used_up(alert.used_up_at)
        ),
        AlertCondition::UsdDay | AlertCondition::UsdWeek | AlertCondition::UsdMonth => {
            let period = match alert.condition {
                AlertCondition::UsdDay => "today",
                AlertCondition::UsdWeek => "this week",
                _ => "this month",
            };
            let amount = |usd: Option<Usd>| usd.map_or_else(|| "an unknown amount".to_owned(), dollars);
            let (spent, limit) = (amount(alert.usd), amount(alert.limit_usd));
            format!("{provider}{account}: {spent} spent {period}, over the alert at {limit}")
        }
    }
}
