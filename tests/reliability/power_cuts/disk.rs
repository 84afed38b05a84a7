//! A model of a disk: its durable content, and pending changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::corpus::rng::Rng;

/// A recorded call.
#[derive(Clone, Debug)]
pub enum Call {
    Create(u64, PathBuf),
    Write(u64, usize, Vec<u8>),
    Truncate(u64, usize),
    Sync(u64),
    FailedSync(u64),
    SyncNames,
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Unlink(PathBuf),
    Answer(Vec<u8>),
}

/// Reads the log that the shim wrote.
pub fn read_log(path: &Path) -> Vec<Call> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut calls = Vec::new();
    while rest.len() >= 21 {
        let number = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
        let (kind, inode, offset) = (rest[0], number(1), usize::try_from(number(9)).unwrap());
        let length = u32::from_le_bytes(rest[17..21].try_into().unwrap()) as usize;
        let data = rest[21..21 + length].to_vec();
        rest = &rest[21 + length..];
        let names = || {
            let text = String::from_utf8(data.clone()).unwrap();
            let (from, to) = text.split_once('\0').unwrap();
            (PathBuf::from(from), PathBuf::from(to))
        };
        calls.push(match kind {
            b'C' => Call::Create(inode, String::from_utf8(data).unwrap().into()),
            b'W' => Call::Write(inode, offset, data),
            b'T' => Call::Truncate(inode, offset),
            b'S' => Call::Sync(inode),
            b'F' => Call::FailedSync(inode),
            b'Y' => Call::SyncNames,
            b'R' => Call::Rename(names().0, names().1),
            b'L' => Call::Link(names().0, names().1),
            b'U' => Call::Unlink(names().0),
            b'A' => Call::Answer(data),
            b'D' => continue,
            other => panic!("the log has a call of kind {other}"),
        });
    }
    calls
}

/// A change of a file's bytes.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// The number of changes that a failed sync may have lost: a later sync does not make them durable.
    doubtful: usize,
}

/// A change of names.
#[derive(Clone, Debug)]
enum Naming {
    Put(PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    by_inode: BTreeMap<u64, usize>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<Naming>,
}

fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl Disk {
    /// A disk with one durable file.
    pub fn with(path: PathBuf, inode: u64, bytes: Vec<u8>) -> Self {
        let file = File { durable: bytes, ..File::default() };
        let names = BTreeMap::from([(path, 0)]);
        Self {
            files: vec![file],
            by_inode: BTreeMap::from([(inode, 0)]),
            names: names.clone(),
            durable_names: names,
            pending_names: Vec::new(),
        }
    }

    fn file(&mut self, inode: u64) -> Option<&mut File> {
        let number = *self.by_inode.get(&inode)?;
        self.files.get_mut(number)
    }

    fn name(&mut self, naming: Naming) {
        rename(&mut self.names, &naming);
        self.pending_names.push(naming);
    }

    /// Applies a completed call.
    pub fn apply(&mut self, call: &Call) {
        match call {
            Call::Create(inode, path) => {
                self.files.push(File::default());
                let number = self.files.len() - 1;
                self.by_inode.insert(*inode, number);
                self.name(Naming::Put(path.clone(), number));
            }
            Call::Write(inode, at, data) => {
                if let Some(file) = self.file(*inode) {
                    file.pending.push(Change::Write(*at, data.clone()));
                }
            }
            Call::Truncate(inode, length) => {
                if let Some(file) = self.file(*inode) {
                    file.pending.push(Change::Truncate(*length));
                }
            }
            Call::Sync(inode) => {
                if let Some(file) = self.file(*inode) {
                    // Changes that a failed sync may have lost stay doubtful until they are written again.
                    let kept = file.pending.split_off(file.doubtful);
                    if file.doubtful == 0 {
                        kept.iter().for_each(|change| settle(&mut file.durable, change));
                    } else {
                        file.rewritten(kept);
                    }
                }
            }
            Call::FailedSync(inode) => {
                if let Some(file) = self.file(*inode) {
                    file.doubtful = file.pending.len();
                }
            }
            Call::SyncNames => {
                for naming in std::mem::take(&mut self.pending_names) {
                    rename(&mut self.durable_names, &naming);
                }
            }
            Call::Rename(from, to) => {
                if let Some(number) = self.names.get(from).copied() {
                    self.name(Naming::Remove(from.clone()));
                    self.name(Naming::Put(to.clone(), number));
                }
            }
            Call::Link(from, to) => {
                if let Some(number) = self.names.get(from).copied() {
                    self.name(Naming::Put(to.clone(), number));
                }
            }
            Call::Unlink(path) => self.name(Naming::Remove(path.clone())),
            Call::Answer(_) => {}
        }
    }

    /// Whether any change is pending.
    pub fn has_pending(&self) -> bool {
        self.files.iter().any(|file| !file.pending.is_empty())
    }

    /// Writes the content of the disk after a power cut, from below `from` to below `to`.
    pub fn lose_power(&self, rng: &mut Rng, sector: usize, from: &Path, to: &Path) {
        let mut names = self.durable_names.clone();
        let kept = rng.index(self.pending_names.len() + 1);
        for naming in &self.pending_names[..kept] {
            rename(&mut names, naming);
        }
        for (path, number) in names {
            let Ok(name) = path.strip_prefix(from) else { continue };
            std::fs::write(to.join(name), self.files[number].after_a_cut(rng, sector)).unwrap();
        }
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, naming: &Naming) {
    match naming {
        Naming::Put(path, number) => names.insert(path.clone(), *number),
        Naming::Remove(path) => names.remove(path),
    };
}

fn settle(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, data) => write(bytes, *at, data),
        Change::Truncate(length) => bytes.resize(*length, 0),
    }
}

impl File {
    /// Makes changes durable after a successful sync that follows doubtful ones. Overwritten doubtful changes are
    /// resolved.
    fn rewritten(&mut self, kept: Vec<Change>) {
        let overwritten = |change: &Change| {
            // The file system's journal has changes of length, which a failed sync of data does not undo.
            let Change::Write(at, data) = change else { return true };
            kept.iter().any(|later| match later {
                Change::Write(from, bytes) => *from < at + data.len() && *at < from + bytes.len(),
                Change::Truncate(length) => *length <= *at,
            })
        };
        self.pending.retain(|change| !overwritten(change));
        self.doubtful = self.pending.len();
        kept.iter().for_each(|change| settle(&mut self.durable, change));
    }

    fn after_a_cut(&self, rng: &mut Rng, sector: usize) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        // Everything, nothing, a prefix, any subset of writes, any subset of sectors.
        let way = rng.index(5);
        let prefix = rng.index(self.pending.len() + 1);
        for (number, change) in self.pending.iter().enumerate() {
            let whole = match way {
                0 => true,
                1 => false,
                2 => number < prefix,
                3 => rng.chance(500),
                _ => {
                    Self::tear(&mut bytes, change, rng, sector);
                    continue;
                }
            };
            if whole {
                settle(&mut bytes, change);
            }
        }
        bytes
    }

    /// Applies some sectors of a change.
    fn tear(bytes: &mut Vec<u8>, change: &Change, rng: &mut Rng, sector: usize) {
        let Change::Write(at, data) = change else {
            if rng.chance(500) {
                settle(bytes, change);
            }
            return;
        };
        let mut from = 0;
        while from < data.len() {
            let to = data.len().min(((at + from) / sector + 1) * sector - at);
            if rng.chance(500) {
                write(bytes, at + from, &data[from..to]);
            }
            from = to;
        }
    }
}
