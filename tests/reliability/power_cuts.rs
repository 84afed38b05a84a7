//! Power cuts, replayed from the recorded writes of a process: unsynced data are lost, kept or torn in any combination.
//!
//! The model is stricter than a file system. A write is durable only after its own file is synced; until then each of
//! its 512-byte sectors may or may not be on the disk, independently of others. A name is durable only after its
//! directory is synced; until then a prefix of the name changes is. A failed sync may have lost its data permanently.

mod disk;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::corpus::rng::Rng;
use crate::scenario::{Bench, SCENARIOS, Scenario};
use crate::shim::{EIO, How, Shim};
use crate::survey::{Acknowledged, survey};
use crate::{seeded, setting, worker};
use disk::{Call, Disk, read_log};

/// Sector sizes in bytes; some disks write larger ones atomically.
const SECTORS: [usize; 2] = [512, 4_096];

struct Recorded {
    scratch: tempfile::TempDir,
    files: PathBuf,
    calls: Vec<Call>,
}

/// Runs a worker and records its writes; `shim` adds a failure.
fn record(seed: u64, steps: u64, shim: impl FnOnce(Shim) -> Shim) -> Recorded {
    let scratch = tempfile::tempdir().unwrap();
    let (files, home, log) = (scratch.path().join("files"), scratch.path().join("home"), scratch.path().join("log"));
    std::fs::create_dir_all(&files).unwrap();
    std::fs::create_dir_all(&home).unwrap();
    let files = files.canonicalize().unwrap();
    let mut command = worker::command(&files, &home, seed, 0..steps);
    let shim = shim(Shim::new(&files, scratch.path()).log(&log));
    let done = shim.apply(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Recorded { calls: read_log(&log), files, scratch }
}

/// Cuts the power at seeded moments and checks the resulting disk.
struct Cutter<'r> {
    recorded: &'r Recorded,
    rng: Rng,
    /// All acknowledged or completely visible states; a cut leaves one of them.
    states: BTreeSet<Acknowledged>,
    /// The number of cuts with an older state than the newest, unsynced data, or no ledger.
    older: u64,
    torn: u64,
    absent: u64,
}

impl Cutter<'_> {
    fn cut(&mut self, disk: &Disk, acknowledged: &[Acknowledged], at: usize) {
        let place = self.recorded.scratch.path().join("cut");
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir(&place).unwrap();
        let sector = SECTORS[self.rng.index(SECTORS.len())];
        self.torn += u64::from(disk.has_pending());
        disk.lose_power(&mut self.rng, sector, &self.recorded.files, &place);
        let path = place.join("usage.db");
        let last = acknowledged.last().copied();
        if !path.exists() {
            assert!(last.is_none_or(|last| last.size == 0), "cut at call {at}: the ledger is gone");
            self.absent += 1;
            return;
        }
        match survey(&path, acknowledged.iter().copied()) {
            Ok(checked) => self.older += u64::from(last.is_some_and(|last| checked.size > last.size)),
            Err(why) => panic!("cut at call {at}, sectors of {sector} bytes: {why}; the files are in {}", kept(&place)),
        }
    }
}

/// Copies the files of a failure to a permanent place.
fn kept(place: &Path) -> String {
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failed-cut");
    let _ = std::fs::remove_dir_all(&keep);
    std::fs::create_dir_all(&keep).unwrap();
    for entry in std::fs::read_dir(place).unwrap().flatten() {
        std::fs::copy(entry.path(), keep.join(entry.file_name())).unwrap();
    }
    keep.display().to_string()
}

fn cut_everywhere(recorded: &Recorded, cuts: u64, seed: u64) {
    let mut cutter = Cutter { recorded, rng: Rng::new(seed), states: BTreeSet::new(), older: 0, torn: 0, absent: 0 };
    let mut disk = Disk::default();
    let mut output = String::new();
    let mut acknowledged = Vec::new();
    let mut made = 0;
    let total = recorded.calls.len();
    for (at, call) in recorded.calls.iter().enumerate() {
        if let Call::Answer(text) = call {
            output.push_str(&String::from_utf8_lossy(text));
            acknowledged = worker::acknowledged(&output).into_iter().map(|(_, state)| state).collect();
            cutter.states.extend(acknowledged.last());
        }
        // Most unsynced data exist directly before a sync.
        let due = cuts * (at as u64 + 1) / total as u64;
        let worth = matches!(call, Call::Sync(_) | Call::SyncNames | Call::FailedSync(_)) || made + 8 < due;
        while worth && made < due {
            cutter.cut(&disk, &acknowledged, at);
            made += 1;
        }
        disk.apply(call);
    }
    cutter.cut(&disk, &acknowledged, total);
    eprintln!(
        "{} cuts over {total} calls and {} acknowledged states: {} with unsynced data, {} kept a commit that was not yet \
         acknowledged, {} before there was a ledger",
        made + 1,
        cutter.states.len(),
        cutter.torn,
        cutter.older,
        cutter.absent
    );
    assert!(cutter.torn > 0, "no cut met unsynced data");
}

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let (seed, mut rng) = seeded("power cuts");
    let recorded = record(seed, setting("RELIABILITY_STEPS", 90), |shim| shim);
    cut_everywhere(&recorded, setting("RELIABILITY_CUTS", 700), rng.word());
}

