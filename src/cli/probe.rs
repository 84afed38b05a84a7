//! Runs a command that calls a provider, for `gate --probe`.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::scan::ScannedRefusal;
use crate::budget::Probe;
use crate::model::provider::ProviderId;
use crate::model::threads::{Stop, start};
use crate::model::time::{Timestamp, Zone};
use crate::readers::exhaustion::{ScanVerdict, judge};

/// Time limit. A timeout shows nothing about the quota.
const LONGEST: Duration = Duration::from_secs(60);
/// Interval of checks for the end of the command.
const STEP: Duration = Duration::from_millis(20);
/// Bytes of each stream that are examined. The rest is discarded.
const KEPT: u64 = 1 << 20;

/// Runs the command in a shell and classifies its output as `scan-output` does. `model` is that of the run.
pub(crate) fn run(command: &str, provider: &ProviderId, model: Option<&str>, (now, zone): (Timestamp, Zone)) -> Probe {
    let (stdout, stderr, exit) = match output(command) {
        Ok(output) => output,
        Err(error) => return Probe::Failed(format!("`{command}`: {error}")),
    };
    match judge(provider.as_str(), Some(&stdout), Some(&stderr), exit) {
        ScanVerdict::Exhausted(exhaustion) => {
            let refusal = ScannedRefusal::new((provider, None), &exhaustion, model, Some(now), (now, zone));
            let resets_at = refusal.reset.as_ref().and_then(|reset| reset.at);
            let (model, excerpt) = (refusal.model.map(str::to_owned), exhaustion.excerpt.clone());
            match model {
                Some(model) => Probe::ModelExhausted { model, excerpt, resets_at },
                None => Probe::Exhausted { excerpt, resets_at },
            }
        }
        ScanVerdict::NotExhausted if exit == 0 => Probe::Available,
        ScanVerdict::NotExhausted | ScanVerdict::Unreliable => {
            Probe::Failed(format!("`{command}` exits {exit} and shows no exhausted quota"))
        }
    }
}

/// Returns standard output, standard error and exit code of a command.
fn output(command: &str) -> io::Result<(String, String, i32)> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    let mut child = shell
        .args([if cfg!(windows) { "/C" } else { "-c" }, command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let readers = start(scope, || stream(stdout)).and_then(|one| Ok((one, start(scope, || stream(stderr))?)));
        let (stdout, stderr) = readers.map_err(|error| {
            // A reader that was started ends with the output.
            let _ = child.kill();
            io::Error::other(error.to_string())
        })?;
        let exit = ended(&mut child, &Stop::default());
        let text = |reader: thread::ScopedJoinHandle<'_, io::Result<String>>| {
            reader.join().map_err(|_| io::Error::other("the thread that reads its output failed"))?
        };
        Ok((text(stdout)?, text(stderr)?, exit?))
    })
}

/// Returns the start of a stream, and reads it to its end.
fn stream(from: Option<impl Read>) -> io::Result<String> {
    let mut from = from.ok_or_else(|| io::Error::other("its output is not connected"))?;
    let mut bytes = Vec::new();
    from.by_ref().take(KEPT).read_to_end(&mut bytes)?;
    io::copy(&mut from, &mut io::sink())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits for the end of a command. One that takes too long, or that runs when the process is asked to stop, is killed.
pub(super) fn ended(child: &mut Child, stop: &Stop) -> io::Result<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            // A command that a signal ended has no exit code, and did not succeed.
            return Ok(status.code().unwrap_or(-1));
        }
        let why = if began.elapsed() > LONGEST {
            format!("it took longer than {} s", LONGEST.as_secs())
        } else if stop.wait(STEP) {
            "usage-ledger ended".to_owned()
        } else {
            continue;
        };
        child.kill()?;
        child.wait()?;
        return Err(io::Error::other(why));
    }
}
