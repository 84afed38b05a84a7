//! The seed system's behaviour, case by case: `tests/fixtures/seed_cases.json`, or the file that the environment
//! variable `SEED_CASES` names. A case says whether the seed does it (`conformance: seed`) or ought to (`better`).

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "seed_cases/mod.rs"]
mod seed_cases_by_area;

use seed_cases_by_area::{Case, Checked, check};

/// Cases that cannot apply are few: at most one in twenty of our own copy.
const NOT_APPLICABLE_PER_CENT: usize = 5;

#[test]
fn seed_cases() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/seed_cases.json");
    let named = std::env::var("SEED_CASES").ok();
    let text = std::fs::read_to_string(named.as_deref().unwrap_or(own)).expect("the cases are readable");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("the cases are a JSON array");
    assert!(!cases.is_empty(), "no case at all");
    let (mut failed, mut not_applicable) = (Vec::new(), Vec::new());
    for case in &cases {
        // A rule that trips over a case it does not foresee fails that case alone.
        let checked = std::panic::catch_unwind(|| check(case, &cases))
            .unwrap_or_else(|_| Checked::Failed(format!("the rule tripped over it: given {}", case.given)));
        match checked {
            Checked::Passed => {}
            Checked::Failed(why) => failed.push(format!("{} / {} [{}]: {why}", case.area, case.name, case.when)),
            Checked::NotApplicable(why) => not_applicable.push(format!("{} / {}: {why}", case.area, case.name)),
        }
    }
    for line in &not_applicable {
        println!("not applicable: {line}");
    }
    println!("{} cases, {} failed, {} not applicable", cases.len(), failed.len(), not_applicable.len());
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
    if named.is_none() {
        assert!(100 * not_applicable.len() <= NOT_APPLICABLE_PER_CENT * cases.len(), "{not_applicable:#?}");
    }
}
