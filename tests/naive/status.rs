//! The usage of each account, and the active provider.

use usage_ledger::TokenClass;
use usage_ledger::event::Weights;

use super::answers::{AccountAnswer, StatusAnswer, WindowAnswer};
use super::facts::{Account, Limits};
use super::windows::{Policy, is_session, is_weekly, place_observed};
use super::{CountedRecord, Naive, Sum};

/// Tokens times their weights, in whole tokens. Weights here have one decimal at most.
fn weigh(sum: &Sum, weights: &Weights) -> u64 {
    let tenths = |class: TokenClass| -> u64 {
        let text = weights.get(class).to_string();
        let (whole, rest) = text.split_once('.').unwrap_or((&text, "0"));
        assert_eq!(rest.len(), 1, "weight {text}");
        whole.parse::<u64>().unwrap() * 10 + rest.parse::<u64>().unwrap()
    };
    sum.tokens.iter().zip(TokenClass::ALL).map(|(count, class)| count * tenths(class)).sum::<u64>() / 10
}

/// Hundredths of a percent, rounded down.
fn hundredths(weighted: u64, limit: u64) -> u64 {
    weighted * 10_000 / limit
}

fn between(counted: &[CountedRecord], from: i64, to: i64) -> Sum {
    Sum::of(counted.iter().filter(|record| from <= record.at && record.at < to))
}

/// A reading is fresh for a quarter of an hour, and ignored after sixteen days.
const FRESH: i64 = 900_000;
const REMEMBERED: i64 = 16 * 24 * 3_600_000;

impl Naive {
    fn window(
        &self,
        account: Account<'_>,
        now: i64,
        limits: &Limits,
        policy: Policy,
        limit: Option<(u64, u64)>,
    ) -> WindowAnswer {
        let mut observations = self.observed(account, now);
        observations.retain(|seen| seen.rank.0.millis() >= now - REMEMBERED);
        observations.retain(|seen| match policy {
            Policy::Session(_) => is_session(seen.minutes),
            Policy::Weekly(_) => is_weekly(seen.minutes),
        });
        let counted = self.counted_of(account);
        let uses: Vec<i64> = counted.iter().map(|record| record.at).collect();
        let window = policy.current(now, &uses, &place_observed(observations.clone()));
        let sum = window.map_or_else(Sum::default, |window| between(&counted, window.start, window.end.min(now + 1)));
        let weighted = weigh(&sum, &limits.weights);
        let mut answer = WindowAnswer {
            sum,
            weighted,
            limit: limit.map(|(tokens, _)| tokens),
            percent: limit.map(|(tokens, _)| (hundredths(weighted, tokens) / 100 * 100).min(10_000)),
            started_at: window.map(|window| window.start),
            resets_at: window.map(|window| window.resets_at),
            basis: if limit.is_some() { "estimated" } else { "unknown" }.to_owned(),
            evidence: limit.map(|(_, position)| position).into_iter().collect(),
        };
        // A fresh reading of the window takes precedence over any estimate.
        let start = window.map_or(now - policy.length(), |window| window.start);
        let spoken: Vec<_> = observations
            .iter()
            .filter(|seen| seen.rank.0.millis() >= start)
            .filter(|seen| seen.resets_at.is_none_or(|end| end > start && window.is_some_and(|window| window.observed)))
            .collect();
        let latest = spoken.iter().max_by_key(|seen| seen.rank);
        let anchor = spoken.iter().filter(|seen| seen.used.is_some()).max_by_key(|seen| seen.rank);
        answer.evidence.extend(latest.map(|seen| seen.position));
        if let Some(seen) = anchor {
            if latest.is_some_and(|latest| latest.rank != seen.rank) {
                answer.evidence.push(seen.position);
            }
            let fresh = now - seen.rank.0.millis() <= FRESH;
            if let Some(used) = seen.used.filter(|_| fresh || limit.is_none()) {
                let end = window.map_or(now + 1, |window| window.end.min(now + 1));
                let since = between(&counted, seen.rank.0.millis() + 1, end);
                let since = weigh(&since, &limits.weights);
                answer.percent = Some(u64::from(used.hundredths()));
                answer.basis = "observed".to_owned();
                if let Some((tokens, _)) = limit.filter(|_| since > 0) {
                    let reading = u64::from(used.hundredths());
                    answer.percent = Some((reading + hundredths(since, tokens)).min(10_000).max(reading));
                    answer.basis = "observed + local delta".to_owned();
                }
            }
        }
        answer
    }

    pub fn account(&self, account: Account<'_>, now: i64) -> AccountAnswer {
        let limits = self.limits(account, now);
        let (metered, declared, declaration) = self.metered(account, now);
        let mut session = self.window(account, now, &limits, Policy::Session(limits.session_policy), limits.session);
        let mut weekly = self.window(account, now, &limits, Policy::Weekly(limits.weekly_policy), limits.weekly);
        for window in [&mut session, &mut weekly] {
            if !metered {
                "unmetered".clone_into(&mut window.basis);
                window.percent = None;
            }
            window.evidence.extend(declaration);
        }
        let counted = self.counted_of(account);
        let switches = self.switches(now);
        let arrived = switches.iter().rev().find(|(_, _, to)| *to == account.0);
        let last = switches.iter().rev().find(|(_, from, to)| *to == account.0 || *from == Some(account.0));
        AccountAnswer {
            provider: account.0.to_owned(),
            account: account.1.map(str::to_owned),
            metered,
            declared,
            session,
            weekly,
            all_time: between(&counted, i64::MIN, now + 1),
            since_switch: arrived.map(|(at, _, _)| between(&counted, *at, now + 1)),
            last_switch: last.map(|(at, _, _)| *at),
        }
    }

    pub fn status(&self, now: i64) -> StatusAnswer {
        let switches = self.switches(now);
        let mut accounts = self.accounts();
        let last_used = || {
            let latest = |account: &Account<'_>| {
                self.counted_of(*account).iter().map(|record| record.at).filter(|at| *at <= now).max()
            };
            // Of several at the same instant the first by name.
            let used = accounts.iter().filter_map(|account| latest(account).map(|at| (at, *account)));
            used.max_by_key(|(at, account)| (*at, std::cmp::Reverse(*account))).map(|(_, (provider, _))| provider)
        };
        let active = switches.last().map(|(_, _, to)| *to).or_else(last_used);
        if let Some(active) = active.filter(|active| accounts.iter().all(|(provider, _)| provider != active)) {
            accounts.insert((active, None));
        }
        StatusAnswer {
            active: active.map(str::to_owned),
            accounts: accounts.into_iter().map(|account| self.account(account, now)).collect(),
            switches: switches.iter().filter(|(_, from, _)| from.is_some()).count(),
            timeline: switches.iter().map(|(at, _, to)| (*at, (*to).to_owned())).collect(),
        }
    }
}
