//! Opens files of other programs. Only regular files of a real file system are read. A pipe, a device or a file below
//! `/proc` may block the reader for ever or have no end.

use std::fs::{self, File, Metadata};
use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// Opens a regular file for reading. Fails at once for anything else, and never waits for a writer.
pub(in crate::import) fn open(path: &Path) -> io::Result<File> {
    // Closing it would drop this process's locks on the ledger.
    crate::store::refuse_ledger(path, None).map_err(|error| Error::new(ErrorKind::InvalidInput, error.to_string()))?;
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use nix::fcntl::OFlag;
        // Without these flags, opening a pipe waits for a writer, and opening a terminal may make it this process's
        // controlling terminal.
        options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    }
    let file = options.open(path)?;
    expect_file(&file.metadata()?)?;
    #[cfg(target_os = "linux")]
    expect_storage(nix::sys::statfs::fstatfs(&file)?)?;
    Ok(file)
}

/// Checks this without opening the file. Used for files on which this process may hold locks, which closing a
/// descriptor would drop.
pub(in crate::import) fn check(path: &Path) -> io::Result<Metadata> {
    let meta = fs::metadata(path)?;
    expect_file(&meta)?;
    expect_real(path)?;
    Ok(meta)
}

/// Reads a regular file of at most `most` bytes. A larger file is an error.
pub(in crate::import) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than the {} that are read of such a file", size(most));
        return Err(Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Formats a size: `64 MiB`, `512 KiB`.
pub(in crate::import) fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes.div_ceil(1 << 10)) }
}

/// Returns the bytes that a file occupies on disk. A sparse file occupies less than its size.
pub(in crate::import) fn stored(meta: &Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        meta.len().min(meta.blocks().saturating_mul(512))
    }
    #[cfg(not(unix))]
    meta.len()
}

fn expect_file(meta: &Metadata) -> io::Result<()> {
    if meta.is_file() { Ok(()) } else { Err(refused(kind(meta.file_type()))) }
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file"))
}

/// Names the kind of a file that is not regular.
pub(in crate::import) fn kind(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        } else if kind.is_socket() {
            return "a socket";
        } else if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a directory" } else { "something else" }
}

/// Refuses a path on a pseudo file system, whose content is generated on reading.
pub(in crate::import) fn expect_real(path: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return expect_storage(nix::sys::statfs::statfs(path)?);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn expect_storage(stat: nix::sys::statfs::Statfs) -> io::Result<()> {
    /// Magic numbers from `linux/magic.h`.
    const MADE_UP: [(u32, &str); 15] = [
        (0x0000_9fa0, "proc"),
        (0x6265_6572, "sysfs"),
        (0x6462_6720, "debugfs"),
        (0x7472_6163, "tracefs"),
        (0x7363_6673, "securityfs"),
        (0x0027_e0eb, "cgroup"),
        (0x6367_7270, "cgroup2"),
        (0xcafe_4a11, "bpf"),
        (0x6165_676c, "pstore"),
        (0xde5e_81e4, "efivarfs"),
        (0x6265_6570, "configfs"),
        (0xf97c_ff8c, "selinuxfs"),
        (0x4249_4e4d, "binfmt_misc"),
        (0x0000_1cd1, "devpts"),
        (0x1980_0202, "mqueue"),
    ];
    let number = stat.filesystem_type().0 as u32;
    match MADE_UP.iter().find(|(magic, _)| *magic == number) {
        Some((_, name)) => Err(refused(&format!("in the file system `{name}`, which the operating system makes up"))),
        None => Ok(()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, device, link, file] = ["pipe", "device", "link", "file"].map(|name| dir.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        symlink("/dev/zero", &device).unwrap();
        symlink("/proc/self/status", &link).unwrap();
        std::fs::write(&file, "text").unwrap();
        for (path, what) in [(&pipe, "a named pipe"), (&device, "a device"), (&dir.path().to_owned(), "a directory")] {
            assert!(open(path).unwrap_err().to_string().contains(what), "{what}");
            assert!(check(path).unwrap_err().to_string().contains(what), "{what}");
        }
        if cfg!(target_os = "linux") {
            assert!(open(&link).unwrap_err().to_string().contains("`proc`"));
            assert!(check(&link).unwrap_err().to_string().contains("`proc`"));
        }
        assert_eq!(read(&file, 4).unwrap(), b"text");
        assert!(read(&file, 3).unwrap_err().to_string().contains("1 KiB"));
    }
}
