//! Determines whether the provider itself refuses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::observations::RecentObservation;
use super::pause::resume_at;
use super::scope::overlap;
use super::windows::AccountWindows;
use super::{AccountAt, Limits, accounts};
use crate::model::error::Result;
use crate::model::event::{
    AccountRef, EventKind, Payload, Percent, Position, QuotaExhausted, QuotaObserved, Subject, WindowKind,
};
use crate::model::provider::{cloud_of, local_program_of};
use crate::model::time::{HOUR, MINUTE, Timestamp};
use crate::model::window::kind_of;
use crate::projection::{each_event_between, each_line_between, latest_event};
use crate::readers::quota::is_refusal;
use crate::store::{GO_ON, Order, ReadView, STOP};

/// Parts of the ids of rules about money or one model. An open window does not end these refusals.
const NOT_OF_A_WINDOW: [&str; 10] =
    ["credit", "spend", "billing", "balance", "cap", "extra", "insufficient", "402", "org-limit", "group-limit"];

/// The longest session, with time for a reset that is stated in whole hours, in milliseconds.
const LONGEST_SESSION: i64 = 6 * HOUR;
/// How much later than its window a stated reset may be, in milliseconds: texts state whole hours.
const ROUNDED: i64 = HOUR;

/// A refusal that still applies.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaExhausted}, time::HOUR};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let refused = QuotaExhausted::new(ProviderId::new("anthropic")?, "http-429", "usage limit reached");
/// let refused = refused.resets_at(now.plus(HOUR));
/// ledger.append([NewEvent::new(refused, now)], now)?;
/// assert!(ledger.budget("anthropic", now)?.gated);
/// assert!(!ledger.budget("anthropic", now.plus(2 * HOUR))?.gated);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Exhausted {
    /// When it refused.
    pub at: Timestamp,
    /// When to try again.
    pub until: Timestamp,
    /// The refused model or model family; `None` for every model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The rule that recognised it, or `observed`.
    pub rule: String,
    /// The text that the rule recognised.
    pub excerpt: String,
    /// The position of its event.
    pub position: Position,
}

/// The feed of a probe's success, and the rule of its refusal.
pub(crate) const PROBE: &str = "probe";

/// What a provider refuses: every model, or single ones.
#[derive(Default)]
pub(super) struct Refusals {
    pub account: Option<Exhausted>,
    pub models: Vec<Exhausted>,
}

impl Refusals {
    /// Adds a refusal that applies. Of several about the same models the one that ends last counts.
    fn add(&mut self, one: Exhausted, now: Timestamp) {
        if one.until <= now {
            return;
        }
        let known = match &one.model {
            None => self.account.as_mut(),
            Some(model) => self.models.iter_mut().find(|known| known.model.as_ref() == Some(model)),
        };
        match known {
            Some(known) if known.until >= one.until => {}
            Some(known) => *known = one,
            None if one.model.is_none() => self.account = Some(one),
            None => self.models.push(one),
        }
    }
}

/// The latest reading of each window: of the whole account, and of single models.
struct LatestReadings<'o> {
    by_window: BTreeMap<ScopedWindow<'o>, &'o RecentObservation>,
    all: Vec<&'o RecentObservation>,
}

/// The scope and the length of a window.
type ScopedWindow<'o> = (Option<&'o str>, u32);

impl<'o> LatestReadings<'o> {
    fn new(observations: &'o [RecentObservation], limits: &Limits) -> Self {
        let counts =
            |one: &&RecentObservation| one.seen.window_minutes > 0 && !one.is_weak() && limits.trusts(&one.seen.feed);
        let all: Vec<_> = observations.iter().filter(counts).collect();
        Self { by_window: all.iter().map(|one| (window_of(one), *one)).collect(), all }
    }

