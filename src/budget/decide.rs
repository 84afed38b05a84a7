//! The decision itself: a pure function of the evidence.

use super::afford::highest;
use super::evidence::Evidence;
use super::{Ask, Burn, Mode, Rung, Verdict, affordable, burn, effective_mode, left, safety_margin, slowed};
use crate::model::event::{BudgetMode, Percent, Position, Thresholds};
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::usage::{Basis, Pool, ProviderSignal, WindowUsage, resume_at};

/// A window that counts, and how much of it is taken for used.
struct CountedWindow {
    name: String,
    used: Percent,
    resets_at: Option<Timestamp>,
    basis: Basis,
    evidence: Vec<Position>,
    /// How old what it rests on is, where that is a word grown old.
    age: i64,
    /// What is to be told of it if it counts.
    trail: Vec<String>,
    warnings: Vec<String>,
}

/// A decision in the making.
struct Decision<'e> {
    evidence: &'e Evidence,
    ask: &'e Ask,
    trail: Vec<String>,
    warnings: Vec<String>,
    positions: Vec<Position>,
}

/// Decides what a run may take on.
pub(super) fn decide(evidence: &Evidence, ask: &Ask) -> Verdict {
    let decision = Decision { evidence, ask, trail: Vec::new(), warnings: Vec::new(), positions: Vec::new() };
    decision.verdict()
}

