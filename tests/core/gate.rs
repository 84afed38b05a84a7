//! Decisions of the gate: their inputs, and that they can be repeated later.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use usage_ledger::budget::{Mode, RunRequest, Tier, Verdict};
use usage_ledger::event::{
    BudgetMode, LimitSet, NewEvent, Paused, Percent, QuotaExhausted, QuotaObserved, Thresholds, UsageOverridden,
    WindowKind,
};
use usage_ledger::time::{DAY, HOUR, MINUTE, SECOND};
use usage_ledger::usage::Basis;
use usage_ledger::{AsOf, Ledger, ProviderId, Timestamp, TokenRecord};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // Wednesday 2026-06-10T12:00:00Z

fn limited(provider: &str) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new(provider).unwrap().session(500_000).weekly(5_000_000);
    ledger.set_limit(limits, NOW.plus(-DAY)).unwrap();
    ledger
}

fn used(ledger: &Ledger, provider: &str, tokens: u64, at: Timestamp) {
    ledger.record(TokenRecord::new(provider, "m").input(tokens), at).unwrap();
}

fn observe(ledger: &Ledger, minutes: u32, percent: &str, resets_in: i64, at: Timestamp) {
    let seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), minutes, "claude-statusline")
        .used(percent.parse().unwrap())
        .resets_at(at.plus(resets_in));
    ledger.append([NewEvent::new(seen, at)], at).unwrap();
}

fn gate(ledger: &Ledger, provider: &str, now: Timestamp) -> Verdict {
    ledger.budget(provider, now).unwrap()
}

fn positions(verdict: &Verdict) -> Vec<u64> {
    verdict.evidence.iter().map(|position| position.get()).collect()
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

#[test]
fn an_unmetered_provider_is_never_gated_by_any_event() {
    let ledger = Ledger::in_memory().unwrap();
    let mut limit = LimitSet::new("ollama").unwrap().session(1).weekly(1);
    limit.budget_mode = Some(BudgetMode::Full);
    limit.thresholds = Some(Thresholds::new(10, 10, 10).unwrap());
    ledger.set_limit(limit, NOW).unwrap();
    used(&ledger, "ollama", 9_000_000, NOW);
    ledger.override_usage("ollama", WindowKind::Session, percent("100"), "me", "", NOW).unwrap();
    let refused = QuotaExhausted::new(ProviderId::new("ollama").unwrap(), "http-429", "429");
    ledger.append([NewEvent::new(refused, NOW)], NOW).unwrap();
    ledger.pause(Paused::new("quota"), NOW).unwrap();
    for tier in Tier::ALL {
        let verdict = ledger.gate(&RunRequest::new("ollama-launch").unwrap().tier(tier), NOW).unwrap();
        assert_eq!((verdict.mode, verdict.gated, verdict.basis), (Mode::Deep, false, Basis::Unmetered));
    }
    assert_eq!(gate(&ledger, "ollama", NOW).budget_mode, BudgetMode::Disabled);
}

#[test]
fn the_same_program_through_a_paid_cloud_is_metered() {
    let ledger = limited("ollama-cloud");
    used(&ledger, "ollama-cloud", 450_000, NOW);
    assert!(gate(&ledger, "ollama-cloud", NOW).gated);
    let ask = RunRequest::new("ollama").unwrap().model("qwen3.5:cloud");
    assert!(ledger.gate(&ask, NOW).unwrap().gated);
    assert!(!ledger.gate(&RunRequest::new("ollama").unwrap().model("qwen3.5:9b"), NOW).unwrap().gated);
}

#[test]
fn a_switch_back_to_a_metered_provider_is_gated_at_once() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 400_000, NOW);
    ledger.switch_provider("ollama", "rate limited", NOW.plus(MINUTE)).unwrap();
    used(&ledger, "ollama", 50_000, NOW.plus(2 * MINUTE));
    assert!(!gate(&ledger, "ollama", NOW.plus(3 * MINUTE)).gated);
    ledger.switch_provider("anthropic", "back", NOW.plus(4 * MINUTE)).unwrap();
    let status = ledger.status(NOW.plus(4 * MINUTE)).unwrap();
    assert_eq!(status.active_provider.as_deref(), Some("anthropic"));
    let verdict = gate(&ledger, "anthropic", NOW.plus(4 * MINUTE));
    assert_eq!((verdict.mode, verdict.gated), (Mode::Wait, true));
    assert_eq!(verdict.resumes_at, Some(NOW.plus(5 * HOUR + 10 * MINUTE)));
}

#[test]
fn every_surface_gets_the_same_decision() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 310_000, NOW);
    let verdict = gate(&ledger, "anthropic", NOW);
    let status = ledger.status(NOW).unwrap();
    let shown = &status.providers[0].budget;
    assert_eq!(
        (shown.mode, &shown.reason, shown.available_percent),
        (verdict.mode, &verdict.reason, percent("28").into())
    );
    assert_eq!(shown.trail, verdict.trail);
}

