//! The side of a log: asks witnesses for cosignatures of a checkpoint.

use crate::ledger::Snapshot;
use crate::merkle::{AddCheckpoint, Checkpoint, Note, PolicyWitness};
use crate::model::error::{Error, Result};
use crate::model::secrets;

/// How often a witness is asked again because it stated another size.
const ATTEMPTS: usize = 4;

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitnessResponse {
    /// The status.
    pub status: u16,
    /// The media type.
    pub media_type: String,
    /// The body.
    pub body: String,
}

impl WitnessResponse {
    /// An answer.
    pub fn new(status: u16, media_type: impl Into<String>, body: impl Into<String>) -> Self {
        Self { status, media_type: media_type.into(), body: body.into() }
    }
}

/// Sends a body to an address with POST. The error states why there is no answer.
pub type WitnessTransport<'t> = &'t dyn Fn(&str, &str) -> std::result::Result<WitnessResponse, String>;

/// What came of one witness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submission {
    /// The name of the witness in the policy.
    pub witness: String,
    /// The time of its cosignature in seconds since 1970, or why there is none.
    pub cosigned: std::result::Result<u64, String>,
}

impl Submission {
    /// The outcome of a witness.
    pub fn new(witness: impl Into<String>, cosigned: std::result::Result<u64, String>) -> Self {
        Self { witness: witness.into(), cosigned }
    }
}

/// Asks each witness that has an address to cosign a checkpoint of the ledger, and returns the note with the new
/// cosignatures. `earlier` is the last cosigned note, which states from which size each witness continues.
///
/// # Errors
/// The store's own errors. What a witness answers is part of the outcome.
pub fn submit(
    snapshot: &Snapshot<'_>,
    note: &Note,
    earlier: Option<&Note>,
    witnesses: &[PolicyWitness],
    transport: WitnessTransport<'_>,
) -> Result<(Note, Vec<Submission>)> {
    let checkpoint: Checkpoint = note.text().parse()?;
    let mut cosigned = note.clone();
    let mut outcome = Vec::new();
    for witness in witnesses {
        let Some(url) = &witness.url else { continue };
        let old = match earlier {
            Some(earlier) if witness.key.cosigned(earlier).is_ok_and(|time| time.is_some()) => {
                earlier.text().parse::<Checkpoint>()?.size()
            }
            _ => 0,
        };
        let asked = ask(snapshot, note, &checkpoint, old, witness, url, transport)?;
        let time = asked.and_then(|with| {
            let time = witness.key.cosigned(&with).map_err(|error| error.to_string())?;
            let time = time.ok_or_else(|| "its answer has no cosignature by its key".to_owned())?;
            let lines = witness.key.lines_in(&with);
            cosigned = witness.key.replace_in(&cosigned, &lines).map_err(|error| error.to_string())?;
            Ok(time)
        });
        outcome.push(Submission::new(&witness.name, time));
    }
    Ok((cosigned, outcome))
}

/// Asks one witness. Returns the note with the lines of its answer, or why there are none.
fn ask(
    snapshot: &Snapshot<'_>,
    note: &Note,
    checkpoint: &Checkpoint,
    mut old: u64,
    witness: &PolicyWitness,
    url: &str,
    transport: WitnessTransport<'_>,
) -> Result<std::result::Result<Note, String>> {
    let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    for _ in 0..ATTEMPTS {
        if old > checkpoint.size() {
            return Ok(Err(format!(
                "it has cosigned {old} events of this log, the checkpoint is of {}: the ledger lost its tail, or this is \
                 an older copy",
                checkpoint.size()
            )));
        }
        let hashes = if old == 0 { Vec::new() } else { snapshot.prove_consistency(old, checkpoint.size())?.hashes };
        let request = AddCheckpoint::new(old, hashes, note.clone()).to_string();
        let answer = match transport(&url, &request) {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(why)),
        };
        match answer.status {
            200 => {
                return Ok(format!("{}\n{}", note.text(), answer.body)
                    .parse()
                    .map_err(|error: Error| error.to_string()));
            }
            409 => match stated_size(&answer) {
                // With the size that the witness states, only another root can be the reason.
                Some(size) if size == old && size == checkpoint.size() => {
                    return Ok(Err(format!("it has cosigned another history of the first {size} events")));
                }
                Some(size) => old = size,
                None => return Ok(Err("it answers 409 without the size that it knows".to_owned())),
            },
            422 => {
                return Ok(Err(format!("it has cosigned another history of the first {old} events")));
            }
            status => {
                let body: String = secrets::name(&answer.body).chars().take(200).collect();
                return Ok(Err(format!("it answers {status}: {}", body.trim_end())));
            }
        }
    }
    Ok(Err(format!("the witness {} states a new size each time: another program submits too", witness.name)))
}

/// The size in the answer to a conflict.
fn stated_size(answer: &WitnessResponse) -> Option<u64> {
    let media_type = answer.media_type.split(';').next().unwrap_or_default().trim();
    let digits = answer.body.strip_suffix('\n')?;
    let size: u64 = digits.parse().ok()?;
    (media_type == "text/x.tlog.size" && size.to_string() == digits).then_some(size)
}
