//! Logs that were compressed once nobody wrote to them any more: unpacked while they are read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Whether a log is compressed with Zstandard, by its name.
pub(in crate::import) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// Opens a log at its beginning.
pub(in crate::import) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    // What was appended to a compressed file is a frame of its own; the decoder goes on with it.
    Ok(if is_packed(path) { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_behind_each_other_are_one_log() {
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
}
