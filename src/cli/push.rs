//! `push`: sends the events of this ledger to a server, and keeps its cosignatures.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::checkpoint;
use super::context::Context;
use super::server_request::{LedgerServer, TOKEN_HELP, address};
use crate::ledger::Snapshot;
use crate::model::error::Error;
use crate::model::invariant::bug;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{JsonAnswer, counted, grouped};
use crate::sync::protocol::PushObstacle;
use crate::sync::push::{Pushed, SyncFailure, push};
use crate::sync::push_state::PushState;

/// How long the server may take for one answer, in seconds.
const PATIENCE: u32 = 300;

/// Send new events to a server, which verifies, stores and cosigns them
///
/// The server is another `usage-ledger serve`. It refuses a history that does not extend what it holds, and names the first
/// position that differs. A push that was interrupted continues where it ended. The file LEDGER-push next to the ledger has
/// the id of the ledger, its key, the address of the server, and the last cosigned checkpoint. It uses curl.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    USAGE_LEDGER_PUSH_TOKEN=$(cat token.txt) usage-ledger push https://ledger.example\n  \
    usage-ledger push --token-file token.txt\n  \
    usage-ledger push --as-new-ledger --from 91 --token-file token.txt")]
pub(crate) struct PushArgs {
    /// The address of the server [default: that of the last push]
    url: Option<String>,
    #[arg(long, value_name = "FILE", help = TOKEN_HELP)]
    token_file: Option<PathBuf>,
    /// Continue under a new id after the histories of two machines have parted
    #[arg(long, requires = "from")]
    as_new_ledger: bool,
    /// The first position that is not in the former ledger
    #[arg(long, value_name = "POSITION", requires = "as_new_ledger", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Accept another key of the server, after the server was replaced
    #[arg(long)]
    new_server: bool,
    /// Send the token over http to another machine
    #[arg(long)]
    allow_http: bool,
    /// Also write the cosigned checkpoint to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct PushAnswer<'a> {
    ok: bool,
    ledger: &'a str,
    size: u64,
    events: u64,
    shredded: u64,
    requests: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<&'a str>,
}

/// The answer to a history that the server refuses.
#[derive(Serialize)]
struct RefusedAnswer<'a> {
    ok: bool,
    ledger: &'a str,
    obstacle: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    detail: &'a str,
}

pub(crate) fn run(args: &PushArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a push sends all there is")?;
    context.expect_file(
        "`push` sends the ledger of a file, and the ledger is on a server already: name a file with --ledger",
    )?;
    if let Some(path) = &args.out {
        context.refuse_ledger(path)?;
    }
    let ledger = context.read_existing()?;
    let place = std::fs::canonicalize(context.path()?).or_else(|_| context.path())?;
    let snapshot = ledger.snapshot()?;
    let mut state = state(args, &place, &snapshot)?;
    let url = state.url.clone().ok_or_else(|| bug!("a push without the address of a server"))?;
    let server = LedgerServer::new(url, args.token_file.as_deref(), PATIENCE, context)?;
    // The id is durable before a server gets it.
    state.write(&place, PushState::read(&place)?.is_none())?;
    let mut keep = |state: &PushState| state.write(&place, false);
    let done = push(&snapshot, &mut state, &|request| server.send(request), &mut keep);
    let pushed = done.map_err(|failure| explain(failure, &state, context, out))?;
    if let (Some(path), Some(note)) = (&args.out, &state.checkpoint) {
        checkpoint::replace(path, note, context)?;
    }
    answer(&pushed, &state, context, out)
}

/// The state of the ledger for this push.
fn state(args: &PushArgs, place: &Path, snapshot: &Snapshot<'_>) -> Result<PushState, Failure> {
    let known = PushState::read(place)?;
    let never = || {
        Failure::usage(format!(
            "no server has cosigned this ledger yet ({}): push it without --as-new-ledger",
            PushState::place(place).display()
        ))
    };
    let mut state = match (known, args.from) {
        (Some(known), Some(position)) => {
            let size = snapshot.head()?.position.get();
            if position > size {
                return Err(Failure::usage(format!(
                    "--from {position} is behind the end: the ledger has {}",
                    counted(size, "event")
                )));
            }
            known.into_new_ledger(position)?.ok_or_else(never)?
        }
        (None, Some(_)) => return Err(never()),
        (Some(known), None) => known,
        (None, None) => PushState::new(None)?,
    };
    match (&args.url, &state.url) {
        (Some(url), _) => state.url = Some(address(url, args.allow_http)?),
        (None, Some(url)) => drop(address(url, args.allow_http)?),
        (None, None) => {
            return Err(Failure::usage("no server is known yet: give its address, such as https://ledger.example"));
        }
    }
    if args.new_server {
        (state.server, state.checkpoint) = (None, None);
    }
    Ok(state)
}

