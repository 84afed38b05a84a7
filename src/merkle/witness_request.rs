//! The request of a log to a witness: `add-checkpoint` of `c2sp.org/tlog-witness`.

use std::fmt;
use std::str::FromStr;

use super::text::{decode_hash, decode_number, encode_hash};
use super::{Hash, Note};
use crate::model::error::{Error, Result};

/// A request has at most this many hashes.
const MOST_HASHES: usize = 63;

/// A checkpoint for a witness, with the proof that it continues the one that the witness cosigned last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddCheckpoint {
    /// The size of the last checkpoint that the witness cosigned; 0 without one.
    pub old: u64,
    /// The consistency proof.
    pub hashes: Vec<Hash>,
    /// The new checkpoint.
    pub checkpoint: Note,
}

impl AddCheckpoint {
    /// A request.
    pub const fn new(old: u64, hashes: Vec<Hash>, checkpoint: Note) -> Self {
        Self { old, hashes, checkpoint }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", encode_hash(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for AddCheckpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::invalid(format!("this is no add-checkpoint request: {why}"));
        let (head, note) = text.split_once("\n\n").ok_or_else(|| bad("an empty line and a checkpoint end it"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| decode_number(line.strip_prefix("old ")?));
        let old = old.ok_or_else(|| bad("its first line is `old SIZE`"))?;
        let hashes = lines.by_ref().take(MOST_HASHES).map(decode_hash).collect::<Result<Vec<_>>>()?;
        if lines.next().is_some() {
            return Err(bad("it has more than 63 hashes"));
        }
        Ok(Self { old, hashes, checkpoint: note.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

    #[test]
    fn the_example_of_the_specification_round_trips() {
        let request: AddCheckpoint = EXAMPLE.parse().unwrap();
        assert_eq!((request.old, request.hashes.len()), (20_852_014, 4));
        assert_eq!(request.to_string(), EXAMPLE);
    }

    #[test]
    fn malformed_requests_are_refused() {
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        for (from, to) in [
            ("old 20852014", "old 020852014"),
            ("old 20852014", "new 20852014"),
            ("old 20852014", "old -1"),
            ("old 20852014", "old 20852014 "),
            ("old 20852014\n", ""),
            ("PlRN", "PlR"),
            ("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", "AAAA"),
            (hash, &hash.repeat(61)),
            ("20852163", "x"),
            ("\n\nexample", "\nexample"),
        ] {
            let text = EXAMPLE.replacen(from, to, 1);
            let is_refused = text
                .parse::<AddCheckpoint>()
                .map_or(true, |request| request.checkpoint.text().parse::<crate::merkle::Checkpoint>().is_err());
            assert!(is_refused, "{from:?} as {to:?}");
        }
        assert!(EXAMPLE.replacen(hash, &hash.repeat(60), 1).parse::<AddCheckpoint>().is_ok());
    }
}
