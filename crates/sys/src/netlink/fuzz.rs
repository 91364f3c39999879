//! What holds of an answer of the kernel, whatever the bytes are.

use super::message::{self, Attrs, Message};
use super::socket::refusal;

/// Nests that are followed.
const DEEP: usize = 8;

/// Messages and attributes lie within the bytes, one behind the other, and what was read can be
/// written and read again.
pub fn answers(bytes: &[u8]) {
    let mut length = 0;
    for answer in message::answers(bytes) {
        length += 16 + answer.payload.len();
        assert!(length <= bytes.len(), "more than there is");
        let _ = refusal(answer, &|sequence| format!("request {sequence}"));
        for skip in [0, 4, 16] {
            walk(Attrs(answer.payload.get(skip..).unwrap_or_default()), 0);
        }
    }
    walk(Attrs(bytes), 0);
    again(Attrs(bytes));
}

fn walk(attrs: Attrs<'_>, depth: usize) {
    let mut length = 0;
    for (kind, data) in attrs.iter() {
        length += 4 + data.len();
        assert!(length <= attrs.0.len() && kind <= 0x3fff);
        if depth < DEEP {
            walk(Attrs(data), depth + 1);
        }
    }
    for kind in 0..8 {
        let data = attrs.get(kind);
        assert_eq!(attrs.be32(kind).is_some(), data.is_some_and(|data| data.len() == 4));
        assert_eq!(attrs.be64(kind).is_some(), data.is_some_and(|data| data.len() == 8));
        assert!(attrs.text(kind).is_none_or(|text| !text.contains('\0')));
    }
}

fn again(attrs: Attrs<'_>) {
    let all: Vec<(u16, &[u8])> = attrs.iter().collect();
    let mut message = Message::new(7, 0, &[], "again");
    for (kind, data) in all.iter().filter(|(_, data)| data.len() < 0xfff0) {
        message.put(*kind, data);
    }
    let mut bytes = Vec::new();
    message.finish(1, &mut bytes);
    let answer = message::answers(&bytes).next().expect("what was written is a message");
    let read: Vec<(u16, &[u8])> = Attrs(answer.payload).iter().collect();
    assert!(read.iter().eq(all.iter().filter(|(_, data)| data.len() < 0xfff0)), "{all:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_no_kernel_has_is_garbled() {
        for code in [1, 4096, i32::MAX, i32::MIN, -4096] {
            let mut message = Message::new(2, 0, &i32::to_ne_bytes(code), "test");
            message.put(1, &[]);
            let mut bytes = Vec::new();
            message.finish(1, &mut bytes);
            let answer = message::answers(&bytes).next().expect("an answer");
            let error = refusal(answer, &|_| "listing".to_owned()).expect("no acknowledgement");
            assert_eq!(error.errno(), None, "{code}: {error}");
        }
    }

    #[test]
    fn what_is_read_lies_within_the_bytes() {
        let mut message = Message::new(2, 0x300, &[0; 4], "test");
        message.put_str(1, "abc").put_be32(2, 9).nest(3, |m| {
            m.put(4, &[5]);
        });
        let mut bytes = Vec::new();
        message.finish(42, &mut bytes);
        answers(&bytes);
        for end in 0..bytes.len() {
            answers(&bytes[..end]);
            answers(&bytes[end..]);
        }
    }
}
