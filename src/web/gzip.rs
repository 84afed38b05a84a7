//! Decompresses gzip bodies within limits.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use super::MOST;

/// Maximum number of members. Exporters send one; further members cost time at almost no size.
const MEMBERS: usize = 16;
/// Maximum ratio of content to body. Telemetry compresses by a factor of up to 60.
const RATIO: usize = 200;
/// Content up to this size in bytes is accepted at any ratio.
const SMALL: usize = 1 << 20;

/// Why a body was not decompressed.
#[derive(Debug)]
pub(super) enum DecompressionLimit {
    /// It is not gzip, or is truncated.
    Broken(io::Error),
    /// It has too many members.
    Members,
    /// Its content is too large.
    Size,
    /// Its ratio is too high.
    Ratio,
}

impl DecompressionLimit {
    /// Returns the message, with a remedy.
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

/// Returns the content of all members.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, DecompressionLimit> {
    let most = MOST.min(SMALL.max(packed.len().saturating_mul(RATIO)));
    let mut content = Vec::new();
    let mut rest = packed;
    for _ in 0..MEMBERS {
        let mut member = GzDecoder::new(rest);
        let room = (most - content.len()) as u64 + 1;
        member.by_ref().take(room).read_to_end(&mut content).map_err(DecompressionLimit::Broken)?;
        if content.len() > most {
            return Err(if most == MOST { DecompressionLimit::Size } else { DecompressionLimit::Ratio });
        }
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(content);
        }
    }
    Err(DecompressionLimit::Members)
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
        assert!(matches!(unpack(&pack(b"a").repeat(MEMBERS + 1)), Err(DecompressionLimit::Members)));
        assert!(matches!(unpack(&pack(&vec![b' '; 2 << 20])), Err(DecompressionLimit::Ratio)));
        assert!(matches!(unpack(&pack(&vec![b' '; SMALL])), Ok(content) if content.len() == SMALL));
        for cut in [&b""[..], b"no gzip at all", &pack(b"abc")[..8]] {
            assert!(matches!(unpack(cut), Err(DecompressionLimit::Broken(_))));
        }
    }
}
