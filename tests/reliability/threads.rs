//! Threads of one process that append through one handle and share transactions: a kill or a failing call loses nothing that
//! one of them was told is recorded.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use usage_ledger::event::NewEvent;
use usage_ledger::{EventId, Ledger, TokenRecord};

use crate::scenario::was_killed;
use crate::shim::{ALL, EIO, How, Shim, WRITES};
use crate::survey::survey;
use crate::worker::at;
use crate::{seeded, setting};

const ORDER: &str = "RELIABILITY_THREADS";
const THREADS: u64 = 8;
/// Appends of each thread.
const EACH: u64 = 12;

fn key(thread: u64, number: u64) -> String {
    format!("call-{thread}-{number}")
}

fn call(thread: u64, number: u64) -> NewEvent {
    let record = TokenRecord::new("openai", "m").input(number).project(format!("project-{thread}"));
    NewEvent::new(record.key(key(thread, number)), at(number))
}

/// Run by other tests as a process. Every fifth append holds a call that conflicts with a known one behind a new call.
#[test]
fn threads_of_another_test() {
    let Ok(files) = std::env::var(ORDER) else { return };
    let ledger = Ledger::open(Path::new(&files).join("usage.db"));
    let Ok(ledger) = ledger else { return };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut events = vec![call(thread, number)];
                    if number % 5 == 4 {
                        let mut other = call(thread, 0);
                        other.payload = TokenRecord::new("openai", "m").input(77).key(key(thread, 0)).into();
                        events.push(other);
                    }
                    let line = match ledger.append(events, at(number)) {
                        Ok(outcomes) => format!("\nack {thread} {number} {}\n", outcomes[0].position()),
                        Err(error) => format!("\nerr {thread} {number} {}\n", error.to_string().replace('\n', " ")),
                    };
                    // One write, so that an acknowledgement is complete or missing.
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn command(files: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "threads::threads_of_another_test", "--nocapture"]).env(ORDER, files);
    command
}

/// Replaces the files by those of an empty ledger.
fn new_ledger(files: &Path) {
    let _ = std::fs::remove_dir_all(files);
    std::fs::create_dir(files).unwrap();
    drop(Ledger::open(files.join("usage.db")).unwrap());
}

/// Checks that every acknowledged event is at its position. Returns how many were acknowledged and how many failed.
fn check(files: &Path, done: &Output) -> Result<(usize, usize), String> {
    let output = String::from_utf8_lossy(&done.stdout).into_owned();
    let acknowledged: Vec<[u64; 3]> = output
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("ack ")?.split(' ').map(|word| word.parse().ok());
            Some([words.next()??, words.next()??, words.next()??])
        })
        .collect();
    let path = files.join("usage.db");
    survey(&path, [])?;
    let ledger = Ledger::open(&path).unwrap();
    for [thread, number, position] in &acknowledged {
        let event = ledger.event(*position).map_err(|error| format!("{thread} {number}: {error}"))?;
        if event.id != EventId::from_key("openai", &key(*thread, *number)) {
            return Err(format!("position {position} holds another event than call {number} of thread {thread}"));
        }
    }
    Ok((acknowledged.len(), output.matches("\nerr ").count()))
}

#[test]
fn killed_threads_lose_nothing_acknowledged() {
    let (_, mut rng) = seeded("kills of threads");
    let scratch = tempfile::tempdir().unwrap();
    let files = scratch.path().join("files");
    let (mut killed, mut acknowledged) = (0, 0);
    let rounds = (setting("RELIABILITY_KILLS", 560) * 5).div_ceil(100);
    for round in 0..rounds {
        new_ledger(&files);
        let how = if rng.chance(500) { How::Kill } else { How::KillAfter };
        let (mask, number) = (if rng.chance(300) { ALL } else { WRITES }, rng.between(10, 120));
        let shim = Shim::new(&files, scratch.path()).at(mask, number, how);
        let done = shim.apply(&mut command(&files)).output().unwrap();
        killed += u64::from(was_killed(done.status));
        match check(&files, &done) {
            Ok((acks, _)) => acknowledged += acks,
            Err(why) => panic!("round {round}, {how:?} at call {number} of `{mask}`: {why}"),
        }
    }
    eprintln!("{killed} of {rounds} processes were killed, {acknowledged} appends were acknowledged");
    assert!(killed * 2 > rounds && acknowledged > 0);
}

#[test]
fn a_failing_call_fails_no_append_that_another_thread_was_told_is_recorded() {
    let (_, mut rng) = seeded("faults of threads");
    let scratch = tempfile::tempdir().unwrap();
    let files = scratch.path().join("files");
    let (mut hits, mut failed, mut recorded) = (0, 0, 0);
    for round in 0..setting("RELIABILITY_RUNS", 12) {
        new_ledger(&files);
        let how = *rng.pick(&[&How::Before, &How::After, &How::Half]);
        let mask = if how == How::Half { "w" } else { WRITES };
        let number = rng.between(10, 100);
        let shim = Shim::new(&files, scratch.path()).at(mask, number, how).errno(EIO);
        let done = shim.apply(&mut command(&files)).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        hits += u64::from(shim.was_hit());
        match check(&files, &done) {
            // Two appends of each thread are refused in any run.
            Ok((acks, errors)) => {
                recorded += acks;
                failed += usize::from(errors > 2 * THREADS as usize);
            }
            Err(why) => panic!("round {round}, {how:?} at call {number}: {why}"),
        }
    }
    eprintln!("{hits} failures were reached, {failed} runs had appends that failed, {recorded} appends were recorded");
    assert!(hits > 0 && failed > 0 && recorded > 0);
}