impl Decision<'_> {
    fn verdict(mut self) -> Verdict {
        let usage = &self.evidence.usage;
        let set = self.evidence.budget_mode;
        let (mode, trail) = effective_mode(set.map(|(mode, _)| mode.name()), false, usage.metered);
        self.trail.extend(trail);
        if !usage.metered {
            self.positions.extend(&usage.session.evidence);
            let note = match &self.evidence.paused {
                Some(pause) => format!("no API quota (work is paused: {}, which gates no such provider)", pause.reason),
                None => "no API quota".to_owned(),
            };
            return self.end(mode, Mode::Deep, None, note, Basis::Unmetered, None);
        }
        self.positions.extend(set.map(|(_, position)| position));
        let counted = self.counted(mode);
        self.tell_of_full_pools();
        let basis = counted.first().map_or(Basis::Unknown, |window| window.basis);
        if let Some(refused) = self.refusal(mode) {
            let (reason, until) = refused;
            return self.end(mode, Mode::Wait, Some(Percent::default()), reason, basis, until);
        }
        if mode == BudgetMode::Disabled {
            let reason = "the budget mode is disabled: not gated".to_owned();
            return self.end(mode, Mode::Deep, Some(Percent::from_hundredths(90 * 100)), reason, basis, None);
        }
        self.by_ladder(mode, counted)
    }

    /// What shuts the gate whatever is left: the provider's own word, or a pause.
    fn refusal(&mut self, mode: BudgetMode) -> Option<(String, Option<Timestamp>)> {
        let evidence = self.evidence;
        if let Some(refused) = evidence.usage.exhausted.as_ref().filter(|_| mode != BudgetMode::Disabled) {
            self.positions.push(refused.position);
            self.trail.push(format!("the provider refused at {} (rule {})", refused.at, refused.rule));
            let reason = format!("the provider refused ({}): not before {}", refused.rule, refused.until);
            return Some((reason, Some(refused.until)));
        }
        let pause = evidence.paused.as_ref()?;
        if pause.is_quota() && mode == BudgetMode::Disabled {
            self.trail.push("a quota pause does not hold while the budget mode is disabled".to_owned());
            return None;
        }
        self.positions.push(pause.position);
        self.trail.push(format!("paused since {} ({})", pause.since, pause.reason));
        let until = pause.until.map(|until| format!(" until {until}")).unwrap_or_default();
        Some((format!("work is paused ({}){until}", pause.reason), pause.until))
    }

    /// The windows that count in a budget mode, the fullest first.
    fn counted(&mut self, mode: BudgetMode) -> Vec<CountedWindow> {
        let usage = &self.evidence.usage;
        let (short, long): (Vec<&Pool>, Vec<&Pool>) = usage
            .pools
            .iter()
            .filter(|pool| self.concerns(pool))
            .partition(|pool| i64::from(pool.window_minutes) * MINUTE <= DAY);
        let mut counted: Vec<CountedWindow> = self.window("session", &usage.session).into_iter().collect();
        let pool = |told: &Pool| pool(told, self.evidence.now);
        counted.extend(short.into_iter().filter_map(pool));
        let mut rest: Vec<CountedWindow> = self.window("weekly", &usage.weekly).into_iter().collect();
        rest.extend(long.into_iter().filter_map(pool));
        match mode {
            BudgetMode::Full => counted.append(&mut rest),
            _ if counted.is_empty() && !rest.is_empty() => {
                self.trail.push("no session window is known: the longer ones count".to_owned());
                counted.append(&mut rest);
            }
            _ => {
                for window in &rest {
                    self.trail.push(format!("the {} window ({} %) does not count", window.name, window.used));
                }
            }
        }
        counted.sort_by_key(|window| std::cmp::Reverse(window.used));
        for window in &mut counted {
            self.trail.append(&mut window.trail);
            self.warnings.append(&mut window.warnings);
        }
        counted
    }

    /// Whether a pool is the account's own, or of the model that is asked for.
    fn concerns(&self, pool: &Pool) -> bool {
        match (&pool.scope, &self.ask.model) {
            (None, _) => true,
            (Some(scope), Some(model)) => names(scope, model),
            (Some(_), None) => false,
        }
    }

    /// Tells of pools that are used up but were not asked about: a run on their model would be refused.
    fn tell_of_full_pools(&mut self) {
        let full = |pool: &&Pool| pool.percent.is_some_and(|used| used >= Percent::from_hundredths(100 * 100));
        let pools = self.evidence.usage.pools.iter().filter(full).filter(|pool| !self.concerns(pool));
        let told = pools.map(|pool| {
            let what = pool.scope.as_deref().unwrap_or("another");
            format!("the quota of {what} is used up: name the model to have that counted")
        });
        let told: Vec<String> = told.collect();
        self.warnings.extend(told);
    }

    fn window(&self, name: &str, window: &WindowUsage) -> Option<CountedWindow> {
        let mut used = window.percent?;
        let (mut age, mut trail, mut warnings) = (0, Vec::new(), Vec::new());
        let mut evidence = window.evidence.clone();
        let stale =
            |said: &&ProviderSignal| said.stale && window.overridden.as_ref().is_none_or(|word| word.at < said.at);
        if let Some(said) = window.observed.as_ref().filter(stale) {
            age = self.evidence.now.millis() - said.at.millis();
            evidence.push(said.position);
            warnings.push(format!(
                "what {} said about the {name} window is {} min old: {}",
                self.evidence.usage.provider,
                age / MINUTE,
                if window.basis == Basis::Estimated { "it is estimated" } else { "there is nothing newer" },
            ));
            if let Some(least) = window.at_least.filter(|least| *least > used) {
                trail.push(format!("the {name} window was at {least} % already: at least that is used"));
                used = least;
            }
        } else if window.basis == Basis::Estimated {
            warnings.push(format!(
                "{} has said nothing about the {name} window: it is estimated from {} recorded limit tokens",
                self.evidence.usage.provider, window.weighted
            ));
        } else if window.basis == Basis::Observed && window.since > 0 && window.limit.is_none() {
            warnings.push(format!(
                "{} limit tokens were recorded since the {name} window was observed, and no limit is set to weigh them \
                 by: `usage-ledger doctor` estimates one",
                window.since
            ));
        }
        if let Some(limit) = window.limit.filter(|_| self.evidence.usage.reserved > 0) {
            let reserved = u128::from(self.evidence.usage.reserved) * 10_000 / u128::from(limit.max(1));
            let reserved = Percent::from_hundredths(u32::try_from(reserved).unwrap_or(u32::MAX));
            trail.push(format!("{reserved} % of the {name} window are reserved"));
            used = Percent::from_hundredths(used.hundredths().saturating_add(reserved.hundredths()));
        }
        let (name, resets_at, basis) = (name.to_owned(), window.resets_at, window.basis);
        Some(CountedWindow { name, used, resets_at, basis, evidence, age, trail, warnings })
    }

    fn thresholds(&mut self) -> Thresholds {
        let Some((at, position)) = self.evidence.thresholds else { return Thresholds::default() };
        self.positions.push(position);
        if at.is_inverted() {
            self.warnings.push(format!("warn at {} % is above stop at {} %: there is no warning", at.warn, at.stop));
        }
        at
    }

    fn by_ladder(mut self, mode: BudgetMode, counted: Vec<CountedWindow>) -> Verdict {
        let mut at = self.thresholds();
        for window in &counted {
            self.positions.extend(&window.evidence);
        }
        let Some(tightest) = counted.into_iter().next() else {
            let reason = "no limit is set and the provider said nothing: not gated".to_owned();
            self.warnings.push(format!("{}: {reason}", self.evidence.usage.provider));
            return self.end(mode, Mode::Deep, None, reason, Basis::Unknown, None);
        };
        at.margin = safety_margin(at.margin, tightest.age);
        let left = left(tightest.used, at.margin);
        let rung = Rung::at(left, at);
        self.trail.push(format!(
            "{} window at {} %, margin {} %: {left} % left (warn {} %, stop {} %), which is {}",
            tightest.name, tightest.used, at.margin, at.warn, at.stop, rung.mode
        ));
        let afforded = self.afford(rung);
        let lowered = self.slow(afforded);
        let word = match lowered.0 {
            Mode::Wait => "budget exhausted",
            Mode::Review => "low budget",
            Mode::Implement => "normal budget",
            Mode::Deep => "ample budget",
        };
        let reason = format!(
            "{word}: {} window at {} %, {left} % left after a margin of {} %{}",
            tightest.name,
            tightest.used,
            at.margin,
            lowered.1.map(|why| format!("; {why}")).unwrap_or_default()
        );
        let resumes_at = (lowered.0 == Mode::Wait).then(|| resume_at(tightest.resets_at, self.evidence.now));
        self.end(mode, lowered.0, Some(left), reason, tightest.basis, resumes_at)
    }

    /// Lowers the mode until what is left pays for a run of it.
    fn afford(&mut self, rung: Rung) -> (Mode, Option<String>) {
        let tier = self.ask.tier;
        let Some(costs) = &self.evidence.costs else { return (rung.mode, None) };
        let fits = |mode: Mode, left: Percent| affordable(costs.of(mode), Mode::Implement, tier, left);
        let mode = highest(rung.mode, |mode| fits(mode, rung.left));
        if mode == rung.mode {
            return (mode, None);
        }
        if mode == Mode::Wait && !fits(Mode::Review, Percent::from_hundredths(90 * 100)) {
            // Waiting would not help: not even an unused window pays for such a run.
            self.warnings.push(format!(
                "an ordinary run costs {} % of a session window: no window pays for that, so cost is left out",
                costs.median
            ));
            return (rung.mode, None);
        }
        let why = format!("{} runs cost {} % of a window each, too much for {}", costs.runs, costs.median, rung.mode);
        self.trail.push(format!("{why}: {mode}"));
        (mode, Some(why))
    }

    /// Lowers the mode when the session would be used up within half an hour.
    fn slow(&mut self, (mode, why): (Mode, Option<String>)) -> (Mode, Option<String>) {
        let Some(burn) = self.burn() else { return (mode, why) };
        let used = self.evidence.usage.session.percent.unwrap_or_default();
        let used = f64::from(used.hundredths()) / 100.0;
        let slower = slowed(mode, used, self.evidence.rate);
        if let (Some(minutes), Some(reset)) = (burn.minutes_left, self.evidence.usage.session.resets_at) {
            let to_reset = (reset.millis() - self.evidence.now.millis()) / MINUTE;
            if burn::runs_out(minutes as f64, to_reset as f64) {
                self.warnings.push(format!(
                    "at {} % an hour the session is used up in {minutes} min, {to_reset} min before it resets",
                    burn.percent_per_hour
                ));
            }
        }
        if slower == mode {
            return (mode, why);
        }
        let slow = format!("{} % an hour would use it up too soon for {mode}", burn.percent_per_hour);
        self.trail.push(format!("{slow}: {slower}"));
        (slower, Some(why.map_or_else(|| slow.clone(), |why| format!("{why}; {slow}"))))
    }

    fn burn(&self) -> Option<Burn> {
        let used = self.evidence.usage.session.percent?;
        Some(Burn::new(used, self.evidence.rate?))
    }

    fn end(
        mut self,
        budget_mode: BudgetMode,
        mode: Mode,
        available: Option<Percent>,
        reason: String,
        basis: Basis,
        resumes_at: Option<Timestamp>,
    ) -> Verdict {
        self.positions.sort_unstable();
        self.positions.dedup();
        let usage = &self.evidence.usage;
        Verdict {
            provider: usage.provider.clone(),
            account: usage.account.clone(),
            metered: usage.metered,
            mode,
            available_percent: available,
            gated: usage.metered && mode == Mode::Wait,
            reason,
            basis,
            burn: self.burn(),
            run_cost: self.evidence.costs.as_ref().map(|costs| costs.median),
            evidence: self.positions,
            budget_mode,
            resumes_at,
            trail: self.trail,
            warnings: self.warnings,
        }
    }
}

