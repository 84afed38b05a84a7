//! Settings, switches and readings of providers.

use std::collections::{BTreeMap, BTreeSet};

use usage_ledger::event::{LimitSet, LimitSetting, Payload, SessionPolicy, WeeklyPolicy, Weights};
use usage_ledger::internals::CATALOGUE;

use super::windows::Observed;
use super::{LoggedEvent, Naive};

/// A provider, and an account if it has several.
pub type Account<'a> = (&'a str, Option<&'a str>);

/// The settings of one account at one time.
pub struct Limits {
    /// Tokens, and the event that sets them.
    pub session: Option<(u64, u64)>,
    pub weekly: Option<(u64, u64)>,
    pub weights: Weights,
    pub session_policy: SessionPolicy,
    pub weekly_policy: WeeklyPolicy,
}

impl Naive {
    /// The events up to a time that are not voided, latest first.
    fn holding_facts(&self, now: i64) -> Vec<&LoggedEvent> {
        let mut facts: Vec<&LoggedEvent> =
            self.events.iter().filter(|event| event.at.millis() <= now && !self.is_void(event)).collect();
        facts.sort_by_key(|event| std::cmp::Reverse(event.rank()));
        facts
    }

    /// The limit events of an account: its own, latest first, then those of its provider.
    fn limit_events(&self, (provider, account): Account<'_>, now: i64) -> Vec<(u64, &LimitSet)> {
        let of = |wanted: Option<&str>| -> Vec<(u64, &LimitSet)> {
            let facts = self.holding_facts(now).into_iter();
            facts
                .filter_map(|fact| match &fact.payload {
                    Payload::LimitSet(set) => Some((fact.position, set)),
                    _ => None,
                })
                .filter(|(_, set)| set.provider.as_str() == provider && set.account.as_deref() == wanted)
                .collect()
        };
        let mut events = of(account);
        if account.is_some() {
            events.extend(of(None));
        }
        events
    }

    pub(super) fn limits(&self, account: Account<'_>, now: i64) -> Limits {
        let events = self.limit_events(account, now);
        /// The first event that sets or unsets a setting decides it.
        fn first<T>(
            events: &[(u64, &LimitSet)],
            setting: LimitSetting,
            value: impl Fn(&LimitSet) -> Option<T>,
        ) -> Option<(T, u64)> {
            let (position, set) =
                events.iter().find(|(_, set)| value(set).is_some() || set.unset.contains(&setting))?;
            value(set).map(|value| (value, *position))
        }
        Limits {
            session: first(&events, LimitSetting::Session, |set| set.session),
            weekly: first(&events, LimitSetting::Weekly, |set| set.weekly),
            weights: first(&events, LimitSetting::Weights, |set| set.weights).map(|(w, _)| w).unwrap_or_default(),
            session_policy: first(&events, LimitSetting::SessionPolicy, |set| set.session_policy)
                .map(|(policy, _)| policy)
                .unwrap_or_default(),
            weekly_policy: first(&events, LimitSetting::WeeklyPolicy, |set| set.weekly_policy)
                .map(|(policy, _)| policy)
                .unwrap_or_default(),
        }
    }

    /// Whether a provider is metered, whether that is declared, and by which event.
    pub(super) fn metered(&self, (provider, account): Account<'_>, now: i64) -> (bool, bool, Option<u64>) {
        let declared = |wanted: Option<&str>| {
            self.holding_facts(now).into_iter().find_map(|fact| match &fact.payload {
                Payload::ProviderDeclared(data)
                    if data.provider.as_str() == provider && data.account.as_deref() == wanted =>
                {
                    Some((data.metered, true, Some(fact.position)))
                }
                _ => None,
            })
        };
        let known = CATALOGUE.iter().find(|known| known.id == provider);
        declared(account).or_else(|| declared(None)).unwrap_or((
            known.is_none_or(|known| known.metered),
            known.is_some(),
            None,
        ))
    }

