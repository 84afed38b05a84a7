//! `completions` and `man`: completion scripts and manual pages.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::app::args::CommandLine;
use crate::present::failure::Failure;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    usage-ledger completions bash > ~/.local/share/bash-completion/completions/usage-ledger")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page of the program or of one command
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger man > ~/.local/share/man/man1/usage-ledger.1\n  \
    usage-ledger man record | man -l -")]
pub(crate) struct ManArgs {
    /// The command
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(crate) fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // The generator panics if a write fails. A write to a buffer cannot fail.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "usage-ledger", &mut script);
    Ok(out.write_all(&script)?)
}

pub(crate) fn man(args: &ManArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = CommandLine::command();
    line.build();
    let Some(name) = &args.command else { return Ok(Man::new(line).render(out)?) };
    let command = line
        .find_subcommand(name)
        .cloned()
        .ok_or_else(|| Failure::usage(format!("`{name}` is not a command: `usage-ledger --help` lists them")))?;
    Ok(Man::new(command).source(concat!("usage-ledger ", env!("CARGO_PKG_VERSION"))).render(out)?)
}
