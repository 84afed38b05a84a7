//! The machines that may push, and the ledgers that they pushed: one file, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::sync::files::{self, FormerFile};
use crate::sync::protocol::LedgerFork;

const FILE: &str = "fleet.json";
const LOCK: &str = "fleet.lock";
const VERSION: u32 = 1;
/// The longest name of a machine, person or team, in bytes.
const NAME: usize = 100;
/// The most ledgers of a machine. A token that leaked cannot fill the server with more.
const LEDGERS: usize = 100;

/// A machine that may push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolledMachine {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The SHA-256 of the token, in hex. The token itself is kept nowhere.
    token: String,
    pub enrolled_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A pushed ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushedLedgerEntry {
    /// The machine that pushes it.
    pub machine: String,
    /// The origin of its checkpoints.
    pub origin: String,
    /// The public keys that may sign its checkpoints.
    pub keys: Vec<String>,
    /// Where it leaves the history of another ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<LedgerFork>,
    pub created_at: Timestamp,
}

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetRegistry {
    v: u32,
    machines: Vec<EnrolledMachine>,
    ledgers: BTreeMap<String, PushedLedgerEntry>,
}

/// A change of the list of machines.
#[derive(Debug)]
pub(crate) enum MachineChange<'c> {
    /// Adds a machine with a new token. With `renew`, a known machine gets a new token, and its old one ends.
    Enrol { name: &'c str, person: Option<&'c str>, team: Option<&'c str>, renew: bool, now: Timestamp },
    /// Ends the token of a machine. Its ledgers stay.
    Revoke { name: &'c str, now: Timestamp },
}

fn hash_of(token: &str) -> String {
    Hash::from_bytes(Sha256::digest(token).into()).to_string()
}

/// A random token of 256 bits.
fn new_token() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Store {
        what: "asking the operating system for random bytes".to_owned(),
        source: Box::new(error),
    })?;
    Ok(Hash::from_bytes(bytes).to_string())
}

fn expect_name(what: &str, name: &str) -> Result<()> {
    if !name.is_empty() && name.len() <= NAME && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "`{}` is no name of a {what}: write up to {NAME} bytes without control characters and outer blanks",
        name.escape_debug()
    )))
}

impl FleetRegistry {
    pub fn machines(&self) -> &[EnrolledMachine] {
        &self.machines
    }

    pub const fn ledgers(&self) -> &BTreeMap<String, PushedLedgerEntry> {
        &self.ledgers
    }

    /// The machine with a token that is not revoked.
    pub fn machine_of(&self, token: &str) -> Option<&EnrolledMachine> {
        // A token has 256 random bits, so the time of comparing its hash reveals nothing useful.
        let hash = hash_of(token);
        self.machines.iter().find(|machine| machine.revoked_at.is_none() && machine.token == hash)
    }

    /// Changes the list of machines, and returns a new token.
    pub fn change_machine(&mut self, change: &MachineChange<'_>) -> Result<Option<String>> {
        match *change {
            MachineChange::Enrol { name, person, team, renew, now } => {
                expect_name("machine", name)?;
                person.map_or(Ok(()), |person| expect_name("person", person))?;
                team.map_or(Ok(()), |team| expect_name("team", team))?;
                let token = new_token()?;
                let known = self.machines.iter_mut().find(|machine| machine.name == name);
                if let Some(known) = known {
                    if !renew {
                        return Err(Error::invalid(format!(
                            "the machine {name} is enrolled already: --renew gives it a new token"
                        )));
                    }
                    known.token = hash_of(&token);
                    (known.enrolled_at, known.revoked_at) = (now, None);
                    known.person = person.map(str::to_owned).or(known.person.take());
                    known.team = team.map(str::to_owned).or(known.team.take());
                } else {
                    self.machines.push(EnrolledMachine {
                        name: name.to_owned(),
                        person: person.map(str::to_owned),
                        team: team.map(str::to_owned),
                        token: hash_of(&token),
                        enrolled_at: now,
                        revoked_at: None,
                    });
                    self.machines.sort_by(|one, other| one.name.cmp(&other.name));
                }
                Ok(Some(token))
            }
            MachineChange::Revoke { name, now } => {
                let known = self.machines.iter_mut().find(|machine| machine.name == name);
                let known = known.ok_or_else(|| Error::invalid(format!("no machine is enrolled as {name}")))?;
                known.revoked_at = known.revoked_at.or(Some(now));
                Ok(None)
            }
        }
    }

