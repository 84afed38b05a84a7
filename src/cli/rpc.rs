//! `rpc`: runs operations over standard input and output.

use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use clap::Args;

use super::context::Context;
use super::{json_rpc, key_file};
use crate::api::service::{LedgerOperations, ServiceClock};
use crate::ledger::Ledger;
use crate::present::failure::Failure;

/// Seconds that a request waits for another process that writes. Then the caller is asked to retry.
const PATIENCE: u64 = 3;
/// Maximum length of a line, equal to that of a body in the HTTP API.
const LONGEST: usize = 16 << 20;

/// Answer programs over standard input and output (JSON-RPC 2.0)
///
/// Each line on stdin is a request, and each line on stdout an answer, in the same order. The methods, parameters and answers
/// are those of the HTTP API: record, records, switch, gate, reserve, settle, release, report, status, events, proof, checkpoint and
/// version. An answer to a change means that the change is in the file. A failure carries the problem object of the HTTP API
/// in `data`. The process ends with stdin.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}' | usage-ledger rpc\n  \
    usage-ledger rpc --key ledger.key")]
pub(crate) struct RpcArgs {
    /// Sign checkpoints and proofs with this key; without it they are not signed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Creates the operations on a ledger, with the options of the command line.
pub(crate) fn service(ledger: Ledger, key: Option<&PathBuf>, context: &Context) -> Result<LedgerOperations, Failure> {
    let fixed = context.fixed_now();
    let clock = ServiceClock {
        named: context.named_now(),
        now: Box::new(move || fixed.unwrap_or_else(|| chrono::Utc::now().into())),
    };
    let signer = key.map(|file| key_file::read(file, context)).transpose()?;
    Ok(LedgerOperations::new(ledger, clock, context.zone(), signer))
}

pub(crate) fn run(args: &RpcArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.serve_within(PATIENCE)?.source("rpc");
    let service = service(ledger, args.key.as_ref(), context)?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            input.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut line).map_err(|error| unreadable(&error))?;
        if read == 0 {
            return Ok(());
        }
        if line.len() > LONGEST && !line.ends_with(b"\n") {
            skip_line(&mut input).map_err(|error| unreadable(&error))?;
            json_rpc::too_long(LONGEST, out)?;
        } else if !line.iter().all(u8::is_ascii_whitespace) {
            json_rpc::answer(&service, &line, out)?;
        }
        out.flush()?;
    }
}

/// Discards the rest of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let (used, is_end) = {
            let rest = input.fill_buf()?;
            match memchr::memchr(b'\n', rest) {
                Some(at) => (at + 1, true),
                None => (rest.len(), rest.is_empty()),
            }
        };
        input.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::usage(format!("standard input cannot be read ({error}): give a pipe or a file"))
}
