//! `serve`: takes telemetry as agents send it.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::failure::{Failure, say};
use super::output::{Answer, Plain, counted, grouped};
use crate::error::Error;
use crate::web::{self, Received, Receiver};

/// How many seconds a sender is kept waiting for another process that writes; then it is asked to come again.
const PATIENCE: u64 = 3;

/// Receive telemetry of agents over OTLP/HTTP, and record the calls it tells of
///
/// Claude Code, Codex, Gemini CLI, Qwen Code and any OpenTelemetry GenAI instrumentation can send to it: logs, traces and
/// metrics, as protobuf or JSON. A call that an import reads too is one record. Metrics are compared, never recorded.
/// What is answered is in the ledger's file. GET / says what came in. Ctrl-C ends it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger serve --otlp\n  \
    CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_LOGS_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/json claude")]
pub(super) struct ServeArgs {
    /// Take OTLP, the protocol of OpenTelemetry
    #[arg(long, required = true)]
    otlp: bool,
    /// Where to listen; nothing is asked of who sends, so keep it to this machine
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4318")]
    listen: SocketAddr,
}

pub(super) fn run(args: &ServeArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() {
        say(&format!("{} is open to other machines, and whoever reaches it can record", args.listen));
    }
    let now = context.fixed_now();
    let clock = move || now.unwrap_or_else(|| chrono::Utc::now().into());
    let receiver = Arc::new(Receiver::new(context.write_within(PATIENCE)?, clock));
    let mut told: Result<(), Failure> = Ok(());
    let listening = |address: SocketAddr| told = announce(address, context.json, out);
    web::serve(&receiver, args.listen, listening, web::asked_to_end()).map_err(|error| {
        Error::invalid(format!("{} cannot be listened at ({error}): name another with --listen", args.listen))
    })?;
    told?;
    let done = receiver.received();
    if context.json { Answer::new(&done).write(out) } else { summary(&done, out) }
}

fn announce(address: SocketAddr, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        Answer::new(json!({"listening": format!("http://{address}")})).write(out)?;
    } else {
        writeln!(out, "listening at http://{address} for OTLP/HTTP")?;
    }
    Ok(out.flush()?)
}

fn summary(received: &Received, out: &mut dyn Write) -> Result<(), Failure> {
    let calls = received.calls;
    writeln!(out, "{} recorded, {} known, {} amended", counted(calls.recorded, "call"), calls.known, calls.amended)?;
    if received.unread > 0 {
        writeln!(out, "{} not understood:", grouped(received.unread))?;
        for why in &received.reasons {
            writeln!(out, "  {}", Plain(why))?;
        }
    }
    for sum in received.sums.iter().filter(|sum| sum.stated > 0) {
        let (agent, model) = (Plain(&sum.agent), Plain(&sum.model));
        let (stated, recorded) = (grouped(sum.stated), grouped(sum.recorded));
        writeln!(out, "{agent} {model}: its metrics state {stated} tokens, its logs and spans told of {recorded}")?;
    }
    Ok(())
}
