//! `hook`: what agents run at the end of a turn. `install` puts it into their settings.

use std::process::{Command, Stdio};

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::context::Context;
use super::import;
use crate::import::names;
use crate::present::failure::print_message;

/// Import an agent's new calls at the end of its turn
///
/// An agent runs this command. It prints nothing on standard output and always exits with 0, because an agent may take
/// output or an error for a decision. The words after -- are a program that runs afterwards, with the arguments that the
/// agent appends.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger hook claude-code")]
pub(crate) struct HookArgs {
    /// The agent
    #[arg(value_name = "SOURCE", value_parser = PossibleValuesParser::new(names()))]
    source: String,
    /// The agent's description of the turn; it is not used
    #[arg(value_name = "JSON", hide = true)]
    description: Vec<String>,
    /// A program that runs afterwards
    #[arg(last = true, value_name = "COMMAND")]
    then: Vec<String>,
}

pub(crate) fn run(args: &HookArgs, context: &Context) {
    if let Err(failure) = import::from(&args.source, context) {
        failure.message().iter().for_each(|message| print_message(&format!("nothing is imported: {message}")));
    }
    let Some((program, words)) = args.then.split_first() else { return };
    if let Err(error) = Command::new(program).args(words).stdin(Stdio::inherit()).stdout(Stdio::null()).status() {
        print_message(&format!("`{program}` cannot be run: {error}"));
    }
}
