//! Messages of protobuf, field by field. Broken ones end where they break.

/// What a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A varint.
    Number(u64),
    /// Bytes, a text or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// Every field with its number, as far as the message can be read.
    pub fn iter(self) -> impl Iterator<Item = (u64, Value<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            loop {
                let (key, behind) = varint(rest)?;
                let field = key >> 3;
                let (value, behind) = match key & 7 {
                    0 => {
                        let (number, behind) = varint(behind)?;
                        (Some(Value::Number(number)), behind)
                    }
                    1 => (None, behind.get(8..)?),
                    2 => {
                        let (length, behind) = varint(behind)?;
                        let length = usize::try_from(length).ok()?;
                        let (bytes, behind) = behind.split_at_checked(length)?;
                        (Some(Value::Bytes(bytes)), behind)
                    }
                    5 => (None, behind.get(4..)?),
                    _ => return None,
                };
                rest = behind;
                if let Some(value) = value {
                    return Some((field, value));
                }
            }
        })
    }

    /// The last number of a field: that one counts.
    #[must_use]
    pub fn number(self, field: u64) -> Option<u64> {
        let of = |(number, value)| match value {
            Value::Number(value) if number == field => Some(value),
            _ => None,
        };
        self.iter().filter_map(of).last()
    }

    /// Every value of a repeated field.
    pub fn all(self, field: u64) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter_map(move |(number, value)| match value {
            Value::Bytes(bytes) if number == field => Some(bytes),
            _ => None,
        })
    }

    /// The last bytes of a field.
    #[must_use]
    pub fn bytes(self, field: u64) -> Option<&'a [u8]> {
        self.all(field).last()
    }

    /// The last text of a field; empty where there is none.
    #[must_use]
    pub fn text(self, field: u64) -> String {
        String::from_utf8_lossy(self.bytes(field).unwrap_or_default()).into_owned()
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a number.
pub fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Writes bytes, a text or a message.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