#[test]
fn budget_modes_choose_the_windows_that_count() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 4_750_000, NOW.plus(-2 * DAY));
    let mode = |ledger: &Ledger, mode: Option<BudgetMode>| {
        if mode.is_some() {
            let mut limit = LimitSet::new("anthropic").unwrap();
            limit.budget_mode = mode;
            ledger.set_limit(limit, NOW).unwrap();
        }
        let verdict = gate(ledger, "anthropic", NOW);
        (verdict.budget_mode, verdict.mode)
    };
    assert_eq!(mode(&ledger, None), (BudgetMode::SessionOnly, Mode::Deep));
    assert_eq!(mode(&ledger, Some(BudgetMode::Full)), (BudgetMode::Full, Mode::Wait));
    assert_eq!(mode(&ledger, Some(BudgetMode::Disabled)), (BudgetMode::Disabled, Mode::Deep));
    let verdict = gate(&ledger, "anthropic", NOW);
    assert!(positions(&verdict).contains(&4), "the event that set the mode is evidence: {verdict:?}");
}

#[test]
fn a_known_week_alone_decides() {
    let ledger = Ledger::in_memory().unwrap();
    observe(&ledger, 10_080, "95", 3 * DAY, NOW);
    let verdict = gate(&ledger, "anthropic", NOW);
    assert_eq!((verdict.mode, verdict.basis), (Mode::Wait, Basis::Observed));
    assert!(verdict.trail.iter().any(|step| step.contains("longer ones count")), "{verdict:?}");
}

#[test]
fn unknown_limits_and_readings_are_stated() {
    let ledger = Ledger::in_memory().unwrap();
    let nothing = gate(&ledger, "anthropic", NOW);
    assert_eq!((nothing.basis, nothing.mode, nothing.warnings.len()), (Basis::Unknown, Mode::Deep, 1));
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 100_000, NOW);
    let estimated = gate(&ledger, "anthropic", NOW);
    assert_eq!((estimated.basis, estimated.warnings.len()), (Basis::Estimated, 1));
    assert!(estimated.warnings[0].contains("has not reported the session window"));
    assert_eq!(positions(&estimated), [1, 2]); // the limit and the call
    observe(&ledger, 300, "42", 3 * HOUR, NOW.plus(MINUTE));
    let observed = gate(&ledger, "anthropic", NOW.plus(2 * MINUTE));
    assert_eq!((observed.basis, observed.warnings.len()), (Basis::Observed, 0));
    used(&ledger, "anthropic", 50_000, NOW.plus(3 * MINUTE));
    let delta = gate(&ledger, "anthropic", NOW.plus(4 * MINUTE));
    assert_eq!((delta.basis, delta.available_percent), (Basis::ObservedAndDelta, Some(percent("38"))));
}

#[test]
fn a_stale_reading_is_the_lower_bound_of_the_estimate() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 50_000, NOW);
    observe(&ledger, 300, "80", 3 * HOUR, NOW);
    let fresh = gate(&ledger, "anthropic", NOW.plus(900 * SECOND));
    assert_eq!((fresh.basis, fresh.mode), (Basis::Observed, Mode::Wait));
    let later = NOW.plus(901 * SECOND);
    let stale = gate(&ledger, "anthropic", later);
    assert_eq!(stale.basis, Basis::Estimated);
    assert_eq!(ledger.provider("anthropic", later).unwrap().session.percent, Some(percent("10")));
    assert_eq!(stale.mode, Mode::Wait, "use does not shrink within a window: {stale:?}");
    assert!(stale.warnings[0].contains("15 min old"), "{stale:?}");
    // A program that reads one number sees no less than the reading; the estimate is beside it.
    let session = serde_json::to_value(&ledger.provider("anthropic", later).unwrap().session).unwrap();
    assert_eq!([&session["percent"], &session["at_least"], &session["estimate"]], [80, 80, 10]);
    // After the window ends, its usage no longer counts.
    assert_eq!(gate(&ledger, "anthropic", NOW.plus(3 * HOUR)).mode, Mode::Deep);
}

#[test]
fn a_window_whose_tokens_weigh_nothing_is_not_one_without_calls() {
    let ledger = limited("anthropic");
    let source = |ledger: &Ledger| gate(ledger, "anthropic", NOW.plus(MINUTE)).warnings.remove(0);
    assert!(source(&ledger).contains("no calls are recorded in it"), "{}", source(&ledger));
    let call = TokenRecord::new("anthropic", "m").count(usage_ledger::TokenClass::CacheRead, 5_000);
    ledger.record(call, NOW).unwrap();
    assert!(source(&ledger).contains("weights count none of the tokens"), "{}", source(&ledger));
}

#[test]
fn a_very_old_reading_widens_the_margin() {
    let ledger = Ledger::in_memory().unwrap();
    observe(&ledger, 10_080, "60", 5 * DAY, NOW);
    let at = |ledger: &Ledger, age| gate(ledger, "anthropic", NOW.plus(age)).available_percent.unwrap();
    assert_eq!(at(&ledger, 6 * HOUR), percent("30"));
    assert_eq!(at(&ledger, 6 * HOUR + 1), percent("25"));
}

