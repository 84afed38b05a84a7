//! Reads a file line by line. Memory is bounded by the longest line.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::time::Instant;

use memchr::memchr;
use serde::de::IgnoredAny;
use xxhash_rust::xxh3::Xxh3;

use crate::import::engine::chunk::{Chunk, admitted, unquoted};
use crate::import::engine::compression::{Log, is_packed, open};
use crate::import::engine::document_reader;
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::log_file::LogFile;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::import::health::missing_usage::{LogEnd, is_settled};
use crate::model::event::{ImportedFile, SkippedLine};
use crate::model::invariant::bug;
use crate::model::time::Zone;

/// Bytes per read.
const BLOCK: usize = 256 * 1024;
/// Records per chunk.
const CHUNK: usize = 2_048;

/// Skip reason of a partial last line.
pub(in crate::import) const INCOMPLETE: &str = "incomplete last line: it is read when it is complete";

/// Reads the new part of a file and emits it in chunks. `emit` returns whether to continue.
pub(in crate::import) fn read(
    source: &dyn Source,
    zone: Zone,
    file: &LogFile,
    stored: Option<&ImportedFile>,
    emit: &mut dyn FnMut(Chunk) -> bool,
) {
    let log = match source.format(&file.path) {
        LogFormat::Lines(log) => log,
        LogFormat::Document(log) => return document_reader::read_document(log, zone, file, stored, emit),
        LogFormat::Database(log) => return document_reader::read_database(log, file, stored, emit),
    };
    let name = file.path.to_string_lossy().into_owned();
    let mut reached = None;
    if let Err(why) = lines(log, zone, file, stored, &mut reached, emit) {
        let beyond = reached.filter(|line| *line > 0).map(|line| format!(" beyond line {line}")).unwrap_or_default();
        let skipped = SkippedLine { file: name, line: 0, why: format!("the file cannot be read{beyond}: {why}") };
        emit(Chunk { skipped: vec![skipped], unreadable: 1, ..Chunk::default() });
    }
}

/// Reads a line log. `reached` is the number of the last line that was read.
fn lines(
    log: &dyn LineLog,
    zone: Zone,
    file: &LogFile,
    stored: Option<&ImportedFile>,
    reached: &mut Option<u64>,
    emit: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), String> {
    let handle = open(&file.path).map_err(|error| error.to_string())?;
    let mut reading = FileReading::new(log, zone, file, handle).map_err(|why| why.to_string())?;
    if let Some(stored) = stored.filter(|_| log.resumes())
        && let Some(why) = reading.resume(stored).map_err(|error| error.to_string())?
    {
        let skipped = SkippedLine { file: reading.name.clone(), line: 0, why };
        emit(Chunk { skipped: vec![skipped], ..Chunk::default() });
    }
    reading.rest(emit).map_err(|error| {
        *reached = Some(reading.lines);
        emit(reading.broken_off());
        error.to_string()
    })
}

/// Returns a part of a buffer. A range outside it is a bug in this file, and must not look like the end of the log.
fn piece(buffer: &[u8], range: Range<usize>) -> std::io::Result<&[u8]> {
    let wrong = || std::io::Error::other(bug!("bytes {range:?} of {}", buffer.len()));
    buffer.get(range.clone()).ok_or_else(wrong)
}

/// As [`piece`], for reading into the buffer.
fn piece_mut(buffer: &mut [u8], range: Range<usize>) -> std::io::Result<&mut [u8]> {
    let length = buffer.len();
    let wrong = || std::io::Error::other(bug!("bytes {range:?} of {length}"));
    buffer.get_mut(range.clone()).ok_or_else(wrong)
}

struct FileReading<'a> {
    log: &'a dyn LineLog,
    zone: Zone,
    file: &'a LogFile,
    name: String,
    handle: Log,
    parser: Box<dyn LineParser>,
    hash: Xxh3,
    /// Bytes that are hashed; they end with a whole line.
    offset: u64,
    lines: u64,
    /// Whether the last of these lines had no newline yet. What follows up to the newline is no further line.
    is_open: bool,
    skipped: u64,
    buffer: Vec<u8>,
    filled: usize,
    chunk: Chunk,
    /// Offset at the end of the last chunk.
    emitted: u64,
}

