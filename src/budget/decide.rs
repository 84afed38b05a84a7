//! The decision: a pure function of the evidence.

use super::counted::{CountedWindow, refusal, refused_models, unnamed_refusal, windows};
use super::evidence::Evidence;
use super::ladder::{NOT_COUNTED, points_for_age};
use super::{Burn, Marks, Mode, RunRequest, Rung, Verdict, burn, effective_mode, safety_margin, slowed};
use crate::model::event::{BudgetMode, Percent, Position, Thresholds};
use crate::model::humanize::duration::retry_after;
use crate::model::time::{MINUTE, Timestamp};
use crate::usage::{Basis, Exhausted, resume_at};

/// A decision in progress.
struct Decision<'e> {
    evidence: &'e Evidence,
    request: &'e RunRequest,
    trail: Vec<String>,
    warnings: Vec<String>,
    positions: Vec<Position>,
    marks: Option<Marks>,
}

/// The end of a decision.
struct DecisionEnd {
    mode: Mode,
    available: Option<Percent>,
    reason: String,
    basis: Basis,
    /// When to try again if the gate is closed.
    again: Option<Timestamp>,
}

/// A window that counts, and the mode that it allows.
struct JudgedWindow {
    window: CountedWindow,
    mode: Mode,
    /// The remaining percentage after the margin.
    left: Percent,
    marks: Marks,
    /// Its usage in words.
    used: String,
    /// What lowered the mode.
    why: Vec<String>,
    trail: Vec<String>,
    warnings: Vec<String>,
}

/// A mode, and what lowered it.
struct LoweredMode {
    mode: Mode,
    why: Vec<String>,
}

/// Decides what a run may do.
pub(super) fn decide(evidence: &Evidence, request: &RunRequest) -> Verdict {
    let decision =
        Decision { evidence, request, trail: Vec::new(), warnings: Vec::new(), positions: Vec::new(), marks: None };
    decision.verdict()
}