    /// Whether the provider has since reported the windows of the refusal as open.
    ///
    /// A refusal of every model ends when the session and every other shared window that the provider reports are open
    /// again. A refusal of one model ends when that model's own windows are open again. If the refusal states a reset, one
    /// of these windows must reach it: an open session says nothing about a week. A reading that an idle program repeats
    /// says nothing new.
    fn contradict(&self, RecordedRefusal { at, refused, .. }: &RecordedRefusal) -> bool {
        let concerned = |scope: Option<&str>| match (scope, &refused.model) {
            (None, None) => true,
            (Some(scope), Some(model)) => overlap(scope, model),
            _ => false,
        };
        let is_long = refused.resets_at.is_some_and(|reset| reset > at.plus(LONGEST_SESSION));
        let mut spoken = false;
        for ((scope, minutes), one) in &self.by_window {
            if !concerned(*scope) {
                continue;
            }
            if one.at <= *at || refuses(&one.seen) || self.repeats(one, *at) {
                return false;
            }
            let end = one.seen.resets_at.unwrap_or_else(|| one.at.plus(i64::from(*minutes) * MINUTE));
            let reaches = refused.resets_at.is_none_or(|reset| reset <= end.plus(ROUNDED));
            spoken |= reaches && (is_long || scope.is_some() || kind_of(*minutes) == Some(WindowKind::Session));
        }
        spoken && !NOT_OF_A_WINDOW.iter().any(|part| refused.rule.contains(part))
    }

    /// Whether a reading states what the last one before a time stated.
    fn repeats(&self, one: &RecentObservation, time: Timestamp) -> bool {
        let before = self.all.iter().rev().find(|other| other.at <= time && window_of(other) == window_of(one));
        before.is_some_and(|before| {
            let (before, now) = (&before.seen, &one.seen);
            (before.used_percent, before.resets_at, &before.status) == (now.used_percent, now.resets_at, &now.status)
        })
    }
}

fn window_of(one: &RecentObservation) -> ScopedWindow<'_> {
    (one.seen.scope.as_deref(), one.seen.window_minutes)
}

fn refuses(seen: &QuotaObserved) -> bool {
    let status = seen.status.as_deref().unwrap_or_default();
    // `allowed` takes precedence over a full window: some plans continue with credits.
    let full = seen.used_percent.is_some_and(|used| used >= Percent::from_hundredths(100 * 100));
    !status.to_ascii_lowercase().starts_with("allowed") && (full || is_refusal(status))
}

/// The refusal of a window that the provider reported as full or closed.
fn observed(one: &RecentObservation) -> Exhausted {
    let used = one.seen.used_percent.map(|used| format!("{used} % used")).unwrap_or_default();
    Exhausted {
        at: one.at,
        // A reported window ends at its reset. Without a reset it ends like any refusal, but not later than its own length.
        until: one.seen.resets_at.unwrap_or_else(|| {
            let length = i64::from(one.seen.window_minutes) * MINUTE;
            resume_at(None, one.at).min(one.at.plus(length))
        }),
        model: one.seen.scope.clone(),
        rule: "observed".to_owned(),
        excerpt: one.seen.status.clone().unwrap_or(used),
        position: one.position,
    }
}

/// The field of a stored refusal that tells when it ends.
#[derive(Deserialize)]
struct RefusalLine {
    data: RefusalData,
}

#[derive(Deserialize)]
struct RefusalData {
    #[serde(default)]
    resets_at: Option<Timestamp>,
}

/// The accounts whose recorded refusals concern an account. Those of a local program come from its paid cloud; without
/// a name, on either side, they may be of any account.
fn recorded_on<'a>(view: &dyn ReadView, account: &AccountRef<'a>) -> Result<Vec<Subject<'a>>> {
    let mut subjects = vec![Subject::Account(account.clone())];
    if let Some(program) = local_program_of(&account.provider) {
        let concerns = |one: &AccountRef<'_>| {
            one.provider == program
                && (account.account.is_none() || one.account.is_none() || one.account == account.account)
        };
        subjects.extend(accounts(view)?.into_iter().filter(concerns).map(Subject::Account));
    }
    Ok(subjects)
}

/// The provider's refusals at `now`. An override ends them; a resume does not.
pub(super) fn refusals(
    AccountAt { view, account, now }: AccountAt<'_>,
    observations: &[RecentObservation],
    limits: &Limits,
) -> Result<Refusals> {
    let subjects = recorded_on(view, account)?;
    let lifted = lifted(view, &subjects, now)?;
    let latest = LatestReadings::new(observations, limits);
    let mut refusals = Refusals::default();
    for one in latest.by_window.values().filter(|one| refuses(&one.seen) && one.at > lifted) {
        refusals.add(observed(one), now);
    }
    let at = AccountAt { view, account, now };
    each_recorded(at, &subjects, lifted, &latest, &mut |one| refusals.add(one.exhausted(), now))?;
    Ok(refusals)
}

