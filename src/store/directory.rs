//! Creates the directories of ledgers, private and durable.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The directory of a file; the current one for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a directory and its missing parents, with owner-only permissions, and syncs them.
///
/// # Errors
/// Those of the operating system.
#[cfg(feature = "cli")]
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = parent(directory);
    if above != directory && !above.exists() {
        make_private(above)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(directory) {
        // Another process may make the same directory at the same time.
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !directory.is_dir() => return Err(error),
        _ => {}
    }
    sync(above)
}

/// Syncs a directory, so that a new file in it survives a power cut.
///
/// # Errors
/// Those of the operating system, except on file systems that cannot sync directories.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let done = fs::File::open(directory).and_then(|directory| directory.sync_all());
    match done {
        // A directory may be writable but unreadable, and some file systems cannot sync directories.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn missing_directories_are_created_and_existing_ones_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        make_private(&deep).unwrap();
        fs::write(deep.join("kept"), "x").unwrap();
        make_private(&deep).unwrap();
        assert!(deep.join("kept").exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for made in ["a", "a/b", "a/b/c"] {
                assert_eq!(fs::metadata(dir.path().join(made)).unwrap().permissions().mode() & 0o777, 0o700);
            }
        }
        assert!(make_private(&deep.join("kept")).is_err());
        assert!(make_private(&deep.join("kept/below")).is_err());
    }
}