impl Decision<'_> {
    fn verdict(mut self) -> Verdict {
        let usage = &self.evidence.usage;
        let set = self.evidence.budget_mode;
        let (mode, trail) = effective_mode(set.map(|(mode, _)| mode.name()), false, usage.metered);
        self.trail.extend(trail);
        if !usage.metered {
            return self.unmetered(mode);
        }
        self.positions.extend(set.map(|(_, position)| position));
        let counted = self.counted(mode);
        self.warnings.extend(refused_models(self.evidence, self.request));
        self.warnings.extend(unnamed_refusal(self.evidence));
        let basis = counted.first().map_or(Basis::Unknown, |window| window.basis);
        if let Some((reason, again)) = self.stopped(mode) {
            let available = Some(Percent::default());
            return self.end(mode, DecisionEnd { mode: Mode::Wait, available, reason, basis, again });
        }
        if mode == BudgetMode::Disabled {
            let reason = "the budget mode is disabled: only a refusal or a pause shuts the gate".to_owned();
            let available = Some(NOT_COUNTED);
            return self.end(mode, DecisionEnd { mode: Mode::Deep, available, reason, basis, again: None });
        }
        self.by_ladder(mode, counted)
    }

    /// An unmetered provider is never gated.
    fn unmetered(mut self, budget_mode: BudgetMode) -> Verdict {
        self.positions.extend(&self.evidence.usage.session.evidence);
        if let Some(Exhausted { until, rule, .. }) = &self.evidence.cloud {
            self.warnings.push(format!(
                "its paid cloud is refused until {until} ({rule}): name the model of the run to have that counted"
            ));
        }
        let reason = match &self.evidence.paused {
            Some(pause) => format!("no API quota (work is paused: {}, which gates no such provider)", pause.reason),
            None => "no API quota".to_owned(),
        };
        let end = DecisionEnd { mode: Mode::Deep, available: None, reason, basis: Basis::Unmetered, again: None };
        self.end(budget_mode, end)
    }

    /// The refusal or the pause that closes the gate, or both: then the later end counts, and a pause may have none.
    fn stopped(&mut self, mode: BudgetMode) -> Option<(String, Option<Timestamp>)> {
        match (self.refused(), self.paused(mode)) {
            (Some((refusal, refused_until)), Some((pause, paused_until))) => {
                let until = refused_until.zip(paused_until).map(|(refused, paused)| refused.max(paused));
                Some((format!("{refusal}; {pause}"), until))
            }
            (refused, paused) => refused.or(paused),
        }
    }

    /// A refusal of the provider closes the gate in every budget mode, whatever percentage remains.
    fn refused(&mut self) -> Option<(String, Option<Timestamp>)> {
        let refused = refusal(self.evidence, self.request)?;
        let model = refused.model.as_ref().map(|model| format!(" of {model}")).unwrap_or_default();
        self.positions.push(refused.position);
        self.trail.push(format!("the provider refused runs{model} at {} (rule {})", refused.at, refused.rule));
        let reason = format!("the provider refused{model} ({}): not before {}", refused.rule, refused.until);
        Some((reason, Some(refused.until)))
    }

    fn paused(&mut self, mode: BudgetMode) -> Option<(String, Option<Timestamp>)> {
        let pause = self.evidence.paused.as_ref()?;
        if pause.is_quota() && mode == BudgetMode::Disabled {
            self.trail.push("a quota pause does not hold while the budget mode is disabled".to_owned());
            return None;
        }
        self.positions.push(pause.position);
        self.trail.push(format!("paused since {} ({})", pause.since, pause.reason));
        let until = pause.until.map(|until| format!(" until {until}")).unwrap_or_default();
        Some((format!("work is paused ({}){until}", pause.reason), pause.until))
    }

    /// The windows that count in a budget mode, in descending order of usage.
    fn counted(&mut self, mode: BudgetMode) -> Vec<CountedWindow> {
        let mut windows = windows(self.evidence, self.request, mode);
        self.trail.append(&mut windows.trail);
        for window in &mut windows.counted {
            self.trail.append(&mut window.trail);
            self.warnings.append(&mut window.warnings);
        }
        windows.counted
    }

    fn thresholds(&mut self) -> Thresholds {
        let Some((at, position)) = self.evidence.thresholds else { return Thresholds::default() };
        self.positions.push(position);
        if at.is_inverted() {
            self.warnings.push(format!("warn at {} % is above stop at {} %: there is no warning", at.warn, at.stop));
        }
        at
    }

    /// The lowest mode that a window allows. Of windows that allow the same one the fullest decides.
    fn by_ladder(mut self, budget_mode: BudgetMode, counted: Vec<CountedWindow>) -> Verdict {
        let at = self.thresholds();
        for window in &counted {
            self.positions.extend(&window.evidence);
        }
        let mut judged: Vec<JudgedWindow> = counted.into_iter().map(|window| self.judge(window, at)).collect();
        let need = self.request.need;
        let shut = judged.iter().filter(|one| one.mode == Mode::Wait || one.mode < need);
        // The gate stays closed until the last window that closes it resets.
        let again = shut.map(|one| resume_at(one.window.resets_at, self.evidence.now)).max();
        for one in &mut judged {
            self.warnings.append(&mut one.warnings);
        }
        // The sort is stable, so of equal modes the fullest window stays first.
        judged.sort_by_key(|one| one.mode);
        let Some(JudgedWindow { window, mode, left, marks, used, why, trail, .. }) = judged.into_iter().next() else {
            let reason = "no limit is set and the provider reported nothing: not gated".to_owned();
            self.warnings.push(format!("{}: {reason}", self.evidence.usage.provider));
            let end = DecisionEnd { mode: Mode::Deep, available: None, reason, basis: Basis::Unknown, again: None };
            return self.end(budget_mode, end);
        };
        self.marks = Some(marks);
        self.trail.extend(trail);
        let margin = safety_margin(at.margin, window.age);
        let kept = if margin > 0 { format!(" after a margin of {margin} %") } else { String::new() };
        let LoweredMode { mode, why } = self.slow(LoweredMode { mode, why });
        let word = match mode {
            Mode::Wait => "budget exhausted",
            Mode::Review => "low budget",
            Mode::Implement => "normal budget",
            Mode::Deep => "ample budget",
        };
        let words = std::iter::once(format!("{word}: {used}, {left} % left{kept}")).chain(why);
        let reason = words.collect::<Vec<_>>().join("; ");
        // No window closes the gate alone, but the burn rate may have lowered the mode.
        let again = again.or_else(|| Some(resume_at(window.resets_at, self.evidence.now)));
        self.end(budget_mode, DecisionEnd { mode, available: Some(left), reason, basis: window.basis, again })
    }

    /// The mode that a window allows by its percentage and by the cost of a run.
    fn judge(&self, window: CountedWindow, at: Thresholds) -> JudgedWindow {
        let older = points_for_age(window.age);
        let marks = Marks::of(at).earlier(older);
        let Rung { mode: rung, left } = Rung::of(window.used, marks, safety_margin(at.margin, window.age));
        let kind = if window.is_money { "" } else { " window" };
        let used = format!("{}{kind} at {} % used ({marks})", window.name, window.used);
        let trail = vec![format!("{used}{}: {rung}", arithmetic(at, older))];
        let judged =
            JudgedWindow { mode: rung, left, marks, used, why: Vec::new(), trail, warnings: Vec::new(), window };
        // A run costs a part of a token window, which says nothing about money.
        if judged.window.is_money { judged } else { self.afford(judged, at) }
    }

    /// Lowers the mode until the remaining percentage covers its cost.
    fn afford(&self, mut judged: JudgedWindow, at: Thresholds) -> JudgedWindow {
        let (rung, left) = (judged.mode, judged.left);
        let (tier, Some(costs)) = (self.request.tier, &self.evidence.costs) else { return judged };
        let mut mode = costs.highest(rung, tier, left);
        if mode == rung {
            return judged;
        }
        if mode == Mode::Wait && !costs.fits(Mode::Review, tier, NOT_COUNTED) {
            // Waiting would not help, because even an unused window does not cover such a run.
            judged.warnings.push(format!(
                "an ordinary run costs {} % of a session window: no window pays for that, so cost is left out",
                costs.ordinary
            ));
            return judged;
        }
        let count = if costs.runs == 1 { "1 run cost".to_owned() } else { format!("{} runs cost", costs.runs) };
        let why = format!(
            "{count} {} % of a window each, so {rung} at tier {} costs {} %, too much for {rung} with {left} % left",
            costs.ordinary,
            tier.name(),
            costs.of(rung, tier)
        );
        if mode == Mode::Wait && at.margin == 0 {
            // A `stop` without a margin states where waiting begins, so the cost does not move it.
            mode = Mode::Review;
            judged.trail.push(format!("waiting begins at the stated {} %, so cost lowers to review at most", at.stop));
        }
        judged.trail.push(format!("{why}: {mode}"));
        if mode != rung {
            judged.mode = mode;
            judged.why.push(why);
        }
        judged
    }

    /// Lowers the mode if the session would be exhausted within half an hour.
    fn slow(&mut self, mut lowered: LoweredMode) -> LoweredMode {
        let (Some(burn), Some(used)) = (self.burn(), self.evidence.usage.session.used()) else { return lowered };
        let used = f64::from(used.hundredths()) / 100.0;
        let slower = slowed(lowered.mode, used, self.evidence.rate);
        if let (Some(minutes), Some(reset)) = (burn.minutes_left, self.evidence.usage.session.resets_at) {
            let to_reset = (reset.millis() - self.evidence.now.millis()) / MINUTE;
            if burn::runs_out(minutes as f64, to_reset as f64) {
                let lasts = MINUTE.saturating_mul(i64::try_from(minutes).unwrap_or(i64::MAX));
                let spare = (reset.millis() - self.evidence.now.millis()).saturating_sub(lasts);
                self.warnings.push(format!(
                    "at {} % an hour the session is used up in {}, {} before it resets: lower the tier, or pause until then",
                    burn.percent_per_hour,
                    retry_after(lasts),
                    retry_after(spare)
                ));
            }
        }
        if slower != lowered.mode {
            let why = format!("{} % an hour would use it up too soon for {}", burn.percent_per_hour, lowered.mode);
            self.trail.push(format!("{why}: {slower}"));
            lowered.why.push(why);
            lowered.mode = slower;
        }
        lowered
    }

    fn burn(&self) -> Option<Burn> {
        let used = self.evidence.usage.session.used()?;
        Some(Burn::new(used, self.evidence.rate?))
    }

    fn end(mut self, budget_mode: BudgetMode, end: DecisionEnd) -> Verdict {
        self.positions.sort_unstable();
        self.positions.dedup();
        let usage = &self.evidence.usage;
        let DecisionEnd { mode, available, mut reason, basis, again } = end;
        let need = self.request.need;
        let gated = usage.metered && (mode == Mode::Wait || mode < need);
        if gated && mode > Mode::Wait {
            reason = format!("{need} is needed and {mode} is the most that may start: {reason}");
            self.trail.push(format!("{need} is needed, which is more than {mode}: wait"));
        }
        Verdict {
            provider: usage.provider.clone(),
            account: usage.account.clone(),
            metered: usage.metered,
            mode,
            need,
            available_percent: available,
            gated,
            reason,
            basis,
            burn: self.burn(),
            run_cost: self.evidence.costs.as_ref().map(|costs| costs.ordinary),
            evidence: self.positions,
            budget_mode,
            begins: self.marks,
            resumes_at: again.filter(|_| gated),
            money: self.evidence.money.iter().filter(|one| one.concerns(self.request)).cloned().collect(),
            trail: self.trail,
            warnings: self.warnings,
        }
    }
}

/// Explains the percentages at which modes begin, if they differ from the thresholds.
fn arithmetic(at: Thresholds, older: u8) -> String {
    let margin = match at.margin {
        0 => String::new(),
        margin => format!(
            "; review begins when use and the margin of {margin} % pass {} %, wait when they pass {} %",
            at.warn, at.stop
        ),
    };
    let older = match older {
        0 => String::new(),
        older => format!("; {older} points earlier, as the reading is old"),
    };
    margin + &older
}
