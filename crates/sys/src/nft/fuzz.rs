//! What holds of tables, rules, elements and counters that are read back, whatever the bytes are.

use sunup_capture::ruleset::TABLE;

use super::read::{counter_in, elements_in, existing_in, read_comment, rule_in};
use super::transaction::{Note, comment};
use crate::netlink::Attrs;

/// What is read of an answer's payload lies within it; a comment that was read is written as it was.
pub fn tables(bytes: &[u8]) {
    let attrs = Attrs(bytes.get(4..).unwrap_or_default());
    let within = |text: &str| assert!(text.len() <= bytes.len() * 3, "more than there is");
    if let Some(found) = existing_in(bytes, TABLE) {
        assert_eq!(attrs.text(1), Some(TABLE));
        let gate = found.note.map_or(0, |note| note.gate_ports.len());
        assert!(gate <= bytes.len());
    }
    if let Some((chain, comment)) = rule_in(bytes, TABLE) {
        within(&chain);
        within(&comment);
    }
    let mut elements = Vec::new();
    elements_in(bytes, &mut elements);
    assert!(elements.len() <= bytes.len() / 4, "more elements than there is room for");
    if let Some((name, _)) = counter_in(bytes, TABLE) {
        within(&name);
    }
    if let Some(text) = read_comment(bytes)
        && text.len() < 250
    {
        assert_eq!(read_comment(&comment(&text)).as_deref(), Some(text.as_str()));
        if let Some(note) = Note::parse(&text) {
            assert!(note.gate_ports.len() <= text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_lies_within_the_bytes() {
        let note =
            comment("sunup 1 digest=00000000000000ff mark=0 table=0 ipv6=1 gate=15001,15006");
        for end in 0..note.len() {
            tables(&note[..end]);
        }
        tables(&note);
        tables(&[2, 0, 0, 0, 8, 0, 1, 0, b'x', 0, 0, 0]);
    }
}
