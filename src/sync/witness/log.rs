//! The state of a witness: for each log the last checkpoint that it cosigned.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::merkle::{AddCheckpoint, Checkpoint, ConsistencyProof, Cosigner, Hash, Note, Verifier};
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::sync::files::{self, FormerFile};

/// The file whose lock lets the processes of a witness decide one after the other.
const LOCK: &str = "lock";

/// The answer of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WitnessAnswer {
    /// 200: signature lines.
    Cosigned(String),
    /// 400: the request is malformed.
    Malformed(String),
    /// 403: no trusted key of the log signed the checkpoint.
    Unsigned(String),
    /// 404: the witness does not know the log.
    Unknown(String),
    /// 409: the last checkpoint that it cosigned has this size.
    Conflict(u64),
    /// 422: the checkpoint does not continue the last one.
    Inconsistent(String),
}

impl WitnessAnswer {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Malformed(_) => 400,
            Self::Unsigned(_) => 403,
            Self::Unknown(_) => 404,
            Self::Conflict(_) => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// The body of the HTTP answer.
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(lines) => lines.clone(),
            Self::Conflict(size) => format!("{size}\n"),
            Self::Malformed(why) | Self::Unsigned(why) | Self::Unknown(why) | Self::Inconsistent(why) => {
                format!("{why}\n")
            }
        }
    }

    /// The media type of the body.
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "text/x.tlog.size",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// A witness: its key, the logs that it knows, and a directory with the last checkpoint of each.
pub struct WitnessLog {
    directory: PathBuf,
    cosigner: Cosigner,
    logs: Vec<Verifier>,
    /// Locks of files keep processes apart, this one threads.
    turn: Mutex<()>,
}

impl WitnessLog {
    /// Opens the state of a witness. The directory exists: a witness that lost its state could cosign a second history.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory does not exist or cannot be written.
    pub fn open(directory: impl Into<PathBuf>, cosigner: Cosigner, logs: Vec<Verifier>) -> Result<Self> {
        let log = Self { directory: directory.into(), cosigner, logs, turn: Mutex::new(()) };
        log.lock()?;
        Ok(log)
    }

    /// Answers a request. A cosignature leaves only when the new checkpoint is durable.
    ///
    /// # Errors
    /// [`Error::Io`] if the state cannot be read or written, [`Error::Invalid`] if it is damaged. Nothing is cosigned
    /// then.
    pub fn add_checkpoint(&self, request: &str, now: impl Into<Timestamp>) -> Result<WitnessAnswer> {
        let parsed = request.parse::<AddCheckpoint>();
        let parsed = parsed.and_then(|request| Ok((request.checkpoint.text().parse::<Checkpoint>()?, request)));
        let (checkpoint, request) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(WitnessAnswer::Malformed(error.to_string())),
        };
        let origin = checkpoint.origin();
        let mut keys = self.logs.iter().filter(|key| key.name() == origin).peekable();
        if keys.peek().is_none() {
            return Ok(WitnessAnswer::Unknown(format!("this witness does not know the log {origin}")));
        }
        let Some(key) = keys.find(|key| request.checkpoint.verify(key).is_ok()) else {
            return Ok(WitnessAnswer::Unsigned(format!("no trusted key of the log {origin} signed the checkpoint")));
        };
        if request.old > checkpoint.size() {
            let what = format!("the old size {} is above that of the checkpoint, {}", request.old, checkpoint.size());
            return Ok(WitnessAnswer::Malformed(what));
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        let (size, root) = match self.last(origin)? {
            None => (0, Hash::EMPTY),
            Some((_, last)) => (last.size(), last.root()),
        };
        if request.old != size || (size == checkpoint.size() && root != checkpoint.root()) {
            return Ok(WitnessAnswer::Conflict(size));
        }
        let proof = ConsistencyProof { old: size, new: checkpoint.size(), hashes: request.hashes };
        if let Err(error) = proof.verify(&root, &checkpoint.root()) {
            return Ok(WitnessAnswer::Inconsistent(error.to_string()));
        }
        let seconds = u64::try_from(now.into().millis() / 1_000)
            .map_err(|_| Error::invalid("the clock of this witness is before 1970: set it"))?;
        let lines = self.cosigner.cosign(&request.checkpoint, seconds)?;
        let cosigned = request.checkpoint.signed_by(key).with_signatures(&lines)?;
        self.store(origin, &cosigned)?;
        Ok(WitnessAnswer::Cosigned(lines))
    }

    /// The last checkpoint of a log that this witness cosigned, by the SHA-256 of the log's origin in hex.
    ///
    /// # Errors
    /// [`Error::Io`] if the state cannot be read.
    pub fn latest(&self, hash: &str) -> Result<Option<String>> {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hash { read(&self.directory.join(format!("{hash}.checkpoint"))) } else { Ok(None) }
    }

    fn path(&self, origin: &str) -> PathBuf {
        let hash = Hash::from_bytes(Sha256::digest(origin).into());
        self.directory.join(format!("{hash}.checkpoint"))
    }

    /// The last checkpoint of a log, with its cosignature. A state that this witness did not cosign is damaged.
    pub(crate) fn last(&self, origin: &str) -> Result<Option<(Note, Checkpoint)>> {
        let path = self.path(origin);
        let Some(text) = read(&path)? else { return Ok(None) };
        let note: Note = text.parse()?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if self.cosigner.witness().cosigned(&note)?.is_none() || checkpoint.origin() != origin {
            return Err(Error::invalid(format!(
                "{} is not a checkpoint of {origin} that this witness cosigned: restore it from a backup",
                path.display()
            )));
        }
        Ok(Some((note, checkpoint)))
    }

    /// Replaces the last checkpoint of a log, durably.
    fn store(&self, origin: &str, note: &Note) -> Result<()> {
        let path = self.path(origin);
        files::write(&path, note.to_string().as_bytes(), FormerFile::Replaced)?;
        // Other files may be on file systems that cannot sync directories. A cosignature must not outlive its state.
        #[cfg(unix)]
        File::open(&self.directory)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| Error::Io { path, source })?;
        Ok(())
    }

    /// The lock of the directory, until it is dropped.
    fn lock(&self) -> Result<File> {
        files::lock(&self.directory.join(LOCK))
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}