#[test]
fn feeds_that_are_not_trusted_do_not_count() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 50_000, NOW);
    observe(&ledger, 300, "80", 3 * HOUR, NOW);
    let mut limit = LimitSet::new("anthropic").unwrap();
    limit.feeds = Some("none".into());
    ledger.set_limit(limit, NOW).unwrap();
    let verdict = gate(&ledger, "anthropic", NOW);
    assert_eq!((verdict.basis, verdict.mode), (Basis::Estimated, Mode::Deep));
}

#[test]
fn a_refusal_holds_until_its_reset_or_an_override() {
    let ledger = limited("anthropic");
    let refused =
        QuotaExhausted::new(ProviderId::new("anthropic").unwrap(), "session-limit", "You've hit your session limit")
            .resets_at(NOW.plus(HOUR));
    ledger.append([NewEvent::new(refused, NOW)], NOW).unwrap();
    let verdict = gate(&ledger, "anthropic", NOW.plus(MINUTE));
    assert_eq!((verdict.gated, verdict.resumes_at), (true, Some(NOW.plus(HOUR + 10 * MINUTE))));
    assert!(verdict.reason.contains("session-limit") && positions(&verdict).contains(&2), "{verdict:?}");
    assert!(!gate(&ledger, "anthropic", NOW.plus(HOUR + 10 * MINUTE)).gated);
    // A resume does not end a refusal …
    ledger.pause(Paused::new("manual"), NOW.plus(MINUTE)).unwrap();
    ledger.resume("back from lunch", NOW.plus(2 * MINUTE)).unwrap();
    assert!(gate(&ledger, "anthropic", NOW.plus(3 * MINUTE)).gated);
    // … an override does.
    ledger.override_usage("anthropic", WindowKind::Session, percent("0"), "me", "", NOW.plus(4 * MINUTE)).unwrap();
    assert!(!gate(&ledger, "anthropic", NOW.plus(5 * MINUTE)).gated);
}

#[test]
fn later_readings_of_open_windows_end_a_refusal() {
    let ledger = limited("anthropic");
    let refused = QuotaExhausted::new(ProviderId::new("anthropic").unwrap(), "http-429", "429");
    ledger.append([NewEvent::new(refused, NOW)], NOW).unwrap();
    assert!(gate(&ledger, "anthropic", NOW.plus(MINUTE)).gated);
    observe(&ledger, 300, "20", 3 * HOUR, NOW.plus(2 * MINUTE));
    assert!(!gate(&ledger, "anthropic", NOW.plus(3 * MINUTE)).gated);
    observe(&ledger, 10_080, "100", DAY, NOW.plus(4 * MINUTE));
    assert!(gate(&ledger, "anthropic", NOW.plus(5 * MINUTE)).gated, "a full window is a refusal");
}

#[test]
fn a_window_of_one_model_counts_for_that_model() {
    let ledger = limited("google");
    let seen = QuotaObserved::new(ProviderId::new("google").unwrap(), 1_440, "gemini-buckets")
        .scope("gemini-3-pro")
        .used(percent("97"))
        .resets_at(NOW.plus(HOUR));
    ledger.append([NewEvent::new(seen, NOW)], NOW).unwrap();
    let ask = |model: &str| RunRequest::new("google").unwrap().model(model);
    assert!(ledger.gate(&ask("gemini-3-pro-preview"), NOW).unwrap().gated);
    assert!(!ledger.gate(&ask("gemini-3-flash"), NOW).unwrap().gated);
}

#[test]
fn readings_of_one_window_do_not_push_out_those_of_another() {
    let ledger = Ledger::in_memory().unwrap();
    let seen = |minutes, scope: Option<&str>, feed: &str, used: &str, reset: Timestamp| {
        let mut seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), minutes, feed);
        seen.scope = scope.map(str::to_owned);
        seen.used(percent(used)).resets_at(reset)
    };
    let add = |at: Timestamp, seen| ledger.append([NewEvent::new(seen, at)], at).unwrap();
    let hours = NOW.plus(4 * HOUR);
    add(NOW, seen(300, None, "claude-statusline", "95", hours));
    add(NOW, seen(10_080, Some("opus"), "anthropic-oauth", "100", NOW.plus(3 * DAY)));
    let ask = RunRequest::new("anthropic").unwrap().model("claude-opus-4-5");
    for n in 1..=600 {
        let at = NOW.plus(n * 1_000);
        // Windows of a minute, an idle terminal, and an agent's own counter.
        add(at, seen(1, Some("requests"), "anthropic-headers", "0", at.plus(MINUTE)));
        add(at, seen(300, None, "claude-statusline", "5", hours));
        add(at, seen(300, None, "koan-usage-state", "1", hours));
    }
    for at in [NOW.plus(HOUR), NOW.plus(2 * HOUR)] {
        assert!(gate(&ledger, "anthropic", at).gated && ledger.gate(&ask, at).unwrap().gated);
    }
    let at = NOW.plus(2 * DAY);
    assert!(!gate(&ledger, "anthropic", at).gated && ledger.gate(&ask, at).unwrap().gated);
}

