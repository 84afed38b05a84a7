//! `witness`: obtains cosignatures of checkpoints, and keeps the state of a witness.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde::Serialize;

use super::checkpoint;
use super::context::{Context, make_private};
use super::key_file;
use crate::api::proofs::CheckpointNote;
use crate::merkle::{Checkpoint, Cosigner, Note, Verifier, WitnessPolicy};
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer};
use crate::sync::witness::{Submission, WitnessLog, WitnessResponse, submit};

/// How long a witness may take to answer, in seconds.
const PATIENCE: &str = "20";
/// The largest answer of a witness, in bytes.
const LARGEST: &str = "65536";
/// The file with the key of a witness.
const KEY: &str = "key";

/// Create a witness: a directory with its key and its state
///
/// The directory keeps the last checkpoint of each log. Back it up: a witness that lost its state could cosign a second
/// history, so `witness serve` does not start without it.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger witness init ~/witness --name witness.example/w1 > w1.pub")]
pub(crate) struct WitnessInitArgs {
    /// The directory; it must not exist, or be empty
    directory: PathBuf,
    /// The name of the witness: an address without a scheme that you own
    #[arg(long, value_name = "NAME")]
    name: String,
}

/// Print the public key of a witness
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger witness key ~/witness > w1.pub")]
pub(crate) struct WitnessKeyArgs {
    /// The directory of the witness
    directory: PathBuf,
}

/// Ask the witnesses of a policy to cosign a checkpoint of this ledger
///
/// Prints the checkpoint with the cosignatures, or writes it to --out, if they meet the quorum of the policy. Otherwise it
/// exits 1. It uses curl.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger witness submit --policy trust.policy --out ~/anchors/ledger.checkpoint\n  \
    usage-ledger verify --checkpoint ~/anchors/ledger.checkpoint --policy trust.policy")]
pub(crate) struct WitnessSubmitArgs {
    /// The policy (c2sp.org/tlog-policy): witnesses with their addresses, and the quorum
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// A signed checkpoint [default: a new checkpoint of the whole ledger]
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    checkpoint: Option<PathBuf>,
    /// The key that signs the checkpoint [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The file to write; an existing checkpoint is replaced only by one that extends it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct WitnessKeyAnswer {
    name: String,
    witness: String,
    directory: PathBuf,
}

#[derive(Serialize)]
struct SubmitAnswer<'s> {
    ok: bool,
    origin: &'s str,
    size: u64,
    root: String,
    witnesses: Vec<WitnessAnswered<'s>>,
    note: String,
}

#[derive(Serialize)]
struct WitnessAnswered<'s> {
    witness: &'s str,
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'s str>,
}

/// Creates the directory and the key of a witness.
pub(crate) fn init(args: &WitnessInitArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let cosigner = Cosigner::generate(&args.name)?;
    let mut entries = fs::read_dir(&args.directory).into_iter().flatten();
    if entries.next().is_some() {
        return Err(Failure::usage(format!(
            "{} is not empty: a witness begins in a directory of its own",
            args.directory.display()
        )));
    }
    make_private(&args.directory)?;
    key_file::write_new(&args.directory.join(KEY), &cosigner.secret(), context)?;
    show(&cosigner, &args.directory, context, out)
}

/// Prints the public key.
pub(crate) fn key(args: &WitnessKeyArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    show(&cosigner(&args.directory, context)?, &args.directory, context, out)
}

fn show(cosigner: &Cosigner, directory: &Path, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let witness = cosigner.witness();
    if context.json {
        let (name, key) = (witness.name().to_owned(), witness.to_string());
        return JsonAnswer::new(WitnessKeyAnswer { name, witness: key, directory: directory.to_owned() }).write(out);
    }
    Ok(writeln!(out, "{witness}")?)
}

