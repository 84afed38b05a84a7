//! The seed system's behaviour, with a separate test for each case.
//!
//! The cases are in `tests/fixtures/seed_cases.json`, `seed_cases_more.json` and `seed_cases_variations.json`, or in the
//! file that the environment variable `SEED_CASES` names. The expected values of the variations are computed from the
//! seed's rules, independently of this crate. A case states whether the seed behaves so (`conformance: seed`) or should
//! (`better`). A case without a counterpart in this crate is ignored, with the reason in its name.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "seed_cases/mod.rs"]
mod seed_cases_by_area;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use seed_cases_by_area::{Case, Checked, check, no_counterpart};

const OWN: &str = include_str!("fixtures/seed_cases.json");
const MORE: &str = include_str!("fixtures/seed_cases_more.json");
const VARIATIONS: &str = include_str!("fixtures/seed_cases_variations.json");
/// The maximal share of cases without a counterpart, in percent.
const NO_COUNTERPART_PER_CENT: usize = 5;

fn read(text: &str) -> Vec<Case> {
    serde_json::from_str(text).expect("the cases are a JSON array")
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let named = std::env::var("SEED_CASES").ok();
    let cases = match &named {
        Some(path) => read(&std::fs::read_to_string(path).expect("the cases are readable")),
        None => [OWN, MORE, VARIATIONS].map(read).into_iter().flatten().collect(),
    };
    assert!(!cases.is_empty(), "no case at all");
    let cases = Arc::new(cases);
    // Data sets of cases may be defined in another file.
    let data = Arc::new(read(OWN));
    let mut trials = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..cases.len() {
        let case = &cases[index];
        let count = names.entry(format!("{}/{}", case.area, case.name)).or_default();
        *count += 1;
        let again = if *count > 1 { format!(" ({count})") } else { String::new() };
        let why = no_counterpart(case);
        let note = why.map(|why| format!(" [{why}]")).unwrap_or_default();
        let name = format!("{}/{}{again}{note}", case.area, case.name.replace('\n', " "));
        let (cases, data) = (Arc::clone(&cases), Arc::clone(&data));
        trials.push(Trial::test(name, move || run(&cases, index, &data)).with_ignored_flag(why.is_some()));
    }
    if named.is_none() {
        let without = cases.iter().filter(|case| no_counterpart(case).is_some()).count();
        let of = cases.len();
        trials.push(Trial::test("few_cases_have_no_counterpart", move || {
            let fits = 100 * without <= NO_COUNTERPART_PER_CENT * of;
            if fits { Ok(()) } else { Err(format!("{without} of {of}").into()) }
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(cases: &[Case], index: usize, data: &[Case]) -> Result<(), Failed> {
    let case = &cases[index];
    match check(case, cases, data) {
        Checked::Passed => Ok(()),
        Checked::Failed(why) => Err(format!("[{}] given {}: {why}", case.when, case.given).into()),
    }
}
