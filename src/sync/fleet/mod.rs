//! The side of a server: which machines may push, their ledgers, and what the server cosigned.
//!
//! A directory on the server holds everything but the events of ledgers in a database: the server's key, the list of
//! machines and ledgers (`registry`), and the last cosigned checkpoint of each ledger. So the server knows what it signed
//! even if its database loses events.

mod accept;
mod merged;
mod overview;
mod refusals;
mod registry;
mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(crate) use self::merged::{HeadVector, MergeFailure};
pub(crate) use self::overview::{LedgerOverview, MachineOverview};
pub(crate) use self::refusals::RefusedPush;
pub(crate) use self::registry::{EnrolledMachine, FleetRegistry, MachineChange};
pub(crate) use self::streams::StreamPlace;

use self::merged::MergedLedger;
use self::refusals::RefusalLog;
use self::registry::RegistryFile;
use self::streams::LedgerStreams;
use super::files::{self, FormerFile};
use super::protocol::{
    CompareRoots, ComparedRoots, PulledSegment, PushHead, PushObstacle, PushRefused, PushedLedgerInfo,
    PushedLedgerList, VERSION,
};
use super::segment;
use super::witness::WitnessLog;
use crate::ledger::Ledger;
use crate::merkle::{Checkpoint, Cosigner, Hash, Verifier};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::Timestamp;

/// The file with the key of the server.
const KEY: &str = "key";
/// The directory with the last cosigned checkpoints.
const WITNESS: &str = "witness";
/// The most roots of one comparison.
const MOST_ROOTS: usize = 1_000;

/// The answer to a request of a machine, or why it was refused.
pub(crate) type FleetAnswer<T> = std::result::Result<T, FleetRefusal>;

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum FleetRefusal {
    /// The server refuses it.
    Refused(Box<PushRefused>),
    /// An error of the server.
    Failed(Error),
}

