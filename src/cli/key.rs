//! `key`: manages the key that signs checkpoints.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use super::key_file;
use crate::merkle::{Signer, Verifier};
use crate::present::failure::{Failure, print_message};
use crate::present::output::JsonAnswer;

/// Create or show the key that signs checkpoints
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger key generate --name usage-ledger.example/alice > verifier.pub")]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    Generate(GenerateArgs),
    Show(KeyShowArgs),
}

/// Create a key and print its public half
///
/// The command writes the secret half to a file that only you can read, and never overwrites a file. A person who has the
/// secret half and the ledger can sign a different history: do not keep it with copies of the ledger.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger key generate --name usage-ledger.example/alice > verifier.pub\n  \
    usage-ledger key generate --name usage-ledger.example/ci /run/secrets/ledger-key")]
struct GenerateArgs {
    /// The name of the ledger in its checkpoints [default: usage-ledger/USER]
    #[arg(long, value_name = "ORIGIN")]
    name: Option<String>,
    /// The file [default: usage-ledger/key in the XDG configuration directory]
    file: Option<PathBuf>,
}

/// Print the public half of a key, which others need to verify signatures
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger key show > verifier.pub")]
struct KeyShowArgs {
    /// The file [default: usage-ledger/key in the XDG configuration directory]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct KeyAnswer {
    name: String,
    verifier: String,
    file: PathBuf,
}

pub(crate) fn run(args: KeyArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        KeyCommand::Generate(args) => generate(args, context, out),
        KeyCommand::Show(args) => {
            let file = key_file::place(args.file.as_deref())?;
            show(key_file::read(&file, context)?.verifier(), file, context, out)
        }
    }
}

fn generate(args: GenerateArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let file = key_file::place(args.file.as_deref())?;
    let signer = Signer::generate(&args.name.unwrap_or_else(default_name))?;
    key_file::create(&file, &signer, context)?;
    if context.path().is_ok_and(|ledger| ledger.parent() == file.parent()) {
        print_message(
            "the key is in the directory of the ledger: a person who copies that directory can sign; move the key",
        );
    }
    show(signer.verifier(), file, context, out)
}

/// Returns a name that distinguishes the ledgers of different users.
fn default_name() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user =
        user.unwrap_or_default().replace(|char: char| !(char.is_ascii_alphanumeric() || "._-".contains(char)), "");
    format!("usage-ledger/{}", if user.is_empty() { "nobody" } else { &user })
}

fn show(verifier: &Verifier, file: PathBuf, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if context.json {
        return JsonAnswer::new(KeyAnswer { name: verifier.name().to_owned(), verifier: verifier.to_string(), file })
            .write(out);
    }
    Ok(writeln!(out, "{verifier}")?)
}
