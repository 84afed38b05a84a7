//! Bodies in gzip, unpacked within bounds.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use super::body::MOST;

/// The most members of one body. Exporters send one; each further member costs time and no bytes.
const MEMBERS: usize = 16;
/// How many times larger than the body its content may be. Telemetry packs up to some 60 times.
const RATIO: usize = 200;
/// Content up to this size is taken whatever the ratio, in bytes.
const SMALL: usize = 1 << 20;

/// Why a body was not unpacked.
#[derive(Debug)]
pub(super) enum Bound {
    /// It is no gzip, or is cut off.
    Broken(io::Error),
    /// It has too many members.
    Members,
    /// Its content is too large.
    Size,
    /// Its content is too large for its size.
    Ratio,
}

impl Bound {
    /// What is wrong and what to do.
    pub fn why(&self) -> String {
        match self {
            Self::Broken(error) => format!("the body is no gzip ({error}): send it whole, or without Content-Encoding"),
            Self::Members => format!("the body has over {MEMBERS} gzip members: pack it as one"),
            Self::Size => format!("the body is over {} MiB when unpacked: send less at a time", MOST >> 20),
            Self::Ratio => {
                format!("the body is over {RATIO} times larger when unpacked: send it without Content-Encoding")
            }
        }
    }
}

/// The content of all members.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Bound> {
    let most = MOST.min(SMALL.max(packed.len().saturating_mul(RATIO)));
    let mut content = Vec::new();
    let mut rest = packed;
    for _ in 0..MEMBERS {
        let mut member = GzDecoder::new(rest);
        let room = (most - content.len()) as u64 + 1;
        member.by_ref().take(room).read_to_end(&mut content).map_err(Bound::Broken)?;
        if content.len() > most {
            return Err(if most == MOST { Bound::Size } else { Bound::Ratio });
        }
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(content);
        }
    }
    Err(Bound::Members)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pack(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_size_and_ratio_are_bounded() {
        assert_eq!(unpack(&[pack(b"a"), pack(b""), pack(b"b")].concat()).unwrap(), b"ab");
        assert!(matches!(unpack(&pack(b"a").repeat(MEMBERS)), Ok(content) if content.len() == MEMBERS));
        assert!(matches!(unpack(&pack(b"a").repeat(MEMBERS + 1)), Err(Bound::Members)));
        assert!(matches!(unpack(&pack(&vec![b' '; 2 << 20])), Err(Bound::Ratio)));
        assert!(matches!(unpack(&pack(&vec![b' '; SMALL])), Ok(content) if content.len() == SMALL));
        for cut in [&b""[..], b"no gzip at all", &pack(b"abc")[..8]] {
            assert!(matches!(unpack(cut), Err(Bound::Broken(_))));
        }
    }
}