#[test]
fn an_idle_feed_of_an_ended_window_ends_no_refusal() {
    let ledger = Ledger::in_memory().unwrap();
    observe(&ledger, 300, "100", HOUR, NOW.plus(-DAY));
    let at = NOW.plus(-12 * HOUR);
    observe(&ledger, 300, "50", HOUR, at);
    refuse_model(&ledger, None, 3 * DAY, NOW.plus(-11 * HOUR));
    // A terminal of the day before redraws.
    observe(&ledger, 300, "20", -23 * HOUR, NOW);
    assert!(gate(&ledger, "anthropic", NOW.plus(MINUTE)).gated);
}

#[test]
fn a_full_window_holds_no_longer_than_it_is_long() {
    let ledger = Ledger::in_memory().unwrap();
    observe(&ledger, 300, "100", 73 * 365 * DAY, NOW);
    observe_model(&ledger, "opus", "100", 73 * 365 * DAY, NOW);
    assert!(gate(&ledger, "anthropic", NOW.plus(4 * HOUR)).gated);
    assert!(!gate(&ledger, "anthropic", NOW.plus(5 * HOUR)).gated);
    assert!(shut(&ledger, "claude-opus-4-5", NOW.plus(6 * DAY)));
    assert!(!shut(&ledger, "claude-opus-4-5", NOW.plus(7 * DAY)));
}

#[test]
fn a_refusal_holds_until_its_reset_however_old_it_is() {
    let ledger = Ledger::in_memory().unwrap();
    refuse_model(&ledger, None, 53 * DAY, NOW);
    refuse_model(&ledger, Some("opus"), 90 * DAY, NOW);
    for days in [31, 33, 52] {
        assert!(gate(&ledger, "anthropic", NOW.plus(days * DAY)).gated, "after {days} days");
    }
    assert!(
        !gate(&ledger, "anthropic", NOW.plus(54 * DAY)).gated && shut(&ledger, "claude-opus-4-5", NOW.plus(54 * DAY))
    );
    // A month may have 31 days, and its reading counts to the end.
    let seen = QuotaObserved::new(ProviderId::new("github-copilot").unwrap(), 44_640, "copilot").used(percent("100"));
    ledger.append([NewEvent::new(seen.resets_at(NOW.plus(33 * DAY)), NOW)], NOW).unwrap();
    assert!(gate(&ledger, "github-copilot", NOW.plus(33 * DAY - HOUR)).gated);
    assert!(!gate(&ledger, "github-copilot", NOW.plus(33 * DAY)).gated);
    // So does what a person states.
    let stated = UsageOverridden::new(ProviderId::new("zai").unwrap(), WindowKind::Weekly, percent("99"), "me", "");
    ledger.append([NewEvent::new(stated.resets_at(NOW.plus(30 * DAY)), NOW)], NOW).unwrap();
    assert!(gate(&ledger, "zai", NOW.plus(29 * DAY)).gated);
}

fn refuse_model(ledger: &Ledger, model: Option<&str>, resets_in: i64, at: Timestamp) {
    let refused = {
        let mut made =
            QuotaExhausted::new(ProviderId::new("anthropic").unwrap(), "claude-limit", "You've hit your limit")
                .resets_at(at.plus(resets_in));
        made.model = model.map(str::to_owned);
        made
    };
    ledger.append([NewEvent::new(refused, at)], at).unwrap();
}

fn observe_model(ledger: &Ledger, scope: &str, used: &str, resets_in: i64, at: Timestamp) {
    let seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 10_080, "anthropic-oauth")
        .scope(scope)
        .used(percent(used))
        .resets_at(at.plus(resets_in));
    ledger.append([NewEvent::new(seen, at)], at).unwrap();
}

fn in_every_budget_mode(ledger: &Ledger, check: impl Fn(&Ledger, BudgetMode)) {
    for mode in BudgetMode::ALL {
        let mut limit = LimitSet::new("anthropic").unwrap();
        limit.budget_mode = Some(mode);
        ledger.set_limit(limit, NOW).unwrap();
        check(ledger, mode);
    }
}

fn shut(ledger: &Ledger, model: &str, now: Timestamp) -> bool {
    let ask = RunRequest::new("anthropic").unwrap().model(model);
    ledger.gate(&ask, now).unwrap().gated
}

#[test]
fn a_refusal_of_one_model_closes_the_gate_for_that_model_in_every_budget_mode() {
    let ledger = limited("anthropic");
    refuse_model(&ledger, Some("opus"), 2 * DAY, NOW);
    in_every_budget_mode(&ledger, |ledger, mode| {
        assert!(shut(ledger, "claude-opus-4-8", NOW.plus(1)), "{mode:?}");
        assert!(!shut(ledger, "claude-sonnet-5", NOW.plus(1)), "{mode:?}");
        let any = gate(ledger, "anthropic", NOW.plus(1));
        assert!(!any.gated && any.warnings.iter().any(|warning| warning.contains("opus is refused")), "{any:?}");
    });
    // Sonnet continues until the shared window is full.
    refuse_model(&ledger, None, HOUR, NOW.plus(2));
    in_every_budget_mode(&ledger, |ledger, mode| {
        assert!(shut(ledger, "claude-sonnet-5", NOW.plus(3)), "{mode:?}");
        assert!(gate(ledger, "anthropic", NOW.plus(3)).gated, "{mode:?}");
    });
    assert!(!shut(&ledger, "claude-sonnet-5", NOW.plus(DAY)));
    assert!(shut(&ledger, "claude-opus-4-8", NOW.plus(DAY)), "the longer refusal of the model still holds");
    let usage = ledger.provider("anthropic", NOW.plus(DAY)).unwrap();
    assert_eq!((usage.exhausted, usage.exhausted_models.len()), (None, 1));
}

