//! Selects the windows that a decision depends on, and determines their usage.

use super::MoneyWindow;
use super::RunRequest;
use super::evidence::Evidence;
use crate::model::event::{BudgetMode, Percent, Position};
use crate::model::humanize::number::grouped;
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::usage::{
    Basis, Exhausted, Pool, ProviderSignal, UnnamedRefusal, WindowUsage, covers, exact_share, is_exactly, names_a_model,
};

/// A window that counts, and its usage.
pub(super) struct CountedWindow {
    pub name: String,
    pub used: Percent,
    pub resets_at: Option<Timestamp>,
    pub basis: Basis,
    pub evidence: Vec<Position>,
    /// The age of its reading in milliseconds, if that is stale.
    pub age: i64,
    pub trail: Vec<String>,
    pub warnings: Vec<String>,
    /// Whether it is a money budget, which the cost of a run in tokens says nothing about.
    pub is_money: bool,
}

/// The windows of a budget mode.
pub(super) struct CountedWindows {
    /// The windows that count, in descending order of usage.
    pub counted: Vec<CountedWindow>,
    /// Whether windows longer than a day count.
    pub weekly_counts: bool,
    /// Steps of the decision.
    pub trail: Vec<String>,
}

/// Selects the windows that count in a budget mode.
pub(super) fn windows(evidence: &Evidence, request: &RunRequest, mode: BudgetMode) -> CountedWindows {
    let usage = &evidence.usage;
    let mut trail = Vec::new();
    let (short, long): (Vec<&Pool>, Vec<&Pool>) = usage
        .pools
        .iter()
        .filter(|pool| concerns(evidence, request, pool.scope.as_deref()))
        .partition(|pool| i64::from(pool.window_minutes) * MINUTE <= DAY);
    let pool = |one: &Pool| pool(one, evidence.now);
    let mut counted: Vec<CountedWindow> = window(evidence, "session", &usage.session).into_iter().collect();
    counted.extend(short.into_iter().filter_map(pool));
    let mut rest: Vec<CountedWindow> = window(evidence, "weekly", &usage.weekly).into_iter().collect();
    rest.extend(long.into_iter().filter_map(pool));
    let weekly_counts = mode == BudgetMode::Full || counted.is_empty();
    if weekly_counts {
        if mode != BudgetMode::Full && !rest.is_empty() {
            trail.push("no session window is known: the longer ones count".to_owned());
        }
        counted.append(&mut rest);
    }
    for window in &rest {
        trail.push(format!("the {} window ({} %) does not count", window.name, window.used));
    }
    let money = evidence.money.iter().filter(|one| one.concerns(request));
    counted.extend(money.map(|one| money_window(one, evidence.now)));
    counted.sort_by_key(|window| std::cmp::Reverse(window.used));
    CountedWindows { counted, weekly_counts, trail }
}

/// Whether a scope is the whole account or includes the requested model.
fn concerns(evidence: &Evidence, request: &RunRequest, scope: Option<&str>) -> bool {
    let Some(scope) = scope else { return true };
    let Some(model) = &request.model else { return false };
    // A model with its own window does not share that of a model with a shorter name.
    let mut scopes = evidence.usage.pools.iter().filter_map(|pool| pool.scope.as_deref());
    covers(scope, model) && (is_exactly(scope, model) || !scopes.any(|other| is_exactly(other, model)))
}

/// The provider's refusal that concerns a run; of several the one that ends last.
pub(super) fn refusal<'e>(evidence: &'e Evidence, request: &RunRequest) -> Option<&'e Exhausted> {
    let usage = &evidence.usage;
    let of_models = usage.exhausted_models.iter().filter(|one| concerns(evidence, request, one.model.as_deref()));
    usage.exhausted.iter().chain(of_models).max_by_key(|one| one.until)
}

/// Warnings about refused models that the run does not name.
pub(super) fn refused_models(evidence: &Evidence, request: &RunRequest) -> Vec<String> {
    let others = evidence.usage.exhausted_models.iter();
    let others = others.filter(|one| !concerns(evidence, request, one.model.as_deref()));
    let warning = |one: &Exhausted| {
        let model = one.model.as_deref().unwrap_or("another model");
        let remedy = if names_a_model(model) {
            "name the model of the run to have that counted"
        } else {
            "that is a limit of no model, and closes no gate"
        };
        format!("{model} is refused until {} ({}): {remedy}", one.until, one.rule)
    };
    if request.model.is_some() { Vec::new() } else { others.map(warning).collect() }
}