impl<'a> FileReading<'a> {
    fn new(log: &'a dyn LineLog, zone: Zone, file: &'a LogFile, handle: Log) -> Result<Self, Refusal> {
        Ok(Self {
            parser: log.parser(&file.path, None, zone)?,
            log,
            zone,
            file,
            name: file.path.to_string_lossy().into_owned(),
            handle,
            hash: Xxh3::new(),
            offset: 0,
            lines: 0,
            is_open: false,
            skipped: 0,
            buffer: Vec::new(),
            filled: 0,
            chunk: Chunk::default(),
            emitted: 0,
        })
    }

    /// Continues after the part that an earlier run read, if that part has the same hash. Otherwise starts at the
    /// beginning. Returns why the stored state cannot be read, if so.
    fn resume(&mut self, stored: &ImportedFile) -> std::io::Result<Option<String>> {
        let mut left = stored.offset;
        let mut block = vec![0; BLOCK];
        let mut last = b'\n';
        while left > 0 {
            let want = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
            let got = self.handle.read(piece_mut(&mut block, 0..want)?)?;
            if got == 0 {
                break;
            }
            let read = piece(&block, 0..got)?;
            self.hash.update(read);
            if let [.., byte] = read {
                last = *byte;
            }
            left -= got as u64;
        }
        if left > 0 || format!("{:016x}", self.hash.digest()) != stored.hash {
            self.rewind()?;
            return Ok(None);
        }
        match self.log.parser(&self.file.path, stored.resume.as_ref(), self.zone) {
            Ok(parser) => self.parser = parser,
            Err(Refusal::State(why)) => {
                self.rewind()?;
                return Ok(Some(why));
            }
            Err(why) => return Err(std::io::Error::other(why.to_string())),
        }
        self.offset = stored.offset;
        self.emitted = stored.offset;
        self.lines = stored.lines;
        self.is_open = last != b'\n';
        self.skipped = stored.skipped.saturating_sub(u64::from(self.parser.is_missing_usage()));
        self.chunk.progress = if is_packed(&self.file.path) { 0 } else { stored.offset };
        Ok(None)
    }

    /// Returns to the beginning of the file.
    fn rewind(&mut self) -> std::io::Result<()> {
        self.hash = Xxh3::new();
        self.handle = open(&self.file.path)?;
        Ok(())
    }