impl From<Error> for FleetRefusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<PushRefused> for FleetRefusal {
    fn from(refused: PushRefused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

pub(super) fn refuse<T>(title: PushObstacle, detail: impl Into<String>) -> FleetAnswer<T> {
    Err(PushRefused::new(title, detail).into())
}

/// A server of pushed ledgers.
pub(crate) struct FleetServer {
    directory: PathBuf,
    registry: RegistryFile,
    streams: LedgerStreams,
    /// The key, once it was read.
    key: Mutex<Option<String>>,
    merged: MergedLedger,
    /// The server's own ledger.
    own: Option<Ledger>,
    refusals: RefusalLog,
}

impl FleetServer {
    /// A server with its directory, which need not exist until a machine is enrolled.
    pub fn new(directory: &Path, place: StreamPlace) -> Self {
        Self {
            directory: directory.to_owned(),
            registry: RegistryFile::new(directory),
            streams: LedgerStreams::new(place),
            key: Mutex::new(None),
            merged: MergedLedger::default(),
            own: None,
            refusals: RefusalLog::default(),
        }
    }

    /// Counts the records of the server's own ledger in sums over all machines: those that reached it by telemetry or by its API.
    pub fn with_own(self, own: Ledger) -> Self {
        Self { own: Some(own), ..self }
    }

    /// The directory of a ledger in a file.
    pub fn beside(ledger: &Path) -> PathBuf {
        let mut name = ledger.as_os_str().to_owned();
        name.push("-fleet");
        name.into()
    }

    /// The list of machines and ledgers.
    pub fn registry(&self) -> Result<Arc<FleetRegistry>> {
        self.registry.read()
    }

    /// Changes the list of machines. The first change creates the directory and the key of the server.
    pub fn change_machine(&self, change: &MachineChange<'_>, server_name: Option<&str>) -> Result<Option<String>> {
        self.prepare(server_name)?;
        self.registry.change(|registry| registry.change_machine(change))
    }

    /// The public key of the server.
    pub fn public_key(&self) -> Result<String> {
        Ok(self.cosigner()?.witness().to_string())
    }

    /// The machine with a token.
    pub fn machine(&self, token: Option<&str>) -> FleetAnswer<EnrolledMachine> {
        let registry = self.registry()?;
        if registry.machines().is_empty() {
            return refuse(
                PushObstacle::Unauthorized,
                "no machine is enrolled here: run `usage-ledger fleet enrol NAME` on the server",
            );
        }
        let machine = token.and_then(|token| registry.machine_of(token));
        match machine {
            Some(machine) => Ok(machine.clone()),
            None => refuse(
                PushObstacle::Unauthorized,
                "the token of the machine is missing, wrong or revoked: `usage-ledger fleet enrol NAME` on the server makes one",
            ),
        }
    }

    /// The ledgers of a machine.
    pub fn ledgers_of(&self, machine: &EnrolledMachine) -> FleetAnswer<PushedLedgerList> {
        let registry = self.registry()?;
        let mut ledgers = Vec::new();
        for (id, entry) in registry.ledgers().iter().filter(|(_, entry)| entry.machine == machine.name) {
            let size = match self.streams.open_existing(id)? {
                Some(ledger) => ledger.head()?.position.get(),
                None => 0,
            };
            ledgers.push(PushedLedgerInfo {
                ledger: id.clone(),
                size,
                origin: entry.origin.clone(),
                keys: entry.keys.clone(),
                continues: entry.continues.clone(),
            });
        }
        Ok(PushedLedgerList { schema: 1, machine: machine.name.clone(), ledgers })
    }

    /// A ledger of a machine.
    fn ledger_of(&self, machine: &EnrolledMachine, id: &str) -> FleetAnswer<(Ledger, String)> {
        let registry = self.registry()?;
        let Some(entry) = registry.ledgers().get(id) else {
            return refuse(PushObstacle::NotFound, format!("this server has no ledger {id}"));
        };
        if entry.machine != machine.name {
            return refuse(PushObstacle::Forbidden, format!("the ledger {id} belongs to another machine"));
        }
        Ok((self.streams.open(id)?, entry.origin.clone()))
    }

    /// The state of a ledger of a machine.
    pub fn head(&self, machine: &EnrolledMachine, id: &str) -> FleetAnswer<PushHead> {
        let (ledger, origin) = self.ledger_of(machine, id)?;
        Ok(self.head_of(&ledger, id, &origin)?)
    }

    fn head_of(&self, ledger: &Ledger, id: &str, origin: &str) -> Result<PushHead> {
        let snapshot = ledger.snapshot()?;
        let (size, root) = (snapshot.head()?.position.get(), snapshot.root()?.to_string());
        let last = self.witnessed(origin)?;
        let (witnessed, witnessed_root) = match &last {
            Some((_, checkpoint)) => (checkpoint.size(), checkpoint.root()),
            None => (0, Hash::EMPTY),
        };
        Ok(PushHead {
            ledger: id.to_owned(),
            size,
            root,
            witnessed,
            witnessed_root: witnessed_root.to_string(),
            checkpoint: last.map(|(text, _)| text),
            server: self.public_key()?,
        })
    }

    /// Compares roots of a machine's tree with those of the server's.
    pub fn compare(
        &self,
        machine: &EnrolledMachine,
        id: &str,
        roots: &CompareRoots,
        now: Timestamp,
    ) -> FleetAnswer<ComparedRoots> {
        if roots.roots.len() > MOST_ROOTS {
            return refuse(PushObstacle::Invalid, format!("a comparison has at most {MOST_ROOTS} roots"));
        }
        let (ledger, _) = self.ledger_of(machine, id)?;
        let snapshot = ledger.snapshot()?;
        let size = snapshot.head()?.position.get();
        let mut compared = ComparedRoots { schema: 1, equal: 0, differs: None };
        for (at, root) in roots.roots.iter().filter(|(at, _)| *at <= size) {
            if snapshot.root_at(*at)?.to_string() == *root {
                compared.equal = compared.equal.max(*at);
            } else {
                compared.differs = Some(compared.differs.map_or(*at, |known| known.min(*at)));
            }
        }
        if let Some(differs) = compared.differs {
            let what =
                format!("the history of ledger {id} differs from the server's copy at or before position {differs}");
            let refused = PushRefused::new(PushObstacle::Fork, what).at(differs);
            self.refusals.note(&machine.name, id, Err(&refused.into()), now);
        }
        Ok(compared)
    }

    /// Lines of a ledger of a machine, packed.
    pub fn segment(&self, machine: &EnrolledMachine, id: &str, after: u64, until: u64) -> FleetAnswer<Vec<u8>> {
        let (ledger, _) = self.ledger_of(machine, id)?;
        let snapshot = ledger.snapshot()?;
        let most = usize::try_from(until.saturating_sub(after)).unwrap_or(usize::MAX).min(segment::MOST_EVENTS);
        let lines = segment::lines_after(&snapshot, Position::new(after), most)?;
        let front = PulledSegment { v: VERSION, base: after, count: lines.len() as u64 };
        Ok(segment::pack(&front, &lines)?)
    }

    /// The last checkpoint of an origin that this server cosigned.
    fn witnessed(&self, origin: &str) -> Result<Option<(String, Checkpoint)>> {
        // Without keys it cosigns nothing. It is opened to read, and fails if its directory is lost.
        let last = self.witness_log(Vec::new())?.last(origin)?;
        Ok(last.map(|(note, checkpoint)| (note.to_string(), checkpoint)))
    }

    fn witness_log(&self, keys: Vec<Verifier>) -> Result<WitnessLog> {
        WitnessLog::open(self.directory.join(WITNESS), self.cosigner()?, keys)
    }

    fn cosigner(&self) -> Result<Cosigner> {
        let mut key = self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let text = if let Some(text) = key.as_ref() {
            text
        } else {
            let path = self.directory.join(KEY);
            let text = fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
            key.insert(text.trim_end().to_owned())
        };
        text.parse()
    }

    /// Creates the directory and the key of the server. A key without its cosigned checkpoints is not used: the server could
    /// cosign a second history.
    fn prepare(&self, server_name: Option<&str>) -> Result<()> {
        let key = self.directory.join(KEY);
        let failed = |path: &Path, source| Error::Io { path: path.to_owned(), source };
        crate::store::directory::make_private(&self.directory).map_err(|source| failed(&self.directory, source))?;
        let _lock = self.registry.lock()?;
        if key.exists() {
            return match server_name {
                Some(name) if self.cosigner()?.witness().name() != name => {
                    Err(Error::invalid("the server has a key with another name already: leave out --server-name"))
                }
                _ => Ok(()),
            };
        }
        let witness = self.directory.join(WITNESS);
        crate::store::directory::make_private(&witness).map_err(|source| failed(&witness, source))?;
        let name = match server_name {
            Some(name) => name.to_owned(),
            None => format!("usage-ledger/server/{}", super::protocol::new_ledger_id()?),
        };
        let secret = Cosigner::generate(&name)?.secret();
        files::write(&key, format!("{secret}\n").as_bytes(), FormerFile::Absent)
    }
}
