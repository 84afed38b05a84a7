//! `install`: the status line and an end-of-turn import in an agent's settings, and a service that runs `serve`.

mod diff;
mod json_settings;
mod service;
mod toml_settings;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::agent_files::replace;
use super::context::Context;
use crate::model::error::Error;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer};

/// Add usage-ledger to an agent's settings, or install a service that runs `serve`
///
/// The command shows the change as a diff. It preserves every other setting, and all comments and formatting. It does not
/// replace an existing status line or notification program. --undo removes what an earlier run added.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger install claude-code --dry-run\n  \
    usage-ledger install codex\n  \
    usage-ledger install gemini-cli --undo\n  \
    usage-ledger install service")]
pub(crate) struct InstallArgs {
    #[command(subcommand)]
    what: InstallTarget,
}

#[derive(Debug, Subcommand)]
enum InstallTarget {
    /// Claude Code: the status line, and an import at the end of each turn
    #[command(after_help = "Example:\n  usage-ledger install claude-code --dry-run")]
    ClaudeCode(AgentArgs),
    /// Codex: an import at the end of each turn
    #[command(after_help = "Example:\n  usage-ledger install codex --dry-run")]
    Codex(AgentArgs),
    /// Gemini CLI: an import at the end of each turn
    #[command(after_help = "Example:\n  usage-ledger install gemini-cli --dry-run")]
    GeminiCli(AgentArgs),
    Service(service::ServiceArgs),
}

#[derive(Args, Debug)]
struct AgentArgs {
    /// Show the change and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what an earlier run added
    #[arg(long)]
    undo: bool,
    /// The home directory with the agent's settings [default: your home directory]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// The result of editing a file.
#[derive(Serialize)]
struct InstallAnswer {
    file: String,
    /// Whether the file was changed, or would be changed without `--dry-run`.
    changed: bool,
    dry_run: bool,
    diff: String,
    /// Settings that were not changed, with the reason.
    notes: Vec<String>,
}

/// The new text of a file, and the settings that were not changed.
struct EditedText {
    text: String,
    notes: Vec<String>,
}

pub(crate) fn run(args: InstallArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("an installation changes files")?;
    match args.what {
        InstallTarget::ClaudeCode(args) => {
            let command = command(context);
            let path = settings(&args, "CLAUDE_CONFIG_DIR", ".claude", "settings.json")?;
            edit(&args, &path, context, out, |text| json_settings::claude_code(text, &command, args.undo))
        }
        InstallTarget::GeminiCli(args) => {
            let command = command(context);
            let path = settings(&args, "", ".gemini", "settings.json")?;
            edit(&args, &path, context, out, |text| json_settings::gemini_cli(text, &command, args.undo))
        }
        InstallTarget::Codex(args) => {
            let command = command(context);
            let path = settings(&args, "CODEX_HOME", ".codex", "config.toml")?;
            edit(&args, &path, context, out, |text| toml_settings::codex(text, &command, args.undo))
        }
        InstallTarget::Service(args) => service::run(&args, context, out),
    }
}

/// The command that starts this program: its name if the shell finds it, otherwise its path, and the ledger option if
/// one is given.
fn command(context: &Context) -> Vec<String> {
    let own = std::env::current_exe().ok();
    let name = if cfg!(windows) { "usage-ledger.exe" } else { "usage-ledger" };
    let found = std::env::var_os("PATH").into_iter().any(|paths| {
        let same = |place: PathBuf| place.canonicalize().ok() == own.as_ref().and_then(|own| own.canonicalize().ok());
        // A shell starts the first program of this name in the search path.
        std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|place| place.is_file()).is_some_and(same)
    });
    let program = match own {
        Some(own) if !found => own.display().to_string(),
        _ => "usage-ledger".to_owned(),
    };
    let ledger = context.named_ledger().map(|path| vec!["--ledger".to_owned(), path.display().to_string()]);
    std::iter::once(program).chain(ledger.unwrap_or_default()).collect()
}

/// Path of the agent's settings: in the directory that its environment variable names, or below the home directory.
fn settings(args: &AgentArgs, variable: &str, directory: &str, file: &str) -> Result<PathBuf, Failure> {
    let named =
        std::env::var_os(variable).filter(|value| !variable.is_empty() && !value.is_empty() && args.home.is_none());
    if let Some(named) = named {
        return Ok(PathBuf::from(named).join(file));
    }
    let home = args.home.clone().or_else(std::env::home_dir);
    let home = home.ok_or_else(|| Failure::usage("there is no home directory: name one with --home DIR"))?;
    Ok(home.join(directory).join(file))
}

/// Edits a file, or returns the edit without writing it.
fn edit(
    args: &AgentArgs,
    path: &Path,
    context: &Context,
    out: &mut dyn Write,
    change: impl FnOnce(&str) -> Result<EditedText, String>,
) -> Result<(), Failure> {
    context.refuse_ledger(path)?;
    let before = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }.into()),
    };
    let edited = change(&before).map_err(|why| {
        Failure::usage(format!("{}: {why}: nothing is changed; correct the file first", path.display()))
    })?;
    let changed = edited.text != before;
    let diff = diff::unified(&path.display().to_string(), &before, &edited.text);
    if changed && !args.dry_run {
        replace(path, &edited.text)?;
    }
    if context.json {
        let (file, dry_run, notes) = (path.display().to_string(), args.dry_run, edited.notes);
        return JsonAnswer::new(InstallAnswer { file, changed, dry_run, diff, notes }).write(out);
    }
    edited.notes.iter().for_each(|note| print_message(note));
    if !changed {
        let state = if args.undo { "has nothing of usage-ledger" } else { "has all of it already" };
        return Ok(writeln!(out, "{} {state}", EscapedText(&path.display().to_string()))?);
    }
    for line in diff.lines() {
        writeln!(out, "{}", EscapedText(line))?;
    }
    let done = if args.dry_run { "nothing is written" } else { "written" };
    Ok(writeln!(out, "{done}")?)
}

/// Joins words to a command line, quoted for a shell.
fn shell_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@/:\\".contains(c);
    let word = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) && (cfg!(windows) || !word.contains('\\')) {
            word.clone()
        } else if cfg!(windows) {
            format!("\"{word}\"")
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The command line of a sub-command.
fn line(command: &[String], words: &[&str]) -> String {
    let words = command.iter().cloned().chain(words.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>();
    shell_line(&words)
}

/// Returns whether an earlier run added a command line. The path of the program may differ.
fn is_ours(line: &str, word: &str) -> bool {
    line.contains("usage-ledger") && line.split_whitespace().any(|part| part == word)
}
