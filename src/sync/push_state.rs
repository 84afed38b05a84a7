//! What a machine keeps about the copies of its ledger: a small file next to the ledger.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, FormerFile};
use super::protocol::{LedgerFork, VERSION, new_ledger_id, origin};
use crate::merkle::{Checkpoint, Note, Signer};
use crate::model::error::{Error, Result};

/// The end of the file's name.
const END: &str = "-push";

/// The identity of a ledger towards servers, and the last checkpoint that a server cosigned.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushState {
    v: u32,
    /// The id of the ledger.
    pub ledger: String,
    /// The secret key that signs its checkpoints.
    key: String,
    /// What the ledger continues under a new id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<LedgerFork>,
    /// The server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The public key of the server's cosignatures, from the first push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The last cosigned checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Earlier identities of this file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<FormerIdentity>,
}

/// An identity that a file had before `push --as-new-ledger`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormerIdentity {
    ledger: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
}

impl PushState {
    /// A new identity.
    pub fn new(continues: Option<LedgerFork>) -> Result<Self> {
        Self::of(new_ledger_id()?, continues)
    }

    /// A new key of a ledger that a server has already.
    pub fn of(ledger: String, continues: Option<LedgerFork>) -> Result<Self> {
        let key = Signer::generate(&origin(&ledger, continues.as_ref()))?.secret();
        Ok(Self { v: VERSION, ledger, key, continues, url: None, server: None, checkpoint: None, former: Vec::new() })
    }

    /// The state of the same file under a new id, behind a position of this one; `None` if no server has this one. An id
    /// that no server accepted is replaced.
    pub fn into_new_ledger(mut self, position: u64) -> Result<Option<Self>> {
        let ledger = match (&self.checkpoint, &self.continues) {
            (Some(_), _) => self.ledger.clone(),
            (None, Some(fork)) => fork.ledger.clone(),
            (None, None) => return Ok(None),
        };
        let mut next = Self::new(Some(LedgerFork { ledger, position }))?;
        if self.checkpoint.is_some() {
            self.former.push(FormerIdentity { ledger: self.ledger, key: self.key, checkpoint: self.checkpoint });
        }
        next.former = self.former;
        (next.url, next.server) = (self.url, self.server);
        Ok(Some(next))
    }

    /// The file of a ledger.
    pub fn place(ledger: &Path) -> PathBuf {
        let mut name = ledger.as_os_str().to_owned();
        name.push(OsString::from(END));
        name.into()
    }

    /// Reads the file of a ledger; `None` if there is none.
    pub fn read(ledger: &Path) -> Result<Option<Self>> {
        let path = Self::place(ledger);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let unreadable = |why: String| {
            Error::invalid(format!("{} cannot be read ({why}): restore it from a backup", path.display()))
        };
        let state: Self = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if state.v != VERSION {
            return Err(unreadable(format!("it has version {}, this build knows {VERSION}", state.v)));
        }
        state.signer().map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(state))
    }

    /// Writes the file of a ledger, durably and only for its owner. With `is_new`, an existing file is not replaced.
    pub fn write(&self, ledger: &Path, is_new: bool) -> Result<()> {
        let mut text = serde_json::to_vec(self).map_err(|error| Error::Store {
            what: "writing the state of pushes".to_owned(),
            source: Box::new(error),
        })?;
        text.push(b'\n');
        let former = if is_new { FormerFile::Absent } else { FormerFile::Replaced };
        files::write(&Self::place(ledger), &text, former)
    }

    /// The key that signs checkpoints.
    pub fn signer(&self) -> Result<Signer> {
        let signer: Signer = self.key.parse()?;
        if signer.verifier().name() != origin(&self.ledger, self.continues.as_ref()) {
            return Err(Error::invalid("its key is that of another ledger"));
        }
        Ok(signer)
    }

    /// The last cosigned checkpoint.
    pub fn cosigned(&self) -> Result<Option<Checkpoint>> {
        let Some(text) = &self.checkpoint else { return Ok(None) };
        let note: Note = text.parse()?;
        Ok(Some(note.text().parse()?))
    }
}
