//! Reads plain and compressed logs, with limits of bytes and time.

use std::fs::File;
use std::io::{self, BufRead, Error, ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::regular;

/// Bytes that any compressed log may unpack to, independent of its size.
const UNPACKED: u64 = 64 << 20;
/// Maximum ratio of unpacked to stored bytes. Logs of agents compress by a factor of 10 to 30.
const RATIO: u64 = 256;
/// Seconds that any log may take to read.
const SECONDS: u64 = 10;
/// Stored bytes that extend the time limit by one second.
const PER_SECOND: u64 = 10 << 20;

/// Returns whether the name marks a log compressed with Zstandard.
pub(in crate::import) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// Returns the time limit for a file with this many stored bytes.
pub(in crate::import) const fn time_for(stored: u64) -> Duration {
    Duration::from_secs(SECONDS + stored / PER_SECOND)
}

/// Returns the limit of unpacked bytes for a compressed log of this size.
const fn unpacked(size: u64) -> u64 {
    UNPACKED.saturating_add(size.saturating_mul(RATIO))
}

/// Opens a log at its beginning.
pub(in crate::import) fn open(path: &Path) -> io::Result<Log> {
    let file = regular::open(path)?;
    let meta = file.metadata()?;
    let time = time_for(regular::stored(&meta));
    let end = Instant::now() + time;
    // Data appended to a compressed file is a frame of its own. The decoder continues with it.
    let (content, left) = if is_packed(path) {
        (FileContent::Packed(Box::new(zstd::Decoder::new(file)?)), unpacked(meta.len()))
    } else {
        (FileContent::Plain(file), u64::MAX)
    };
    Ok(Log { content, left, size: meta.len(), end, time })
}

/// Returns whether `fits` accepts any line. Lines above the length limit are ignored.
pub(in crate::import) fn any_line(path: &Path, fits: &dyn Fn(&[u8]) -> bool) -> io::Result<bool> {
    let (mut log, mut line) = (io::BufReader::with_capacity(1 << 16, open(path)?), Vec::new());
    while log.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line)? > 0 {
        if fits(&line) {
            return Ok(true);
        }
        line.clear();
    }
    Ok(false)
}

enum FileContent {
    Plain(File),
    Packed(Box<zstd::Decoder<'static, io::BufReader<File>>>),
}

/// An open log. Reading fails when the limit of unpacked bytes or of time is reached.
pub(in crate::import) struct Log {
    content: FileContent,
    /// Bytes that may still be unpacked.
    left: u64,
    /// Stored bytes.
    size: u64,
    end: Instant,
    time: Duration,
}

impl Log {
    /// Extends the time limit by the time in which the reader waited for other threads.
    pub fn pause(&mut self, waited: Duration) {
        self.end += waited;
    }

    /// Ends the time limit now, to simulate a slow disk.
    #[cfg(test)]
    pub fn expire(&mut self) {
        self.end = Instant::now();
    }
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.end {
            let why = format!("it takes longer than the {} s that a log of its size is given", self.time.as_secs());
            return Err(Error::new(ErrorKind::TimedOut, why));
        }
        let got = match &mut self.content {
            FileContent::Plain(file) => file.read(buffer)?,
            FileContent::Packed(decoder) => decoder.read(buffer)?,
        };
        let Some(left) = self.left.checked_sub(got as u64) else {
            let (size, most) = (regular::size(self.size), regular::size(unpacked(self.size)));
            let why = format!("its {size} unpack to more than {most}, the most that is read of a log of its size");
            return Err(Error::new(ErrorKind::FileTooLarge, why));
        };
        self.left = left;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_frames_are_one_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl.zst");
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
        let frames = [frame("one\n"), frame("two\n")].concat();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let mut text = String::new();
            open(&path).and_then(|mut log| log.read_to_string(&mut text)).map(|_| text)
        };
        assert_eq!(read(&frames).unwrap(), "one\ntwo\n");
        assert!(read(&frames[..frames.len() - 3]).is_err(), "a cut file is no shorter log");
        assert!(read(b"one\n").is_err());
    }

    #[test]
    fn unpacking_a_log_stops_at_the_size_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl.zst");
        let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
        io::copy(&mut io::repeat(b'\n').take(2 * UNPACKED), &mut packed).unwrap();
        let packed = packed.finish().unwrap();
        std::fs::write(&path, &packed).unwrap();
        let mut count = io::sink();
        let error = io::copy(&mut open(&path).unwrap(), &mut count).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
        assert!(packed.len() as u64 * RATIO < UNPACKED, "{}", packed.len());
    }

    #[test]
    fn the_time_limit_of_a_log_depends_on_its_size_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        // A hole of one terabyte occupies no disk space.
        File::create(&path).and_then(|file| file.set_len(1 << 40)).unwrap();
        let mut log = open(&path).unwrap();
        assert!(cfg!(not(unix)) || log.time < Duration::from_secs(2 * SECONDS), "{:?}", log.time);
        assert_eq!(log.read(&mut [0; 8]).unwrap(), 8);
        log.expire();
        assert_eq!(log.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        log.pause(Duration::from_secs(60));
        assert_eq!(log.read(&mut [0; 8]).unwrap(), 8);
    }
}
