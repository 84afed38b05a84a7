//! Fuzzes the target that `TARGET` names: one program for all of them is built once.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/reliability/targets.rs"]
mod targets;

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("TARGET").expect("TARGET names what to fuzz");
        let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("{name} is no target: {:?}", targets::TARGETS.map(|(known, _)| known))).1
    });
    target(data);
});
