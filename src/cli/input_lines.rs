//! Lines of an input that is read twice: once to validate it, once to process it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::context::Context;
use crate::model::error::{Error, Result};
use crate::present::failure::Failure;

/// Bytes of a pipe that are buffered in memory. The rest goes to a temporary file.
const IN_MEMORY: usize = 16 << 20;
/// Maximum length of a line in bytes. A record contains names and numbers, no long texts.
const LONGEST: u64 = 1 << 20;

trait SeekableInput: Read + Seek {}
impl<T: Read + Seek> SeekableInput for T {}

/// An input; `-` is stdin.
pub(crate) struct InputLines {
    name: PathBuf,
    reader: BufReader<Box<dyn SeekableInput>>,
    buffer: Vec<u8>,
    number: u64,
}

/// Opens a file, or stdin for `-`. Refuses the ledger.
pub(crate) fn open(path: &Path, context: &Context) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    context.refuse_ledger(path)?;
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(Box::new(file))
}

impl InputLines {
    pub fn open(path: &Path, context: &Context) -> Result<Self, Failure> {
        let name = if path == Path::new("-") { PathBuf::from("stdin") } else { path.to_owned() };
        let fail = |source| Error::Io { path: name.clone(), source };
        let again = path.metadata().is_ok_and(|meta| meta.is_file());
        let source: Box<dyn SeekableInput> = if again {
            context.refuse_ledger(path)?;
            Box::new(File::open(path).map_err(fail)?)
        } else {
            let mut spool = SpooledTempFile::new(IN_MEMORY);
            io::copy(&mut open(path, context)?, &mut spool).map_err(fail)?;
            Box::new(spool)
        };
        let mut lines = Self { name, reader: BufReader::new(source), buffer: Vec::new(), number: 0 };
        lines.rewind()?;
        Ok(lines)
    }

    fn fail(&self, source: io::Error) -> Error {
        Error::Io { path: self.name.clone(), source }
    }

    /// Returns to the first line.
    pub fn rewind(&mut self) -> Result<()> {
        self.number = 0;
        self.reader.seek(SeekFrom::Start(0)).map(|_| ()).map_err(|error| self.fail(error))
    }

    /// Number of the last line, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the next line that is not blank.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            self.buffer.clear();
            let mut limited = (&mut self.reader).take(LONGEST + 1);
            let read = limited.read_until(b'\n', &mut self.buffer).map_err(|source| self.fail(source))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 > LONGEST {
                return Err(Error::invalid(format!("the line is longer than {LONGEST} bytes: it is no record")));
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(&self.buffer));
            }
        }
    }
}