/// Whether a model is of a pool's name: all of its words but those for a length are in the model's.
fn names(scope: &str, model: &str) -> bool {
    const LENGTHS: [&str; 13] = [
        "one", "five", "seven", "minute", "minutes", "hour", "hours", "day", "days", "week", "weekly", "month",
        "session",
    ];
    let model = model.to_ascii_lowercase();
    let scope = scope.to_ascii_lowercase();
    if model.contains(&scope) {
        return true;
    }
    let mut words = scope
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty() && !LENGTHS.contains(word) && !word.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(first) = words.next() else { return false };
    model.contains(first) && words.all(|word| model.contains(word))
}

/// A pool as a window that counts.
fn pool(pool: &Pool, now: Timestamp) -> Option<CountedWindow> {
    let length = match pool.window_minutes {
        minutes if minutes % 1_440 == 0 => format!("{} d", minutes / 1_440),
        minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes => format!("{minutes} min"),
    };
    let name = pool.scope.as_ref().map_or_else(|| length.clone(), |scope| format!("{scope} {length}"));
    let age = if pool.stale { now.millis() - pool.at.millis() } else { 0 };
    let old = format!("what was said about the {name} window is {} min old: there is nothing newer", age / MINUTE);
    Some(CountedWindow {
        used: pool.percent?,
        resets_at: pool.resets_at,
        basis: Basis::Observed,
        evidence: vec![pool.position],
        age,
        trail: Vec::new(),
        warnings: if pool.stale { vec![old] } else { Vec::new() },
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_pool_is_known_by_its_models_words() {
        assert!(names("seven_day_opus", "claude-opus-4-5"));
        assert!(names("gemini-3-pro", "gemini-3-pro-preview"));
        assert!(!names("seven_day_opus", "claude-sonnet-4-5"));
        assert!(!names("seven_day", "claude-opus-4-5"));
        assert!(!names("seven_day_oauth_apps", "claude-opus-4-5"));
    }
}
