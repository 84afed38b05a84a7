//! Logs whose names were shredded. Such a log is not read until it has new content, because reading it would restore
//! the name.

use std::collections::HashMap;
use std::io::{self, Read};

use xxhash_rust::xxh3::Xxh3;

use crate::import::engine::compression::{is_packed, open};
use crate::import::engine::log_file::LogFile;
use crate::import::engine::log_file::is_unchanged;
use crate::import::engine::source::Source;
use crate::model::event::{ImportedFile, REDACTED_PATH};
use crate::model::invariant::bug;

/// Bytes read at a time.
const BLOCK: usize = 64 * 1024;

/// The stored states of a source's shredded logs.
pub(in crate::import) struct RedactedLogs(Vec<ImportedFile>);

impl RedactedLogs {
    /// Moves them out of the states of all logs of a source.
    pub fn take(states: &mut HashMap<String, ImportedFile>) -> Self {
        let mut redacted: Vec<ImportedFile> =
            states.extract_if(|path, _| path.starts_with(REDACTED_PATH)).map(|(_, state)| state).collect();
        redacted.sort_by_key(|state| state.offset);
        Self(redacted)
    }

    /// Returns whether a file is one of them and has no new content. It is recognised by device and inode, or by a hash
    /// of its content, whatever its name and compression are.
    ///
    /// An unreadable file is an error, because it may be a shredded log and its name must not be stored again.
    pub fn contains(&self, source: &dyn Source, file: &LogFile) -> io::Result<bool> {
        if self.0.is_empty() {
            return Ok(false);
        }
        if self.0.iter().any(|known| is_unchanged(file, known)) {
            return Ok(true);
        }
        // No content hash exists for a database.
        if source.format(&file.path).is_database() { Ok(false) } else { self.is_same(file) }
    }

    fn is_same(&self, file: &LogFile) -> io::Result<bool> {
        let packed = is_packed(&file.path);
        let may_be = |known: &&ImportedFile| packed || known.offset == file.size || known.size == file.size;
        let mut known = self.0.iter().filter(may_be).peekable();
        if known.peek().is_none() {
            return Ok(false);
        }
        let mut log = open(&file.path)?;
        let mut hash = Xxh3::new();
        let (mut block, mut read, mut matching) = (vec![0; BLOCK], 0_u64, Vec::new());
        loop {
            // Advance at most to the next recorded offset.
            while known.next_if(|known| known.offset < read).is_some() {}
            while let Some(here) = known.next_if(|known| known.offset == read) {
                if here.hash == format!("{:016x}", hash.digest()) {
                    matching.push(here);
                }
            }
            if matching.is_empty() && known.peek().is_none() {
                return Ok(false);
            }
            let left = known.peek().map_or(BLOCK as u64, |known| known.offset - read);
            let want = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
            let outside = |bytes: usize| io::Error::other(bug!("{bytes} bytes of a block of {BLOCK}"));
            let block = block.get_mut(..want).ok_or_else(|| outside(want))?;
            let got = log.read(block)?;
            if got == 0 {
                break;
            }
            hash.update(block.get(..got).ok_or_else(|| outside(got))?);
            read += got as u64;
        }
        // After the part that was read there may be a line that was partial then, and still is.
        Ok(matching.iter().any(|known| known.offset == read || (known.offset > 0 && known.size == read)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use xxhash_rust::xxh3::xxh3_64;

    use super::*;
    use crate::import::engine::source::tests::AnyLines;

    fn known(text: &str, size: usize) -> RedactedLogs {
        let hash = format!("{:016x}", xxh3_64(text.as_bytes()));
        let path = format!("{REDACTED_PATH}{hash}");
        let state = ImportedFile {
            path: path.clone(),
            hash,
            offset: text.len() as u64,
            size: size as u64,
            ..ImportedFile::default()
        };
        let other = ImportedFile { path: "/logs/a.jsonl".to_owned(), ..state.clone() };
        let mut states = HashMap::from([(path, state), (other.path.clone(), other)]);
        let withdrawn = RedactedLogs::take(&mut states);
        assert_eq!(states.len(), 1, "only what was shredded is taken");
        withdrawn
    }

    fn file(path: PathBuf, bytes: &[u8]) -> LogFile {
        std::fs::write(&path, bytes).unwrap();
        LogFile { path, size: bytes.len() as u64, modified: 7, identity: Some("9:9".to_owned()) }
    }

    #[test]
    fn a_log_is_recognised_by_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let text = "{\"a\":1}\n".repeat(20_000);
        let shredded = known(&text, text.len());
        let contains = |file: &LogFile| shredded.contains(&AnyLines, file).unwrap();
        assert!(contains(&file(at("elsewhere.jsonl"), text.as_bytes())));
        assert!(contains(&file(at("packed.jsonl.zst"), &zstd::encode_all(text.as_bytes(), 3).unwrap())));
        assert!(!contains(&file(at("longer.jsonl"), format!("{text}{{}}\n").as_bytes())));
        assert!(!contains(&file(
            at("longer.jsonl.zst"),
            &zstd::encode_all(format!("{text}{{}}\n").as_bytes(), 3).unwrap()
        )));
        assert!(!contains(&file(at("other.jsonl"), text.replace('1', "2").as_bytes())));
        let gone =
            LogFile { path: Path::new("/nowhere").to_owned(), size: text.len() as u64, modified: 1, identity: None };
        let error = shredded.contains(&AnyLines, &gone).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "a log that cannot be read may be a shredded one: {error}");
    }

    #[test]
    fn an_incomplete_line_is_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        let whole = file(dir.path().join("a.jsonl"), b"{}\n{\"type\":");
        assert!(known("{}\n", 11).contains(&AnyLines, &whole).unwrap());
        // Nothing was read of it, so there is no hash to compare.
        assert!(!known("", 11).contains(&AnyLines, &whole).unwrap());
    }
}
