//! Counters are the same for every order and every split of the logs.
//!
//! A failing test prints its seed; `USAGE_LEDGER_SEED=n cargo test --test import incremental` repeats it.

#![cfg(feature = "import")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::corpus;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corpus::Options;
use corpus::live::Live;
use corpus::rng::Rng;
use usage_ledger::Ledger;

/// A small size, so that cuts fall into every kind of line; many traps, so that wrong order would show.
const fn tiny(seed: u64) -> Options {
    Options { seed, files: 18, codex: 8, bytes: 120_000, text: 5, traps: 10 }
}

/// The default seeds, or the one in the environment.
fn seeds(count: u64) -> Vec<u64> {
    let named = std::env::var("USAGE_LEDGER_SEED").ok();
    named.map_or((1..=count).collect(), |seed| vec![seed.parse().unwrap()])
}

/// Runs a test for each seed, and names the failing one.
fn each(count: u64, test: impl Fn(&str, Live, Rng)) {
    for seed in seeds(count) {
        println!("to run this again: USAGE_LEDGER_SEED={seed}");
        test(&format!("USAGE_LEDGER_SEED={seed}"), Live::new(tiny(seed)), Rng::new(!seed));
    }
}

fn is_codex(file: &Path) -> bool {
    file.starts_with(".codex")
}

fn archived(file: &Path) -> PathBuf {
    Path::new(".codex/archived_sessions").join(file.file_name().unwrap())
}

fn compressed(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".zst");
    name.into()
}

/// The content of a file with this name.
fn bytes(file: &Path, text: &[u8]) -> Vec<u8> {
    if file.extension().is_some_and(|extension| extension == "zst") {
        return zstd::encode_all(text, 1).unwrap();
    }
    text.to_owned()
}

#[test]
fn files_may_be_read_in_any_order() {
    each(12, |what, mut live, mut rng| {
        let mut files = live.truth.files.clone();
        rng.shuffle(&mut files);
        while !files.is_empty() {
            let some = files.split_off(rng.index(files.len()));
            live.put_all(&some);
            live.import();
        }
        live.assert_truth(what);
        live.import_nothing(what);
        assert!(live.ledger.verify().unwrap().ok, "{what}");
    });
}

#[test]
fn files_may_grow_by_any_number_of_bytes() {
    each(12, |what, mut live, mut rng| {
        let mut grown: BTreeMap<PathBuf, usize> = live.truth.files.iter().map(|file| (file.clone(), 0)).collect();
        for step in 1..=6 {
            for (file, end) in &mut grown {
                let text = live.text(file);
                match rng.between(0, 3) {
                    _ if step == 6 => *end = text.len(),
                    0 => continue,
                    // At the end of a line, or directly before it.
                    1 => {
                        let newline = text[*end..].iter().position(|byte| *byte == b'\n');
                        *end = newline.map_or(text.len(), |at| *end + at + rng.index(2));
                    }
                    _ => *end += rng.index(text.len() - *end + 1),
                }
                live.put(file, &text[..*end]);
            }
            live.import();
        }
        live.assert_truth(what);
        live.import_nothing(what);
        assert!(live.ledger.verify().unwrap().ok, "{what}");
    });
}

#[test]
fn files_may_be_moved_rewritten_cut_and_deleted() {
    each(12, |what, mut live, mut rng| {
        let mut files = live.truth.files.clone();
        rng.shuffle(&mut files);
        let mut there: Vec<(PathBuf, PathBuf)> = Vec::new();
        while let Some(file) = files.pop() {
            let text = live.text(&file);
            live.put(&file, &text[..rng.index(text.len() + 1)]);
            live.import();
            live.put(&file, &text);
            there.push((file.clone(), file));
            // A change of an existing file.
            let (origin, place) = there[rng.index(there.len())].clone();
            let whole = live.text(&origin);
            match rng.between(0, 6) {
                0 if is_codex(&origin) && origin == place => {
                    live.remove(&place);
                    live.put(&archived(&origin), &whole);
                    there.retain(|(known, _)| *known != origin);
                    there.push((origin.clone(), archived(&origin)));
                }
                1 => {
                    live.import();
                    live.remove(&place);
                    there.retain(|(known, _)| *known != origin);
                }
                2 => live.put(&place, &bytes(&place, &whole[..rng.index(whole.len() + 1)])),
                // Another log of the same agent and size in its place.
                3 => {
                    let other = live.truth.files[rng.index(live.truth.files.len())].clone();
                    let mut text = live.text(&other);
                    text.resize(whole.len(), b' ');
                    if is_codex(&other) == is_codex(&origin) && is_codex(&origin) {
                        live.put(&place, &bytes(&place, &text));
                    }
                }
                4 => live.touch(&place),
                // Both exist until the import below.
                5 if is_codex(&origin) && origin == place => {
                    live.put(&compressed(&origin), &bytes(&compressed(&origin), &whole));
                    there.retain(|(known, _)| *known != origin);
                    there.push((origin.clone(), compressed(&origin)));
                }
                _ => {}
            }
            live.import();
            live.put(&place, &bytes(&place, &whole));
            if !there.iter().any(|(_, known)| *known == place) {
                live.import();
                live.remove(&place);
            }
        }
        live.import();
        live.assert_truth(what);
        live.import_nothing(what);
        assert!(live.ledger.verify().unwrap().ok, "{what}");
    });
}

/// A log that is first imported while it is being written, cut between any two bytes.
#[test]
fn a_log_may_be_cut_at_any_byte() {
    let options = Options { files: 8, codex: 4, bytes: 20_000, text: 1, ..tiny(3) };
    let mut live = Live::new(options);
    let files = live.truth.files.clone();
    live.put_all(&files);
    for (index, file) in files.iter().enumerate() {
        let text = live.text(file);
        let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        let mut cuts: Vec<usize> = newlines.flat_map(|at| [at, at + 1, at + 2]).collect();
        cuts.extend((index..text.len()).step_by(173));
        for cut in cuts {
            live.ledger = Ledger::in_memory().unwrap();
            live.put(file, &text[..cut.min(text.len())]);
            live.import();
            live.put(file, &text);
            live.import();
            live.assert_truth(&format!("{} cut at {cut}", file.display()));
        }
    }
}
