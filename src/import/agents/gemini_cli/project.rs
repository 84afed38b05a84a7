//! Finds the directory of a chat. The client files chats under a short name, and older ones under a hash.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::import::engine::jsonl;
use crate::import::engine::regular;

/// A larger file is not a path or a registry of paths.
const MOST: u64 = 1 << 20;

/// The client's registry of directories and their short names.
#[derive(Deserialize)]
struct Registry {
    projects: BTreeMap<String, String>,
}

/// Returns the project of the chat at `path`: its directory if known, otherwise its short name.
pub(super) fn of(path: &Path) -> Option<String> {
    let chats = path.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "chats"))?;
    let home = chats.parent()?;
    let name = home.file_name()?.to_str()?;
    let marked = read(&home.join(".project_root")).map(|text| text.trim().to_owned());
    marked
        .or_else(|| registered(&home.parent()?.parent()?.join("projects.json"), name))
        .as_deref()
        .or(Some(name))
        .and_then(jsonl::name)
        .map(str::to_owned)
}

/// Returns the directory with this short name or hash.
fn registered(registry: &Path, name: &str) -> Option<String> {
    let registry: Registry = serde_json::from_str(&read(registry)?).ok()?;
    let named = |(directory, short): &(&String, &String)| *short == name || hash(directory) == name;
    registry.projects.iter().find(named).map(|(directory, _)| directory.clone())
}

fn hash(directory: &str) -> String {
    use std::fmt::Write;
    let mut hex = String::new();
    for byte in Sha256::digest(directory) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    regular::open(path).ok()?.take(MOST).read_to_string(&mut text).ok()?;
    (!text.trim().is_empty()).then_some(text)
}