    fn rest(&mut self, emit: &mut dyn FnMut(Chunk) -> bool) -> std::io::Result<()> {
        self.buffer.resize(BLOCK, 0);
        loop {
            if self.filled == self.buffer.len() {
                if self.buffer.len() >= LONGEST_LINE {
                    if !self.skip_line()? {
                        break;
                    }
                    continue;
                }
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let end = self.buffer.len();
            let got = self.handle.read(piece_mut(&mut self.buffer, self.filled..end)?)?;
            if got == 0 {
                break;
            }
            let scanned = self.filled;
            self.filled += got;
            self.take_lines(scanned)?;
            if self.parser.pending() >= CHUNK {
                let chunk = self.cut();
                let waiting = Instant::now();
                if !emit(chunk) {
                    return Ok(());
                }
                self.handle.pause(waiting.elapsed());
            }
        }
        self.last_line()?;
        let mut last = self.end();
        if is_packed(&self.file.path) {
            last.progress = self.file.size;
        }
        emit(last);
        Ok(())
    }

    /// Counts a line, unless it is the end of the last one.
    const fn count_line(&mut self) {
        self.lines += !self.is_open as u64;
        self.is_open = false;
    }

    /// Parses the whole lines in the buffer and keeps the rest. No newline precedes `scanned`.
    fn take_lines(&mut self, scanned: usize) -> std::io::Result<()> {
        let mut start = 0;
        let mut from = scanned;
        while let Some(at) = memchr(b'\n', piece(&self.buffer, from..self.filled)?) {
            let end = from + at;
            self.count_line();
            let line = piece(&self.buffer, start..end)?;
            if let Err(why) = self.parser.line(line) {
                let skipped = SkippedLine { file: self.name.clone(), line: self.lines, why: unquoted(&why) };
                self.chunk.skipped.push(skipped);
            }
            start = end + 1;
            from = start;
        }
        self.hash.update(piece(&self.buffer, 0..start)?);
        self.offset += start as u64;
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(())
    }

    /// Reads past a line above the length limit. Returns false if the file ends within it.
    fn skip_line(&mut self) -> std::io::Result<bool> {
        let mut hash = self.hash.clone();
        let mut length = self.filled as u64;
        hash.update(&self.buffer);
        loop {
            let got = self.handle.read(&mut self.buffer)?;
            if got == 0 {
                self.filled = 0;
                self.report_last(format!("line of over {} MiB without an end", LONGEST_LINE >> 20));
                return Ok(false);
            }
            let bytes = piece(&self.buffer, 0..got)?;
            match memchr(b'\n', bytes) {
                None => {
                    hash.update(bytes);
                    length += got as u64;
                }
                Some(at) => {
                    hash.update(piece(bytes, 0..at + 1)?);
                    length += at as u64 + 1;
                    self.hash = hash;
                    self.offset += length;
                    self.count_line();
                    let why =
                        format!("line of {} MiB: over the {} MiB that are read", length >> 20, LONGEST_LINE >> 20);
                    self.chunk.skipped.push(SkippedLine { file: self.name.clone(), line: self.lines, why });
                    self.buffer.copy_within(at + 1..got, 0);
                    self.filled = got - at - 1;
                    self.buffer.truncate(BLOCK.max(self.filled));
                    self.take_lines(0)?;
                    return Ok(true);
                }
            }
        }
    }

    fn report_last(&mut self, why: String) {
        self.chunk.skipped.push(SkippedLine { file: self.name.clone(), line: self.lines + 1, why });
    }

    /// The last line may lack its newline because the agent is still writing it, or because it never writes one.
    fn last_line(&mut self) -> std::io::Result<()> {
        let line = piece(&self.buffer, 0..self.filled)?;
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if serde_json::from_slice::<IgnoredAny>(line).is_err() {
            self.report_last(INCOMPLETE.to_owned());
            return Ok(());
        }
        self.count_line();
        let line = piece(&self.buffer, 0..self.filled)?;
        if let Err(why) = self.parser.line(line) {
            let skipped = SkippedLine { file: self.name.clone(), line: self.lines, why: unquoted(&why) };
            self.chunk.skipped.push(skipped);
        }
        self.hash.update(line);
        self.offset += line.len() as u64;
        self.filled = 0;
        Ok(())
    }

    /// Returns the last chunk, with the findings about the whole file.
    fn end(&mut self) -> Chunk {
        let ending = self.parser.end(is_settled(self.file));
        let mut last = self.cut();
        match ending {
            LogEnd::Plain => {}
            LogEnd::Silent(why) => last.skipped.push(SkippedLine { file: self.name.clone(), line: 0, why }),
            // A later import examines the file again even if it does not change.
            LogEnd::Open => {
                if let Some(state) = &mut last.state {
                    state.modified = 0;
                }
            }
        }
        last
    }

    /// Returns what was read before an error. A later import tries again even if the file does not change.
    fn broken_off(&mut self) -> Chunk {
        let mut chunk = self.cut();
        if let Some(state) = &mut chunk.state {
            state.modified = 0;
        }
        chunk
    }

    /// Returns what was read since the last chunk.
    fn cut(&mut self) -> Chunk {
        let mut chunk = std::mem::take(&mut self.chunk);
        let (calls, refused) = admitted(&self.name, self.parser.take());
        chunk.calls = calls;
        chunk.skipped.extend(refused);
        chunk.observed = self.parser.take_observed();
        chunk.bytes = self.offset - self.emitted;
        if !is_packed(&self.file.path) {
            chunk.progress += chunk.bytes;
        }
        self.emitted = self.offset;
        // A partial last line is not counted.
        self.skipped += chunk.skipped.iter().filter(|skipped| skipped.line <= self.lines).count() as u64;
        chunk.state = Some(ImportedFile {
            // Set by `Chunk::label`.
            labels: BTreeMap::new(),
            path: self.name.clone(),
            identity: self.file.identity.clone(),
            size: self.file.size,
            modified: self.file.modified,
            offset: self.offset,
            hash: format!("{:016x}", self.hash.digest()),
            lines: self.lines,
            version: 0,
            skipped: self.skipped + u64::from(self.parser.is_missing_usage()),
            conversation: self.parser.conversation().map(str::to_owned),
            began: self.parser.began(),
            resume: self.parser.resume(),
        });
        chunk
    }
}
