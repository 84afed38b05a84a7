//! `completions` and `man`: completion scripts and manual pages.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate, Shell};
use clap_mangen::Man;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::model::error::Error;
use crate::present::failure::Failure;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    usage-ledger completions bash > ~/.local/share/bash-completion/completions/usage-ledger")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page of the program or of one command, or write all pages
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger man --dir ~/.local/share/man/man1\n  \
    usage-ledger man limit set | man -l -")]
pub(crate) struct ManArgs {
    /// The command
    #[arg(value_name = "COMMAND", num_args = 0..)]
    command: Vec<String>,
    /// Write the page of every command to this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// The name of the program.
const PROGRAM: &str = "usage-ledger";
/// The variable that a completion script sets to ask for candidates.
const ASKED: &str = "COMPLETE";

/// The command with the names of the ledger as values of its arguments.
fn with_values(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let candidates: fn() -> Vec<CompletionCandidate> = match arg.get_id().as_str() {
            "provider" => complete::providers,
            "account" => complete::accounts,
            "model" => complete::models,
            "agent" => complete::agents,
            "project" => complete::projects,
            "conversation" => complete::conversations,
            _ => return arg,
        };
        arg.add(ArgValueCandidates::new(candidates))
    });
    command.mut_subcommands(with_values)
}

/// Answers a completion script, if one asks, and ends the process then.
pub(crate) fn answer_completion(line: impl Fn() -> Command) {
    // Describing every command takes a while, so nothing is described unless it is needed.
    if std::env::var_os(ASKED).is_some() {
        CompleteEnv::with_factory(|| with_values(line())).var(ASKED).complete();
    }
}

pub(crate) fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = args.shell.to_string();
    let shells = Shells::builtins();
    let shell =
        shells.completer(&name).ok_or_else(|| Failure::usage(format!("there are no completions for {name}")))?;
    Ok(shell.write_registration(ASKED, PROGRAM, PROGRAM, PROGRAM, out)?)
}

pub(crate) fn man(args: &ManArgs, line: &Command, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(directory) = &args.dir {
        return pages(line, PROGRAM, directory, context);
    }
    let mut command = line;
    for name in &args.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            Failure::usage(format!("`{}` is not a command: `usage-ledger --help` lists them", args.command.join(" ")))
        })?;
    }
    page(command.clone(), &format!("{PROGRAM} {}", args.command.join(" ")), out)
}

/// Writes the page of a command, whose whole name is given.
fn page(command: Command, name: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let title = name.trim_end().replace(' ', "-");
    let page = Man::new(command.display_name(name.trim_end())).title(title);
    Ok(page.source(concat!("usage-ledger ", env!("CARGO_PKG_VERSION"))).render(out)?)
}

/// Writes a page for the command and for each of its sub-commands.
fn pages(command: &Command, name: &str, directory: &Path, context: &Context) -> Result<(), Failure> {
    let path = directory.join(format!("{}.1", name.replace(' ', "-")));
    context.refuse_ledger(&path)?;
    let mut text = Vec::new();
    page(command.clone(), name, &mut text)?;
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|source| Error::Io { path, source })?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        pages(sub, &format!("{name} {}", sub.get_name()), directory, context)?;
    }
    Ok(())
}
