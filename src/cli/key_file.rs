//! Key files, which only their owner can read.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::context::{Context, make_private};
use crate::merkle::{Signer, Verifier};
use crate::model::error::Error;
use crate::present::failure::Failure;

/// Returns the path of the key: the given one, or the default in the XDG configuration directory.
pub(crate) fn place(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let strategy = etcetera::choose_base_strategy()
        .map_err(|error| Failure::usage(format!("no place for a key ({error}): name its file")))?;
    Ok(strategy.config_dir().join("usage-ledger").join("key"))
}

/// Creates a failure about a file that is not the ledger.
pub(crate) fn trouble(path: &Path, source: std::io::Error) -> Failure {
    Failure::Ledger(Error::Io { path: path.to_owned(), source })
}

/// Stores a new key. An existing key is never replaced, because it has signed checkpoints.
pub(crate) fn create(path: &Path, signer: &Signer, context: &Context) -> Result<(), Failure> {
    write_new(path, &signer.secret(), context)
}

/// Stores a secret in a new file that only its owner can read.
pub(crate) fn write_new(path: &Path, secret: &str, context: &Context) -> Result<(), Failure> {
    context.refuse_ledger(path)?;
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_private(directory)?;
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{} is there already, and a key is never overwritten: name another file, or move that one away",
            path.display()
        )),
        _ => trouble(path, error),
    })?;
    writeln!(file, "{secret}").and_then(|()| file.sync_all()).map_err(|error| {
        // Remove a partial key, which would block the next attempt.
        let _ = fs::remove_file(path);
        trouble(path, error)
    })?;
    context.note_written();
    Ok(())
}

/// Reads a key. Fails if others can read the file.
pub(crate) fn read(path: &Path, context: &Context) -> Result<Signer, Failure> {
    secret(path, context)?.parse().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Reads a secret. Fails if others can read the file.
pub(crate) fn secret(path: &Path, context: &Context) -> Result<String, Failure> {
    context.refuse_ledger(path)?;
    let mut file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::usage(format!(
            "there is no key in {}: make one with `usage-ledger key generate`, or name its file",
            path.display()
        )),
        _ => trouble(path, error),
    })?;
    // Check the open file, because the path may name another one by now.
    refuse_public(path, &file.metadata().map_err(|error| trouble(path, error))?)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| trouble(path, error))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(unix)]
fn refuse_public(path: &Path, meta: &fs::Metadata) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = meta.permissions().mode() & 0o777;
    if mode.trailing_zeros() >= 6 {
        // The mode has no permissions for the group or others.
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{path} is open to others (mode {mode:03o}): run `chmod 600 {path}`, and create a new key if another person may have read it",
        path = path.display()
    )))
}

#[cfg(not(unix))]
fn refuse_public(_: &Path, _: &fs::Metadata) -> Result<(), Failure> {
    Ok(())
}

/// Reads a text file that the user names. Refuses the ledger.
pub(crate) fn text(path: &Path, context: &Context) -> Result<String, Failure> {
    context.refuse_ledger(path)?;
    fs::read_to_string(path).map_err(|error| trouble(path, error))
}

/// Parses a verifier key, given directly or as a file.
pub(crate) fn verifier(given: &str, context: &Context) -> Result<Verifier, Failure> {
    let as_key = given.parse::<Verifier>();
    let path = Path::new(given);
    if as_key.is_ok() || !path.exists() {
        return as_key.map_err(|error| Failure::usage(format!("{error}; and there is no such file")));
    }
    let text = text(path, context)?;
    text.trim_end().parse().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