/// The warning about a refusal that was recorded without an account.
pub(super) fn unnamed_refusal(evidence: &Evidence) -> Option<String> {
    let UnnamedRefusal { refusal, accounts } = evidence.unnamed.as_ref()?;
    let Exhausted { position, until, .. } = refusal;
    let usage = &evidence.usage;
    let Some(account) = &usage.account else {
        return Some(format!(
            "the refusal at position {position} names none of the accounts {}, so it counts for every run that names \
             none: name the account of a run, and `usage-ledger void {position} --reason TEXT` withdraws the refusal",
            accounts.join(", ")
        ));
    };
    // A local program's refusal without an account counts for every account of its cloud.
    let counts = usage.exhausted.iter().chain(&usage.exhausted_models).any(|one| one.position == *position);
    (!counts).then(|| {
        format!(
            "the refusal at position {position}, until {until}, names no account and may be of {account}: name the \
             account of each output that is scanned"
        )
    })
}

fn window(evidence: &Evidence, name: &str, window: &WindowUsage) -> Option<CountedWindow> {
    let usage = &evidence.usage;
    let mut used = window.percent?;
    let (mut age, mut trail, mut warnings) = (0, Vec::new(), Vec::new());
    let mut positions = window.evidence.clone();
    if let Some((reading, stated)) = window.observed.as_ref().and_then(|one| Some((one, one.stated_reset?))) {
        warnings.push(format!(
            "{} reported at position {} that the {name} window resets at {stated}, which is further away than the \
             window is long: a clock is wrong. The reading counts for the length of a window",
            usage.provider, reading.position
        ));
    }
    let stale =
        |reading: &&ProviderSignal| reading.stale && window.overridden.as_ref().is_none_or(|word| word.at < reading.at);
    if let Some(reading) = window.observed.as_ref().filter(stale) {
        age = evidence.now.millis() - reading.at.millis();
        positions.push(reading.position);
        warnings.push(format!(
            "{}'s last reading of the {name} window is {} min old: {}",
            usage.provider,
            age / MINUTE,
            if window.basis == Basis::Estimated { "it is estimated" } else { "there is nothing newer" },
        ));
        if let Some(least) = window.at_least.filter(|least| *least > used) {
            trail.push(format!("the {name} window was at {least} % already: at least that is used"));
            used = least;
        }
    } else if window.basis == Basis::Estimated {
        let source = match window.weighted {
            0 if window.usage.requests == 0 => "no calls are recorded in it, so it counts as 0 % used".to_owned(),
            0 => "the limit's weights count none of the tokens recorded in it, so it counts as 0 % used".to_owned(),
            tokens => format!("its share is estimated from {} recorded limit tokens", grouped(tokens)),
        };
        warnings.push(format!("{} has not reported the {name} window: {source}", usage.provider));
    } else if window.basis == Basis::Observed && window.since > 0 && window.limit.is_none() {
        warnings.push(format!(
            "{} limit tokens were recorded since the {name} window was observed, and no limit is set to weigh them \
             by: `usage-ledger doctor` estimates one",
            grouped(window.since)
        ));
    }
    if let Some(limit) = window.limit.filter(|_| usage.reserved > 0) {
        let reserved = exact_share(usage.reserved.into(), limit);
        trail.push(format!("{reserved} % of the {name} window are reserved"));
        used = Percent::from_hundredths(used.hundredths().saturating_add(reserved.hundredths()));
    }
    let (name, resets_at, basis) = (name.to_owned(), window.resets_at, window.basis);
    let is_money = false;
    Some(CountedWindow { name, used, resets_at, basis, evidence: positions, age, trail, warnings, is_money })
}

/// A money budget as a window that counts.
fn money_window(money: &MoneyWindow, now: Timestamp) -> CountedWindow {
    let name = money.name();
    let spent = money.spent();
    let unpriced = money.cost.unpriced_requests;
    let warning = format!(
        "{unpriced} calls in the {name} have no known price and count nothing: `usage-ledger price set` states one"
    );
    CountedWindow {
        used: money.percent,
        resets_at: Some(money.resets_at.max(now)),
        basis: Basis::Estimated,
        evidence: vec![money.position],
        age: 0,
        trail: vec![format!("the {name} has spent ${spent} of ${}", money.limit_usd)],
        warnings: if unpriced > 0 { vec![warning] } else { Vec::new() },
        name,
        is_money: true,
    }
}

/// Converts a pool to a window that counts.
fn pool(pool: &Pool, now: Timestamp) -> Option<CountedWindow> {
    let length = match pool.window_minutes {
        minutes if minutes % 1_440 == 0 => format!("{} d", minutes / 1_440),
        minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes => format!("{minutes} min"),
    };
    let name = pool.scope.as_ref().map_or_else(|| length.clone(), |scope| format!("{scope} {length}"));
    let age = if pool.stale { now.millis() - pool.at.millis() } else { 0 };
    let old = format!("the last reading of the {name} window is {} min old: there is no newer one", age / MINUTE);
    Some(CountedWindow {
        used: pool.percent?,
        resets_at: pool.resets_at,
        basis: Basis::Observed,
        evidence: vec![pool.position],
        age,
        trail: Vec::new(),
        warnings: if pool.stale { vec![old] } else { Vec::new() },
        name,
        is_money: false,
    })
}
