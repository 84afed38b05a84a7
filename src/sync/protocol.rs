//! What a machine and a server send to each other. docs/sync.md describes it for other programs.

use serde::{Deserialize, Serialize};

use crate::merkle::Hash;
use crate::model::error::{Error, Result};

/// The version of the protocol.
pub(crate) const VERSION: u32 = 1;
/// The beginning of the origin of a pushed ledger. Its id follows.
const ORIGIN: &str = "usage-ledger/ledger/";
/// The part of an origin in front of the ledger that this one continues.
const CONTINUES: &str = "/continues/";
/// The length of an id in characters.
const ID: usize = 20;

/// Where a ledger leaves the history of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerFork {
    /// The id of the other ledger.
    pub ledger: String,
    /// The first position that is not in the other ledger.
    pub position: u64,
}

/// The state of a ledger on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushHead {
    pub ledger: String,
    /// Events in the server's store.
    pub size: u64,
    /// The root of the tree over them, in hex.
    pub root: String,
    /// The size of the last checkpoint that the server cosigned. It is above `size` if the store lost events.
    pub witnessed: u64,
    /// The root of that checkpoint, in hex.
    pub witnessed_root: String,
    /// That checkpoint, with the cosignature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// The public key of the server's cosignatures.
    pub server: String,
}

/// A pushed ledger, in the list of a machine's ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushedLedgerInfo {
    pub ledger: String,
    pub size: u64,
    pub origin: String,
    /// The public keys that may sign its checkpoints.
    pub keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<LedgerFork>,
}

/// The list of a machine's ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushedLedgerList {
    pub schema: u32,
    pub machine: String,
    pub ledgers: Vec<PushedLedgerInfo>,
}

/// The head of a segment that a machine sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushSegment {
    pub v: u32,
    /// The position in front of the first line.
    pub base: u64,
    /// The number of lines.
    pub count: u64,
    /// The public key of the checkpoint.
    pub verifier: String,
    /// A signed checkpoint of the events up to the last line.
    pub checkpoint: String,
    /// A consistency proof from `base` to the last line: hashes in hex.
    pub consistency: Vec<String>,
    /// A consistency proof from the last line to the size that the server cosigned, if its store lost events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<WitnessedProof>,
}

/// A proof that a larger tree continues a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessedProof {
    pub size: u64,
    pub consistency: Vec<String>,
}

/// The head of a segment that a server sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PulledSegment {
    pub v: u32,
    pub base: u64,
    pub count: u64,
}

/// The answer to an accepted segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushAccepted {
    pub schema: u32,
    /// Events that the server did not have before.
    pub new: u64,
    /// Bodies that the server erased because the segment names them as shredded.
    pub shredded: u64,
    /// The cosignature of the checkpoint: a signature line. None while the store is behind an earlier cosignature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosignature: Option<String>,
    pub head: PushHead,
}

/// Roots of a machine's tree at some sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareRoots {
    pub roots: Vec<(u64, String)>,
}

/// The comparison with the server's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ComparedRoots {
    pub schema: u32,
    /// The largest size with an equal root; 0 if there is none.
    pub equal: u64,
    /// The smallest size with another root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<u64>,
}

/// Why a server refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PushObstacle {
    /// The history does not extend what the server holds.
    Fork,
    /// Events in front of the segment are missing.
    Gap,
    /// The store lost events that the server cosigned. The segment needs a proof that it belongs to them.
    Behind,
    /// The token is missing, wrong or revoked.
    Unauthorized,
    /// The ledger belongs to another machine.
    Forbidden,
    /// The server has no such ledger, or no machine is enrolled.
    NotFound,
    /// The request is malformed, or a signature, proof or root is wrong.
    Invalid,
    /// The segment is too large.
    TooLarge,
    /// The server cannot answer now.
    Unavailable,
}

/// The answer to a refused request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushRefused {
    pub title: PushObstacle,
    pub status: u16,
    pub detail: String,
    /// The first position at which the histories differ, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The state of the ledger, for an obstacle that it explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<PushHead>,
}

#[cfg(feature = "web")]
impl PushRefused {
    pub fn new(title: PushObstacle, detail: impl Into<String>) -> Self {
        let status = match title {
            PushObstacle::Fork | PushObstacle::Gap | PushObstacle::Behind => 409,
            PushObstacle::Unauthorized => 401,
            PushObstacle::Forbidden => 403,
            PushObstacle::NotFound => 404,
            PushObstacle::Invalid => 422,
            PushObstacle::TooLarge => 413,
            PushObstacle::Unavailable => 503,
        };
        Self { title, status, detail: detail.into(), position: None, head: None }
    }

    pub fn at(mut self, position: u64) -> Self {
        self.position = Some(position);
        self
    }

    pub fn with_head(mut self, head: PushHead) -> Self {
        self.head = Some(head);
        self
    }
}

/// A new random id.
pub(crate) fn new_ledger_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Store {
        what: "asking the operating system for random bytes".to_owned(),
        source: Box::new(error),
    })?;
    // The first 80 bits.
    Ok(format!("{:0ID$x}", u128::from_be_bytes(bytes) >> 48))
}

/// Whether a text is an id of a pushed ledger.
pub(crate) fn is_ledger_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The origin of the checkpoints of a ledger. That of a continued ledger names the other one.
pub(crate) fn origin(ledger: &str, continues: Option<&LedgerFork>) -> String {
    match continues {
        None => format!("{ORIGIN}{ledger}"),
        Some(fork) => format!("{ORIGIN}{ledger}{CONTINUES}{}/{}", fork.ledger, fork.position),
    }
}

/// Reads an origin: the id, and what the ledger continues.
pub(crate) fn read_origin(text: &str) -> Option<(String, Option<LedgerFork>)> {
    let rest = text.strip_prefix(ORIGIN)?;
    let (ledger, fork) = match rest.split_once(CONTINUES) {
        None => (rest, None),
        Some((ledger, fork)) => {
            let (other, position) = fork.split_once('/')?;
            (ledger, Some(LedgerFork { ledger: other.to_owned(), position: position.parse().ok()? }))
        }
    };
    let sound = is_ledger_id(ledger)
        && fork.as_ref().is_none_or(|fork| is_ledger_id(&fork.ledger) && fork.ledger != ledger && fork.position > 0);
    // An origin has one spelling.
    (sound && origin(ledger, fork.as_ref()) == text).then(|| (ledger.to_owned(), fork))
}

/// Reads hashes in hex.
pub(crate) fn hashes(texts: &[String]) -> Result<Vec<Hash>> {
    texts.iter().map(|text| text.parse()).collect()
}

/// Writes hashes in hex.
pub(crate) fn hex(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_the_ledger_and_what_it_continues() {
        let (one, two) = (new_ledger_id().unwrap(), new_ledger_id().unwrap());
        assert!(is_ledger_id(&one) && one != two);
        assert_eq!(read_origin(&origin(&one, None)), Some((one.clone(), None)));
        let fork = LedgerFork { ledger: two, position: 91 };
        let text = origin(&one, Some(&fork));
        assert_eq!(read_origin(&text), Some((one.clone(), Some(fork))));
        for other in [
            text.replace("/91", "/091"),
            text.replace("/91", "/0"),
            text.replace("/91", ""),
            text.to_uppercase(),
            origin(&one, Some(&LedgerFork { ledger: one.clone(), position: 1 })),
            one,
        ] {
            assert_eq!(read_origin(&other), None, "{other}");
        }
    }
}
