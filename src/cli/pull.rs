//! `pull`: restores a ledger from a server.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::push::of_failure;
use super::server_request::{LedgerServer, TOKEN_HELP, address};
use crate::ledger::Ledger;
use crate::merkle::Witness;
use crate::model::error::Error;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, counted};
use crate::store::{CopyKind, PendingCopy, is_taken, refuse_stale_log};
use crate::sync::protocol::{PushedLedgerInfo, PushedLedgerList};
use crate::sync::pull::{ledgers, pull};
use crate::sync::push_state::PushState;

/// How long the server may take for one answer, in seconds.
const PATIENCE: u32 = 300;

/// Restore the ledger of this machine from a server, verified
///
/// The copy must be sound, and continue the checkpoint that the server cosigned. It overwrites nothing: neither a ledger nor
/// the file LEDGER-push. Later pushes continue the same ledger. It uses curl.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger pull https://ledger.example --token-file token.txt\n  \
    usage-ledger pull https://ledger.example restored.db --id 0f1e2d3c4b5a69788796 --server-key server.pub")]
pub(crate) struct PullArgs {
    /// The address of the server
    url: String,
    /// The file to write [default: the ledger]
    file: Option<PathBuf>,
    /// The id of the ledger, if the machine has several
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The key of the server, as `push --json` and `fleet key` print it, or a file with it
    #[arg(long, value_name = "KEY|FILE")]
    server_key: Option<String>,
    #[arg(long, value_name = "FILE", help = TOKEN_HELP)]
    token_file: Option<PathBuf>,
    /// Send the token over http to another machine
    #[arg(long)]
    allow_http: bool,
}

#[derive(Serialize)]
struct PullAnswer<'a> {
    file: &'a Path,
    ledger: &'a str,
    size: u64,
    root: &'a str,
    cosigned: u64,
    server: &'a str,
}

pub(crate) fn run(args: &PullArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let place = match &args.file {
        Some(file) => {
            context.refuse_ledger(file)?;
            file.clone()
        }
        None => context.place()?,
    };
    let state_file = PushState::place(&place);
    for path in [&place, &state_file] {
        if is_taken(path)? {
            return Err(Failure::usage(format!(
                "{} is there already, and a pull overwrites nothing: name another file",
                path.display()
            )));
        }
    }
    refuse_stale_log(&place)?;
    let url = address(&args.url, args.allow_http)?;
    let key = args.server_key.as_deref().map(|given| server_key(given, context)).transpose()?;
    let server = LedgerServer::new(url.clone(), args.token_file.as_deref(), PATIENCE, context)?;
    let send = |request: &_| server.send(request);
    let list = ledgers(&send).map_err(of_failure)?;
    let info = chosen(&list, args.id.as_deref())?;
    let copy = PendingCopy::beside(&place, CopyKind::Pull)?;
    let pulled = {
        let ledger = Ledger::open(copy.path())?;
        pull(info, &ledger, key.as_ref(), context.now(), &send).map_err(of_failure)?
    };
    copy.keep_at(&place)?;
    context.note_written();
    let mut state = PushState::of(info.ledger.clone(), info.continues.clone())?;
    state.url = Some(url);
    state.server = Some(pulled.head.server.clone());
    state.checkpoint.clone_from(&pulled.head.checkpoint);
    state.write(&place, true).map_err(|error| {
        let written = format!("{} is written, but not the file with which it is pushed again", place.display());
        Failure::from(error).after_writing(written)
    })?;
    let (size, cosigned) = (pulled.head.size, pulled.checkpoint.size());
    if context.json {
        let answer = PullAnswer {
            file: &place,
            ledger: &info.ledger,
            size,
            root: &pulled.head.root,
            cosigned,
            server: &pulled.head.server,
        };
        return JsonAnswer::new(answer).write(out);
    }
    writeln!(out, "{}: {} of ledger {}, verified", place.display(), counted(size, "event"), info.ledger)?;
    writeln!(out, "the server cosigned the first {cosigned}, with the key {}", pulled.head.server)?;
    Ok(())
}

/// The ledger to restore.
fn chosen<'l>(list: &'l PushedLedgerList, id: Option<&str>) -> Result<&'l PushedLedgerInfo, Failure> {
    let with_events = || list.ledgers.iter().filter(|one| one.size > 0);
    let ids = || with_events().map(|one| one.ledger.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(id) = id {
        return list.ledgers.iter().find(|one| one.ledger == id).ok_or_else(|| {
            Failure::usage(format!("the machine {} has no ledger {id} on the server: it has {}", list.machine, ids()))
        });
    }
    let mut all = with_events();
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::usage(format!("the machine {} has no ledger on the server", list.machine))),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "the machine {} has several ledgers on the server: name one of {} with --id",
            list.machine,
            ids()
        ))),
    }
}

/// The key of the server, given directly or as a file.
fn server_key(given: &str, context: &Context) -> Result<Witness, Failure> {
    let path = Path::new(given);
    if given.parse::<Witness>().is_err() && path.exists() {
        let text = super::key_file::text(path, context)?;
        return text.trim_end().parse().map_err(|error: Error| Failure::usage(format!("{}: {error}", path.display())));
    }
    Ok(given.parse()?)
}
