//! Building and reading netlink messages: header, family header, attributes.
//!
//! # Sources
//! `Documentation/userspace-api/netlink/intro.rst`; `include/uapi/linux/netlink.h`.

pub(crate) const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;

const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// One request. The sequence number is given when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    /// In words, for errors.
    pub(crate) what: String,
}

impl Message {
    /// A request of a type, with the subsystem's fixed header.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8], what: impl Into<String>) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        pad(&mut bytes);
        Self { bytes, what: what.into() }
    }

    pub(crate) fn put(&mut self, kind: u16, data: &[u8]) -> &mut Self {
        let length = u16::try_from(data.len() + 4).expect("attributes here are short");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(data);
        pad(&mut self.bytes);
        self
    }

    pub(crate) fn put_str(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut data = text.as_bytes().to_vec();
        data.push(0);
        self.put(kind, &data)
    }

    /// A number in network order, as nf_tables wants it.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(crate) fn put_be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// A number in the machine's order, as rtnetlink wants it.
    pub(crate) fn put_ne32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    pub(crate) fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        inside(self);
        let length = self.bytes.len() - start;
        let length = u16::try_from(length).expect("element lists are split over messages");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        self
    }

    /// A fixed header inside a nest.
    pub(crate) fn raw(&mut self, data: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(data);
        pad(&mut self.bytes);
        self
    }

    pub(crate) fn flag(&mut self, flag: u16) {
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flag;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    }

    pub(crate) fn finish(&self, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let length = u32::try_from(self.bytes.len()).expect("one message is far below 4 GiB");
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        out[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the message invalid: an attribute type nobody knows with a length that lies.
    #[cfg(test)]
    pub(crate) fn spoil(&mut self) {
        self.bytes[4] = 0xff;
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages in a buffer; stops at the first that doesn't fit.
pub(crate) fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let length = word(0) as usize;
        let payload = bytes.get(HEADER..length)?;
        let answer = Answer {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: word(8),
            payload,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(answer)
    })
}

/// Attributes of a message or nest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

impl<'a> Attrs<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut bytes = self.0;
        std::iter::from_fn(move || {
            let header: &[u8; 4] = bytes.first_chunk()?;
            let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
            let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
            let data = bytes.get(4..length)?;
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, data))
        })
    }

    pub(crate) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(k, _)| *k == kind).map(|(_, data)| data)
    }

    pub(crate) fn nested(self, kind: u16) -> Attrs<'a> {
        Attrs(self.get(kind).unwrap_or_default())
    }

    pub(crate) fn text(self, kind: u16) -> Option<&'a str> {
        let data = self.get(kind)?;
        let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
        std::str::from_utf8(&data[..end]).ok()
    }

    pub(crate) fn be32(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    pub(crate) fn be64(self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut message = Message::new(7, NLM_F_ACK, &[1, 2, 3, 4], "test");
        message.put_str(1, "abc").put_be32(2, 9).nest(3, |m| {
            m.put(4, &[5]);
        });
        let mut bytes = Vec::new();
        message.finish(42, &mut bytes);
        let answer = answers(&bytes).next().unwrap();
        assert_eq!((answer.kind, answer.sequence), (7, 42));
        let attrs = Attrs(&answer.payload[4..]);
        assert_eq!(attrs.text(1), Some("abc"));
        assert_eq!(attrs.be32(2), Some(9));
        assert_eq!(attrs.nested(3).get(4), Some(&[5][..]));
    }

    #[test]
    fn truncated_bytes_end_the_walk() {
        assert_eq!(answers(&[1, 2, 3]).count(), 0);
        assert_eq!(answers(&[255; 40]).count(), 0);
        assert_eq!(Attrs(&[0, 0, 0, 0, 1]).iter().count(), 0);
        assert_eq!(Attrs(&[200, 0, 1, 0, 1]).iter().count(), 0);
    }
}