#[test]
fn a_full_window_of_one_model_closes_the_gate_for_that_model_in_every_budget_mode() {
    let ledger = Ledger::in_memory().unwrap();
    observe(&ledger, 300, "2", 3 * HOUR, NOW);
    observe(&ledger, 10_080, "61", 4 * DAY, NOW);
    observe_model(&ledger, "seven_day_fable", "100", 4 * DAY, NOW);
    in_every_budget_mode(&ledger, |ledger, mode| {
        for now in [NOW.plus(MINUTE), NOW.plus(2 * HOUR)] {
            assert!(shut(ledger, "claude-fable-5", now) && shut(ledger, "claude-fable-5-1", now), "{mode:?}");
            assert!(!shut(ledger, "claude-sonnet-5", now), "{mode:?}");
        }
    });
    observe(&ledger, 10_080, "100", 4 * DAY, NOW.plus(2 * MINUTE));
    in_every_budget_mode(&ledger, |ledger, mode| {
        assert!(shut(ledger, "claude-sonnet-5", NOW.plus(3 * MINUTE)), "a shared window shuts all models: {mode:?}");
    });
}

#[test]
fn a_refusal_of_one_model_ends_when_its_window_is_open_again() {
    let ledger = limited("anthropic");
    refuse_model(&ledger, Some("opus"), 2 * DAY, NOW);
    observe(&ledger, 300, "20", 3 * HOUR, NOW.plus(MINUTE));
    observe(&ledger, 10_080, "20", DAY, NOW.plus(MINUTE));
    assert!(shut(&ledger, "claude-opus-4-8", NOW.plus(2 * MINUTE)), "shared windows say nothing about it");
    observe_model(&ledger, "seven_day_opus", "3", 6 * DAY, NOW.plus(3 * MINUTE));
    assert!(!shut(&ledger, "claude-opus-4-8", NOW.plus(4 * MINUTE)));
}

#[test]
fn a_model_does_not_share_the_window_of_a_shorter_name() {
    let ledger = Ledger::in_memory().unwrap();
    observe_model(&ledger, "gemini-2.5-flash", "100", HOUR, NOW);
    assert!(shut(&ledger, "gemini-2.5-flash-lite", NOW.plus(1)));
    observe_model(&ledger, "gemini-2.5-flash-lite", "4", HOUR, NOW.plus(1));
    assert!(!shut(&ledger, "gemini-2.5-flash-lite", NOW.plus(2)));
    assert!(shut(&ledger, "gemini-2.5-flash", NOW.plus(2)));
    assert!(!shut(&ledger, "gemini-3.5-flash", NOW.plus(2)));
}

#[test]
fn a_disabled_budget_obeys_refusals_and_ignores_estimates() {
    let ledger = limited("anthropic");
    let mut limit = LimitSet::new("anthropic").unwrap();
    limit.budget_mode = Some(BudgetMode::Disabled);
    ledger.set_limit(limit, NOW.plus(-1)).unwrap();
    used(&ledger, "anthropic", 500_000, NOW);
    ledger.pause(Paused::new("quota").until(NOW.plus(HOUR)), NOW).unwrap();
    let open = gate(&ledger, "anthropic", NOW.plus(1));
    assert_eq!((open.mode, open.gated, open.available_percent), (Mode::Deep, false, Some(percent("90"))));
    refuse_model(&ledger, None, HOUR, NOW.plus(1));
    let refused = gate(&ledger, "anthropic", NOW.plus(2));
    assert_eq!((refused.mode, refused.gated, refused.budget_mode), (Mode::Wait, true, BudgetMode::Disabled));
    assert!(refused.reason.contains("the provider refused (claude-limit)"), "{refused:?}");
    assert!(!gate(&ledger, "anthropic", NOW.plus(2 * HOUR)).gated);
}

#[test]
fn only_quota_pauses_expire_and_no_resume_changes_a_counter() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 100_000, NOW);
    let pause = |ledger: &Ledger, reason: &str, at| {
        ledger.pause(Paused::new(reason).until(NOW.plus(HOUR)), at).unwrap();
    };
    pause(&ledger, "quota", NOW);
    assert!(gate(&ledger, "anthropic", NOW.plus(HOUR - 1)).gated);
    assert!(!gate(&ledger, "anthropic", NOW.plus(HOUR)).gated);
    pause(&ledger, "lunch", NOW.plus(1));
    assert!(gate(&ledger, "anthropic", NOW.plus(HOUR)).gated, "only a quota pause may end by itself");
    let before = ledger.provider("anthropic", NOW.plus(2 * HOUR)).unwrap();
    ledger.resume("full", NOW.plus(2 * HOUR)).unwrap();
    assert_eq!(ledger.provider("anthropic", NOW.plus(2 * HOUR)).unwrap(), before);
    assert!(!gate(&ledger, "anthropic", NOW.plus(2 * HOUR)).gated);
    assert!(ledger.resume("again", NOW.plus(3 * HOUR)).is_ok_and(|outcome| outcome.position().get() == 5));
}