#[test]
fn a_power_cut_after_a_failed_sync_loses_nothing_acknowledged() {
    let (seed, mut rng) = seeded("power cuts after failed syncs");
    let rounds = setting("RELIABILITY_CUTS", 300).div_ceil(60);
    for round in 0..rounds {
        let number = rng.between(1, 120);
        let recorded = record(seed.wrapping_add(round), 40, |shim| shim.at("s", number, How::Before).errno(EIO));
        eprintln!("sync {number} fails");
        cut_everywhere(&recorded, 60, rng.word());
    }
}

/// Syncs of a worker until the tables of a new ledger are durable.
const SYNCS_OF_A_NEW_LEDGER: u64 = 12;

#[test]
fn a_power_cut_after_a_failed_sync_of_a_new_ledger_loses_nothing_acknowledged() {
    let (seed, mut rng) = seeded("power cuts after failed syncs of a new ledger");
    for number in 1..=SYNCS_OF_A_NEW_LEDGER {
        let recorded = record(seed.wrapping_add(number), 4, |shim| shim.at("s", number, How::Before).errno(EIO));
        eprintln!("sync {number} fails");
        cut_everywhere(&recorded, setting("RELIABILITY_CUTS", 30), rng.word());
    }
}

/// A command with a power cut at any point in it and after it: the ledger is consistent, and the command can be
/// repeated.
fn cut_command(bench: &Bench, scenario: &Scenario, cuts: u64, rng: &mut Rng) {
    let _ = bench.answer(scenario);
    bench.reset(scenario);
    let (path, log) = (bench.ledger(), bench.scratch().join("log"));
    let _ = std::fs::remove_file(&log);
    let mut disk = match std::fs::metadata(&path) {
        Ok(about) => Disk::with(path.clone(), about.ino(), std::fs::read(&path).unwrap()),
        Err(_) => Disk::default(),
    };
    let shim = Shim::new(bench.files(), bench.scratch()).log(&log);
    assert!(shim.apply(&mut bench.command(scenario)).output().unwrap().status.success());
    let calls = read_log(&log);
    let mut made = 0;
    for (at, call) in calls.iter().map(Some).chain([None]).enumerate() {
        // Once more at the end, when it has reported success.
        while made < cuts * (at as u64 + 1) / (calls.len() as u64 + 1) {
            made += 1;
            bench.clear();
            let sector = SECTORS[rng.index(SECTORS.len())];
            disk.lose_power(rng, sector, bench.files(), bench.files());
            let checked = bench.left(scenario, call.is_none()).and_then(|()| bench.repeat(scenario));
            if let Err(why) = checked {
                panic!("{}, cut at call {at} of {}: {why}", scenario.name, calls.len());
            }
        }
        if let Some(call) = call {
            disk.apply(call);
        }
    }
}

#[test]
fn a_power_cut_during_a_command_leaves_a_consistent_ledger() {
    let (_, mut rng) = seeded("power cuts in commands");
    let bench = Bench::new();
    let writing: Vec<&Scenario> = SCENARIOS.iter().filter(|one| one.writes()).collect();
    let each = setting("RELIABILITY_CUTS", 160).div_ceil(writing.len() as u64);
    for scenario in writing {
        cut_command(&bench, scenario, each, &mut rng);
    }
}

#[test]
fn the_disk_model_detects_a_missing_sync() {
    // Tests the harness: it must notice missing syncs.
    let mut recorded = record(7, 25, |shim| shim);
    recorded.calls.retain(|call| !matches!(call, Call::Sync(_)));
    let lied = std::panic::catch_unwind(|| cut_everywhere(&recorded, 40, 7));
    assert!(lied.is_err(), "a process that never syncs passes");
}
