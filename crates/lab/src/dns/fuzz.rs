//! What holds of an answer, whatever was asked.

use std::net::Ipv4Addr;

use super::{Names, name, reply};

/// An answer is to the question that was asked, is as long as it says, and is given to questions
/// alone.
pub fn question(bytes: &[u8]) {
    let mut names = Names::default();
    names.add("db.shop.svc.cluster.local", &[Ipv4Addr::new(10, 96, 16, 1)]);
    names.add("", &[Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST]);
    let Some(answer) = reply(bytes, &names) else { return };
    assert_eq!(answer[..2], bytes[..2], "another question's");
    assert!(answer[2] & 0x80 != 0 && bytes[2] & 0x80 == 0, "a question is answered");
    let (asked, end) = name(bytes, 12).expect("what was asked");
    assert_eq!(answer[12..end + 4], bytes[12..end + 4]);
    assert_eq!(name(&answer, 12), Some((asked, end)));
    let answers = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
    assert_eq!(answer.len(), end + 4 + 16 * answers);
    assert_eq!(reply(&answer, &names), None, "an answer is no question");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_to_questions() {
        let query = b"\x07\x07\x01\0\0\x01\0\0\0\0\0\0\x02db\x04SHOP\x03svc\x07cluster\x05local\0\0\x01\0\x01";
        for end in 0..=query.len() {
            question(&query[..end]);
        }
        question(b"\x07\x07\x01\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01");
    }
}