    /// Lets a key sign checkpoints of a ledger, and returns the ledger. A missing one is added; one of another machine or
    /// origin stays as it is.
    pub fn add_key(&mut self, id: &str, key: &str, new: PushedLedgerEntry) -> Result<PushedLedgerEntry> {
        let (machine, origin) = (new.machine.clone(), new.origin.clone());
        let is_full = || self.ledgers.values().filter(|known| known.machine == machine).count() >= LEDGERS;
        if !self.ledgers.contains_key(id) && is_full() {
            return Err(Error::invalid(format!("the machine {machine} has {LEDGERS} ledgers here already")));
        }
        let entry = self.ledgers.entry(id.to_owned()).or_insert(new);
        if entry.machine == machine && entry.origin == origin && !entry.keys.iter().any(|known| known == key) {
            entry.keys.push(key.to_owned());
        }
        Ok(entry.clone())
    }
}

/// The file of a server.
pub(super) struct RegistryFile {
    directory: PathBuf,
    /// The content that was read last, and the state of its file.
    known: Mutex<Option<(Option<FileState>, Arc<FleetRegistry>)>>,
}

/// What distinguishes one file at a path from the one that replaced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    modified: SystemTime,
    size: u64,
    inode: u64,
}

impl FileState {
    fn of(data: &Metadata) -> Option<Self> {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(data);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: data.modified().ok()?, size: data.len(), inode })
    }
}

impl RegistryFile {
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), known: Mutex::new(None) }
    }

    /// Reads the file. Without one, no machine is enrolled.
    pub fn read(&self) -> Result<Arc<FleetRegistry>> {
        let path = self.directory.join(FILE);
        // The file is replaced as a whole, so another content is another file. The state is taken before the content is read.
        let state = fs::metadata(&path).ok().and_then(|data| FileState::of(&data));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, registry)) = known.as_ref().filter(|(known, _)| state.is_some() && *known == state) {
            return Ok(Arc::clone(registry));
        }
        let registry = Arc::new(Self::parse(path)?);
        *known = Some((state, Arc::clone(&registry)));
        Ok(registry)
    }

    fn parse(path: PathBuf) -> Result<FleetRegistry> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(FleetRegistry { v: VERSION, ..FleetRegistry::default() });
            }
            Err(source) => return Err(Error::Io { path, source }),
        };
        let registry: FleetRegistry = serde_json::from_str(&text).map_err(|error| {
            Error::invalid(format!("{} cannot be read ({error}): restore it from a backup", path.display()))
        })?;
        if registry.v != VERSION {
            let what = format!("{} has version {}, this build knows {VERSION}", path.display(), registry.v);
            return Err(Error::invalid(what));
        }
        Ok(registry)
    }

    /// Changes the file, durably. Changes of several processes follow one another.
    pub fn change<T>(&self, change: impl FnOnce(&mut FleetRegistry) -> Result<T>) -> Result<T> {
        let _lock = self.lock()?;
        let mut registry = FleetRegistry::clone(&*self.read()?);
        let done = change(&mut registry)?;
        let mut text = serde_json::to_vec_pretty(&registry).map_err(|error| Error::Store {
            what: "writing the list of machines".to_owned(),
            source: Box::new(error),
        })?;
        text.push(b'\n');
        files::write(&self.directory.join(FILE), &text, FormerFile::Replaced)?;
        Ok(done)
    }

    pub(super) fn lock(&self) -> Result<File> {
        files::lock(&self.directory.join(LOCK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrol(name: &str, renew: bool) -> MachineChange<'_> {
        MachineChange::Enrol { name, person: Some("ann"), team: None, renew, now: Timestamp::from_millis(5) }
    }

    #[test]
    fn a_token_is_kept_as_a_hash_and_ends_with_its_machine() {
        let directory = tempfile::tempdir().unwrap();
        let file = RegistryFile::new(directory.path());
        let token = file.change(|registry| registry.change_machine(&enrol("laptop", false))).unwrap().unwrap();
        assert!(!fs::read_to_string(directory.path().join(FILE)).unwrap().contains(&token));
        assert_eq!(file.read().unwrap().machine_of(&token).unwrap().name, "laptop");
        assert!(file.change(|registry| registry.change_machine(&enrol("laptop", false))).is_err());
        let next = file.change(|registry| registry.change_machine(&enrol("laptop", true))).unwrap().unwrap();
        let registry = file.read().unwrap();
        assert!(registry.machine_of(&token).is_none() && registry.machine_of(&next).is_some());
        let revoke = MachineChange::Revoke { name: "laptop", now: Timestamp::from_millis(9) };
        file.change(|registry| registry.change_machine(&revoke)).unwrap();
        assert!(file.read().unwrap().machine_of(&next).is_none());
        for name in ["", " a", "a\n", &"x".repeat(101)] {
            assert!(file.change(|registry| registry.change_machine(&enrol(name, false))).is_err(), "{name:?}");
        }
    }
}
