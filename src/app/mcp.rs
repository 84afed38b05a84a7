//! `mcp`: tools for agents.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::rpc;
use crate::mcp::{Tools, serve};
use crate::present::failure::Failure;

/// Seconds that a call waits for another process that writes. Then the agent is asked to repeat it.
const PATIENCE: u64 = 3;

/// Offer tools to agents over the Model Context Protocol on standard input and output
///
/// The tools are usage, report, gate, forecast and explain. They change nothing. With --allow-record there is also record.
/// Each tool states the schema of its input and of its answer.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    claude mcp add usage-ledger -- usage-ledger mcp\n  \
    usage-ledger mcp --allow-record")]
pub(crate) struct McpArgs {
    /// Also offer a tool that records calls
    #[arg(long)]
    allow_record: bool,
}

pub(crate) fn run(args: &McpArgs, context: &Context) -> Result<(), Failure> {
    context.refuse_as_of("a tool takes `as_of` itself")?;
    let ledger = if args.allow_record { context.serve_within(PATIENCE)? } else { context.read()? };
    Ok(serve(Tools::new(rpc::service(ledger.source("mcp"), None, context)?, args.allow_record)?)?)
}
