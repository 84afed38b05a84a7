//! `witness`: cosignatures for this ledger's checkpoints, and a witness for the checkpoints of others.

use std::io::Write;

use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::witness::{self, WitnessInitArgs, WitnessKeyArgs, WitnessSubmitArgs};
use crate::present::failure::Failure;

/// Obtain cosignatures of checkpoints from witnesses, or be a witness (c2sp.org/tlog-witness)
///
/// A witness cosigns a checkpoint only if it continues the last one. So a cosigned checkpoint shows that the holder of the
/// key did not show two histories.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger witness submit --policy trust.policy --out ~/anchors/ledger.checkpoint\n  \
    usage-ledger witness init ~/witness --name witness.example/w1 > w1.pub\n  \
    usage-ledger witness serve ~/witness --log verifier.pub --listen 127.0.0.1:7380")]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    command: WitnessCommand,
}

#[derive(Debug, Subcommand)]
enum WitnessCommand {
    Submit(WitnessSubmitArgs),
    Init(WitnessInitArgs),
    Key(WitnessKeyArgs),
    #[cfg(feature = "web")]
    Serve(serve::WitnessServeArgs),
}

pub(crate) fn run(args: &WitnessArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        WitnessCommand::Submit(args) => witness::submit_checkpoint(args, context, out),
        WitnessCommand::Init(args) => witness::init(args, context, out),
        WitnessCommand::Key(args) => witness::key(args, context, out),
        #[cfg(feature = "web")]
        WitnessCommand::Serve(args) => serve::run(args, context, out),
    }
}

#[cfg(feature = "web")]
mod serve {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::path::PathBuf;
    use std::sync::Arc;

    use clap::Args;
    use serde_json::json;

    use crate::cli::context::Context;
    use crate::cli::{key_file, witness};
    use crate::model::error::Error;
    use crate::present::failure::Failure;
    use crate::present::output::JsonAnswer;
    use crate::web;

    /// Cosign the checkpoints of logs, over HTTP
    ///
    /// Anyone may ask, because the signature of the log is checked. The server has no TLS: put a TLS proxy in front of it.
    #[derive(Args, Debug)]
    #[command(after_help = "Example:\n  \
        usage-ledger witness serve ~/witness --log verifier.pub --listen 127.0.0.1:7380")]
    pub(crate) struct WitnessServeArgs {
        /// The directory of the witness
        directory: PathBuf,
        /// The public key of a log, or a file with it; repeat it for several logs, or for several keys of one log
        #[arg(long, value_name = "KEY|FILE", required = true)]
        log: Vec<String>,
        /// Where to listen
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7380")]
        listen: SocketAddr,
    }

    pub(super) fn run(args: &WitnessServeArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
        let logs = args.log.iter().map(|given| key_file::verifier(given, context)).collect::<Result<Vec<_>, _>>()?;
        let log = Arc::new(witness::open(&args.directory, logs, context)?);
        let now = context.fixed_now();
        let clock = move || now.unwrap_or_else(|| chrono::Utc::now().into());
        let mut sent: Result<(), Failure> = Ok(());
        let listening = |address: SocketAddr| sent = announce(address, context.json, out);
        web::serve_witness(log, clock, args.listen, listening, web::shutdown_signal()).map_err(|error| {
            Error::invalid(format!("{} cannot be listened at ({error}): name another with --listen", args.listen))
        })?;
        sent
    }

    fn announce(address: SocketAddr, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
        if json {
            JsonAnswer::new(json!({"listening": format!("http://{address}")})).write(out)?;
        } else {
            writeln!(out, "listening at http://{address}/add-checkpoint")?;
        }
        Ok(out.flush()?)
    }
}
