//! Every system call and allocation of a command fails once: no answer is wrong, and nothing is damaged.

use crate::corpus::rng::Rng;
use crate::scenario::{Bench, SCENARIOS, Scenario};
use crate::shim::{ALL, EIO, ENOMEM, ENOSPC, How, Shim, WRITES};
use crate::survey::{Acknowledged, survey};
use crate::{seeded, setting, worker};

/// A kind of failure.
struct Plan {
    name: &'static str,
    mask: &'static str,
    how: How,
    errno: i32,
    /// Whether all later calls fail too, as on a full disk.
    sticky: bool,
    /// The number of failures tried per command, unless all are requested.
    most: u64,
}

const PLANS: [Plan; 6] = [
    Plan { name: "a call fails", mask: ALL, how: How::Before, errno: EIO, sticky: false, most: 16 },
    Plan {
        name: "the disk is full from here on",
        mask: "owtn",
        how: How::Before,
        errno: ENOSPC,
        sticky: true,
        most: 6,
    },
    Plan { name: "the disk fails from here on", mask: WRITES, how: How::Before, errno: EIO, sticky: true, most: 5 },
    Plan { name: "a call is done and fails", mask: WRITES, how: How::After, errno: EIO, sticky: false, most: 8 },
    Plan { name: "a write is half done", mask: "w", how: How::Half, errno: EIO, sticky: false, most: 6 },
    Plan { name: "no memory is left for one", mask: "a", how: How::Before, errno: ENOMEM, sticky: false, most: 8 },
];

/// The numbers of the failing calls: all of them, or the first, the last, and some between.
fn chosen(count: u64, most: u64, rng: &mut Rng) -> Vec<u64> {
    let most = match std::env::var("RELIABILITY_FAULTS").as_deref() {
        Ok("all") => u64::MAX,
        Ok(factor) => most * factor.parse::<u64>().expect("RELIABILITY_FAULTS is `all` or a factor"),
        Err(_) => most,
    };
    if count <= most {
        return (1..=count).collect();
    }
    (0..most).map(|part| part * count / most + 1 + rng.between(0, count / most - 1)).collect()
}

fn fail_everywhere(bench: &Bench, scenario: &Scenario, plan: &Plan, rng: &mut Rng) -> u64 {
    let answer = bench.answer(scenario);
    bench.reset(scenario);
    let shim = Shim::new(bench.files(), bench.scratch()).counting(plan.mask);
    assert!(shim.apply(&mut bench.command(scenario)).output().unwrap().status.success());
    let chosen = chosen(shim.count(), plan.most, rng);
    for number in &chosen {
        bench.reset(scenario);
        let shim = Shim::new(bench.files(), bench.scratch()).at(plan.mask, *number, plan.how).errno(plan.errno);
        let shim = if plan.sticky { shim.sticky() } else { shim };
        let done = shim.apply(&mut bench.command(scenario)).output().unwrap();
        if let Err(why) = bench.check(scenario, &done, &answer) {
            panic!("{}: {}, number {number}: {why}", scenario.name, plan.name);
        }
    }
    chosen.len() as u64
}

#[test]
fn no_failing_system_call_makes_an_answer_wrong() {
    let (_, mut rng) = seeded("faults");
    let bench = Bench::new();
    let mut tried = 0;
    // `RELIABILITY_SCENARIO` names one command.
    let only = std::env::var("RELIABILITY_SCENARIO").ok();
    for scenario in SCENARIOS.iter().filter(|scenario| only.as_deref().is_none_or(|only| scenario.name == only)) {
        for plan in &PLANS {
            let here = fail_everywhere(&bench, scenario, plan, &mut rng);
            eprintln!("{}, {}: {here}", scenario.name, plan.name);
            tried += here;
        }
    }
    eprintln!("{tried} failures of {} commands", SCENARIOS.len());
}

/// A process that continues after a failure, like a server: its later acknowledgements are also durable.
#[test]
fn a_process_that_continues_after_a_failure_loses_nothing() {
    let (seed, mut rng) = seeded("faults of a long run");
    let scratch = tempfile::tempdir().unwrap();
    let (mut hits, mut refused) = (0, 0);
    let plans: Vec<&Plan> = PLANS.iter().filter(|plan| !plan.sticky && plan.mask != "a").collect();
    for round in 0..setting("RELIABILITY_RUNS", 12) {
        let (files, home) = (scratch.path().join("files"), scratch.path().join("home"));
        for dir in [&files, &home] {
            let _ = std::fs::remove_dir_all(dir);
            std::fs::create_dir(dir).unwrap();
        }
        let plan = plans[rng.index(plans.len())];
        let number = rng.between(1, 250);
        let shim = Shim::new(&files, scratch.path()).at(plan.mask, number, plan.how).errno(plan.errno);
        let mut command = worker::command(&files, &home, seed.wrapping_add(round), 0..30);
        let done = shim.apply(&mut command).output().unwrap();
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}, number {number}: {stderr}", plan.name);
        hits += u64::from(shim.was_hit());
        refused += output.matches("\nerr ").count();
        let acknowledged: Vec<Acknowledged> =
            worker::acknowledged(&output).into_iter().map(|(_, state)| state).collect();
        if let Err(why) = survey(&files.join("usage.db"), acknowledged) {
            panic!("round {round}: {}, number {number}: {why}\n{output}", plan.name);
        }
    }
    assert!(hits > 0 && refused > 0, "{hits} failures were reached, {refused} steps failed");
}
