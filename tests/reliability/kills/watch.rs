//! Kills `watch` on a terminal while keys are pressed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use usage_ledger::event::LimitSet;
use usage_ledger::{Ledger, TokenRecord};

use crate::corpus::rng::Rng;
use crate::scenario::was_killed;
use crate::shim::{Shim, WRITES};
use crate::survey::{state, survey};
use crate::worker::at;

/// A pseudo-terminal: our end, and the path of the other end.
fn terminal() -> (File, std::path::PathBuf) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&ours, size).unwrap();
    (File::from(ours), name.into())
}

/// The highest position that the screen has reported as done.
fn shown(screen: &str) -> Option<u64> {
    let numbers = screen.split("position ").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.max()
}

pub fn kill_at_work(kills: u64, rng: &mut Rng) {
    let scratch = tempfile::tempdir().unwrap();
    let files = scratch.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let path = files.join("usage.db");
    let ledger = Ledger::open(&path).unwrap();
    ledger.set_limit(LimitSet::new("anthropic").unwrap().session(1_000), at(0)).unwrap();
    ledger.record(TokenRecord::new("anthropic", "m").input(1), at(0)).unwrap();
    let mut known = vec![state(&ledger).unwrap()];
    drop(ledger);
    let (mut killed, mut acted) = (0, 0);
    for round in 0..kills {
        let (mut ours, name) = terminal();
        let theirs = || {
            let noctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
            Stdio::from(File::options().read(true).write(true).custom_flags(noctty).open(&name).unwrap())
        };
        let mut command = Command::new(crate::program());
        command.env_clear().env("HOME", scratch.path()).env("USAGE_LEDGER", &path).env("TERM", "xterm");
        command.arg("watch").stdin(theirs()).stdout(theirs()).stderr(theirs());
        let (number, way) = (rng.between(1, 60), super::kill(rng));
        Shim::new(&files, scratch.path()).at(WRITES, number, way).apply(&mut command);
        let mut child = command.spawn().unwrap();
        drop(command); // the only other end is the child's now
        let mut reader = ours.try_clone().unwrap();
        let (send, screens) = mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            let mut screen = String::new();
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                screen.push_str(&String::from_utf8_lossy(&bytes[..count]));
                let _ = send.send(());
            }
            screen
        });
        // Each response of the screen is followed by another key while the process lives.
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() && began.elapsed() < super::PATIENCE {
            let _ = screens.recv_timeout(std::time::Duration::from_millis(100));
            let _ = ours.write_all(if rng.chance(500) { &b"py"[..] } else { b"u" }); // a pause is confirmed
        }
        let _ = child.kill();
        killed += u64::from(was_killed(child.wait().unwrap()));
        let screen = reading.join().unwrap();
        match survey(&path, known.iter().copied()) {
            Ok(found) => {
                acted += found.size - known.last().unwrap().size;
                if let Some(position) = shown(&screen) {
                    assert!(position <= found.size, "round {round}: position {position} was shown and is not there");
                }
                known.push(found);
            }
            Err(why) => panic!("round {round}, {way:?} at call {number}: {why}"),
        }
    }
    eprintln!("{killed} dashboards were killed; {acted} events were appended");
    assert!(killed == kills && acted > 0, "{killed} of {kills} were killed, {acted} events were appended");
}