    pub(super) fn observed(&self, (provider, account): Account<'_>, now: i64) -> Vec<Observed> {
        let facts = self.holding_facts(now).into_iter();
        let readings = facts
            .filter_map(|fact| match &fact.payload {
                Payload::QuotaObserved(seen)
                    if seen.provider.as_str() == provider && seen.account.as_deref() == account =>
                {
                    Some(Observed {
                        rank: fact.rank(),
                        position: fact.position,
                        minutes: i64::from(seen.window_minutes),
                        resets_at: seen.resets_at.map(usage_ledger::Timestamp::millis),
                        used: seen.used_percent,
                    })
                }
                _ => None,
            })
            .collect();
        let mut readings = without_idle(readings);
        readings.iter_mut().for_each(Observed::believe);
        readings
    }

    /// Every switch up to a time, earliest first: when, from, to.
    pub(super) fn switches(&self, now: i64) -> Vec<(i64, Option<&str>, &str)> {
        let mut switches: Vec<_> = self
            .holding_facts(now)
            .into_iter()
            .filter_map(|fact| match &fact.payload {
                Payload::ProviderSwitched(data) => {
                    Some((fact.at.millis(), data.from.as_ref().map(|from| from.as_str()), data.to.as_str()))
                }
                _ => None,
            })
            .collect();
        switches.reverse();
        switches
    }

    /// Every provider account in a record, a replacement or a setting, voided or not.
    pub(super) fn accounts(&self) -> BTreeSet<Account<'_>> {
        self.events.iter().filter_map(named_by).collect()
    }
}

/// Removes readings of idle feeds. A reading is idle if an earlier one of the same length had a later end, or the same
/// end and more usage. Ends further away than the length of the window do not affect other readings.
fn without_idle(mut readings: Vec<Observed>) -> Vec<Observed> {
    const JITTER: i64 = 5 * 60_000;
    readings.sort_by_key(|seen| seen.rank);
    let mut kept: Vec<Observed> = Vec::new();
    // For each length: the end and the usage that later readings are compared with.
    let mut leads: BTreeMap<i64, (Option<i64>, Option<u32>)> = BTreeMap::new();
    for seen in readings {
        let at = seen.rank.0.millis();
        let used = seen.used.map(|used| used.hundredths());
        let sound = seen.resets_at.is_none_or(|end| end - at <= seen.minutes * 60_000 + JITTER);
        let lead = leads.get(&seen.minutes).copied();
        let next = match (lead, seen.resets_at) {
            (None | Some((None, _)), end) => {
                Some((end, used.or(lead.filter(|_| end.is_none()).and_then(|lead| lead.1))))
            }
            (Some((Some(end), _)), Some(own)) if own < end - JITTER => None,
            (Some((Some(end), _)), Some(own)) if own > end + JITTER => Some((Some(own), used)),
            (Some((Some(end), _)), None) if at >= end => Some((None, used)),
            (Some((Some(_), Some(most))), _) if used.is_some_and(|used| used < most && seen.minutes > 0) => None,
            (Some((Some(end), most)), own) => {
                let higher = used.filter(|used| Some(*used) != most);
                // Only a higher reading moves the end.
                Some(higher.map_or((Some(end), most), |used| (own.or(Some(end)), Some(used))))
            }
        };
        let Some(next) = next else { continue };
        if sound {
            leads.insert(seen.minutes, next);
        }
        kept.push(seen);
    }
    kept
}

fn named_by(event: &LoggedEvent) -> Option<Account<'_>> {
    let (provider, account) = match &event.payload {
        Payload::TokensRecorded(data) => (&*data.provider, &data.account),
        Payload::TokensAmended(data) => (&*data.replacement.provider, &data.replacement.account),
        Payload::QuotaObserved(data) => (data.provider.as_str(), &data.account),
        Payload::LimitSet(data) => (data.provider.as_str(), &data.account),
        Payload::ProviderDeclared(data) => (data.provider.as_str(), &data.account),
        _ => return None,
    };
    Some((provider, account.as_deref()))
}
