//! Summarises an event in one line.

use crate::model::event::{LimitSet, Payload, PriceSet, TokenRecord};
use crate::model::time::Zone;
use crate::model::tokens::TokenClass;
use crate::present::output::{EscapedText, counted, grouped};

/// Returns a summary of an event's data, on one line and without control characters.
pub(crate) fn summary(payload: &Payload) -> String {
    EscapedText(&raw(payload)).to_string()
}

fn raw(payload: &Payload) -> String {
    match payload {
        Payload::TokensRecorded(data) => record(data),
        Payload::ProviderSwitched(data) => {
            let from = data.from.as_ref().map(|from| format!("{from} -> ")).unwrap_or_default();
            format!("{from}{}{}", data.to, because(data.reason.as_deref()))
        }
        Payload::TokensAmended(data) => {
            format!("{} is {}{}", data.target, record(&data.replacement), because(Some(&data.reason)))
        }
        Payload::EventVoided(data) => format!("{}{}", data.target, because(Some(&data.reason))),
        Payload::QuotaObserved(data) => format!(
            "{} {} min window{}{}{} ({})",
            account(data.provider.as_str(), data.account.as_deref()),
            data.window_minutes,
            data.scope.as_ref().map(|scope| format!(" of {scope}")).unwrap_or_default(),
            data.used_percent.map(|used| format!(" {used} % used")).unwrap_or_default(),
            data.resets_at.map(|at| format!(", resets at {at}")).unwrap_or_default(),
            data.feed
        ),
        Payload::QuotaExhausted(data) => format!(
            "{}{}{} ({})",
            account(data.provider.as_str(), data.account.as_deref()),
            data.model.as_ref().map(|model| format!(" {model}")).unwrap_or_default(),
            data.resets_at.map(|at| format!(" until {at}")).unwrap_or_default(),
            data.rule
        ),
        Payload::Paused(data) => format!(
            "{}{}{}",
            data.reason,
            data.until.map(|at| format!(" until {at}")).unwrap_or_default(),
            because(data.note.as_deref())
        ),
        Payload::Resumed(data) => data.reason.clone(),
        Payload::LimitSet(data) => limits(data),
        Payload::ProviderDeclared(data) => format!(
            "{} is {}",
            account(data.provider.as_str(), data.account.as_deref()),
            if data.metered { "metered" } else { "unmetered" }
        ),
        Payload::UsageOverridden(data) => format!(
            "{} {} window is at {} %, stated by {}{}",
            account(data.provider.as_str(), data.account.as_deref()),
            data.window.name(),
            data.used_percent,
            data.author,
            because(Some(&data.reason))
        ),
        Payload::BudgetReserved(data) => format!(
            "{} {} until {}",
            account(data.provider.as_str(), data.account.as_deref()),
            counted(data.tokens, "token"),
            data.expires_at
        ),
        Payload::BudgetSettled(data) => data.reservation.to_string(),
        Payload::BudgetReleased(data) => format!("{}{}", data.reservation, because(Some(&data.reason))),
        Payload::Imported(data) => format!(
            "{}: {}, {} recorded, {} known, {} amended, {} skipped",
            data.source,
            counted(data.files.len() as u64, "file"),
            grouped(data.recorded),
            grouped(data.duplicates),
            grouped(data.amended),
            grouped(data.skipped.len() as u64)
        ),
        Payload::PeriodSealed(data) => format!(
            "until {}, up to position {}: {}, {}",
            data.until,
            data.size,
            counted(data.requests, "request"),
            counted(data.tokens.iter().sum::<u128>(), "token")
        ),
        Payload::EventShredded(data) => {
            let author = data.author.as_ref().map(|author| format!(", requested by {author}")).unwrap_or_default();
            format!("position {}{author}{}", data.position, because(Some(&data.reason)))
        }
        Payload::PriceSet(data) => price(data),
        Payload::AlertSet(data) => crate::present::alerts::rule(data),
        Payload::AlertFired(data) => crate::present::alerts::message(data, Zone::UTC),
        Payload::AlertDelivery(data) => crate::present::alerts::delivery(data),
    }
}

/// Formats `anthropic (work) claude-opus-4-5: input 120, output 40`.
pub(crate) fn record(record: &TokenRecord) -> String {
    let model = record.model.as_ref().map(|model| format!(" {model}")).unwrap_or_default();
    let counts: Vec<String> = TokenClass::ALL
        .into_iter()
        .filter_map(|class| Some(format!("{} {}", class.name(), grouped(record.tokens.get(class)?))))
        .collect();
    let mark = if record.tokens.implausible().is_some() { " (implausible)" } else { "" };
    format!("{}{model}: {}{mark}", account(&record.provider, record.account.as_deref()), counts.join(", "))
}

fn price(data: &PriceSet) -> String {
    let mut parts = vec![format!("input {}", data.input), format!("output {}", data.output)];
    parts.extend(data.cache_read.map(|usd| format!("cache_read {usd}")));
    parts.extend(data.cache_write_5m.map(|usd| format!("cache_write_5m {usd}")));
    parts.extend(data.cache_write_1h.map(|usd| format!("cache_write_1h {usd}")));
    parts.extend(data.reasoning.map(|usd| format!("reasoning {usd}")));
    let tier = data.service_tier.as_ref().map(|tier| format!(" {tier}")).unwrap_or_default();
    let above = data.above.map(|above| format!(" above {} tokens", grouped(above))).unwrap_or_default();
    let from = data.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let model = if data.model.is_empty() { "all models" } else { &data.model };
    let note = because(data.note.as_deref());
    format!("{} {model}{tier}{above}{from}: {} USD per million{note}", data.provider, parts.join(", "))
}

fn limits(data: &LimitSet) -> String {
    let mut parts = Vec::new();
    parts.extend(data.session.map(|tokens| format!("session {}", grouped(tokens))));
    parts.extend(data.weekly.map(|tokens| format!("weekly {}", grouped(tokens))));
    parts.extend(data.weights.map(|_| "weights".to_owned()));
    parts.extend(data.session_policy.map(crate::present::policy::session));
    parts.extend(data.weekly_policy.map(crate::present::policy::weekly));
    parts.extend(data.budget_mode.map(|mode| format!("budget mode {}", mode.name())));
    parts.extend(data.thresholds.map(|at| format!("warn {} %, stop {} %, margin {} %", at.warn, at.stop, at.margin)));
    parts.extend(data.stale_after_seconds.map(|seconds| format!("observations fresh for {seconds} s")));
    parts.extend(data.feeds.as_ref().map(|feeds| format!("feeds {feeds}")));
    for (period, usd) in [("day", data.usd_day), ("week", data.usd_week), ("month", data.usd_month)] {
        parts.extend(usd.map(|usd| format!("${usd} a {period}")));
    }
    parts.extend(data.usd_zone.map(|zone| format!("days of {zone}")));
    parts.extend(data.unset.iter().map(|setting| format!("unset {}", crate::present::policy::setting(*setting))));
    let project = data.project.as_ref().map(|project| format!(", project {project}")).unwrap_or_default();
    format!("{}{project}: {}", account(data.provider.as_str(), data.account.as_deref()), parts.join(", "))
}

fn account(provider: &str, account: Option<&str>) -> String {
    match account {
        Some(account) => format!("{provider} ({account})"),
        None => provider.to_owned(),
    }
}

fn because(reason: Option<&str>) -> String {
    reason.filter(|reason| !reason.is_empty()).map(|reason| format!("; {reason}")).unwrap_or_default()
}