#[test]
fn a_quota_pause_under_a_manual_one_does_not_lift_it() {
    let ledger = limited("anthropic");
    ledger.pause(Paused::new("manual"), NOW).unwrap();
    ledger.pause(Paused::new("quota").until(NOW.plus(HOUR)), NOW.plus(1)).unwrap();
    assert_eq!(ledger.status(NOW.plus(2 * HOUR)).unwrap().paused.unwrap().reason, "manual");
    ledger.override_usage("anthropic", WindowKind::Session, percent("1"), "me", "", NOW.plus(2)).unwrap();
    let left = ledger.status(NOW.plus(3)).unwrap().paused.unwrap();
    assert_eq!(left.reason, "manual");
}

#[test]
fn a_fast_burn_lowers_the_mode_and_idle_time_forgives_it() {
    let ledger = limited("anthropic");
    for step in 0..5 {
        used(&ledger, "anthropic", 45_000, NOW.plus(step * 4 * MINUTE));
    }
    let busy = gate(&ledger, "anthropic", NOW.plus(16 * MINUTE));
    assert_eq!((busy.mode, busy.burn.unwrap().percent_per_hour), (Mode::Implement, percent("168.75")));
    assert!(busy.reason.contains("too soon for deep"), "{busy:?}");
    assert!(busy.warnings.iter().any(|warning| warning.contains("before it resets")), "{busy:?}");
    let idle = gate(&ledger, "anthropic", NOW.plus(4 * HOUR));
    assert_eq!(idle.mode, Mode::Deep);
    assert!(idle.burn.unwrap().percent_per_hour < percent("12"));
}

#[test]
fn runs_that_cost_more_than_the_remaining_percentage_lower_the_mode() {
    let ledger = limited("anthropic");
    for run in 0..5 {
        let call = TokenRecord::new("anthropic", "m").input(100_000).conversation(format!("run-{run}"));
        ledger.record(call, NOW.plus(run * 4 * HOUR - DAY)).unwrap();
    }
    used(&ledger, "anthropic", 150_000, NOW);
    let ask = |tier| RunRequest::new("anthropic").unwrap().tier(tier);
    let medium = ledger.gate(&ask(Tier::Medium), NOW).unwrap();
    assert_eq!((medium.mode, medium.run_cost), (Mode::Deep, Some(percent("20")))); // 40 % for a deep one, of 60 left
    let critical = ledger.gate(&ask(Tier::Critical), NOW).unwrap();
    assert_eq!(critical.mode, Mode::Implement);
    assert!(critical.reason.contains("too much for deep"), "{critical:?}");
}

#[test]
fn a_past_decision_can_be_repeated() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 400_000, NOW);
    let then = gate(&ledger, "anthropic", NOW.plus(MINUTE));
    let position = ledger.head().unwrap().position;
    ledger.override_usage("anthropic", WindowKind::Session, percent("0"), "me", "", NOW.plus(2 * MINUTE)).unwrap();
    used(&ledger, "anthropic", 7, NOW.plus(3 * MINUTE));
    assert_ne!(gate(&ledger, "anthropic", NOW.plus(3 * MINUTE)).mode, then.mode);
    let past = ledger.as_of(AsOf::Position(position)).unwrap();
    assert_eq!(past.budget("anthropic", NOW.plus(MINUTE)).unwrap(), then);
}

#[test]
fn an_override_holds_until_the_next_reading_and_is_undone_by_voiding() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 450_000, NOW);
    observe(&ledger, 300, "60", 2 * HOUR, NOW.plus(MINUTE));
    ledger.override_usage("anthropic", WindowKind::Session, percent("5"), "me", "", NOW.plus(2 * MINUTE)).unwrap();
    let session = ledger.provider("anthropic", NOW.plus(3 * MINUTE)).unwrap().session;
    assert_eq!((session.percent, session.basis), (Some(percent("5")), Basis::Overridden));
    assert_eq!(session.observed.unwrap().percent, Some(percent("60")), "both numbers stay visible");
    used(&ledger, "anthropic", 50_000, NOW.plus(4 * MINUTE));
    let percent_at = |ledger: &Ledger, minutes: i64| {
        ledger.provider("anthropic", NOW.plus(minutes * MINUTE)).unwrap().session.percent.unwrap()
    };
    assert_eq!(percent_at(&ledger, 5), percent("15"), "what is recorded later is added");
    observe(&ledger, 300, "70", HOUR, NOW.plus(6 * MINUTE));
    assert_eq!(percent_at(&ledger, 7), percent("70"));
    let override_id = ledger.event(4).unwrap().id;
    ledger.void(override_id, "misread", NOW.plus(8 * MINUTE)).unwrap();
    assert!(ledger.provider("anthropic", NOW.plus(9 * MINUTE)).unwrap().session.overridden.is_none());
}