/// Reads the key of a witness.
fn cosigner(directory: &Path, context: &Context) -> Result<Cosigner, Failure> {
    let path = directory.join(KEY);
    if !path.exists() {
        return Err(Failure::usage(format!(
            "{} is not the directory of a witness: `usage-ledger witness init` creates one, and a lost one is restored \
             from a backup",
            directory.display()
        )));
    }
    let secret = key_file::secret(&path, context)?;
    secret.parse().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Opens the state of a witness.
pub(crate) fn open(directory: &Path, logs: Vec<Verifier>, context: &Context) -> Result<WitnessLog, Failure> {
    Ok(WitnessLog::open(directory, cosigner(directory, context)?, logs)?)
}

/// Reads a policy file.
pub(crate) fn policy(path: &Path, context: &Context) -> Result<WitnessPolicy, Failure> {
    let text = key_file::text(path, context)?;
    text.parse().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Obtains cosignatures.
pub(crate) fn submit_checkpoint(
    args: &WitnessSubmitArgs,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for path in
        [Some(&args.policy), args.checkpoint.as_ref(), args.key.as_ref(), args.out.as_ref()].into_iter().flatten()
    {
        context.refuse_ledger(path)?;
    }
    let policy = policy(&args.policy, context)?;
    if policy.witnesses().iter().all(|witness| witness.url.is_none()) {
        return Err(Failure::usage(format!(
            "{} states no address of a witness: write it behind the witness's key",
            args.policy.display()
        )));
    }
    let ledger = context.read_existing()?;
    let snapshot = context.snapshot(&ledger)?;
    let earlier = match &args.out {
        Some(path) if path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0) => {
            Some(checkpoint::read(path, context)?)
        }
        _ => None,
    };
    if let Some(earlier) = &earlier {
        checkpoint::expect(earlier, &snapshot)?;
    }
    let current = current(args, earlier.as_ref(), &snapshot, context)?;
    checkpoint::expect(&current, &snapshot)?;
    let witnesses = policy.witnesses();
    let (note, outcome) =
        submit(&snapshot, &current.note, earlier.as_ref().map(|earlier| &earlier.note), witnesses, &post)?;
    let further: Vec<Verifier> = own_key(args, context)?;
    let met = policy.check(&note, &further);
    let stored = match (&met, &args.out) {
        (Ok(_), Some(path)) => checkpoint::replace(path, note.to_string(), context),
        _ => Ok(()),
    };
    answer(&current.checkpoint, &note, &outcome, met.is_ok(), args.out.is_none(), context, out)?;
    stored?;
    met.map(drop).map_err(Failure::from)
}

/// The checkpoint to submit. A stored one of the same size is submitted again, so that its cosignatures stay.
fn current(
    args: &WitnessSubmitArgs,
    earlier: Option<&CheckpointNote>,
    snapshot: &crate::ledger::Snapshot<'_>,
    context: &Context,
) -> Result<CheckpointNote, Failure> {
    if let Some(path) = &args.checkpoint {
        return checkpoint::read(path, context);
    }
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    let head = snapshot.head()?.position.get();
    match earlier {
        Some(earlier) if earlier.checkpoint.size() == head && earlier.note.verify(signer.verifier()).is_ok() => {
            Ok(CheckpointNote { note: earlier.note.clone(), checkpoint: earlier.checkpoint.clone() })
        }
        _ => Ok(CheckpointNote::sign(snapshot, None, &signer)?),
    }
}

/// The key of this ledger, which the policy need not name.
fn own_key(args: &WitnessSubmitArgs, context: &Context) -> Result<Vec<Verifier>, Failure> {
    if args.checkpoint.is_some() {
        return Ok(Vec::new());
    }
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    Ok(vec![signer.verifier().clone()])
}

fn answer(
    checkpoint: &Checkpoint,
    note: &Note,
    outcome: &[Submission],
    ok: bool,
    with_note: bool,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if context.json {
        let witnesses = outcome.iter().map(|one| WitnessAnswered {
            witness: &one.witness,
            time: one.cosigned.as_ref().ok().copied(),
            why: one.cosigned.as_ref().err().map(String::as_str),
        });
        let answer = SubmitAnswer {
            ok,
            origin: checkpoint.origin(),
            size: checkpoint.size(),
            root: checkpoint.root().to_string(),
            witnesses: witnesses.collect(),
            note: note.to_string(),
        };
        return JsonAnswer::new(answer).write(out);
    }
    for one in outcome {
        if let Err(why) = &one.cosigned {
            print_message(&format!("the witness {} did not cosign: {}", EscapedText(&one.witness), EscapedText(why)));
        }
    }
    if ok && with_note {
        write!(out, "{note}")?;
    }
    Ok(())
}

/// Sends a request by curl. The request goes over standard input.
fn post(url: &str, body: &str) -> Result<WitnessResponse, String> {
    let failed = |error: std::io::Error| format!("curl cannot be run ({error})");
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let config = format!(
        "url = \"{}\"\nheader = \"Content-Type: text/plain; charset=utf-8\"\nheader = \"Expect:\"\ndata-binary = \"{}\"\n\
         write-out = \"\\n%{{http_code}} %{{content_type}}\"\n",
        quoted(url),
        quoted(body)
    );
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", PATIENCE, "--max-filesize", LARGEST]);
    curl.args(["--proto", "=http,https", "--config", "-"]);
    curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = curl.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Without a reader curl has failed already, and states why.
        let _ = stdin.write_all(config.as_bytes());
    }
    let done = child.wait_with_output().map_err(failed)?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr);
        return Err(format!("it does not answer: {}", why.trim()));
    }
    let text = String::from_utf8(done.stdout).map_err(|_| "its answer is no text".to_owned())?;
    let (body, last) = text.rsplit_once('\n').ok_or("its answer has no status")?;
    let (status, media_type) = last.split_once(' ').unwrap_or((last, ""));
    let status = status.parse().map_err(|_| "its answer has no status".to_owned())?;
    Ok(WitnessResponse::new(status, media_type, body))
}