fn answer(pushed: &Pushed, state: &PushState, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.note_written();
    if context.json {
        let answer = PushAnswer {
            ok: true,
            ledger: &state.ledger,
            size: pushed.size,
            events: pushed.events,
            shredded: pushed.shredded,
            requests: pushed.requests,
            server: state.server.as_deref(),
            checkpoint: state.checkpoint.as_deref(),
        };
        return JsonAnswer::new(answer).write(out);
    }
    let cosigned = if pushed.size > 0 { ", cosigned" } else { "" };
    writeln!(
        out,
        "{} sent; the server has {} of ledger {}{cosigned}",
        counted(pushed.events, "event"),
        grouped(pushed.size),
        state.ledger
    )?;
    if pushed.shredded > 0 {
        writeln!(out, "{} erased on the server", counted(pushed.shredded, "shredded event"))?;
    }
    Ok(())
}

/// Explains why a push ended. A history that the server refuses is a finding.
fn explain(failure: SyncFailure, state: &PushState, context: &Context, out: &mut dyn Write) -> Failure {
    let ledger = &state.ledger;
    let (obstacle, position, detail) = match failure {
        SyncFailure::Fork(position) => (
            "fork",
            Some(position),
            format!(
                "this ledger and ledger {ledger} on the server differ from position {position} on: two machines continue one \
                 ledger, such as a clone or a restored backup. Nothing was sent. To continue under a new id: usage-ledger \
                 push --as-new-ledger --from {position}"
            ),
        ),
        SyncFailure::Older { server, here } => (
            "older",
            Some(here + 1),
            format!(
                "the server has {server} events of ledger {ledger}, and this file only the first {here}: it is an older copy, \
                 and another machine may continue it. `usage-ledger pull` restores the whole ledger; record new events here \
                 only to continue with `usage-ledger push --as-new-ledger --from {}`",
                here + 1
            ),
        ),
        other => return of_failure(other),
    };
    print_message(&detail);
    if context.json {
        let answer = RefusedAnswer { ok: false, ledger, obstacle, position, detail: &detail };
        if let Err(failure) = JsonAnswer::new(answer).write(out) {
            return failure;
        }
    }
    Failure::Finding
}

/// The failure of a command for what a server did.
pub(crate) fn of_failure(failure: SyncFailure) -> Failure {
    match failure {
        SyncFailure::Local(error) => Failure::Ledger(error),
        SyncFailure::Unreachable(why) => Failure::Unreachable(Error::invalid(format!(
            "the server does not answer ({why}): repeat the command, which continues"
        ))),
        SyncFailure::Untrusted(why) => Failure::Ledger(Error::unproven(format!("the server is not trusted: {why}"))),
        SyncFailure::Refused(refused) => {
            let text = format!("the server refuses: {}", refused.detail);
            match refused.title {
                PushObstacle::Unauthorized
                | PushObstacle::Forbidden
                | PushObstacle::NotFound
                | PushObstacle::TooLarge => Failure::usage(text),
                PushObstacle::Unavailable | PushObstacle::Gap | PushObstacle::Behind => {
                    Failure::Unreachable(Error::invalid(text))
                }
                PushObstacle::Fork | PushObstacle::Invalid => Failure::Ledger(Error::unproven(text)),
            }
        }
        SyncFailure::Fork(position) => {
            Failure::Ledger(Error::unproven(format!("the histories differ at position {position}")))
        }
        SyncFailure::Older { server, here } => {
            Failure::Ledger(Error::unproven(format!("the server has {server} events, this ledger {here}")))
        }
    }
}