fn codex(ledger: &Ledger, document: &str, at: Timestamp) {
    let seen = usage_ledger::quota::observe(usage_ledger::quota::QuotaFormat::CodexRateLimits, document, at).unwrap();
    ledger.append(seen.events(at).collect::<Vec<_>>(), at).unwrap();
}

#[test]
fn further_readings_of_a_full_window_do_not_open_the_gate() {
    let windows = r#""primary":{"used_percent":10,"window_minutes":300,"resets_at":1781103600},"secondary":{"used_percent":100,"window_minutes":10080,"resets_at":1781600000}"#;
    for more in ["", r#","rate_limit_reached_type":"rate_limit_reached""#] {
        let ledger = Ledger::in_memory().unwrap();
        codex(&ledger, &format!(r#"{{"rate_limits":{{{windows}{more}}}}}"#), NOW);
        assert!(gate(&ledger, "openai", NOW).gated, "{more}");
    }
}

fn refuse(ledger: &Ledger, rule: &str, at: Timestamp) {
    let refused = QuotaExhausted::new(ProviderId::new("anthropic").unwrap(), rule, rule);
    ledger.append([NewEvent::new(refused, at)], at).unwrap();
}

/// A reading ends only a refusal that it says something about.
#[test]
fn a_repeated_reading_and_one_of_a_shorter_window_end_no_refusal() {
    let gated = |ledger: &Ledger| gate(ledger, "anthropic", NOW.plus(2 * HOUR)).gated;
    // An idle program repeats what it read before the refusal.
    let ledger = Ledger::in_memory().unwrap();
    observe(&ledger, 300, "50", 4 * HOUR, NOW);
    refuse_model(&ledger, None, 4 * HOUR - MINUTE, NOW.plus(MINUTE));
    observe(&ledger, 300, "50", 4 * HOUR - 2 * MINUTE, NOW.plus(2 * MINUTE));
    assert!(gated(&ledger));
    // The provider counted on, and answers.
    observe(&ledger, 300, "51", 4 * HOUR - 3 * MINUTE, NOW.plus(3 * MINUTE));
    assert!(!gated(&ledger));
    // A week is refused, and a session is open.
    let ledger = Ledger::in_memory().unwrap();
    refuse_model(&ledger, None, 4 * DAY, NOW);
    observe(&ledger, 300, "20", 4 * HOUR, NOW.plus(MINUTE));
    assert!(gated(&ledger));
    observe(&ledger, 10_080, "60", 4 * DAY - 2 * MINUTE, NOW.plus(2 * MINUTE));
    assert!(!gated(&ledger));
}

#[test]
fn an_open_window_ends_no_refusal_about_money_or_another_window() {
    let ledger = Ledger::in_memory().unwrap();
    refuse(&ledger, "credit-balance", NOW);
    observe(&ledger, 300, "20", 3 * HOUR, NOW.plus(MINUTE));
    observe(&ledger, 10_080, "30", DAY, NOW.plus(MINUTE));
    assert!(gate(&ledger, "anthropic", NOW.plus(2 * MINUTE)).gated);
    let ledger = Ledger::in_memory().unwrap();
    refuse(&ledger, "session-limit", NOW);
    observe(&ledger, 10_080, "30", DAY, NOW.plus(MINUTE));
    assert!(gate(&ledger, "anthropic", NOW.plus(2 * MINUTE)).gated);
}

#[test]
fn a_refusal_without_a_reset_is_a_refusal() {
    let ledger = Ledger::in_memory().unwrap();
    let seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 300, "anthropic-headers").status("rejected");
    ledger.append([NewEvent::new(seen, NOW)], NOW).unwrap();
    assert!(gate(&ledger, "anthropic", NOW.plus(MINUTE)).gated);
    assert!(!gate(&ledger, "anthropic", NOW.plus(6 * HOUR)).gated);
}

#[test]
fn the_only_account_is_the_default() {
    let ledger = Ledger::in_memory().unwrap();
    let seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 300, "claude-statusline")
        .account("work")
        .used(percent("100"))
        .resets_at(NOW.plus(HOUR));
    ledger.append([NewEvent::new(seen, NOW)], NOW).unwrap();
    let verdict = gate(&ledger, "anthropic", NOW);
    assert_eq!((verdict.gated, verdict.account.as_deref()), (true, Some("work")));
}

#[test]
fn an_override_uses_the_window_of_the_provider() {
    let ledger = limited("anthropic");
    observe(&ledger, 300, "60", 2 * HOUR, NOW);
    let reset = NOW.plus(2 * HOUR);
    ledger.override_usage("anthropic", WindowKind::Session, percent("62"), "me", "", NOW.plus(MINUTE)).unwrap();
    let session = ledger.provider("anthropic", NOW.plus(2 * MINUTE)).unwrap().session;
    assert_eq!((session.percent, session.resets_at), (Some(percent("62")), Some(reset)));
    assert_eq!(ledger.provider("anthropic", reset).unwrap().session.percent, Some(percent("0")));
    // The rest of an overridden window after a later reading is not a window.
    let ledger = limited("anthropic");
    ledger.override_usage("anthropic", WindowKind::Session, percent("50"), "me", "", NOW).unwrap();
    observe(&ledger, 300, "60", HOUR, NOW.plus(HOUR));
    used(&ledger, "anthropic", 300_000, NOW.plus(2 * HOUR + 30 * MINUTE));
    let session = ledger.provider("anthropic", NOW.plus(6 * HOUR)).unwrap().session;
    assert_eq!((session.percent, session.started_at), (Some(percent("60")), Some(NOW.plus(2 * HOUR + 30 * MINUTE))));
}

