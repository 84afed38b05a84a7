//! Messages of protocol buffers whose schema is not published.

/// The value of a field.
#[derive(Clone, Copy, Debug)]
enum FieldValue<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// A number of fixed width. The importer reads no such field.
    Fixed,
}

/// A message, as a list of its fields.
#[derive(Clone, Debug)]
pub(super) struct Message<'m>(Vec<(u32, FieldValue<'m>)>);

impl<'m> Message<'m> {
    /// Reads the fields of a message. An error states why the bytes are not a message.
    pub fn read(mut bytes: &'m [u8]) -> Result<Self, String> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let number = u32::try_from(tag >> 3).map_err(|_| broken())?;
            let value = match tag & 7 {
                0 => FieldValue::Number(varint(&mut bytes)?),
                1 => take(&mut bytes, 8).map(|_| FieldValue::Fixed)?,
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).map_err(|_| broken())?;
                    FieldValue::Bytes(take(&mut bytes, length)?)
                }
                5 => take(&mut bytes, 4).map(|_| FieldValue::Fixed)?,
                _ => return Err(broken()),
            };
            fields.push((number, value));
        }
        Ok(Self(fields))
    }

    /// The last number in a field.
    pub fn number(&self, field: u32) -> Option<u64> {
        self.0.iter().rev().find_map(|(number, value)| match value {
            FieldValue::Number(value) if *number == field => Some(*value),
            _ => None,
        })
    }

    /// The messages in a field. An error states why the bytes of a field are not a message.
    pub fn messages(&self, field: u32) -> impl Iterator<Item = Result<Self, String>> {
        self.bytes(field).map(Self::read)
    }

    /// The first message in a field.
    pub fn message(&self, field: u32) -> Result<Option<Message<'m>>, String> {
        self.messages(field).next().transpose()
    }

    /// The message at the end of a path of fields.
    pub fn at(&self, path: &[u32]) -> Result<Option<Message<'m>>, String> {
        let mut message = self.clone();
        for field in path {
            let Some(inner) = message.message(*field)? else { return Ok(None) };
            message = inner;
        }
        Ok(Some(message))
    }

    /// The last text in a field, unless it is blank.
    pub fn text(&self, field: u32) -> Option<String> {
        let text = std::str::from_utf8(self.bytes(field).last()?).ok()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn bytes(&self, field: u32) -> impl Iterator<Item = &'m [u8]> {
        self.0.iter().filter_map(move |(number, value)| match value {
            FieldValue::Bytes(bytes) if *number == field => Some(*bytes),
            _ => None,
        })
    }
}

fn broken() -> String {
    "unknown shape: a message that cannot be read".to_owned()
}

fn take<'m>(bytes: &mut &'m [u8], length: usize) -> Result<&'m [u8], String> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
    *bytes = rest;
    Ok(taken)
}

/// Reads a varint: groups of seven bits, the lowest first.
fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(bytes, 1)? else { return Err(broken()) };
        let group = u64::from(byte & 0x7f);
        if shift == 63 && group > 1 {
            return Err(broken());
        }
        value |= group << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_broken_messages_refused() {
        // 2: 300, 7: "id", 4: { 1: 5 }, a number of fixed width.
        let bytes = [0x10, 0xac, 0x02, 0x3a, 2, b'i', b'd', 0x22, 2, 0x08, 5, 0x2d, 0, 0, 0, 0];
        let message = Message::read(&bytes).unwrap();
        assert_eq!((message.number(2), message.text(7).as_deref()), (Some(300), Some("id")));
        assert_eq!(message.at(&[4]).unwrap().and_then(|inner| inner.number(1)), Some(5));
        assert!(message.at(&[3]).unwrap().is_none());
        assert!(message.at(&[7]).is_err(), "a text is no message");
        assert_eq!((message.number(9), message.text(2)), (None, None));
        for end in [2, 4, 6, 8] {
            assert!(Message::read(&bytes[..end]).is_err(), "{end}");
        }
        assert!(Message::read(&[0xff; 11]).is_err());
    }
}
