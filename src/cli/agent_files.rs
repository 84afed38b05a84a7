//! Files of other programs, and our own settings: they are replaced as a whole or not at all.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::model::error::Error;
use crate::present::failure::Failure;

/// The file that a path leads to, through symbolic links: dotfiles are often links into a repository.
fn target(path: &Path) -> std::path::PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Replaces the text of a file, or makes it, in one step. Its permissions stay; a new file is its owner's alone.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let path = target(path);
    let failed = |source| Failure::from(Error::Io { path: path.clone(), source });
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    if let Ok(meta) = fs::metadata(&path) {
        file.as_file().set_permissions(meta.permissions()).map_err(failed)?;
    }
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}