#[test]
fn a_reading_without_a_reset_applies_to_its_own_window() {
    let ledger = limited("anthropic");
    used(&ledger, "anthropic", 10, NOW.plus(-4 * HOUR));
    let seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 300, "claude-statusline").used(percent("95"));
    ledger.append([NewEvent::new(seen, NOW)], NOW).unwrap();
    assert!(gate(&ledger, "anthropic", NOW.plus(30 * MINUTE)).gated);
    used(&ledger, "anthropic", 10, NOW.plus(HOUR + MINUTE));
    assert!(!gate(&ledger, "anthropic", NOW.plus(2 * HOUR)).gated, "that window is over");
}

#[test]
fn calibration_fits_the_hidden_limit_and_the_class_weights() {
    let ledger = Ledger::in_memory().unwrap();
    // A limit of 1,000,000 input tokens with output weight five; the provider reports whole percent.
    let (mut used, mut at) = (0_u64, NOW);
    for step in 0..40_u64 {
        let (input, output) = (9_000 + 1_700 * (step % 5), 900 + 700 * (step % 3));
        at = at.plus(5 * MINUTE);
        ledger.record(TokenRecord::new("anthropic", "m").input(input).output(output), at).unwrap();
        used += input + 5 * output;
        observe(&ledger, 300, &(used / 10_000).to_string(), NOW.plus(5 * HOUR).millis() - at.millis(), at);
    }
    let mut limit = LimitSet::new("anthropic").unwrap();
    limit.weights = Some(usage_ledger::event::Weights::parse(["input=1", "output=5"]).unwrap());
    ledger.set_limit(limit, NOW).unwrap();
    let fit = ledger.snapshot().unwrap().calibration("anthropic", None, WindowKind::Session, at).unwrap().unwrap();
    assert!(fit.low <= 1_000_000 && 1_000_000 <= fit.high, "{fit:?}");
    assert!(fit.high - fit.low < 30_000, "{fit:?}");
    let output = fit.weights.iter().find(|weight| weight.class == usage_ledger::TokenClass::Output).unwrap();
    assert!((output.weight - 5.0).abs() < 3.0 * output.error && output.error < 1.5, "{output:?}");
}

#[test]
fn an_old_reading_counts_with_its_points_next_to_a_fuller_window() {
    let ledger = Ledger::in_memory().unwrap();
    let mut full = LimitSet::new("anthropic").unwrap();
    full.budget_mode = Some(BudgetMode::Full);
    ledger.set_limit(full, NOW.plus(-DAY)).unwrap();
    observe(&ledger, 10_080, "74", 3 * DAY, NOW.plus(-7 * HOUR));
    assert_eq!(gate(&ledger, "anthropic", NOW).mode, Mode::Wait);
    observe(&ledger, 300, "75", HOUR, NOW);
    assert_eq!(gate(&ledger, "anthropic", NOW).mode, Mode::Wait);
}

#[test]
fn the_gate_resumes_when_the_last_window_that_closes_it_resets() {
    let ledger = Ledger::in_memory().unwrap();
    let mut full = LimitSet::new("anthropic").unwrap();
    full.budget_mode = Some(BudgetMode::Full);
    ledger.set_limit(full, NOW.plus(-DAY)).unwrap();
    observe(&ledger, 10_080, "90", 3 * DAY, NOW);
    observe(&ledger, 300, "95", 3 * HOUR, NOW);
    let verdict = gate(&ledger, "anthropic", NOW);
    assert!(verdict.resumes_at >= Some(NOW.plus(3 * DAY)), "{verdict:?}");
    assert_eq!(verdict.rung().mode, Mode::Wait);
}

#[test]
fn a_gate_that_a_need_closes_prints_wait() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.override_usage("anthropic", WindowKind::Session, percent("55"), "me", "", NOW).unwrap();
    let verdict = ledger.gate(&RunRequest::new("anthropic").unwrap().need(Mode::Deep), NOW).unwrap();
    assert_eq!((verdict.mode, verdict.rung().mode), (Mode::Implement, Mode::Wait));
}

#[test]
fn a_refusal_under_a_pause_without_an_end_resumes_at_no_time() {
    let ledger = limited("anthropic");
    refuse(&ledger, "usage-limit", NOW);
    assert!(gate(&ledger, "anthropic", NOW).resumes_at.is_some());
    ledger.pause(Paused::new("lunch"), NOW).unwrap();
    let verdict = gate(&ledger, "anthropic", NOW);
    assert_eq!((verdict.gated, verdict.resumes_at), (true, None), "{verdict:?}");
    assert!(verdict.reason.contains("refused") && verdict.reason.contains("lunch"), "{}", verdict.reason);
}