/// The time of the last override.
fn lifted(view: &dyn ReadView, subjects: &[Subject<'_>], now: Timestamp) -> Result<Timestamp> {
    let mut lifted = Timestamp::MIN;
    for subject in subjects {
        let overridden =
            latest_event(view, EventKind::UsageOverridden, subject, now, |indexed| Some(indexed.event.occurred_at))?;
        lifted = lifted.max(overridden.unwrap_or(Timestamp::MIN));
    }
    Ok(lifted)
}

/// A recorded refusal that holds.
pub(crate) struct RecordedRefusal {
    pub position: Position,
    /// When it refused.
    pub at: Timestamp,
    pub refused: QuotaExhausted,
}

impl RecordedRefusal {
    fn exhausted(self) -> Exhausted {
        let QuotaExhausted { model, resets_at, rule, excerpt, .. } = self.refused;
        Exhausted { at: self.at, until: resume_at(resets_at, self.at), model, rule, excerpt, position: self.position }
    }
}

/// The recorded refusals that hold for an account at a time.
pub(crate) fn holding(at: AccountAt<'_>) -> Result<Vec<RecordedRefusal>> {
    let subjects = recorded_on(at.view, at.account)?;
    let lifted = lifted(at.view, &subjects, at.now)?;
    let windows = AccountWindows::new(at)?;
    let latest = LatestReadings::new(windows.observations(), windows.limits());
    let mut holding = Vec::new();
    each_recorded(at, &subjects, lifted, &latest, &mut |one| holding.push(one))?;
    Ok(holding)
}

/// Visits the recorded refusals that hold, the latest of each subject first.
fn each_recorded(
    AccountAt { view, account, now }: AccountAt<'_>,
    subjects: &[Subject<'_>],
    lifted: Timestamp,
    latest: &LatestReadings<'_>,
    visit: &mut dyn FnMut(RecordedRefusal),
) -> Result<()> {
    let since = if lifted == Timestamp::MIN { lifted } else { lifted.plus(1) };
    for subject in subjects {
        // A reset may be months away, so the age of a refusal does not end it.
        each_line_between(
            view,
            EventKind::QuotaExhausted,
            subject,
            (since, now),
            Order::Descending,
            &mut |at, line| {
                let ended = |line: RefusalLine| resume_at(line.data.resets_at, at) <= now;
                if serde_json::from_str(&line.line).is_ok_and(ended) {
                    return GO_ON;
                }
                let Some(indexed) = line.event(view)? else { return GO_ON };
                if let Payload::QuotaExhausted(refused) = indexed.event.payload {
                    // A probe is a call. Its success ends the refusal of an earlier one that stated no reset.
                    let is_a_guess = refused.rule == PROBE && refused.resets_at.is_none();
                    if is_a_guess && probe_succeeded(view, account, (at.plus(1), now))? {
                        return GO_ON;
                    }
                    let one = RecordedRefusal { position: indexed.position, at, refused };
                    if !latest.contradict(&one) {
                        visit(one);
                    }
                }
                GO_ON
            },
        )?;
    }
    Ok(())
}

/// Whether a probe succeeded in a span.
fn probe_succeeded(view: &dyn ReadView, account: &AccountRef<'_>, span: (Timestamp, Timestamp)) -> Result<bool> {
    let (subject, mut succeeded) = (Subject::Account(account.clone()), false);
    each_event_between(view, EventKind::QuotaObserved, &subject, span, Order::Descending, &mut |indexed| {
        succeeded = matches!(&indexed.event.payload, Payload::QuotaObserved(seen) if seen.feed == PROBE);
        if succeeded { STOP } else { GO_ON }
    })?;
    Ok(succeeded)
}

/// The refusal of a local program's paid cloud for every model.
pub(crate) fn cloud_refusal(at: AccountAt<'_>) -> Result<Option<Exhausted>> {
    let Some(cloud) = cloud_of(&at.account.provider) else { return Ok(None) };
    let cloud = AccountRef { provider: cloud.into(), account: at.account.account.clone() };
    let at = AccountAt { account: &cloud, ..at };
    let windows = AccountWindows::new(at)?;
    Ok(refusals(at, windows.observations(), windows.limits())?.account)
}
