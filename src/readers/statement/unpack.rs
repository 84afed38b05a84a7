//! Unpacks statements that are packed by gzip, within a limit.

use std::borrow::Cow;
use std::io::Read;

use crate::model::error::{Error, Result};

/// Maximum length of an unpacked statement, in bytes.
pub(super) const LONGEST: u64 = 1 << 30;

/// The content of a file. A file that is not packed is returned as it is.
pub(super) fn unpacked<'b>(name: &str, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>> {
    for (magic, kind) in [(&b"PK\x03\x04"[..], "a ZIP archive"), (b"\x28\xb5\x2f\xfd", "packed by Zstandard")] {
        if bytes.starts_with(magic) {
            return Err(Error::invalid(format!("{name} is {kind}: unpack it first")));
        }
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut content = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(bytes).take(LONGEST + 1).read_to_end(&mut content);
    read.map_err(|e| Error::invalid(format!("{name}: damaged gzip ({e}): download the file again")))?;
    if content.len() as u64 > LONGEST {
        return Err(Error::invalid(format!("{name} unpacks to more than {LONGEST} bytes: export a shorter period")));
    }
    Ok(Cow::Owned(content))
}
