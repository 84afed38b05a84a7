//! Runs the stored inputs of the fuzzer, and its findings, as an ordinary test.

use std::path::Path;

use crate::targets::TARGETS;

#[test]
fn stored_fuzzer_inputs_pass() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz");
    let mut inputs = 0;
    for (name, target) in TARGETS {
        target(b"");
        let entries = std::fs::read_dir(kept.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        for entry in entries {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let done = std::panic::catch_unwind(|| target(&data));
            assert!(done.is_ok(), "{} does not hold", path.display());
            inputs += 1;
        }
    }
    eprintln!("{inputs} inputs of {} targets", TARGETS.len());
    let strange = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange: Vec<_> = strange.filter(|name| TARGETS.iter().all(|(known, _)| known != name)).collect();
    assert!(strange.is_empty(), "inputs without a target: {strange:?}");
}
