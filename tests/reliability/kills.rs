//! SIGKILL at seeded instants of every writing command: at a system call, or at a moment.

mod import_watch;
mod serve;
mod watch;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use usage_ledger::Ledger;

use crate::corpus::rng::Rng;
use crate::scenario::{Bench, SCENARIOS, Scenario, was_killed};
use crate::shim::{ALL, How, Shim, WRITES};
use crate::survey::{Acknowledged, survey};
use crate::{seeded, setting, worker};

/// Distributes the kills of a run.
fn share(percent: u64) -> u64 {
    (setting("RELIABILITY_KILLS", 560) * percent).div_ceil(100)
}

fn kill(rng: &mut Rng) -> How {
    if rng.chance(500) { How::Kill } else { How::KillAfter }
}

/// Kills one command; the ledger is consistent, and the command can be repeated.
fn kill_command(bench: &Bench, scenario: &Scenario, kills: u64, rng: &mut Rng) -> u64 {
    let answer = bench.answer(scenario);
    bench.reset(scenario);
    let counting = Shim::new(bench.files(), bench.scratch()).counting(ALL);
    let began = Instant::now();
    assert!(counting.apply(&mut bench.command(scenario)).output().unwrap().status.success());
    let (whole, calls) = (began.elapsed(), counting.count());
    let mut killed = 0;
    for round in 0..kills {
        bench.reset(scenario);
        let (done, how);
        if round % 4 == 3 {
            let after = whole.mul_f64(f64::from(u32::try_from(rng.between(0, 1_000)).unwrap()) / 1_000.0);
            let mut child = bench.command(scenario).spawn().unwrap();
            // The moment itself is tested here.
            std::thread::sleep(after);
            let _ = child.kill();
            done = child.wait_with_output().unwrap();
            how = format!("after {after:?}");
        } else {
            let (number, way) = (rng.between(1, calls), kill(rng));
            let shim = Shim::new(bench.files(), bench.scratch()).at(ALL, number, way);
            done = shim.apply(&mut bench.command(scenario)).output().unwrap();
            how = format!("{way:?} at call {number} of {calls}");
        }
        killed += u64::from(was_killed(done.status));
        if let Err(why) = bench.check(scenario, &done, &answer) {
            panic!("{}, {how}: {why}", scenario.name);
        }
    }
    killed
}

#[test]
fn a_killed_command_leaves_a_consistent_ledger_and_can_be_repeated() {
    let (_, mut rng) = seeded("kills of commands");
    let bench = Bench::new();
    let writing: Vec<&Scenario> = SCENARIOS.iter().filter(|one| one.writes()).collect();
    let each = share(50).div_ceil(writing.len() as u64);
    let mut killed = 0;
    for scenario in &writing {
        killed += kill_command(&bench, scenario, each, &mut rng);
    }
    eprintln!("{killed} of {} commands were killed", each * writing.len() as u64);
    assert!(killed * 4 > each * writing.len() as u64 * 3, "only {killed} were killed before they ended");
}

#[test]
fn a_killed_run_loses_nothing_acknowledged() {
    let (seed, mut rng) = seeded("kills of a run");
    let scratch = tempfile::tempdir().unwrap();
    let (files, home) = (scratch.path().join("files"), scratch.path().join("home"));
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let (mut next, mut killed, mut lives) = (0, 0, 0);
    while killed < share(30) {
        if next == 0 || next > 120 {
            // A ledger survives many kills; then a new one begins.
            for dir in [&files, &home] {
                let _ = std::fs::remove_dir_all(dir);
                std::fs::create_dir(dir).unwrap();
            }
            (next, lives) = (0, lives + 1);
            acknowledged.clear();
        }
        let (number, way) = (rng.between(1, 400), kill(&mut rng));
        let mask = if rng.chance(300) { ALL } else { WRITES };
        let shim = Shim::new(&files, scratch.path()).at(mask, number, way);
        let mut command = worker::command(&files, &home, seed.wrapping_add(lives), next..next + 25);
        let done = shim.apply(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(!output.contains("\nerr "), "a step failed: {output}");
        killed += u64::from(was_killed(done.status));
        let steps = worker::acknowledged(&output);
        acknowledged.extend(steps.iter().map(|(_, state)| *state));
        let path = files.join("usage.db");
        if path.exists() {
            if let Err(why) = survey(&path, acknowledged.iter().copied()) {
                panic!("{way:?} at call {number} of `{mask}` in steps from {next}: {why}\n{output}");
            }
        } else {
            assert!(acknowledged.is_empty(), "the ledger is gone");
        }
        next = steps.last().map_or(next, |(step, _)| step + 1).max(next + 1);
    }
    // Everything in the logs is imported: nothing half imported counts as read.
    finish(&files.join("usage.db"), &home);
}

/// Imports the rest, and counts.
fn finish(path: &Path, home: &Path) {
    let ledger = Ledger::open(path).unwrap();
    crate::worker::import_all(&ledger, home);
    let logged = crate::worker::logged(home);
    let snapshot = ledger.snapshot().unwrap();
    for id in &logged {
        assert!(snapshot.find("anthropic", id).unwrap().is_some(), "{id} is in the logs and not in the ledger");
    }
    eprintln!("{} calls of the logs are there", logged.len());
}

#[test]
fn a_killed_server_loses_nothing_acknowledged() {
    let (_, mut rng) = seeded("kills of serve");
    serve::kill_under_load(share(10), &mut rng);
}

#[test]
fn a_killed_dashboard_loses_nothing_shown() {
    let (_, mut rng) = seeded("kills of watch");
    watch::kill_at_work(share(5), &mut rng);
}

#[test]
fn a_killed_import_that_follows_logs_has_what_it_reported_and_misses_nothing() {
    let (_, mut rng) = seeded("kills of import --watch");
    import_watch::kill_while_following(share(5), &mut rng);
}

/// The timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);
